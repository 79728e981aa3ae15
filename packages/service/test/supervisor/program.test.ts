/** A generation with real threads, as a process of its own; the test is its keeper. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeeperDouble } from './fixtures/keeper-double.ts';
import type { ProgramConfig } from './fixtures/program.ts';

const two: ProgramConfig['services'] = [{ name: 'web' }];

async function ready(config: ProgramConfig, options?: ConstructorParameters<typeof KeeperDouble>[1]): Promise<KeeperDouble> {
  const keeper = new KeeperDouble(config, options);
  await keeper.start();
  await keeper.message('ready');
  return keeper;
}

test('services start in the order of their dependencies, in all the threads that they belong to', async () => {
  await using keeper = await ready({
    services: [
      { name: 'last', placement: 'main', dependsOn: ['once'] },
      { name: 'once', placement: 'oneWorker', dependsOn: ['web'] },
      { name: 'web', dependsOn: ['early'] },
      { name: 'early', placement: 'main' },
    ],
  });
  const starts = keeper.notices.map((text) => text.split(' v1')[0] ?? '');
  assert.deepEqual(
    [...starts.slice(0, 1), ...starts.slice(1, 3).toSorted(), ...starts.slice(3)],
    ['started early 0', 'started web 1', 'started web 2', 'started once 1', 'started last 0'],
  );
  keeper.send({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 0 });
  assert.equal((await keeper.message('stopped')).cut, 4);
  assert.equal(await keeper.exited, 0);
  assert.deepEqual(keeper.phases, [
    'bootstrap',
    'bootstrapComplete',
    'running',
    'gracefulTerminate',
    'shutdownStarted',
    'shutdownGracePeriod',
    'shutdownRuntimes',
    'terminated',
  ]);
});

test('workers that throw, reject or exit are told of with the reason, and replaced; the others go on', async () => {
  await using keeper = await ready({ services: two, deeds: { 1: 'throw', 2: 'reject', 3: 'exit' } }, { threads: 4 });
  assert.match(
    await keeper.notice('worker 1 died'),
    /^worker 1 died: thrown by the test \(at .*program\.ts:\d+:\d+\)\); another takes its place in 50 ms$/,
  );
  assert.match(await keeper.notice('worker 2 died'), /^worker 2 died: rejected by the test/);
  assert.match(await keeper.notice('worker 3 died'), /^worker 3 died: it ended with exit code 7; another/);
  for (const worker of [1, 2, 3]) await keeper.notice(`worker ${worker} is replaced, and runs`);
  const starts = keeper.notices.filter((text) => text.startsWith('started web')).map((text) => Number(text.slice(12, 13)));
  assert.deepEqual(
    starts.toSorted((a, b) => a - b),
    [1, 1, 2, 2, 3, 3, 4],
  );
});

test('a worker whose heap is full is told of by that name, and replaced', async () => {
  await using keeper = await ready({
    services: two,
    deeds: { 1: 'oom' },
    options: { workers: { maxOldGenerationMb: 24, maxYoungGenerationMb: 4 } },
  });
  assert.match(await keeper.notice('died'), /^worker 1 died: ERR_WORKER_OUT_OF_MEMORY: .*memory/);
  await keeper.notice('worker 1 is replaced, and runs');
});

test('a worker in an endless loop is told of with the place in the program, and replaced', async () => {
  await using keeper = await ready({
    services: two,
    deeds: { 1: 'spin' },
    options: { workers: { blockedWarningMs: 500, blockedLimitMs: 1_500 } },
  });
  assert.match(
    await keeper.notice('does not turn its event loop'),
    /^worker 1 does not turn its event loop since \d+ ms, at spinHere \(.*program\.ts:\d+:\d+\) ← /,
  );
  assert.match(await keeper.notice('died'), /^worker 1 died: its event loop had stood still for \d+ ms; another takes its place/);
  await keeper.notice('worker 1 is replaced, and runs');
  keeper.send({ kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
  assert.equal(await keeper.exited, 0);
});

test('a stop while a worker hangs cuts it off when the time is over', async () => {
  await using keeper = await ready({
    services: two,
    deeds: { 1: 'spin' },
    options: { workers: { blockedWarningMs: 300, blockedLimitMs: 60_000 } },
  });
  await keeper.notice('does not turn its event loop');
  keeper.send({ kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
  assert.equal(await keeper.exited, 0);
  assert.equal((await keeper.message('stopped')).cut, 2);
});

test('a reload that one worker refuses changes nothing anywhere', async () => {
  await using keeper = await ready({ services: two });
  keeper.write({ services: [{ name: 'web', refuses: 'no certificate' }], value: 2 });
  keeper.send({ kind: 'reload', id: 1 });
  const { outcome } = await keeper.message('reloaded');
  assert.deepEqual(outcome, { kind: 'refused', why: 'worker 2: no certificate' });
  await keeper.notice('discarded web 1 v2');
  keeper.write({ services: two, value: 3 });
  keeper.send({ kind: 'reload', id: 2 });
  const again = await keeper.message('reloaded', ({ id }) => id === 2);
  assert.deepEqual(again.outcome, { kind: 'reloaded', version: 2, changes: ['value: (none) → 3'] });
  assert.deepEqual(keeper.notices.filter((text) => text.startsWith('committed')).toSorted(), ['committed web 1 v2', 'committed web 2 v2']);
});

test('a configuration that does not parse, or that a service finds wrong, is refused and changes nothing', async () => {
  await using keeper = await ready({ services: two });
  keeper.write('{"services": [');
  keeper.send({ kind: 'reload', id: 1 });
  const unreadable = await keeper.message('reloaded');
  assert.ok(unreadable.outcome.kind === 'refused' && unreadable.outcome.why.includes('JSON'));
  keeper.write({ services: [{ name: 'web', check: 'port 99999 is none' }] });
  keeper.send({ kind: 'reload', id: 2 });
  const { outcome } = await keeper.message('reloaded', ({ id }) => id === 2);
  assert.deepEqual(outcome, { kind: 'refused', why: 'service web: port 99999 is none' });
});

test('a configuration that a service finds wrong ends the start with exit code 2', async () => {
  await using keeper = new KeeperDouble({ services: [{ name: 'web', check: 'port 99999 is none' }] });
  await keeper.start();
  assert.deepEqual(await keeper.message('failed'), { kind: 'failed', why: 'service web: port 99999 is none', exitCode: 2 });
  assert.equal(await keeper.exited, 2);
});

test('a service that does not start in one worker ends the start with exit code 1', async () => {
  await using keeper = new KeeperDouble({ services: [{ name: 'web', failsIn: [2] }] });
  await keeper.start();
  assert.match((await keeper.message('failed')).why, /^service web did not start in worker 2: fails by configuration/);
  assert.equal(await keeper.exited, 1);
});

test('sockets that are missing are asked for, and the process ends', async () => {
  await using keeper = new KeeperDouble({ services: [{ name: 'web', listen: ['127.0.0.1:0'] }] });
  await keeper.start();
  assert.deepEqual(
    (await keeper.message('need')).sockets.map(({ key }) => key),
    ['tcp 127.0.0.1:0'],
  );
  assert.equal(await keeper.exited, 0);
});

test('a generation whose keeper is gone ends by itself', async () => {
  await using keeper = await ready({ services: two });
  keeper.child.disconnect();
  assert.equal(await keeper.exited, 1);
  assert.match(keeper.stderr, /the process that was started is gone/);
});

test('an exception in the main thread that nobody caught is told of, and ends the process with 70', async () => {
  await using keeper = await ready({ services: [{ name: 'web' }, { name: 'boss', placement: 'main' }], deeds: { 0: 'throw' } });
  assert.match(await keeper.notice('in the main thread that nobody caught'), /thrown by the test/);
  assert.equal(await keeper.exited, 70);
});

test('what workers write in their last moment comes out before the process ends', async () => {
  const lines = 20_000;
  await using keeper = await ready({ services: two, lastWords: lines });
  // A reader that is slow to begin.
  keeper.child.stdout?.pause();
  keeper.send({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 0 });
  await keeper.notice('closed web 2');
  keeper.child.stdout?.resume();
  assert.equal(await keeper.exited, 0);
  assert.equal(keeper.stdout.split('\n').filter((line) => line.startsWith('last words')).length, 2 * lines);
});

test('a standard output that nobody reads any more ends nothing', async () => {
  await using keeper = new KeeperDouble({ services: two, deeds: { 1: 'print', 2: 'print' } });
  keeper.child.stdout?.destroy();
  await keeper.start();
  await keeper.message('ready');
  await keeper.notice('printed');
  keeper.write({ services: two, value: 'other' });
  keeper.send({ kind: 'reload', id: 1 });
  assert.equal((await keeper.message('reloaded')).outcome.kind, 'reloaded');
  keeper.send({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 0 });
  assert.equal(await keeper.exited, 0);
  assert.deepEqual(
    keeper.notices.filter((text) => /died|caught/.test(text)),
    [],
  );
});
