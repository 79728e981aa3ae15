/** Behaviours 225 to 250 of Pingora's tests that other tests do not name: sessions that are shut, sources, ways of one's own to connect, and addresses. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { ioError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, respond } from '@ferrata/http';
import { connect, formatNetAddress, holdSockets, listen, parseAddress, toNetAddress } from '@ferrata/net';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type OpenStream, type Peer, peer, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from '../fake-tls.ts';
import { rejection, send, settle } from '../rig.ts';

/** An origin of both versions that answers at once. */
function answeringServer(environment: HttpEnvironment): HttpServer {
  return new HttpServer(
    {
      onRequest(exchange) {
        respond(exchange, 200, { body: 'ok' });
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    },
    { environment },
  );
}

/** Connections in memory to such an origin. */
function inMemory() {
  const environment = new HttpEnvironment({ clock: new ManualClock() });
  const server = answeringServer(environment);
  let made = 0;
  const open = async (): Promise<L4Stream> => {
    const { a, b } = memoryPair();
    made++;
    server.accept(b);
    return a;
  };
  return { environment, open, made: () => made };
}

describe('sessions', () => {
  test('#225 one that was closed takes no more requests, and others go to a new one', async () => {
    const { environment, open } = inMemory();
    const connector = new UpstreamConnector({ environment, connect: open });
    const origin = peer('10.0.0.1:80', { protocol: 'http2' });
    const first = await connector.connect(origin);
    connector.release(first);
    await settle();
    assert.equal(connector.take(origin), first);
    connector.release(first);
    first.close();
    assert.equal(first.isReusable, false);
    assert.equal(connector.take(origin), null);
    assert.notEqual(await connector.connect(origin), first);
    connector.close();
  });

  test('#245 what speaks HTTP/1.1 and what speaks HTTP/2 is kept, each for its own peers', async () => {
    for (const protocol of ['http1', 'http2'] as const) {
      const { environment, open, made } = inMemory();
      const connector = new UpstreamConnector({ environment, connect: open });
      const origin = peer('10.0.0.1:80', { protocol });
      const other = peer('10.0.0.1:80', { protocol: protocol === 'http1' ? 'http2' : 'http1' });
      const first = await connector.connect(origin);
      send(first);
      await settle();
      assert.equal(connector.take(other), null);
      assert.equal(connector.take(origin), first);
      send(first);
      await settle();
      assert.equal(made(), 1);
      connector.close();
    }
  });
});

test('#245 a peer of both versions uses what one of HTTP/1.1 has left where preferHttp1 says so; one of HTTP/2 alone never does', async () => {
  const { environment, open } = inMemory();
  const tls = new FakeTls(speaks('h2', 'http/1.1'));
  const connector = new UpstreamConnector({ environment, connect: open });
  const [old, both, fresh] = (['http1', 'auto', 'http2'] as const).map((protocol) => peer('origin.test:443', { tls, protocol })) as [
    Peer,
    Peer,
    Peer,
  ];
  const left = await connector.connect(old);
  connector.release(left);
  assert.equal(connector.take(both), null);
  assert.equal(connector.preferHttp1(both), true);
  assert.equal(connector.take(both), left);
  connector.release(left);
  assert.equal(connector.preferHttp1(fresh), false);
  assert.equal(connector.take(fresh), null);
  assert.equal((await connector.connect(fresh)).protocol, 'http2');
  connector.close();
});

function portOf(stream: L4Stream): number {
  const { localAddress } = stream.info;
  return localAddress.kind === 'ip' ? localAddress.port : 0;
}

/** Ports that nobody had a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(Array.from({ length: count }, () => listen('127.0.0.1:0', () => {})));
  const ports = listeners.map(({ address }) => (address.kind === 'ip' ? address.port : 0));
  await Promise.all(listeners.map((listener) => listener.close()));
  return ports;
}

describe('a black hole', () => {
  test('#233 a peer that answers no SYN is given up after connectTimeoutMs', async () => {
    const [hole] = await holdSockets([{ transport: 'tcp', host: '127.0.0.1', port: 0, backlog: 1 }]);
    assert.ok(hole?.address.kind === 'ip');
    const where = `127.0.0.1:${hole.address.port}`;
    // The queue is full with these. What comes then is dropped by Linux, and refused by others.
    const filling = await Promise.all([connect(where), connect(where)]);
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const error = await rejection(connector.connect(peer(where, { connectTimeoutMs: 1 })));
    const reasons = process.platform === 'linux' ? ['CONNECT_TIMEOUT'] : ['CONNECT_TIMEOUT', 'CONNECT_REFUSED'];
    assert.ok(reasons.includes(error.reason), error.message);
    for (const stream of filling) stream.abort();
    connector.close();
    await hole.release();
  });
});

describe('sources', () => {
  test('#232 from the loopback nobody reaches a global address', async () => {
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const error = await rejection(connector.connect(peer('192.0.2.1:80', { localAddress: '127.0.0.1', connectTimeoutMs: 100 })));
    assert.ok(error.type === 'connect' || error.reason === 'CONNECT_TIMEOUT', error.message);
    assert.equal(error.source, 'upstream');
    connector.close();
  });

  test('#237 the address that was asked for is the one that the origin sees', async () => {
    // Linux has all of 127.0.0.0/8.
    const localAddress = process.platform === 'linux' ? '127.0.0.3' : '127.0.0.1';
    const seen: unknown[] = [];
    await using listener = await listen('127.0.0.1:0', (stream) => {
      seen.push(stream.info.remoteAddress.kind === 'ip' && stream.info.remoteAddress.host);
      stream.abort();
    });
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const { port } = listener.address as { port: number };
    const session = await connector.connect(peer(`127.0.0.1:${port}`, { localAddress }));
    while (seen.length === 0) await settle();
    assert.deepEqual(seen, [localAddress]);
    session.close();
    connector.close();
  });
});

/** Connects from the first port of a list that is free; 0 stands for any. */
function fromPorts(ports: readonly number[], where: string, localAddress?: string): OpenStream {
  return async () => {
    for (const [index, localPort] of ports.entries()) {
      const from = localAddress === undefined ? { localPort } : { localPort, localAddress };
      try {
        return await connect(where, from);
      } catch (thrown) {
        if (index === ports.length - 1) throw thrown;
      }
    }
    throw new RangeError('a list of no ports');
  };
}

describe('ways of one’s own to connect', () => {
  test('#238 by localPort, from two ports: both are used, then there is none, unless any port will do; with an address and without', async () => {
    const held: L4Stream[] = [];
    await using listener = await listen('127.0.0.1:0', (stream) => void held.push(stream));
    const where = formatNetAddress(toNetAddress(listener.address));
    const ports = await freePorts(2);
    for (const localAddress of ['127.0.0.1', undefined]) {
      const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
      const origin = peer(where, { connect: fromPorts(ports, where, localAddress) });
      const sessions = [await connector.connect(origin), await connector.connect(origin)];
      assert.deepEqual(new Set(sessions.map(({ stream }) => portOf(stream))), new Set(ports));
      const error = await rejection(connector.connect(origin));
      assert.deepEqual([error.type, error.reason, error.source], ['connect', 'CONNECT_NO_LOCAL_ADDRESS', 'upstream']);
      const any = await connector.connect(peer(where, { connect: fromPorts([...ports, 0], where, localAddress) }));
      assert.ok(!ports.includes(portOf(any.stream)));
      // A reset leaves no port waiting.
      for (const { stream } of [...sessions, any]) stream.abort(ioError('TEST_OVER', 'done'));
      await settle();
      connector.close();
    }
    for (const stream of held) stream.abort();
  });

  test('#235 #236 #249 a function of the peer makes the stream, once for each connection: elsewhere, or of something that exists', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => {
      stream.attach({
        onData: () => void stream.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n')),
        onDrain() {},
        onEnd: () => stream.end(),
        onClose() {},
      });
    });
    const { port } = listener.address as { port: number };
    const { environment, open } = inMemory();
    for (const [way, made] of [
      [() => connect(`127.0.0.1:${port}`), new HttpEnvironment()],
      [open, environment],
    ] as const) {
      let calls = 0;
      const connector = new UpstreamConnector({ environment: made });
      const origin = peer('nowhere.invalid:80', {
        connect: () => {
          calls++;
          return way();
        },
      });
      const first = await connector.connect(origin);
      send(first);
      let again = connector.take(origin);
      for (let turn = 0; turn < 1_000 && again === null; turn++) {
        await settle();
        again = connector.take(origin);
      }
      assert.equal(again, first);
      assert.equal(calls, 1);
      first.close();
      connector.close();
    }
  });
});

describe('addresses', () => {
  test('#248 an IP address, a Unix socket by unix: and by its bare path, are one address each, which their texts compare and sort', () => {
    const texts = ['127.0.0.1:80', '[::1]:80', 'unix:/run/app.sock', '127.0.0.1:81'];
    const addresses = texts.map((text) => formatNetAddress(parseAddress(text)));
    assert.deepEqual(addresses, ['tcp://127.0.0.1:80', 'tcp://[::1]:80', 'unix:/run/app.sock', 'tcp://127.0.0.1:81']);
    assert.deepEqual(parseAddress('/run/app.sock'), parseAddress('unix:/run/app.sock'));
    assert.equal(peer('/run/app.sock').key, peer('unix:/run/app.sock').key);
    assert.equal(peer('127.0.0.1:80').key, peer({ kind: 'tcp', host: '127.0.0.1', port: 80 }).key);
    assert.equal(peer('unix:/run/app.sock').key, peer({ kind: 'unix', path: '/run/app.sock' }).key);
    assert.equal(new Set(texts.map((text) => peer(text).key)).size, texts.length);
    assert.deepEqual(addresses.toSorted(), ['tcp://127.0.0.1:80', 'tcp://127.0.0.1:81', 'tcp://[::1]:80', 'unix:/run/app.sock']);
  });
});
