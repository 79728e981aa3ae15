/** What holds a server's memory and its connections for as long as they will last: zero windows, deaf peers, slow ones, crowds, CVE-2019-9511, -9517. */
import {
  Code,
  data,
  Flag,
  frame,
  goaway,
  headers,
  literal,
  MAX_31,
  many,
  namedLiteral,
  PREFACE,
  ping,
  priority,
  priorityUpdate,
  requestBlock,
  rst,
  SETTINGS_ACK,
  Setting,
  settings,
  Type,
  windowUpdate,
} from '../../rig/http2-bytes.ts';
import { opening, type RawHttp2Peer } from '../../rig/raw-http2-client.ts';
import {
  type Attack,
  type AttackContext,
  CLOSE_MS,
  each,
  flood,
  hundred,
  judgeEnding,
  load,
  openingWithWindow,
  pour,
  serves,
} from '../attack.ts';

const OPEN = Flag.endHeaders;
const HOLD_MS = 1_500;
const SETTINGS_MS = 300;

/** Gives every stream one byte more, ten times a second. */
async function drip(peer: RawHttp2Peer, ms: number): Promise<void> {
  await pour(peer, { batch: () => many(100, (i) => windowUpdate(2 * i + 1, 1)), count: ms / 100, everyMs: 100, ms });
}

const READERS: readonly Attack[] = [
  load({
    id: 'zero-window/streams',
    why: 'CVE-2019-9511: 5 connections of 100 streams, each wants 1 MiB and takes nothing: 500 MB, if it were made',
    pace: 'slow',
    isHeavy: true,
    ms: HOLD_MS,
    async load({ connect }) {
      for (let i = 0; i < 5; i++) (await connect(openingWithWindow(0))).write(hundred('GET', '/big'));
      return null;
    },
  }),
  load({
    id: 'zero-window/drip',
    why: 'CVE-2019-9517: each of 100 streams is given a byte ten times a second',
    pace: 'slow',
    ms: HOLD_MS,
    async load({ connect }) {
      const peer = await connect(openingWithWindow(0));
      peer.write(hundred('GET', '/big'));
      await drip(peer, HOLD_MS - 500);
      return null;
    },
  }),
  load({
    id: 'zero-window/connection',
    why: 'CVE-2019-9517: the streams have windows, the connection has none',
    pace: 'slow',
    isHeavy: true,
    ms: HOLD_MS,
    async load({ connect }) {
      for (let i = 0; i < 3; i++) (await connect(openingWithWindow(MAX_31))).write(hundred('GET', '/big'));
      return null;
    },
  }),
  load({
    id: 'deaf/answers',
    why: 'CVE-2019-9517: every window is wide, and the client reads nothing from its socket',
    pace: 'slow',
    isHeavy: true,
    ms: HOLD_MS,
    async load({ connect }) {
      for (let i = 0; i < 3; i++) {
        const peer = await connect(openingWithWindow(MAX_31));
        peer.hold();
        peer.write(windowUpdate(0, MAX_31 - 65_535), hundred('GET', '/big'));
      }
      return null;
    },
  }),
  {
    id: 'deaf/small-answers',
    why: 'requests by the ten thousand whose answers are not read: they must not be gathered without end',
    pace: 'slow',
    async run({ connect }) {
      const peer = await connect();
      peer.hold();
      await pour(peer, { batch: each(100, (id) => [headers(id, requestBlock('GET', '/'))]), count: 600, ms: 3_000 });
      return null;
    },
  },
  {
    id: 'deaf/resets',
    why: 'CVE-2025-8671: resets are owed to a peer that does not read',
    async run({ connect }) {
      const peer = await connect();
      peer.hold();
      await pour(peer, {
        batch: each(100, (id) => [headers(id, requestBlock('GET', '/', literal('X-Bad', 'y')))]),
        count: 300,
        ms: 2_000,
      });
      peer.release();
      await peer.until(() => peer.isOver, 1_000);
      return await judgeEnding(peer, { codes: [Code.calm, Code.protocol], maySayNothing: true });
    },
  },
  load({
    id: 'deaf/mixed-debts',
    why: '10 connections that do not read, each with 100 streams that have something to say',
    pace: 'slow',
    isHeavy: true,
    ms: 2_000,
    async load({ connect, server }) {
      // A proxy has read 64 KiB of each answer by HTTP/1 before it knows that its client does not: what it holds grows with the connections.
      const count = server === 'reverse-http1' ? 6 : 10;
      for (let i = 0; i < count; i++) {
        const peer = await connect();
        peer.hold();
        peer.write(
          hundred('GET', '/big'),
          many(9, () => ping()),
        );
      }
      return null;
    },
  }),
];

const UPLOADS: readonly Attack[] = [
  load({
    id: 'upload/unread',
    why: '5 connections of 100 bodies that no handler reads, each filled to its window: a proxy may hold each twice',
    pace: 'slow',
    isHeavy: true,
    ms: HOLD_MS,
    async load({ connect }) {
      for (let i = 0; i < 5; i++) {
        const peer = await connect();
        await fill(peer, '/stuck', 100);
      }
      return null;
    },
  }),
  {
    id: 'upload/after-answer',
    why: 'RFC 9113 §8.1: the answer is out, the body goes on for ever; it must not be taken for ever',
    pace: 'slow',
    async run({ connect }) {
      const peer = await connect();
      peer.write(headers(1, requestBlock('POST', '/early'), OPEN));
      const taken = await upload(peer, 1, 3_000);
      if (peer.isOver) return await judgeEnding(peer, { codes: [Code.calm, Code.noError, Code.flowControl] });
      const { resetCode, status } = peer.stream(1);
      if (status !== 200) return `answered ${status}`;
      if (resetCode >= 0 || taken < 32 * 1_048_576) return await serves(peer);
      return `${Math.round(taken / 1_048_576)} MiB were taken after the answer`;
    },
  },
  {
    id: 'upload/after-reset',
    why: 'DATA for a stream that the server has reset goes on, within its credit',
    async run({ connect }) {
      const peer = await connect();
      peer.write(headers(1, requestBlock('POST', '/read', literal('X-Bad', 'y')), OPEN));
      await peer.until(() => peer.stream(1).resetCode >= 0 || peer.stream(1).isEnded || peer.isOver, CLOSE_MS);
      const sent = await pour(peer, { batch: () => data(1, Buffer.alloc(16_000)), count: 5_000, ms: 3_000 });
      await peer.until(() => peer.isOver, 500);
      const problem = await judgeEnding(peer, { codes: [Code.calm, Code.flowControl, Code.streamClosed, Code.protocol] });
      return problem === null ? null : `${problem} (${sent} frames of 16 000 bytes)`;
    },
  },
  load({
    id: 'half-open/streams',
    why: '8 connections of 100 requests whose body never begins',
    pace: 'slow',
    ms: HOLD_MS,
    async load({ connect }) {
      for (let i = 0; i < 8; i++) (await connect()).write(hundred('POST', '/read'));
      return null;
    },
  }),
  load({
    id: 'half-open/slow-bodies',
    why: '100 bodies at a byte each half second',
    pace: 'slow',
    ms: HOLD_MS,
    async load({ connect }) {
      const peer = await connect();
      peer.write(hundred('POST', '/read'));
      await pour(peer, { batch: () => many(100, (n) => data(2 * n + 1, Buffer.of(1))), count: 6, everyMs: 500, ms: 3_000 });
      return null;
    },
  }),
];

/** What each budget of the guard bears at once or in a second, a little less of everything. */
function mixture(n: number): Buffer {
  const first = 200 * n + 1;
  return Buffer.concat([
    many(15, () => ping()),
    settings([Setting.initialWindowSize, 65_535]),
    many(15, (i) => priority(first + 2 * i, 0)),
    many(15, (i) => priorityUpdate(first + 2 * i, 'u=1')),
    many(8, () => frame(0xee, 0, 0, Buffer.alloc(100))),
    many(500, () => windowUpdate(0, 1)),
    many(20, (i) => headers(first + 2 * i, requestBlock('GET', '/'))),
    many(20, (i) => Buffer.concat([headers(first + 40 + 2 * i, requestBlock('GET', '/wait')), rst(first + 40 + 2 * i, Code.cancel)])),
    many(5, (i) => headers(first + 80 + 2 * i, requestBlock('GET', '/wait', literal('X-Bad', 'y')))),
    headers(first + 90, requestBlock('POST', '/read'), OPEN),
    many(10, () => data(first + 90)),
    many(100, () => data(first + 90, Buffer.of(1))),
    data(first + 90, Buffer.of(1), true),
  ]);
}

const MIXED: readonly Attack[] = [
  load({
    id: 'mixed/below-each',
    why: 'every flood at once, each at a rate below its own budget, on 20 connections',
    pace: 'slow',
    ms: 3_000,
    async load({ connect }) {
      const peers = await Promise.all(Array.from({ length: 20 }, async () => await acknowledging(await connect())));
      await Promise.all(peers.map(async (peer) => await pour(peer, { batch: mixture, count: 3, everyMs: 900, ms: 3_000 })));
      for (const peer of peers) {
        const problem = peer.isClosed ? await judgeEnding(peer, { codes: [Code.calm] }) : null;
        if (problem !== null) return problem;
      }
      return null;
    },
  }),
  flood({
    id: 'mixed/all-at-once',
    why: 'every flood at once on one connection, as fast as it goes',
    batch: mixture,
    count: 500,
  }),
  flood({
    id: 'half-open/answered',
    why: 'RFC 9113 §8.1: GET without END_STREAM, answered and never ended: each answer costs the server a reset besides',
    batch: each(50, (id) => [headers(id, requestBlock('GET', '/'), OPEN)]),
    count: 200,
    mayBeBorne: true,
    codes: [Code.calm, Code.noError],
  }),
  load({
    id: 'half-open/get',
    why: '3 connections of 100 GETs without END_STREAM, then silence',
    pace: 'slow',
    ms: HOLD_MS,
    async load({ connect }) {
      for (let i = 0; i < 3; i++) (await connect()).write(many(100, (n) => headers(2 * n + 1, requestBlock('GET', '/wait'), OPEN)));
      return null;
    },
  }),
  {
    id: 'goaway/goes-on',
    why: 'RFC 9113 §6.8: the client says GOAWAY, over and over, and goes on to ask',
    async run({ connect }) {
      const peer = await connect();
      await pour(peer, {
        batch: each(50, (id) => [goaway(0, Code.noError), headers(id, requestBlock('GET', '/'))]),
        count: 300,
      });
      await peer.until(() => peer.isOver, 500);
      return await judgeEnding(peer, { codes: [Code.calm, Code.noError, Code.protocol], maySayNothing: true });
    },
  },
  load({
    id: 'deaf/by-turns',
    why: 'CVE-2019-9517: 5 connections that read nothing, ask for 1 MiB on 100 streams, give it up and ask again, as often as the budgets let them',
    pace: 'slow',
    isHeavy: true,
    ms: 2_000,
    async load({ connect }) {
      for (let c = 0; c < 5; c++) {
        const peer = await connect(openingWithWindow(MAX_31));
        peer.hold();
        peer.write(windowUpdate(0, MAX_31 - 65_535));
        const batch = (n: number): Buffer =>
          Buffer.concat([
            many(n === 0 ? 0 : 40, (i) => rst(80 * (n - 1) + 2 * i + 1, Code.cancel)),
            many(40, (i) => headers(80 * n + 2 * i + 1, requestBlock('GET', '/big'))),
          ]);
        await pour(peer, { batch, count: 4, everyMs: 60 });
      }
      return null;
    },
  }),
];

const CROWDS: readonly Attack[] = [
  {
    id: 'concurrency/at-once',
    why: 'RFC 9113 §5.1.2: 200 streams at once: the excess is refused, or the connection ends',
    async run({ connect }) {
      const peer = await connect();
      peer.write(many(200, (i) => headers(2 * i + 1, requestBlock('GET', '/wait'))));
      await peer.until(() => peer.isOver || peer.resetCount >= 100, CLOSE_MS);
      if (peer.isOver) return await judgeEnding(peer, { codes: [Code.calm, Code.protocol] });
      const codes = new Set([...peer.streams.values()].map(({ resetCode }) => resetCode).filter((code) => code >= 0));
      if (peer.resetCount < 100) return `only ${peer.resetCount} of 200 streams were refused`;
      return codes.size === 1 && codes.has(Code.refused) ? null : `refused with codes ${[...codes].join(', ')}`;
    },
  },
  flood({
    id: 'concurrency/flood',
    why: 'CVE-2023-44487: streams beyond the limit, over and over: each refusal costs',
    before: hundred('GET', '/wait'),
    batch: (n) => many(100, (i) => headers(2 * (100 * n + i + 100) + 1, requestBlock('GET', '/wait'))),
    count: 300,
    codes: [Code.calm, Code.protocol],
    maxStreams: 5_000,
  }),
  flood({
    id: 'concurrency/many-served',
    why: '30 000 requests as fast as they go, none reset: they may all be served',
    batch: each(50, (id) => [headers(id, requestBlock('GET', '/'))]),
    count: 600,
    mayBeBorne: true,
    codes: [Code.calm, Code.noError],
  }),
  flood({
    id: 'connect/flood',
    why: 'RFC 9113 §8.5: CONNECT, over and over',
    batch: each(50, (id) => [headers(id, Buffer.concat([namedLiteral(2, 'CONNECT'), namedLiteral(1, 'localhost:1')]), OPEN)]),
    count: 200,
    codes: [Code.calm, Code.protocol],
  }),
  flood({
    id: 'connect/extended',
    why: 'RFC 8441 §4: extended CONNECT, which was not offered',
    batch: each(50, (id) => [headers(id, requestBlock('CONNECT', '/', literal(':protocol', 'websocket')), OPEN)]),
    count: 200,
    codes: [Code.calm, Code.protocol],
  }),
  load({
    id: 'crowd/idle',
    why: '1 000 connections that say hello and no more',
    pace: 'alone',
    ms: 1_500,
    async load({ connect }) {
      return await crowd(1_000, async () => await connect());
    },
  }),
  load({
    id: 'crowd/one-stream',
    why: '300 connections with a stream each that waits',
    pace: 'alone',
    ms: 1_000,
    async load({ connect }) {
      return await crowd(300, async () => {
        const peer = await connect();
        peer.write(headers(1, requestBlock('GET', '/wait')));
        return peer;
      });
    },
  }),
  load({
    id: 'crowd/come-and-go',
    why: '500 connections that say hello and are cut, by a reset, in the middle of a frame',
    pace: 'alone',
    ms: 500,
    async load({ connect }) {
      return await crowd(500, async () => {
        const peer = await connect();
        peer.write(headers(1, requestBlock('GET', '/wait')), frame(Type.headers, 0, 3, Buffer.alloc(10), 5_000));
        await peer.until(() => peer.settingsCount > 0, 1_000);
        peer.socket.resetAndDestroy();
        return peer;
      });
    },
  }),
  {
    id: 'half-closed/waiting',
    why: '50 connections that ask for what takes long, end their side, and stay',
    pace: 'slow',
    servers: ['http'],
    async run({ connect }) {
      const peers: RawHttp2Peer[] = [];
      for (let i = 0; i < 50; i++) {
        const peer = await connect();
        peer.write(hundred('GET', '/wait'));
        peer.socket.end();
        peers.push(peer);
      }
      for (const peer of peers) await peer.until(() => peer.isClosed, 4_500);
      const open = peers.filter(({ isClosed }) => !isClosed).length;
      return open === 0 ? null : `${open} of 50 connections are still open after 4.5 s`;
    },
  },
  load({
    id: 'slow/prefaces',
    why: '100 connections that stop inside the preface, 100 that stop inside a header, 100 inside a block',
    pace: 'slow',
    ms: 2_000,
    async load({ connect }) {
      return await crowd(300, async (i) => {
        const whole = Buffer.concat([opening(), headers(1, requestBlock('GET', '/'), Flag.endStream)]);
        return await connect(whole.subarray(0, [10, opening().length + 3, whole.length][i % 3]));
      });
    },
  }),
];

async function crowd(count: number, open: (i: number) => Promise<RawHttp2Peer>): Promise<string | null> {
  let refused = 0;
  for (let at = 0; at < count; at += 50) {
    const opened = await Promise.allSettled(Array.from({ length: Math.min(50, count - at) }, (_, i) => open(at + i)));
    refused += opened.filter(({ status }) => status === 'rejected').length;
  }
  // A server may refuse a crowd, but this is a small one.
  return refused === 0 ? null : `${refused} of ${count} connections were refused`;
}

/** Sends as much as the peer gave credit for. @returns the bytes of payload that were taken */
async function upload(peer: RawHttp2Peer, streamId: number, ms: number): Promise<number> {
  const end = performance.now() + ms;
  const seen = peer.stream(streamId);
  let sent = 0;
  const room = (): number => 65_535 + Math.min(peer.connectionCredit, peer.streamCredit.get(streamId) ?? 0) - sent;
  while (performance.now() < end && !peer.isOver && seen.resetCode < 0) {
    await peer.until(() => room() > 0 || peer.isOver || seen.resetCode >= 0, Math.max(1, end - performance.now()));
    const size = Math.min(16_384, room());
    if (size <= 0) break;
    sent += size;
    if (!peer.write(data(streamId, Buffer.alloc(size)))) await peer.drained(1_000);
    await peer.until(() => false, 0);
  }
  return sent;
}

/** Fills streams in turn, each to 65 535 bytes, as far as the connection's credit goes. */
async function fill(peer: RawHttp2Peer, path: string, streams: number): Promise<void> {
  let left = 65_535;
  let credited = 0;
  await peer.until(() => peer.settingsCount > 0, 500);
  for (let i = 0; i < streams && !peer.isOver; i++) {
    const id = 2 * i + 1;
    peer.write(headers(id, requestBlock('POST', path), OPEN));
    for (let rest = 65_535; rest > 0; ) {
      left += peer.connectionCredit - credited;
      credited = peer.connectionCredit;
      const size = Math.min(16_384, rest, left);
      if (size <= 0) {
        if (!(await peer.until(() => peer.connectionCredit > credited || peer.isOver, 50))) return;
        if (peer.isOver) return;
        continue;
      }
      peer.write(data(id, Buffer.alloc(size)));
      rest -= size;
      left -= size;
    }
    await peer.drained(200);
  }
}

/** For a server whose deadlines are short: what is held must be given up by the server itself. */
function givenUp(id: string, why: string, codes: readonly number[], begin: (context: AttackContext) => Promise<RawHttp2Peer>): Attack {
  const isAcknowledging = !codes.includes(Code.settingsTimeout);
  return {
    id: `deadline/${id}`,
    why,
    pace: 'slow',
    servers: ['http-hurried'],
    async run(context) {
      const polite: AttackContext = { ...context, connect: async (first) => await acknowledging(await context.connect(first)) };
      const peer = await begin(isAcknowledging ? polite : context);
      const isGone = (): boolean => peer.isOver || [...peer.streams.values()].some(({ resetCode }) => resetCode >= 0);
      const came = await peer.until(isGone, 4_500);
      if (!came) return 'nothing was given up within 4.5 s, where the deadline is 1 s';
      if (peer.isOver) return await judgeEnding(peer, { codes, maySayNothing: true });
      const wrong = [...peer.streams.values()].map(({ resetCode }) => resetCode).find((code) => code >= 0 && !codes.includes(code));
      return wrong === undefined ? null : `reset with ${wrong}`;
    },
  };
}

/** Acknowledges the SETTINGS of the server, before anything else is said: another deadline is not to come first. */
async function acknowledging(peer: RawHttp2Peer): Promise<RawHttp2Peer> {
  if (await peer.until(() => peer.settingsCount > 0, SETTINGS_MS)) peer.write(SETTINGS_ACK);
  return peer;
}

const STALL_CODES = [Code.cancel, Code.noError, Code.calm, Code.flowControl];
const DEADLINES: readonly Attack[] = [
  givenUp('zero-window', 'a stream that may not be written', STALL_CODES, async ({ connect }) => {
    const peer = await connect(openingWithWindow(0));
    peer.write(headers(1, requestBlock('GET', '/big')));
    return peer;
  }),
  givenUp('drip-window', 'a stream that is given a byte now and then', STALL_CODES, async ({ connect }) => {
    const peer = await connect(openingWithWindow(0));
    peer.write(hundred('GET', '/big'));
    await drip(peer, 3_000);
    return peer;
  }),
  givenUp('slow-progress', '100 streams that are each given two bytes a second', STALL_CODES, async ({ connect }) => {
    const peer = await connect(openingWithWindow(0));
    peer.write(hundred('GET', '/big'));
    await pour(peer, { batch: () => many(100, (i) => windowUpdate(2 * i + 1, 1)), count: 6, everyMs: 500, ms: 3_000 });
    return peer;
  }),
  givenUp('bursts', 'a stream that is given much too little, all of it just before the deadline', STALL_CODES, async ({ connect }) => {
    const peer = await connect(openingWithWindow(0));
    peer.write(headers(1, requestBlock('GET', '/big')));
    await pour(peer, { batch: () => windowUpdate(1, 150), count: 4, everyMs: 800, ms: 3_200 });
    return peer;
  }),
  givenUp('open-get', 'a GET without END_STREAM, then silence', [...STALL_CODES, Code.internal], async ({ connect }) => {
    const peer = await connect();
    peer.write(headers(1, requestBlock('GET', '/wait'), OPEN));
    return peer;
  }),
  givenUp('zero-connection-window', 'a connection that may not be written', STALL_CODES, async ({ connect }) => {
    const peer = await connect(openingWithWindow(MAX_31));
    peer.write(headers(1, requestBlock('GET', '/big')));
    return peer;
  }),
  givenUp('no-body', 'a body that never comes', [...STALL_CODES, Code.internal], async ({ connect }) => {
    const peer = await connect();
    peer.write(headers(1, requestBlock('POST', '/read'), OPEN));
    return peer;
  }),
  givenUp('half-data', 'a frame of a body that never ends', [...STALL_CODES, Code.internal], async ({ connect }) => {
    const peer = await connect();
    peer.write(headers(1, requestBlock('POST', '/read'), OPEN), frame(Type.data, 0, 1, Buffer.alloc(10), 16_384));
    return peer;
  }),
  givenUp('slow-block', 'a block that comes a byte at a time', [...STALL_CODES, Code.protocol], async ({ connect }) => {
    const peer = await connect();
    peer.write(headers(1, requestBlock('GET', '/'), Flag.endStream), frame(Type.continuation, 0, 1, Buffer.alloc(0), 2_000));
    await pour(peer, { batch: () => Buffer.alloc(1), count: 30, everyMs: 100 });
    return peer;
  }),
  givenUp('no-frame', 'a frame that never ends', [...STALL_CODES, Code.protocol], async ({ connect }) => {
    const peer = await connect();
    peer.write(frame(Type.headers, 0, 1, Buffer.alloc(10), 2_000));
    return peer;
  }),
  givenUp(
    'half-preface',
    'a preface that never ends',
    [...STALL_CODES, Code.protocol],
    async ({ connect }) => await connect(PREFACE.subarray(0, 20)),
  ),
  givenUp(
    'no-settings',
    'a preface without SETTINGS',
    [Code.settingsTimeout, Code.protocol],
    async ({ connect }) => await connect(PREFACE),
  ),
  givenUp('settings-ack', 'RFC 9113 §6.5.3: SETTINGS are never acknowledged', [Code.settingsTimeout], async ({ connect }) => {
    const peer = await connect();
    peer.write(headers(1, requestBlock('GET', '/wait')));
    return peer;
  }),
  givenUp('idle', 'a connection that is idle', [Code.noError], async ({ connect }) => {
    const peer = await connect();
    peer.write(SETTINGS_ACK);
    return peer;
  }),
  givenUp('deaf', 'a client that reads nothing', STALL_CODES, async ({ connect }) => {
    const peer = await connect(openingWithWindow(MAX_31));
    peer.hold();
    peer.write(windowUpdate(0, MAX_31 - 65_535), hundred('GET', '/big'));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    peer.release();
    return peer;
  }),
];

export const HOLDING_ATTACKS: readonly Attack[] = [...READERS, ...UPLOADS, ...MIXED, ...CROWDS, ...DEADLINES];
