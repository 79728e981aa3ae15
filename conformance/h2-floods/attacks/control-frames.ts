/** Frames that cost the sender nothing and the receiver something: CVE-2019-9511 to -9518, CVE-2024-28182 and their kin; and frames that break a rule. */
import {
  Code,
  data,
  Flag,
  frame,
  goaway,
  headers,
  MAX_31,
  many,
  PREFACE,
  paddedData,
  ping,
  priority,
  priorityUpdate,
  requestBlock,
  rst,
  SETTINGS_ACK,
  Setting,
  settings,
  Type,
  times,
  uint32,
  windowUpdate,
} from '../../rig/http2-bytes.ts';
import {
  type Attack,
  CLOSE_MS,
  each,
  flood,
  hundred,
  judgeEnding,
  openingWithWindow,
  serves,
  servesOrEnds,
  streamViolation,
  violation,
} from '../attack.ts';

const OPEN = Flag.endHeaders;
const WAITING = headers(1, requestBlock('GET', '/wait'));
const UPLOAD = headers(1, requestBlock('POST', '/read'), OPEN);
const UNREAD_UPLOAD = headers(1, requestBlock('POST', '/stuck'), OPEN);

/** A hundred streams that wait. */
const HUNDRED = hundred('GET', '/wait');

/** A flood of one and the same frame, a hundred thousand of them. */
function same(id: string, why: string, bytes: Uint8Array, more: Partial<Parameters<typeof flood>[0]> = {}): Attack {
  const batch = times(200, bytes);
  return flood({ id, why, batch: () => batch, count: 500, ...more });
}

const SETTINGS_ATTACKS: readonly Attack[] = [
  same('settings/empty', 'CVE-2019-9515: SETTINGS with nothing in them', settings()),
  same('settings/one', 'CVE-2019-9515: SETTINGS of one entry', settings([Setting.maxConcurrentStreams, 100])),
  same('settings/deaf', 'CVE-2019-9515: and the acknowledgements are not read', settings([Setting.maxConcurrentStreams, 100]), {
    isDeaf: true,
  }),
  same('settings/unknown', 'CVE-2019-9515: SETTINGS that nobody knows', settings([0xf0f0, 1])),
  flood({
    id: 'settings/huge',
    why: 'CVE-2020-11080: 2 000 entries a frame',
    batch: () => settings(...Array.from({ length: 2_000 }, (_, i) => [0x1000 + i, i] as const)),
    count: 400,
  }),
  flood({
    id: 'settings/huge-known',
    why: 'CVE-2020-11080: 2 000 changes of the window a frame, with 100 streams open',
    before: HUNDRED,
    batch: () => settings(...Array.from({ length: 2_000 }, (_, i) => [Setting.initialWindowSize, 1_000 + (i % 2)] as const)),
    count: 400,
  }),
  flood({
    id: 'settings/window-flips',
    why: 'CVE-2019-9515: every change of the initial window touches all of 100 streams',
    before: HUNDRED,
    batch: (n) => times(50, settings([Setting.initialWindowSize, n % 2 === 0 ? 0 : MAX_31])),
    count: 500,
  }),
  flood({
    id: 'settings/table-flips',
    why: 'each change of the table owes the next block a change of size',
    batch: () => times(50, Buffer.concat([settings([Setting.headerTableSize, 0]), settings([Setting.headerTableSize, 4_096])])),
    count: 500,
  }),
  same('settings/unasked-acks', 'acknowledgements of SETTINGS that were never sent', SETTINGS_ACK, { codes: [Code.calm, Code.protocol] }),
  violation({
    id: 'settings/length',
    why: 'RFC 9113 §6.5: 7 bytes',
    bytes: frame(Type.settings, 0, 0, Buffer.alloc(7)),
    codes: [Code.frameSize],
  }),
  flood({
    id: 'settings/table-flips-with-requests',
    why: 'CVE-2019-9515: each answer must begin with changes of the table, and loses what it could have referred to',
    batch: (n) =>
      Buffer.concat([
        settings([Setting.headerTableSize, 0], [Setting.headerTableSize, 4_096]),
        ...Array.from({ length: 5 }, (_, i) => headers(2 * (5 * n + i) + 1, requestBlock('GET', '/'))),
      ]),
    count: 2_000,
  }),
  violation({ id: 'settings/on-stream', why: 'RFC 9113 §6.5: on a stream', bytes: frame(Type.settings, 0, 1), codes: [Code.protocol] }),
  violation({
    id: 'settings/ack-with-payload',
    why: 'RFC 9113 §6.5: an acknowledgement with entries',
    bytes: frame(Type.settings, Flag.ack, 0, Buffer.alloc(6)),
    codes: [Code.frameSize],
  }),
  violation({
    id: 'settings/window-too-large',
    why: 'RFC 9113 §6.5.2: 2^31',
    bytes: settings([Setting.initialWindowSize, 2 ** 31]),
    codes: [Code.flowControl],
  }),
  violation({
    id: 'settings/frame-too-small',
    why: 'RFC 9113 §6.5.2: below 2^14',
    bytes: settings([Setting.maxFrameSize, 100]),
    codes: [Code.protocol],
  }),
  violation({
    id: 'settings/frame-too-large',
    why: 'RFC 9113 §6.5.2: 2^24',
    bytes: settings([Setting.maxFrameSize, 2 ** 24]),
    codes: [Code.protocol],
  }),
  violation({
    id: 'settings/push-of-two',
    why: 'RFC 9113 §6.5.2: neither 0 nor 1',
    bytes: settings([Setting.enablePush, 2]),
    codes: [Code.protocol],
  }),
];

const PING_ATTACKS: readonly Attack[] = [
  same('ping/flood', 'CVE-2019-9512: PING', ping()),
  same('ping/deaf', 'CVE-2019-9512: and the answers are not read', ping(), { isDeaf: true }),
  same('ping/unasked-acks', 'answers to PINGs that were never sent', ping('ferrata!', Flag.ack)),
  flood({
    id: 'ping/beside-requests',
    why: 'CVE-2019-9512: between requests that are answered',
    batch: each(20, (id) => [headers(id, requestBlock('GET', '/')), times(20, ping())]),
    count: 200,
  }),
  flood({
    id: 'ping/paid-by-data',
    why: 'CVE-2019-9512: a PING for every five bytes of a body, as some measure the bandwidth: it may be borne',
    before: UPLOAD,
    batch: () => times(50, Buffer.concat([data(1, Buffer.alloc(5)), ping()])),
    count: 250,
    mayBeBorne: true,
  }),
  violation({ id: 'ping/length', why: 'RFC 9113 §6.7: 7 bytes', bytes: frame(Type.ping, 0, 0, Buffer.alloc(7)), codes: [Code.frameSize] }),
  violation({
    id: 'ping/on-stream',
    why: 'RFC 9113 §6.7: on a stream',
    bytes: frame(Type.ping, 0, 1, Buffer.alloc(8)),
    codes: [Code.protocol],
  }),
];

const PRIORITY_ATTACKS: readonly Attack[] = [
  flood({
    id: 'priority/idle',
    why: 'CVE-2019-9513: PRIORITY for streams that were never opened, in a chain',
    batch: each(200, (id) => [priority(id + 2, id)]),
    count: 500,
  }),
  flood({
    id: 'priority/shuffle',
    why: 'CVE-2019-9513: the tree of 100 open streams is turned over and over',
    before: HUNDRED,
    batch: (n) => many(200, (i) => priority(2 * ((n + i) % 100) + 1, 2 * ((n + 7 * i + 1) % 100) + 1)),
    count: 500,
    codes: [Code.calm, Code.protocol],
  }),
  same('priority/same', 'CVE-2019-9513: one and the same', priority(1, 0), { before: WAITING }),
  flood({
    id: 'priority-update/idle',
    why: 'RFC 9218 §7.1: priorities for streams that do not exist yet must not be kept without end',
    batch: each(200, (id) => [priorityUpdate(id, 'u=1')]),
    count: 500,
    codes: [Code.calm, Code.protocol],
  }),
  same('priority-update/open', 'RFC 9218 §7.1: of one stream, over and over', priorityUpdate(1, 'u=7, i'), { before: WAITING }),
  flood({
    id: 'priority-update/large',
    why: 'RFC 9218 §7.1: values of 16 KB',
    before: WAITING,
    batch: () => priorityUpdate(1, `u=1, x="${'y'.repeat(16_000)}"`),
    count: 1_000,
  }),
  violation({
    id: 'priority-update/on-stream',
    why: 'RFC 9218 §7.1: on a stream',
    bytes: frame(Type.priorityUpdate, 0, 1, uint32(1)),
    codes: [Code.protocol],
  }),
  violation({
    id: 'priority-update/short',
    why: 'RFC 9218 §7.1: 3 bytes',
    bytes: frame(Type.priorityUpdate, 0, 0, Buffer.alloc(3)),
    codes: [Code.frameSize, Code.protocol],
  }),
];

const DATA_ATTACKS: readonly Attack[] = [
  same('data/empty', 'CVE-2019-9518, RUSTSEC-2026-0258: DATA with nothing in it', data(1), { before: UPLOAD }),
  same('data/empty-unread', 'RUSTSEC-2026-0258: to a handler that does not read', data(1), { before: UNREAD_UPLOAD }),
  flood({
    id: 'data/empty-on-many',
    why: 'CVE-2019-9518: in turn on 100 streams',
    before: hundred('POST', '/read'),
    batch: (n) => many(200, (i) => data(2 * ((n + i) % 100) + 1)),
    count: 500,
  }),
  flood({
    id: 'data/empty-between-bytes',
    why: 'CVE-2019-9518: 15 empty ones between single bytes, so that none is the sixteenth in a row',
    before: UPLOAD,
    batch: () => times(20, Buffer.concat([times(15, data(1)), data(1, Buffer.of(1))])),
    count: 300,
  }),
  same('data/padding-only', 'CVE-2019-9518: DATA of padding alone', paddedData(1, 0), {
    before: UPLOAD,
    codes: [Code.calm, Code.flowControl],
  }),
  flood({
    id: 'data/padding-255',
    why: 'CVE-2019-9518: 255 bytes of padding each, within the window that is given',
    before: UPLOAD,
    batch: () => times(20, paddedData(1, 255)),
    count: 1_000,
    codes: [Code.calm, Code.flowControl],
  }),
  {
    id: 'data/one-byte',
    why: 'CVE-2019-9517: a body of 60 000 bytes, one a frame; it may be read to its end',
    async run({ connect }) {
      const peer = await connect();
      peer.write(UPLOAD);
      for (let n = 0; n < 60 && !peer.isOver; n++) {
        if (!peer.write(times(1_000, data(1, Buffer.of(120))))) await peer.drained(1_000);
      }
      peer.write(data(1, Buffer.alloc(0), true));
      const seen = peer.stream(1);
      await peer.until(() => peer.isOver || seen.isEnded, CLOSE_MS);
      if (!peer.isOver && seen.text !== '60000') return `answered ${seen.status} ${seen.text}, reset ${seen.resetCode}`;
      return await servesOrEnds(peer, [Code.calm]);
    },
  },
  {
    id: 'data/one-byte-unread',
    why: 'CVE-2019-9517: 100 bodies of 10 000 single bytes that no handler reads: what is held must not be a frame each',
    pace: 'alone',
    async run({ connect }) {
      const peer = await connect();
      for (let i = 0; i < 100 && !peer.isOver; i++) {
        peer.write(headers(2 * i + 1, requestBlock('POST', '/stuck'), OPEN));
        if (!peer.write(times(10_000, data(2 * i + 1, Buffer.of(120))))) await peer.drained(1_000);
      }
      await peer.until(() => peer.isOver, 500);
      return peer.isOver ? await judgeEnding(peer, { codes: [Code.calm, Code.flowControl] }) : null;
    },
  },
  {
    id: 'data/beyond-stream-window',
    why: 'RFC 9113 §6.9.1: more than the window of the stream',
    async run({ connect }) {
      const peer = await connect();
      peer.write(UNREAD_UPLOAD);
      // Servers may begin with more than 65 535; none should begin with 16 MiB for a handler that reads nothing.
      for (let i = 0; i < 1_024 && !peer.isOver && peer.stream(1).resetCode < 0; i++) {
        if (!peer.write(data(1, Buffer.alloc(16_384)))) await peer.drained(1_000);
        await peer.until(() => peer.isOver, 0);
      }
      await peer.until(() => peer.isOver || peer.stream(1).resetCode >= 0, CLOSE_MS);
      if (peer.isOver) return await judgeEnding(peer, { codes: [Code.flowControl] });
      const { resetCode } = peer.stream(1);
      return resetCode === Code.flowControl ? await serves(peer) : `reset with ${resetCode}, where flowControl is due`;
    },
  },
  violation({ id: 'data/stream-zero', why: 'RFC 9113 §6.1: on stream 0', bytes: data(0, Buffer.alloc(1)), codes: [Code.protocol] }),
  violation({
    id: 'data/idle',
    why: 'RFC 9113 §5.1: on a stream that was never opened',
    bytes: data(1, Buffer.alloc(1)),
    codes: [Code.protocol, Code.streamClosed],
  }),
  violation({
    id: 'data/padding-too-long',
    why: 'RFC 9113 §6.1: more padding than payload',
    bytes: Buffer.concat([UPLOAD, frame(Type.data, Flag.padded, 1, Buffer.of(9, 0, 0))]),
    codes: [Code.protocol],
  }),
  violation({
    id: 'data/too-large',
    why: 'RFC 9113 §4.2: 16 385 bytes',
    bytes: Buffer.concat([UPLOAD, data(1, Buffer.alloc(16_385))]),
    codes: [Code.frameSize],
  }),
  violation({
    id: 'frame/claims-16-mib',
    why: 'RFC 9113 §4.2: nothing may be set aside for it',
    bytes: frame(0xee, 0, 0, Buffer.alloc(100), 2 ** 24 - 1),
    codes: [Code.frameSize],
  }),
];

const WINDOW_ATTACKS: readonly Attack[] = [
  same('window/connection-drip', 'WINDOW_UPDATE of 1 for the connection', windowUpdate(0, 1), { before: WAITING }),
  same('window/stream-drip', 'WINDOW_UPDATE of 1 for a stream', windowUpdate(1, 1), { before: WAITING }),
  flood({
    id: 'window/drip-on-many',
    why: 'CVE-2019-9511: WINDOW_UPDATE of 1 for each of 100 streams that want to send 1 MiB',
    first: openingWithWindow(0),
    before: hundred('GET', '/big'),
    batch: () => many(100, (i) => windowUpdate(2 * i + 1, 1)),
    count: 1_000,
  }),
  flood({
    id: 'window/closed-stream',
    why: 'WINDOW_UPDATE for a stream that is closed (RFC 9113 §5.1 lets it be ignored, but not for ever)',
    before: headers(1, requestBlock('GET', '/')),
    batch: () => times(200, windowUpdate(1, 1)),
    count: 500,
    codes: [Code.calm, Code.streamClosed],
  }),
  violation({ id: 'window/zero', why: 'RFC 9113 §6.9: 0 for the connection', bytes: windowUpdate(0, 0), codes: [Code.protocol] }),
  violation({
    id: 'window/length',
    why: 'RFC 9113 §6.9: 3 bytes',
    bytes: frame(Type.windowUpdate, 0, 0, Buffer.alloc(3)),
    codes: [Code.frameSize],
  }),
  violation({
    id: 'window/idle',
    why: 'RFC 9113 §5.1: for a stream that was never opened',
    bytes: windowUpdate(7, 1),
    codes: [Code.protocol],
  }),
  violation({
    id: 'window/connection-overflow',
    why: 'CVE-2026-21714; RFC 9113 §6.9.1: 2^31-1, twice',
    bytes: Buffer.concat([windowUpdate(0, MAX_31), windowUpdate(0, MAX_31)]),
    codes: [Code.flowControl],
  }),
  streamViolation({
    id: 'window/stream-overflow',
    why: 'RFC 9113 §6.9.1: 2^31-1 on a stream that has some',
    bytes: Buffer.concat([WAITING, windowUpdate(1, MAX_31)]),
    codes: [Code.flowControl],
    connectionCodes: [Code.flowControl],
  }),
  violation({
    id: 'window/overflow-by-settings',
    why: 'RFC 9113 §6.9.2: SETTINGS on top of WINDOW_UPDATE',
    bytes: Buffer.concat([WAITING, windowUpdate(1, MAX_31 - 65_535), settings([Setting.initialWindowSize, 65_536])]),
    codes: [Code.flowControl],
  }),
];

const OTHER_ATTACKS: readonly Attack[] = [
  same('unknown/empty', 'RFC 9113 §10.5: frames of unknown type', frame(0xee, 0, 0)),
  same('unknown/on-stream', 'RFC 9113 §10.5: on a stream', frame(0xee, 0xff, 1, Buffer.alloc(8)), { before: WAITING }),
  flood({
    id: 'unknown/large',
    why: 'RFC 9113 §10.5: 16 KB each; nothing of it is of any use',
    batch: () => times(4, frame(0xee, 0, 0, Buffer.alloc(16_384))),
    count: 2_000,
    mayBeBorne: true,
  }),
  same(
    'altsvc/flood',
    'RFC 7838 §4: ALTSVC, which a client has no business to send',
    frame(Type.altsvc, 0, 0, Buffer.from('\x00\x01afoo')),
  ),
  same('origin/flood', 'RFC 8336 §2.1: ORIGIN, which a client has no business to send', frame(Type.origin, 0, 0, Buffer.from('\x00\x01a'))),
  same('goaway/flood', 'GOAWAY, over and over', goaway(0, Code.noError), { codes: [Code.calm, Code.noError] }),
  {
    id: 'goaway/falling-then-rising',
    why: 'RFC 9113 §6.8: a last stream that rises, and an unknown code; then the connection may end, or serve',
    async run({ connect }) {
      const peer = await connect();
      peer.write(goaway(1, Code.noError), goaway(3, 0xdead_beef, 'x'.repeat(10_000)));
      await peer.until(() => peer.isClosed, 500);
      return null;
    },
  },
  violation({
    id: 'goaway/on-stream',
    why: 'RFC 9113 §6.8: on a stream',
    bytes: frame(Type.goaway, 0, 1, Buffer.alloc(8)),
    codes: [Code.protocol],
  }),
  violation({
    id: 'goaway/short',
    why: 'RFC 9113 §6.8: 7 bytes',
    bytes: frame(Type.goaway, 0, 0, Buffer.alloc(7)),
    codes: [Code.frameSize],
  }),
  violation({
    id: 'rst/idle',
    why: 'RFC 9113 §6.4: of a stream that was never opened',
    bytes: rst(1, Code.cancel),
    codes: [Code.protocol],
  }),
  violation({ id: 'rst/stream-zero', why: 'RFC 9113 §6.4: of stream 0', bytes: rst(0, Code.cancel), codes: [Code.protocol] }),
  violation({
    id: 'rst/length',
    why: 'RFC 9113 §6.4: 3 bytes',
    bytes: Buffer.concat([WAITING, frame(Type.rstStream, 0, 1, Buffer.alloc(3))]),
    codes: [Code.frameSize],
  }),
  violation({
    id: 'push-promise/from-client',
    why: 'RFC 9113 §8.4: a client cannot push',
    bytes: frame(Type.pushPromise, Flag.endHeaders, 1, Buffer.concat([uint32(2), requestBlock('GET', '/')])),
    codes: [Code.protocol],
  }),
  violation({
    id: 'stream-id/even',
    why: 'RFC 9113 §5.1.1: an even id',
    bytes: headers(2, requestBlock('GET', '/')),
    codes: [Code.protocol],
  }),
  violation({
    id: 'stream-id/zero',
    why: 'RFC 9113 §6.2: HEADERS on stream 0',
    bytes: headers(0, requestBlock('GET', '/')),
    codes: [Code.protocol],
  }),
  violation({
    id: 'stream-id/falling',
    why: 'RFC 9113 §5.1.1: an id below one that was used',
    bytes: Buffer.concat([headers(5, requestBlock('GET', '/wait')), headers(3, requestBlock('GET', '/'))]),
    codes: [Code.protocol, Code.streamClosed],
  }),
  {
    id: 'stream-id/exhausted',
    why: 'RFC 9113 §5.1.1: the last id there is, then one more',
    async run({ connect }) {
      const peer = await connect();
      const problem = await serves(peer, MAX_31);
      if (problem !== null) return problem;
      peer.write(headers(MAX_31 - 2, requestBlock('GET', '/')));
      return await judgeEnding(peer, { codes: [Code.protocol, Code.streamClosed, Code.noError] });
    },
  },
  violation({
    id: 'preface/wrong',
    why: 'RFC 9113 §3.4: the second half of the preface is wrong',
    first: Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'latin1'),
    bytes: settings(),
    codes: [Code.protocol],
    maySayNothing: true,
  }),
  violation({
    id: 'preface/no-settings',
    why: 'RFC 9113 §3.4: something else than SETTINGS comes first',
    first: PREFACE,
    bytes: headers(1, requestBlock('GET', '/')),
    codes: [Code.protocol],
    maySayNothing: true,
  }),
  {
    id: 'settings/never-acknowledged',
    why: 'RFC 9113 §6.5.3: ours are never acknowledged; meanwhile requests are served',
    async run({ connect }) {
      return await serves(await connect(), 1);
    },
  },
];

export const CONTROL_ATTACKS: readonly Attack[] = [
  ...SETTINGS_ATTACKS,
  ...PING_ATTACKS,
  ...PRIORITY_ATTACKS,
  ...DATA_ATTACKS,
  ...WINDOW_ATTACKS,
  ...OTHER_ATTACKS,
];
