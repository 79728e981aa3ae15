import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { joinServerOptions, serverArguments } from '../src/server-arguments.ts';
import { SetupError } from '../src/setup-error.ts';

function problems(...argv: readonly string[]): readonly string[] {
  try {
    serverArguments(argv);
  } catch (error) {
    assert.ok(error instanceof SetupError, String(error));
    return error.problems;
  }
  return [];
}

describe('a command line', () => {
  test('may be empty', () => {
    assert.deepEqual(serverArguments([]), { configFile: null, options: {}, wantsHelp: false, positionals: [] });
  });

  test('has what Pingora’s has, and what is ours', () => {
    assert.deepEqual(serverArguments(['-c', 'a.yaml', '-t', '--threads', '4', '--pid-file=/run/a.pid', '--admin', 'unix:/run/a.sock']), {
      configFile: 'a.yaml',
      options: { threads: 4, pidFile: '/run/a.pid', admin: 'unix:/run/a.sock', test: true },
      wantsHelp: false,
      positionals: [],
    });
    assert.equal(serverArguments(['-tc', 'a.yaml']).configFile, 'a.yaml');
    assert.equal(serverArguments(['--conf=--odd-name']).configFile, '--odd-name');
    assert.equal(serverArguments(['-h']).wantsHelp, true);
  });

  test('keeps for the program what is no option', () => {
    assert.deepEqual(serverArguments(['serve', '--threads', '1', '--', '-d']).positionals, ['serve', '-d']);
  });

  test('says of Pingora’s other options what to do instead', () => {
    assert.match(problems('--daemon')[0] as string, /^--daemon: .*under systemd or in a container/);
    assert.match(problems('-u')[0] as string, /^-u is not needed: send SIGQUIT .*kill -QUIT/);
  });

  test('all that is wrong is told at once', () => {
    assert.deepEqual(problems('-d', '--thread', '3', '--threads', '0', '--admin', '1.2.3.4:5', '--test=1', '--conf', '--test').length, 6);
    assert.deepEqual(problems('--thread', '3'), ['there is no option --thread; did you mean --threads?']);
    assert.deepEqual(problems('--frobnicate'), ['there is no option --frobnicate; --help lists the options']);
    assert.deepEqual(problems('--threads', '1', '--threads', '2'), ['--threads is written twice; it takes one value']);
    assert.deepEqual(problems('--conf'), ['--conf needs a value; --help lists the options']);
    assert.deepEqual(problems('--conf='), ['--conf needs a value; --help lists the options']);
    for (const threads of ['-1', '1.5', '0x4', 'four', '257', '9'.repeat(400)])
      assert.match(problems(`--threads=${threads}`)[0] as string, /write a whole number from 1 to 256$/);
    assert.match(problems('--admin', '0.0.0.0:1')[0] as string, /^--admin must be an address of loopback/);
    assert.match(problems('--admin', '9000')[0] as string, /^--admin: invalid address/);
    assert.deepEqual(problems('--pid-file', '/run/a\nb'), ['--pid-file must not have control characters: "/run/a\\nb"']);
  });

  test('an argument counts more than the file, the file more than the program, for each option of workers by itself', () => {
    const program = { name: 'app', threads: 1, graceMs: 1, workers: { blockedWarningMs: 500, uncaught: 'report' } } as const;
    const file = { threads: 2, graceMs: 2, workers: { uncaught: 'replace' } } as const;
    assert.deepEqual(joinServerOptions(program, file, { threads: 3 }), {
      name: 'app',
      threads: 3,
      graceMs: 2,
      workers: { blockedWarningMs: 500, uncaught: 'replace' },
    });
    assert.deepEqual(joinServerOptions({}, {}, {}), {});
  });
});

describe('a program that takes its options from the command line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-arguments-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const module = JSON.stringify(new URL('../src/server-arguments.ts', import.meta.url).href);
  const program = join(folder, 'app.mjs');
  writeFileSync(
    program,
    `import { isMainThread, Worker } from 'node:worker_threads';
     import { rmSync } from 'node:fs';
     import { commandLineOptions } from ${module};
     const options = commandLineOptions({ name: 'app', threads: 1 });
     console.log(JSON.stringify({ isMainThread, ...options }, (_, value) => (value === Infinity ? 'never' : value)));
     if (isMainThread && process.env.SHOW_ENVIRONMENT) {
       if (process.env.FERRATA_KEPT_OPTIONS !== undefined) throw new Error('it would be handed on');
       process.channel.unref();
       new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
     }
     if (isMainThread && process.env.REMOVE) { rmSync(process.env.REMOVE); new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) }); }`,
  );
  // Each process reads the same sources.
  const compileCache = { NODE_COMPILE_CACHE: join(folder, 'compiled') };
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, [program, ...args], {
      encoding: 'utf8',
      timeout: 20_000,
      env: { ...process.env, ...compileCache, ...env },
    });

  test('goes on with all of them together', () => {
    const file = join(folder, 'good.yaml');
    writeFileSync(file, 'threads: 2\ngrace_period_seconds: 9\n');
    const { status, stdout } = run(['--conf', file, '--threads', '3', '--test']);
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), { isMainThread: true, name: 'app', threads: 3, graceMs: 9_000, test: true });
  });

  test('ends with 2, and says on standard error all that is wrong', () => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, 'thread: 2\ndaemon: true\n');
    const { status, stdout, stderr } = run(['-c', file]);
    assert.deepEqual([status, stdout], [2, '']);
    const lines = stderr.split('\n');
    assert.equal(lines[0], `app: ${file}:1:1: there is no key thread; did you mean threads?`);
    assert.match(lines[1] as string, /^app: .*:2:1: daemon: /);
    const extra = run(['extra']);
    assert.equal(extra.status, 2);
    assert.match(extra.stderr, /^app: 'extra' belongs to no option/);
  });

  test('ends with 0 after help', () => {
    const { status, stdout, stderr } = run(['--help']);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^app\.mjs \[options\]\n\n {2}-c, --conf FILE/);
  });

  test('a worker thread has the options of its main thread, whatever has become of the file', () => {
    const file = join(folder, 'gone.yaml');
    writeFileSync(file, 'threads: 2\nworkers:\n  blocked_limit_seconds: never\n');
    const { status, stdout } = run(['-c', file], { REMOVE: file });
    assert.equal(status, 0);
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      [
        { isMainThread: true, name: 'app', threads: 2, workers: { blockedLimitMs: 'never' } },
        { isMainThread: false, name: 'app', threads: 2, workers: { blockedLimitMs: 'never' } },
      ],
    );
  });

  describe('and whose process takes the place of one that died', () => {
    const file = join(folder, 'broken.yaml');
    const kept = { file, options: { threads: 3, workers: { blockedLimitMs: Infinity } } };
    // A generation has a channel; this is what its keeper says to it in the environment.
    const born = async (
      text: string,
      args: readonly string[] = [],
      generation = '2',
    ): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      const env = { ...process.env, ...compileCache, FERRATA_GENERATION: generation, FERRATA_KEPT_OPTIONS: text, SHOW_ENVIRONMENT: '1' };
      const child = spawn(process.execPath, [program, '-c', file, ...args], {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env,
        timeout: 20_000,
      });
      const output = { stdout: '', stderr: '' };
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, ...output };
    };

    test('goes on with what that had read if the file is wrong or gone, says so, and hands it on to its threads and to the next one', async () => {
      for (const content of ['thread: 1\n', null]) {
        if (content === null) rmSync(file);
        else writeFileSync(file, content);
        const { code, stdout, stderr } = await born(JSON.stringify(kept), ['--threads', '1']);
        assert.equal(code, 0, stderr);
        const lines = stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown);
        const options = { name: 'app', threads: 1, workers: { blockedLimitMs: 'never' } };
        assert.deepEqual(lines, [
          { isMainThread: true, ...options },
          { isMainThread: false, ...options },
        ]);
        assert.match(
          stderr,
          /^app: the file of options is broken, and what was last read from it is in force until an upgrade succeeds: .*broken\.yaml/,
        );
        assert.equal(stderr.split('\n').length, 2, 'told once');
      }
    });

    test('prefers the file while it is good', async () => {
      writeFileSync(file, 'threads: 2\n');
      const { code, stdout, stderr } = await born(JSON.stringify(kept));
      assert.deepEqual([code, stderr], [0, '']);
      assert.deepEqual(JSON.parse(stdout.split('\n')[0] as string), { isMainThread: true, name: 'app', threads: 2 });
    });

    test('ends with 2 and what is wrong with the file if what was kept is no good either, is of another file, or comes from nobody’s keeper', async () => {
      writeFileSync(file, 'thread: 1\n');
      const texts = [
        'nonsense{',
        'null',
        JSON.stringify({ ...kept, file: 'other.yaml' }),
        JSON.stringify({ file, options: { thread: 1 } }),
      ];
      const ends = await Promise.all([...texts.map((text) => born(text)), born(JSON.stringify(kept), [], 'none')]);
      for (const { code, stdout, stderr } of ends) {
        assert.deepEqual([code, stdout], [2, '']);
        assert.equal(stderr, `app: ${file}:1:1: there is no key thread; did you mean threads?\n`);
      }
    });
  });
});
