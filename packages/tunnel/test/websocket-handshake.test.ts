/** Handshakes over both versions of HTTP, good and bad, and the life of sessions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { seededRandom } from '@ferrata/clock';
import { internalError } from '@ferrata/error';
import { requestHead, responseHead } from '@ferrata/headers';
import { type ClientSession, HttpEnvironment, HttpServer, respond, type ServerExchange } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  type AcceptWebSocketOptions,
  acceptKey,
  acceptWebSocket,
  acceptWebSocketStream,
  answerFields,
  connectWebSocket,
  connectWebSocketStream,
  isWebSocketRequest,
  offerFields,
  readAnswer,
  type WebSocketHandler,
  WebSocketSession,
  webSocketStream,
  zlibCompression,
} from '@ferrata/tunnel';
import { Role } from '@ferrata/websocket';
import { clientOn, settle, type Version } from './rig.ts';
import { KEPT_WINDOWS, Log } from './websocket-rig.ts';

const ignores = { onRequestData: () => {}, onRequestEnd: () => {}, onResponseDrain: () => {}, onExchangeClose: () => {} };

/** A server that runs `serve` for each request, and a client session to it, in memory. */
async function rig(
  version: Version,
  serve: (exchange: ServerExchange) => void,
): Promise<{ session: ClientSession; environment: HttpEnvironment; server: HttpServer; closed: string[] }> {
  const environment = new HttpEnvironment();
  const closed: string[] = [];
  const server = new HttpServer(
    {
      onRequest(exchange) {
        serve(exchange);
        return { ...ignores, onExchangeClose: (error) => void closed.push(error?.reason ?? 'null') };
      },
    },
    { environment, http2: { extendedConnect: true } },
  );
  const { a, b } = memoryPair();
  server.accept(b);
  const session = clientOn(a, version, environment);
  await settle();
  return { session, environment, server, closed };
}

const base = { authority: 'example.org' };

for (const version of ['http1', 'http2'] as const) {
  describe(`WebSocket over ${version}`, () => {
    test('messages go both ways, compressed where agreed, and both ends hear of the orderly end', async () => {
      const theirs = new Log();
      let accepted: WebSocketSession | null = null;
      const options: AcceptWebSocketOptions = { deflate: {}, chooseSubprotocol: (offered) => offered[1] ?? null };
      const { session, environment, closed } = await rig(version, (exchange) => {
        assert.equal(isWebSocketRequest(exchange), true);
        accepted = acceptWebSocket(exchange, theirs, options);
        accepted?.start();
        accepted?.sendText('welcome');
      });
      const ours = new Log();
      const client = await connectWebSocket(session, ours, {
        ...base,
        environment,
        target: '/chat?x=1',
        subprotocols: ['a', 'b'],
        deflate: {},
        headers: { Origin: 'https://example.org' },
      });
      client.start();
      assert.deepEqual([client.subprotocol, client.isDeflateAgreed, client.isOpen], ['b', true, true]);
      client.sendText('ferrata '.repeat(500));
      client.sendBinary(new Uint8Array(3));
      client.ping(new Uint8Array(2));
      await theirs.has(3);
      client.close(4_000, 'enough');
      assert.deepEqual(await ours.closed, { code: 4_000, reason: '', error: null });
      assert.deepEqual(await theirs.closed, { code: 4_000, reason: 'enough', error: null });
      assert.deepEqual(theirs.lines, ['text 4000', 'binary 3', 'ping 2', 'close 4000 null']);
      assert.deepEqual(
        ours.lines.filter((line) => line !== 'drain'),
        ['text welcome', 'pong 2', 'close 4000 null'],
      );
      await settle();
      assert.deepEqual(closed, ['null'], 'the exchange has ended, too');
      session.close();
    });

    test('a stream of bytes goes through, inside a second one', async () => {
      let inner: L4Stream | null = null;
      const { session, environment } = await rig(version, (exchange) => {
        const stream = acceptWebSocketStream(exchange) as L4Stream;
        inner = webSocketStream(Role.server, stream, { environment });
      });
      const outer = await connectWebSocketStream(session, { ...base, environment });
      const client = webSocketStream(Role.client, outer, { environment });
      const [sinkA, sinkB] = [new RecordingSink(), new RecordingSink()];
      client.attach(sinkA);
      (inner as unknown as L4Stream).attach(sinkB);
      client.write(latin1Encode('over there'));
      client.end();
      await settle();
      assert.deepEqual(sinkB.kinds(), ['data', 'end']);
      (inner as unknown as L4Stream).write(latin1Encode('and back'));
      (inner as unknown as L4Stream).end();
      await settle();
      assert.deepEqual(sinkA.kinds(), ['data', 'end', 'close']);
      assert.equal(client.info.kind, 'websocket');
      assert.equal(client.info.below?.kind, 'websocket');
      session.close();
    });

    test('a refused handshake carries the response, and an origin that is not allowed is 403', async () => {
      const { session, environment } = await rig(version, (exchange) => {
        assert.equal(acceptWebSocket(exchange, new Log(), { isOriginAllowed: (origin) => origin === 'https://good.example' }), null);
      });
      const refused = connectWebSocket(session, new Log(), { ...base, environment, headers: { Origin: 'https://evil.example' } });
      await assert.rejects(refused, (error: { reason: string; retry: string; cause: { response: { status: number } } }) => {
        assert.deepEqual([error.reason, error.retry, error.cause.response.status], ['WS_REFUSED', 'never', 403]);
        return true;
      });
    });

    test('callbacks of the server that throw are a 500, and a choice that was not offered too', async () => {
      const bad: AcceptWebSocketOptions[] = [
        {
          isOriginAllowed: () => {
            throw new Error('mine');
          },
        },
        {
          chooseSubprotocol: () => {
            throw new Error('mine');
          },
        },
        { chooseSubprotocol: () => 'not offered' },
      ];
      for (const options of bad) {
        const { session, environment } = await rig(version, (exchange) => void acceptWebSocket(exchange, new Log(), options));
        await assert.rejects(connectWebSocket(session, new Log(), { ...base, environment }), { reason: 'WS_REFUSED', message: /500/ });
      }
    });

    test('no answer, an answer too late, and a caller who gives up', async () => {
      const { session, environment } = await rig(version, () => {});
      await assert.rejects(connectWebSocket(session, new Log(), { ...base, environment, timeoutMs: 20 }), {
        reason: 'WS_HANDSHAKE_TIMEOUT',
        type: 'timeout',
      });
      const other = await rig(version, () => {});
      const abort = new AbortController();
      const waiting = connectWebSocket(other.session, new Log(), { ...base, environment: other.environment, signal: abort.signal });
      abort.abort();
      await assert.rejects(waiting, { reason: 'WS_HANDSHAKE_ABORTED' });
      await assert.rejects(connectWebSocket(other.session, new Log(), { ...base, environment, signal: abort.signal }), {
        reason: 'WS_HANDSHAKE_ABORTED',
      });
      const gone = await rig(version, (exchange) => void setImmediate(() => exchange.abort(internalError('GONE', 'x'))));
      await assert.rejects(connectWebSocket(gone.session, new Log(), { ...base, environment: gone.environment, timeoutMs: 500 }), {
        reason: 'WS_REFUSED',
      });
    });

    test('a handler that throws ends the connection with 1011', async () => {
      const theirs: WebSocketHandler = {
        onText: () => {
          throw new Error('mine');
        },
        onClose: () => {
          throw new Error('mine, too');
        },
      };
      const { session, environment } = await rig(version, (exchange) => acceptWebSocket(exchange, theirs)?.start());
      const ours = new Log();
      const client = await connectWebSocket(session, ours, { ...base, environment });
      client.start();
      client.sendText('x');
      assert.equal((await ours.closed).code, 1011);
    });
  });
}

test('a session over HTTP/2 that takes no extended CONNECT was asked nothing (RFC 8441 §3)', async () => {
  const environment = new HttpEnvironment();
  const server = new HttpServer({ onRequest: () => ignores }, { environment });
  const { a, b } = memoryPair();
  server.accept(b);
  const session = clientOn(a, 'http2', environment);
  await settle();
  await assert.rejects(connectWebSocket(session, new Log(), { ...base, environment }), { reason: 'WS_NO_SESSION', retry: 'always' });
  session.close();
});

test('misuse is a TypeError or RangeError', async () => {
  const { session, environment } = await rig('http1', (exchange) => respond(exchange, 200));
  const wrong: [object, typeof TypeError | typeof RangeError][] = [
    [{ headers: { 'Sec-WebSocket-Key': 'x' } }, TypeError],
    [{ headers: { Host: 'x' } }, TypeError],
    [{ subprotocols: ['a b'] }, TypeError],
    [{ subprotocols: ['a', 'a'] }, TypeError],
    [{ target: 'a b' }, TypeError],
    [{ timeoutMs: 0 }, RangeError],
    [{ deflate: { serverMaxWindowBits: 3 } }, RangeError],
    [{ session: { hardLimitBytes: 0 } }, RangeError],
  ];
  for (const [options, kind] of wrong)
    await assert.rejects(connectWebSocket(session, new Log(), { ...base, environment, ...options }), kind, JSON.stringify(options));
  assert.throws(() => zlibCompression({ level: 0 }), RangeError);
  assert.throws(() => zlibCompression({ memLevel: 10 }), RangeError);
});

describe('the fields of a handshake (RFC 6455 §4)', () => {
  const key = 'dGhlIHNhbXBsZSBub25jZQ==';
  const asked = (fields: Record<string, string | readonly string[]>, method = 'GET') =>
    requestHead(method, '/', { headers: { 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, ...fields } });

  test('the example of RFC 6455 §1.3', () => {
    assert.equal(acceptKey(key), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    const { headers } = answerFields('upgrade', asked({}), {});
    assert.deepEqual(headers.toJSON(), [
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
    ]);
  });

  test('requests that a server refuses', () => {
    const refused: [ReturnType<typeof asked>, string, number][] = [
      [asked({}, 'POST'), 'WS_METHOD', 400],
      [asked({ 'Sec-WebSocket-Key': 'short' }), 'WS_KEY_INVALID', 400],
      [asked({ 'Sec-WebSocket-Key': [key, key] }), 'WS_KEY_INVALID', 400],
      [asked({ 'Sec-WebSocket-Version': '8' }), 'WS_VERSION_UNSUPPORTED', 426],
      [asked({ 'Sec-WebSocket-Version': ['13', '13'] }), 'WS_VERSION_UNSUPPORTED', 426],
      [asked({ 'Sec-WebSocket-Protocol': 'a, a' }), 'WS_PROTOCOLS_INVALID', 400],
      [asked({ 'Sec-WebSocket-Extensions': 'a b' }), 'WS_EXTENSIONS_INVALID', 400],
    ];
    for (const [head, reason, status] of refused) assert.throws(() => answerFields('upgrade', head, {}), { reason, status });
  });

  test('answers that a client refuses', () => {
    const offer = { subprotocols: ['a'], deflate: null };
    const fields = offerFields('upgrade', offer, seededRandom(1));
    const good = {
      Upgrade: 'websocket',
      Connection: 'keep-alive, Upgrade',
      'Sec-WebSocket-Accept': acceptKey(fields.get('Sec-WebSocket-Key') ?? ''),
    };
    assert.deepEqual(readAnswer('upgrade', fields, offer, responseHead(101, { headers: { ...good, 'Sec-WebSocket-Protocol': 'a' } })), {
      subprotocol: 'a',
      deflate: null,
    });
    const refused: [number, Record<string, string>, string][] = [
      [200, good, 'WS_ANSWER_STATUS'],
      [101, { ...good, Upgrade: 'h2c' }, 'WS_ANSWER_UPGRADE'],
      [101, { ...good, Connection: 'close' }, 'WS_ANSWER_UPGRADE'],
      [101, { ...good, 'Sec-WebSocket-Accept': 'AAAA' }, 'WS_ACCEPT_WRONG'],
      [101, { ...good, 'Sec-WebSocket-Protocol': 'b' }, 'WS_PROTOCOL_UNOFFERED'],
      [101, { ...good, 'Sec-WebSocket-Extensions': 'permessage-deflate' }, 'WS_EXTENSION_UNOFFERED'],
    ];
    for (const [status, headers, reason] of refused)
      assert.throws(() => readAnswer('upgrade', fields, offer, responseHead(status, { headers })), { reason, status: 502 });
  });

  test('a request that asks for no WebSocket is 426, and the answer says for what it may ask', async () => {
    const { a, b } = memoryPair();
    const server = new HttpServer({
      onRequest: (exchange) => {
        assert.equal(acceptWebSocket(exchange, new Log()), null);
        return ignores;
      },
    });
    server.accept(b);
    const sink = new RecordingSink();
    a.attach(sink);
    a.write(latin1Encode('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    await settle();
    const bytes = sink.bytes();
    const answer = latin1Decode(bytes, 0, bytes.length);
    assert.match(answer, /^HTTP\/1.1 426 /);
    assert.match(answer, /\r\nSec-WebSocket-Version: 13\r\n/);
    a.abort();
  });
});

describe('sessions', () => {
  function pair(
    theirs: WebSocketHandler,
    ours: WebSocketHandler,
    options = {},
    limits = {},
  ): { server: WebSocketSession; client: WebSocketSession } {
    const { a, b } = memoryPair(limits);
    const server = new WebSocketSession(Role.server, a, theirs, options);
    const client = new WebSocketSession(Role.client, b, ours, options);
    server.start();
    client.start();
    return { server, client };
  }

  test('messages in pieces go to those who take pieces', async () => {
    const told: string[] = [];
    const closed = new Log();
    const { server, client } = pair(
      {
        onMessageStart: (kind) => void told.push(`start ${kind}`),
        onMessageData: (piece) => void told.push(`data ${piece.length}`),
        onMessageEnd: () => void told.push('end'),
        onClose: (close) => closed.onClose(close),
      },
      new Log(),
    );
    client.sendFragment(2, new Uint8Array(5), 'more');
    client.sendFragment(2, new Uint8Array(6), 'last');
    client.sendText('');
    await settle();
    assert.deepEqual(told, ['start 2', 'data 5', 'data 6', 'end', 'start 1', 'end']);
    assert.equal(server.info.kind, 'memory');
    client.abort();
    assert.equal((await closed.closed).error?.reason, 'CONNECTION_RESET');
  });

  test('a kind of message that nobody takes is 1003', async () => {
    const ours = new Log();
    const { client } = pair({ onClose: () => {} }, ours);
    client.sendText('x');
    assert.equal((await ours.closed).code, 1003);
  });

  test('a peer that does not read is felt, and drain follows when it does', async () => {
    const [theirs, ours] = [new Log(), new Log()];
    const { server, client } = pair(theirs, ours, {}, { highWaterBytes: 1_000 });
    await settle();
    server.pause();
    assert.equal(client.sendBinary(new Uint8Array(5_000)), false);
    client.sendText('behind');
    assert.ok(client.bufferedBytes > 5_000);
    await settle();
    assert.deepEqual(theirs.lines, []);
    server.resume();
    await settle();
    assert.deepEqual(theirs.lines, ['binary 5000', 'text behind']);
    assert.deepEqual(ours.lines, ['drain']);
    assert.equal(client.bufferedBytes, 0);
  });

  test('who goes on sending though nobody reads is cut off at the hard limit', async () => {
    const ours = new Log();
    const { server, client } = pair(new Log(), ours, { hardLimitBytes: 10_000 }, { highWaterBytes: 100 });
    await settle();
    server.pause();
    for (let i = 0; i < 100 && client.isOpen; i++) client.sendBinary(new Uint8Array(1_000));
    assert.equal((await ours.closed).error?.reason, 'STREAM_WRITE_OVERFLOW');
  });

  test('a stream whose peer sends text, or an error code, ends with an error', async () => {
    for (const [act, reason] of [
      [(session: WebSocketSession) => session.sendText('x'), 'WS_KIND_UNSUPPORTED'],
      [(session: WebSocketSession) => session.close(4_999, 'why'), 'WS_CLOSED'],
      [(session: WebSocketSession) => session.abort(), 'CONNECTION_RESET'],
    ] as const) {
      const { a, b } = memoryPair();
      const stream = webSocketStream(Role.server, a);
      const client = new WebSocketSession(Role.client, b, new Log());
      const sink = new RecordingSink();
      stream.attach(sink);
      client.start();
      act(client);
      await settle();
      assert.deepEqual(sink.kinds(), ['close']);
      assert.equal(sink.closeError?.reason, reason);
    }
  });
});

describe('zlib (RFC 7692 §7.2)', () => {
  const make = () => zlibCompression()(KEPT_WINDOWS, Role.server);
  const hello = latin1Encode('Hello');

  test('the examples of RFC 7692 §7.2.3', () => {
    const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
    const show = (message: Uint8Array | null): string => Buffer.from(message ?? []).toString();
    const keeping = make();
    assert.equal(show(keeping.inflate(bytes('f248cdc9c90700'), 100)), 'Hello');
    assert.equal(show(keeping.inflate(bytes('f200110000'), 100)), 'Hello', 'by the window of the message before');
    assert.equal(show(make().inflate(bytes('000500faff48656c6c6f00'), 100)), 'Hello', 'stored');
    assert.equal(show(make().inflate(bytes('f348cdc9c9070000'), 100)), 'Hello', 'a last block inside');
    assert.equal(show(make().inflate(bytes('f248050000 00ffffcac9c90700'.replace(' ', '')), 100)), 'Hello', 'two blocks');
    assert.equal(show(make().inflate(bytes('00'), 100)), '', 'empty');
  });

  test('what is cut, or no DEFLATE data, throws; what is too large is null', () => {
    const zlib = make();
    const compressed = zlib.deflate(hello);
    assert.throws(() => make().inflate(compressed.subarray(0, 3), 100));
    assert.throws(() => make().inflate(Uint8Array.of(0xff, 0xff), 100));
    assert.throws(
      () =>
        make().inflate(
          new Uint8Array(100).map((_, i) => (i % 2 === 0 ? 0x03 : 0x00)),
          100,
        ),
      RangeError,
      'a last block for every two bytes',
    );
    assert.equal(make().inflate(compressed, 4), null);
    assert.equal(make().inflate(compressed, 5)?.length, 5);
    assert.deepEqual([...zlib.deflate(new Uint8Array(0))], [0]);
  });
});
