/** The same from the other side: what an evil origin can do to the client in a proxy, and through it to the proxy's own clients. */
import {
  Code,
  data,
  Flag,
  frame,
  goaway,
  headers,
  headersInFrames,
  indexed,
  inserted,
  literal,
  MAX_31,
  namedLiteral,
  ping,
  priority,
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
import type { RawHttp2Peer, SeenStream } from '../../rig/raw-http2-client.ts';
import { ATTACK_MS, type Attack, type AttackContext, each, judgeEnding, openingWithWindow, pour } from '../attack.ts';

const OPEN = Flag.endHeaders;
const OK = Buffer.of(0x88);
/** How long a client of the proxy may have to wait for any answer: the proxy's deadlines towards its origins are 2 s here. */
const ANSWER_MS = 5_000;
/** A body that does not fit into the window that every stream begins with. */
const BODY_BYTES = 200_000;

/** What an evil origin does to a request. */
interface EvilInit {
  readonly id: string;
  readonly why: string;
  readonly pace?: 'quick' | 'slow' | 'alone';
  /** The SETTINGS it begins with. */
  readonly first?: Uint8Array;
  /** Sent for each request. */
  readonly answer?: (streamId: number) => Uint8Array;
  /** Then this, over and over, until the proxy has had enough. */
  readonly batch?: (n: number, streamId: number) => Uint8Array;
  readonly count?: number;
  readonly everyMs?: number;
  /** Codes of the GOAWAY or of the RST_STREAM with which the proxy must end it; null: it need not. */
  readonly codes: readonly number[] | null;
  /** What the proxy's client may get beside a reset of its stream. Default 502. */
  readonly statuses?: readonly number[];
  /** The client's request. Default GET. */
  readonly request?: 'GET' | 'POST' | 'HEAD';
  /** Connections that the origin may see for one request: retries are bounded. */
  readonly maxRequests?: number;
  readonly isDeaf?: boolean;
}

/** One request of a client, through the proxy, to an evil origin. The client must get an end of some kind, and the origin what it deserves. */
function evil(init: EvilInit): Attack {
  const { id, why, pace = 'quick', codes, statuses = [502], request = 'GET', maxRequests = 8 } = init;
  return {
    id: `upstream/${id}`,
    why,
    pace,
    servers: ['proxy'],
    async run(context) {
      const origin = new EvilOrigin(init);
      const port = await context.listen((peer) => origin.serve(peer));
      const client = await context.connect();
      const seen = ask(client, port, request);
      await client.until(() => isOver(client, seen), ANSWER_MS);
      const problem = judgeClient(client, seen, statuses);
      if (problem !== null) return `${problem}; the origin saw ${origin.told()}`;
      if (origin.requests > maxRequests) return `was asked ${origin.requests} times for one request`;
      const [peer] = origin.peers;
      if (codes === null || peer === undefined) return codes === null ? null : 'the origin was never asked';
      await peer.until(() => peer.isOver || peer.resetCount > 0, ATTACK_MS);
      if (peer.resetCount === 0) return prefixed(await judgeEnding(peer, { codes }));
      const reset = [...peer.streams.values()].find(({ resetCode }) => resetCode >= 0)?.resetCode ?? -1;
      return codes.includes(reset) ? null : `the origin's stream was reset with ${reset} where ${codes.join(' or ')} is due`;
    },
  };
}

function prefixed(problem: string | null): string | null {
  return problem === null ? null : `the origin ${problem}`;
}

/** Asks, and sends a body of more than the first window as far as it is taken. */
function ask(client: RawHttp2Peer, port: number, method: 'GET' | 'POST' | 'HEAD'): SeenStream {
  const isPost = method === 'POST';
  client.write(headers(1, requestBlock(method, `/evil/${port}/`), isPost ? OPEN : Flag.endHeaders | Flag.endStream));
  const seen = client.stream(1);
  if (!isPost) return seen;
  let sent = 0;
  const more = (): void => {
    const room = Math.min(client.streamCredit.get(1) ?? 0, client.connectionCredit) + 65_535;
    while (sent < Math.min(room, BODY_BYTES) && seen.resetCode < 0) {
      const size = Math.min(16_384, room - sent, BODY_BYTES - sent);
      sent += size;
      client.write(data(1, Buffer.alloc(size), sent === BODY_BYTES));
    }
  };
  client.onFrame = more;
  more();
  return seen;
}

function isOver(client: RawHttp2Peer, seen: SeenStream): boolean {
  return seen.isEnded || seen.resetCode >= 0 || client.isOver;
}

function judgeClient(client: RawHttp2Peer, seen: SeenStream, statuses: readonly number[]): string | null {
  if (client.isOver) return `the client's own connection was ended (${client.goaways.at(-1)?.debug ?? 'no GOAWAY'})`;
  if (seen.resetCode >= 0) return null;
  if (!seen.isEnded) return `the client got no end: status ${seen.status}, ${seen.dataBytes} bytes`;
  return statuses.includes(seen.status) ? null : `the client got ${seen.status} where ${statuses.join(' or ')} is due`;
}

/** An origin that does the same to each request. */
class EvilOrigin {
  readonly peers: RawHttp2Peer[] = [];
  requests = 0;
  readonly #init: EvilInit;

  constructor(init: EvilInit) {
    this.#init = init;
  }

  serve(peer: RawHttp2Peer): void {
    const { first = Buffer.concat([settings(), SETTINGS_ACK]), answer, isDeaf = false } = this.#init;
    this.peers.push(peer);
    if (first.length > 0) peer.write(first);
    peer.onFrame = (type, _flags, streamId) => {
      if (type !== Type.headers) return;
      this.requests++;
      if (isDeaf) peer.hold();
      if (answer !== undefined) peer.write(answer(streamId));
      void this.#pour(peer, streamId);
    };
  }

  told(): string {
    const [peer] = this.peers;
    if (peer === undefined) return 'nobody';
    return `${this.requests} requests on ${this.peers.length} connections, ${peer.resetCount} resets, GOAWAY ${peer.goaways.at(-1)?.debug ?? 'none'}`;
  }

  async #pour(peer: RawHttp2Peer, streamId: number): Promise<void> {
    const { batch, count = 500, everyMs = 0 } = this.#init;
    if (batch !== undefined) await pour(peer, { batch: (n) => batch(n, streamId), count, everyMs });
  }
}

function headOpen(id: number, ...more: readonly Uint8Array[]): Buffer {
  return headers(id, Buffer.concat([OK, ...more]), OPEN);
}

function flood(id: string, why: string, batch: (n: number, streamId: number) => Uint8Array, more: Partial<EvilInit> = {}): Attack {
  return evil({ id, why, batch, codes: [Code.calm], statuses: [502, 504], ...more });
}

const FLOODS: readonly Attack[] = [
  flood('settings-flood', 'CVE-2019-9515', () => times(200, settings([Setting.maxConcurrentStreams, 100]))),
  flood('settings-empty-flood', 'CVE-2019-9515', () => times(200, settings())),
  flood('settings-ack-flood', 'acknowledgements that nobody asked for', () => times(200, SETTINGS_ACK), {
    codes: [Code.calm, Code.protocol],
  }),
  flood('ping-flood', 'CVE-2019-9512', () => times(200, ping())),
  flood('ping-deaf', 'CVE-2019-9512: and the answers are not read', () => times(200, ping()), { isDeaf: true, codes: null }),
  flood('ping-ack-flood', 'answers to PINGs that were never sent', () => times(200, ping('ferrata!', Flag.ack))),
  flood('priority-flood', 'CVE-2019-9513', (n) => times(200, priority(2 * n + 3, 0))),
  flood('window-flood', 'WINDOW_UPDATE of 1', () => times(200, windowUpdate(0, 1))),
  flood('unknown-flood', 'frames that nobody knows', () => times(200, frame(0xee, 0, 0))),
  flood('empty-data', 'CVE-2019-9518: DATA with nothing in it', (_n, id) => times(200, data(id)), { answer: (id) => headOpen(id) }),
  flood('goaway-storm', 'GOAWAY over and over', () => times(200, goaway(MAX_31, Code.noError)), { codes: [Code.calm, Code.noError] }),
  flood('rst-storm', 'RST_STREAM over and over for a stream that is gone', (_n, id) => times(200, rst(id, Code.internal)), {
    codes: [Code.calm, Code.streamClosed, Code.noError],
  }),
  flood(
    'continuation',
    'CVE-2024-27316: a head without end',
    (_n, id) => times(20, frame(Type.continuation, 0, id, literal('x', 'y'.repeat(1_000)))),
    {
      answer: (id) => headers(id, OK, 0),
    },
  ),
  flood(
    'continuation-empty',
    'CVE-2026-33871: a head without end, of empty frames',
    (_n, id) => times(200, frame(Type.continuation, 0, id)),
    {
      answer: (id) => headers(id, OK, 0),
    },
  ),
  flood(
    'trailers-continuation',
    'trailers without end',
    (_n, id) => times(20, frame(Type.continuation, 0, id, literal('x', 'y'.repeat(1_000)))),
    {
      answer: (id) => Buffer.concat([headOpen(id), headers(id, literal('a', 'b'), Flag.endStream)]),
    },
  ),
  flood('interim-storm', '103, over and over', (_n, id) => times(100, headers(id, namedLiteral(8, '103'), OPEN)), {
    codes: [Code.calm, Code.protocol, Code.cancel],
  }),
  flood('heads-storm', 'a final head, over and over', (_n, id) => times(100, headers(id, OK, OPEN)), {
    codes: [Code.calm, Code.protocol, Code.cancel, Code.streamClosed],
  }),
  flood('slow-head', 'a head that comes a byte at a time', () => Buffer.alloc(1, 0x88), {
    answer: (id) => frame(Type.headers, OPEN, id, Buffer.alloc(0), 10_000),
    everyMs: 100,
    count: 40,
    codes: null,
    statuses: [502, 504],
    pace: 'slow',
  }),
];

const BOMBS: readonly Attack[] = [
  evil({
    id: 'head-bomb',
    why: 'an entry of 4 KB referred to 5 000 times',
    answer: (id) => headersInFrames(id, Buffer.concat([OK, inserted('x', 'y'.repeat(3_900)), times(5_000, indexed(62))])),
    codes: [Code.calm, Code.cancel, Code.protocol],
  }),
  evil({
    id: 'cookie-bomb',
    why: '8 000 set-cookie by a byte each',
    answer: (id) => headersInFrames(id, Buffer.concat([OK, inserted('set-cookie', 'a=b'), times(8_000, indexed(62))])),
    codes: [Code.calm, Code.cancel, Code.protocol],
  }),
  evil({
    id: 'trailer-bomb',
    why: 'trailers of 5 000 fields',
    answer: (id) => Buffer.concat([headOpen(id), headersInFrames(id, times(5_000, literal('a', 'b')))]),
    codes: null,
    statuses: [200],
  }),
  evil({
    id: 'hpack-garbage',
    why: 'RFC 7541 §2.3.3: an index that no entry has',
    answer: (id) => headers(id, Buffer.concat([OK, indexed(100)])),
    codes: [Code.compression],
  }),
  evil({
    id: 'hpack-size',
    why: 'RFC 7541 §6.3: a table larger than was allowed',
    answer: (id) => headers(id, Buffer.from('3fe2ff0388', 'hex')),
    codes: [Code.compression],
  }),
];

const VIOLATIONS: readonly Attack[] = (
  [
    [
      'push-promise',
      'RFC 9113 §8.4: pushed, though it was forbidden',
      [Code.protocol],
      (id: number) => frame(Type.pushPromise, OPEN, id, Buffer.concat([uint32(2), requestBlock('GET', '/')])),
    ],
    ['headers-even', 'RFC 9113 §5.1.1: a stream of its own', [Code.protocol], () => headers(2, OK)],
    ['headers-idle', 'RFC 9113 §5.1: an answer to a request that was never made', [Code.protocol], (id: number) => headers(id + 100, OK)],
    [
      'data-idle',
      'RFC 9113 §5.1: DATA for a request that was never made',
      [Code.protocol, Code.streamClosed],
      (id: number) => data(id + 100, Buffer.of(1)),
    ],
    ['data-first', 'RFC 9113 §8.1: DATA before the head', [Code.protocol, Code.cancel], (id: number) => data(id, Buffer.of(1))],
    ['no-status', 'RFC 9113 §8.3.2: no :status', [Code.protocol, Code.cancel], (id: number) => headers(id, literal('a', 'b'))],
    [
      'bad-status',
      'RFC 9113 §8.3.2: a :status that is no number',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, namedLiteral(8, '2x0')),
    ],
    ['status-101', 'RFC 9113 §8.6: 101', [Code.protocol, Code.cancel], (id: number) => headers(id, namedLiteral(8, '101'))],
    [
      'request-pseudo',
      'RFC 9113 §8.3: :path in an answer',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, Buffer.of(0x88, 0x84)),
    ],
    [
      'upper-case',
      'RFC 9113 §8.2: upper case',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, Buffer.concat([OK, literal('X-Bad', 'y')])),
    ],
    [
      'line-feed',
      'RFC 9113 §8.2.1: a line feed in a value',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, Buffer.concat([OK, literal('x', 'a\r\nb: c')])),
    ],
    [
      'connection-field',
      'RFC 9113 §8.2.2: a connection field',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, Buffer.concat([OK, literal('transfer-encoding', 'chunked')])),
    ],
    [
      'two-lengths',
      'RFC 9110 §8.6: two lengths',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, Buffer.concat([OK, namedLiteral(28, '1'), namedLiteral(28, '2')]), OPEN),
    ],
    [
      'interim-ends',
      'RFC 9113 §8.1: an interim answer that ends the stream',
      [Code.protocol, Code.cancel],
      (id: number) => headers(id, namedLiteral(8, '103')),
    ],
    ['window-overflow', 'RFC 9113 §6.9.1', [Code.flowControl], () => times(2, windowUpdate(0, MAX_31))],
    ['stream-window-overflow', 'RFC 9113 §6.9.1', [Code.flowControl], (id: number) => windowUpdate(id, MAX_31)],
    ['window-zero', 'RFC 9113 §6.9', [Code.protocol], () => windowUpdate(0, 0)],
    ['stream-window-zero', 'RFC 9113 §6.9', [Code.protocol], (id: number) => windowUpdate(id, 0)],
    ['frame-too-large', 'RFC 9113 §4.2', [Code.frameSize], (id: number) => data(id, Buffer.alloc(16_385))],
    ['settings-push', 'RFC 9113 §6.5.2: a server that says it may be pushed to', [Code.protocol], () => settings([Setting.enablePush, 1])],
    ['rst-idle', 'RFC 9113 §6.4', [Code.protocol], (id: number) => rst(id + 100, Code.cancel)],
    ['continuation-alone', 'RFC 9113 §6.10', [Code.protocol], (id: number) => frame(Type.continuation, OPEN, id, OK)],
    ['priority-update', 'RFC 9218 §7.1: only a client sends it', [Code.protocol], () => frame(Type.priorityUpdate, 0, 0, uint32(1))],
  ] as const
).map(([id, why, codes, answer]) => evil({ id, why, codes, answer }));

const GAMES: readonly Attack[] = [
  evil({
    id: 'http1',
    why: 'an origin that speaks HTTP/1',
    first: Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
    codes: null,
  }),
  evil({
    id: 'silent',
    why: 'RFC 9113 §3.4: an origin that accepts and says nothing',
    first: Buffer.alloc(0),
    codes: null,
    statuses: [502, 503, 504],
    pace: 'slow',
  }),
  evil({ id: 'no-answer', why: 'an origin that never answers', codes: null, statuses: [504], pace: 'slow' }),
  evil({
    id: 'no-streams',
    why: 'RFC 9113 §5.1.2: no stream is allowed, ever',
    first: settings([Setting.maxConcurrentStreams, 0]),
    codes: null,
    statuses: [502, 503, 504],
    pace: 'slow',
  }),
  evil({
    id: 'no-window',
    why: 'a body that may never be sent',
    first: settings([Setting.initialWindowSize, 0]),
    request: 'POST',
    codes: null,
    statuses: [502, 504],
    pace: 'slow',
  }),
  evil({ id: 'rst-each', why: 'every request is reset', answer: (id) => rst(id, Code.internal), codes: null }),
  evil({
    id: 'refuse-each',
    why: 'RFC 9113 §8.7: every request is refused, and may be tried again, but not for ever',
    answer: (id) => rst(id, Code.refused),
    codes: null,
    statuses: [502, 503],
  }),
  evil({
    id: 'goaway-each',
    why: 'RFC 9113 §6.8: every connection says that it took nothing',
    answer: () => goaway(0, Code.noError),
    codes: null,
    statuses: [502, 503],
  }),
  evil({
    id: 'goaway-then-silent',
    why: 'RFC 9113 §6.8: it took the request, and never answers',
    answer: (id) => goaway(id, Code.noError),
    codes: null,
    statuses: [502, 504],
    pace: 'slow',
  }),
  evil({
    id: 'short-body',
    why: 'RFC 9113 §8.1.1: less than content-length; it must not look whole',
    answer: (id) => Buffer.concat([headOpen(id, namedLiteral(28, '100')), data(id, Buffer.alloc(10), true)]),
    codes: [Code.protocol, Code.cancel],
    statuses: [],
  }),
  evil({
    id: 'long-body',
    why: 'RFC 9113 §8.1.1: more than content-length',
    answer: (id) => Buffer.concat([headOpen(id, namedLiteral(28, '10')), data(id, Buffer.alloc(100), true)]),
    codes: [Code.protocol, Code.cancel],
    statuses: [],
  }),
  evil({
    id: 'body-stops',
    why: 'a body that stops in the middle',
    answer: (id) => Buffer.concat([headOpen(id), data(id, Buffer.alloc(10))]),
    codes: null,
    statuses: [],
    pace: 'slow',
  }),
  evil({
    id: 'settings-flips',
    why: 'CVE-2019-9515: the window goes up and down while a body is sent',
    request: 'POST',
    batch: (n) => times(20, settings([Setting.initialWindowSize, n % 2 === 0 ? 0 : 70_000])),
    codes: [Code.calm, Code.flowControl],
    statuses: [502, 504],
  }),
  evil({
    id: 'beyond-window',
    why: 'RFC 9113 §6.9.1: a body beyond every window',
    answer: (id) => headOpen(id),
    batch: (_n, id) => times(16, data(id, Buffer.alloc(16_384))),
    codes: [Code.flowControl],
    statuses: [],
  }),
  {
    id: 'upstream/unread-bodies',
    why: '100 answers of whatever the windows allow, that the clients do not take: what the proxy holds is bounded',
    pace: 'alone',
    servers: ['proxy'],
    async run(context) {
      const port = await context.listen((peer) => serveWithinWindows(peer));
      for (let i = 0; i < 4; i++) {
        const client = await context.connect(openingWithWindow(0));
        for (let n = 0; n < 25; n++) client.write(headers(2 * n + 1, requestBlock('GET', `/evil/${port}/`)));
      }
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      return null;
    },
  },
  {
    id: 'upstream/rapid-reset-through',
    why: 'CVE-2023-44487 through the proxy: the client is ended, and the origin is not asked without end',
    pace: 'alone',
    servers: ['proxy'],
    run: resetThrough,
  },
  {
    id: 'upstream/good-beside-evil',
    why: 'I7: of two requests on one connection, the one is answered though the other is reset',
    servers: ['proxy'],
    async run(context) {
      const port = await context.listen((peer) => {
        peer.write(settings(), SETTINGS_ACK);
        let count = 0;
        peer.onFrame = (type, _flags, id) => {
          if (type === Type.headers) peer.write(++count % 2 === 1 ? rst(id, Code.internal) : headers(id, OK));
        };
      });
      const client = await context.connect();
      client.write(headers(1, requestBlock('GET', `/evil/${port}/`)), headers(3, requestBlock('GET', `/evil/${port}/`)));
      const all = [client.stream(1), client.stream(3)];
      await client.until(() => all.every((seen) => isOver(client, seen)), ANSWER_MS);
      const answered = all.filter(({ status, isEnded }) => status === 200 && isEnded).length;
      return answered >= 1 ? null : `statuses ${all.map(({ status }) => status).join(', ')}`;
    },
  },
];

/** Answers each request with as much as credit was given for. */
function serveWithinWindows(peer: RawHttp2Peer): void {
  peer.write(settings(), SETTINGS_ACK);
  const sent = new Map<number, number>();
  let total = 0;
  const more = (): void => {
    for (const [id, bytes] of sent) {
      const room = 65_535 + Math.min((peer.streamCredit.get(id) ?? 0) - bytes, peer.connectionCredit - total);
      const size = Math.min(16_384, room);
      if (size <= 0) continue;
      sent.set(id, bytes + size);
      total += size;
      peer.write(data(id, Buffer.alloc(size)));
    }
  };
  peer.onFrame = (type, _flags, id) => {
    if (type === Type.headers) {
      sent.set(id, 0);
      peer.write(headOpen(id));
    }
    if (type === Type.headers || type === Type.windowUpdate) for (let i = 0; i < 4; i++) more();
  };
}

async function resetThrough(context: AttackContext): Promise<string | null> {
  let requests = 0;
  let resets = 0;
  const port = await context.listen((peer) => {
    peer.write(settings(), SETTINGS_ACK);
    peer.onFrame = (type) => {
      if (type === Type.headers) requests++;
      if (type === Type.rstStream) resets++;
    };
  });
  const client = await context.connect();
  const block = requestBlock('GET', `/evil/${port}/`);
  await pour(client, {
    batch: each(50, (id) => [headers(id, block), rst(id, Code.cancel)]),
    count: 200,
  });
  const problem = await judgeEnding(client, { codes: [Code.calm], maxStreams: 2_500 });
  if (problem !== null) return problem;
  return requests <= 2_500 ? null : `the origin was asked ${requests} times, and ${resets} of them were reset`;
}

export const UPSTREAM_ATTACKS: readonly Attack[] = [...FLOODS, ...BOMBS, ...VIOLATIONS, ...GAMES];
