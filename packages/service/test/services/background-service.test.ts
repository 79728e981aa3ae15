import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceContext } from '../../src/service.ts';
import { BackgroundService } from '../../src/services/background-service.ts';
import { Gate, until } from './raw-client.ts';
import { TestHost } from './service-harness.ts';

function stopped({ stopping }: ServiceContext<unknown>): Promise<void> {
  return new Promise((resolve) => stopping.addEventListener('abort', () => resolve(), { once: true }));
}

test('a service that asks for ready is waited for, one that does not is ready at once', async () => {
  const gate = new Gate();
  const slow = new BackgroundService({
    name: 'slow',
    placement: 'oneWorker',
    run: async (context, ready) => {
      await gate.promise;
      ready();
      ready();
      await stopped(context);
    },
  });
  const quick = new BackgroundService({ name: 'quick', placement: 'main', run: (context) => stopped(context) });
  await using host = TestHost.idle([slow, quick], undefined);
  await host.host.start('quick', 0);
  let isReady = false;
  const starting = host.host.start('slow', 0).then(() => (isReady = true));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isReady, false);
  gate.open();
  await starting;
  assert.equal(await host.host.drain(600_000), 0);
  assert.deepEqual(host.notices, []);
});

test('one that rejects, throws or gives nonsense is started again, and told of; one that is done is done', async () => {
  let runs = 0;
  const service = new BackgroundService({
    name: 'work',
    placement: 'oneWorker',
    restartDelayMs: 1,
    maxRestartDelayMs: 2,
    run: () => {
      runs++;
      if (runs === 1) return Promise.reject(new Error('a bug'));
      if (runs === 2) throw new Error('a bug');
      return runs === 3 ? Promise.reject(Object.create(null) as Error) : (7 as never);
    },
  });
  await using host = await TestHost.start([service], undefined);
  await until(() => runs === 4);
  assert.equal(host.notices.length, 3);
  assert.match(host.notices[0]?.text ?? '', /^it failed, and is started again in 1 ms: a bug/);
  assert.match(host.notices[2]?.text ?? '', /in 2 ms/);
  assert.equal(await host.host.drain(600_000), 0);
  assert.equal(runs, 4);
});

test('a stop does not wait for the delay of a restart', async () => {
  const service = new BackgroundService({
    name: 'work',
    placement: 'oneWorker',
    restartDelayMs: 3_600_000,
    maxRestartDelayMs: 3_600_000,
    run: () => Promise.reject(new Error('a bug')),
  });
  await using host = await TestHost.start([service], undefined);
  await until(() => host.notices.length === 1);
  assert.equal(await host.host.drain(600_000), 0);
});

test('a run that ignores the signal is left behind after the grace, with a notice', async () => {
  const never = new Gate();
  const service = new BackgroundService({ name: 'deaf', placement: 'oneWorker', run: () => never.promise });
  await using host = await TestHost.start([service], undefined);
  assert.equal(await host.host.drain(20), 0);
  assert.match(host.notices[0]?.text ?? '', /did not end when asked to/);
  never.open();
});

test('it sees each configuration as it comes in force', async () => {
  const seen: string[] = [];
  const service = new BackgroundService<{ word: string }>({
    name: 'work',
    placement: 'oneWorker',
    run: async (context) => {
      await stopped(context);
      seen.push(`end ${context.snapshot.config.word}`);
    },
    onReload: ({ config }) => {
      seen.push(config.word);
      if (config.word === 'two') throw new Error('a bug');
    },
  });
  await using host = await TestHost.start([service], { word: 'one' });
  await host.reload({ word: 'two' });
  await host.reload({ word: 'three' });
  await host.host.drain(600_000);
  assert.deepEqual(seen, ['two', 'three', 'end three']);
  assert.match(host.notices[0]?.text ?? '', /onReload failed: a bug/);
});

test('options that make no sense are refused', () => {
  const run = (): Promise<void> => Promise.resolve();
  assert.throws(() => new BackgroundService({ name: 'x', placement: 'workers' as never, run }), RangeError);
  assert.throws(() => new BackgroundService({ name: 'x', placement: 'main', run: 7 as never }), TypeError);
  assert.throws(() => new BackgroundService({ name: 'x', placement: 'main', run, restartDelayMs: 0 }), RangeError);
  assert.throws(() => new BackgroundService({ name: 'x', placement: 'main', run, restartDelayMs: 10, maxRestartDelayMs: 5 }), RangeError);
});
