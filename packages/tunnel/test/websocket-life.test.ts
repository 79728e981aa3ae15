/** How long sessions live on peers that are slow, silent or spiteful, on a clock that is moved by hand; and callbacks that misbehave. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type L4Sink, type L4Stream, memoryPair, type StreamState } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  type AcceptWebSocketOptions,
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
import { clientOn, settle } from './rig.ts';
import { CLOSE, frame, KEPT_WINDOWS, Log } from './websocket-rig.ts';

/** A stream whose bytes leave as the test says. */
class HeldStream implements L4Stream {
  readonly id = 1;
  readonly info = memoryPair().a.info;
  readonly state: StreamState = 'open';
  readonly writes: Uint8Array[][] = [];
  readonly calls: string[] = [];
  bufferedBytes = 0;
  /** Takes bytes, and lets none of them leave. */
  isFull = false;
  sink: L4Sink | null = null;

  attach(sink: L4Sink): void {
    this.sink = sink;
  }
  write(chunk: Uint8Array): boolean {
    return this.writev([chunk]);
  }
  writev(chunks: readonly Uint8Array[]): boolean {
    this.writes.push([...chunks]);
    if (this.isFull) this.bufferedBytes += concatBytes(chunks).length;
    return !this.isFull;
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    this.calls.push('end');
  }
  abort(error?: WireError): void {
    this.calls.push(`abort ${error?.reason ?? 'null'}`);
    queueMicrotask(() => this.sink?.onClose(error ?? null));
  }
}

const INVALID = Uint8Array.of(0x83, 0x80);

/** A server's session on such a stream, and a clock. */
class Life {
  readonly clock = new ManualClock();
  readonly stream = new HeldStream();
  readonly closes: WebSocketClose[] = [];
  readonly session: WebSocketSession;

  constructor(options: WebSocketSessionOptions = {}, handler: Partial<WebSocketHandler> = {}) {
    const environment = new HttpEnvironment({ clock: this.clock });
    const all = { onText: () => {}, onBinary: () => {}, onClose: (close: WebSocketClose) => void this.closes.push(close), ...handler };
    this.session = new WebSocketSession(Role.server, this.stream, all, { environment, ...options });
    this.session.start();
  }

  receive(chunk: Uint8Array): void {
    this.stream.sink?.onData(chunk.slice());
  }

  /** Seconds until it is aborted, at most `limit`; `each` runs once a second. */
  async secondsHeld(limit: number, each: (second: number) => void = () => {}): Promise<number> {
    for (let second = 1; second <= limit; second++) {
      this.clock.advance(1_000);
      // Promises settle in microtasks.
      for (let turn = 0; turn < 3; turn++) await Promise.resolve();
      if (this.stream.calls.some((call) => call.startsWith('abort'))) return second;
      each(second);
    }
    return limit;
  }
}

describe('a connection that is over is not held', () => {
  test('by a peer that goes on sending a byte now and then', async () => {
    const life = new Life();
    life.stream.isFull = true;
    life.session.sendBinary(new Uint8Array(5_000));
    life.session.sendBinary(new Uint8Array(5_000));
    life.receive(CLOSE);
    const held = await life.secondsHeld(600, (second) => {
      if (second % 20 === 0) life.receive(Uint8Array.of(1));
    });
    assert.ok(held <= 35, `${held} s`);
    assert.deepEqual([life.closes.length, life.closes[0]?.error?.reason], [1, 'WS_SEND_STALLED']);
  });

  test('by a peer that takes a byte now and then, be it over in order or failed', async () => {
    for (const last of [CLOSE, INVALID]) {
      const life = new Life();
      life.stream.isFull = true;
      life.session.sendBinary(new Uint8Array(60_000));
      life.session.sendBinary(new Uint8Array(60_000));
      life.receive(last);
      const held = await life.secondsHeld(600, () => {
        life.stream.bufferedBytes--;
      });
      assert.ok(held <= (last === CLOSE ? 42 : 35), `${held} s`);
    }
  });

  test('but one that takes all of much at a slow pace gets it', async () => {
    const life = new Life();
    life.stream.isFull = true;
    life.session.sendBinary(new Uint8Array(2_000_000));
    life.receive(CLOSE);
    // One large write seems to stand still until it is done.
    const held = await life.secondsHeld(100);
    assert.equal(held, 100);
    life.stream.bufferedBytes = 0;
    life.stream.isFull = false;
    life.stream.sink?.onDrain();
    assert.ok((await life.secondsHeld(100)) <= 5);
    assert.deepEqual([life.stream.calls, life.closes[0]?.error], [['end', 'abort null'], null]);
  });

  test('by pause() before close()', async () => {
    const life = new Life();
    life.session.pause();
    life.session.close(1_011, 'x');
    assert.ok((await life.secondsHeld(100)) <= 15);
    assert.deepEqual([life.closes.length, life.closes[0]?.error?.reason], [1, 'WS_CLOSE_TIMEOUT']);
  });

  test('by a peer behind our Close that takes a byte now and then', async () => {
    const life = new Life();
    life.stream.isFull = true;
    life.session.sendBinary(new Uint8Array(100_000));
    life.session.close();
    const held = await life.secondsHeld(600, () => {
      life.stream.bufferedBytes--;
    });
    assert.ok(held <= 70, `${held} s`);
    assert.equal(life.closes[0]?.error?.reason, 'WS_CLOSE_TIMEOUT');
  });
});

describe('a peer that reads slowly lives', () => {
  test('as long as bytes leave, also where they are one large write', async () => {
    for (const step of [50_000, 0]) {
      const life = new Life();
      life.stream.isFull = true;
      life.session.sendBinary(new Uint8Array(8_000_000));
      const held = await life.secondsHeld(160, () => {
        life.stream.bufferedBytes = Math.max(0, life.stream.bufferedBytes - step);
      });
      assert.deepEqual([held, life.closes], [160, []]);
    }
  });

  test('but one that takes nothing is found, and so is one that is silent with nothing to take', async () => {
    const deaf = new Life();
    deaf.stream.isFull = true;
    deaf.session.sendBinary(new Uint8Array(160_000));
    assert.ok((await deaf.secondsHeld(600)) <= 115);
    assert.equal(deaf.closes[0]?.error?.reason, 'WS_PING_TIMEOUT');
    const silent = new Life();
    silent.session.sendText('x');
    assert.ok((await silent.secondsHeld(600)) <= 45);
    assert.equal(silent.closes[0]?.error?.reason, 'WS_PING_TIMEOUT');
  });

  test('a Close has the time in which the bytes before it leave', async () => {
    const life = new Life();
    life.stream.isFull = true;
    life.session.sendBinary(new Uint8Array(1_000_000));
    life.session.close();
    assert.equal(await life.secondsHeld(50), 50);
    life.stream.bufferedBytes = 0;
    life.stream.isFull = false;
    life.stream.sink?.onDrain();
    life.receive(CLOSE);
    await life.secondsHeld(5);
    assert.equal(life.closes[0]?.error, null);
  });
});

describe('what is said while a read is handled', () => {
  test('leaves in one write', () => {
    const life: Life = new Life({}, { onText: (text) => void life.session.sendText(text) });
    const text = frame(Opcode.text, Uint8Array.of(97));
    life.receive(concatBytes([text, text, text, frame(Opcode.ping), text]));
    assert.equal(life.stream.writes.length, 1);
    assert.equal(concatBytes(life.stream.writes.flat()).length, 4 * 3 + 2);
  });

  test('leaves sooner where it is much, so that every ping of one read is answered', () => {
    const life = new Life();
    life.receive(concatBytes(new Array<Uint8Array>(400).fill(frame(Opcode.ping, new Uint8Array(100)))));
    const decoder = new FrameDecoder(Role.client);
    decoder.feed(concatBytes(life.stream.writes.flat()));
    let pongs = 0;
    while (decoder.next()) if (decoder.event === FrameEvent.header && decoder.opcode === Opcode.pong) pongs++;
    assert.equal(pongs, 400);
    assert.ok(life.stream.writes.length <= 4, `${life.stream.writes.length} writes`);
  });
});

describe('compressed messages', () => {
  test('of a byte stream have a limit, as they are gathered', async () => {
    const { a, b } = memoryPair();
    const agreement = { subprotocol: null, deflate: KEPT_WINDOWS };
    const stream = webSocketStream(Role.server, a, {}, undefined, agreement);
    const errors: (string | undefined)[] = [];
    stream.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: (error) => void errors.push(error?.reason) });
    b.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: () => {} });
    // The header of a compressed frame of 1 TiB.
    b.write(Uint8Array.of(0xc2, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    await settle();
    b.end();
    await settle();
    assert.deepEqual(errors, ['WS_MESSAGE_TOO_LARGE']);
    assert.throws(() => webSocketStream(Role.server, memoryPair().a, { maxMessageBytes: Infinity }, undefined, agreement), RangeError);
  });

  test('of ordinary tables pass from our compressor to our expander', async () => {
    const { a, b } = memoryPair();
    const agreement = { subprotocol: null, deflate: KEPT_WINDOWS };
    const log = new Log();
    const server = new WebSocketSession(Role.server, a, log, {}, agreement);
    const client = new WebSocketSession(Role.client, b, new Log(), {}, agreement);
    server.start();
    client.start();
    client.sendText(JSON.stringify(Array.from({ length: 20_000 }, () => ({ a: 0, b: null }))));
    client.sendText('    <td></td>\n'.repeat(8_000));
    await settle();
    assert.deepEqual(log.lines, ['text 340001', 'text 112000']);
    client.abort();
  });

  test('may have few last blocks, as each is a call of zlib', () => {
    const codec = () => zlibCompression()(KEPT_WINDOWS, Role.server);
    const blocks = (count: number): Uint8Array => Uint8Array.from([...Array.from({ length: count }, () => [0x03, 0x00]).flat(), 0x00]);
    assert.equal(codec().inflate(blocks(3), 100)?.length, 0);
    assert.throws(() => codec().inflate(blocks(4), 100), RangeError);
  });

  test('find the window of those before them, however it has slid', () => {
    for (const bits of [9, 10, 15]) {
      const parameters = { ...KEPT_WINDOWS, serverMaxWindowBits: bits, clientMaxWindowBits: bits };
      const [ours, theirs] = [zlibCompression()(parameters, Role.server), zlibCompression()(parameters, Role.client)];
      let state = 7;
      for (let round = 0; round < 120; round++) {
        state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
        const size = [1, 40, 511, 512, 700, 5_000, 40_000][state % 7] ?? 0;
        const message = Uint8Array.from({ length: size }, (_, i) => ((i * 31 + round) >>> (state & 3)) & 0xff);
        const expanded = Buffer.from(theirs.inflate(ours.deflate(message), size) ?? []);
        assert.ok(expanded.equals(message), `message ${round} of ${size} bytes, 2^${bits}`);
      }
    }
  });
});

describe('callbacks that are async and reject', () => {
  /** An `async` function, which types let pass where nothing is expected back. */
  const rejects = (() => Promise.reject(new Error('mine'))) as () => never;

  for (const name of ['onText', 'onPing', 'onPong', 'onMessageStart', 'onMessageData', 'onMessageEnd', 'onDrain'] as const) {
    test(`${name}: the connection ends with 1011, the process lives`, async () => {
      const streaming = name.startsWith('onMessage') ? { onMessageData: () => {} } : {};
      const life = new Life({}, { ...streaming, [name]: rejects });
      if (name === 'onDrain') {
        life.stream.isFull = true;
        life.session.sendText('x');
        life.stream.isFull = false;
        life.stream.sink?.onDrain();
      } else {
        life.receive(frame(name === 'onPing' ? Opcode.ping : name === 'onPong' ? Opcode.pong : Opcode.text, Uint8Array.of(97)));
      }
      await settle();
      assert.deepEqual([life.closes.length, life.closes[0]?.error?.reason], [1, 'HANDLER_THREW']);
      assert.deepEqual([...concatBytes(life.stream.writes.flat())].slice(-4), [0x88, 2, 0x03, 0xf3]);
    });
  }

  test('onClose and onStreamClosed: nothing is left that could end', async () => {
    const life = new Life({ onStreamClosed: rejects }, { onClose: rejects });
    life.session.abort();
    await settle();
    assert.deepEqual(life.stream.calls, ['abort null']);
  });

  test('isOriginAllowed and chooseSubprotocol: refused', async () => {
    const environment = new HttpEnvironment();
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const wrong: [AcceptWebSocketOptions, RegExp][] = [
      [{ isOriginAllowed: rejects }, /403/],
      [{ chooseSubprotocol: rejects }, /500/],
    ];
    for (const [options, message] of wrong) {
      const server = new HttpServer({
        onRequest(exchange) {
          assert.equal(acceptWebSocket(exchange, new Log(), options), null);
          return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
        },
      });
      const { a, b } = memoryPair();
      server.accept(b);
      const asked = connectWebSocket(clientOn(a, 'http1', environment), new Log(), { authority: 'x', environment });
      await assert.rejects(asked, { reason: 'WS_REFUSED', message });
    }
    await settle();
    process.off('unhandledRejection', note);
    assert.deepEqual(unhandled, []);
  });
});

test('nonsense in the options of a server is a RangeError before anything is answered, whatever the client offers', async () => {
  const environment = new HttpEnvironment();
  const thrown: unknown[] = [];
  const server = new HttpServer({
    onRequest(exchange) {
      const wrong: AcceptWebSocketOptions[] = [
        { deflate: { serverMaxWindowBits: 99 } },
        { session: { maxMessageBytes: -1 } },
        { deflate: {}, session: { maxMessageBytes: Number.POSITIVE_INFINITY } },
      ];
      for (const options of wrong) {
        for (const accept of [() => acceptWebSocket(exchange, new Log(), options), () => acceptWebSocketStream(exchange, options)]) {
          try {
            accept();
          } catch (error) {
            thrown.push(error);
          }
        }
      }
      acceptWebSocket(exchange, new Log())?.start();
      return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
    },
  });
  const { a, b } = memoryPair();
  server.accept(b);
  const client = await connectWebSocket(clientOn(a, 'http1', environment), new Log(), { authority: 'x', environment });
  assert.deepEqual(
    thrown.map((error) => error instanceof RangeError),
    new Array<boolean>(6).fill(true),
  );
  client.abort();
});

test('a compression that throws when it is made is an error of who asked for it, and the connection is reset, at either end', async () => {
  const environment = new HttpEnvironment();
  const compression = (): never => {
    throw new Error('no codec');
  };
  for (const end of ['client', 'server'] as const) {
    for (const kind of ['session', 'stream'] as const) {
      const thrown: unknown[] = [];
      const server = new HttpServer({
        onRequest(exchange) {
          const options: AcceptWebSocketOptions = { deflate: {}, session: end === 'server' ? { compression } : {} };
          try {
            if (kind === 'session') acceptWebSocket(exchange, new Log(), options)?.start();
            else acceptWebSocketStream(exchange, options)?.attach(new RecordingSink());
          } catch (error) {
            thrown.push(error);
          }
          return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
        },
      });
      const { a, b } = memoryPair();
      server.accept(b);
      const options = { authority: 'x', environment, deflate: {}, session: end === 'client' ? { compression } : {} };
      const asked =
        kind === 'session'
          ? connectWebSocket(clientOn(a, 'http1', environment), new Log(), options)
          : connectWebSocketStream(clientOn(a, 'http1', environment), options);
      await asked.catch((error: unknown) => thrown.push(error));
      await settle();
      const [first] = thrown;
      assert.deepEqual(
        [isWireError(first) && [first.type, first.reason], a.state],
        [['internal', 'COMPRESSION_THREW'], 'closed'],
        `${end} ${kind}`,
      );
      assert.equal(server.connectionCount, 0, `${end} ${kind}`);
    }
  }
});

test('onStreamClosed of a server is called once, also where the stream has died before the session was started', async () => {
  const environment = new HttpEnvironment();
  const closes: (string | undefined)[] = [];
  const log = new Log();
  let session: WebSocketSession | null = null;
  const server = new HttpServer({
    onRequest(exchange) {
      session = acceptWebSocket(exchange, log, { session: { onStreamClosed: (error) => closes.push(error?.reason) } });
      return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
    },
  });
  const { a, b } = memoryPair();
  server.accept(b);
  const client = await connectWebSocket(clientOn(a, 'http1', environment), new Log(), { authority: 'x', environment });
  client.abort();
  a.abort();
  await settle();
  assert.deepEqual(closes, ['CONNECTION_RESET']);
  (session as WebSocketSession | null)?.start();
  await log.closed;
  await settle();
  assert.deepEqual([closes, log.lines], [['CONNECTION_RESET'], ['close 1006 CONNECTION_RESET']]);
  assert.equal(server.connectionCount, 0);
});
