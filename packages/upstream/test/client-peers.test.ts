/** PROXY headers towards the peer: whom a connection speaks for, and that nobody else gets it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { type ClientSession, HttpEnvironment, HttpServer, respond } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { type L4Stream, memoryPair, type StreamAddress, type StreamInfo } from '@ferrata/stream';
import { type PeerOptions, peer, peerForClient, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';
import { rejection, send, settle } from './rig.ts';

const here: StreamAddress = { kind: 'ip', host: '198.51.100.1', port: 443 };

function client(host: string, port = 4711): StreamInfo {
  return { ...memoryPair().a.info, remoteAddress: { kind: 'ip', host, port }, localAddress: here };
}

function rig(environment: HttpEnvironment = new HttpEnvironment({ clock: new ManualClock() })) {
  const heard: string[] = [];
  const writes: string[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair();
      const index = heard.push('') - 1;
      b.attach({
        onData: (chunk) => {
          heard[index] += latin1Decode(chunk, 0, chunk.length);
          if (heard[index]?.endsWith('\r\n\r\n')) b.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n'));
        },
        onDrain: () => {},
        onEnd: () => {},
        onClose: () => {},
      });
      const [write, writev] = [a.write.bind(a), a.writev.bind(a)];
      const textOf = (chunks: readonly Uint8Array[]): string => chunks.map((chunk) => latin1Decode(chunk, 0, chunk.length)).join('');
      return Object.assign(a, {
        write: (chunk: Uint8Array) => {
          writes.push(textOf([chunk]));
          return write(chunk);
        },
        writev: (chunks: readonly Uint8Array[]) => {
          writes.push(textOf(chunks));
          return writev(chunks);
        },
      });
    },
  });
  return { connector, heard, writes };
}

describe('sendProxyHeader', () => {
  test('each client has a peer with a header of its own, and connections that nobody else gets', async () => {
    const { connector, heard } = rig();
    const origin = peer('10.0.0.1:80', { sendProxyHeader: 'v1' });
    const [one, two] = [peerForClient(origin, client('203.0.113.9')), peerForClient(origin, client('203.0.113.9', 4712))];
    assert.notEqual(one.key, two.key);
    assert.equal(peerForClient(origin, client('203.0.113.9')), one, 'made once');
    send(await connector.connect(one));
    await settle();
    assert.equal(heard[0], 'PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal(connector.idleCount, 1);
    assert.equal(connector.take(two), null);
    assert.equal(connector.take(origin), null);
    const again = connector.take(one);
    assert.ok(again !== null);
    send(again);
    await settle();
    assert.equal(heard[0].match(/PROXY/g)?.length, 1, 'said once a connection');
    // The bytes are the connection's: the next begins with the same.
    await connector.connect(one);
    await settle();
    assert.equal(heard[1], 'PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n');
  });

  test('version 2, IPv6; and where there is no client the peer speaks for nobody', async () => {
    const { connector, heard } = rig();
    const origin = peer('10.0.0.1:80', { sendProxyHeader: 'v2' });
    await connector.connect(peerForClient(origin, client('2001:db8::1')));
    await connector.connect(origin);
    await connector.connect(peer('10.0.0.1:80', { sendProxyHeader: 'v1' }));
    await connector.connect(peerForClient(origin, memoryPair().a.info));
    await settle();
    const bytes = heard.map((text) => [...latin1Encode(text)]);
    // Version 2, command and family: PROXY with TCP over IPv6, LOCAL, and PROXY of what is not told.
    assert.deepEqual([bytes[0]?.slice(12, 14), bytes[0]?.length], [[0x21, 0x21], 16 + 36]);
    assert.equal(bytes[1]?.[12], 0x20);
    assert.equal(heard[2], 'PROXY UNKNOWN\r\n');
    assert.equal(bytes[3]?.[12], 0x21);
  });

  test('the header comes before TLS, and what is asked for an upgrade has it too', async () => {
    const { connector, heard } = rig();
    const tls = new FakeTls(speaks('http/1.1'));
    const origin = peer('origin.test:443', { sendProxyHeader: 'v1', tls, protocol: 'auto' });
    const one = peerForClient(origin, client('203.0.113.9'));
    assert.equal((await connector.connect(one)).stream.info.kind, 'tls');
    assert.ok(one.forUpgrade !== null);
    assert.notEqual(one.forUpgrade.key, origin.forUpgrade?.key);
    await connector.connect(one.forUpgrade);
    await settle();
    assert.deepEqual(heard, new Array(2).fill('PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n'));
    // What a peer chose is its own, whoever its client is: this one connects at once, and waits for nobody.
    const two = peerForClient(origin, client('203.0.113.10'));
    const sessions = await Promise.all([connector.connect(two), connector.connect(two)]);
    assert.notEqual(sessions[0], sessions[1]);
    assert.equal(tls.asked.length, 4);
  });

  test('a bounded number of clients is remembered; whom it forgets it makes the same peer for', () => {
    const origin = peer('10.0.0.1:80', { sendProxyHeader: 'v1' });
    const { key } = peerForClient(origin, client('203.0.113.9', 1));
    for (let port = 1; port <= 3_000; port++) peerForClient(origin, client('203.0.113.9', port));
    assert.equal(origin.clients?.size, 1_024);
    assert.equal(peerForClient(origin, client('203.0.113.9', 1)).key, key);
  });

  test('a peer without it is the same for all; one for a client is for no other', () => {
    const plain = peer('10.0.0.1:80');
    assert.equal(peerForClient(plain, client('203.0.113.9')), plain);
    const one = peerForClient(peer('10.0.0.1:80', { sendProxyHeader: 'v2' }), client('203.0.113.9'));
    assert.equal(peerForClient(one, client('203.0.113.10')), one);
    const keys = [plain, peer('10.0.0.1:80', { sendProxyHeader: 'v1' }), peer('10.0.0.1:80', { sendProxyHeader: 'v2' }), one];
    assert.equal(new Set(keys.map(({ key }) => key)).size, 4);
  });

  test('header and request leave in one write; without a request the header leaves by itself', async () => {
    const { connector, writes } = rig(new HttpEnvironment());
    const origin = peer('10.0.0.1:80', { sendProxyHeader: 'v1' });
    const session = await connector.connect(peerForClient(origin, client('203.0.113.9')));
    send(session);
    await settle();
    const header = 'PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n';
    assert.deepEqual(writes, [`${header}GET / HTTP/1.1\r\nHost: h\r\n\r\n`]);
    connector.release(await connector.connect(origin));
    await settle();
    assert.deepEqual(writes.slice(1), ['PROXY UNKNOWN\r\n']);
    const shared = await connector.connect(peer('10.0.0.1:80', { sendProxyHeader: 'v1', protocol: 'http2' }));
    send(shared);
    await settle();
    assert.match(writes[2] ?? '', /^PROXY UNKNOWN\r\nPRI \* HTTP\/2\.0\r\n/);
    connector.close();
    shared.close();
  });

  test('a stream of the user’s that throws when the header is written ends, and that is all', async () => {
    const { a } = memoryPair();
    const broken = Object.assign(a, {
      write: () => {
        throw new Error('bug');
      },
    });
    const connector = new UpstreamConnector({ environment: new HttpEnvironment(), connect: async () => broken });
    const session = await connector.connect(peer('10.0.0.1:80', { sendProxyHeader: 'v1' }));
    await settle();
    assert.equal(session.isReusable, false);
    assert.equal(connector.connectionCount, 0);
  });

  test('so does one that is to carry TLS: no handshake is begun', async () => {
    const { a } = memoryPair();
    const broken = Object.assign(a, {
      write: () => {
        throw new Error('bug');
      },
    });
    const tls = new FakeTls(speaks('http/1.1'));
    const connector = new UpstreamConnector({ environment: new HttpEnvironment(), connect: async () => broken });
    const error = await rejection(connector.connect(peer('10.0.0.1:443', { sendProxyHeader: 'v1', tls })));
    assert.deepEqual([error.reason, tls.asked.length, a.state, connector.connectionCount], ['CONNECT_THREW', 0, 'closed', 0]);
  });

  test('with maxIdle 0 connections of HTTP/2 end with what they carry, those that nobody used too', async () => {
    const environment = new HttpEnvironment({ clock: new ManualClock() });
    const connector = new UpstreamConnector({ environment, maxIdle: 0, connect: async () => memoryPair().a });
    const origin = peer('10.0.0.1:80', { protocol: 'http2' });
    const sessions = await Promise.all([1, 2, 3].map(() => connector.connect(origin)));
    assert.equal(connector.connectionCount, 1);
    for (const session of sessions) connector.release(session);
    assert.deepEqual([connector.connectionCount, connector.idleCount, connector.pendingCount], [0, 0, 0]);
    assert.ok((await connector.connect(origin)).isReusable);
    connector.close();
  });

  test('idle connections of HTTP/2 are bounded in all, as those of HTTP/1 are: clients come and go', async () => {
    const environment = new HttpEnvironment({ clock: new ManualClock() });
    const server = new HttpServer(
      {
        onRequest: (exchange) => {
          respond(exchange, 200);
          return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
        },
      },
      { environment },
    );
    const connector = new UpstreamConnector({
      environment,
      maxIdle: 10,
      connect: async () => {
        const { a, b } = memoryPair();
        server.accept(b);
        return a;
      },
    });
    const origin = peer('10.0.0.1:80', { protocol: 'http2' });
    const last: ClientSession[] = [];
    for (let group = 0; group < 50; group++) {
      const session = await connector.connect(peer('10.0.0.1:80', { protocol: 'http2', group: `${group}` }));
      send(session);
      await settle();
      last.push(session);
    }
    assert.deepEqual([connector.idleCount, connector.connectionCount], [10, 10]);
    assert.ok(
      last.slice(-10).every(({ isReusable }) => isReusable),
      'the oldest went',
    );
    // One that is busy is not given up, however old.
    const busy = await connector.connect(origin);
    for (let group = 0; group < 30; group++) {
      send(await connector.connect(peer('10.0.0.1:80', { protocol: 'http2', group: `b${group}` })));
      await settle();
    }
    assert.ok(busy.isReusable);
    assert.equal(connector.idleCount, 10);
    connector.release(busy);
    assert.equal(connector.idleCount, 10);
    connector.close();
    assert.equal(connector.connectionCount, 0);
    server.close();
  });

  test('refuses nonsense', () => {
    for (const sendProxyHeader of ['v3', 1, true, null])
      assert.throws(() => peer('h:80', { sendProxyHeader } as unknown as PeerOptions), /TypeError: sendProxyHeader/);
    assert.throws(() => peerForClient(peer('h:80', { sendProxyHeader: 'v1' }), client('nonsense')), TypeError);
  });

  test('over sockets: a listener that reads PROXY headers knows the client', async () => {
    const accepted = Promise.withResolvers<L4Stream>();
    const listener = await listen({ host: '127.0.0.1', port: 0, proxyProtocol: { trusted: ['127.0.0.0/8'] } }, accepted.resolve);
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    assert.ok(listener.address.kind === 'ip');
    const origin = peer(`127.0.0.1:${listener.address.port}`, { sendProxyHeader: 'v2' });
    connector.release(await connector.connect(peerForClient(origin, client('203.0.113.9'))));
    const { info } = await accepted.promise;
    assert.deepEqual(info.remoteAddress, { kind: 'ip', host: '203.0.113.9', port: 4711 });
    connector.close();
    (await accepted.promise).abort();
    await listener.close();
  });
});
