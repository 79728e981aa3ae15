/** The machine beyond what single frames show: closing, time, limits, commands. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter, concatBytes, utf8Encode } from '@ferrata/bytes';
import { limitError } from '@ferrata/error';
import { MessageCollector, MessageKind, Role, WebSocketConnection, type WebSocketOptions } from '@ferrata/websocket';
import { closePayload, collectGarbage, frame, framesOf, Script } from './drive.ts';

const plain = { key: null };

describe('the closing handshake (RFC 6455 §7.1)', () => {
  test('a server closes: it is done when the answer comes, and ends the connection at once', () => {
    const server = new Script(Role.server);
    server.connection.close(1000, 'done', 5);
    assert.equal(server.connection.isOpen, false);
    assert.deepEqual(server.takeFrames(), ['8:1000']);
    assert.equal(server.connection.shouldClose, false);
    server.receive(frame(1, 'late'), 6);
    server.receive(frame(8, closePayload(1000)), 7);
    assert.deepEqual(server.events, ['text:late', 'close:1000:']);
    assert.equal(server.connection.shouldClose, true);
    assert.deepEqual(server.takeFrames(), []);
  });

  test('a client waits for the server to end the connection, but not for ever (§7.1.1)', () => {
    const client = new Script(Role.client, { endTimeoutMs: 50 });
    client.receive(frame(8, closePayload(1001, 'bye'), plain), 10);
    assert.deepEqual(client.events, ['close:1001:bye']);
    assert.deepEqual(client.takeFrames(), ['8:1001']);
    assert.equal(client.connection.shouldClose, false);
    assert.equal(client.connection.nextTimeout(), 60);
    assert.equal(client.connection.handleTimeout(59), null);
    assert.equal(client.connection.shouldClose, false);
    assert.equal(client.connection.handleTimeout(60), null);
    assert.equal(client.connection.shouldClose, true);
  });

  test('the end that follows both Closes is no error', () => {
    const client = new Script(Role.client);
    client.receive(frame(8, '', plain));
    client.connection.receiveEnd();
    client.pump();
    assert.equal(client.connection.shouldClose, true);
    assert.equal(client.connection.error, null);
    assert.equal(client.connection.nextTimeout(), Number.POSITIVE_INFINITY);
  });

  test('a client whose peer has ended before its Close was read ends the connection at once', () => {
    const { connection } = new Script(Role.client);
    connection.receive(frame(8, closePayload(1000), plain), 0);
    connection.receiveEnd();
    assert.equal(connection.nextEvent(0), true);
    assert.deepEqual([connection.hasSentClose, connection.shouldClose], [true, true]);
  });

  test('a Close without an answer is an error after closeTimeoutMs', () => {
    const server = new Script(Role.server, { closeTimeoutMs: 100 });
    server.connection.close(1000, '', 5);
    assert.equal(server.connection.nextTimeout(), 105);
    assert.equal(server.connection.handleTimeout(105)?.reason, 'WS_CLOSE_TIMEOUT');
    assert.equal(server.connection.shouldClose, true);
    assert.throws(() => server.connection.nextEvent(106), { reason: 'WS_CLOSE_TIMEOUT' });
  });

  test('a Close without an answer is an error though reading is paused: who has said goodbye and never reads holds nothing', () => {
    const server = new Script(Role.server, { closeTimeoutMs: 100 });
    server.connection.setReadingPaused(true, 0);
    assert.equal(server.connection.nextTimeout(), Number.POSITIVE_INFINITY);
    server.connection.close(1000, '', 5);
    assert.equal(server.connection.nextTimeout(), 105);
    assert.equal(server.connection.handleTimeout(105)?.reason, 'WS_CLOSE_TIMEOUT');
  });

  test('with isCloseAnswered false the connection stays open for our messages until close', () => {
    const server = new Script(Role.server, { isCloseAnswered: false });
    server.receive(frame(8, closePayload(1000)), 1);
    assert.equal(server.connection.isOpen, true);
    assert.equal(server.connection.nextTimeout(), Number.POSITIVE_INFINITY);
    assert.equal(server.connection.sendText('still here'), true);
    server.connection.close(1000, '', 2);
    assert.deepEqual(server.takeFrames(), ['1:still here', '8:1000']);
    assert.equal(server.connection.shouldClose, true);
  });

  test('an end without a Close is an error, after all that came before it (§7.1.5)', () => {
    const server = new Script(Role.server);
    server.connection.receive(concatBytes([frame(1, 'a'), frame(1, 'b', { isFinal: false })]), 0);
    server.connection.receiveEnd();
    server.pump();
    assert.deepEqual(server.events, ['text:a', 'error:WS_CLOSED_EARLY']);
    assert.deepEqual(server.takeFrames(), [], 'nobody is there to hear a Close');
    assert.equal(server.connection.closeCode, 1006);
  });

  test('nothing is sent after our Close, and a second one neither (§5.5.1)', () => {
    const server = new Script(Role.server);
    server.connection.close(1005, '', 0);
    const { connection } = server;
    const given = [
      connection.sendText('a'),
      connection.sendBinary(Uint8Array.of(1)),
      connection.sendFragment(MessageKind.text, Uint8Array.of(97), 'last'),
      connection.ping(),
      connection.pong(),
    ];
    assert.deepEqual(given, [false, false, false, false, false]);
    connection.close(1000, '', 0);
    server.receive(frame(9, 'p'));
    assert.deepEqual(server.takeFrames(), ['8:']);
  });

  test('codes and reasons that may not be sent are RangeErrors', () => {
    const { connection } = new Script(Role.server);
    for (const code of [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 1000.5]) assert.throws(() => connection.close(code, '', 0), RangeError);
    assert.throws(() => connection.close(1000, 'é'.repeat(62), 0), RangeError);
    assert.throws(() => connection.close(1005, 'why', 0), RangeError);
    assert.equal(connection.isOpen, true);
    connection.close(1000, 'é'.repeat(61), 0);
    assert.equal(connection.isOpen, false);
  });

  test('refuse tells the peer the code of the error, or 1011', () => {
    const server = new Script(Role.server);
    server.connection.refuse(limitError('MINE', 'x', { wire: { closeCode: 4000 } }));
    assert.deepEqual(server.takeFrames(), ['8:4000']);
    assert.equal(server.connection.error?.reason, 'MINE');
    server.connection.refuse(limitError('LATER', 'x'));
    assert.equal(server.connection.error?.reason, 'MINE');
    const other = new Script(Role.server);
    other.connection.refuse(limitError('MINE', 'x'));
    assert.deepEqual(other.takeFrames(), ['8:1011']);
    const done = new Script(Role.server);
    done.receive(frame(8, closePayload(1000)));
    done.connection.refuse(limitError('LATE', 'x'));
    assert.deepEqual([done.connection.error, done.takeFrames()], [null, ['8:1000']], 'what is over in order does not fail');
  });
});

describe('time', () => {
  test('a silent peer is asked by a ping, any byte is an answer, and silence ends the connection', () => {
    const { connection } = new Script(Role.server, { pingIntervalMs: 100, pongTimeoutMs: 30 });
    assert.equal(connection.nextTimeout(), 100);
    assert.equal(connection.handleTimeout(99), null);
    assert.equal(connection.outputBytes, 0);
    assert.equal(connection.handleTimeout(100), null);
    assert.deepEqual(framesOf(concatBytes(connection.takeOutput()), Role.client), ['9:']);
    assert.equal(connection.nextTimeout(), 130);
    connection.receive(Uint8Array.of(0x81), 120);
    assert.equal(connection.nextTimeout(), 220);
    connection.handleTimeout(220);
    assert.equal(connection.handleTimeout(250)?.reason, 'WS_PING_TIMEOUT');
    assert.equal(connection.error?.type, 'timeout');
  });

  test('with pingIntervalMs 0 nobody is asked', () => {
    assert.equal(new Script(Role.client, { pingIntervalMs: 0 }).connection.nextTimeout(), Number.POSITIVE_INFINITY);
  });

  test("while reading is paused silence is not the peer's, and the wait for a Close begins anew", () => {
    const { connection } = new Script(Role.server, { pingIntervalMs: 100, closeTimeoutMs: 50 });
    connection.setReadingPaused(true, 90);
    assert.equal(connection.nextTimeout(), Number.POSITIVE_INFINITY);
    connection.setReadingPaused(false, 500);
    connection.setReadingPaused(false, 510);
    assert.equal(connection.nextTimeout(), 600);
    // Nor is a ping that was not answered by then.
    connection.handleTimeout(600);
    connection.setReadingPaused(true, 601);
    connection.setReadingPaused(false, 610);
    assert.equal(connection.nextTimeout(), 710);
    connection.close(1000, '', 720);
    connection.setReadingPaused(true, 730);
    connection.setReadingPaused(false, 800);
    assert.equal(connection.nextTimeout(), 850);
  });
});

test('a caller who sees that our bytes still leave gives the peer more time for its pong and its Close', () => {
  const { connection } = new Script(Role.server, { pingIntervalMs: 100, pongTimeoutMs: 50, closeTimeoutMs: 30 });
  connection.handleTimeout(100);
  connection.noteLife(149);
  assert.equal(connection.nextTimeout(), 199);
  connection.close(1000, '', 150);
  connection.noteLife(179);
  assert.equal(connection.nextTimeout(), 209);
  assert.equal(connection.handleTimeout(209)?.reason, 'WS_CLOSE_TIMEOUT');
});

test('a frame that a writer has no room for leaves nothing in it', () => {
  const writer = new ByteWriter({ maxBytes: 1_000 });
  const [one, other] = [new WebSocketConnection(Role.client, 0, {}, writer), new WebSocketConnection(Role.client, 0, {}, writer)];
  assert.throws(() => one.sendBinary(new Uint8Array(2_000)), RangeError);
  other.sendText('hi');
  assert.deepEqual(framesOf(concatBytes(other.takeOutput()), Role.server), ['1:hi']);
});

describe('limits', () => {
  test('a message too large is refused by its header, in one frame or many (1009)', () => {
    const one = new Script(Role.server, { maxMessageBytes: 100 });
    one.receive(frame(2, new Uint8Array(101)).subarray(0, 8));
    assert.deepEqual(one.events, ['error:WS_MESSAGE_TOO_LARGE']);
    assert.deepEqual(one.takeFrames(), ['8:1009']);
    const many = new Script(Role.server, { maxMessageBytes: 100 });
    many.receive(concatBytes([frame(2, new Uint8Array(60), { isFinal: false }), frame(0, new Uint8Array(41))]));
    assert.deepEqual(many.events, ['error:WS_MESSAGE_TOO_LARGE']);
    const fits = new Script(Role.server, { maxMessageBytes: 100 });
    fits.receive(frame(2, new Uint8Array(100)));
    assert.equal(fits.events.length, 1);
  });

  test('lengths that no frame may have (RFC 6455 §5.2)', () => {
    const cases = [
      [[0x82, 0xfe, 0, 125, 1, 2, 3, 4], 'WS_LENGTH_NOT_MINIMAL'],
      [[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4], 'WS_LENGTH_NOT_MINIMAL'],
      [[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 'WS_LENGTH_OVERFLOW'],
      [[0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 'WS_MESSAGE_TOO_LARGE'],
    ] as const;
    for (const [bytes, reason] of cases) {
      const server = new Script(Role.server, { maxMessageBytes: Number.POSITIVE_INFINITY });
      server.receive(Uint8Array.from(bytes));
      assert.deepEqual(server.events, [`error:${reason}`]);
    }
  });

  test('a mask is a must for clients and forbidden for servers (RFC 6455 §5.1)', () => {
    const server = new Script(Role.server);
    server.receive(frame(1, 'a', plain).subarray(0, 2));
    assert.deepEqual(server.events, ['error:WS_MASK_MISSING']);
    const client = new Script(Role.client);
    client.receive(frame(1, 'a').subarray(0, 2));
    assert.deepEqual(client.events, ['error:WS_MASK_UNEXPECTED']);
  });

  test('frames of hardly any bytes are counted, and fair ones are not', () => {
    const tiny = new Script(Role.server, { maxFragments: 10 });
    tiny.receive(frame(2, 'a', { isFinal: false }));
    for (let i = 0; i < 12 && tiny.connection.error === null; i++) tiny.receive(frame(0, '', { isFinal: false }));
    assert.deepEqual(tiny.events, ['error:WS_FRAGMENTS_TOO_MANY']);
    assert.deepEqual(tiny.takeFrames(), ['8:1008']);
    const fair = new Script(Role.server, { maxFragments: 10 });
    for (let i = 0; i < 100; i++) fair.receive(frame(i === 0 ? 2 : 0, new Uint8Array(64), { isFinal: i === 99 }));
    assert.equal(fair.events.length, 1);
  });

  test('more pings and pongs than may come end the connection; time gives room for more', () => {
    const server = new Script(Role.server, { maxControlFrameBurst: 3, maxControlFramesPerSecond: 10 });
    for (let i = 0; i < 3; i++) server.receive(frame(10, `${i}`), 0);
    server.receive(frame(9, 'later'), 100);
    server.receive(frame(9, 'more'), 100);
    assert.deepEqual(server.events, ['pong:0', 'pong:1', 'pong:2', 'ping:later', 'error:WS_CONTROL_FLOOD']);
    assert.equal(server.connection.error?.type, 'limit');
  });

  test('pongs to pings of ours cost the peer nothing, those that nobody asked for do', () => {
    const server = new Script(Role.server, { maxControlFrameBurst: 3, maxControlFramesPerSecond: 0.001, pingIntervalMs: 100 });
    const { connection } = server;
    for (let i = 0; i < 50; i++) connection.ping();
    connection.handleTimeout(100);
    for (let i = 0; i < 51; i++) server.receive(frame(10));
    assert.equal(server.events.length, 51);
    for (let i = 0; i < 4; i++) server.receive(frame(10));
    assert.deepEqual(server.events.slice(51), ['pong:', 'pong:', 'pong:', 'error:WS_CONTROL_FLOOD']);
  });

  test('who sends pings and reads nothing is answered for the latest only (RFC 6455 §5.5.3)', () => {
    const server = new Script(Role.server, { maxQueuedPongBytes: 20 });
    for (let i = 0; i < 100; i++) server.receive(frame(9, `ping ${i}`));
    assert.ok(server.connection.outputBytes < 40);
    assert.deepEqual(server.takeFrames(), ['10:ping 0', '10:ping 1', '10:ping 2', '10:ping 99']);
    server.receive(frame(9, 'again'));
    assert.deepEqual(server.takeFrames(), ['10:again']);
  });

  test('options that make no sense are RangeErrors, compression without a compressor a TypeError', () => {
    const wrong: WebSocketOptions[] = [
      { maxMessageBytes: 0 },
      { maxFragments: 0 },
      { maxControlFramesPerSecond: 0 },
      { maxControlFrameBurst: 0.5 },
      { maxQueuedPongBytes: -1 },
      { compressFromBytes: -1 },
      { maxInflateRatio: 0 },
      { closeTimeoutMs: 0 },
      { endTimeoutMs: Number.NaN },
      { pingIntervalMs: -1 },
      { pongTimeoutMs: 0 },
    ];
    for (const options of wrong) assert.throws(() => new WebSocketConnection(Role.server, 0, options), RangeError, JSON.stringify(options));
    const deflate = { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 15 };
    assert.throws(() => new WebSocketConnection(Role.server, 0, { deflate }), TypeError);
  });
});

describe('commands', () => {
  test('a client masks with a fresh key for each frame (RFC 6455 §5.3)', () => {
    const { connection } = new Script(Role.client);
    connection.sendText('same');
    connection.sendText('same');
    const [bytes] = connection.takeOutput() as [Uint8Array];
    assert.equal(bytes.length, 20);
    assert.notDeepEqual(bytes.subarray(2, 10), bytes.subarray(12, 20));
    assert.deepEqual(framesOf(bytes, Role.server), ['1:same', '1:same']);
  });

  test('small frames become one chunk, a large payload of a server goes out by reference', () => {
    const { connection } = new Script(Role.server);
    const large = new Uint8Array(10_000);
    connection.sendText('a');
    connection.sendText('b');
    connection.sendBinary(large);
    connection.sendText('c');
    const chunks = connection.takeOutput();
    assert.deepEqual(
      chunks.map((chunk) => chunk.length),
      [10, 10_000, 3],
    );
    assert.equal(chunks[1], large);
    assert.deepEqual(connection.takeOutput(), []);
  });

  test('what waits for a slow peer keeps little more alive than it has, though others write with the same writer', () => {
    const writer = new ByteWriter({ initialCapacity: 32_768 });
    const [slow, fast] = [new WebSocketConnection(Role.server, 0, {}, writer), new WebSocketConnection(Role.client, 0, {}, writer)];
    const told: string[] = [];
    for (let i = 0; i < 2_000; i++) {
      // Now and then one that leaves by reference.
      const text = `${i} ${'x'.repeat(i % 500 === 0 ? 5_000 : i % 97)}`;
      slow.sendText(text);
      told.push(`1:${text}`);
      fast.sendBinary(new Uint8Array(1_000));
      fast.takeOutput();
    }
    const bytes = slow.outputBytes;
    const chunks = slow.takeOutput();
    let held = 0;
    for (const buffer of new Set(chunks.map((chunk) => chunk.buffer))) held += buffer.byteLength;
    assert.ok(held < bytes * 3, `${held} bytes for ${bytes}`);
    assert.deepEqual(framesOf(concatBytes(chunks), Role.client), told);
    slow.sendText('next');
    assert.deepEqual(framesOf(concatBytes(slow.takeOutput()), Role.client), ['1:next']);
  });

  test('what was taken is kept alive by nobody', async () => {
    const writer = new ByteWriter();
    const [slow, fast] = [new WebSocketConnection(Role.server, 0, {}, writer), new WebSocketConnection(Role.server, 0, {}, writer)];
    for (const one of [slow, fast, slow]) one.sendText('x');
    const joined = slow.takeOutput().map((chunk) => new WeakRef(chunk.buffer));
    await new Promise((resolve) => void setImmediate(resolve));
    collectGarbage();
    assert.deepEqual(
      joined.map((buffer) => buffer.deref()),
      [undefined],
    );
    assert.equal(slow.isOpen && fast.isOpen, true);
  });

  test('a client leaves the bytes of its caller as they were', () => {
    const { connection } = new Script(Role.client);
    const bytes = new Uint8Array(10_000).fill(7);
    connection.sendBinary(bytes);
    connection.takeOutput();
    assert.ok(bytes.every((byte) => byte === 7));
  });

  test('fragments: control frames may go between them, other messages may not (RFC 6455 §5.4)', () => {
    const server = new Script(Role.server);
    const { connection } = server;
    connection.sendFragment(MessageKind.text, utf8Encode('a'), 'more');
    connection.ping(utf8Encode('p'));
    assert.throws(() => connection.sendText('b'), TypeError);
    assert.throws(() => connection.sendFragment(MessageKind.binary, Uint8Array.of(1), 'last'), TypeError);
    connection.sendFragment(MessageKind.text, utf8Encode('c'), 'last');
    connection.sendText('d');
    assert.deepEqual(server.takeFrames(), ['1-:a', '9:p', '0:c', '1:d']);
  });

  test('fragments of text must be UTF-8, characters may be cut', () => {
    const server = new Script(Role.server);
    const { connection } = server;
    connection.sendFragment(MessageKind.text, Uint8Array.of(0xc3), 'more');
    assert.throws(() => connection.sendFragment(MessageKind.text, Uint8Array.of(0x28), 'more'), TypeError);
    assert.throws(() => connection.sendFragment(MessageKind.text, Uint8Array.of(), 'last'), TypeError);
    assert.throws(() => connection.sendFragment(MessageKind.text, Uint8Array.of(0xa4, 0xc3), 'last'), TypeError);
    // What was refused has left no trace: the message goes on where it was.
    connection.sendFragment(MessageKind.text, Uint8Array.of(0xa4), 'last');
    assert.deepEqual(server.takeFrames(), ['1-:\xc3', '0:\xa4']);
  });

  test('a control payload of more than 125 bytes is a RangeError', () => {
    const { connection } = new Script(Role.server);
    assert.throws(() => connection.ping(new Uint8Array(126)), RangeError);
    assert.equal(connection.pong(new Uint8Array(125)), true);
  });

  test('a lone surrogate is sent as U+FFFD', () => {
    const server = new Script(Role.server);
    server.connection.sendText('\ud800');
    assert.deepEqual(server.takeFrames(), ['1:\xef\xbf\xbd']);
  });
});

test('a collector copies only what came in pieces, and gives each message once', () => {
  const collector = new MessageCollector();
  const piece = utf8Encode('né');
  collector.begin(MessageKind.binary);
  collector.add(piece);
  assert.equal(collector.takeBytes(), piece);
  collector.begin(MessageKind.text);
  for (const byte of utf8Encode('né'.repeat(300))) collector.add(Uint8Array.of(byte));
  assert.equal(collector.kind, MessageKind.text);
  assert.equal(collector.takeText(), 'né'.repeat(300));
  assert.equal(collector.takeBytes().length, 0);
});
