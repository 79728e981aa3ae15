/** The last words of both sides: GOAWAY, what follows it, and RST_STREAM(NO_ERROR). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Event, type Http2Stream, Role, resolveHttp2Options } from '@ferrata/http2';
import { Http2ErrorCode, SettingId, writeData, writeGoaway, writeRstStream, writeSettings } from '@ferrata/http2-framing';
import { GET, POST, RawPeer } from './raw-peer.ts';

function streamOf(peer: RawPeer, id: number): Http2Stream {
  const stream = peer.end.streams.get(id);
  assert.ok(stream);
  return stream;
}

describe('a client that says GOAWAY hears which of its requests were seen (§6.8)', () => {
  test('at once where nothing runs', () => {
    const peer = new RawPeer(Role.server);
    peer.headers(1, GET, { isEndStream: true }).flush();
    peer.end.connection.sendHead(streamOf(peer, 1), responseHead(204), 0, '', 0);
    peer.write((w) => writeGoaway(w, 0, 0)).flush();
    assert.equal(peer.end.connection.shouldClose, true);
    const goodbye = peer.answers.filter(({ type }) => type === 'GOAWAY');
    assert.deepEqual([goodbye.map(({ value }) => value), peer.lastStreamIds], [[0], [1]]);
    // What comes all the same is passed over: it was not seen, and can be sent again.
    peer.headers(3, GET, { isEndStream: true }).flush();
    assert.equal(peer.end.story(3), '');
    assert.equal(peer.told('GOAWAY').length, 1);
  });

  test('behind the last frame of what runs, requests that still come among it', () => {
    const peer = new RawPeer(Role.server);
    peer
      .headers(1, GET, { isEndStream: true })
      .write((w) => writeGoaway(w, 0, 0))
      .headers(3, POST)
      .flush();
    assert.equal(peer.end.connection.shouldClose, false);
    assert.deepEqual(peer.told('GOAWAY'), []);
    peer.end.connection.sendHead(streamOf(peer, 1), responseHead(200), -1, '', 0);
    peer.end.connection.sendData(streamOf(peer, 1), new Uint8Array(5), 0);
    peer.end.connection.sendEnd(streamOf(peer, 1), null, 0);
    peer.end.connection.reset(streamOf(peer, 3), Http2ErrorCode.cancel, 0);
    peer.read();
    assert.deepEqual(peer.answers.map(({ type, id }) => `${type} ${id}`).slice(-4), ['HEADERS 1', 'RST_STREAM 3', 'DATA 1', 'GOAWAY 0']);
    assert.deepEqual(peer.lastStreamIds, [3]);
    assert.equal(peer.end.connection.shouldClose, true);
  });

  test('in the middle of a drain of ours it is the second GOAWAY', () => {
    const peer = new RawPeer(Role.server);
    peer.end.connection.drain(0);
    peer.write((w) => writeGoaway(w, 0, 0)).flush();
    assert.deepEqual(peer.lastStreamIds, [0x7fff_ffff, 0]);
    peer.end.connection.handleTimeout(2_000);
    assert.deepEqual(peer.read().lastStreamIds, [0x7fff_ffff, 0]);
  });

  test('a client says nothing of the kind: there are no pushes', () => {
    const peer = new RawPeer(Role.client);
    peer.write((w) => writeGoaway(w, 0, 0)).flush();
    assert.equal(peer.end.connection.shouldClose, true);
    assert.deepEqual(peer.told('GOAWAY'), []);
  });
});

test('after the last GOAWAY nothing is said: heads, bodies, ends, credit', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  for (const id of [1, 3, 5]) peer.headers(id, POST);
  peer.flush();
  connection.sendHead(streamOf(peer, 3), responseHead(200), -1, '', 0);
  const paused = streamOf(peer, 5);
  connection.setReadingPaused(paused, true, 0);
  for (let count = 0; count < 3; count++) peer.write((w) => writeData(w, 5, new Uint8Array(16_000)));
  peer.flush();
  connection.goaway(Http2ErrorCode.noError, '', 0);
  assert.equal(peer.read().answers.at(-1)?.type, 'GOAWAY');
  connection.sendInterim(streamOf(peer, 1), responseHead(103), 0);
  connection.sendHead(streamOf(peer, 1), responseHead(200), -1, '', 0);
  assert.equal(connection.sendData(streamOf(peer, 1), new Uint8Array(5), 0), false);
  connection.sendEnd(streamOf(peer, 1), HeaderMap.from({ 'X-Sum': '1' }), 0);
  assert.equal(connection.sendData(streamOf(peer, 3), new Uint8Array(5), 0), false);
  connection.sendEnd(streamOf(peer, 3), null, 0);
  connection.setReadingPaused(paused, false, 0);
  while (connection.nextEvent(0));
  connection.setPriority(paused, 1, false);
  connection.ping(0);
  connection.reset(streamOf(peer, 3), Http2ErrorCode.cancel, 0);
  assert.equal(connection.hasOutput, false);
  assert.equal(peer.end.take().length, 0);
});

test('a budget that is exhausted by DATA of ours: nothing is behind GOAWAY, no end, no trailers, no other body (§5.4.1)', () => {
  const peer = new RawPeer(Role.server, { guard: { tinyWindows: { burst: 2, perSecond: 0 } } });
  const { connection } = peer.end;
  peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 1]]));
  const ids = [1, 3, 5, 7];
  for (const id of ids) peer.headers(id, GET, { isEndStream: true });
  peer.flush();
  for (const id of ids) {
    connection.sendHead(streamOf(peer, id), responseHead(200), -1, '', 0);
    // One window later the first three have more to send, and the last has not.
    connection.sendData(streamOf(peer, id), new Uint8Array(id === 7 ? 2 : 3), 0);
    connection.sendEnd(streamOf(peer, id), id === 7 ? HeaderMap.from({ 'X-Sum': '1' }) : null, 0);
  }
  peer.read();
  assert.deepEqual(peer.told('GOAWAY'), []);
  const before = peer.answers.length;
  peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 2]])).flush();
  const after = peer.answers.slice(before).map(({ type, id }) => `${type} ${id}`);
  assert.deepEqual(after, ['SETTINGS 0', 'DATA 1', 'DATA 3', 'DATA 5', 'GOAWAY 0']);
  assert.equal(connection.hasOutput, false);
  assert.throws(() => connection.nextEvent(0), { reason: 'H2_FLOOD_TINY_WINDOW' });
  for (const id of ids) connection.sendEnd(streamOf(peer, id), null, 0);
  assert.equal(peer.end.take().length, 0);
});

test('RST_STREAM(NO_ERROR) behind a whole response ends our request quietly, taken or not (§8.1)', () => {
  for (const isPaused of [false, true]) {
    const peer = new RawPeer(Role.client);
    const { connection } = peer.end;
    const stream = connection.request(requestHead('POST', '/', { headers: { Host: 'a' } }), { bodyLength: -1 }, 0);
    connection.sendData(stream, new Uint8Array(100_000), 0);
    peer.read();
    if (isPaused) connection.setReadingPaused(stream, true, 0);
    peer.headers(1, [[':status', '413']]).write((w) => writeData(w, 1, new Uint8Array(3), { isEndStream: true }));
    peer.write((w) => writeRstStream(w, 1, Http2ErrorCode.noError)).flush();
    connection.setReadingPaused(stream, false, 0);
    peer.flush();
    assert.equal(peer.end.story(1), 'head data end');
    assert.equal(stream.isClosed, true);
    assert.equal(connection.queuedBytes, 0);
    assert.equal(connection.sendData(stream, new Uint8Array(1), 0), false);
    connection.sendEnd(stream, null, 0);
    assert.deepEqual(peer.told('RST_STREAM'), []);
    assert.equal(connection.openStreamCount, 0);
  }
  // Before the response is whole it is a loss like any other.
  const peer = new RawPeer(Role.client);
  peer.end.connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
  peer.read();
  peer
    .headers(1, [[':status', '200']])
    .write((w) => writeRstStream(w, 1, Http2ErrorCode.noError))
    .flush();
  assert.equal(peer.end.story(1), 'head reset');
});

test('a window of 0 would never open, so it is refused; one of 1 opens', () => {
  assert.throws(() => resolveHttp2Options(Role.server, { initialWindowBytes: 0 }), /RangeError: initialWindowBytes/);
  const peer = new RawPeer(Role.server, { initialWindowBytes: 1 });
  peer
    .headers(1, POST)
    .write((w) => writeData(w, 1, new Uint8Array(1)))
    .flush();
  assert.deepEqual(peer.told('WINDOW_UPDATE'), ['WINDOW_UPDATE 1 1']);
  assert.equal(
    peer.end.seen.some(({ event }) => event === 'data'),
    true,
  );
  assert.equal(peer.end.connection.event, Http2Event.none);
});
