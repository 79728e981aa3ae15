import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestHead, responseHead } from '@ferrata/headers';
import { Http2Event, Role } from '@ferrata/http2';
import {
  CLIENT_PREFACE,
  FrameType,
  Http2ErrorCode,
  writeData,
  writeFrameHeader,
  writeSettings,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import { Pair } from './connection-harness.ts';
import { GET, POST, RawPeer } from './raw-peer.ts';

const bytes = (count: number) => new Uint8Array(count);
const get = () => requestHead('GET', '/', { headers: { Host: 'a' } });

/** Lets time pass in steps, as a session does. @returns the error of the connection */
function pass(peer: RawPeer, from: number, to: number): string | null {
  const { connection } = peer.end;
  let now = from;
  for (let turn = 0; turn < 10_000; turn++) {
    now = Math.max(now, connection.nextTimeout());
    if (now > to) return null;
    const error = connection.handleTimeout(now);
    if (error !== null) return error.reason;
    peer.flush(now);
    if (connection.shouldClose) return 'closed';
  }
  throw new Error('time does not pass');
}

describe('what takes too long ends', () => {
  test('a preface that does not come (§3.4)', () => {
    const peer = new RawPeer(Role.server, {}, true);
    assert.equal(peer.end.connection.handleTimeout(9_999), null);
    assert.equal(pass(peer, 0, 20_000), 'H2_PREFACE_TIMEOUT');
    assert.deepEqual(peer.read().told('GOAWAY'), [`GOAWAY 0 ${Http2ErrorCode.settingsTimeout}`]);
  });

  test('SETTINGS that are not acknowledged (§6.5.3)', () => {
    const peer = new RawPeer(Role.server, {}, true);
    peer
      .write((w) => w.writeBytes(CLIENT_PREFACE))
      .write((w) => writeSettings(w, []))
      .flush();
    assert.equal(pass(peer, 0, 20_000), 'H2_SETTINGS_TIMEOUT');
    assert.deepEqual(peer.read().told('GOAWAY'), [`GOAWAY 0 ${Http2ErrorCode.settingsTimeout}`]);
  });

  test('a field block that drips, or never ends', () => {
    for (const cut of [true, false]) {
      const peer = new RawPeer(Role.server);
      const block = peer.block(POST);
      if (cut) peer.write((w) => writeFrameHeader(w, block.length, FrameType.headers, 4, 1)).flush(100);
      else {
        peer.write((w) => {
          writeFrameHeader(w, block.length, FrameType.headers, 0, 1);
          w.writeBytes(block);
        });
        peer.flush(100);
      }
      assert.equal(pass(peer, 100, 10_099), null);
      assert.equal(pass(peer, 10_099, 30_000), 'H2_HEADER_TIMEOUT');
    }
  });

  test('a connection without streams: GOAWAY(NO_ERROR), in order', () => {
    const peer = new RawPeer(Role.server);
    assert.equal(pass(peer, 0, 59_999), null);
    assert.equal(pass(peer, 59_999, 60_000), 'closed');
    assert.deepEqual(peer.read().told('GOAWAY'), ['GOAWAY 0 0']);
    assert.equal(peer.end.connection.nextTimeout(), Infinity);
    assert.equal(peer.end.connection.nextEvent(60_001), false);
  });

  test('the body of a request that stalls; not while reading is paused, and not that of a tunnel', () => {
    const peer = new RawPeer(Role.server, { minBodyBytesPerSecond: 0, pingIntervalMs: 0 });
    peer
      .headers(1, POST)
      .headers(3, POST)
      .headers(5, [
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
      ])
      .flush();
    const paused = peer.end.streams.get(3);
    assert.ok(paused);
    peer.end.connection.setReadingPaused(paused, true, 0);
    peer.write((w) => writeData(w, 1, bytes(1))).flush(20_000);
    assert.equal(pass(peer, 20_000, 49_000), null);
    assert.equal(pass(peer, 49_000, 100_000), null);
    assert.deepEqual(peer.end.detail('reset', 1), ['H2_BODY_TIMEOUT', 8, 408, 'never']);
    assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 8']);
    assert.equal(peer.end.connection.openStreamCount, 2);
  });

  test('the bounds of one stream hold for it alone, and what is not named stays', () => {
    const peer = new RawPeer(Role.server, { minBodyBytesPerSecond: 0, pingIntervalMs: 0 });
    peer.headers(1, POST).headers(3, POST).headers(5, POST).flush();
    const { connection, streams } = peer.end;
    const [quick, slow] = [streams.get(1), streams.get(3)];
    assert.ok(quick && slow);
    connection.setBounds(quick, { bodyTimeoutMs: 5_000 });
    connection.setBounds(quick, { stallTimeoutMs: 1 });
    connection.setBounds(slow, { bodyTimeoutMs: 100_000 });
    assert.equal(pass(peer, 0, 4_999), null);
    assert.deepEqual(peer.told('RST_STREAM'), []);
    assert.equal(pass(peer, 4_999, 6_000), null);
    assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 8']);
    assert.equal(pass(peer, 6_000, 99_000), null);
    assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 8', 'RST_STREAM 5 8']);
    assert.equal(pass(peer, 99_000, 101_000), null);
    assert.deepEqual(peer.end.detail('reset', 3), ['H2_BODY_TIMEOUT', 8, 408, 'never']);
  });

  test('a stream whose stall somebody else looks after is not given up for want of window', () => {
    const peer = new RawPeer(Role.server, { stallTimeoutMs: 3_000, pingIntervalMs: 0 });
    peer.write((w) => writeSettings(w, [[4, 0]])).flush();
    peer.headers(1, GET, { isEndStream: true }).headers(3, GET, { isEndStream: true }).flush();
    const { connection, streams } = peer.end;
    for (const stream of streams.values()) {
      if (stream.id === 1) connection.setBounds(stream, { stallTimeoutMs: Number.POSITIVE_INFINITY });
      connection.sendHead(stream, responseHead(200), 100, '', 0);
      connection.sendData(stream, bytes(100), 0);
    }
    peer.flush();
    assert.equal(pass(peer, 0, 60_000), null);
    assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 3 8']);
  });

  test('a field block counts from its first byte to its last, however many CONTINUATION frames keep it alive (§6.10)', () => {
    const peer = new RawPeer(Role.server);
    const block = peer.block(POST);
    const cut = (type: number, flags: number, from: number, to: number) =>
      peer.write((w) => writeUnknownFrame(w, { type, flags, streamId: 1, payload: block.subarray(from, to) }));
    cut(FrameType.headers, 0, 0, 1).flush(100);
    for (let at = 1; at < 5; at++) {
      assert.equal(peer.end.connection.handleTimeout(at * 2_400), null);
      cut(FrameType.continuation, 0, at, at + 1).flush(at * 2_400);
    }
    assert.equal(peer.end.connection.handleTimeout(10_099), null);
    assert.equal(peer.end.connection.handleTimeout(10_100)?.reason, 'H2_HEADER_TIMEOUT');
  });

  test('each field block has its own time', () => {
    const peer = new RawPeer(Role.server);
    for (let turn = 0; turn < 4; turn++) {
      const block = peer.block(POST);
      peer.write((w) => writeUnknownFrame(w, { type: FrameType.headers, flags: 0, streamId: 1 + 2 * turn, payload: block.subarray(0, 1) }));
      peer.flush(turn * 9_000);
      peer.write((w) =>
        writeUnknownFrame(w, { type: FrameType.continuation, flags: 4, streamId: 1 + 2 * turn, payload: block.subarray(1) }),
      );
      peer.flush(turn * 9_000 + 8_000);
      assert.equal(peer.end.connection.handleTimeout(turn * 9_000 + 8_500), null);
    }
    assert.equal(peer.end.story(7), 'head');
  });

  test('the body of a request that drips below the minimum rate, after the grace', () => {
    const peer = new RawPeer(Role.server);
    peer.headers(1, POST).headers(3, POST).flush();
    for (let second = 1; second <= 60; second++) {
      if (second % 5 === 0) peer.write((w) => writeData(w, 1, bytes(1_195)));
      if (second % 5 === 0) peer.write((w) => writeData(w, 3, bytes(second === 5 ? 2_405 : 1_205)));
      peer.flush(second * 1_000);
      assert.equal(peer.end.connection.handleTimeout(second * 1_000), null);
      peer.flush(second * 1_000);
      if (second === 9) assert.equal(peer.end.detail('reset'), undefined);
    }
    assert.deepEqual(peer.end.detail('reset', 1), ['H2_BODY_TOO_SLOW', 8, 408, 'never']);
    assert.equal(peer.end.detail('reset', 3), undefined);
    assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 8']);
  });

  test('the rate does not count a pause of reading, nor time in which 100 (Continue) is waited for (RFC 9110 §10.1.1)', () => {
    const peer = new RawPeer(Role.server);
    peer
      .headers(1, POST)
      .headers(3, [...POST, ['expect', '100-continue']])
      .flush();
    const { connection } = peer.end;
    const stream = peer.end.streams.get(1);
    assert.ok(stream);
    assert.equal(pass(peer, 0, 5_000), null);
    connection.setReadingPaused(stream, true, 5_000);
    assert.equal(pass(peer, 5_000, 25_500), null);
    connection.setReadingPaused(stream, false, 26_000);
    assert.equal(pass(peer, 26_000, 29_900), null);
    assert.equal(peer.end.detail('reset'), undefined);
    peer.write((w) => writeData(w, 3, bytes(100))).flush(29_900);
    // Stream 1 has had five seconds before the pause and five behind it.
    assert.equal(pass(peer, 29_900, 32_500), null);
    assert.equal((peer.end.detail('reset', 1) as unknown[])[0], 'H2_BODY_TOO_SLOW');
    assert.equal(peer.end.detail('reset', 3), undefined);
    assert.equal(pass(peer, 32_500, 41_500), null);
    assert.equal((peer.end.detail('reset', 3) as unknown[])[0], 'H2_BODY_TOO_SLOW');
  });

  test('once the response has begun both sides may be silent, but not for ever', () => {
    for (const limit of [300_000, Infinity]) {
      const peer = new RawPeer(Role.server, { streamIdleTimeoutMs: limit, pingIntervalMs: 0 });
      peer.headers(1, POST).flush();
      const { connection } = peer.end;
      const stream = peer.end.streams.get(1);
      assert.ok(stream);
      connection.sendHead(stream, responseHead(200), -1, '', 9_000);
      assert.equal(pass(peer, 9_000, 300_000), null);
      // Either side's piece is a sign of life.
      connection.sendData(stream, bytes(5), 300_000);
      peer.flush(300_000);
      assert.equal(pass(peer, 300_000, 590_000), null);
      peer.write((w) => writeData(w, 1, bytes(1))).flush(590_000);
      assert.equal(pass(peer, 590_000, 889_000), null);
      assert.equal(peer.end.story(1), 'head data');
      assert.equal(pass(peer, 889_000, 892_000), null);
      if (limit === Infinity) assert.equal(peer.end.story(1), 'head data');
      else assert.deepEqual(peer.end.detail('reset', 1), ['H2_STREAM_IDLE_TIMEOUT', 8, 0, 'never']);
    }
  });

  test('a stream that gets no window, or crumbs of it (CVE-2019-9517); not one that gets enough', () => {
    const peer = new RawPeer(Role.server);
    peer.write((w) => writeSettings(w, [[4, 0]])).flush();
    const { connection } = peer.end;
    for (const id of [1, 3, 5]) {
      peer.headers(id, GET, { isEndStream: true }).flush();
      const stream = peer.end.streams.get(id);
      assert.ok(stream);
      connection.sendHead(stream, responseHead(200), -1, '', 0);
      connection.sendData(stream, bytes(500_000), 0);
    }
    for (let second = 1; second <= 70; second++) {
      peer.write((w) => writeWindowUpdate(w, 3, 10)).write((w) => writeWindowUpdate(w, 5, 500));
      peer.flush(second * 1_000);
      assert.equal(connection.handleTimeout(second * 1_000), null);
    }
    peer.flush(70_000);
    assert.deepEqual(peer.end.detail('reset', 1), ['H2_WRITE_STALLED', 8, 0, 'never']);
    assert.equal((peer.end.detail('reset', 3) as unknown[])[0], 'H2_WRITE_STALLED');
    assert.equal(peer.end.detail('reset', 5), undefined);
    assert.equal(connection.queuedBytes, 500_000 - 70 * 500);
  });

  test('a response that does not come, or stalls (client)', () => {
    const peer = new RawPeer(Role.client, { pingIntervalMs: 0 });
    const { connection } = peer.end;
    connection.request(get(), {}, 0);
    connection.request(get(), {}, 0);
    connection.request(requestHead('POST', '/', { headers: { Host: 'a' } }), { bodyLength: -1 }, 0);
    peer.read();
    peer.headers(3, [[':status', '200']]).flush(30_000);
    assert.equal(pass(peer, 30_000, 95_000), null);
    assert.equal((peer.end.detail('reset', 1) as unknown[])[0], 'H2_FIRST_BYTE_TIMEOUT');
    assert.equal((peer.end.detail('reset', 3) as unknown[])[0], 'H2_READ_TIMEOUT');
    assert.equal(peer.end.detail('reset', 5), undefined);
  });

  test('a CONNECT that is not answered, or refused by a response that stalls; not a tunnel, however silent (client; §8.5)', () => {
    const peer = new RawPeer(Role.client, { pingIntervalMs: 0 });
    const { connection } = peer.end;
    for (let at = 0; at < 3; at++) connection.request(requestHead('CONNECT', 'example.org:443'), { bodyLength: -1 }, 0);
    peer.read();
    peer.headers(3, [[':status', '403']]).headers(5, [[':status', '200']]);
    peer.flush(30_000);
    assert.equal(pass(peer, 30_000, 59_000), null);
    assert.equal(peer.end.detail('reset'), undefined);
    assert.equal(pass(peer, 59_000, 9_000_000), null);
    assert.deepEqual(peer.end.detail('reset', 1), ['H2_FIRST_BYTE_TIMEOUT', 8, 504, 'never']);
    assert.equal((peer.end.detail('reset', 3) as unknown[])[0], 'H2_READ_TIMEOUT');
    assert.equal(peer.end.detail('reset', 5), undefined);
    assert.equal(connection.openStreamCount, 1);
  });

  test('interim responses put the final one off, to 30 times the time at most (client)', () => {
    const peer = new RawPeer(Role.client, { pingIntervalMs: 0 });
    peer.end.connection.request(get(), {}, 0);
    peer.read();
    for (let at = 59_000; at < 1_800_000; at += 59_000) {
      assert.equal(pass(peer, at - 59_000, at), null);
      peer.headers(1, [[':status', '103']]).flush(at);
    }
    assert.equal(pass(peer, 1_770_000, 1_799_000), null);
    assert.equal(peer.end.detail('reset'), undefined);
    assert.equal(peer.end.seen.length, 30);
    assert.equal(pass(peer, 1_799_000, 1_801_000), null);
    assert.equal((peer.end.detail('reset', 1) as unknown[])[0], 'H2_FIRST_BYTE_TIMEOUT');
  });

  test('a peer that does not answer PING while streams are open (§6.7)', () => {
    const peer = new RawPeer(Role.client);
    peer.end.connection.request(get(), {}, 0);
    peer.read();
    assert.equal(pass(peer, 0, 100_000), 'H2_PING_TIMEOUT');
    assert.equal(peer.told('PING').length, 1);
  });
});

test('PING measures the round trip, and one that was not asked for measures nothing (§6.7)', () => {
  const pair = new Pair();
  pair.exchange();
  pair.client.connection.ping(10);
  pair.server.receive(pair.client.take(), 12);
  const answer = pair.server.take();
  pair.client.receive(answer, 17);
  assert.equal(pair.client.connection.rttMs, 7);
  pair.client.receive(answer, 99);
  assert.equal(pair.client.connection.rttMs, 7);
});

test('a server drains in two steps: what was under way is still served, what comes later is ignored (§6.8)', () => {
  const peer = new RawPeer(Role.server, { drainTimeoutMs: 500 });
  const { connection } = peer.end;
  peer.headers(1, POST).flush();
  connection.drain(0);
  connection.drain(0);
  peer.headers(3, GET, { isEndStream: true }).flush(100);
  assert.equal(peer.answers.filter(({ type }) => type === 'GOAWAY').length, 1);
  assert.equal(peer.end.story(3), 'head end');
  assert.equal(pass(peer, 100, 600), null);
  assert.equal(peer.answers.filter(({ type }) => type === 'GOAWAY').length, 2);
  peer
    .headers(5, POST)
    .write((w) => writeData(w, 5, bytes(5)))
    .flush(600);
  assert.equal(peer.end.story(5), '');
  assert.equal(peer.end.fatal, null);
  assert.equal(connection.isDraining, true);
  for (const id of [1, 3]) {
    const stream = peer.end.streams.get(id);
    assert.ok(stream);
    assert.equal(connection.shouldClose, false);
    connection.sendHead(stream, responseHead(204), 0, '', 600);
    connection.reset(stream, 0, 600);
  }
  assert.equal(connection.shouldClose, true);
});

test('two that drain come to their end without a lost request, whoever begins (§6.8)', () => {
  for (const first of ['server', 'client'] as const) {
    const pair = new Pair();
    pair.exchange();
    pair.client.connection.request(get(), {}, 0);
    pair[first].connection.drain(0);
    pair.server.onEvent = (end, stream, event) => {
      if (event === Http2Event.head && stream !== null) end.connection.sendHead(stream, responseHead(204), 0, '', 0);
    };
    pair.exchange();
    assert.equal(pair.client.story(1), 'head end');
    assert.equal(pair.client.connection.shouldClose, true);
    assert.equal(pair.server.connection.shouldClose, true);
    assert.equal(pair.client.connection.availableStreams, 0);
  }
});

test('a connection drains when it has carried maxStreams', () => {
  const pair = new Pair({ client: { maxStreams: 2 }, server: { maxStreams: 2 } });
  pair.exchange();
  pair.client.connection.request(get(), {}, 0);
  assert.equal(pair.client.connection.availableStreams, 1);
  pair.client.connection.request(get(), {}, 0);
  assert.equal(pair.client.connection.availableStreams, 0);
  pair.exchange();
  assert.equal(pair.server.connection.isDraining, true);
  assert.equal(pair.server.story(3), 'head end');
});

test('when the peer ends its side, what is whole is answered, and what is not is lost (§5.1, §9.1)', () => {
  const server = new RawPeer(Role.server);
  server.headers(1, GET, { isEndStream: true }).headers(3, POST).flush();
  server.end.connection.receiveEnd(1);
  server.flush(1);
  assert.equal(server.end.story(1), 'head end');
  assert.deepEqual(server.end.detail('reset', 3), ['H2_CLOSED_EARLY', 8, 0, 'never']);
  assert.equal(server.end.connection.shouldClose, false);
  const stream = server.end.streams.get(1);
  assert.ok(stream);
  server.end.connection.sendHead(stream, responseHead(204), 0, '', 1);
  assert.equal(server.end.connection.shouldClose, true);

  const client = new RawPeer(Role.client);
  client.end.connection.request(get(), {}, 0);
  client.end.connection.request(get(), {}, 0);
  client.read();
  client.headers(3, [[':status', '200']]).flush();
  client.end.connection.receiveEnd(1);
  client.flush(1);
  assert.deepEqual(client.end.detail('reset', 1), ['H2_CLOSED_EARLY', 8, 502, 'ifReused']);
  assert.deepEqual(client.end.detail('reset', 3), ['H2_CLOSED_EARLY', 8, 502, 'never']);
  assert.equal(client.end.connection.shouldClose, true);
});

test('an end inside a frame loses what is not whole, and nothing else: whole requests are answered', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  peer.headers(1, GET, { isEndStream: true }).headers(3, POST);
  peer.write((w) => writeFrameHeader(w, 9, FrameType.headers, 4, 5)).flush();
  connection.receiveEnd(0);
  peer.end.run();
  assert.equal(peer.end.fatal, null);
  assert.equal(peer.end.story(1), 'head end');
  assert.equal(peer.end.story(3), 'head reset');
  assert.equal((peer.end.detail('reset', 3) as unknown[])[0], 'H2_CLOSED_EARLY');
  assert.equal(connection.shouldClose, false);
  const stream = peer.end.streams.get(1);
  assert.ok(stream);
  connection.sendHead(stream, responseHead(204), 0, '', 0);
  assert.deepEqual(
    peer.read().answers.map(({ type, id }) => `${type} ${id}`),
    ['HEADERS 1'],
  );
  assert.equal(connection.shouldClose, true);
  assert.equal(connection.isIdle, true);
});

test('an end inside DATA gives what came of it, then the loss of its stream; inside a field block, the loss alone', () => {
  const peer = new RawPeer(Role.client);
  const { connection } = peer.end;
  const head = requestHead('GET', '/', { headers: { Host: 'a' } });
  for (let count = 0; count < 3; count++) connection.request(head, {}, 0);
  peer.read();
  for (const id of [1, 3]) peer.headers(id, [[':status', '200']]);
  peer.write((w) => {
    writeFrameHeader(w, 9, FrameType.data, 1, 3);
    w.writeLatin1('part');
  });
  peer.flush();
  connection.receiveEnd(0);
  peer.end.run();
  assert.equal(peer.end.fatal, null);
  assert.deepEqual(
    [1, 3, 5].map((id) => peer.end.story(id)),
    ['head reset', 'head data reset', 'reset'],
  );
  assert.equal(peer.end.body(3), 'part');
  assert.deepEqual(
    [1, 3, 5].map((id) => (peer.end.detail('reset', id) as unknown[])[3]),
    ['never', 'never', 'ifReused'],
  );
});

test('goaway ends at once: GOAWAY is the last frame, with its text', () => {
  const peer = new RawPeer(Role.server);
  peer.headers(1, POST).flush();
  peer.end.connection.goaway(Http2ErrorCode.noError, 'enough', 0);
  assert.deepEqual(peer.read().told('GOAWAY'), ['GOAWAY 0 0']);
  peer.end.connection.goaway(Http2ErrorCode.noError, 'again', 0);
  peer.end.connection.drain(0);
  peer.end.connection.ping(0);
  peer.headers(3, POST).flush();
  assert.equal(peer.end.take().length, 0);
  assert.equal(peer.end.story(3), '');
  assert.equal(peer.end.connection.shouldClose, true);
});
