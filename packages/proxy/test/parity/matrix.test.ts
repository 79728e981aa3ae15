/** Behaviours B1 to B16 and B37 to B44 of Pingora's tests: which versions meet, what callbacks see, what is tried again, and how origins die. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http';
import { constants, createServer as createHttp2, createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import type { WireError } from '@ferrata/error';
import { KnownHeader } from '@ferrata/headers';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { AnswerableSession, HttpProxyOptions } from '@ferrata/proxy';
import { type PeerOptions, peer } from '@ferrata/upstream';
import { ask, exchangeRaw, Http2Client, type Origin, portIn, runOrigin, runProxy } from './socket-rig.ts';

const authority = await createAuthority();
const served = await authority.issue({ names: ['localhost', '127.0.0.1'] });
const ca = authority.certificate;
const pair = { cert: served.chain, key: served.key };
const tls = { certificates: [{ certificate: served.chain, key: served.key }] };
/** Linux has all of 127.0.0.0/8: so the address towards origins is seen to be the one that was asked for. */
const localAddress = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1';
const hello = 'Hello World!\n';

/** 13 bytes of known length, and who asked. */
function greet(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  response.setHeader('content-length', hello.length);
  response.setHeader('x-version', request.httpVersion);
  response.setHeader('x-from', request.socket.remoteAddress ?? '');
  (response as ServerResponse).end(hello);
}

/** The body of the request is the body of the answer. */
function echo(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  response.setHeader('x-framing', String(request.headers['transfer-encoding'] ?? request.headers['content-length']));
  (request as IncomingMessage).pipe(response as ServerResponse);
}

function toPort(port: number, options: PeerOptions = {}) {
  return peer(`127.0.0.1:${port}`, { localAddress, ...options });
}

describe('which versions meet', () => {
  test('#B1 an origin without a proxy answers with 13 bytes of known length', async () => {
    await using origin = await runOrigin(createHttp1(greet));
    const answer = await ask({ port: origin.port });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.toString()], [200, '13', hello]);
  });

  test('#B2 HTTP/1 to HTTP/1: the response whole, and all four addresses are there for callbacks', async () => {
    await using origin = await runOrigin(createHttp1(greet));
    await using proxy = await runProxy({ to: toPort(origin.port) });
    const answer = await ask({ port: proxy.port });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.toString()], [200, '13', hello]);
    assert.equal(answer.headers['x-from'], localAddress);
    const [seen] = proxy.seen;
    assert.ok(seen);
    assert.deepEqual([seen.listener, seen.origin], [`127.0.0.1:${proxy.port}`, `127.0.0.1:${origin.port}`]);
    assert.deepEqual([seen.client, seen.own], [`127.0.0.1:${portIn(seen.client)}`, `${localAddress}:${portIn(seen.own)}`]);
  });

  test('#B3 HTTP/2 over TLS to HTTP/1 over TLS: 200 over HTTP/2, and the same addresses', async () => {
    await using origin = await runOrigin(createHttps(pair, greet));
    await using proxy = await runProxy({ to: toPort(origin.port, { tls: { ca } }), tls });
    await using client = new Http2Client(`https://localhost:${proxy.port}`, { ca });
    const answer = await client.ask({ ':path': '/' });
    assert.deepEqual([answer.status, answer.headers['x-version'], answer.body.toString(), answer.code], [200, '1.1', hello, 0]);
    const [seen] = proxy.seen;
    assert.ok(seen);
    assert.deepEqual([seen.listener, seen.origin], [`127.0.0.1:${proxy.port}`, `127.0.0.1:${origin.port}`]);
    assert.deepEqual([seen.client, seen.own], [`127.0.0.1:${portIn(seen.client)}`, `${localAddress}:${portIn(seen.own)}`]);
  });

  test('#B4 HTTP/2 over TLS to HTTP/2 over TLS: the same', async () => {
    await using origin = await runOrigin(createSecureServer(pair, greet));
    await using proxy = await runProxy({ to: toPort(origin.port, { tls: { ca }, protocol: 'auto' }), tls });
    await using client = new Http2Client(`https://localhost:${proxy.port}`, { ca });
    const answer = await client.ask({ ':path': '/' });
    assert.deepEqual([answer.status, answer.headers['x-version'], answer.body.toString(), answer.code], [200, '2.0', hello, 0]);
    const [seen] = proxy.seen;
    assert.ok(seen);
    assert.deepEqual([seen.listener, seen.origin], [`127.0.0.1:${proxy.port}`, `127.0.0.1:${origin.port}`]);
    assert.deepEqual([seen.client, seen.own], [`127.0.0.1:${portIn(seen.client)}`, `${localAddress}:${portIn(seen.own)}`]);
  });

  test('#B5 HTTP/2 in the clear, known before, to the same: 200 over HTTP/2', async () => {
    await using origin = await runOrigin(createHttp2(greet));
    await using proxy = await runProxy({ to: toPort(origin.port, { protocol: 'http2' }) });
    await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
    const answer = await client.ask({ ':path': '/' });
    assert.deepEqual([answer.status, answer.headers['x-version'], answer.body.toString()], [200, '2.0', hello]);
  });

  test('#B6 HTTP/1 on the port that serves HTTP/2 in the clear', async () => {
    await using origin = await runOrigin(createHttp2(greet));
    await using proxy = await runProxy({ to: toPort(origin.port, { protocol: 'http2' }) });
    await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
    assert.equal((await client.ask({ ':path': '/' })).status, 200);
    const text = await exchangeRaw(proxy.port, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.ok(text.endsWith(hello));
  });

  test('#B7 HTTP/2 to HTTP/2 with a Host of the filter: it is :authority, and there is no Host beside it', async () => {
    const names = (request: Http2ServerRequest, response: Http2ServerResponse): void => {
      const { ':authority': authorityField, host } = request.headers;
      response.end(JSON.stringify([authorityField, host ?? null]));
    };
    await using origin = await runOrigin(createHttp2(names));
    await using proxy = await runProxy({
      to: toPort(origin.port, { protocol: 'http2' }),
      hooks: { upstreamRequestFilter: (_session, request) => void request.headers.setKnown(KnownHeader.host, 'other.test') },
    });
    await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
    const answer = await client.ask({ ':path': '/' });
    assert.deepEqual([answer.status, JSON.parse(answer.body.toString())], [200, ['other.test', null]]);
  });

  test('#B8 HTTP/2 to HTTP/2 with a body: it comes back byte for byte', async () => {
    const body = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7) & 0xff));
    await using origin = await runOrigin(createHttp2(echo));
    await using proxy = await runProxy({ to: toPort(origin.port, { protocol: 'http2' }) });
    await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
    const answer = await client.ask({ ':path': '/', ':method': 'POST' }, body);
    assert.deepEqual([answer.status, answer.code, answer.body.equals(body)], [200, 0, true]);
  });

  test('#B9 HTTP/2 to HTTP/1 with a body of no known length: in chunks, byte for byte', async () => {
    const body = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7) & 0xff));
    await using origin = await runOrigin(createHttp1(echo));
    await using proxy = await runProxy({ to: toPort(origin.port) });
    await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
    const answer = await client.ask({ ':path': '/', ':method': 'POST' }, body);
    assert.deepEqual([answer.status, answer.code, answer.headers['x-framing'], answer.body.equals(body)], [200, 0, 'chunked', true]);
  });

  test('#B10 HEAD over HTTP/2 with a length of 11: no body, and no error of the stream', async () => {
    const headOnly = (_request: unknown, response: ServerResponse | Http2ServerResponse): void => {
      response.setHeader('content-length', 11);
      (response as ServerResponse).end();
    };
    for (const [server, protocol] of [
      [createHttp1(headOnly), 'http1'],
      [createHttp2(headOnly), 'http2'],
    ] as const) {
      await using origin = await runOrigin(server);
      await using proxy = await runProxy({ to: toPort(origin.port, { protocol }) });
      await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
      const answer = await client.ask({ ':path': '/', ':method': 'HEAD' });
      assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length, answer.code], [200, '11', 0, 0]);
    }
  });

  test('#B11 clients on a Unix socket: its path is the address of the listener, and the client has none', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ferrata-parity-'));
    const socketPath = join(directory, 'proxy.sock');
    {
      await using origin = await runOrigin(createHttp1(greet));
      await using proxy = await runProxy({ to: toPort(origin.port), at: `unix:${socketPath}` });
      const answer = await ask({ socketPath });
      assert.deepEqual([answer.status, answer.body.toString()], [200, hello]);
      const [seen] = proxy.seen;
      assert.deepEqual([seen?.listener, seen?.client, seen?.origin], [`unix:${socketPath}`, '-', `127.0.0.1:${origin.port}`]);
      assert.equal(seen?.own, `${localAddress}:${portIn(seen?.own ?? '')}`);
    }
    rmSync(directory, { recursive: true });
  });

  test('#B12 an origin on a Unix socket: its path is its address, and ours has none', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ferrata-parity-'));
    const path = join(directory, 'origin.sock');
    {
      await using _origin = await runOrigin(createHttp1(greet), path);
      await using proxy = await runProxy({ to: peer(`unix:${path}`) });
      const answer = await ask({ port: proxy.port });
      assert.deepEqual([answer.status, answer.body.toString()], [200, hello]);
      assert.deepEqual([proxy.seen[0]?.origin, proxy.seen[0]?.own], [`unix:${path}`, '-']);
    }
    rmSync(directory, { recursive: true });
  });
});

/** Answers the first request of each connection with what it got, and ends the connection by the head of the second. */
function oneRequestEach(): Promise<Origin> {
  return runOrigin(
    createTcp((socket) => {
      let text = '';
      let isAnswered = false;
      socket.on('data', (piece) => {
        if (isAnswered) return void socket.destroy();
        text += piece.toString('latin1');
        const head = text.indexOf('\r\n\r\n');
        const length = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? 0);
        if (head < 0 || text.length < head + 4 + length) return;
        isAnswered = true;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${text.slice(head + 4)}`);
      });
    }),
  );
}

describe('a connection of the pool that the origin has given up', () => {
  /** What a second request gets, whose connection the first one has left. */
  async function second(method: string, body: string | undefined, isSentAgain: boolean) {
    await using origin = await oneRequestEach();
    await using proxy = await runProxy({
      to: toPort(origin.port),
      // Pingora sends whatever is whole in its buffer again on a fresh connection, POST too.
      hooks: isSentAgain ? { errorWhileProxy: (_session, _peer, error) => void (error.retry = 'always') } : {},
    });
    assert.equal((await ask({ port: proxy.port })).status, 200);
    assert.equal(origin.connectionCount, 1);
    const headers = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const answer = await ask({ port: proxy.port, method, headers }, body);
    return { answer, connections: origin.connectionCount, attempt: proxy.seen.at(-1)?.attempt };
  }

  test('#B13 GET is sent again on a fresh one', async () => {
    const { answer, connections, attempt } = await second('GET', undefined, false);
    assert.deepEqual([answer.status, connections, attempt], [200, 2, 2]);
  });

  test('#B14 POST with an empty body is sent again, where a hook says so; of itself it is 502', async () => {
    const { answer, connections } = await second('POST', '', true);
    assert.deepEqual([answer.status, connections], [200, 2]);
    const careful = await second('POST', '', false);
    assert.deepEqual([careful.answer.status, careful.connections], [502, 1]);
  });

  test('#B15 POST with four bytes is sent again with its body, where a hook says so; of itself it is 502', async () => {
    const { answer, connections } = await second('POST', 'echo', true);
    assert.deepEqual([answer.status, answer.body.toString(), connections], [200, 'echo', 2]);
    assert.equal((await second('POST', 'echo', false)).answer.status, 502);
  });

  test('#B16 POST with a byte more than 64 KiB is not sent again, whatever a hook says: 502', async () => {
    const { answer, connections } = await second('POST', 'x'.repeat(65_537), true);
    assert.deepEqual([answer.status, connections], [502, 1]);
    assert.equal((await second('POST', 'x'.repeat(65_536), true)).answer.status, 200);
  });
});

describe('Connection and CONNECT', () => {
  test('#B37 where sayKeepAlive is set an answer says Connection: keep-alive, of itself only to HTTP/1.0; close is answered by close', async () => {
    await using origin = await runOrigin(createHttp1(greet));
    for (const sayKeepAlive of [true, false]) {
      await using proxy = await runProxy({ to: toPort(origin.port), server: { connection: { sayKeepAlive } } });
      const asked = 'GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';
      const [, first = '', last = ''] = (await exchangeRaw(proxy.port, asked)).split('HTTP/1.1 200 OK\r\n');
      assert.deepEqual(first.match(/^connection:.*$/gim), sayKeepAlive ? ['Connection: keep-alive'] : null);
      assert.deepEqual(last.match(/^connection:.*$/gim), ['Connection: close']);
    }
    await using proxy = await runProxy({ to: toPort(origin.port) });
    const old = await exchangeRaw(proxy.port, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', (text) => text.endsWith(hello));
    assert.match(old, /^connection: keep-alive\r$/im);
  });

  test('#151 where allowPipelining is false a client that pipelines has the first answer, whole, and then the end', async () => {
    await using origin = await runOrigin(createHttp1(greet));
    await using proxy = await runProxy({ to: toPort(origin.port), server: { connection: { allowPipelining: false } } });
    const asked = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
    const text = await exchangeRaw(proxy.port, asked.repeat(3));
    assert.equal(text.split('HTTP/1.1 ').length, 2);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*^Connection: close\r$/ims);
    assert.ok(text.endsWith(hello));
    assert.equal(proxy.seen.length, 1);
    // Who waits for each answer notices nothing.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const isReused of [false, true, true]) assert.equal((await ask({ port: proxy.port, agent })).isReused, isReused);
    agent.destroy();
  });

  test('#B38 CONNECT over HTTP/1 is 405', async () => {
    await using proxy = await runProxy({ to: toPort(1) });
    const text = await exchangeRaw(proxy.port, 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 405 /);
    assert.equal(proxy.seen[0]?.origin, '');
  });

  test('#B39 CONNECT over HTTP/2 is 405, with an empty body where failToProxy answers so; of itself it has a line of text', async () => {
    for (const [hooks, body] of [
      [{ failToProxy: (session: AnswerableSession, { status }: WireError): void => session.respond(status) }, ''],
      [{}, '405 Method Not Allowed\n'],
    ] as const) {
      await using proxy = await runProxy({ to: toPort(1), hooks });
      await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
      const answer = await client.ask({ ':method': 'CONNECT', ':authority': 'h:443' });
      assert.deepEqual([answer.status, answer.body.toString(), answer.code], [405, body, 0]);
    }
  });

  test('#B40 CONNECT over HTTP/1, where it is allowed: the 200 of the peer, and what comes behind it, both ways', async () => {
    const asked = Promise.withResolvers<string>();
    await using origin = await runOrigin(
      createTcp((socket) => {
        let text = '';
        socket.on('data', (piece) => {
          text += piece.toString('latin1');
          if (text.includes('\r\n\r\nping')) asked.resolve(text);
          else if (text.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!');
        });
      }),
    );
    await using proxy = await runProxy({ to: toPort(origin.port), proxy: { allowConnect: true } });
    const text = await exchangeRaw(proxy.port, 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nping', (got) => got.endsWith('hello!'));
    assert.match(text, /^HTTP\/1\.1 200 .*\r\n\r\nhello!$/s);
    assert.match(await asked.promise, /^CONNECT h:443 HTTP\/1\.1\r\n.*\r\n\r\nping$/s);
  });
});

/** Answers each connection with these bytes, and then does something to it. */
function scripted(bytes: string, then: (socket: Socket) => void = () => {}): Promise<Origin> {
  return runOrigin(createTcp((socket) => void socket.once('data', () => socket.write(bytes, () => then(socket)))));
}

/** No words for people: an error is its status. */
const emptyPage: HttpProxyOptions['errorPage'] = () => ({});

describe('how origins die', () => {
  test('#B41 before a head: an HTTP/2 client has a whole response of an error, empty if the page is, and no reset', async () => {
    await using origin = await scripted('', (socket) => void socket.resetAndDestroy());
    await using proxy = await runProxy({ to: toPort(origin.port), proxy: { errorPage: emptyPage } });
    await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
    const answer = await client.ask({ ':path': '/' });
    assert.deepEqual([answer.status, answer.body.length, answer.code], [502, 0, 0]);
  });

  test('#B42 within a body: an HTTP/2 client has the bytes that came, then a reset, by CANCEL where resetCode says so; of itself by INTERNAL_ERROR', async () => {
    for (const [settings, code] of [
      [{ resetCode: Http2ErrorCode.cancel }, constants.NGHTTP2_CANCEL],
      [{}, constants.NGHTTP2_INTERNAL_ERROR],
    ] as const) {
      const passed = Promise.withResolvers<void>();
      await using origin = await scripted('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', (socket) => {
        // Not before the bytes have been read: a reset may overtake them.
        void passed.promise.then(() => socket.resetAndDestroy());
      });
      await using proxy = await runProxy({
        to: toPort(origin.port),
        hooks: {
          earlyRequestFilter: (session) => session.adjust(settings),
          responseBodyFilter: (_session, chunk) => {
            passed.resolve();
            return chunk;
          },
        },
      });
      await using client = new Http2Client(`http://127.0.0.1:${proxy.port}`);
      const answer = await client.ask({ ':path': '/' });
      assert.deepEqual([answer.status, answer.body.toString(), answer.code], [200, 'hello', code]);
    }
  });

  test('#B43 103 and then 200: the client has the 200, whole', async () => {
    await using origin = await scripted(
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n123456',
    );
    await using proxy = await runProxy({ to: toPort(origin.port) });
    const answer = await ask({ port: proxy.port });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.toString()], [200, '6', '123456']);
  });

  test('#B44 103 and then the end: 502', async () => {
    await using origin = await scripted('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n', (socket) => void socket.end());
    await using proxy = await runProxy({ to: toPort(origin.port) });
    const answer = await ask({ port: proxy.port });
    assert.deepEqual([answer.status, answer.isCut], [502, false]);
  });
});
