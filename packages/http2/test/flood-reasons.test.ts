/** Every reason of the guard, by frames on a connection: that each of its hooks is called, and when (RFC 9113 §10.5). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestHead, responseHead } from '@ferrata/headers';
import { FLOOD_REASONS, type FloodReason, Http2Event, type Http2Options, Role } from '@ferrata/http2';
import {
  FrameType,
  SettingId,
  writeData,
  writeHeaders,
  writePing,
  writePriority,
  writePriorityUpdate,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import { GET, POST, RawPeer } from './raw-peer.ts';

const EMPTY = new Uint8Array(0);
const PING = new Uint8Array(8);

interface Flood {
  readonly reason: FloodReason;
  /** Turns that are borne; the next one ends the connection. */
  readonly borne: number;
  readonly options?: Http2Options;
  readonly isClient?: boolean;
  /** Before the first turn. */
  readonly prepare?: (peer: RawPeer) => void;
  readonly turn: (peer: RawPeer, at: number) => void;
  /** The peer takes nothing while it goes on. */
  readonly isDeaf?: boolean;
}

/** Requests that are answered at once, so that they end well. */
function completeSome(peer: RawPeer, count: number): void {
  const { end } = peer;
  end.onEvent = (_end, stream, event) => {
    if (event === Http2Event.head && stream !== null) end.connection.sendHead(stream, responseHead(204), 0, '', 0);
  };
  for (let at = 0; at < count; at++) peer.headers(2 * at + 1, GET, { isEndStream: true }).flush();
  end.onEvent = null;
}

const CONNECT: readonly (readonly [string, string])[] = [
  [':method', 'CONNECT'],
  [':authority', 'example.org:443'],
];

/** Makes a tunnel of each CONNECT, as soon as it comes. */
function answerConnects({ end }: RawPeer): void {
  end.onEvent = (_end, stream, event) => {
    if (event === Http2Event.head && stream !== null) end.connection.sendHead(stream, responseHead(200), -1, '', 0);
  };
}

const openPost = (peer: RawPeer): void => void peer.headers(1, POST).flush();
const many = (count: number, put: () => void): void => {
  for (let at = 0; at < count; at++) put();
};

const FLOODS: Readonly<Record<string, Flood>> = {
  'requests that are reset, behind many that were not (CVE-2023-44487)': {
    reason: 'H2_FLOOD_RESETS',
    borne: 200,
    prepare: (peer) => completeSome(peer, 600),
    turn: (peer, at) => {
      const id = 1_201 + 2 * at;
      peer.headers(id, GET, { isEndStream: true }).write((w) => writeRstStream(w, id, 8));
    },
  },
  'requests that make us reset them, behind many that did not (CVE-2025-8671)': {
    reason: 'H2_FLOOD_RESETS',
    borne: 200,
    prepare: (peer) => completeSome(peer, 600),
    turn: (peer, at) => {
      const id = 1_201 + 2 * at;
      peer.headers(id, POST).write((w) => writeWindowUpdate(w, id, 0x7fff_ffff));
    },
  },
  'requests that are reset from the first on': {
    reason: 'H2_FLOOD_PREMATURE',
    borne: 199,
    turn: (peer, at) => void peer.headers(2 * at + 1, GET, { isEndStream: true }).write((w) => writeRstStream(w, 2 * at + 1, 8)),
  },
  'CONNECT that is reset before its answer': {
    reason: 'H2_FLOOD_PREMATURE',
    borne: 199,
    turn: (peer, at) => void peer.headers(2 * at + 1, CONNECT).write((w) => writeRstStream(w, 2 * at + 1, 8)),
  },
  'tunnels that are reset without having carried anything': {
    reason: 'H2_FLOOD_PREMATURE',
    borne: 199,
    prepare: answerConnects,
    turn: (peer, at) => {
      peer.headers(2 * at + 1, CONNECT).flush();
      peer.write((w) => writeRstStream(w, 2 * at + 1, 8));
    },
  },
  'tunnels that are asked for, given a kilobyte and reset, all in one write': {
    reason: 'H2_FLOOD_PREMATURE',
    borne: 199,
    prepare: answerConnects,
    turn: (peer, at) => {
      const id = 2 * at + 1;
      peer.headers(id, CONNECT).write((w) => writeData(w, id, new Uint8Array(1_024)));
      peer.write((w) => writeRstStream(w, id, 8));
    },
  },
  'requests in one chunk': {
    reason: 'H2_FLOOD_STREAMS',
    borne: 1,
    options: { maxConcurrentStreams: 10 },
    prepare: openPost,
    // 19 of the first turn and 21 of the second: twice the limit is borne in a chunk.
    turn: (peer, at) => {
      for (let count = 0; count < 20 + at; count++) peer.headers(3 + 2 * (20 * at + count), GET, { isEndStream: true });
    },
  },
  'requests beyond the limit': {
    reason: 'H2_FLOOD_REFUSED',
    borne: 100,
    options: { maxConcurrentStreams: 1 },
    prepare: openPost,
    turn: (peer, at) => void peer.headers(2 * at + 3, GET, { isEndStream: true }),
  },
  'PING (CVE-2019-9512)': { reason: 'H2_FLOOD_PING', borne: 200, turn: (peer) => void peer.write((w) => writePing(w, PING)) },
  // One SETTINGS was spent on the preface.
  'SETTINGS (CVE-2019-9515)': { reason: 'H2_FLOOD_SETTINGS', borne: 31, turn: (peer) => void peer.write((w) => writeSettings(w, [])) },
  'PRIORITY (CVE-2019-9513)': {
    reason: 'H2_FLOOD_PRIORITY',
    borne: 200,
    turn: (peer) => void peer.write((w) => writePriority(w, 1, { dependsOn: 0, weight: 16 })),
  },
  'PRIORITY_UPDATE (RFC 9218 §7.1)': {
    reason: 'H2_FLOOD_PRIORITY',
    borne: 200,
    turn: (peer) => void peer.write((w) => writePriorityUpdate(w, 1, 'u=1')),
  },
  WINDOW_UPDATE: { reason: 'H2_FLOOD_WINDOW_UPDATE', borne: 2_000, turn: (peer) => void peer.write((w) => writeWindowUpdate(w, 0, 300)) },
  'WINDOW_UPDATE by crumbs': {
    reason: 'H2_FLOOD_TINY_WINDOW',
    borne: 1_000,
    turn: (peer) => void peer.write((w) => writeWindowUpdate(w, 0, 1)),
  },
  'responses squeezed out by crumbs, half of the budget for either frame (CVE-2019-9511)': {
    reason: 'H2_FLOOD_TINY_WINDOW',
    // The request, and the DATA frame that is cut by the first window, earn nothing above the burst.
    borne: 500,
    prepare: (peer) => {
      peer.write((w) => writeSettings(w, [[SettingId.initialWindowSize, 0]]));
      openPost(peer);
      const stream = peer.end.streams.get(1);
      assert.ok(stream);
      peer.end.connection.sendHead(stream, responseHead(200), 100_000, '', 0);
      peer.end.connection.sendData(stream, new Uint8Array(10_000), 0);
      peer.flush();
    },
    turn: (peer) => void peer.write((w) => writeWindowUpdate(w, 1, 1)),
  },
  'empty DATA (CVE-2019-9518)': {
    reason: 'H2_FLOOD_EMPTY_FRAMES',
    borne: 16,
    prepare: openPost,
    turn: (peer) => void peer.write((w) => writeData(w, 1, EMPTY)),
  },
  'empty CONTINUATION': {
    reason: 'H2_FLOOD_EMPTY_FRAMES',
    borne: 2,
    // Eight to a block, which is complete each time.
    turn: (peer, at) => {
      const block = peer.block(GET);
      const id = 2 * at + 1;
      peer.write((w) => writeUnknownFrame(w, { type: FrameType.headers, streamId: id }));
      many(7, () => peer.write((w) => writeUnknownFrame(w, { type: FrameType.continuation, streamId: id })));
      peer.write((w) => writeUnknownFrame(w, { type: FrameType.continuation, flags: 4, streamId: id, payload: block }));
    },
  },
  'bodies byte by byte': {
    reason: 'H2_FLOOD_TINY_DATA',
    // 10 000, and one more for each 64 bytes that came.
    borne: 101,
    prepare: openPost,
    turn: (peer) => many(100, () => peer.write((w) => writeData(w, 1, new Uint8Array(1)))),
  },
  padding: {
    reason: 'H2_FLOOD_OVERHEAD',
    // 64 + 255 − 10 bytes a frame out of 4 MiB.
    borne: Math.floor(Math.floor(0x40_0000 / 309) / 50),
    prepare: openPost,
    turn: (peer) => many(50, () => peer.write((w) => writeData(w, 1, new Uint8Array(10), { padding: 254 }))),
  },
  'unknown frames': {
    reason: 'H2_FLOOD_UNKNOWN',
    borne: 100,
    turn: (peer) => void peer.write((w) => writeUnknownFrame(w, { type: 0xfa })),
  },
  'large unknown frames': {
    reason: 'H2_FLOOD_CONTROL_BYTES',
    borne: 16,
    turn: (peer) => void peer.write((w) => writeUnknownFrame(w, { type: 0xfa, payload: new Uint8Array(16_384) })),
  },
  'size updates of the HPACK table': {
    reason: 'H2_FLOOD_TABLE',
    borne: 50,
    turn: (peer, at) => {
      // To 0 and back to 4 096, then `:method: GET`, `:scheme: http`, `:path: /`.
      const block = Uint8Array.from([0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x86, 0x84]);
      peer.write((w) => writeHeaders(w, 2 * at + 1, block, { isEndStream: true }));
      if (peer.end.fatal === null) peer.write((w) => writeRstStream(w, 2 * at + 1, 0));
    },
  },
  'entries pushed out of the HPACK table': {
    reason: 'H2_FLOOD_TABLE',
    options: { maxConcurrentStreams: 1_000, maxHeaderCount: 1_000 },
    // 900 new entries a request push out as many as 124 of 33 bytes leave no room for; 32 are earned by each request, below the burst.
    borne: 9,
    turn: (peer, at) => {
      const block = new Uint8Array(3 + 3 * 900).fill(0x82, 0, 3);
      block.set([0x82, 0x86, 0x84]);
      // `:authority`-less; each field is a literal with incremental indexing of the name `te` (RFC 7541 §6.2.1), which costs 34 bytes of table.
      for (let field = 0; field < 900; field++) block.set([0x40 + 58, 0x01, 0x61 + (field % 26)], 3 + 3 * field);
      peer.write((w) => writeHeaders(w, 2 * at + 1, block, { isEndStream: true }));
    },
  },
  'interim responses': {
    reason: 'H2_FLOOD_INTERIM',
    isClient: true,
    options: { maxInterimResponses: 1_000 },
    borne: 200,
    prepare: (peer) => {
      peer.end.connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
      peer.flush();
    },
    turn: (peer) => void peer.headers(1, [[':status', '103']]),
  },
  'acknowledgements that nobody asked for': {
    reason: 'H2_FLOOD_GLITCHES',
    borne: 1_000,
    turn: (peer) => void peer.write((w) => writeSettingsAck(w)),
  },
  'answers forced and not taken, of SETTINGS, PING and refused streams together (CVE-2019-9517)': {
    reason: 'H2_FLOOD_REPLIES',
    // 30 + 200 + 26: no budget of its own is exhausted by any of them.
    borne: 256,
    isDeaf: true,
    options: { maxConcurrentStreams: 50 },
    prepare: (peer) => {
      for (let at = 0; at < 50; at++) peer.headers(2 * at + 1, POST).flush();
    },
    turn: (peer, at) => {
      if (at < 30) peer.write((w) => writeSettings(w, []));
      else if (at < 230) peer.write((w) => writePing(w, PING));
      else peer.headers(101 + 2 * (at - 230), GET, { isEndStream: true });
    },
  },
};

describe('floods on a connection', () => {
  for (const [what, { reason, borne, options, isClient, prepare, turn, isDeaf }] of Object.entries(FLOODS)) {
    test(`${what}: ${reason}, after ${borne} turns`, () => {
      const peer = new RawPeer(isClient ? Role.client : Role.server, options);
      const { end } = peer;
      prepare?.(peer);
      assert.equal(end.fatal, null, 'what comes before is honest');
      let turns = 0;
      for (; turns <= borne && end.fatal === null; turns++) {
        turn(peer, turns);
        if (isDeaf) end.receive(peer.writer.take());
        else peer.flush();
        // What is found wrong as output is taken shows at the next event.
        end.run();
      }
      assert.deepEqual([end.fatal, turns], [reason, borne + 1]);
      peer.read();
      assert.deepEqual(
        peer.answers.filter(({ type }) => type === 'GOAWAY').map(({ value }) => value),
        [0xb],
      );
      assert.equal(end.connection.shouldClose, true);
    });
  }

  for (const [what, carry] of Object.entries({
    'have answered something': ({ end }: RawPeer, id: number): void => {
      const stream = end.streams.get(id);
      assert.ok(stream);
      end.connection.sendData(stream, new Uint8Array(1), 0);
      end.take();
    },
    'have been read': (peer: RawPeer, id: number): void => {
      peer.write((w) => writeData(w, id, new Uint8Array(100))).flush();
      peer.write((w) => writeData(w, id, new Uint8Array(10))).flush();
    },
  })) {
    test(`are no tunnels that ${what} and end by reset, however many at once (§8.5)`, () => {
      const peer = new RawPeer(Role.server, { initialWindowBytes: 100 });
      const { end } = peer;
      answerConnects(peer);
      for (let at = 0; at < 4_000 && end.fatal === null; at++) {
        const id = 2 * at + 1;
        peer.headers(id, CONNECT).flush();
        carry(peer, id);
        peer.write((w) => writeRstStream(w, id, 8)).flush();
        assert.equal(end.detail('reset', id) === undefined, false);
        end.seen.length = 0;
      }
      assert.equal(end.fatal, null);
      assert.equal(end.connection.openStreamCount, 0);
    });
  }

  test('are all reasons that there are', () => {
    assert.deepEqual(new Set(Object.values(FLOODS).map(({ reason }) => reason)), new Set(FLOOD_REASONS));
  });
});
