import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { isLoopback, isLoopbackHost } from '../src/loopback.ts';
import { resolveServerOptions, type ServerOptions } from '../src/server-options.ts';
import { nearestName, suggestion, typingDistance } from '../src/suggest.ts';

const wrong = (options: unknown): ServerOptions => options as ServerOptions;

describe('options of a server', () => {
  test('without any, every default is there, and nothing can be changed', () => {
    const options = resolveServerOptions();
    const { config, onNotice, ...plain } = options;
    assert.deepEqual(plain, {
      name: 'server',
      threads: Math.min(availableParallelism(), 256),
      workers: {
        maxOldGenerationMb: null,
        maxYoungGenerationMb: 32,
        blockedWarningMs: 2_000,
        blockedLimitMs: 30_000,
        restartDelayMs: 50,
        maxRestartDelayMs: 10_000,
        uncaught: 'replace',
      },
      graceMs: 300_000,
      preStopDelayMs: 0,
      upgradeGraceMs: 300_000,
      upgradeOverlapMs: 0,
      readyTimeoutMs: 60_000,
      pidFile: null,
      workingDirectory: null,
      user: null,
      group: null,
      admin: null,
      test: false,
      onReady: null,
    });
    assert.equal(config.load(), undefined);
    assert.equal(typeof onNotice, 'function');
    assert.ok(Object.isFrozen(options) && Object.isFrozen(options.workers));
  });

  test('some defaults follow what is given', () => {
    assert.equal(resolveServerOptions({ graceMs: 5 }).upgradeGraceMs, 5);
    assert.equal(resolveServerOptions({ workers: { blockedLimitMs: 500 } }).workers.blockedWarningMs, 500);
    assert.equal(resolveServerOptions({ workers: { restartDelayMs: 60_000 } }).workers.maxRestartDelayMs, 60_000);
    assert.equal(resolveServerOptions({ workers: { blockedLimitMs: Infinity } }).workers.blockedLimitMs, Infinity);
  });

  test('paths are absolute, those of the working directory too', () => {
    assert.equal(resolveServerOptions({ pidFile: 'a.pid' }).pidFile, resolve('a.pid'));
    const { pidFile, admin } = resolveServerOptions({ workingDirectory: '/srv/app', pidFile: 'run/a.pid', admin: 'unix:run/a.sock' });
    assert.deepEqual([pidFile, admin], ['/srv/app/run/a.pid', { kind: 'unix', path: '/srv/app/run/a.sock' }]);
    assert.throws(() => resolveServerOptions({ workingDirectory: 'srv' }), /workingDirectory must be an absolute path, not "srv"/);
  });

  test('names that are unknown are refused with what was probably meant', () => {
    assert.throws(() => resolveServerOptions(wrong({ thread: 2 })), /^TypeError: a server has no option "thread"; did you mean threads\?$/);
    assert.throws(
      () => resolveServerOptions(wrong({ workers: { uncuaght: 'report' } })),
      /workers has no option "uncuaght"; did you mean uncaught\?/,
    );
    assert.throws(() => resolveServerOptions(wrong({ certificates: [] })), /the options are name, config, threads/);
  });

  const nonsense: readonly (readonly [unknown, RegExp])[] = [
    [null, /must be an object, not null/],
    [[], /must be an object, not a list/],
    ['x', /must be an object, not "x"/],
    [{ workers: 4 }, /the options of workers must be an object, not 4/],
    [{ name: '' }, /name must not be empty/],
    [{ name: 7 }, /name must be a text, not 7/],
    [{ name: 'a\nserver: all is well' }, /name must not have control characters/],
    [{ name: 'x'.repeat(65) }, /name must not have more than 64 characters, and has 65/],
    [{ threads: 0 }, /threads must be a whole number from 1 to 256, not 0/],
    [{ threads: 257 }, /not 257/],
    [{ threads: 1.5 }, /not 1\.5/],
    [{ threads: '4' }, /not "4"/],
    [{ threads: null }, /not null/],
    [{ graceMs: -1 }, /graceMs must be a whole number from 0 to 2147483647, not -1/],
    [{ graceMs: Infinity }, /not Infinity/],
    [{ graceMs: Number.NaN }, /not NaN/],
    [{ graceMs: 1n }, /not 1/],
    [{ graceMs: Object.create(null) as object }, /not another object/],
    [{ graceMs: Symbol('x') }, /not another symbol/],
    [{ upgradeGraceMs: 2_147_483_648 }, /upgradeGraceMs must/],
    [{ preStopDelayMs: -1 }, /preStopDelayMs must/],
    [{ upgradeOverlapMs: 0.5 }, /upgradeOverlapMs must/],
    [{ readyTimeoutMs: 0 }, /readyTimeoutMs must be a whole number from 1/],
    [{ pidFile: '' }, /pidFile must not be empty/],
    [{ pidFile: '/run/a\0b' }, /pidFile must not have control characters/],
    [{ pidFile: 7 }, /pidFile must be a text/],
    [{ user: -1 }, /user must be a name, or a whole number from 0 to 4294967294, not -1/],
    [{ user: 4_294_967_295 }, /user must/],
    [{ group: {} }, /group must be a name/],
    [{ group: '' }, /group must not be empty/],
    [{ admin: '0.0.0.0:9000' }, /admin must be an address of loopback or a Unix socket, not "0\.0\.0\.0:9000"/],
    [{ admin: '[::]:9000' }, /admin must be an address of loopback/],
    [{ admin: 'example.com:9000' }, /admin must be an address of loopback/],
    [{ admin: '127.0.0.1' }, /admin: invalid address "127\.0\.0\.1": the port is missing/],
    [{ admin: `unix:/${'x'.repeat(200)}` }, /a Unix socket can have/],
    [{ test: 'yes' }, /test must be true or false, not "yes"/],
    [{ config: {} }, /config must be an object with a method load/],
    [{ config: () => {} }, /config must be an object with a method load/],
    [{ onReady: 1 }, /onReady must be a function, not 1/],
    [{ onNotice: null }, /onNotice must be a function, not null/],
    [{ workers: { maxOldGenerationMb: 1 } }, /maxOldGenerationMb must be a whole number from 8/],
    [
      { workers: { blockedWarningMs: 5_000, blockedLimitMs: 1_000 } },
      /blockedWarningMs \(5000\) must not be above blockedLimitMs \(1000\)/,
    ],
    [{ workers: { restartDelayMs: 10, maxRestartDelayMs: 5 } }, /maxRestartDelayMs \(5\) must not be below restartDelayMs \(10\)/],
    [{ workers: { uncaught: 'ignore' } }, /uncaught must be 'replace' or 'report', not "ignore"/],
  ];
  for (const [options, message] of nonsense)
    test(`is refused: ${String(message)}`, () => {
      assert.throws(
        () => resolveServerOptions(wrong(options)),
        (error) => (error instanceof RangeError || error instanceof TypeError) && message.test(error.message),
      );
    });

  test('whatever an object holds, it is resolved, or refused by a RangeError or a TypeError', () => {
    const names = ['name', 'threads', 'workers', 'graceMs', 'pidFile', 'user', 'admin', 'config', 'test', 'onNotice', 'else'];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), fc.anything({ withNullPrototype: true, withBigInt: true })), (options) => {
        try {
          resolveServerOptions(wrong(options));
        } catch (error) {
          assert.ok(error instanceof RangeError || error instanceof TypeError);
          assert.doesNotMatch(error.message, /Cannot convert/);
        }
      }),
    );
  });

  test('a notice is one line on standard error, and nothing that is wrong with that reaches the server', {
    skip: process.platform !== 'linux' && 'there is no /dev/full',
  }, () => {
    const module = JSON.stringify(new URL('../src/server-options.ts', import.meta.url).href);
    const program = `import { resolveServerOptions } from ${module};
      import { closeSync, openSync } from 'node:fs';
      const { onNotice } = resolveServerOptions({ name: 'app' });
      onNotice({ severity: 'info', text: 'one\\ntwo' });
      closeSync(2);
      openSync('/dev/full', 'w');
      onNotice({ severity: 'info', text: 'lost' });
      closeSync(2);
      openSync(process.argv[1], 'w');
      onNotice({ severity: 'info', text: 'three' });`;
    const folder = mkdtempSync(join(tmpdir(), 'ferrata-notices-'));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'log');
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program, file], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.deepEqual([status, stderr], [0, 'app: one two\n']);
    assert.equal(readFileSync(file, 'utf8'), 'app: 1 notice could not be written\napp: three\n');
  });
});

describe('loopback', () => {
  test('is what this machine alone can reach', () => {
    for (const host of ['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost', 'LocalHost'])
      assert.ok(isLoopbackHost(host), host);
    for (const host of [
      '',
      '0.0.0.0',
      '::',
      '128.0.0.1',
      '127.1',
      '::ffff:128.0.0.1',
      'localhost.',
      'localhost.example',
      '127.0.0.1.example',
      '2130706433',
      '0x7f.1',
    ])
      assert.ok(!isLoopbackHost(host), host);
    assert.ok(isLoopback({ kind: 'unix', path: '/x' }));
    assert.ok(!isLoopback({ kind: 'unset' }));
  });
});

describe('what was probably meant', () => {
  test('is the nearest name, two typing errors away at most', () => {
    const known = ['threads', 'grace_period_seconds', 'user', 'admin'];
    assert.equal(nearestName('thraeds', known), 'threads');
    assert.equal(nearestName('Threads', known), 'threads');
    assert.equal(nearestName('grace-period-second', known), 'grace_period_seconds');
    assert.equal(nearestName('usr', known), 'user');
    assert.equal(nearestName('grace-period', known), 'grace_period_seconds');
    assert.equal(nearestName('grace_period', [...known, 'grace_period_minutes']), null);
    assert.equal(nearestName('gr', known), null);
    assert.equal(nearestName('upstream', known), null);
    assert.equal(nearestName('ab', known), null);
    assert.equal(nearestName('', known), null);
    assert.equal(nearestName('t'.repeat(1_000_000), known), null);
    assert.equal(suggestion('amdin', known), '; did you mean admin?');
    assert.equal(suggestion('nothing like it', known), '');
  });

  test('the distance is that of optimal string alignment, as the naive recursion has it', () => {
    const naive = (a: string, b: string): number => {
      if (a === '' || b === '') return a.length + b.length;
      const ways = [naive(a.slice(1), b) + 1, naive(a, b.slice(1)) + 1, naive(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : 1)];
      if (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0]) ways.push(naive(a.slice(2), b.slice(2)) + 1);
      return Math.min(...ways);
    };
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });
    fc.assert(fc.property(word, word, (a, b) => assert.equal(typingDistance(a, b), naive(a, b))));
  });
});
