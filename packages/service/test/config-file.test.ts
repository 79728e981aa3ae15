import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { parseServerConfig, readServerConfig } from '../src/server-config-file.ts';
import { resolveServerOptions } from '../src/server-options.ts';
import { SetupError } from '../src/setup-error.ts';

function problemsOf(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SetupError, String(error));
    return error.problems;
  }
  return [];
}

const problems = (text: string): readonly string[] => problemsOf(() => parseServerConfig(text, 'app.yaml'));

describe('a file of options', () => {
  test('sets options, seconds becoming milliseconds', () => {
    const options = parseServerConfig(
      `---
version: 1
daemon: false
name: shop
threads: 4
pid_file: /run/shop.pid
user: www-data
group: 33
working_directory: /srv/shop
grace_period_seconds: 60
pre_stop_delay_seconds: 0.25
upgrade_grace_seconds: 3600
upgrade_overlap_seconds: 5
ready_timeout_seconds: 20
admin: "127.0.0.1:9000"
workers:
  max_old_generation_mb: 512
  max_young_generation_mb: 64
  blocked_warning_seconds: 1
  blocked_limit_seconds: never
  restart_delay_seconds: 0.1
  max_restart_delay_seconds: 30
  uncaught: report
`,
      'app.yaml',
    );
    assert.deepEqual(options, {
      name: 'shop',
      threads: 4,
      pidFile: '/run/shop.pid',
      user: 'www-data',
      group: 33,
      workingDirectory: '/srv/shop',
      graceMs: 60_000,
      preStopDelayMs: 250,
      upgradeGraceMs: 3_600_000,
      upgradeOverlapMs: 5_000,
      readyTimeoutMs: 20_000,
      admin: '127.0.0.1:9000',
      workers: {
        maxOldGenerationMb: 512,
        maxYoungGenerationMb: 64,
        blockedWarningMs: 1_000,
        blockedLimitMs: Infinity,
        restartDelayMs: 100,
        maxRestartDelayMs: 30_000,
        uncaught: 'report',
      },
    });
    resolveServerOptions(options);
  });

  test('is right with a version and nothing else, and as JSON', () => {
    assert.deepEqual(parseServerConfig('version: 1\n', 'f'), {});
    assert.deepEqual(parseServerConfig('{"version": 1, "threads": 2}', 'f'), { threads: 2 });
    assert.deepEqual(parseServerConfig('\ufeffthreads: 2 # two\r\n', 'f'), { threads: 2 });
  });

  test('all that is wrong is told at once, in the order of the file, with line and column', () => {
    assert.deepEqual(problems('threads: 0\nuser:\npid_file: 5\nworkers:\n  uncaught: maybe\n   \nname: ""\n'), [
      'app.yaml:1:1: threads must be a whole number from 1 to 256, not 0',
      'app.yaml:2:1: user has no value',
      'app.yaml:3:1: pid_file must be a text (in quotes, if it looks like something else), not 5',
      'app.yaml:5:3: workers.uncaught must be replace or report, not "maybe"',
      'app.yaml:7:1: name must not be empty',
    ]);
    const many = problems(Array.from({ length: 50 }, (_, index) => `zzz${index}: 1`).join('\n'));
    assert.equal(many.length, 21);
    assert.match(many[0] as string, /^app\.yaml:1:1: there is no key zzz0; the keys are name, threads/);
    assert.equal(many[1], 'app.yaml:2:1: there is no key zzz1');
    assert.equal(many[20], 'app.yaml: and 30 more');
  });

  const wrong: readonly (readonly [text: string, problem: RegExp])[] = [
    ['thread: 4', /^app\.yaml:1:1: there is no key thread; did you mean threads\?$/],
    ['graceMs: 4', /there is no key graceMs; did you mean grace_period_seconds\?$/],
    ['grace_period_secnods: 4', /did you mean grace_period_seconds\?$/],
    ['grace_period: 4', /did you mean grace_period_seconds\?$/],
    ['upgrade: 4', /there is no key upgrade; the keys are/],
    ['workers:\n  max_old_generation: 4', /did you mean max_old_generation_mb\?$/],
    ['blocked_limit_seconds: 4', /blocked_limit_seconds belongs below workers$/],
    ['workers:\n  threads: 2', /^app\.yaml:2:3: there is no key threads in workers; threads belongs to the top$/],
    ['workers: 4', /workers must have keys of its own/],
    ['workers:', /workers must have keys of its own/],
    ['version: 2', /version must be 1, not 2/],
    ['version: "1"', /version must be 1, not "1"/],
    ['daemon: true', /^app\.yaml:1:1: daemon: the server does not put itself into the background.*docs\/operations\.md$/],
    ['daemon: yes', /daemon must be false, not "yes"/],
    ['upgrade_sock: /run/x.sock', /upgrade_sock is not needed: a new process inherits the sockets/],
    ['work_stealing: true', /work_stealing has no meaning: each worker thread has an event loop of its own/],
    ['s2n_config_cache_size: 10', /s2n_config_cache_size has no meaning/],
    ['graceful_shutdown_timeout_seconds: 5', /add it to that$/],
    ['max_blocking_threads: 5', /UV_THREADPOOL_SIZE/],
    ['ca_file: /x', /ca_file belongs to connections to origins/],
    ['upstream_keepalive_pool_size: 1', /belongs to connections to origins/],
    ['error_log: /x', /notices go to standard error/],
    ['daemon_wait_for_ready: true', /Type=notify/],
    ['grace_period_seconds: -1', /grace_period_seconds must be a number of seconds from 0 to 2147483\.647, not -1/],
    ['grace_period_seconds: 1m', /must be a number of seconds from 0 to 2147483\.647, not "1m"/],
    ['grace_period_seconds: .inf', /must be a number of seconds/],
    ['grace_period_seconds: .nan', /must be a number of seconds/],
    ['grace_period_seconds: [1]', /must be a number of seconds.*, not a list/],
    ['ready_timeout_seconds: 0', /must be a number of seconds from 0\.001/],
    ['workers:\n  blocked_limit_seconds: ever', /or never, not "ever"/],
    [
      'workers:\n  blocked_limit_seconds: 1\n  blocked_warning_seconds: 3',
      /blocked_warning_seconds \(3\) must not be above blocked_limit_seconds \(1\)/,
    ],
    ['user: 1.5', /user must be a name or a whole number, not 1\.5/],
    ['user: -5', /user must be a name, or a whole number from 0/],
    ['working_directory: srv', /working_directory must be an absolute path, not "srv"/],
    ['admin: 0.0.0.0:80', /admin must be an address of loopback or a Unix socket/],
    ['admin: "127.0.0.1"', /admin: invalid address "127\.0\.0\.1": the port is missing/],
    ['threads: 1\nthreads: 2', /^app\.yaml:2:1: threads is written twice; it stands in line 1 already$/],
    ['threads: &n 4', /anchors and aliases are not taken/],
    ['<<: {threads: 4}', /there is no key <</],
    ['? [a, b]\n: 1', /a key must be a name/],
    ['1: 1', /a key must be a name/],
    ['threads: !!js/function "x"', /Unresolved tag/],
    ['threads: 1\n---\nthreads: 2', /^app\.yaml:2:1: a second document begins here, and a file of options has one$/],
    ['threads: "4', /Missing closing "quote/],
    ['threads 4', /has no keys; was it written whole\?/],
    ['- threads', /has no keys/],
    ['', /has no keys/],
    ['# all of it is a comment', /has no keys/],
    ['\0', /has no keys/],
    ['threads: 4\n\tuser: x', /^app\.yaml:2:1: Tabs are not allowed/],
  ];
  for (const [text, expected] of wrong)
    test(`${JSON.stringify(text)} is refused`, () => {
      const found = problems(text);
      assert.ok(
        found.some((problem) => expected.test(problem)),
        found.join('\n'),
      );
    });

  test('every beginning of a file is read, or refused with a place', () => {
    const whole = 'version: 1\nthreads: 16\nadmin: "127.0.0.1:9000"\nworkers:\n  uncaught: report\n';
    for (let length = 0; length < whole.length; length++)
      for (const problem of problems(whole.slice(0, length))) assert.match(problem, /^app\.yaml:\d+:\d+: /);
  });

  test('bombs of aliases, nests of brackets and heaps of keys end soon, and in sentences', () => {
    const size = 60_000;
    const bombs = [
      `a: &a [x, x]\n${Array.from({ length: 500 }, (_, index) => `k${index}: &k${index} [*a, *a, *a]`).join('\n')}`,
      '['.repeat(size),
      '{a: '.repeat(size / 4),
      '- '.repeat(size / 2),
      '? '.repeat(size / 2),
      'a:\n'.repeat(size / 3),
      `"${'x'.repeat(size)}`,
      '!'.repeat(size),
    ];
    for (const bomb of bombs) {
      const found = problems(bomb);
      assert.ok(found.length > 0 && found.length <= 21);
      for (const problem of found) {
        assert.ok(problem.length < 1_000);
        assert.doesNotMatch(problem, /call stack/);
      }
    }
  });

  test('any text gives options that can be resolved, or a SetupError', () => {
    const key = fc.constantFrom(
      'threads',
      'user',
      'workers',
      'admin',
      'grace_period_seconds',
      'daemon',
      'version',
      'uncaught',
      '__proto__',
      'constructor',
    );
    const line = fc.tuple(
      fc.constantFrom('', '  ', '- ', '? '),
      key,
      fc.constantFrom(': ', ':', ' '),
      fc.oneof(fc.string(), fc.integer().map(String), fc.constant('{a: 1}')),
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            line.map((parts) => parts.join('')),
            fc.string(),
          ),
          { maxLength: 6 },
        ),
        (lines) => {
          let options;
          try {
            options = parseServerConfig(lines.join('\n'), 'f');
          } catch (error) {
            assert.ok(error instanceof SetupError);
            return;
          }
          resolveServerOptions(options);
        },
      ),
    );
  });
});

describe('reading the file', { skip: process.platform === 'win32' && 'it is about POSIX files' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-config-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const named = (name: string): string => join(folder, name);
  const read = (name: string): readonly string[] => problemsOf(() => readServerConfig(named(name)));

  test('a whole file is read', () => {
    writeFileSync(named('good.yaml'), 'threads: 3\n');
    assert.deepEqual(readServerConfig(named('good.yaml')), { threads: 3 });
  });

  test('a symbolic link is followed, as orchestrators mount configuration by links', () => {
    writeFileSync(named('target.yaml'), 'threads: 3\n');
    symlinkSync('target.yaml', named('link.yaml'));
    assert.deepEqual(readServerConfig(named('link.yaml')), { threads: 3 });
  });

  test('a file that is missing, a folder, a link to itself and a link to nowhere are told by one sentence each', () => {
    mkdirSync(named('folder'));
    symlinkSync('round', named('round'));
    symlinkSync('nowhere', named('dangling'));
    writeFileSync(named('plain'), 'x\n');
    assert.deepEqual(read('missing.yaml'), [`${named('missing.yaml')}: there is no such file`]);
    assert.deepEqual(read('folder'), [`${named('folder')}: is a directory`]);
    assert.deepEqual(read('round'), [`${named('round')}: is a symbolic link that leads back to itself`]);
    assert.deepEqual(read('dangling'), [`${named('dangling')}: there is no such file`]);
    assert.deepEqual(read('plain/x'), [`${named('plain/x')}: a part of the path is no directory`]);
    assert.deepEqual(read('x'.repeat(300)), [`${named('x'.repeat(300))}: the name is too long`]);
    assert.match(problemsOf(() => readServerConfig(''))[0] as string, /is empty/);
    assert.match(problemsOf(() => readServerConfig('a\0b'))[0] as string, /NUL/);
  });

  test('a file that may not be read is told', { skip: process.getuid?.() === 0 && 'root may read everything' }, () => {
    writeFileSync(named('secret.yaml'), 'threads: 3\n');
    chmodSync(named('secret.yaml'), 0);
    assert.deepEqual(read('secret.yaml'), [`${named('secret.yaml')}: may not be read by this user`]);
  });

  test('100 MB are not read', () => {
    writeFileSync(named('large.yaml'), 'threads: 3\n');
    truncateSync(named('large.yaml'), 100_000_000);
    assert.deepEqual(read('large.yaml'), [
      `${named('large.yaml')}: has 100000000 bytes, and a server’s file may have 65536; is it another file?`,
    ]);
  });

  test('a pipe that nobody writes to holds nobody', () => {
    if (spawnSync('mkfifo', [named('pipe')]).status !== 0) return;
    assert.deepEqual(read('pipe'), [`${named('pipe')}: is no regular file`]);
    assert.deepEqual(
      problemsOf(() => readServerConfig('/dev/zero')),
      ['/dev/zero: is no regular file'],
    );
  });

  test('half a file is refused though it may be right by itself', () => {
    writeFileSync(named('half.yaml'), 'threads: 1');
    assert.deepEqual(read('half.yaml'), [
      `${named('half.yaml')}: does not end with a line end; was it written whole? If so, end its last line`,
    ]);
    writeFileSync(named('empty.yaml'), '');
    assert.match(read('empty.yaml')[0] as string, /empty\.yaml:1:1: has no keys; was it written whole\?/);
    writeFileSync(named('cut.yaml'), Buffer.from('name: caf\u00e9\n').subarray(0, 10));
    assert.deepEqual(read('cut.yaml'), [`${named('cut.yaml')}: is not UTF-8 text`]);
  });
});
