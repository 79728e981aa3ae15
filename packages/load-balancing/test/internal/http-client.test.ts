/** The small HTTP client against servers of node:http, node:http2 and node:net. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server, createSecureServer } from 'node:http2';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpEnvironment } from '@ferrata/http';
import { TlsClient } from '@ferrata/net';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type HttpAsk, HttpClient, type HttpTarget } from '../../src/internal/http-client.ts';
import { listening, rejection, settle } from './http-rig.ts';

const authority = await createAuthority();
const [served, elsewhere] = await Promise.all([
  authority.issue({ names: ['127.0.0.1', 'app.test'] }),
  authority.issue({ names: ['elsewhere.test'] }),
]);
const tls = new TlsClient({ ca: authority.certificate });
const get: HttpAsk = { method: 'GET', path: '/' };
const nowhere = { kind: 'tcp', host: '127.0.0.1', port: 9 } as const;

function clientOf(keepConnection = false): HttpClient {
  return new HttpClient({ environment: new HttpEnvironment(), keepConnection });
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** A client whose time stands still, and a server in memory that hears and says nothing by itself. */
function silentRig() {
  const clock = new ManualClock();
  const client = new HttpClient({ environment: new HttpEnvironment({ clock }) });
  const { a, b } = memoryPair();
  const received: string[] = [];
  let closed = 0;
  b.attach({ onData: (chunk) => void received.push(text(chunk)), onDrain() {}, onEnd() {}, onClose: () => void closed++ });
  const target: HttpTarget = { address: nowhere, connect: () => Promise.resolve(a) };
  return { clock, client, target, peer: b, received, isClosed: () => closed > 0 };
}

/** What a follower heard. */
function followerOf() {
  const heard: string[] = [];
  const follower = {
    onHead: (status: number) => void heard.push(`head ${status}`),
    onData: (chunk: Uint8Array) => void heard.push(`data ${text(chunk)}`),
    onEnd: (error: { readonly reason: string } | null) => void heard.push(`end ${error?.reason ?? 'whole'}`),
  };
  return { heard, follower };
}

/** A server of plain bytes: what it does with a connection once it was asked. */
function rawServer(answer: (socket: Socket) => void) {
  return createTcpServer((socket) => socket.once('data', () => answer(socket)));
}

/** Of what is live, in the heap and in buffers. */
function bytesInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('one question', () => {
  test('gets status, fields and body, and closes its connection behind it', async (t) => {
    const seen: unknown[] = [];
    const server = await listening(
      t,
      createHttpServer((request, response) => {
        seen.push([request.method, request.url, request.headers.host, request.headers.connection, request.headers['x-one']]);
        response.setHeader('x-answer', 'yes').end('hello');
      }),
    );
    const answer = await clientOf().ask({ address: server.address }, { method: 'GET', path: '/a?b', headers: [['X-One', '1']] });
    assert.deepEqual([answer.status, answer.headers.get('x-answer'), text(answer.body), answer.trailers], [200, 'yes', 'hello', null]);
    assert.deepEqual(seen, [['GET', '/a?b', `127.0.0.1:${server.port}`, 'close', '1']]);
    await server.allGone();
  });

  test('takes its own Host, and a body, which it sends with its length', async (t) => {
    const server = await listening(
      t,
      createHttpServer((request, response) => {
        void request.toArray().then((chunks) => {
          response.end(`${request.headers.host} ${request.headers['content-length']} ${Buffer.concat(chunks as Buffer[]).toString()}`);
        });
      }),
    );
    const answer = await clientOf().ask(
      { address: server.address },
      { method: 'POST', path: '/', headers: [['host', 'app.test']], body: 'größe' },
    );
    assert.equal(text(answer.body), 'app.test 7 größe');
  });

  test('goes over HTTP/2 with prior knowledge, and hears trailers', async (t) => {
    const plain = createHttp2Server();
    plain.on('stream', (stream, headers) => {
      stream.respond({ ':status': 203, 'x-authority': headers[':authority'], 'x-scheme': headers[':scheme'] }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-last': 'word' }));
      stream.end('two');
    });
    const server = await listening(t, plain);
    const answer = await clientOf().ask({ address: server.address, protocol: 'http2' }, get);
    assert.deepEqual([answer.status, text(answer.body), answer.trailers?.get('x-last')], [203, 'two', 'word']);
    assert.deepEqual([answer.headers.get('x-authority'), answer.headers.get('x-scheme')], [`127.0.0.1:${server.port}`, 'http']);
    await server.allGone();
  });

  test('speaks over TLS what ALPN agrees on, or what it is told to', async (t) => {
    const secure = createSecureServer({ allowHTTP1: true, cert: served.chain, key: served.key }, (request, response) => {
      response.end(request.httpVersion);
    });
    const server = await listening(t, secure);
    const ask = async (protocol: 'http1' | 'http2' | 'auto') =>
      text((await clientOf().ask({ address: server.address, tls, protocol }, get)).body);
    assert.deepEqual([await ask('http1'), await ask('http2'), await ask('auto')], ['1.1', '2.0', '2.0']);
    await server.allGone();
  });

  test('asks TLS for the name it was given, and trusts no other', async (t) => {
    const secure = createSecureServer({ allowHTTP1: true, cert: elsewhere.chain, key: elsewhere.key }, (_request, response) => {
      response.end('in');
    });
    const server = await listening(t, secure);
    const target = { address: server.address, tls };
    assert.equal((await rejection(clientOf().ask(target, get))).reason, 'TLS_HOSTNAME_MISMATCH');
    assert.equal(text((await clientOf().ask({ ...target, servername: 'elsewhere.test' }, get)).body), 'in');
    await server.allGone();
  });

  test('is refused when HTTP/2 is wanted and the server agrees on nothing (RFC 9113 §3.3)', async (t) => {
    const { createServer } = await import('node:https');
    const server = await listening(
      t,
      createServer({ cert: served.chain, key: served.key }, (_request, response) => void response.end()),
    );
    const error = await rejection(clientOf().ask({ address: server.address, tls, protocol: 'http2' }, get));
    assert.match(error.reason, /^TLS_(ALPN_MISMATCH|HANDSHAKE_FAILED|.*ALPN.*)$/);
    await server.allGone();
  });

  test('says so when the server speaks no TLS, or nothing of HTTP', async (t) => {
    const server = await listening(
      t,
      rawServer((socket) => void socket.end('220 mail.test ESMTP\r\n')),
    );
    assert.equal((await rejection(clientOf().ask({ address: server.address, tls }, get))).type, 'tls');
    assert.equal((await rejection(clientOf().ask({ address: server.address }, get))).type, 'protocol');
    assert.notEqual((await rejection(clientOf().ask({ address: server.address, protocol: 'http2' }, get))).type, 'internal');
    await server.allGone();
  });

  test('fails with what a refused connection fails by', async (t) => {
    const server = createTcpServer();
    const { address } = await listening(t, server);
    await new Promise((resolve) => server.close(resolve));
    assert.equal((await rejection(clientOf().ask({ address }, get))).reason, 'CONNECT_REFUSED');
  });

  test('reads no more of a body than it may, whether its length is announced or not', async (t) => {
    const server = await listening(
      t,
      createHttpServer((request, response) => {
        if (request.url === '/announced') response.setHeader('content-length', 1_000_000).flushHeaders();
        else response.flushHeaders();
        const timer = setInterval(() => response.write('x'.repeat(1_000)), 1);
        response.once('close', () => clearInterval(timer));
      }),
    );
    for (const path of ['/announced', '/endless']) {
      const error = await rejection(clientOf().ask({ address: server.address }, { method: 'GET', path, maxBodyBytes: 4_000 }));
      assert.deepEqual([error.type, error.reason], ['limit', 'HTTP_BODY_TOO_LARGE']);
    }
    await server.allGone();
  });

  test('keeps no more than its bytes of a body that comes byte by byte', async () => {
    const { client, target, peer } = silentRig();
    const count = 262_144;
    const asked = client.ask(target, get);
    await settle();
    peer.write(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'));
    await settle();
    const before = bytesInUse();
    for (let at = 0; at < count; at++) {
      peer.write(Uint8Array.of(0x61));
      if (at % 1_024 === 0) await settle();
    }
    await settle();
    const grown = bytesInUse() - before;
    assert.ok(grown < 16 * count, `${count} bytes are kept in ${grown}`);
    peer.end();
    const { body } = await asked;
    assert.equal(body.length, count);
    assert.ok(body.every((byte) => byte === 0x61));
  });

  test('of HEAD ends with its head, however long the body would be', async (t) => {
    const server = await listening(
      t,
      createHttpServer((_request, response) => void response.setHeader('content-length', 5_000_000).end()),
    );
    const answer = await clientOf().ask({ address: server.address }, { method: 'HEAD', path: '/' });
    assert.deepEqual([answer.status, answer.body.length], [200, 0]);
  });

  test('fails when the answer is reset, at whichever byte', async (t) => {
    const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789';
    for (const length of [0, 1, 12, 30, whole.length - 10, whole.length - 1]) {
      const server = await listening(
        t,
        rawServer((socket) => {
          if (length === 0) socket.resetAndDestroy();
          else socket.write(whole.slice(0, length), () => socket.resetAndDestroy());
        }),
      );
      const error = await rejection(clientOf().ask({ address: server.address }, get));
      assert.match(error.type, /^(io|protocol)$/, `${length}: ${error.message}`);
      await server.allGone();
    }
  });

  test('refuses what is no request, and limits that are none, without connecting', async () => {
    const client = clientOf();
    const connect = (): Promise<L4Stream> => assert.fail('it connected');
    for (const wrong of [
      { method: 'G T', path: '/' },
      { method: 'CONNECT', path: '/' },
      { method: 'GET', path: '/a b' },
      { method: 'GET', path: '/', headers: [['x', 'a\r\nb']] as const },
    ])
      await assert.rejects(client.ask({ address: nowhere, connect }, wrong), TypeError);
    for (const limits of [{ timeoutMs: 0 }, { timeoutMs: Infinity }, { maxBodyBytes: -1 }])
      await assert.rejects(client.ask({ address: nowhere, connect }, { ...get, ...limits }), RangeError);
    const { follower, heard } = followerOf();
    assert.throws(() => client.follow({ address: nowhere }, { ...get, idleTimeoutMs: 0 }, follower), RangeError);
    assert.deepEqual(heard, []);
  });
});

describe('time', () => {
  test('of a connection that is never made is up, and what comes later is dropped', async () => {
    const clock = new ManualClock();
    const client = new HttpClient({ environment: new HttpEnvironment({ clock }) });
    const { a, b } = memoryPair();
    let isAborted = false;
    let arrive = (): void => {};
    const connect = (signal: AbortSignal): Promise<L4Stream> => {
      signal.addEventListener('abort', () => (isAborted = true));
      return new Promise((resolve) => (arrive = () => resolve(a)));
    };
    const asked = rejection(client.ask({ address: nowhere, connect }, { ...get, timeoutMs: 300 }));
    await settle();
    clock.advance(299);
    await settle();
    assert.equal(isAborted, false);
    clock.advance(20);
    assert.deepEqual([(await asked).reason, isAborted], ['CONNECT_TIMEOUT', true]);
    arrive();
    let isGone = false;
    b.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: () => (isGone = true) });
    await settle();
    assert.equal(isGone, true);
    assert.equal(clock.pendingCount <= 1, true);
  });

  test('of a handshake, and of an answer, counts from the start of all of it', async () => {
    const rig = silentRig();
    const asked = rejection(rig.client.ask({ ...rig.target, tls }, { ...get, timeoutMs: 500 }));
    await settle();
    rig.clock.advance(520);
    assert.equal((await asked).reason, 'TLS_HANDSHAKE_TIMEOUT');
    await settle();
    assert.equal(rig.isClosed(), true);

    const other = silentRig();
    const again = rejection(other.client.ask(other.target, { ...get, timeoutMs: 500 }));
    await settle();
    assert.match(other.received.join(''), /^GET \/ HTTP\/1\.1\r\n/);
    other.clock.advance(400);
    other.peer.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab'));
    await settle();
    other.clock.advance(120);
    assert.equal((await again).reason, 'HTTP_ANSWER_TIMEOUT');
    await settle();
    assert.equal(other.isClosed(), true);
  });

  test('of whoever gives up is over at once, in every phase', async () => {
    for (const phase of ['before', 'connecting', 'answering'] as const) {
      const rig = silentRig();
      const abort = new AbortController();
      if (phase === 'before') abort.abort();
      const connect = phase === 'connecting' ? () => new Promise<L4Stream>(() => {}) : rig.target.connect;
      const asked = rejection(rig.client.ask({ address: nowhere, connect: connect ?? null }, { ...get, signal: abort.signal }));
      await settle();
      abort.abort();
      assert.equal((await asked).reason, 'HTTP_ABORTED', phase);
      await settle();
      if (phase === 'answering') assert.equal(rig.isClosed(), true);
    }
  });

  test('of a program that closes its client is over for all who ask, and for whoever comes after', async () => {
    const rig = silentRig();
    const asked = rejection(rig.client.ask(rig.target, get));
    await settle();
    rig.client.close();
    assert.equal((await asked).reason, 'HTTP_CLIENT_CLOSED');
    assert.equal((await rejection(rig.client.ask(rig.target, get))).reason, 'HTTP_CLIENT_CLOSED');
    await settle();
    assert.equal(rig.isClosed(), true);
  });
});

describe('connections that are kept', () => {
  test('carry one question after the other, of both versions', async (t) => {
    const plain = await listening(
      t,
      createHttpServer((_request, response) => void response.end('1')),
    );
    const two = createHttp2Server((_request, response) => void response.end('2'));
    const prior = await listening(t, two);
    const client = clientOf(true);
    for (let round = 0; round < 3; round++) {
      assert.equal(text((await client.ask({ address: plain.address }, get)).body), '1');
      assert.equal(text((await client.ask({ address: prior.address, protocol: 'http2' }, get)).body), '2');
    }
    assert.deepEqual([plain.accepted(), prior.accepted(), client.keptCount], [1, 1, 2]);
    client.close();
    await Promise.all([plain.allGone(), prior.allGone()]);
    assert.equal(client.keptCount, 0);
  });

  test('are not shared by targets that differ in name or protocol', async (t) => {
    const secure = createSecureServer(
      { allowHTTP1: true, cert: served.chain, key: served.key },
      (_request, response) => void response.end(),
    );
    const server = await listening(t, secure);
    const client = clientOf(true);
    for (const more of [{}, { servername: 'app.test' }, { protocol: 'http1' as const }, {}])
      await client.ask({ address: server.address, tls, ...more }, get);
    assert.equal(server.accepted(), 3);
    client.close();
  });

  test('that are gone when they are needed cost a second try, and nobody hears of it', async () => {
    const clock = new ManualClock();
    const client = new HttpClient({ environment: new HttpEnvironment({ clock }), keepConnection: true });
    const peers: L4Stream[] = [];
    const connect = (): Promise<L4Stream> => {
      const { a, b } = memoryPair();
      const isFirst = peers.push(b) === 1;
      let count = 0;
      b.attach({
        onData() {
          if (isFirst && count++ > 0) b.end();
          else b.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
        },
        onDrain() {},
        onEnd() {},
        onClose() {},
      });
      return Promise.resolve(a);
    };
    const target = { address: nowhere, connect };
    assert.equal((await client.ask(target, get)).status, 200);
    assert.equal((await client.ask(target, get)).status, 200);
    assert.equal(peers.length, 2);
    client.close();
  });

  test('that are idle for a minute, or one too many, are closed', async () => {
    const clock = new ManualClock();
    const client = new HttpClient({ environment: new HttpEnvironment({ clock }), keepConnection: true, maxKept: 2 });
    let open = 0;
    const targetOf = (port: number): HttpTarget => ({
      address: { kind: 'tcp', host: '127.0.0.1', port },
      connect: () => {
        const { a, b } = memoryPair();
        open++;
        b.attach({
          onData: () => void b.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')),
          onDrain() {},
          onEnd() {},
          onClose: () => void open--,
        });
        return Promise.resolve(a);
      },
    });
    for (const port of [1, 2, 3]) await client.ask(targetOf(port), get);
    await settle();
    assert.deepEqual([client.keptCount, open], [2, 2]);
    clock.advance(80_000);
    await settle();
    assert.deepEqual([client.keptCount, open], [0, 0]);
  });
});

describe('following an answer', () => {
  test('tells it piece by piece, long after the time of its head', async () => {
    const rig = silentRig();
    const { heard, follower } = followerOf();
    rig.client.follow(rig.target, { ...get, timeoutMs: 100 }, follower);
    await settle();
    rig.peer.write(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'));
    await settle();
    for (const piece of ['one', 'two']) {
      rig.clock.advance(3_600_000);
      rig.peer.write(Buffer.from(`3\r\n${piece}\r\n`));
      await settle();
    }
    rig.peer.write(Buffer.from('0\r\n\r\n'));
    await settle();
    assert.deepEqual(heard, ['head 200', 'data one', 'data two', 'end whole']);
    assert.equal(rig.isClosed(), true);
  });

  test('ends when the head is late, and when the body is silent for too long', async () => {
    const rig = silentRig();
    const late = followerOf();
    rig.client.follow(rig.target, { ...get, timeoutMs: 100 }, late.follower);
    await settle();
    rig.clock.advance(120);
    assert.deepEqual(late.heard, ['end HTTP_ANSWER_TIMEOUT']);

    const other = silentRig();
    const silent = followerOf();
    other.client.follow(other.target, { ...get, timeoutMs: 100, idleTimeoutMs: 1_000 }, silent.follower);
    await settle();
    other.peer.write(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'));
    await settle();
    other.clock.advance(900);
    other.peer.write(Buffer.from('1\r\nb\r\n'));
    await settle();
    other.clock.advance(900);
    assert.deepEqual(silent.heard, ['head 200', 'data a', 'data b']);
    other.clock.advance(120);
    assert.deepEqual(silent.heard.at(-1), 'end HTTP_SILENT');
    await settle();
    assert.equal(other.isClosed(), true);
  });

  test('says nothing after it was cancelled, and drops the connection', async () => {
    const rig = silentRig();
    const { heard, follower } = followerOf();
    const following = rig.client.follow(rig.target, get, follower);
    await settle();
    rig.peer.write(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'));
    await settle();
    following.cancel();
    following.cancel();
    rig.peer.write(Buffer.from('1\r\nb\r\n'));
    await settle();
    assert.deepEqual([heard, rig.isClosed()], [['head 200', 'data a'], true]);
  });

  test('of a follower that throws ends with its error, and the process goes on', async () => {
    const rig = silentRig();
    const { heard, follower } = followerOf();
    const failing = {
      ...follower,
      onData: () => assert.fail('of the follower'),
      onEnd: (error: { readonly reason: string } | null) => {
        follower.onEnd(error);
        assert.fail('once more');
      },
    };
    rig.client.follow(rig.target, get, failing);
    await settle();
    rig.peer.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na'));
    await settle();
    assert.equal(heard.length, 2);
    assert.match(heard[1] ?? '', /^end (?!whole)/);
    assert.equal(rig.isClosed(), true);
  });
});
