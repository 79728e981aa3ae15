/** A generation with real threads, as a process of its own; the test is its keeper. What needs no thread and no process to be seen is proven in generation.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdSockets } from '@ferrata/net';
import { KeeperDouble } from './fixtures/keeper-double.ts';
import type { ProgramConfig } from './fixtures/program.ts';

const web: ProgramConfig['services'] = [{ name: 'web' }];

async function ready(config: ProgramConfig, options?: ConstructorParameters<typeof KeeperDouble>[1]): Promise<KeeperDouble> {
  const keeper = new KeeperDouble(config, options);
  await keeper.start();
  await keeper.message('ready');
  return keeper;
}

test('a life in order: services by their dependencies, reloads for all threads or none, and an end after everybody has had the last word', async () => {
  const services: ProgramConfig['services'] = [
    { name: 'last', placement: 'main', dependsOn: ['once'] },
    { name: 'once', placement: 'oneWorker', dependsOn: ['web'] },
    { name: 'web', dependsOn: ['early'] },
    { name: 'early', placement: 'main' },
  ];
  const lastWords = 20_000;
  await using keeper = await ready({ services, lastWords });
  const starts = keeper.notices.map((text) => text.split(' v1')[0] ?? '');
  assert.deepEqual(
    [...starts.slice(0, 1), ...starts.slice(1, 3).toSorted(), ...starts.slice(3)],
    ['started early 0', 'started web 1', 'started web 2', 'started once 1', 'started last 0'],
  );

  const reload = async (id: number): Promise<unknown> => {
    keeper.send({ kind: 'reload', id });
    return (await keeper.message('reloaded', (message) => message.id === id)).outcome;
  };
  keeper.write('{"services": [');
  const unreadable = (await reload(1)) as { readonly kind: string; readonly why: string };
  assert.equal(unreadable.kind, 'refused');
  assert.match(unreadable.why, /JSON/);
  keeper.write({ services: [{ name: 'web', check: 'port 99999 is none' }] });
  assert.deepEqual(await reload(2), { kind: 'refused', why: 'service web: port 99999 is none' });
  const refusing = services.map((service) => (service.name === 'web' ? { ...service, refuses: 'no certificate' } : service));
  keeper.write({ services: refusing, lastWords, value: 2 });
  assert.deepEqual(await reload(3), { kind: 'refused', why: 'worker 2: no certificate' });
  await keeper.notice('discarded web 1 v2');
  keeper.write({ services, lastWords, value: 3 });
  assert.deepEqual(await reload(4), { kind: 'reloaded', version: 2, changes: ['value: (none) → 3'] });
  assert.deepEqual(keeper.notices.filter((text) => text.startsWith('committed')).toSorted(), [
    'committed early 0 v2',
    'committed last 0 v2',
    'committed once 1 v2',
    'committed web 1 v2',
    'committed web 2 v2',
  ]);

  // A reader that is slow to begin.
  keeper.child.stdout?.pause();
  keeper.send({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 0 });
  await keeper.notice('closed web 2');
  keeper.child.stdout?.resume();
  assert.equal((await keeper.message('stopped')).cut, 4);
  assert.equal(await keeper.exited, 0);
  await keeper.outputEnded;
  assert.equal(keeper.stdout.split('\n').filter((line) => line.startsWith('last words')).length, 3 * lastWords);
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

test('workers that throw, reject, exit or fill their heap are told of with the reason, and replaced; the others go on, one that posts nonsense too', async () => {
  await using keeper = await ready(
    {
      services: web,
      deeds: { 1: 'throw', 2: 'reject', 3: 'exit', 4: 'oom', 5: 'blurt' },
      options: { workers: { maxOldGenerationMb: 24, maxYoungGenerationMb: 4 } },
    },
    { threads: 5 },
  );
  assert.match(
    await keeper.notice('worker 1 died'),
    /^worker 1 died: thrown by the test \(at .*program\.ts:\d+:\d+\)\); another takes its place in \d+ ms$/,
  );
  assert.match(await keeper.notice('worker 2 died'), /^worker 2 died: rejected by the test/);
  assert.match(await keeper.notice('worker 3 died'), /^worker 3 died: it ended with exit code 7; another/);
  assert.match(await keeper.notice('worker 4 died'), /^worker 4 died: ERR_WORKER_OUT_OF_MEMORY: .*memory/);
  await keeper.notice('blurted');
  for (const worker of [1, 2, 3, 4]) await keeper.notice(`worker ${worker} is replaced, and runs`);
  const starts = keeper.notices.filter((text) => text.startsWith('started web')).map((text) => Number(text.slice(12, 13)));
  assert.deepEqual(
    starts.toSorted((a, b) => a - b),
    [1, 1, 2, 2, 3, 3, 4, 4, 5],
  );
});

test('a worker in an endless loop is told of with the place in the program, and replaced; one that hangs when the server stops is cut off', async () => {
  const options = { workers: { blockedWarningMs: 500, blockedLimitMs: 1_500 } };
  const services = [{ name: 'web', listen: ['127.0.0.1:0'] }];
  const [held] = await holdSockets([{ transport: 'tcp', host: '127.0.0.1', port: 0 }]);
  assert.ok(held);
  const [fd = -1] = held.descriptors;
  await using keeper = new KeeperDouble({ services, deeds: { 1: 'spin' }, options }, { stdio: [fd, fd, fd, fd] });
  const spec = { key: 'tcp 127.0.0.1:0', transport: 'tcp', host: '127.0.0.1', port: 0 } as const;
  await keeper.start([{ spec, address: held.address, descriptors: [[3, 4, 5, 6]] }]);
  await keeper.message('ready');
  await held.release();
  assert.match(
    await keeper.notice('worker 1 does not turn its event loop'),
    /^worker 1 does not turn its event loop since \d+ ms, at spinHere \(.*program\.ts:\d+:\d+\) ← /,
  );
  assert.match(await keeper.notice('worker 1 died'), /^worker 1 died: its event loop had stood still for \d+ ms; another takes its place/);
  await keeper.notice('worker 1 is replaced, and runs');
  // Its services only tell of their descriptors: what no thread has ever listened on is for the next one.
  const given = keeper.notices.flatMap((text) => /^started web 1 .* (fds \d+)/.exec(text)?.[1] ?? []);
  assert.deepEqual(given, ['fds 3', 'fds 3']);
  keeper.write({ services, deeds: { 2: 'spin' }, options });
  keeper.send({ kind: 'reload', id: 1 });
  await keeper.notice('worker 2 does not turn its event loop');
  keeper.send({ kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
  assert.equal(await keeper.exited, 0);
  assert.equal((await keeper.message('stopped')).kind, 'stopped');
});

test('a service that does not start in one worker ends the start with exit code 1', async () => {
  await using keeper = new KeeperDouble({ services: [{ name: 'web', failsIn: [2] }] });
  await keeper.start();
  assert.match((await keeper.message('failed')).why, /^service web did not start in worker 2: fails by configuration/);
  assert.equal(await keeper.exited, 1);
});

test('an exception in the main thread that nobody caught is told of, and ends the process with 70', async () => {
  await using keeper = await ready({ services: [{ name: 'web' }, { name: 'boss', placement: 'main' }], deeds: { 0: 'throw' } });
  assert.match(await keeper.notice('in the main thread that nobody caught'), /thrown by the test/);
  assert.equal(await keeper.exited, 70);
});

test('a standard output that nobody reads any more ends nothing; a keeper that is gone does', async () => {
  await using keeper = new KeeperDouble({ services: web, deeds: { 1: 'print', 2: 'print' } });
  keeper.child.stdout?.destroy();
  await keeper.start();
  await keeper.message('ready');
  await keeper.notice('printed');
  keeper.write({ services: web, value: 'other' });
  keeper.send({ kind: 'reload', id: 1 });
  assert.equal((await keeper.message('reloaded')).outcome.kind, 'reloaded');
  assert.deepEqual(
    keeper.notices.filter((text) => /died|caught/.test(text)),
    [],
  );
  keeper.child.disconnect();
  assert.equal(await keeper.exited, 1);
  await keeper.outputEnded;
  assert.match(keeper.stderr, /the process that was started is gone/);
});
