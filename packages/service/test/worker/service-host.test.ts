import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Notice, PreparedUpdate, RunningService, Service, ServiceContext } from '../../src/service.ts';
import type { Snapshot } from '../../src/snapshot.ts';
import { ServiceHost } from '../../src/worker/service-host.ts';
import { Gate, until } from '../services/raw-client.ts';

const counts = { connections: 0, accepted: 0, shed: 0 };
const socket = { listen: { address: '127.0.0.1:0' }, fd: null, address: { kind: 'unset' } } as const;

/** A service as a user writes it, by the interface alone; what a test gives replaces its parts. */
function userService(
  name: string,
  parts: Partial<Service<unknown>> & { readonly running?: Partial<RunningService<unknown>> } = {},
): Service<unknown> {
  const { running, ...rest } = parts;
  return {
    name,
    placement: 'workers',
    listeners: () => [],
    start: () => ({ counts, drain: () => Promise.resolve(0), close() {}, ...running }),
    ...rest,
  };
}

function hostOf(services: readonly Service<unknown>[], sockets = {}): { host: ServiceHost; notices: Notice[] } {
  const notices: Notice[] = [];
  const snapshot = { version: 1, config: 'one' };
  const host = new ServiceHost({ services, snapshot, worker: 3, threads: 4, sockets, notify: (notice) => notices.push(notice) });
  return { host, notices };
}

const two: Snapshot<string> = { version: 2, config: 'two' };
const bug = (): never => {
  throw new Error('a bug');
};

test('a service of the user’s own is started with all that it needs', async () => {
  const seen: unknown[] = [];
  let context: ServiceContext<unknown> | undefined;
  const service = userService('mine', {
    onStartupDelay: (waitedMs) => void seen.push(waitedMs),
    start: (given) => {
      context = given;
      given.notify({ severity: 'warning', text: 'hello', service: 'forged', worker: 99 });
      given.notify({ severity: 'nonsense', text: 7 } as never);
      given.notify(null as never);
      return { counts: { connections: 1, accepted: 2, shed: 3 }, drain: () => Promise.resolve(4), close() {} };
    },
  });
  const { host, notices } = hostOf([service], { mine: [socket] });
  await host.start('mine', 12);
  assert.deepEqual(seen, [12]);
  assert.deepEqual([context?.name, context?.worker, context?.threads, context?.sockets], ['mine', 3, 4, [socket]]);
  assert.equal(context?.snapshot.config, 'one');
  assert.deepEqual(notices[0], { severity: 'warning', text: 'hello', service: 'mine', worker: 3 });
  assert.deepEqual(
    notices.map(({ severity }) => severity),
    ['warning', 'info', 'info'],
  );
  assert.deepEqual(host.counts(), { mine: { connections: 1, accepted: 2, shed: 3 } });
  await host.prepare(two);
  host.commit(2);
  assert.equal(context?.snapshot.config, 'two');
  assert.equal(context?.stopping.aborted, false);
  assert.equal(await host.drain(1_000), 4);
  assert.equal(context?.stopping.aborted, true);
});

test('a start that throws, rejects or gives nonsense says so, and may be tried again', async () => {
  let tries = 0;
  const service = userService('mine', {
    start: () => {
      tries++;
      if (tries === 1) throw new Error('a bug');
      if (tries === 2) return Promise.reject(new Error('a late bug'));
      if (tries === 3) return { counts } as never;
      return { counts, drain: () => Promise.resolve(0), close() {} };
    },
  });
  const { host } = hostOf([service, userService('other')]);
  await assert.rejects(host.start('mine', 0), /^Error: a bug$/);
  await assert.rejects(host.start('mine', 0), /a late bug/);
  await assert.rejects(host.start('mine', 0), /start of service mine must give an object with counts, drain and close/);
  await host.start('mine', 0);
  await assert.rejects(host.start('mine', 0), /was started before/);
  await assert.rejects(host.start('nobody', 0), /there is no service nobody/);
  await host.start('other', 0);
  assert.deepEqual(Object.keys(host.counts()), ['mine', 'other']);
});

test('a service that is started while the server begins to stop is closed', async () => {
  const gate = new Gate<RunningService<unknown>>();
  let closed = 0;
  let begun = 0;
  const start = (): Promise<RunningService<unknown>> => {
    begun++;
    return gate.promise;
  };
  const { host } = hostOf([userService('mine', { start })]);
  const starting = host.start('mine', 0);
  await until(() => begun === 1);
  assert.equal(await host.drain(0), 0);
  gate.open({ counts, drain: () => Promise.resolve(0), close: () => void closed++ });
  await assert.rejects(starting, /SERVICE_STOPPED/);
  assert.equal(closed, 1);
  await assert.rejects(host.start('mine', 0), /SERVICE_STOPPED/);
  assert.equal(begun, 1);
});

test('a reload is put in force by all services or by none', async () => {
  const log: string[] = [];
  const preparing = (name: string): Service<unknown> =>
    userService(name, {
      running: {
        prepare: ({ config }): PreparedUpdate => {
          if (config === 'bad' && name === 'c') throw new Error('not that');
          log.push(`${name} prepare ${String(config)}`);
          return {
            commit: () => {
              log.push(`${name} commit`);
              if (name === 'a') bug();
            },
            discard: () => {
              log.push(`${name} discard`);
              if (name === 'a') bug();
            },
          };
        },
      },
    });
  const { host, notices } = hostOf([preparing('a'), preparing('b'), preparing('c'), userService('deaf')]);
  for (const name of ['a', 'b', 'c', 'deaf']) await host.start(name, 0);
  await assert.rejects(host.prepare({ version: 2, config: 'bad' }), /^Error: not that$/);
  assert.deepEqual(log.splice(0), ['a prepare bad', 'b prepare bad', 'a discard', 'b discard']);
  host.commit(2);
  assert.equal(host.snapshot.version, 1);
  await host.prepare({ version: 3, config: 'good' });
  await assert.rejects(host.prepare({ version: 4, config: 'good' }), /another reload is under way/);
  host.commit(4);
  assert.equal(host.snapshot.version, 1);
  host.commit(3);
  assert.equal(host.snapshot.version, 3);
  assert.deepEqual(log.splice(0).slice(3), ['a commit', 'b commit', 'c commit']);
  assert.deepEqual(
    notices.map(({ text, service }) => [service, text.replace(/ \(at .*/, '')]),
    [
      ['a', 'discard failed: a bug'],
      ['a', 'commit failed: a bug'],
    ],
  );
});

test('what is prepared after its reload was given up is discarded', async () => {
  const gate = new Gate();
  const log: string[] = [];
  let begun = 0;
  const late = userService('late', {
    running: {
      prepare: async () => {
        begun++;
        await gate.promise;
        return { commit: () => void log.push('commit'), discard: () => void log.push('discard') };
      },
    },
  });
  const { host } = hostOf([late]);
  await host.start('late', 0);
  const prepared = host.prepare(two);
  await until(() => begun === 1);
  host.discard(2);
  assert.deepEqual(log, []);
  gate.open();
  await assert.rejects(prepared, /given up/);
  assert.deepEqual(log, ['discard']);
  await host.prepare({ version: 3, config: 'three' });
  await host.drain(0);
  assert.deepEqual(log, ['discard', 'discard']);
  await assert.rejects(host.prepare({ version: 4, config: 'four' }), /stopping/);
});

test('a reload waits for services that are being started, and a start for the reload', async () => {
  const gate = new Gate();
  const log: string[] = [];
  const starting = (name: string): Service<unknown> =>
    userService(name, {
      start: async ({ snapshot }) => {
        log.push(`${name} starts with ${String(snapshot.config)}`);
        if (name === 'slow') await gate.promise;
        const prepare = (): PreparedUpdate => {
          log.push(`${name} prepares`);
          return { commit: () => void log.push(`${name} commits`), discard() {} };
        };
        return { counts, drain: () => Promise.resolve(0), close() {}, prepare };
      },
    });
  const { host } = hostOf([starting('slow'), starting('late')]);
  const slow = host.start('slow', 0);
  await until(() => log.length === 1);
  const prepared = host.prepare(two);
  const late = host.start('late', 0);
  gate.open();
  await slow;
  await prepared;
  host.commit(2);
  await late;
  assert.deepEqual(log, ['slow starts with one', 'slow prepares', 'slow commits', 'late starts with two']);
});

test('whatever a service does when it is drained or closed, the end comes', async () => {
  const never = new Promise<never>(() => {});
  const parts: readonly Partial<RunningService<unknown>>[] = [
    { drain: bug },
    { drain: () => Promise.reject(new Error('a bug')), close: bug },
    { drain: () => Promise.resolve(Number.NaN), close: () => Promise.reject(new Error('a bug')) },
    { drain: () => 7 as never },
    { drain: () => Promise.resolve('many' as never) },
    { drain: () => never },
    { onMemoryPressure: bug },
    { counts: null as never },
    {
      get counts(): never {
        return bug();
      },
    },
  ];
  const services = parts.map((running, index) => userService(`s${index}`, { start: () => withDefaults(running) }));
  const { host, notices } = hostOf(services, Object.fromEntries(services.map(({ name }) => [name, [socket]])));
  for (const { name } of services) await host.start(name, 0);
  host.onMemoryPressure('tight');
  assert.deepEqual(host.counts()['s8'], counts);
  assert.equal(await host.drain(0), 7);
  await host.close();
  const told = notices.map(({ service, text }) => `${service ?? ''} ${text.replace(/ \(at .*/, '')}`);
  for (const expected of [
    's0 drain failed: a bug',
    's1 drain failed: a bug',
    's1 close failed: a bug',
    's2 close failed: a bug',
    's5 drain failed: internal SERVICE_LATE: drain has not ended in time',
    's6 onMemoryPressure failed: a bug',
  ]) {
    assert.ok(told.includes(expected), `${expected} of ${told.join(' | ')}`);
  }
});

/** Getters of the parts stay getters. */
function withDefaults(parts: Partial<RunningService<unknown>>): RunningService<unknown> {
  const defaults: RunningService<unknown> = { counts, drain: () => Promise.resolve(0), close() {} };
  return Object.defineProperties(defaults, Object.getOwnPropertyDescriptors(parts));
}

test('services without sockets are told to stop when those with sockets have drained', async () => {
  const gate = new Gate<number>();
  const contexts = new Map<string, ServiceContext<unknown>>();
  const listening = userService('listening', {
    start: (context) => {
      contexts.set('listening', context);
      return { counts, drain: () => gate.promise, close() {} };
    },
  });
  const helping = userService('helping', {
    start: (context) => {
      contexts.set('helping', context);
      return { counts, drain: () => Promise.resolve(0), close() {} };
    },
  });
  const { host } = hostOf([helping, listening], { listening: [socket] });
  await host.start('helping', 0);
  await host.start('listening', 0);
  const drained = host.drain(600_000);
  await until(() => contexts.get('listening')?.stopping.aborted === true);
  assert.equal(contexts.get('helping')?.stopping.aborted, false);
  gate.open(2);
  assert.equal(await drained, 2);
  assert.equal(contexts.get('helping')?.stopping.aborted, true);
});
