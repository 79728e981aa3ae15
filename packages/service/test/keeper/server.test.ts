/** What a program says of its server, and what is worked out from it: services, roles, phases, sockets. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { type Phase, PhaseFeed } from '../../src/phase.ts';
import { Server } from '../../src/server.ts';
import { resolveServerOptions } from '../../src/server-options.ts';
import type { ListenAddress, Service } from '../../src/service.ts';
import { serverSockets, socketSpecs } from '../../src/socket-spec.ts';

function service(name: string, listen: readonly ListenAddress[] = []): Service<undefined> {
  return {
    name,
    placement: 'workers',
    listeners: () => listen,
    start: () => {
      throw new Error('nothing starts here');
    },
  };
}

// ——— the server

test('services have a name of their own, a placement and their methods', () => {
  const server = new Server();
  server.addService(service('web'));
  assert.throws(() => server.addService(service('web')), /there is a service web already/);
  for (const name of ['', 'a b', 'a:b', 'x'.repeat(101), 'ä', 'a\n'])
    assert.throws(() => server.addService(service(name)), TypeError, name);
  for (const bad of [
    null,
    1,
    {},
    { name: 'a' },
    { ...service('a'), placement: 'x' },
    { ...service('a'), start: 1 },
    { ...service('a'), listeners: null },
  ]) {
    assert.throws(() => server.addService(bad as never), TypeError);
  }
});

test('a service depends on services of the same server, and not on itself', () => {
  const server = new Server();
  const [a, b] = [server.addService(service('a')), server.addService(service('b'))];
  assert.equal(b.dependsOn(a, a), b);
  assert.throws(() => a.dependsOn(a), /Circular/);
  assert.throws(() => a.dependsOn(new Server().addService(service('b'))), /belongs to another server/);
});

test('options that make no sense are refused when the server is made', () => {
  assert.throws(() => new Server({ threads: 0 }), RangeError);
  assert.throws(() => new Server({ thread: 1 } as never), TypeError);
});

test('run wants the import.meta of its module', async () => {
  for (const meta of [undefined, null, {}, { url: 1 }]) await assert.rejects(new Server().run(meta as never), /import\.meta/);
});

test('a server does not run in a thread that the program has made', async () => {
  const module = new URL('../fixtures/run-in-thread.ts', import.meta.url);
  const worker = new Worker(module);
  const text = await new Promise((done, fail) => worker.on('message', done).on('error', fail));
  assert.match(String(text), /must be called in the main thread/);
  await worker.terminate();
});

// ——— phases

test('watchers hear of each phase once, whatever other watchers do', () => {
  const feed = new PhaseFeed();
  const heard: string[] = [];
  const stop = feed.watch((phase) => {
    heard.push(`a ${phase}`);
    stop();
    throw new Error('a watcher may throw');
  });
  feed.watch(async (phase) => {
    heard.push(`b ${phase}`);
    await Promise.reject(new Error('a watcher may reject'));
  });
  feed.set('setup');
  feed.set('bootstrap');
  feed.set('bootstrap');
  feed.set('running');
  stop();
  assert.deepEqual(heard, ['a bootstrap', 'b bootstrap', 'b running']);
  assert.equal(feed.current, 'running');
  assert.throws(() => feed.watch(1 as never), TypeError);
});

test('a watcher that is taken away while a phase is told does not hear of it, and one that is added then does not either', () => {
  const feed = new PhaseFeed('running');
  const heard: Phase[] = [];
  feed.watch(() => {
    stop();
    feed.watch((phase) => heard.push(phase));
  });
  const stop = feed.watch((phase) => heard.push(phase));
  feed.set('shutdownStarted');
  assert.deepEqual(heard, []);
});

// ——— sockets

function keys(...listen: ListenAddress[]): string[] {
  return (socketSpecs([service('web', listen)], undefined).get('web') ?? []).map(({ key }) => key);
}

test('a socket is known by its transport and address, in one spelling', () => {
  assert.deepEqual(keys({ address: '127.0.0.1:8080' }, { address: 'tcp://[0:0::0:1]:80' }, { address: 'LocalHost:9' }), [
    'tcp 127.0.0.1:8080',
    'tcp [::1]:80',
    'tcp localhost:9',
  ]);
  assert.deepEqual(
    keys({ address: '127.0.0.1:53', transport: 'udp' }, { address: 'udp://127.0.0.1:54', transport: 'udp' }, { address: 'unix:a.sock' }),
    ['udp 127.0.0.1:53', 'udp 127.0.0.1:54', `unix ${resolve('a.sock')}`],
  );
  assert.deepEqual(keys({ address: { host: '::1', port: 5 } }, { address: { kind: 'unix', path: '/a' } }), ['tcp [::1]:5', 'unix /a']);
});

test('a spec has what the listener says, and nothing that it does not', () => {
  const [spec] = socketSpecs([service('web', [{ address: '[::]:1', backlog: 5, ipv6Only: true, label: 'x' }])], undefined).get('web') ?? [];
  assert.deepEqual(spec, { key: 'tcp [::]:1', transport: 'tcp', host: '::', port: 1, backlog: 5, ipv6Only: true });
});

test('two listeners cannot have one address, unless the kernel chooses the port', () => {
  const any = { address: '127.0.0.1:0' };
  assert.deepEqual(keys(any, any, { ...any, transport: 'udp' }, any), [
    'tcp 127.0.0.1:0',
    'tcp 127.0.0.1:0#2',
    'udp 127.0.0.1:0',
    'tcp 127.0.0.1:0#3',
  ]);
  assert.throws(
    () => keys({ address: '127.0.0.1:1' }, { address: '127.0.0.1:1' }),
    /service web cannot listen on tcp 127\.0\.0\.1:1: it does already/,
  );
  const two = [service('a', [{ address: 'unix:/x/y' }]), service('b', [{ address: 'unix:/x/../x/y' }])];
  assert.throws(() => socketSpecs(two, undefined), /service b cannot listen on unix \/x\/y: service a does already/);
});

test('listeners that make no sense are refused with the name of their service', () => {
  for (const listen of [null, 1, 'x', { address: '127.0.0.1:1' }, [null], [{}], [{ address: '127.0.0.1:1', transport: 'sctp' }]]) {
    assert.throws(() => socketSpecs([service('web', listen as never)], undefined), /service web/);
  }
  assert.throws(() => keys({ address: 'unix:/a', transport: 'udp' }), /datagrams/);
  assert.throws(() => keys({ address: '127.0.0.1' }), /the port is missing/);
});

test('the admin endpoint has a socket of its own, the last one', () => {
  const plan = (admin: string): Parameters<typeof serverSockets>[0] => ({
    options: resolveServerOptions({ admin }),
    services: [service('web', [{ address: '127.0.0.1:1' }])],
  });
  const { admin, all, byService } = serverSockets(plan('unix:/run/admin.sock'), undefined);
  assert.deepEqual(admin, { key: 'unix /run/admin.sock', transport: 'unix', path: '/run/admin.sock', mode: 0o600, isForDraining: true });
  assert.deepEqual(
    all.map(({ key }) => key),
    ['tcp 127.0.0.1:1', 'unix /run/admin.sock'],
  );
  assert.deepEqual([...byService.keys()], ['web']);
  assert.throws(
    () => serverSockets(plan('127.0.0.1:1'), undefined),
    /service admin cannot listen on tcp 127\.0\.0\.1:1: service web does already/,
  );
});

test('the same listeners give the same keys in every process, and no two of them are the same', () => {
  const address = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(3)).map(([host, port]) => `${host}:${port}`),
    fc.tuple(fc.ipV6(), fc.nat(3)).map(([host, port]) => `[${host}]:${port}`),
    fc.constantFrom('unix:/a', 'unix:/b', 'localhost:0', 'LOCALHOST:0'),
  );
  fc.assert(
    fc.property(fc.array(address, { maxLength: 12 }), (addresses) => {
      const listen = addresses.map((each) => ({ address: each }));
      let found: string[];
      try {
        found = keys(...listen);
      } catch (error) {
        assert.ok(error instanceof TypeError);
        return;
      }
      assert.equal(new Set(found).size, listen.length);
      assert.deepEqual(keys(...listen), found);
    }),
  );
});
