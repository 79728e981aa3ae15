import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isWireError } from '@ferrata/error';
import { requestHead, responseHead } from '@ferrata/headers';
import { Http2Event, Role } from '@ferrata/http2';
import {
  FrameFlag,
  FrameType,
  Http2ErrorCode,
  SettingId,
  writeData,
  writeFrameHeader,
  writeGoaway,
  writePing,
  writePriority,
  writePriorityUpdate,
  writePushPromise,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import { GET, POST, RawPeer } from './raw-peer.ts';

const bytes = (count: number) => new Uint8Array(count);

/** What a server makes of a frame that breaks a rule: an error of the connection, of the stream, or nothing. */
interface Case {
  readonly name: string;
  readonly say: (peer: RawPeer) => void;
  /** Reason of the connection error; its code is in the GOAWAY. */
  readonly fatal?: string;
  readonly goaway?: number;
  /** RST_STREAM frames: stream and code. */
  readonly resets?: readonly string[];
  /** Reason in the `reset` or `refused` event. */
  readonly reason?: string;
}

const { protocolError, flowControlError, streamClosed, refusedStream, compressionError, frameSizeError } = Http2ErrorCode;

/** A request that is whole and answered: the stream is closed by END_STREAM of both. */
function answered(peer: RawPeer, id: number): void {
  peer.headers(id, GET, { isEndStream: true }).flush();
  const { connection, streams } = peer.end;
  const stream = streams.get(id);
  assert.ok(stream);
  connection.sendHead(stream, responseHead(204), 0, '', 0);
  peer.read();
  assert.equal(stream.isClosed, true);
}

const serverCases: readonly Case[] = [
  // §5.1 idle
  {
    name: 'DATA on an idle stream (§5.1)',
    say: (p) => p.write((w) => writeData(w, 1, bytes(1))),
    fatal: 'H2_STREAM_IDLE',
    goaway: protocolError,
  },
  {
    name: 'RST_STREAM on an idle stream (§5.1, §6.4)',
    say: (p) => p.write((w) => writeRstStream(w, 1, 8)),
    fatal: 'H2_STREAM_IDLE',
    goaway: protocolError,
  },
  {
    name: 'WINDOW_UPDATE on an idle stream (§5.1)',
    say: (p) => p.write((w) => writeWindowUpdate(w, 1, 8)),
    fatal: 'H2_STREAM_IDLE',
    goaway: protocolError,
  },
  { name: 'PRIORITY on an idle stream is fine (§5.1, §6.3)', say: (p) => p.write((w) => writePriority(w, 1, { dependsOn: 0, weight: 1 })) },
  {
    name: 'CONTINUATION on an idle stream (§6.10)',
    say: (p) => p.write((w) => writeFrameHeader(w, 0, FrameType.continuation, 4, 1)),
    fatal: 'H2_CONTINUATION_UNEXPECTED',
    goaway: protocolError,
  },
  // §5.1 half-closed (remote)
  {
    name: 'DATA behind END_STREAM (§5.1)',
    say: (p) => p.headers(1, GET, { isEndStream: true }).write((w) => writeData(w, 1, bytes(1))),
    resets: [`RST_STREAM 1 ${streamClosed}`],
    reason: 'H2_STREAM_CLOSED',
  },
  {
    name: 'HEADERS behind END_STREAM (§5.1)',
    say: (p) => p.headers(1, GET, { isEndStream: true }).headers(1, GET, { isEndStream: true }),
    resets: [`RST_STREAM 1 ${streamClosed}`],
    reason: 'H2_STREAM_CLOSED',
  },
  // §5.1 closed by the peer
  {
    name: 'DATA behind RST_STREAM of the peer (§5.1)',
    say: (p) =>
      p
        .headers(1, POST)
        .write((w) => writeRstStream(w, 1, 8))
        .write((w) => writeData(w, 1, bytes(1))),
    resets: [`RST_STREAM 1 ${streamClosed}`],
    reason: 'H2_STREAM_RESET',
  },
  {
    name: 'HEADERS behind RST_STREAM of the peer (§5.1)',
    say: (p) =>
      p
        .headers(1, POST)
        .write((w) => writeRstStream(w, 1, 8))
        .headers(1, GET, { isEndStream: true }),
    resets: [`RST_STREAM 1 ${streamClosed}`],
    reason: 'H2_STREAM_RESET',
  },
  // §5.1 closed by END_STREAM
  {
    name: 'DATA on a stream that has ended (§5.1)',
    say: (p) => {
      answered(p, 1);
      p.write((w) => writeData(w, 1, bytes(1)));
    },
    fatal: 'H2_STREAM_CLOSED',
    goaway: streamClosed,
  },
  {
    name: 'HEADERS on a stream that has ended (§5.1)',
    say: (p) => {
      answered(p, 1);
      p.headers(1, GET, { isEndStream: true });
    },
    fatal: 'H2_STREAM_CLOSED',
    goaway: streamClosed,
  },
  {
    name: 'WINDOW_UPDATE and RST_STREAM on a stream that has ended are ignored (§5.1)',
    say: (p) => {
      answered(p, 1);
      p.write((w) => writeWindowUpdate(w, 1, 5)).write((w) => writeRstStream(w, 1, 8));
    },
  },
  // §5.1.1
  { name: 'an even number (§5.1.1)', say: (p) => p.headers(2, GET, { isEndStream: true }), fatal: 'H2_STREAM_IDLE', goaway: protocolError },
  {
    name: 'a number that does not rise (§5.1.1)',
    say: (p) => p.headers(5, GET, { isEndStream: true }).headers(3, GET, { isEndStream: true }),
    fatal: 'H2_STREAM_ID_NOT_RISING',
    goaway: protocolError,
  },
  // §6
  {
    name: 'PUSH_PROMISE of a client (§8.4)',
    say: (p) => p.headers(1, POST).write((w) => writePushPromise(w, 1, 2, p.block(GET))),
    fatal: 'H2_PUSH_PROMISE',
    goaway: protocolError,
  },
  { name: 'SETTINGS_ENABLE_PUSH of a client may be 1 (§6.5.2)', say: (p) => p.write((w) => writeSettings(w, [[SettingId.enablePush, 1]])) },
  { name: 'unknown settings are ignored (§6.5.2)', say: (p) => p.write((w) => writeSettings(w, [[0xfa, 1]])) },
  {
    name: 'unknown frames are ignored (§5.5)',
    say: (p) => p.write((w) => writeUnknownFrame(w, { type: 0xbe, flags: 255, streamId: 0, payload: bytes(8) })),
  },
  { name: 'an acknowledgement of SETTINGS that nobody waits for is ignored (§6.5.3)', say: (p) => p.write((w) => writeSettingsAck(w)) },
  {
    name: 'an acknowledgement of PING that nobody waits for is ignored (§6.7)',
    say: (p) => p.write((w) => writePing(w, bytes(8), { isAck: true })),
  },
  {
    name: 'the window of the connection beyond 2^31 − 1 (§6.9.1)',
    say: (p) => p.write((w) => writeWindowUpdate(w, 0, 0x7fff_ffff)),
    fatal: 'H2_WINDOW_OVERFLOW',
    goaway: flowControlError,
  },
  {
    name: 'the window of a stream beyond 2^31 − 1 (§6.9.1)',
    say: (p) => p.headers(1, POST).write((w) => writeWindowUpdate(w, 1, 0x7fff_ffff)),
    resets: [`RST_STREAM 1 ${flowControlError}`],
    reason: 'H2_STREAM_WINDOW_OVERFLOW',
  },
  {
    name: 'a window of a stream beyond 2^31 − 1 by SETTINGS (§6.9.2)',
    say: (p) =>
      p
        .headers(1, POST)
        .write((w) => writeWindowUpdate(w, 1, 0x7fff_ffff - 65_535))
        .write((w) => writeSettings(w, [[SettingId.initialWindowSize, 65_536]])),
    fatal: 'H2_WINDOW_OVERFLOW',
    goaway: flowControlError,
  },
  {
    name: 'WINDOW_UPDATE of 0 on a stream (§6.9)',
    say: (p) =>
      p.headers(1, POST).write((w) => {
        writeFrameHeader(w, 4, FrameType.windowUpdate, 0, 1);
        w.writeUint32(0);
      }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_STREAM_WINDOW_INCREMENT_ZERO',
  },
  {
    name: 'WINDOW_UPDATE of 0 on the connection (§6.9)',
    say: (p) =>
      p.write((w) => {
        writeFrameHeader(w, 4, FrameType.windowUpdate, 0, 0);
        w.writeUint32(0);
      }),
    fatal: 'H2_WINDOW_INCREMENT_ZERO',
    goaway: protocolError,
  },
  {
    name: 'a stream that depends on itself by PRIORITY (RFC 7540 §5.3.1)',
    say: (p) =>
      p.headers(1, POST).write((w) => {
        writeFrameHeader(w, 5, FrameType.priority, 0, 1);
        w.writeUint32(1);
        w.writeByte(7);
      }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_PRIORITY_INVALID',
  },
  {
    name: 'a stream that depends on itself by PRIORITY before it is open',
    say: (p) =>
      p.write((w) => {
        writeFrameHeader(w, 5, FrameType.priority, 0, 1);
        w.writeUint32(1);
        w.writeByte(7);
      }),
    fatal: 'H2_PRIORITY_INVALID',
    goaway: protocolError,
  },
  {
    name: 'a stream that depends on itself by HEADERS: its fields count all the same',
    say: (p) => {
      const block = p.block(GET);
      p.write((w) => {
        writeFrameHeader(w, 5 + block.length, FrameType.headers, FrameFlag.priority | FrameFlag.endHeaders | FrameFlag.endStream, 1);
        w.writeUint32(1);
        w.writeByte(7);
        w.writeBytes(block);
      }).headers(3, GET, { isEndStream: true });
    },
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_SELF_DEPENDENCY',
  },
  {
    name: 'PRIORITY_UPDATE for a push (RFC 9218 §7.1)',
    say: (p) => p.write((w) => writePriorityUpdate(w, 2, 'u=1')),
    fatal: 'H2_PRIORITY_UPDATE',
    goaway: protocolError,
  },
  // §4.3
  {
    name: 'a field block that cannot be decoded (§4.3)',
    say: (p) =>
      p.write((w) => {
        writeFrameHeader(w, 1, FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream, 1);
        w.writeByte(0x80);
      }),
    fatal: 'HPACK_INDEX_ZERO',
    goaway: compressionError,
  },
  {
    name: 'a frame that is too large (§4.2)',
    say: (p) => p.headers(1, POST).write((w) => writeData(w, 1, bytes(16_385))),
    fatal: 'H2_FRAME_TOO_LARGE',
    goaway: frameSizeError,
  },
  // §8.1
  {
    name: 'trailers without END_STREAM (§8.1)',
    say: (p) => p.headers(1, POST).headers(1, [['x-sum', '1']]),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_TRAILERS_NOT_LAST',
  },
  {
    name: 'a pseudo-header field in trailers (§8.1)',
    say: (p) => p.headers(1, POST).headers(1, [[':path', '/']], { isEndStream: true }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_PSEUDO_IN_TRAILERS',
  },
  {
    name: 'more DATA than Content-Length (§8.1.1)',
    say: (p) => p.headers(1, [...POST, ['content-length', '3']]).write((w) => writeData(w, 1, bytes(4))),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_BODY_TOO_LONG',
  },
  {
    name: 'less DATA than Content-Length (§8.1.1)',
    say: (p) => p.headers(1, [...POST, ['content-length', '3']]).write((w) => writeData(w, 1, bytes(2), { isEndStream: true })),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_BODY_TOO_SHORT',
  },
  {
    name: 'trailers before the body is as long as Content-Length (§8.1.1)',
    say: (p) => p.headers(1, [...POST, ['content-length', '3']]).headers(1, [['x-sum', '1']], { isEndStream: true }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_BODY_TOO_SHORT',
  },
  {
    name: 'Content-Length without a body (§8.1.1)',
    say: (p) => p.headers(1, [...POST, ['content-length', '3']], { isEndStream: true }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_CONTENT_LENGTH_UNMET',
  },
  {
    name: 'a malformed request (§8.1.1): an upper-case name (§8.2.1)',
    say: (p) => p.headers(1, [...GET, ['X-A', '1']], { isEndStream: true }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_FIELD_NAME_UPPERCASE',
  },
  // §5.2
  {
    name: 'more DATA than the window of the stream (§6.9.1)',
    say: (p) => {
      p.headers(1, POST).flush();
      const stream = p.end.streams.get(1);
      assert.ok(stream);
      p.end.connection.setReadingPaused(stream, true, 0);
      for (let at = 0; at < 4; at++) p.write((w) => writeData(w, 1, bytes(16_384)));
    },
    resets: [`RST_STREAM 1 ${flowControlError}`],
    reason: 'H2_STREAM_WINDOW_EXCEEDED',
  },
];

describe('a server and a peer that breaks rules', () => {
  for (const { name, say, fatal, goaway, resets, reason } of serverCases) {
    test(name, () => {
      const peer = new RawPeer(Role.server);
      say(peer);
      peer.flush();
      assert.equal(peer.end.fatal, fatal ?? null);
      assert.deepEqual(peer.told('GOAWAY'), goaway === undefined ? [] : [`GOAWAY 0 ${goaway}`]);
      assert.deepEqual(peer.told('RST_STREAM'), resets ?? []);
      const found = peer.end.seen.find(({ event }) => event === 'reset' || event === 'refused');
      assert.equal((found?.detail as unknown[] | undefined)?.[0], reason);
      assert.equal(peer.end.connection.shouldClose, fatal !== undefined);
      if (fatal === undefined) return;
      // The first error is thrown again, and nothing more is said.
      assert.throws(() => peer.end.connection.nextEvent(0), { reason: fatal });
      assert.equal(peer.end.take().length, 0);
    });
  }
});

test('late frames on a stream that we have reset are ignored, counted in windows, and their fields decoded (§5.1)', () => {
  const peer = new RawPeer(Role.server);
  peer.headers(1, POST).flush();
  const stream = peer.end.streams.get(1);
  assert.ok(stream);
  peer.end.connection.reset(stream, Http2ErrorCode.cancel, 0);
  for (let at = 0; at < 3; at++) peer.write((w) => writeData(w, 1, bytes(16_384)));
  peer.headers(1, [['x-late', 'a-value-for-the-table']], { isEndStream: true });
  peer.write((w) => writeWindowUpdate(w, 1, 1)).write((w) => writeRstStream(w, 1, 8));
  peer.headers(3, [...GET, ['x-late', 'a-value-for-the-table']], { isEndStream: true }).flush();
  assert.equal(peer.end.fatal, null);
  assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 8']);
  assert.equal(peer.end.story(1), 'head');
  assert.equal(peer.end.story(3), 'head end');
});

test('streams beyond the limit are refused with REFUSED_STREAM, and may be tried again (§5.1.2, §8.7)', () => {
  const peer = new RawPeer(Role.server, { maxConcurrentStreams: 2 });
  for (const id of [1, 3, 5]) peer.headers(id, POST);
  peer.flush();
  assert.deepEqual(peer.told('RST_STREAM'), [`RST_STREAM 5 ${refusedStream}`]);
  assert.deepEqual(peer.end.detail('refused'), ['H2_STREAMS_TOO_MANY', refusedStream, 0, 'always']);
  assert.equal(peer.end.connection.openStreamCount, 2);
});

test('a request whose fields are too large is answered 431, and asked to stop if its body goes on (RFC 6585 §5, RFC 9113 §8.1)', () => {
  const peer = new RawPeer(Role.server, { maxHeaderListBytes: 1_000 });
  const fields = [...POST, ['x-large', 'y'.repeat(2_000)] as const];
  peer.headers(1, fields).headers(3, fields, { isEndStream: true }).headers(5, GET, { isEndStream: true }).flush();
  const heads = peer.answers.filter(({ type }) => type === 'HEADERS');
  assert.deepEqual(
    heads.map(({ id, flags, value }) => [id, flags & 1, (value as string[][])[0]?.[1]]),
    [
      [1, 1, '431'],
      [3, 1, '431'],
    ],
  );
  assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 0']);
  assert.equal(peer.end.seen.filter(({ event }) => event === 'refused').length, 2);
  assert.equal(peer.end.story(5), 'head end');
});

test('the preface must be the one of HTTP/2, in any cut, and the first frame SETTINGS (§3.4)', () => {
  const wrong = new RawPeer(Role.server, {}, true);
  wrong.write((w) => w.writeLatin1('PRI * HTTP/1.1\r\n')).flush();
  assert.equal(wrong.end.fatal, 'H2_PREFACE_INVALID');
  const late = new RawPeer(Role.server, {}, true);
  late
    .write((w) => w.writeLatin1('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    .write((w) => writePing(w, bytes(8)))
    .flush();
  assert.equal(late.end.fatal, 'H2_PREFACE_SETTINGS');
  const early = new RawPeer(Role.client, {}, true);
  early.write((w) => writeSettingsAck(w)).flush();
  assert.equal(early.end.fatal, 'H2_PREFACE_SETTINGS');
  const cut = new RawPeer(Role.server, {}, true);
  for (const one of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') cut.write((w) => w.writeLatin1(one)).flush();
  cut.write((w) => writeSettings(w, [])).flush();
  assert.equal(cut.end.fatal, null);
  assert.equal(cut.end.connection.hasPeerSettings, true);
});

const clientCases: readonly (Case & { readonly bodyLength?: number; readonly retry?: string })[] = [
  {
    name: 'PUSH_PROMISE (§8.4)',
    say: (p) => p.write((w) => writePushPromise(w, 1, 2, p.block(GET))),
    fatal: 'H2_PUSH_PROMISE',
    goaway: protocolError,
  },
  {
    name: 'SETTINGS_ENABLE_PUSH of a server (§6.5.2)',
    say: (p) => p.write((w) => writeSettings(w, [[SettingId.enablePush, 1]])),
    fatal: 'H2_SETTING_PUSH',
    goaway: protocolError,
  },
  {
    name: 'HEADERS on a stream that was not opened (§5.1)',
    say: (p) => p.headers(3, [[':status', '200']]),
    fatal: 'H2_STREAM_IDLE',
    goaway: protocolError,
  },
  {
    name: 'HEADERS on a stream of pushes (§5.1)',
    say: (p) => p.headers(2, [[':status', '200']]),
    fatal: 'H2_STREAM_IDLE',
    goaway: protocolError,
  },
  {
    name: 'PRIORITY_UPDATE of a server (RFC 9218 §7.1)',
    say: (p) => p.write((w) => writePriorityUpdate(w, 1, 'u=1')),
    fatal: 'H2_PRIORITY_UPDATE',
    goaway: protocolError,
  },
  {
    name: 'extended CONNECT taken back (RFC 8441 §3)',
    say: (p) =>
      p
        .write((w) => writeSettings(w, [[SettingId.enableConnectProtocol, 1]]))
        .write((w) => writeSettings(w, [[SettingId.enableConnectProtocol, 0]])),
    fatal: 'H2_SETTING_CONNECT',
    goaway: protocolError,
  },
  {
    name: 'NO_RFC7540_PRIORITIES that changes (RFC 9218 §2.1)',
    say: (p) => p.write((w) => writeSettings(w, [[SettingId.noRfc7540Priorities, 1]])),
    fatal: 'H2_SETTING_PRIORITIES',
    goaway: protocolError,
  },
  {
    name: 'GOAWAY whose last stream rises (§6.8)',
    say: (p) => p.write((w) => writeGoaway(w, 1, 0)).write((w) => writeGoaway(w, 3, 0)),
    fatal: 'H2_GOAWAY_RISING',
    goaway: protocolError,
  },
  {
    name: 'DATA before the head (§8.1)',
    say: (p) => p.write((w) => writeData(w, 1, bytes(1))),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_DATA_BEFORE_HEAD',
    retry: 'never',
  },
  {
    name: 'an interim response that ends the stream (§8.1)',
    say: (p) => p.headers(1, [[':status', '103']], { isEndStream: true }),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_INTERIM_AT_END',
    retry: 'never',
  },
  {
    name: 'status 101 (§8.6)',
    say: (p) => p.headers(1, [[':status', '101']]),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_STATUS_101',
    retry: 'never',
  },
  {
    name: 'REFUSED_STREAM may always be tried again (§8.7)',
    say: (p) => p.write((w) => writeRstStream(w, 1, 7)),
    reason: 'H2_STREAM_RESET',
    retry: 'always',
  },
  {
    name: 'REFUSED_STREAM behind a part of the response is too late to be true: never tried again',
    say: (p) => p.headers(1, [[':status', '103']]).write((w) => writeRstStream(w, 1, 7)),
    reason: 'H2_STREAM_RESET',
    retry: 'never',
  },
  {
    name: 'GOAWAY below a stream whose response has begun: never tried again',
    say: (p) => p.headers(1, [[':status', '200']]).write((w) => writeGoaway(w, 0, 0)),
    reason: 'H2_GOAWAY',
    retry: 'never',
  },
  {
    name: 'a reset before any byte of the response may be tried again if the connection was reused',
    say: (p) => p.write((w) => writeRstStream(w, 1, 2)),
    reason: 'H2_STREAM_RESET',
    retry: 'ifReused',
  },
  {
    name: 'a reset after a byte of the response is never tried again',
    say: (p) => p.headers(1, [[':status', '103']]).write((w) => writeRstStream(w, 1, 2)),
    reason: 'H2_STREAM_RESET',
    retry: 'never',
  },
  {
    name: 'HTTP_1_1_REQUIRED has a reason of its own (§7)',
    say: (p) => p.write((w) => writeRstStream(w, 1, 0xd)),
    reason: 'H2_HTTP11_REQUIRED',
    retry: 'ifReused',
  },
  {
    name: 'a stream above the last one of GOAWAY may always be tried again (§6.8)',
    say: (p) => p.write((w) => writeGoaway(w, 0, 0, 'bye')),
    reason: 'H2_GOAWAY',
    retry: 'always',
  },
  {
    name: 'more DATA than Content-Length (§8.1.1)',
    say: (p) =>
      p
        .headers(1, [
          [':status', '200'],
          ['content-length', '1'],
        ])
        .write((w) => writeData(w, 1, bytes(2))),
    resets: [`RST_STREAM 1 ${protocolError}`],
    reason: 'H2_BODY_TOO_LONG',
    retry: 'never',
  },
];

describe('a client and a peer that breaks rules, or gives up', () => {
  for (const { name, say, fatal, goaway, resets, reason, retry } of clientCases) {
    test(name, () => {
      const peer = new RawPeer(Role.client);
      peer.end.connection.request(requestHead('GET', '/', { headers: { Host: 'example.org' } }), {}, 0);
      peer.read();
      say(peer);
      peer.flush();
      assert.equal(peer.end.fatal, fatal ?? null);
      assert.deepEqual(peer.told('GOAWAY'), goaway === undefined ? [] : [`GOAWAY 0 ${goaway}`]);
      assert.deepEqual(peer.told('RST_STREAM'), resets ?? []);
      const detail = peer.end.detail('reset', 1) as unknown[] | undefined;
      assert.equal(detail?.[0], reason);
      assert.equal(detail?.[3], retry);
    });
  }
});

test('GOAWAY lets the streams below its last one go on, ends those above, and no request begins any more (§6.8)', () => {
  const peer = new RawPeer(Role.client);
  const { connection } = peer.end;
  const head = requestHead('GET', '/', { headers: { Host: 'example.org' } });
  for (let count = 0; count < 3; count++) connection.request(head, {}, 0);
  peer.read();
  peer.write((w) => writeGoaway(w, 1, 0, 'restart')).flush();
  assert.equal(peer.end.story(3), 'reset');
  assert.equal(peer.end.story(5), 'reset');
  assert.equal(connection.availableStreams, 0);
  assert.equal(connection.isDraining, true);
  assert.equal(connection.shouldClose, false);
  assert.equal(peer.end.seen.at(-1)?.event, 'goaway');
  peer.headers(1, [[':status', '200']], { isEndStream: true }).flush();
  assert.equal(peer.end.story(1), 'head end');
  assert.equal(connection.shouldClose, true);
  assert.throws(() => connection.request(head, {}, 0), RangeError);
});

test('every kind of event has one number', () => {
  assert.equal(new Set(Object.values(Http2Event)).size, 9);
});

test('acknowledgements that nobody asked for are borne for a while, not for ever', () => {
  for (const role of [Role.server, Role.client]) {
    for (const put of [writeSettingsAck, (w: Parameters<typeof writeSettingsAck>[0]) => writePing(w, bytes(8), { isAck: true })]) {
      const peer = new RawPeer(role);
      for (let at = 0; at < 20_000 && peer.end.fatal === null; at++) peer.write(put).flush();
      assert.match(String(peer.end.fatal), /^H2_FLOOD_/);
    }
  }
});

test('acknowledgements of PINGs of ours that a newer one has overtaken are no offence (§6.7)', () => {
  const peer = new RawPeer(Role.server, { guard: { glitches: { burst: 1, perSecond: 0.001 } } });
  const { connection } = peer.end;
  for (let at = 0; at < 5; at++) connection.ping(at);
  const pings = peer.end.take();
  for (let at = 0; at < 5; at++) {
    const payload = pings.subarray(at * 17 + 9, at * 17 + 17);
    peer.write((w) => writePing(w, payload, { isAck: true }));
  }
  peer.flush(9);
  assert.equal(peer.end.fatal, null);
  assert.equal(connection.rttMs, 5);
});

test('what a server does wrong is 502 for whoever asked, also where the codecs find it', () => {
  const peer = new RawPeer(Role.client);
  peer.write((w) => w.writeLatin1('HTTP/1.1 400 Bad Request\r\n\r\n')).flush();
  assert.equal(peer.end.fatal, 'H2_FRAME_TOO_LARGE');
  assert.throws(
    () => peer.end.connection.nextEvent(0),
    (error) =>
      isWireError(error) && error.status === 502 && error.wire.http2Code === frameSizeError && !error.message.includes('limit limit'),
  );
});

test('late DATA and WINDOW_UPDATE of a stream that closed here first are no offence, however many (§5.1)', () => {
  const peer = new RawPeer(Role.server);
  for (let round = 0; round < 40; round++) {
    const id = 2 * round + 1;
    peer.headers(id, GET, { isEndStream: true }).flush();
    const stream = peer.end.streams.get(id);
    assert.ok(stream);
    peer.end.connection.sendHead(stream, responseHead(200), -1, '', 0);
    peer.end.connection.sendData(stream, bytes(1_000), 0);
    peer.end.connection.sendEnd(stream, null, 0);
    peer.read();
    for (let at = 0; at < 5; at++) peer.write((w) => writeWindowUpdate(w, id, 200));
    peer.write((w) => writeWindowUpdate(w, 0, 1_000)).flush();
  }
  assert.equal(peer.end.fatal, null);
});

test('a client that gives many requests up hears of them late, and bears that (§5.1)', () => {
  const peer = new RawPeer(Role.client, { maxStreams: 100_000, guard: { glitches: { burst: 2, perSecond: 0.001 } } });
  const { connection } = peer.end;
  for (let round = 0; round < 50; round++) {
    const stream = connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
    connection.reset(stream, Http2ErrorCode.cancel, 0);
    peer.read();
    peer
      .headers(stream.id, [[':status', '200']])
      .write((w) => writeData(w, stream.id, bytes(100), { isEndStream: true }))
      .flush();
  }
  assert.equal(peer.end.fatal, null);
  for (let round = 0; round < 4; round++) peer.headers(99, [[':status', '200']]).flush();
  assert.equal(peer.end.fatal, 'H2_FLOOD_GLITCHES');
});

test('DATA of streams that were reset gives the connection its window back, but there is no more of it than their windows let through (§6.9)', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  for (let round = 0; round < 10; round++) {
    const id = 2 * round + 1;
    peer.headers(id, POST).flush();
    const stream = peer.end.streams.get(id);
    assert.ok(stream);
    connection.reset(stream, Http2ErrorCode.cancel, 0);
    for (let left = 65_535; left > 0; left -= 16_384) peer.write((w) => writeData(w, id, bytes(Math.min(left, 16_384))));
    peer.flush();
  }
  assert.equal(peer.end.fatal, null);
  assert.ok(peer.told('WINDOW_UPDATE').some((one) => one.startsWith('WINDOW_UPDATE 0 ')));
  peer.write((w) => writeData(w, 1, bytes(1))).flush();
  assert.equal(peer.end.fatal, 'H2_STRAY_DATA');
  assert.deepEqual(peer.told('GOAWAY'), [`GOAWAY 0 ${flowControlError}`]);
});

/** HEADERS without END_HEADERS, and two CONTINUATION. */
function inParts(peer: RawPeer, id: number, block: Uint8Array, isEndStream: boolean): void {
  peer.write((w) => {
    writeFrameHeader(w, 2, FrameType.headers, isEndStream ? FrameFlag.endStream : 0, id);
    w.writeBytes(block.subarray(0, 2));
    writeFrameHeader(w, 1, FrameType.continuation, 0, id);
    w.writeBytes(block.subarray(2, 3));
    writeFrameHeader(w, block.length - 3, FrameType.continuation, FrameFlag.endHeaders, id);
    w.writeBytes(block.subarray(3));
  });
}

test('a field block in CONTINUATION frames is read in any cut: responses, trailers, and HEADERS that come too late (§6.10)', () => {
  const peer = new RawPeer(Role.client);
  peer.end.connection.request(requestHead('GET', '/', { headers: { Host: 'example.org' } }), {}, 0);
  peer.read();
  inParts(
    peer,
    1,
    peer.block([
      [':status', '200'],
      ['x-head', 'in-many-frames'],
    ]),
    false,
  );
  inParts(peer, 1, peer.block([['x-sum', 'also-in-many']]), true);
  for (const byte of peer.writer.take()) peer.end.receive(Uint8Array.of(byte));
  assert.equal(peer.end.fatal, null);
  assert.equal(peer.end.story(1), 'head end');
  assert.deepEqual(peer.end.detail('head', 1), [200, [['x-head', 'in-many-frames']]]);
  assert.deepEqual(peer.end.detail('end', 1), [['x-sum', 'also-in-many']]);

  const late = new RawPeer(Role.server);
  late.headers(1, GET, { isEndStream: true });
  inParts(late, 1, late.block([['x-late', 'in-many-frames']]), true);
  late.headers(3, [...GET, ['x-late', 'in-many-frames']], { isEndStream: true });
  for (const byte of late.writer.take()) late.end.receive(Uint8Array.of(byte));
  assert.equal(late.end.fatal, null);
  assert.deepEqual(late.read().told('RST_STREAM'), [`RST_STREAM 1 ${streamClosed}`]);
  assert.deepEqual([late.end.story(1), late.end.story(3)], ['head end reset', 'head end']);
});
