import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Event, type Http2Options, type Http2Stream, Role } from '@ferrata/http2';
import {
  CLIENT_PREFACE,
  Http2ErrorCode,
  SettingId,
  writeData,
  writePriorityUpdate,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import { Pair } from './connection-harness.ts';
import { GET, POST, RawPeer } from './raw-peer.ts';

const bytes = (count: number) => new Uint8Array(count);

function opened(peer: RawPeer, id: number, fields = GET): Http2Stream {
  peer.headers(id, fields, { isEndStream: fields === GET }).flush();
  const stream = peer.end.streams.get(id);
  assert.ok(stream);
  return stream;
}

/** Bytes of DATA of a stream that were answered. */
function dataOf(peer: RawPeer, id: number): number {
  return peer.answers.filter((one) => one.type === 'DATA' && one.id === id).reduce((sum, one) => sum + (one.value as number), 0);
}

test('DATA never goes beyond the windows of its stream and its connection (§5.2.1)', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const first = opened(peer, 1);
  const second = opened(peer, 3);
  for (const stream of [first, second]) {
    connection.sendHead(stream, responseHead(200), -1, '', 0);
    connection.sendData(stream, bytes(100_000), 0);
    connection.sendEnd(stream, null, 0);
  }
  peer.read();
  assert.equal(dataOf(peer, 1) + dataOf(peer, 3), 65_535);
  assert.equal(connection.queuedBytes, 200_000 - 65_535);
  assert.equal(connection.hasOutput, false);
  assert.equal(connection.outputBytes, 0);
  peer.write((w) => writeWindowUpdate(w, 0, 1_000_000)).flush();
  assert.equal(dataOf(peer, 1), 65_535);
  assert.equal(dataOf(peer, 3), 65_535);
  peer.write((w) => writeWindowUpdate(w, 1, 100_000)).flush();
  assert.equal(dataOf(peer, 1), 100_000);
  assert.equal(first.isClosed, true);
  assert.equal(second.isClosed, false);
  assert.equal(peer.answers.findLast((one) => one.type === 'DATA' && one.id === 1)?.flags, 1);
});

test('SETTINGS_INITIAL_WINDOW_SIZE moves the windows of open streams, also below 0 (§6.9.2)', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const stream = opened(peer, 1);
  connection.sendHead(stream, responseHead(200), -1, '', 0);
  connection.sendData(stream, bytes(60_000), 0);
  peer.read();
  peer
    .write((w) => writeSettings(w, [[SettingId.initialWindowSize, 10_000]]))
    .write((w) => writeWindowUpdate(w, 0, 100_000))
    .flush();
  connection.sendData(stream, bytes(30_000), 0);
  peer.read();
  assert.equal(dataOf(peer, 1), 60_000);
  peer.write((w) => writeWindowUpdate(w, 1, 50_000)).flush();
  assert.equal(dataOf(peer, 1), 60_000);
  peer.write((w) => writeWindowUpdate(w, 1, 1)).flush();
  assert.equal(dataOf(peer, 1), 60_001);
  peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 65_535]])).flush();
  assert.equal(dataOf(peer, 1), 90_000);
});

test('streams of one urgency take turns, a more urgent one goes first, and its client can say so (RFC 9218 §10)', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  peer.write((w) => writeWindowUpdate(w, 0, 10_000_000)).write((w) => writePriorityUpdate(w, 7, 'u=0'));
  const streams = [1, 3, 5, 7].map((id) => opened(peer, id));
  peer.write((w) => writePriorityUpdate(w, 5, 'u=6, i')).flush();
  assert.deepEqual(
    streams.map((one) => [one.urgency, one.isIncremental]),
    [
      [3, false],
      [3, false],
      [6, true],
      [0, false],
    ],
  );
  for (const stream of streams) {
    connection.sendHead(stream, responseHead(200), -1, '', 0);
    connection.sendData(stream, bytes(40_000), 0);
    connection.sendEnd(stream, null, 0);
  }
  peer.read();
  const order = peer.answers.filter((one) => one.type === 'DATA').map((one) => one.id);
  assert.deepEqual(order, [7, 7, 7, 1, 3, 1, 3, 1, 3, 5, 5, 5]);
});

test('takeOutput begins no DATA beyond its bytes, and gives large pieces by reference', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const stream = opened(peer, 1);
  const body = bytes(50_000);
  connection.sendHead(stream, responseHead(200), body.length, '', 0);
  connection.sendData(stream, body, 0);
  connection.sendEnd(stream, null, 0);
  const first = connection.takeOutput(10_000);
  assert.ok(first.reduce((sum, chunk) => sum + chunk.length, 0) < 10_000 + 16_393);
  assert.ok(first.some((chunk) => chunk.buffer === body.buffer));
  assert.equal(connection.hasOutput, true);
  assert.equal(stream.queuedBytes, 50_000 - 16_384);
});

test('a queue at its high-water mark says so, and is writable again below the low one', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const stream = opened(peer, 1);
  connection.sendHead(stream, responseHead(200), -1, '', 0);
  assert.equal(connection.sendData(stream, bytes(65_535), 0), true);
  assert.equal(connection.sendData(stream, bytes(10_000), 0), false);
  assert.equal(connection.takeWritable(), null);
  peer.read();
  assert.equal(connection.takeWritable(), stream);
  assert.equal(connection.takeWritable(), null);
  // Many small pieces: what is gone is not kept.
  peer
    .write((w) => writeWindowUpdate(w, 0, 1_000_000))
    .write((w) => writeWindowUpdate(w, 1, 1_000_000))
    .flush();
  for (let at = 0; at < 500; at++) {
    connection.sendData(stream, bytes(200), 0);
    if (at % 100 === 0) peer.read(100);
  }
  connection.sendEnd(stream, null, 0);
  peer.read();
  assert.equal(dataOf(peer, 1), 75_535 + 100_000);
  assert.equal(stream.isSendEnded, true);
});

test('reset streams give back what waits in them, and the connection stays usable', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const first = opened(peer, 1);
  const second = opened(peer, 3);
  for (const stream of [first, second]) {
    connection.sendHead(stream, responseHead(200), -1, '', 0);
    connection.sendData(stream, bytes(100_000), 0);
  }
  peer.write((w) => writeRstStream(w, 1, 8)).flush();
  connection.reset(second, Http2ErrorCode.internalError, 0);
  peer.read();
  assert.equal(connection.queuedBytes, 0);
  assert.equal(connection.openStreamCount, 0);
  // Commands on closed streams do nothing.
  assert.equal(connection.sendData(first, bytes(1), 0), false);
  connection.sendEnd(first, null, 0);
  connection.sendHead(first, responseHead(200), 0, '', 0);
  connection.sendInterim(first, responseHead(100), 0);
  connection.reset(first, 8, 0);
  connection.setReadingPaused(first, true, 0);
  connection.setPriority(first, 1, false);
  assert.equal(peer.end.take().length, 0);
  assert.equal(connection.isIdle, true);
});

test('a paused stream holds no more than its window, others go on, and resuming gives all in order (§5.2.2)', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const slow = opened(peer, 1, POST);
  connection.setReadingPaused(slow, true, 0);
  const sent = 'abcdefghij'.repeat(6_000);
  peer.write((w) => {
    for (let at = 0; at < sent.length; at += 10_000) writeData(w, 1, Buffer.from(sent.slice(at, at + 10_000), 'latin1'));
    for (const one of 'tail') writeData(w, 1, Buffer.from(one));
  });
  peer.headers(1, [['x-sum', '1']], { isEndStream: true });
  peer.flush();
  opened(peer, 3, POST);
  peer.write((w) => writeData(w, 3, Buffer.from('quick'), { isEndStream: true, padding: 9 })).flush();
  assert.equal(peer.end.body(3), 'quick');
  assert.equal(peer.end.story(1), 'head');
  assert.ok(!peer.told('WINDOW_UPDATE').some((one) => one.startsWith('WINDOW_UPDATE 1 ')));
  connection.setReadingPaused(slow, false, 0);
  peer.flush();
  assert.equal(peer.end.body(1), `${sent}tail`);
  assert.equal(peer.end.story(1), 'head data end');
  assert.deepEqual(peer.end.seen.at(-1)?.detail, [['x-sum', '1']]);
});

test('credit for DATA, or for padding alone, that a peer never takes is bounded (CVE-2019-9517)', () => {
  const frames = { DATA: [bytes(500), {}], padding: [bytes(0), { padding: 249 }] } as const;
  for (const [what, [data, options]] of Object.entries(frames)) {
    const peer = new RawPeer(Role.server, {
      initialWindowBytes: 500,
      connectionWindowBytes: 0x4000_0000,
      maxQueuedControlFrames: 20,
      guard: false,
    });
    peer.headers(1, POST).flush();
    for (let sent = 0; sent < 100; sent++) writeData(peer.writer, 1, data, options);
    // A chunk whose answers nobody takes.
    peer.end.receive(peer.writer.take());
    assert.equal(peer.end.fatal, 'H2_FLOOD_REPLIES', what);
  }
});

test('hundreds of readers that go on at once are no flood of answers (§6.9)', () => {
  const peer = new RawPeer(Role.server, { maxConcurrentStreams: 400, initialWindowBytes: 16_384 });
  const { connection } = peer.end;
  const pauseAt = (wanted: Http2Event): void => {
    peer.end.onEvent = (_end, stream, event) => {
      if (stream !== null && event === wanted) connection.setReadingPaused(stream, true, 0);
    };
  };
  const resumeAll = (): void => {
    for (const stream of peer.end.streams.values()) connection.setReadingPaused(stream, false, 0);
    peer.flush();
  };
  const creditCount = (): number => peer.answers.filter(({ type, id }) => type === 'WINDOW_UPDATE' && id > 0).length;
  const fill = (): void => {
    for (const id of peer.end.streams.keys()) peer.write((w) => writeData(w, id, bytes(10_000))).flush();
  };
  pauseAt(Http2Event.head);
  for (let id = 1; id < 800; id += 2) peer.headers(id, POST).flush();
  fill();
  // Each takes its piece and stops, and goes on later.
  pauseAt(Http2Event.data);
  resumeAll();
  assert.equal(creditCount(), 0);
  resumeAll();
  assert.deepEqual([peer.end.fatal, creditCount()], [null, 400]);
  // Each takes a piece that has waited, and goes on.
  for (const stream of peer.end.streams.values()) connection.setReadingPaused(stream, true, 0);
  fill();
  peer.end.onEvent = null;
  resumeAll();
  assert.deepEqual([peer.end.fatal, creditCount()], [null, 800]);
});

test('pausing between two held pieces stops at once, and an end that waits comes after resuming', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const stream = opened(peer, 1, POST);
  connection.setReadingPaused(stream, true, 0);
  peer
    .write((w) => writeData(w, 1, bytes(16_384)))
    .write((w) => writeData(w, 1, bytes(16_384), { isEndStream: true }))
    .flush();
  connection.setReadingPaused(stream, false, 0);
  assert.equal(connection.nextEvent(0), true);
  connection.setReadingPaused(stream, true, 0);
  assert.equal(connection.nextEvent(0), false);
  connection.setReadingPaused(stream, false, 0);
  const events: number[] = [];
  while (connection.nextEvent(0)) events.push(connection.event);
  assert.deepEqual(events, [Http2Event.data, Http2Event.end]);
});

test('pausing in the last piece holds the end back', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  const stream = opened(peer, 1, POST);
  peer.end.onEvent = (_end, _stream, event) => {
    if (event === Http2Event.data) connection.setReadingPaused(stream, true, 0);
  };
  peer.write((w) => writeData(w, 1, bytes(3), { isEndStream: true })).flush();
  assert.equal(peer.end.story(1), 'head data');
  connection.setReadingPaused(stream, false, 0);
  peer.flush();
  assert.equal(peer.end.story(1), 'head data end');
});

test('a window that credit made larger before the acknowledgement loses by it what the peer takes off, and no more (§6.9.2)', () => {
  const peer = new RawPeer(Role.server, { initialWindowBytes: 16_384, readWindowBytes: 0x10_0000 }, true);
  peer.writer.writeBytes(CLIENT_PREFACE);
  writeSettings(peer.writer, []);
  peer.headers(1, POST);
  for (let frames = 0; frames < 3; frames++) peer.write((w) => writeData(w, 1, bytes(16_000)));
  peer.flush();
  const credit = peer.answers.filter(({ type, id }) => type === 'WINDOW_UPDATE' && id === 1).map(({ value }) => value as number);
  assert.equal(credit.length, 1);
  const stream = peer.end.streams.get(1);
  assert.ok(stream);
  peer.end.connection.setReadingPaused(stream, true, 0);
  let left = 65_535 - 48_000 + (credit[0] as number) + (16_384 - 65_535);
  peer.write((w) => writeSettingsAck(w));
  for (; left > 0; left -= 16_000) peer.write((w) => writeData(w, 1, bytes(Math.min(16_000, left))));
  peer.flush();
  assert.deepEqual(peer.told('RST_STREAM'), []);
  peer.write((w) => writeData(w, 1, bytes(1))).flush();
  assert.deepEqual(peer.told('RST_STREAM'), [`RST_STREAM 1 ${Http2ErrorCode.flowControlError}`]);
});

test('a window smaller than the default holds from the acknowledgement on, and credit comes by it (§6.5.3, §6.9.2)', () => {
  const pair = new Pair({ server: { initialWindowBytes: 1_000 } });
  const { connection } = pair.client;
  const body = 'x'.repeat(20_000);
  const stream = connection.request(requestHead('POST', '/', { headers: { Host: 'a' } }), { bodyLength: body.length }, 0);
  connection.sendData(stream, Buffer.from(body), 0);
  connection.sendEnd(stream, null, 0);
  pair.exchange();
  assert.equal(pair.server.body(1), body);
  assert.equal(pair.server.fatal, null);
});

test('a stream whose window stays too small grows by the product of bandwidth and delay, and not when switched off', () => {
  for (const isWindowGrowthEnabled of [true, false]) {
    const pair = new Pair({ server: { isWindowGrowthEnabled, connectionWindowBytes: 1 << 24 } });
    const { connection } = pair.client;
    const stream = connection.request(requestHead('POST', '/', { headers: { Host: 'a' } }), { bodyLength: -1 }, 0);
    let largest = 0;
    let now = 0;
    pair.exchange(now);
    for (let round = 0; round < 60; round++) {
      if (stream.queuedBytes < 2_000_000) connection.sendData(stream, bytes(2_000_000), now);
      now += 10;
      const up = pair.client.take();
      largest = Math.max(largest, up.length);
      pair.server.receive(up, now);
      now += 10;
      pair.client.receive(pair.server.take(), now);
    }
    if (isWindowGrowthEnabled) assert.ok(largest > 500_000, `${largest}`);
    else assert.ok(largest < 70_000, `${largest}`);
    assert.equal(pair.server.connection.rttMs >= 0, isWindowGrowthEnabled);
  }
});

test('heads that do not fit a frame go in CONTINUATION (§6.10)', () => {
  const pair = new Pair({ client: { maxHeaderListBytes: 60_000, maxHeaderBlockBytes: 60_000 } });
  pair.server.onEvent = (end, stream, event) => {
    if (event !== Http2Event.head || stream === null) return;
    end.connection.sendHead(stream, responseHead(200, { headers: { 'X-Large': '~'.repeat(40_000) } }), 0, '', 0);
  };
  pair.client.connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
  pair.exchange();
  assert.equal(pair.client.fatal, null);
  assert.equal(pair.client.streams.get(1)?.response?.headers.get('X-Large')?.length, 40_000);
});

test('trailers that are empty, or cannot go out, end the stream in order', () => {
  for (const trailers of [new HeaderMap(), HeaderMap.from({ Connection: 'close' })]) {
    const pair = new Pair();
    pair.server.onEvent = (end, stream, event) => {
      if (event !== Http2Event.head || stream === null) return;
      end.connection.sendHead(stream, responseHead(200), -1, '', 0);
      end.connection.sendData(stream, Buffer.from('a'), 0);
      end.connection.sendEnd(stream, trailers, 0);
    };
    pair.client.connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
    pair.exchange();
    assert.equal(pair.client.story(1), 'head data end');
    assert.equal(pair.client.detail('end'), null);
  }
});

test('all streams together hold no more than maxSendQueueBytes, and one that is stuck stops no other', () => {
  const peer = new RawPeer(Role.server, { maxSendQueueBytes: 10_000 });
  const { connection } = peer.end;
  peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 0]])).flush();
  const stuck = opened(peer, 1);
  const other = opened(peer, 3);
  for (const stream of [stuck, other]) connection.sendHead(stream, responseHead(200), -1, '', 0);
  assert.equal(connection.sendData(stuck, bytes(9_000), 0), true);
  assert.equal(connection.sendData(other, bytes(1_000), 0), false);
  peer.write((w) => writeWindowUpdate(w, 3, 999)).flush();
  assert.equal(connection.takeWritable(), other);
  assert.equal(connection.sendData(other, bytes(9_000), 0), false);
  peer.write((w) => writeWindowUpdate(w, 3, 5_000)).flush();
  assert.equal(connection.takeWritable(), null);
  peer.write((w) => writeWindowUpdate(w, 3, 5_000)).flush();
  assert.equal(connection.takeWritable(), other);
});

test('what waits for a window is lost when the peer has ended its side: no window will come', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 10]])).flush();
  const blocked = opened(peer, 1);
  const later = opened(peer, 3);
  connection.sendHead(blocked, responseHead(200), -1, '', 0);
  connection.sendData(blocked, bytes(11), 0);
  peer.read();
  connection.receiveEnd(1);
  peer.flush(1);
  assert.deepEqual(peer.end.detail('reset', 1), ['H2_CLOSED_EARLY', Http2ErrorCode.cancel, 0, 'never']);
  // What is not blocked goes on, and is lost when it comes to that.
  connection.sendHead(later, responseHead(200), -1, '', 2);
  connection.sendData(later, bytes(10), 2);
  peer.read();
  connection.sendData(later, bytes(1), 2);
  peer.flush(2);
  connection.handleTimeout(connection.nextTimeout());
  peer.flush(1_002);
  assert.equal(peer.end.story(3), 'head end reset');
  assert.equal(dataOf(peer, 3), 10);
  assert.equal(connection.shouldClose, true);
});

test('every SETTINGS_HEADER_TABLE_SIZE of a frame counts, in order (RFC 7541 §4.2)', () => {
  const peer = new RawPeer(Role.server);
  peer
    .write((w) =>
      writeSettings(w, [
        [SettingId.headerTableSize, 0],
        [SettingId.headerTableSize, 8_192],
      ]),
    )
    .flush();
  const stream = opened(peer, 1);
  peer.end.connection.sendHead(stream, responseHead(204), 0, '', 0);
  const bytesOut = peer.end.take();
  // Behind the frame header: size updates to 0 and to what we use, 4 096.
  assert.deepEqual([...bytesOut.subarray(9, 13)], [0x20, 0x3f, 0xe1, 0x1f]);
});

/** A client's stream whose answer has begun. */
function asked(options: Http2Options = {}): { readonly peer: RawPeer; readonly stream: Http2Stream } {
  const peer = new RawPeer(Role.client, options);
  const { connection } = peer.end;
  const stream = connection.request(requestHead('GET', '/', { headers: { Host: 'h' } }), {}, 0);
  peer
    .read()
    .headers(1, [[':status', '200']])
    .flush();
  return { peer, stream };
}

/** Credit that was given for a stream. */
function creditOf(peer: RawPeer, id: number): number {
  return peer.answers.filter((one) => one.type === 'WINDOW_UPDATE' && one.id === id).reduce((sum, one) => sum + (one.value as number), 0);
}

test('the window of an answer begins small, and is a whole one as soon as its reader has taken half of that and goes on (§6.9)', () => {
  const { peer } = asked();
  peer.write((w) => writeData(w, 1, bytes(8_000))).flush();
  assert.equal(creditOf(peer, 1), 0);
  peer.write((w) => writeData(w, 1, bytes(192))).flush();
  assert.equal(creditOf(peer, 1), 8_192 + 65_535 - 16_384);
  // No more than all windows of the connection may hold together.
  const narrow = asked({ maxConcurrentStreams: 2, maxReceiveBufferBytes: 40_000 });
  narrow.peer.write((w) => writeData(w, 1, bytes(16_384))).flush();
  assert.equal(creditOf(narrow.peer, 1), 40_000);
});

test('whoever stops reading as it takes a piece gives no credit for it, until it goes on (§5.2.2)', () => {
  const { peer, stream } = asked();
  const { connection } = peer.end;
  peer.end.onEvent = (_end, _stream, event) => {
    if (event === Http2Event.data) connection.setReadingPaused(stream, true, 0);
  };
  peer.write((w) => writeData(w, 1, bytes(16_384))).flush();
  assert.equal(creditOf(peer, 1), 0);
  connection.setReadingPaused(stream, false, 0);
  peer.end.run();
  peer.read();
  assert.equal(creditOf(peer, 1), 65_535);
});

test('a stream that no window lets send is full at its low-water mark: what cannot leave is not gathered', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 0]])).flush();
  const stream = opened(peer, 1);
  connection.sendHead(stream, responseHead(200), -1, '', 0);
  assert.equal(connection.sendData(stream, bytes(16_383), 0), true);
  assert.equal(connection.sendData(stream, bytes(1), 0), false);
  peer.write((w) => writeWindowUpdate(w, 1, 100_000)).flush();
  assert.equal(connection.takeWritable(), stream);
  // With a window it gathers for a whole flight.
  assert.equal(connection.sendData(stream, bytes(40_000), 0), true);
  assert.equal(connection.sendData(stream, bytes(25_536), 0), false);
});

test('nothing of a stream is kept once all was taken: what its user attached may be all of another connection', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const peer = new RawPeer(Role.client);
  const { connection } = peer.end;
  // In a function of its own, so that this one holds nothing.
  const attach = (): WeakRef<object> => {
    const stream = connection.request(requestHead('GET', '/', { headers: { Host: 'h' } }), {}, 0);
    const attached = { of: 'another connection' };
    stream.attachment = attached;
    return new WeakRef(attached);
  };
  const attached = attach();
  peer
    .read()
    .headers(1, [[':status', '200']])
    .write((w) => writeData(w, 1, bytes(10), { isEndStream: true }))
    .flush();
  assert.equal(connection.openStreamCount, 0);
  assert.deepEqual([connection.event, connection.stream, connection.data.length, connection.trailers], [Http2Event.none, null, 0, null]);
  peer.end.streams.clear();
  for (let turn = 0; turn < 20 && attached.deref() !== undefined; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  assert.equal(attached.deref(), undefined);
  assert.equal(connection.shouldClose, false);
});
