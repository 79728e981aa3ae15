/** Hops through a proxy by CONNECT (RFC 9110 §9.3.6): over pairs in memory with a scripted proxy, and over sockets. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { protocolError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import { HttpEnvironment } from '@ferrata/http';
import { connect, listen } from '@ferrata/net';
import { type L4Stream, memoryPair, relay } from '@ferrata/stream';
import {
  ConnectProxyRefusal,
  type PeerOptions,
  type PeerViaOptions,
  peer,
  proxyDigestOf,
  UpstreamConnector,
  type UpstreamConnectorOptions,
} from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';
import { rejection, send, settle } from './rig.ts';

const proxy = peer('unix:/run/proxy.sock');

/** What a scripted proxy has heard on one connection, and its end of it. */
interface Heard {
  readonly stream: L4Stream;
  text: string;
}

/** A proxy that says `answer` to the first head, and then what the test writes. */
function rig(answer: string | null, options: Partial<UpstreamConnectorOptions> = {}) {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const heard: Heard[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair({ clock });
      const one: Heard = { stream: b, text: '' };
      heard.push(one);
      b.attach({
        onData: (chunk) => {
          const isAnswered = one.text.includes('\r\n\r\n');
          one.text += latin1Decode(chunk, 0, chunk.length);
          if (answer !== null && !isAnswered && one.text.includes('\r\n\r\n')) b.write(latin1Encode(answer));
        },
        onDrain: () => {},
        onEnd: () => {},
        onClose: () => {},
      });
      return a;
    },
    ...options,
  });
  return { clock, environment, heard, connector };
}

const through = (more: Partial<PeerViaOptions> = {}, options: PeerOptions = {}): PeerOptions => ({ via: { proxy, ...more }, ...options });

describe('via a proxy', () => {
  test('#241 asks in authority-form, with Host the same and the fields of the user; IPv6 has brackets (RFC 9112 §3.2.3)', async () => {
    for (const [address, authority] of [
      ['origin.test:443', 'origin.test:443'],
      ['192.0.2.1:80', '192.0.2.1:80'],
      ['[2001:db8::1]:8443', '[2001:db8::1]:8443'],
    ] as const) {
      const { connector, heard } = rig('HTTP/1.1 200 OK\r\n\r\n');
      await connector.connect(peer(address, through({ headers: { 'Proxy-Authorization': 'Basic eA==', 'X-Two': ['a', 'b'] } })));
      assert.equal(
        heard[0]?.text,
        `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Basic eA==\r\nX-Two: a\r\nX-Two: b\r\n\r\n`,
      );
    }
  });

  test('#242 any 2xx makes the tunnel, a Content-Length on it means nothing, and what came behind the head is the peer’s', async () => {
    for (const head of ['HTTP/1.1 200 OK\r\n', 'HTTP/1.1 204 Fine\r\n', 'HTTP/1.1 299 x\r\nContent-Length: 5\r\n', 'HTTP/1.1 200 \r\n']) {
      const { connector, heard } = rig(`${head}\r\n`);
      const session = await connector.connect(peer('origin.test:80', through()));
      const exchange = send(session);
      await settle();
      const [tunnel] = heard;
      assert.ok(tunnel !== undefined);
      assert.ok(tunnel.text.endsWith('GET / HTTP/1.1\r\nHost: h\r\n\r\n'), tunnel.text);
      tunnel.stream.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n'));
      await settle();
      assert.equal(exchange.isReused, false);
      assert.equal(connector.idleCount, 1, 'it is kept and used again');
      assert.equal(connector.take(peer('origin.test:80', through())), session);
    }
    // A peer that speaks first: those bytes belong to no request.
    const early = rig('HTTP/1.1 200 OK\r\n\r\nearly');
    const session = await early.connector.connect(peer('origin.test:80', through()));
    await settle();
    assert.equal(session.isReusable, false);
    assert.equal(early.connector.counts.dirty, 1);
  });

  test('#242 anything else is CONNECT_PROXY_REFUSED, with the response and its Proxy-Status (RFC 9209)', async () => {
    const { connector, heard, environment } = rig(
      'HTTP/1.1 502 Bad Gateway\r\nProxy-Status: p; error=dns_error\r\nContent-Length: 100000\r\n\r\n',
    );
    const error = await rejection(connector.connect(peer('origin.test:80', through())));
    assert.deepEqual(
      [error.type, error.reason, error.status, error.retry, error.source],
      ['connect', 'CONNECT_PROXY_REFUSED', 502, 'never', 'upstream'],
    );
    assert.match(error.message, /502 Bad Gateway \(Proxy-Status: p; error=dns_error\)/);
    assert.ok(error.cause instanceof ConnectProxyRefusal);
    assert.deepEqual([error.cause.status, error.cause.reason, error.cause.proxyStatus], [502, 'Bad Gateway', 'p; error=dns_error']);
    await settle();
    assert.equal(heard[0]?.stream.state, 'closed');
    assert.equal(environment.deadlines.size, 0);
    assert.deepEqual(connector.counts, { connected: 0, failed: 1, reused: 0, dirty: 0 });
    for (const status of ['407 Proxy Authentication Required', '403 Forbidden', '301 Moved']) {
      const refused = await rejection(rig(`HTTP/1.1 ${status}\r\n\r\n`).connector.connect(peer('origin.test:80', through())));
      assert.equal(refused.reason, 'CONNECT_PROXY_REFUSED', status);
      assert.equal((refused.cause as ConnectProxyRefusal).proxyStatus, null);
    }
  });

  test('#242 a Transfer-Encoding on the 2xx, and an answer that is none, are errors, and the connection ends', async () => {
    for (const [answer, reason] of [
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'CONNECT_PROXY_TRANSFER_ENCODING'],
      ['SSH-2.0-x\r\n\r\n', /^H1_/],
      ['HTTP/1.1 101 Switching Protocols\r\n\r\n', /^H1_|CONNECT_PROXY/],
    ] as const) {
      const { connector, heard } = rig(answer);
      const error = await rejection(connector.connect(peer('origin.test:80', through())));
      if (typeof reason === 'string') assert.equal(error.reason, reason);
      else assert.match(error.reason, reason);
      assert.deepEqual([error.source, error.retry, error.status], ['upstream', 'never', 502]);
      await settle();
      assert.equal(heard[0]?.stream.state, 'closed');
      assert.equal(connector.connectionCount, 0);
    }
  });

  test('#240 a proxy that is not there, and one that closes at once: never tried again by itself', async () => {
    const missing = new UpstreamConnector({ environment: new HttpEnvironment() });
    const none = await rejection(missing.connect(peer('origin.test:80', { via: { proxy: peer('unix:/nowhere/at/all.sock') } })));
    assert.deepEqual([none.type, none.reason, none.retry, none.source], ['connect', 'CONNECT_NO_SOCKET', 'never', 'upstream']);
    for (const end of [(stream: L4Stream) => stream.end(), (stream: L4Stream) => stream.abort()]) {
      const { connector, heard } = rig(null);
      const failed = rejection(connector.connect(peer('origin.test:80', through())));
      await settle();
      end(heard[0]?.stream as L4Stream);
      const error = await failed;
      assert.deepEqual([error.type, error.reason, error.retry, error.status], ['connect', 'CONNECT_PROXY_CLOSED', 'never', 502]);
    }
  });

  test('#240 nor is what fails behind the proxy: the tunnel is lost at once, or TLS through it fails', async () => {
    const lost = rig(null);
    const waiting = rejection(lost.connector.connect(peer('origin.test:80', through())));
    await settle();
    lost.heard[0]?.stream.write(latin1Encode('HTTP/1.1 200 OK\r\n\r\n'));
    lost.heard[0]?.stream.abort();
    const error = await waiting;
    assert.deepEqual([error.reason, error.retry], ['CONNECT_CLOSED', 'never']);
    const silent = rig('HTTP/1.1 200 OK\r\n\r\n');
    const shaking = rejection(
      silent.connector.connect(peer('origin.test:443', through({}, { tls: new FakeTls(() => ({ does: 'nothing' })) }))),
    );
    await settle();
    silent.clock.advance(6_000);
    await settle();
    assert.equal((await shaking).retry, 'never');
  });

  test('#242 no answer: the time of connecting ends it, and giving up does', async () => {
    const { connector, heard, clock, environment } = rig(null);
    const failed = rejection(connector.connect(peer('origin.test:80', through({}, { connectTimeoutMs: 1_000 }))));
    await settle();
    clock.advance(1_010);
    const error = await failed;
    assert.deepEqual([error.type, error.reason, error.status, error.retry], ['timeout', 'CONNECT_TIMEOUT', 504, 'never']);
    await settle();
    assert.equal(heard[0]?.stream.state, 'closed');
    const abort = new AbortController();
    const given = rejection(connector.connect(peer('origin.test:80', through()), abort.signal));
    await settle();
    abort.abort();
    assert.equal((await given).reason, 'CONNECT_ABORTED');
    await settle();
    assert.equal(heard[1]?.stream.state, 'closed');
    assert.equal(environment.deadlines.size, 0);
    assert.equal(connector.connectionCount, 0);
  });

  test('#242 the answer is kept with the connection, with what readResponse made of it; without one there is no user data', async () => {
    const { connector } = rig('HTTP/1.1 200 OK\r\nX-Exit: berlin\r\n\r\n');
    const readResponse: PeerViaOptions['readResponse'] = (response, request) => `${request.target} by ${response.headers.get('X-Exit')}`;
    const digest = proxyDigestOf((await connector.connect(peer('origin.test:80', through({ readResponse })))).stream.info);
    assert.equal(digest?.userData, 'origin.test:80 by berlin');
    assert.deepEqual([digest.response.status, digest.request.method], [200, 'CONNECT']);
    const { info } = (await connector.connect(peer('origin.test:80', through()))).stream;
    assert.equal(proxyDigestOf(info)?.userData, undefined);
    assert.equal(info.kind, 'connect');
    assert.equal(proxyDigestOf(memoryPair().a.info), null);
  });

  test('readResponse that throws refuses the connection', async () => {
    for (const [thrown, reason, status] of [
      [new Error('bug'), 'CONNECT_PROXY_READER_THREW', 500],
      [protocolError('MY_REASON', 'no', { wire: { status: 503 } }), 'MY_REASON', 503],
    ] as const) {
      const { connector, heard } = rig('HTTP/1.1 200 OK\r\n\r\n');
      const readResponse = (): never => {
        throw thrown;
      };
      const error = await rejection(connector.connect(peer('origin.test:80', through({ readResponse }))));
      assert.deepEqual([error.reason, error.status], [reason, status]);
      await settle();
      assert.equal(heard[0]?.stream.state, 'closed');
    }
  });

  test('a stream of the user’s that throws when the proxy is asked is ended, and that is all', async () => {
    const made: L4Stream[] = [];
    const { connector } = rig(null, {
      connect: async () => {
        const { a } = memoryPair();
        made.push(a);
        a.attach = (): never => {
          throw new Error('bug');
        };
        return a;
      },
    });
    assert.equal((await rejection(connector.connect(peer('origin.test:80', through())))).reason, 'CONNECT_THREW');
    await settle();
    assert.equal(made[0]?.state, 'closed');
    assert.equal(connector.connectionCount, 0);
  });

  test('TLS to the peer runs through the tunnel, and names the peer', async () => {
    const tls = new FakeTls(speaks('h2'));
    const { connector } = rig('HTTP/1.1 200 OK\r\n\r\n');
    const session = await connector.connect(peer('origin.test:443', through({}, { tls, protocol: 'auto' })));
    assert.equal(session.protocol, 'http2');
    assert.equal(tls.asked[0]?.host, 'origin.test');
    assert.equal(session.stream.info.kind, 'tls');
    assert.equal(proxyDigestOf(session.stream.info)?.response.status, 200);
  });

  test('TLS to the proxy itself, and a proxy in front of the proxy', async () => {
    const outer = new FakeTls(speaks('http/1.1'));
    const { connector, heard } = rig('HTTP/1.1 200 OK\r\n\r\n');
    const first = peer('first.test:3128', { tls: outer });
    await connector.connect(peer('origin.test:80', { via: { proxy: first } }));
    assert.equal(outer.asked[0]?.host, 'first.test');
    // The script answers once a connection, so the second proxy is silent: what it was asked shows the way.
    const second = peer('second.test:3128', { via: { proxy: first } });
    const abort = new AbortController();
    const given = rejection(connector.connect(peer('origin.test:80', { via: { proxy: second } }), abort.signal));
    for (let round = 0; round < 4; round++) await settle();
    assert.match(heard[1]?.text ?? '', /^CONNECT second\.test:3128 .*CONNECT origin\.test:80 /s);
    abort.abort();
    await given;
  });

  test('connections through different proxies, and with different fields, are never shared', () => {
    const reader = (): null => null;
    const keys = [
      peer('h:80'),
      peer('h:80', through()),
      peer('h:80', { via: { proxy: peer('unix:/run/other.sock') } }),
      peer('h:80', { via: { proxy: peer('unix:/run/proxy.sock', { group: 'b' }) } }),
      peer('h:80', through({ headers: { a: 'b' } })),
      peer('h:80', through({ headers: { a: 'c' } })),
      peer('h:80', through({ headers: { a: 'b', c: 'd' } })),
      peer('h:80', through({ readResponse: reader })),
    ].map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(peer('h:80', through({ headers: { a: 'b' } })).key, peer('h:80', through({ headers: new Map([['a', 'b']]) })).key);
  });

  test('refuses what could not work', () => {
    const asIf = (via: unknown): PeerOptions => ({ via }) as PeerOptions;
    for (const [options, message] of [
      [asIf(5), /via must be/],
      [asIf(null), /via must be/],
      [asIf({}), /must be made by peer/],
      [asIf({ proxy: 'unix:/run/proxy.sock' }), /must be made by peer/],
      [asIf({ proxy, header: {} }), /no option "header"/],
      [asIf({ proxy, readResponse: 5 }), /must be a function/],
      [asIf({ proxy: peer('h:80', { protocol: 'http2' }) }), /http1/],
      [asIf({ proxy: peer('h:80', { tls: true, protocol: 'auto' }) }), /http1/],
      [asIf({ proxy, headers: { Host: 'h' } }), /cannot say Host/],
      [asIf({ proxy, headers: { 'transfer-encoding': 'chunked' } }), /cannot say/],
      [asIf({ proxy, headers: { 'a b': 'c' } }), /./],
      [{ via: { proxy }, connect: async () => memoryPair().a }, /connect belongs to/],
      [{ via: { proxy }, localAddress: '127.0.0.1' }, /localAddress belongs to/],
      [{ via: { proxy }, keepAliveMs: 0 }, /keepAliveMs belongs to/],
    ] as const)
      assert.throws(() => peer('h:80', options), { name: 'TypeError', message });
    assert.throws(() => peer('unix:/run/app.sock', through()), { name: 'TypeError', message: /Unix socket/ });
  });

  test('over sockets: a proxy on a Unix socket, and a peer behind it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ferrata-via-'));
    const origin = await listen('127.0.0.1:0', (stream) => {
      stream.attach({
        onData: () => void stream.write(latin1Encode('HTTP/1.1 204 No Content\r\n\r\n')),
        onDrain: () => {},
        onEnd: () => stream.end(),
        onClose: () => {},
      });
    });
    assert.ok(origin.address.kind === 'ip');
    const { port } = origin.address;
    const front = await listen(`unix:${join(directory, 'proxy.sock')}`, (stream) => {
      let text = '';
      stream.attach({
        onData: (chunk) => {
          text += latin1Decode(chunk, 0, chunk.length);
          if (!text.includes('\r\n\r\n')) return;
          stream.pause();
          void connect(`127.0.0.1:${port}`).then((behind) => {
            stream.write(latin1Encode('HTTP/1.1 200 Connection established\r\n\r\n'));
            relay(stream, behind);
          });
        },
        onDrain: () => {},
        onEnd: () => {},
        onClose: () => {},
      });
    });
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    try {
      const to = peer(`127.0.0.1:${port}`, { via: { proxy: peer(`unix:${join(directory, 'proxy.sock')}`) } });
      const session = await connector.connect(to);
      const answered = Promise.withResolvers<number>();
      session.request(
        requestHead('GET', '/', { headers: { Host: 'h' } }),
        { bodyLength: 0, upgrade: null },
        {
          onInterim: () => {},
          onResponse: (head) => answered.resolve(head.status),
          onTunnel: () => {},
          onResponseData: () => {},
          onResponseEnd: () => {},
          onRequestDrain: () => {},
          onClientClose: () => {},
        },
      );
      assert.equal(await answered.promise, 204);
      assert.equal(session.stream.info.below?.kind, 'unix');
    } finally {
      connector.close();
      await front.close();
      await origin.close();
      rmSync(directory, { recursive: true });
    }
  });
});
