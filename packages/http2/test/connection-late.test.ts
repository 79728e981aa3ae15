/** Frames for streams that are gone: what an honest peer had under way costs nobody the connection, and more than that is charged. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestHead, responseHead } from '@ferrata/headers';
import { type Http2Stream, Role } from '@ferrata/http2';
import {
  CLIENT_PREFACE,
  FrameFlag,
  FrameType,
  Http2ErrorCode,
  SettingId,
  writeData,
  writeFrameHeader,
  writePriority,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
} from '@ferrata/http2-framing';
import { StreamTable } from '../src/internal/stream-table.ts';
import { StreamState } from '../src/stream-state.ts';
import { GET, POST, RawPeer } from './raw-peer.ts';

const NOTHING = new Uint8Array(0);
const head = requestHead('GET', '/', { headers: { Host: 'example.org' } });

function streamOf(peer: RawPeer, id: number): Http2Stream {
  const stream = peer.end.streams.get(id);
  assert.ok(stream);
  return stream;
}

/** A client that has begun `count` requests and given all up. A stream beside them goes on. */
function cancelled(count: number): { readonly peer: RawPeer; readonly alive: Http2Stream; readonly ids: readonly number[] } {
  const peer = new RawPeer(Role.client);
  const { connection } = peer.end;
  const alive = connection.request(head, {}, 0);
  const ids: number[] = [];
  for (let done = 0; done < count; done++) {
    const stream = connection.request(head, {}, 0);
    ids.push(stream.id);
    connection.reset(stream, Http2ErrorCode.cancel, 0);
  }
  peer.read();
  return { peer, alive, ids };
}

describe('the end of a body that was under way when its stream was reset', () => {
  test('costs a client nothing, in a DATA frame of its own, however many come in a row', () => {
    const { peer, alive, ids } = cancelled(300);
    for (const id of ids) {
      peer.headers(id, [[':status', '200']]);
      peer.write((w) => writeData(w, id, NOTHING, { isEndStream: true }));
    }
    peer.flush();
    assert.equal(peer.end.fatal, null);
    assert.equal(alive.isClosed, false);
  });

  test('costs a client of ours nothing either: uploads that are answered early', () => {
    const peer = new RawPeer(Role.server);
    const ids = Array.from({ length: 50 }, (_, at) => 1 + 2 * at);
    for (const id of ids) peer.headers(id, POST);
    peer.flush();
    for (const id of ids) {
      peer.end.connection.sendHead(streamOf(peer, id), responseHead(413), 0, '', 0);
      peer.end.connection.reset(streamOf(peer, id), Http2ErrorCode.noError, 0);
    }
    peer.read();
    for (const id of ids) peer.write((w) => writeData(w, id, NOTHING, { isEndStream: true }));
    peer.flush();
    assert.equal(peer.end.fatal, null);
  });

  test('comes once: more of them are an offence each', () => {
    const { peer, ids } = cancelled(1);
    for (let count = 0; count < 1_002; count++) peer.write((w) => writeData(w, ids[0] as number, NOTHING, { isEndStream: true }));
    peer.flush();
    assert.equal(peer.end.fatal, 'H2_FLOOD_GLITCHES');
  });

  test('is not what an empty frame without END_STREAM is, and padding is no content (CVE-2019-9518)', () => {
    for (const padding of [0, 200]) {
      const { peer, ids } = cancelled(1);
      for (let count = 0; count < 17; count++) peer.write((w) => writeData(w, ids[0] as number, NOTHING, { padding }));
      peer.flush();
      assert.equal(peer.end.fatal, 'H2_FLOOD_EMPTY_FRAMES');
    }
  });
});

describe('streams that closed long ago', () => {
  test('a late response to a request given up thousands of streams before ends no connection that others use', () => {
    const { peer, alive, ids } = cancelled(5_000);
    for (const id of [ids[0], ids[700], ids[4_999]] as number[]) {
      peer.headers(id, [[':status', '200']]);
      peer.write((w) => writeData(w, id, new Uint8Array(10))).write((w) => writeData(w, id, NOTHING, { isEndStream: true }));
      peer.write((w) => writeRstStream(w, id, Http2ErrorCode.cancel));
    }
    peer.flush();
    assert.equal(peer.end.fatal, null);
    assert.deepEqual(peer.told('GOAWAY', 'RST_STREAM').slice(5_000), []);
    peer.headers(alive.id, [[':status', '200']], { isEndStream: true }).flush();
    assert.equal(peer.end.story(alive.id), 'head end');
  });

  test('frames on those that are forgotten are charged: fields as offences, DATA against the windows that were left', () => {
    const fields = cancelled(5_000);
    for (let count = 0; count < 1_002; count++) fields.peer.headers(fields.ids[0] as number, [[':status', '200']], { isEndStream: true });
    fields.peer.flush();
    assert.equal(fields.peer.end.fatal, 'H2_FLOOD_GLITCHES');
    const peer = new RawPeer(Role.server);
    peer.headers(9_001, GET, { isEndStream: true }).write((w) => writeData(w, 1, new Uint8Array(10)));
    peer.flush();
    assert.equal(peer.end.fatal, 'H2_STRAY_DATA');
  });

  test('a server remembers more resets than streams may be open, and late DATA on them is ignored', () => {
    const peer = new RawPeer(Role.server, { maxConcurrentStreams: 400 });
    for (let id = 1; id < 600; id += 2) peer.headers(id, POST);
    peer.flush();
    for (let id = 1; id < 600; id += 2) peer.end.connection.reset(streamOf(peer, id), Http2ErrorCode.noError, 0);
    peer.read();
    for (let id = 1; id < 600; id += 2) peer.write((w) => writeData(w, id, new Uint8Array(10)));
    peer.flush();
    assert.equal(peer.end.fatal, null);
  });

  test('the table keeps one byte for each of the newest numbers, and tells those passed over from those forgotten', () => {
    const table = new StreamTable(0, 100);
    const put = (id: number, state: StreamState) => {
      table.highestId = Math.max(table.highestId, id);
      table.remember(id, state);
    };
    put(1, StreamState.closedByPeer);
    put(5, StreamState.closedByUs);
    assert.deepEqual(
      [1, 3, 5].map((id) => table.closedState(id)),
      [StreamState.closedByPeer, StreamState.closedByEnd, StreamState.closedByUs],
    );
    assert.deepEqual(
      [1, 3, 5].map((id) => table.wasOpen(id)),
      [true, false, true],
    );
    assert.deepEqual(
      [table.mayEnd(5), table.mayEnd(5), table.mayHear(5), table.mayHear(5), table.mayEnd(3)],
      [true, false, true, false, false],
    );
    assert.equal(table.closedState(5), StreamState.closedByUs);
    // The ring is as long as it becomes, and goes round: 4096 places.
    for (const id of [7, 8_189, 8_191]) put(id, StreamState.closedByPeer);
    assert.deepEqual(
      [table.closedState(1), table.closedState(8_191), table.wasOpen(4_001)],
      [StreamState.closedByPeer, StreamState.closedByPeer, false],
    );
    put(8_193, StreamState.closedByUs);
    assert.deepEqual([table.closedState(1), table.wasOpen(1), table.wasOpen(3)], [StreamState.closedByUs, true, false]);
    assert.deepEqual([table.mayHear(1), table.mayEnd(1)], [false, false]);
    // Numbers above what was reached last, in the place of others.
    table.highestId = 8_197;
    assert.deepEqual([table.wasOpen(8_197), table.wasOpen(5)], [false, true]);
    put(8_197, StreamState.closedByUs);
    assert.equal(table.wasOpen(8_195), false);
    // Passed over, in the place of one that closed a whole ring before: near, and far away.
    put(8_201, StreamState.closedByUs);
    assert.equal(table.wasOpen(8_199), false);
    // A stream that was open for so long is forgotten as it closes.
    table.remember(1, StreamState.closedByPeer);
    assert.equal(table.closedState(1), StreamState.closedByUs);
    put(0x7fff_ffff, StreamState.closedByPeer);
    assert.deepEqual(
      [table.closedState(0x7fff_ffff), table.wasOpen(0x7fff_fffd), table.wasOpen(8_197)],
      [StreamState.closedByPeer, false, true],
    );
  });
});

test('resets that the program makes are no answers forced by the peer; those that it causes are (CVE-2025-8671)', () => {
  const peer = new RawPeer(Role.server, { maxConcurrentStreams: 400 });
  for (let id = 1; id < 600; id += 2) peer.headers(id, POST);
  peer.flush();
  for (let id = 1; id < 600; id += 2) peer.end.connection.reset(streamOf(peer, id), Http2ErrorCode.internalError, 0);
  assert.doesNotThrow(() => peer.end.connection.nextEvent(0));
  peer.read();
  assert.equal(peer.told('RST_STREAM').length, 300);
  assert.deepEqual(peer.told('GOAWAY'), []);

  const client = new RawPeer(Role.client);
  for (let count = 0; count < 300; count++)
    client.end.connection.reset(client.end.connection.request(head, {}, 0), Http2ErrorCode.cancel, 0);
  assert.doesNotThrow(() => client.end.connection.nextEvent(0));

  const forced = new RawPeer(Role.server, { maxQueuedControlFrames: 5 });
  for (let id = 1; id < 13; id += 2) forced.headers(id, [...POST, ['X', 'upper case']]);
  forced.flush();
  assert.equal(forced.end.fatal, 'H2_FLOOD_REPLIES');
  const broken = new RawPeer(Role.server, { maxQueuedControlFrames: 5 });
  for (let id = 1; id < 13; id += 2) broken.headers(id, POST);
  broken.flush();
  for (let id = 1; id < 13; id += 2) broken.headers(id, [['x-sum', '1']]);
  broken.flush();
  assert.equal(broken.end.fatal, 'H2_FLOOD_REPLIES');
});

test('a window made negative by SETTINGS is no debt of the streams beside it', () => {
  const peer = new RawPeer(Role.server, { initialWindowBytes: 1_000 }, true);
  const { connection } = peer.end;
  peer.end.onEvent = (end, stream) => {
    if (stream?.id === 1) end.connection.setReadingPaused(stream, true, 0);
  };
  peer.write((w) => w.writeBytes(CLIENT_PREFACE)).write((w) => writeSettings(w, [[SettingId.enablePush, 0]]));
  peer.headers(1, POST).headers(3, POST);
  // In order: the client did not know of the smaller window yet (RFC 9113 §6.9.2).
  for (let count = 0; count < 3; count++) peer.write((w) => writeData(w, 1, new Uint8Array(16_000)));
  peer.write((w) => writeSettingsAck(w)).flush();
  for (const id of [1, 3]) connection.reset(streamOf(peer, id), Http2ErrorCode.cancel, 0);
  peer.write((w) => writeData(w, 3, new Uint8Array(1_000))).flush();
  assert.equal(peer.end.fatal, null);
});

test('HEADERS behind the last GOAWAY earn nothing and are bounded (§6.8)', () => {
  const drained = () => {
    const peer = new RawPeer(Role.server, { guard: { priorities: { burst: 0, perSecond: 0 } } });
    peer.headers(1, POST).flush();
    peer.end.connection.drain(0);
    peer.end.connection.handleTimeout(1_001);
    return peer.read();
  };
  const honest = drained();
  for (let id = 3; id < 103; id += 2) {
    honest.headers(id, POST);
    honest.write((w) => writeData(w, id, new Uint8Array(10))).headers(id, [['x-sum', '1']], { isEndStream: true });
  }
  honest.flush(1_001);
  assert.equal(honest.end.fatal, null);
  assert.equal(honest.end.streams.size, 1);
  // The one request that was taken pays for two.
  for (let count = 0; count < 3; count++) honest.write((w) => writePriority(w, 1, { dependsOn: 0, weight: 1 }));
  honest.flush(1_001);
  assert.equal(honest.end.fatal, 'H2_FLOOD_PRIORITY');
  const wide = drained();
  for (let id = 3; id < 303; id += 2) wide.headers(id, GET, { isEndStream: true });
  wide.flush(1_001);
  assert.equal(wide.end.fatal, 'H2_FLOOD_REFUSED');
  const deep = drained();
  for (let count = 0; count < 1_100; count++) deep.headers(3, GET, { isEndStream: true });
  deep.flush(1_001);
  assert.equal(deep.end.fatal, 'H2_FLOOD_GLITCHES');
});

test('frames behind RST_STREAM of the peer get one RST_STREAM at most (§5.1)', () => {
  const peer = new RawPeer(Role.server);
  peer.headers(1, POST).write((w) => writeRstStream(w, 1, Http2ErrorCode.cancel));
  for (let count = 0; count < 5; count++) peer.write((w) => writeData(w, 1, new Uint8Array(10)));
  peer.headers(1, [['x-sum', '1']], { isEndStream: true }).flush();
  assert.equal(peer.end.fatal, null);
  assert.deepEqual(peer.told('RST_STREAM'), [`RST_STREAM 1 ${Http2ErrorCode.streamClosed}`]);
});

test('PRIORITY of a wrong length is answered with FRAME_SIZE_ERROR even when its stream is over meanwhile (RFC 9113 §6.3)', () => {
  const peer = new RawPeer(Role.server);
  peer.headers(1, GET, { isEndStream: true }).flush();
  peer.end.connection.sendHead(streamOf(peer, 1), responseHead(204), 0, '', 0);
  peer.flush();
  peer
    .write((w) => {
      writeFrameHeader(w, 4, FrameType.priority, 0, 1);
      w.writeUint32(0);
    })
    .flush();
  assert.equal(peer.end.fatal, null);
  assert.deepEqual(peer.answers.at(-1), { type: 'RST_STREAM', id: 1, flags: 0, value: Http2ErrorCode.frameSizeError });
});

describe('a field block whose stream is given up between its frames (§6.10)', () => {
  const CASES = [
    { what: 'the head of a response', role: Role.client, fields: [[':status', '200']], flags: 0, before: '' },
    { what: 'the trailers of a request', role: Role.server, fields: [['x-sum', '1']], flags: FrameFlag.endStream, before: 'head' },
  ] as const;
  for (const { what, role, fields, flags, before } of CASES) {
    test(`${what} makes no event, opens no window, and is read for the header table`, () => {
      const peer = new RawPeer(role);
      const { connection } = peer.end;
      if (role === Role.client) peer.end.streams.set(1, connection.request(head, {}, 0));
      else peer.headers(1, POST).flush();
      peer
        .read()
        .write((w) => writeFrameHeader(w, 0, FrameType.headers, flags, 1))
        .flush();
      const stream = streamOf(peer, 1);
      connection.reset(stream, Http2ErrorCode.cancel, 0);
      const block = peer.block(fields);
      peer.write((w) => {
        writeFrameHeader(w, block.length, FrameType.continuation, FrameFlag.endHeaders, 1);
        w.writeBytes(block);
      });
      peer.flush();
      assert.equal(peer.end.story(1), before);
      assert.equal(stream.receiveWindow, null);
      assert.equal(stream.isReceiveEnded, false);
      assert.deepEqual([peer.end.fatal, connection.openStreamCount], [null, 0]);
    });
  }
});
