/** Sessions and byte streams over WebSocket: what is promised by `close`, what is told of the end, and when. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment, HttpServer, type ServerExchange } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  acceptWebSocket,
  acceptWebSocketStream,
  connectWebSocket,
  connectWebSocketStream,
  type WebSocketClose,
  type WebSocketHandler,
  WebSocketSession,
  type WebSocketSessionOptions,
  webSocketStream,
  zlibCompression,
} from '@ferrata/tunnel';
import { FrameDecoder, FrameEvent, Opcode, Role } from '@ferrata/websocket';
import { SendProgress } from '../src/websocket-progress.ts';
import { clientOn, settle, VERSIONS } from './rig.ts';
import { CLOSE, frame, KEPT_WINDOWS } from './websocket-rig.ts';

const agreement = { subprotocol: null, deflate: KEPT_WINDOWS };

/** A server's session, and its peer as a bare stream. */
class Ends {
  readonly session: WebSocketSession;
  readonly peer: L4Stream;
  readonly heard = new RecordingSink();
  readonly closes: WebSocketClose[] = [];
  streamsClosed = 0;

  constructor(options: WebSocketSessionOptions = {}, handler: Partial<WebSocketHandler> = {}) {
    const { a, b } = memoryPair({ highWaterBytes: 1_000 });
    const all = { onText: () => {}, onClose: (close: WebSocketClose) => void this.closes.push(close), ...handler };
    this.session = new WebSocketSession(Role.server, a, all, { ...options, onStreamClosed: () => void this.streamsClosed++ });
    this.session.start();
    this.peer = b;
    b.attach(this.heard);
  }
}

describe('unsent bytes', () => {
  test('are given up with the connection', async () => {
    const ends = new Ends({ hardLimitBytes: 1_000_000 });
    ends.peer.pause();
    for (let i = 0; i < 4; i++) ends.session.sendBinary(new Uint8Array(200_000));
    assert.ok(ends.session.bufferedBytes >= 600_000);
    ends.session.abort();
    await settle();
    assert.equal(ends.session.bufferedBytes, 0);
  });

  test('are no more by pings than by messages, and a ping too many ends nothing', () => {
    const ends = new Ends({ hardLimitBytes: 10_000 });
    ends.peer.pause();
    ends.session.sendBinary(new Uint8Array(5_000));
    for (let i = 0; i < 1_000; i++) ends.session.ping(new Uint8Array(100));
    assert.ok(ends.session.bufferedBytes < 100_000, String(ends.session.bufferedBytes));
    assert.equal(ends.session.isOpen, true);
    ends.session.abort();
  });
});

describe('before start', () => {
  test('nothing runs out, whatever is sent', async () => {
    const clock = new ManualClock();
    const closes: WebSocketClose[] = [];
    const { a } = memoryPair();
    const environment = new HttpEnvironment({ clock });
    const handler = { onClose: (close: WebSocketClose) => void closes.push(close) };
    const session = new WebSocketSession(Role.server, a, handler, { environment });
    session.sendText('early');
    session.close();
    clock.advance(3_600_000);
    await settle();
    assert.deepEqual(closes, []);
    session.abort();
    environment.deadlines.close();
  });
});

describe('close()', () => {
  test('keeps what was sent before it, whatever is tried behind it and however much waits', async () => {
    const ends = new Ends({ hardLimitBytes: 10_000 });
    ends.peer.pause();
    ends.session.sendBinary(new Uint8Array(5_000));
    ends.session.sendBinary(new Uint8Array(20_000));
    assert.equal(ends.session.ping(), false);
    ends.session.close(1_000, 'bye');
    assert.deepEqual(
      [ends.session.sendText('late'), ends.session.sendBinary(new Uint8Array(9)), ends.session.ping()],
      [false, false, false],
    );
    ends.peer.resume();
    await settle();
    const decoder = new FrameDecoder(Role.client);
    decoder.feed(ends.heard.bytes());
    const told: string[] = [];
    while (decoder.next()) if (decoder.event === FrameEvent.header) told.push(`${decoder.opcode} ${decoder.payloadLength}`);
    assert.deepEqual(told, ['2 5000', '2 20000', '8 5']);
    ends.peer.write(CLOSE.slice());
    ends.peer.end();
    await settle();
    assert.deepEqual([ends.closes, ends.streamsClosed], [[{ code: 1_000, reason: '', error: null }], 1]);
  });

  test('that never left is no goodbye: onClose has the error of the stream', async () => {
    const ends = new Ends();
    ends.peer.pause();
    ends.session.sendBinary(new Uint8Array(5_000));
    ends.session.sendBinary(new Uint8Array(900_000));
    ends.peer.write(CLOSE.slice());
    await settle();
    ends.peer.abort();
    await settle();
    assert.deepEqual([ends.closes.length, ends.closes[0]?.code, ends.closes[0]?.error?.reason], [1, 1_000, 'CONNECTION_RESET']);
  });

  test('that has left is one, though the peer then resets the connection', async () => {
    const ends = new Ends();
    ends.peer.write(CLOSE.slice());
    await settle();
    ends.peer.abort();
    await settle();
    assert.deepEqual([ends.closes.length, ends.closes[0]?.error], [1, null]);
  });
});

describe('the end of the connection is seen', () => {
  test('though the session was paused when a handler rejected', async () => {
    let reject: (error: Error) => void = () => {};
    const rejected = new Promise<void>((_, refuse) => {
      reject = refuse;
    });
    const ends: Ends = new Ends(
      {},
      {
        onText() {
          ends.session.pause();
          return rejected as unknown as undefined;
        },
      },
    );
    ends.peer.write(frame(Opcode.text));
    await settle();
    reject(new Error('mine'));
    ends.peer.end();
    await settle();
    assert.deepEqual([ends.closes.map(({ error }) => error?.reason), ends.streamsClosed], [['HANDLER_THREW'], 1]);
  });

  test('though the session is paused behind the last word', async () => {
    const ends = new Ends();
    ends.peer.write(CLOSE.slice());
    await settle();
    ends.session.pause();
    ends.peer.end();
    await settle();
    assert.deepEqual([ends.closes.map(({ error }) => error), ends.streamsClosed], [[null], 1]);
  });

  test('and from then on nothing is taken', async () => {
    for (const abort of ['theirs', 'ours', 'ours, just now']) {
      const ends = new Ends();
      if (abort === 'theirs') ends.peer.abort();
      else ends.session.abort();
      if (abort !== 'ours, just now') await settle();
      assert.deepEqual([ends.session.isOpen, ends.session.sendBinary(new Uint8Array(9)), ends.session.ping()], [false, false, false]);
      assert.equal(ends.session.bufferedBytes, 0);
    }
  });
});

describe('start()', () => {
  test('comes before onClose, also where the session was aborted before', async () => {
    const told: WebSocketClose[] = [];
    const session = new WebSocketSession(Role.server, memoryPair().a, { onClose: (close) => void told.push(close) });
    session.abort();
    await settle();
    assert.equal(told.length, 0);
    session.start();
    await settle();
    assert.equal(told.length, 1);
  });

  test('is called once: the head is told once', async () => {
    const heard: string[] = [];
    const session = new WebSocketSession(Role.server, memoryPair().a, { onText: (text) => void heard.push(text), onClose() {} });
    session.start(frame(Opcode.text, Uint8Array.of(0x61)));
    assert.throws(() => session.start(frame(Opcode.text, Uint8Array.of(0x62))), TypeError);
    await settle();
    assert.deepEqual(heard, ['a']);
    session.abort();
  });
});

/** A session to a server that gives each WebSocket exchange to `serve`. */
async function clientOf(version: (typeof VERSIONS)[number], serve: (exchange: ServerExchange) => void) {
  const environment = new HttpEnvironment();
  const server = new HttpServer(
    {
      onRequest(exchange) {
        serve(exchange);
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    },
    { environment, http2: { extendedConnect: true } },
  );
  const { a, b } = memoryPair();
  server.accept(b);
  const session = clientOn(a, version, environment);
  while (version === 'http2' && !session.takesExtendedConnect) await settle();
  return { session, options: { environment, authority: 'localhost' } };
}

describe('what was written before start() or attach() drains', () => {
  for (const version of VERSIONS) {
    test(`and a session is told, over ${version}`, async () => {
      let heard = 0;
      let drains = 0;
      const { session, options } = await clientOf(version, (exchange) => {
        acceptWebSocket(exchange, { onBinary: (bytes) => void (heard += bytes.length), onClose() {} })?.start();
      });
      const client = await connectWebSocket(session, { onDrain: () => void drains++, onClose() {} }, options);
      assert.equal(client.sendBinary(new Uint8Array(700_000)), false);
      client.sendBinary(new Uint8Array(1_000));
      await settle();
      client.start();
      await settle();
      assert.deepEqual([heard, drains, client.bufferedBytes], [701_000, 1, 0]);
      session.close();
    });

    test(`and the sink of a stream is told, over ${version}`, async () => {
      const there = new RecordingSink();
      const { session, options } = await clientOf(version, (exchange) => acceptWebSocketStream(exchange)?.attach(there));
      const stream = await connectWebSocketStream(session, options);
      assert.equal(stream.write(new Uint8Array(700_000)), false);
      stream.write(new Uint8Array(1_000));
      await settle();
      let drains = 0;
      stream.attach({ onData() {}, onDrain: () => void drains++, onEnd() {}, onClose() {} });
      await settle();
      assert.deepEqual([there.byteLength, drains, stream.bufferedBytes], [701_000, 1, 0]);
      session.close();
    });
  }
});

describe('a stream of bytes', () => {
  for (const [name, size, agreed] of [
    ['zeros, compressed', 5 * 1_048_576 + 1, agreement],
    ['more than a message may have, compressed or not', 17 * 1_048_576, agreement],
    ['more than a message may have', 17 * 1_048_576, undefined],
  ] as const) {
    test(`passes from one end to the other, both with their defaults: ${name}`, async () => {
      const { a, b } = memoryPair({ hardLimitBytes: 64 * 1_048_576 });
      // The limit of whoever gathers messages, where none is agreed on for streams.
      const server = webSocketStream(Role.server, a, { maxMessageBytes: 0x100_0000 }, undefined, agreed);
      const client = webSocketStream(Role.client, b, {}, undefined, agreed);
      let heard = 0;
      const errors: (string | undefined)[] = [];
      server.attach({
        onData: (chunk) => void (heard += chunk.length),
        onDrain() {},
        onEnd() {},
        onClose: (error) => void errors.push(error?.reason),
      });
      client.attach(new RecordingSink());
      if (agreed === undefined) client.writev([new Uint8Array(9), new Uint8Array(size - 9)]);
      else client.write(new Uint8Array(size));
      await settle();
      assert.deepEqual([heard, errors], [size, []]);
      client.abort();
    });
  }

  test('holds nothing once it is closed', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 1_000 });
    const stream = webSocketStream(Role.server, a);
    stream.attach(new RecordingSink());
    b.attach(new RecordingSink());
    b.pause();
    stream.write(new Uint8Array(5_000));
    stream.write(new Uint8Array(5_000));
    assert.ok(stream.bufferedBytes >= 5_000);
    stream.abort();
    assert.equal(stream.bufferedBytes, 0);
    await settle();
    assert.equal(stream.bufferedBytes, 0);
  });

  test('answers an empty write by whether there is room, and a later sink hears of no room that is not there', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 1_000 });
    const stream = webSocketStream(Role.server, a);
    stream.attach(new RecordingSink());
    const peer = new RecordingSink();
    b.attach(peer);
    stream.write(new Uint8Array(5_000));
    await settle();
    b.pause();
    // Answers to pings fill the layer below.
    for (let i = 0; i < 20; i++) b.write(frame(Opcode.ping, new Uint8Array(100)));
    await settle();
    assert.equal(stream.write(new Uint8Array(0)), false);
    const next = new RecordingSink();
    stream.attach(next);
    await settle();
    assert.equal(next.drainCount, 0);
    stream.abort();
  });
});

test('time is granted anew to bytes that wait after all others have left', () => {
  const progress = new SendProgress();
  assert.equal(progress.isUnderWay(0, 16_000, false, 0), true);
  // All has left, and is granted once.
  assert.equal(progress.isUnderWay(16_000, 0, false, 900), true);
  assert.equal(progress.isUnderWay(16_000, 0, false, 901), false);
  // Others wait, of which none has moved: a second, as the first had.
  assert.equal(progress.isUnderWay(16_000, 16_000, false, 5_000), true);
  assert.equal(progress.isUnderWay(16_000, 16_000, false, 5_999), true);
  assert.equal(progress.isUnderWay(16_000, 16_000, false, 6_000), false);
});

test('a compressed message without a byte is empty, as others take it too (RFC 7692 §7.2.3.6)', () => {
  const codec = zlibCompression()(KEPT_WINDOWS, Role.server);
  assert.equal(codec.inflate(new Uint8Array(0), 100)?.length, 0);
  assert.equal(codec.inflate(Uint8Array.of(0), 100)?.length, 0);
});
