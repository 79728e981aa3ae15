/** Both sessions against node:http2 over real sockets, without TLS: an implementation that is not ours on the other side. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect as connectSocket, createServer as createSocketServer } from 'node:net';
import { after, describe, it } from 'node:test';
import type { HeaderMap } from '@ferrata/headers';
import { Http2ClientSession, HttpEnvironment, HttpServer, resolveHttp2ClientOptions, respond } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { ClientFollower, request, response } from './rig.ts';
import { streamOf } from './socket-stream.ts';

const MEGABYTE = 1_048_576;

/** Bytes that tell their place and their owner. */
function patterned(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >>> 8) * 7 + seed) & 0xff);
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly interim: number[];
  readonly trailers: IncomingHttpHeaders | null;
  readonly body: Uint8Array;
}

async function ask(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array,
  trailers?: OutgoingHttpHeaders,
): Promise<Answer> {
  const stream = client.request(headers, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
  const interim: number[] = [];
  let received: IncomingHttpHeaders = {};
  let receivedTrailers: IncomingHttpHeaders | null = null;
  stream.on('headers', (fields) => interim.push(Number(fields[':status'])));
  stream.on('response', (fields) => (received = fields));
  stream.on('trailers', (fields: IncomingHttpHeaders) => {
    receivedTrailers = fields;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  if (body !== undefined) stream.end(body);
  const chunks: Uint8Array[] = [];
  stream.on('data', (chunk: Uint8Array) => chunks.push(chunk));
  await once(stream, 'close');
  return { headers: received, interim, trailers: receivedTrailers, body: Buffer.concat(chunks) };
}

describe('an HttpServer and a client of node:http2', () => {
  const server = new HttpServer({
    onRequest(exchange) {
      const { target, method, headers } = exchange.request;
      if (exchange.expectsContinue) exchange.sendInterim(response(100));
      if (target === '/hints') exchange.sendInterim(response(103, { Link: '</a>; rel=preload' }));
      let isFull = false;
      let ended: HeaderMap | null | undefined;
      const finish = (): void => exchange.sendEnd(ended ?? null);
      if (method === 'GET') respond(exchange, 200, { body: `${target} for ${headers.get('host') ?? ''}` });
      else exchange.sendHead(response(200, { 'X-Cookie': headers.get('cookie') ?? '' }), BodyLength.chunked);
      return {
        onRequestData(chunk) {
          if (exchange.sendData(chunk)) return;
          isFull = true;
          exchange.pauseRequest();
        },
        onRequestEnd(trailers) {
          ended = trailers;
          if (method !== 'GET' && !isFull) finish();
        },
        onResponseDrain() {
          isFull = false;
          if (ended !== undefined) finish();
          else exchange.resumeRequest();
        },
        onExchangeClose() {},
      };
    },
  });
  const listener = createSocketServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.accept(streamOf(socket)));
  const opened = new Promise<ClientHttp2Session>((resolve, reject) => {
    listener.listen(0, '127.0.0.1', () => {
      // More than node:http2's own default, which ten such bodies may fill.
      const client = connect(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`, { maxSessionMemory: 100 });
      client.once('connect', () => resolve(client));
      client.once('error', reject);
    });
  });
  after(async () => {
    (await opened).close();
    await server.drain(2_000);
    listener.close();
  });

  it('exchange small messages', async () => {
    const answer = await ask(await opened, { ':path': '/news' });
    assert.equal(answer.headers[':status'], 200);
    assert.match(new TextDecoder().decode(answer.body), /^\/news for 127\.0\.0\.1:\d+$/);
    assert.equal(Number(answer.headers['content-length']), answer.body.length);
  });

  it('exchange interim responses', async () => {
    assert.deepEqual((await ask(await opened, { ':path': '/hints' })).interim, [103]);
    const continued = await ask(await opened, { ':path': '/', ':method': 'POST', expect: '100-continue' }, new Uint8Array(5));
    assert.deepEqual(continued.interim, [100]);
    assert.equal(continued.body.length, 5);
  });

  it('exchange trailers and cookies', async () => {
    const headers = { ':path': '/', ':method': 'POST', cookie: ['a=1', 'b=2'] };
    const answer = await ask(await opened, headers, new Uint8Array(3), { 'x-sum': '3' });
    assert.equal(answer.headers['x-cookie'], 'a=1; b=2');
    assert.equal(answer.trailers?.['x-sum'], '3');
  });

  it('exchange bodies of 1 MiB each way, ten at once', async () => {
    const client = await opened;
    await Promise.all(
      Array.from({ length: 10 }, async (_, seed) => {
        const body = patterned(MEGABYTE, seed);
        const answer = await ask(client, { ':path': `/${seed}`, ':method': 'POST' }, body);
        assert.equal(Buffer.compare(answer.body, body), 0);
      }),
    );
  });

  it('part in order: GOAWAY, and what runs is finished', async () => {
    const port = (listener.address() as AddressInfo).port;
    const client = connect(`http://127.0.0.1:${port}`);
    await once(client, 'connect');
    const answer = await ask(client, { ':path': '/last' });
    assert.equal(answer.headers[':status'], 200);
    client.close();
    await once(client, 'close');
  });
});

describe('an Http2ClientSession and a server of node:http2', () => {
  const origin = createServer();
  origin.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':path'] === '/hints') stream.additionalHeaders({ ':status': 103, link: '</a>' });
    if (headers[':path'] === '/refuse') {
      stream.close(7);
      return;
    }
    stream.respond({ ':status': 200, 'x-path': headers[':path'] ?? '' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }));
    stream.pipe(stream);
  });
  const opened = new Promise<Http2ClientSession>((resolve, reject) => {
    origin.listen(0, '127.0.0.1', () => {
      const socket = connectSocket({ port: (origin.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        const owner = { onSessionIdle() {}, onSessionClose() {} };
        const session = new Http2ClientSession(streamOf(socket), new HttpEnvironment(), resolveHttp2ClientOptions(), owner);
        session.start();
        resolve(session);
      });
    });
  });
  after(async () => {
    (await opened).close();
    origin.close();
  });

  function exchange(
    session: Http2ClientSession,
    target: string,
    body?: Uint8Array,
  ): Promise<{ follower: ClientFollower; body: Uint8Array; sum: string | null | undefined }> {
    return new Promise((resolve) => {
      const chunks: Uint8Array[] = [];
      let sum: string | null | undefined;
      const follower = new ClientFollower();
      follower.onResponseData = (chunk) => void chunks.push(chunk);
      let at = 0;
      const send = (): void => {
        if (body === undefined) return;
        while (at < body.length) {
          const end = Math.min(body.length, at + 50_000);
          const hasRoom = running.sendData(body.subarray(at, end));
          at = end;
          if (!hasRoom && at < body.length) return;
        }
        running.sendEnd();
      };
      follower.react = {
        onRequestDrain: send,
        onResponseEnd: (trailers) => (sum = trailers?.get('x-sum')),
        onClientClose: () => resolve({ follower, body: Buffer.concat(chunks), sum }),
      };
      const bodyLength = body === undefined ? 0 : body.length;
      const running = session.request(request(body === undefined ? 'GET' : 'POST', target), { bodyLength, upgrade: null }, follower);
      send();
    });
  }

  it('exchange small messages, trailers and interim responses', async () => {
    const session = await opened;
    const { follower, sum } = await exchange(session, '/hints');
    assert.deepEqual(follower.heard.slice(0, 2), ['interim 103', '200 -1']);
    assert.deepEqual(follower.closes, [null]);
    assert.equal(sum, '7');
  });

  it('tell a refused stream, which may be sent again', async () => {
    const { follower } = await exchange(await opened, '/refuse');
    assert.equal(follower.closes[0]?.retry, 'always');
    assert.equal((await opened).isReusable, true);
  });

  it('exchange bodies of 1 MiB each way, ten at once', async () => {
    const session = await opened;
    await Promise.all(
      Array.from({ length: 10 }, async (_, seed) => {
        const body = patterned(MEGABYTE, seed);
        const answer = await exchange(session, `/${seed}`, body);
        assert.deepEqual(answer.follower.closes, [null]);
        assert.equal(Buffer.compare(answer.body, body), 0);
      }),
    );
  });
});
