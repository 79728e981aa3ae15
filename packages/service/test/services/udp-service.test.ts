import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectUdp, type UdpEndpoint } from '@ferrata/net';
import { UdpService } from '../../src/services/udp-service.ts';
import { until } from './raw-client.ts';
import { TestHost } from './service-harness.ts';

const listen = [{ address: '127.0.0.1:0', transport: 'udp' }] as const;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (datagram: Uint8Array): string => new TextDecoder().decode(datagram);

async function peer(port: number): Promise<{ endpoint: UdpEndpoint; came: string[] }> {
  const came: string[] = [];
  const endpoint = await connectUdp(
    { host: '127.0.0.1', port },
    { onDatagram: (datagram) => void came.push(text(datagram)), onClose() {} },
  );
  return { endpoint, came };
}

test('a sink gets every datagram, its throws and rejections cost no more than that, and a reload replaces it', async () => {
  const closed: string[] = [];
  const service = new UdpService<{ word: string }>({
    name: 'udp',
    listen,
    sink: (_context, { config }, endpoint) => {
      if (config.word === 'bad') throw new Error('no such word');
      return {
        onDatagram(datagram, from) {
          if (text(datagram) === 'throw') throw new Error('a bug');
          if (text(datagram) === 'reject') return Promise.reject(new Error('a bug')) as never;
          endpoint.send(bytes(`${config.word} ${text(datagram)}`), from);
        },
        onClose: () => void closed.push(config.word),
      };
    },
  });
  await using host = await TestHost.start([service], { word: 'one' });
  const { endpoint, came } = await peer(host.port('udp'));
  await using _endpoint = endpoint;
  for (const word of ['throw', 'reject', 'hello']) endpoint.send(bytes(word));
  await until(() => came.length === 1);
  await assert.rejects(host.host.prepare(host.snapshot({ word: 'bad' })), /no such word/);
  await host.reload({ word: 'two' });
  assert.deepEqual(closed, ['one']);
  endpoint.send(bytes('hello'));
  await until(() => came.length === 2);
  assert.deepEqual(came, ['one hello', 'two hello']);
  assert.equal(host.host.counts()['udp']?.accepted, 4);
  assert.match(host.notices[0]?.text ?? '', /receiving datagrams failed: a bug/);
  assert.equal(await host.host.drain(600_000), 0);
  assert.deepEqual(closed, ['one', 'two']);
});

test('a sink that stays the same over a reload is not closed by it', async () => {
  const closed: string[] = [];
  const came: string[] = [];
  const sink = { onDatagram: (datagram: Uint8Array) => void came.push(text(datagram)), onClose: () => void closed.push('closed') };
  await using host = await TestHost.start([new UdpService<number>({ name: 'udp', listen, sink: () => sink })], 1);
  await host.reload(2);
  assert.deepEqual(closed, []);
  const { endpoint } = await peer(host.port('udp'));
  await using _endpoint = endpoint;
  endpoint.send(bytes('hello'));
  await until(() => came.length === 1);
  await host.host.drain(600_000);
  assert.deepEqual(closed, ['closed']);
});

test('each peer is a flow, and keeps the configuration that it began with; a drain closes all at once', async () => {
  const closed: (string | null)[] = [];
  const service = new UdpService<{ word: string }>({
    name: 'udp',
    listen,
    udp: () => ({ maxAmplification: 10 }),
    flows: (flow, { snapshot }) => {
      if (snapshot.config.word === 'throw') throw new Error('a bug');
      flow.attach({
        onDatagram: (datagram) => void flow.send(bytes(`${snapshot.config.word} ${text(datagram)}`)),
        onClose: (error) => void closed.push(error?.reason ?? null),
      });
    },
  });
  await using host = await TestHost.start([service], { word: 'one' });
  const first = await peer(host.port('udp'));
  await using _first = first.endpoint;
  first.endpoint.send(bytes('hello'));
  await until(() => first.came.length === 1);
  await host.reload({ word: 'throw' });
  const second = await peer(host.port('udp'));
  await using _second = second.endpoint;
  second.endpoint.send(bytes('hello'));
  await until(() => host.notices.length === 1);
  await host.reload({ word: 'two' });
  second.endpoint.send(bytes('hello'));
  first.endpoint.send(bytes('again'));
  await until(() => first.came.length === 2 && second.came.length === 1);
  assert.deepEqual([...first.came, ...second.came], ['one hello', 'one again', 'two hello']);
  assert.equal(host.host.counts()['udp']?.connections, 2);
  assert.equal(await host.host.drain(600_000), 0);
  await until(() => closed.length === 2);
  assert.deepEqual(closed, [null, null]);
});

test('options that make no sense are refused', async () => {
  const sink = (): never => undefined as never;
  assert.throws(() => new UdpService({ name: 'udp', listen }), /exactly one of sink and flows/);
  assert.throws(() => new UdpService({ name: 'udp', listen, sink, flows: () => {} }), /exactly one of sink and flows/);
  assert.throws(() => new UdpService({ name: 'udp', listen: [{ address: '127.0.0.1:0' }], sink }), /say transport: 'udp'/);
  await using host = TestHost.idle([new UdpService({ name: 'udp', listen, sink })], undefined);
  await assert.rejects(host.host.start('udp', 0), /must give an object with methods onDatagram and onClose/);
  await using placed = TestHost.idle(
    [new UdpService({ name: 'udp', listen, flows: () => {}, udp: () => ({ port: 1 }) as never })],
    undefined,
  );
  await assert.rejects(placed.host.start('udp', 0), /udp cannot say port/);
  const late = (): never => Promise.reject(new Error('a bug')) as never;
  for (const options of [{ sink: late }, { flows: () => {}, udp: late }]) {
    await using promising = TestHost.idle([new UdpService({ name: 'udp', listen, ...options })], undefined);
    await assert.rejects(promising.host.start('udp', 0), /^TypeError: (sink|udp) of udp must give /);
  }
});
