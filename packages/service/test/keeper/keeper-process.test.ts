/**
 * The keeper as a process of its own, with generations that follow a script (`test/fixtures/keeper-program.ts`). Each run starts two processes and more, so each shows
 * several things; what needs no process is shown with the keeper's mind alone.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ask, gone, isAlive, ProgramRun, until } from './program-run.ts';

const listen = [{ address: '127.0.0.1:0' }];

test('a server serves, keeps a pid file, and SIGTERM ends it in order with code 0; what is the keeper’s alone does not leak into generations', async () => {
  await using run = await ProgramRun.ready((directory) => ({ listen, options: { workingDirectory: directory, pidFile: 'run.pid' } }), {
    env: {
      LISTEN_FDS: '3',
      LISTEN_PID: '1',
      LISTEN_FDNAMES: 'a:b:c',
      WATCHDOG_USEC: '0',
      NOTIFY_SOCKET: '',
      FERRATA_GENERATION: '5',
      FERRATA_KEPT_OPTIONS: 'x',
    },
    execArgv: ['--inspect-port', '0', '--max-old-space-size=200', '--no-warnings'],
  });
  assert.equal(await ask(run.port), '1');
  const [first] = run.all('generation');
  assert.deepEqual(first?.['leaked'], []);
  assert.deepEqual(first?.['execArgv'], ['--max-old-space-size=200', '--no-warnings']);
  const path = join(run.directory, 'run.pid');
  assert.equal(readFileSync(path, 'utf8'), `${run.pid}\n`);
  run.signal('SIGTERM');
  assert.equal((await run.line('stop'))['why'], 'terminate');
  assert.equal(await run.exit(), 0);
  assert.ok(!existsSync(path));
  await assert.rejects(ask(run.port));
  assert.deepEqual(
    run.all('phase').map(({ phase }) => phase),
    ['bootstrap', 'running', 'shutdownStarted', 'terminated'],
  );
});

test('while it drains, new connections are refused: they would wait in a queue for nobody; a second SIGTERM ends it at once with code 143', async () => {
  await using run = await ProgramRun.ready({ listen, generation: { drainsForEver: true }, options: { graceMs: 3_600_000 } });
  run.signal('SIGTERM');
  await run.line('phase', ({ phase }) => phase === 'shutdownStarted');
  // The sockets are closed by another thread: a connection that is not refused yet is reset.
  const isServed = (): Promise<boolean> =>
    ask(run.port).then(
      () => true,
      (error: unknown) => {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== 'ECONNREFUSED' && code !== 'ECONNRESET') throw error;
        return code === 'ECONNRESET';
      },
    );
  for (let tries = 0; await isServed(); tries++) assert.ok(tries < 20_000, 'it still listens');
  assert.ok(isAlive(run.all('generation')[0]?.['pid'] as number));
  run.signal('SIGTERM');
  assert.equal((await run.line('stop', ({ why }) => why !== 'terminate'))['why'], 'fast');
  assert.equal(await run.exit(), 143);
});

test('SIGINT ends it fast; a second one gives 130, and a third one does not wait at all', async () => {
  await using run = await ProgramRun.ready({ listen, generation: { ignoresStop: true }, options: { graceMs: 3_600_000 } });
  run.signal('SIGINT');
  assert.equal((await run.line('stop'))['why'], 'fast');
  run.signal('SIGINT');
  await run.line('stop');
  run.signal('SIGINT');
  assert.equal(await run.exit(), 130);
});

test('SIGQUIT and SIGUSR2 upgrade: a new process serves at the same socket, the pid stays, and each connection is answered by one or the other', async () => {
  await using run = await ProgramRun.ready({ listen });
  let isOver = false;
  const answers = new Map<string, number>();
  const load = (async () => {
    for (let count = 0; !isOver && count < 100_000; count++) {
      const answer = await ask(run.port);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  })();
  for (const [index, signal] of (['SIGQUIT', 'SIGUSR2', 'SIGQUIT'] as const).entries()) {
    run.signal(signal);
    await run.line('upgrading');
    await run.notice(new RegExp(`^generation ${index + 2} .*serves`));
    assert.equal((await run.line('stop', ({ number }) => number === index + 1))['why'], 'superseded');
  }
  isOver = true;
  await load;
  assert.equal(await ask(run.port), '4');
  assert.ok(answers.size >= 2, `${[...answers.keys()]}`);
  for (const answer of answers.keys()) assert.match(answer, /^[1-4]$/);
  const pids = run.all('generation').map(({ pid }) => pid as number);
  for (const pid of pids.slice(0, -1)) await gone(pid);
  assert.ok(isAlive(pids[3] as number));
});

test('an upgrade whose successor comes to nothing is rolled back, and says why; the next one, of a program that is mended, succeeds', async () => {
  await using run = await ProgramRun.ready({ listen });
  const failures = {
    crash: /ended with code 9 before it was ready/,
    end: /ended with code 0 before it was ready/,
    fail: /it was written so/,
  } as const;
  for (const [start, why] of Object.entries(failures)) {
    run.write({ listen, generation: { start: start as keyof typeof failures } });
    run.signal('SIGQUIT');
    const failed = await run.line('upgradeFailed');
    assert.match((failed['message'] as { why: string }).why, why);
    assert.equal(failed['number'], 1);
    assert.match(String((await run.notice(/the upgrade has failed/))['text']), why);
    assert.equal(await ask(run.port), '1');
  }
  // One whose configuration is broken gets none of its predecessor: that would hide it.
  run.write({ listen: null });
  run.signal('SIGQUIT');
  assert.match(String((await run.notice(/the upgrade has failed/))['text']), /the configuration is no good/);
  for (const { pid } of run.all('generation').slice(1)) await gone(pid as number);
  run.write({ listen });
  run.signal('SIGQUIT');
  await run.notice(/^generation 6 .*serves/);
  assert.equal(await ask(run.port), '6');
});

test('a first generation that says that the configuration is wrong ends the server with code 2', async () => {
  await using run = ProgramRun.start({ listen, generation: { start: 'fail' } });
  await run.notice(/the server could not start: it was written so/);
  assert.equal(await run.exit(), 2);
  assert.equal(run.all('ready').length, 0);
});

test('a configuration that cannot be loaded ends the server with code 2, with `test` too; one that is good and only tested opens nothing', async () => {
  await using run = ProgramRun.start({ listen: null });
  await using bad = ProgramRun.start({ listen: null, options: { test: true } });
  await using good = ProgramRun.start({ listen, options: { test: true } });
  assert.deepEqual([await run.exit(), await bad.exit(), await good.exit()], [2, 2, 0]);
  assert.match(String(run.all('notice')[0]?.['text']), /the server could not start: the configuration is no good/);
  assert.deepEqual(
    [run, bad, good].flatMap((each) => each.all('generation')),
    [],
  );
});

test('what a running server has, another one does not get, and says so; and its successor only after it was killed', async () => {
  await using first = await ProgramRun.ready((directory) => ({ listen, options: { pidFile: join(directory, 'run.pid') } }));
  const pidFile = join(first.directory, 'run.pid');
  await using address = ProgramRun.start({ listen: [{ address: `127.0.0.1:${first.port}` }] });
  await using file = ProgramRun.start({ listen, options: { pidFile } });
  assert.deepEqual([await address.exit(), await file.exit()], [1, 1]);
  assert.match(String(address.all('notice')[0]?.['text']), /ADDRESS_IN_USE/);
  assert.match(String(file.all('notice')[0]?.['text']), /PID_FILE_TAKEN/);
  assert.equal(readFileSync(pidFile, 'utf8'), `${first.pid}\n`);
  // A successor that needs what somebody else has fails, and the old one goes on.
  const taker = createServer().listen(0, '127.0.0.1');
  await once(taker, 'listening');
  try {
    first.write({ listen: [...listen, { address: `127.0.0.1:${(taker.address() as AddressInfo).port}` }] });
    first.signal('SIGQUIT');
    assert.match(String((await first.notice(/the upgrade has failed/))['text']), /ADDRESS_IN_USE/);
  } finally {
    taker.close();
  }
  assert.equal(await ask(first.port), '1');

  first.signal('SIGKILL');
  assert.equal(await first.exit(), 'SIGKILL');
  // Without its keeper a generation ends.
  await gone(first.all('generation')[0]?.['pid'] as number);
  await using second = await ProgramRun.ready({ listen, options: { pidFile } });
  assert.equal(readFileSync(pidFile, 'utf8'), `${second.pid}\n`);
  second.signal('SIGTERM');
  assert.equal(await second.exit(), 0);
});

test('a server whose configuration never comes can be ended', async () => {
  await using run = ProgramRun.start({ listen: 'hang' });
  await run.line('load');
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
});

test('a generation that is killed is replaced, with the last good configuration if that on disk is broken, and no connection is refused meanwhile', async () => {
  await using run = await ProgramRun.ready({ listen });
  const kill = (signal: NodeJS.Signals): boolean => process.kill(run.all('generation').at(-1)?.['pid'] as number, signal);
  kill('SIGKILL');
  await run.notice(/was ended by SIGKILL; another one takes its place/);
  // It waits in the queue of the socket until the new one accepts it.
  assert.equal(await ask(run.port), '2');
  // What replaces it may fail, too: it is tried until it serves.
  run.write({ listen, generation: { start: 'crash' } });
  kill('SIGSEGV');
  await run.notice(/generation 3 .*could not start/);
  const answer = ask(run.port);
  run.write({ listen: null });
  assert.match(await answer, /^[4-9]$/);
  const kept = run.all('generation').map(({ keptOptions }) => keptOptions);
  assert.deepEqual(kept.slice(0, 4), [null, 'of 1', 'of 2', 'of 2']);
  // SIGTERM while nothing serves ends the server.
  run.write({ listen, generation: { start: 'crash' } });
  kill('SIGKILL');
  await run.notice(/could not start/);
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
});

test('the program’s own exceptions and rejections in the process that was started are told, and end nothing', async () => {
  await using run = await ProgramRun.ready({ listen, strays: true });
  await run.notice(/^the process that was started met an exception that nobody caught, and goes on: strayed timer$/);
  await run.notice(/goes on: strayed promise$/);
  assert.equal(await ask(run.port), '1');
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
});

test('a successor gets the sockets that its program asks for, and those that are asked for no more are closed; reloads that need others are done by one', async () => {
  const at = (run: ProgramRun, name: string): { address: string } => ({ address: `unix:${join(run.directory, name)}` });
  await using run = await ProgramRun.ready((directory) => ({ listen: [...listen, { address: `unix:${join(directory, 'one.sock')}` }] }));
  assert.equal(await ask(join(run.directory, 'one.sock')), '1');
  run.signal('SIGHUP');
  await run.notice(/nothing has changed, still version 1/);
  run.write({ listen: [...listen, at(run, 'two.sock')], generation: { reload: 'refused' } });
  run.signal('SIGQUIT');
  // The second one says what it needs, and the third one has it.
  await run.notice(/^generation 3 .*serves/);
  assert.equal(await ask(join(run.directory, 'two.sock')), '3');
  assert.equal(await ask(run.port), '3');
  await run.line('stop');
  await gone(run.all('generation')[0]?.['pid'] as number);
  await until('the end of the socket that is asked for no more', () => !existsSync(join(run.directory, 'one.sock')));
  run.signal('SIGHUP');
  await run.notice(/the reload is refused, and nothing has changed: it was written so/);
  run.write({ listen: [...listen, at(run, 'two.sock')], generation: { reload: 'needsGeneration' } });
  run.signal('SIGQUIT');
  await run.notice(/^generation 4 .*serves/);
  run.write({ listen: [...listen, at(run, 'three.sock')] });
  run.signal('SIGHUP');
  await run.notice(/^reloaded with other listeners or options: listen/);
  assert.equal(await ask(join(run.directory, 'three.sock')), '5');
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
  assert.deepEqual(
    ['two.sock', 'three.sock'].filter((name) => existsSync(join(run.directory, name))),
    [],
  );
});

test('signals to the whole group end the server in order, also while it starts', async () => {
  await using run = ProgramRun.start({ listen, generation: { start: 'interrupted' } }, { detached: true });
  await run.line('generation');
  process.kill(-run.pid, 'SIGINT');
  assert.equal(await run.exit(), 0);
});

test('sockets that systemd passes are served, and the one that nobody wants is told of', {
  skip: missing('systemd-socket-activate'),
}, async () => {
  await using run = ProgramRun.start((directory) => ({ listen: [{ address: `unix:${join(directory, 'a.sock')}` }] }), {
    wrapper: (directory) => [
      'systemd-socket-activate',
      '-l',
      join(directory, 'a.sock'),
      '-l',
      join(directory, 'b.sock'),
      '--fdname=web:other',
    ],
  });
  const path = join(run.directory, 'a.sock');
  await until('the sockets', () => existsSync(join(run.directory, 'b.sock')));
  // The first connection starts the program, and is served by it.
  const first = ask(path);
  await run.notice(/inherited socket 4 named "other" \(unix .*b\.sock\) belongs to no listener/);
  assert.equal(await first, '1');
  run.signal('SIGQUIT');
  await run.notice(/^generation 2 .*serves/);
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
  // It is systemd's.
  assert.ok(existsSync(path));
});

test('systemd hears of the start, of reloads, of the end, and gets its signs of life', async () => {
  await using run = ProgramRun.start(
    (directory) => {
      // Instead of a datagram it writes a line.
      mkdirSync(join(directory, 'bin'));
      writeFileSync(join(directory, 'bin', 'systemd-notify'), '#!/bin/sh\nprintf "%s\\n" "$*" >> "$NOTIFY_SOCKET"\n', { mode: 0o755 });
      return { listen };
    },
    {
      env: (directory) => ({
        PATH: `${join(directory, 'bin')}:${process.env['PATH']}`,
        NOTIFY_SOCKET: join(directory, 'told'),
        WATCHDOG_USEC: '200000',
      }),
    },
  );
  const path = join(run.directory, 'told');
  const told = (pattern: RegExp): Promise<void> => until(`${pattern}`, () => existsSync(path) && pattern.test(readFileSync(path, 'utf8')));
  await run.line('ready');
  await told(new RegExp(`READY=1 MAINPID=${run.pid} STATUS=generation 1 `));
  await told(/WATCHDOG=1\nWATCHDOG=1/);
  run.signal('SIGHUP');
  await told(/RELOADING=1 MONOTONIC_USEC=\d+ [^\n]*\n(?:WATCHDOG=1\n)*READY=1/);
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
  assert.match(readFileSync(path, 'utf8'), /STOPPING=1/);
  assert.doesNotMatch(readFileSync(path, 'utf8').split('READY=1')[0] ?? '', /WATCHDOG/);
});

test('without systemd-notify the server serves all the same, and says once what it cannot do', async () => {
  await using run = await ProgramRun.ready(
    { listen },
    { env: { PATH: '/nowhere', NOTIFY_SOCKET: '/nowhere/at-all', WATCHDOG_USEC: '100000' } },
  );
  await run.notice(/systemd-notify could not be run: .*ENOENT/);
  assert.equal(await ask(run.port), '1');
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
  assert.equal(run.all('notice').filter(({ text }) => String(text).includes('systemd')).length, 1);
});

test('a server gives up the rights of root before anything is served', { skip: noOtherUser() }, async () => {
  await using run = await ProgramRun.ready((directory) => {
    chmodSync(directory, 0o755);
    return { listen, options: { user: 'nobody', pidFile: join(directory, 'run.pid') } };
  });
  const [first] = run.all('generation') as unknown as { uid: number; groups: readonly number[] }[];
  assert.notEqual(first?.uid, 0);
  assert.equal(first?.groups.includes(0), false);
  assert.equal(await ask(run.port), '1');
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
  // The directory is root's: the file is emptied where it cannot be removed.
  assert.equal(readFileSync(join(run.directory, 'run.pid'), 'utf8'), '');
  assert.equal(run.all('notice').filter(({ severity }) => severity === 'warning').length, 1);
});

test('what cannot become another user does not serve', async () => {
  await using run = ProgramRun.start({ listen, options: { user: 'no-such-user-here' } });
  assert.equal(await run.exit(), 1);
  assert.match(String(run.all('notice')[0]?.['text']), /PRIVILEGES_NOT_DROPPED.*there is no user no-such-user-here/);
  assert.equal(run.all('generation').length, 0);
});

function missing(program: string): string | false {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined ? false : `needs ${program}`;
}

/** Whether this test may become somebody else, who can still read the program. */
function noOtherUser(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  for (let path = import.meta.filename; path !== dirname(path); path = dirname(path)) {
    if ((statSync(path).mode & 0o005) === 0) return `needs ${path} to be readable by all`;
  }
  return false;
}
