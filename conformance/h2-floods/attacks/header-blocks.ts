/** Header blocks without end (CVE-2024-27316 and its kin, CVE-2026-33870), and blocks that are small on the wire and large in memory (CVE-2026-49975). */
import {
  Code,
  Flag,
  frame,
  headers,
  headersInFrames,
  hpackInteger,
  hpackString,
  indexed,
  inserted,
  literal,
  ping,
  requestBlock,
  sizeUpdate,
  Type,
  times,
} from '../../rig/http2-bytes.ts';
import type { RawHttp2Peer } from '../../rig/raw-http2-client.ts';
import {
  type Attack,
  CLOSE_MS,
  each,
  flood,
  judgeEnding,
  load,
  openingWithWindow,
  pour,
  serves,
  servesOrEnds,
  streamViolation,
  violation,
} from '../attack.ts';

const SMALL = requestBlock('GET', '/', literal('x', 'y'));
const START = headers(1, requestBlock('GET', '/'), Flag.endStream);

function continuation(block: Uint8Array, flags = 0, id = 1): Buffer {
  return frame(Type.continuation, flags, id, block);
}

const CONTINUATION: readonly Attack[] = [
  flood({
    id: 'continuation/endless',
    why: 'CVE-2024-27316: CONTINUATION without END_HEADERS, 1 KiB of fields each',
    before: START,
    batch: () => times(20, continuation(literal('x', 'y'.repeat(1_000)))),
    count: 500,
  }),
  flood({
    id: 'continuation/empty',
    why: 'CVE-2026-33871: CONTINUATION without a byte, which no limit of bytes sees',
    before: START,
    batch: () => times(200, continuation(Buffer.alloc(0))),
    count: 500,
  }),
  flood({
    id: 'continuation/one-byte',
    why: 'CVE-2024-27316: a byte each',
    before: START,
    batch: () => times(200, continuation(Buffer.of(0x82))),
    count: 500,
  }),
  flood({
    id: 'continuation/full-frames',
    why: 'CVE-2024-27316: frames of the full size',
    before: START,
    batch: () => continuation(literal('x', 'y'.repeat(16_300))),
    count: 500,
  }),
  flood({
    id: 'continuation/one-string',
    why: 'CVE-2024-27316: one value that never ends',
    before: Buffer.concat([
      headers(1, Buffer.concat([requestBlock('GET', '/'), Buffer.of(0, 1, 0x78), hpackInteger(0, 7, 1_000_000)]), Flag.endStream),
    ]),
    batch: () => continuation(Buffer.alloc(8_000, 0x79)),
    count: 200,
    codes: [Code.calm, Code.compression],
  }),
  flood({
    id: 'continuation/in-trailers',
    why: 'CVE-2024-27316: in the trailers',
    before: Buffer.concat([headers(1, requestBlock('POST', '/read'), Flag.endHeaders), headers(1, literal('a', 'b'), Flag.endStream)]),
    batch: () => times(100, continuation(literal('x', 'y'))),
    count: 200,
  }),
  flood({
    id: 'continuation/whole-blocks',
    why: 'blocks just below the limits, one after another: each may be answered',
    batch: (n) =>
      headersInFrames(2 * n + 1, requestBlock('GET', '/', ...new Array<Uint8Array>(30).fill(literal('x', 'y'.repeat(800)))), true, 4_000),
    count: 1_000,
    mayBeBorne: true,
    codes: [Code.calm],
  }),
  flood({
    id: 'continuation/eight-each',
    why: 'CVE-2024-27316: HEADERS and 8 CONTINUATIONs of a byte or two for each of a hundred streams, over and over: within every limit',
    batch: each(100, (id) => [headersInFrames(id, SMALL, true, Math.ceil(SMALL.length / 9))]),
    count: 100,
    mayBeBorne: true,
    codes: [Code.calm, Code.noError],
  }),
  load({
    id: 'continuation/held-on-many',
    why: 'CVE-2024-27316: 100 connections, each with a block just below the limits that never ends',
    ms: 1_000,
    pace: 'alone',
    async load({ connect }) {
      for (let i = 0; i < 100; i++) {
        const peer = await connect();
        peer.write(START, times(7, continuation(literal('x', 'y'.repeat(4_000)))));
      }
      return null;
    },
  }),
  violation({
    id: 'continuation/alone',
    why: 'RFC 9113 §6.10: no block is open',
    bytes: continuation(Buffer.of(0x82)),
    codes: [Code.protocol],
  }),
  violation({
    id: 'continuation/other-stream',
    why: 'RFC 9113 §6.10: the block of another stream is open',
    bytes: Buffer.concat([START, continuation(Buffer.of(0x82), Flag.endHeaders, 3)]),
    codes: [Code.protocol],
  }),
  violation({
    id: 'continuation/interrupted',
    why: 'RFC 9113 §6.2: a PING inside a block',
    bytes: Buffer.concat([START, ping(), continuation(Buffer.alloc(0), Flag.endHeaders)]),
    codes: [Code.protocol],
  }),
  violation({
    id: 'continuation/interrupted-by-unknown',
    why: 'RFC 9113 §5.5: an unknown frame inside a block',
    bytes: Buffer.concat([START, frame(0xee, 0, 1), continuation(Buffer.alloc(0), Flag.endHeaders)]),
    codes: [Code.protocol],
  }),
];

/** A token that was put into the table by a block that was refused must still be found there (RFC 7541 §2.3.2; RFC 9113 §4.3). */
async function tokenSurvives(peer: RawHttp2Peer, streamId: number, index: number, token: string): Promise<string | null> {
  peer.write(headers(streamId, requestBlock('GET', '/token', indexed(index))));
  const seen = peer.stream(streamId);
  await peer.until(() => seen.isEnded || seen.resetCode >= 0 || peer.isOver, CLOSE_MS);
  if (seen.text === token) return null;
  return `the table is wrong after the refused block: status ${seen.status}, reset ${seen.resetCode}, ${peer.goaways.at(-1)?.debug ?? 'no GOAWAY'}, x-token ${JSON.stringify(seen.text)}`;
}

/** A list that is too large must be refused by 431 or a reset, with the table kept; or the connection ends. */
function oversize(id: string, why: string, block: Uint8Array): Attack {
  return {
    id: `header-list/${id}`,
    why,
    async run({ connect }) {
      const peer = await connect();
      const token = `kept-${id}`;
      // Behind all others: what the block itself puts into the table would push it out.
      peer.write(headersInFrames(1, requestBlock('GET', '/', block, inserted('x-token', token))));
      const seen = peer.stream(1);
      await peer.until(() => seen.isEnded || seen.resetCode >= 0 || peer.isOver, CLOSE_MS);
      // A string beyond the decoder's limit cannot be told from one that lies about its length (RFC 7541 §7.4).
      if (peer.isOver) return await judgeEnding(peer, { codes: id.startsWith('long-') ? [Code.calm, Code.compression] : [Code.calm] });
      if (seen.resetCode < 0 && seen.status !== 431) return `was answered ${seen.status}`;
      return (await tokenSurvives(peer, 3, 62, token)) ?? (await serves(peer));
    },
  };
}

const REQUEST = requestBlock('GET', '/');

function behind(...bytes: readonly Uint8Array[]): Buffer {
  return Buffer.concat([REQUEST, ...bytes]);
}

/** A field of 7 200 zeros, which are five bits each. */
const HUFFMAN_7K = Buffer.concat([Buffer.of(0, 1, 0x78), hpackInteger(0x80, 7, 4_500), Buffer.alloc(4_500)]);
const BIG_ENTRY = inserted('x', 'y'.repeat(3_900));

const OVERSIZE: readonly Attack[] = [
  oversize('one-entry-often', 'an entry of 4 KB referred to 5 000 times: 20 MB', Buffer.concat([BIG_ENTRY, times(5_000, indexed(62))])),
  oversize(
    'cookie-crumbs',
    'CVE-2026-49975: 8 000 crumbs of cookie, a byte each',
    Buffer.concat([inserted('cookie', 'a'), times(8_000, indexed(62))]),
  ),
  oversize('empty-cookies', '8 000 empty cookies by the static entry', times(8_000, indexed(32))),
  oversize('many-fields', '8 000 fields by a static entry', times(8_000, indexed(19))),
  oversize('many-literals', '5 000 literals', times(5_000, literal('a', 'b'))),
  oversize('long-value', 'one value of 40 KB', literal('x', 'y'.repeat(40_000))),
  oversize('long-name', 'one name of 20 KB', literal('x'.repeat(20_000), 'y')),
  oversize('thrash', 'the table is replaced a thousand times by one block', times(1_000, inserted('xy', 'z'.repeat(20)))),
  oversize(
    'long-entry',
    'an entry larger than the table, which empties it',
    Buffer.concat([BIG_ENTRY, inserted('x', 'y'.repeat(6_000)), times(200, indexed(19))]),
  ),
];

const HPACK: readonly Attack[] = [
  ...OVERSIZE,
  flood({
    id: 'hpack/bomb-on-every-stream',
    why: 'the 20 MB of an entry referred to 5 000 times, on stream after stream',
    before: headers(1, requestBlock('GET', '/', BIG_ENTRY)),
    batch: (n) => headersInFrames(2 * n + 3, requestBlock('GET', '/', times(5_000, indexed(62)))),
    count: 400,
  }),
  flood({
    id: 'hpack/thrash-on-every-stream',
    why: 'a block that replaces the table hundreds of times, on stream after stream',
    batch: (n) => headers(2 * n + 1, requestBlock('GET', '/', times(500, inserted('xy', 'z'.repeat(20))))),
    count: 500,
  }),
  flood({
    id: 'hpack/thrash-within-limits',
    why: 'blocks of 80 insertions each, within every limit: they may be answered',
    batch: (n) => headers(2 * n + 1, requestBlock('GET', '/', times(80, inserted('xy', 'z'.repeat(20))))),
    count: 500,
    mayBeBorne: true,
  }),
  flood({
    id: 'hpack/size-updates-on-every-stream',
    why: 'two changes of the table a block: 0 and back, with an insertion between blocks',
    batch: (n) =>
      headers(
        2 * n + 1,
        Buffer.concat([sizeUpdate(0), sizeUpdate(4_096), requestBlock('GET', '/', times(20, inserted('xy', 'z'.repeat(20))))]),
      ),
    count: 500,
    mayBeBorne: true,
  }),
  {
    id: 'hpack/many-size-updates',
    why: 'RFC 7541 §4.2: no encoder has more than two changes of size to tell at once; here are 8 000',
    async run({ connect }) {
      const peer = await connect();
      peer.write(headers(1, Buffer.concat([times(2_000, Buffer.concat([sizeUpdate(0), sizeUpdate(4_096)])), requestBlock('GET', '/')])));
      await peer.until(() => peer.isOver || peer.stream(1).isEnded, CLOSE_MS);
      return await servesOrEnds(peer, [Code.compression, Code.calm], 3);
    },
  },
  ...(
    [
      ['late-size-update', 'RFC 7541 §4.2: a change of size behind a field', behind(sizeUpdate(100))],
      ['size-above-limit', 'RFC 7541 §6.3: more than the decoder allows', Buffer.concat([sizeUpdate(4_097), REQUEST])],
      ['huge-size', 'RFC 7541 §5.1: a size of 2^63', Buffer.concat([Buffer.from('3fffffffffffffffff7f', 'hex'), REQUEST])],
      ['huge-index', 'RFC 7541 §5.1: an index of many bytes', behind(Buffer.from('ffffffffffffffffff7f', 'hex'))],
      ['endless-index', 'RFC 7541 §5.1: an index that goes on for 10 000 bytes', behind(Buffer.of(0xff), Buffer.alloc(10_000, 0x80))],
      [
        'padded-index',
        'RFC 7541 §5.1: an index that is padded with zeros',
        behind(Buffer.of(0xff), Buffer.alloc(1_000, 0x80), Buffer.of(0)),
      ],
      ['index-zero', 'RFC 7541 §6.1: an index of 0', behind(Buffer.of(0x80))],
      ['index-beyond', 'RFC 7541 §2.3.3: an index that no entry has', behind(indexed(62))],
      ['name-beyond', 'RFC 7541 §2.3.3: a name that no entry has', behind(hpackInteger(0x40, 6, 70), hpackString('x'))],
      ['cut-field', 'RFC 7541 §5.2: the block ends inside a string', behind(Buffer.of(0, 10, 0x61))],
      ['cut-integer', 'RFC 7541 §5.1: the block ends inside an integer', behind(Buffer.of(0xff))],
      ['huffman-eos', 'RFC 7541 §5.2: EOS inside a string', behind(Buffer.from('00016184ffffffff', 'hex'))],
      ['huffman-padding', 'RFC 7541 §5.2: more than 7 bits of padding', behind(Buffer.from('000161821fff', 'hex'))],
      ['huffman-zeros', 'RFC 7541 §5.2: padding that is not of ones', behind(Buffer.from('0001618118', 'hex'))],
    ] as const
  ).map(([id, why, block]) => violation({ id: `hpack/${id}`, why, bytes: headers(1, block), codes: [Code.compression] })),
  {
    id: 'hpack/huge-string',
    why: 'RFC 7541 §7.4: a string that claims 2 GB; nothing may be set aside for it',
    async run({ connect }) {
      const peer = await connect();
      peer.write(headers(1, Buffer.concat([requestBlock('GET', '/'), Buffer.of(0, 1, 0x78), hpackInteger(0, 7, 2_147_483_647)])));
      return await judgeEnding(peer, { codes: [Code.compression, Code.calm] });
    },
  },
  {
    id: 'hpack/huge-huffman',
    why: 'RFC 7541 §7.4: 14 KB of five-bit codes are 22 KB of text, on stream after stream',
    async run({ connect }) {
      const peer = await connect();
      const block = Buffer.concat([Buffer.of(0, 1, 0x78), hpackInteger(0x80, 7, 14_000), Buffer.alloc(14_000, 0)]);
      await pour(peer, { batch: (n) => headers(2 * n + 1, requestBlock('GET', '/', block)), count: 300 });
      await peer.until(() => peer.isOver, 200);
      return await servesOrEnds(peer, [Code.calm]);
    },
  },
  {
    id: 'bomb/zero-window',
    why: 'CVE-2026-49975: fields by a byte each, on 100 streams, held by a window of 0, on 5 connections',
    pace: 'slow',
    isHeavy: true,
    async run({ connect }) {
      const problems: (string | null)[] = [];
      for (let i = 0; i < 5; i++) {
        const peer = await connect(openingWithWindow(0));
        peer.write(headers(1, requestBlock('GET', '/', inserted('x-bomb', 'y'.repeat(250)))));
        for (let n = 0; n < 99; n++) peer.write(headers(2 * n + 3, requestBlock('GET', '/big', times(90, indexed(62)))));
        await peer.until(() => peer.isOver, 250);
        if (peer.isOver) problems.push(await judgeEnding(peer, { codes: [Code.calm] }));
      }
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return problems.find((problem) => problem !== null) ?? null;
    },
  },
  load({
    id: 'bomb/huffman-held',
    why: 'RFC 7541 §7.4: lists just below the limit, in Huffman, on 100 streams of each of 5 connections, held by a handler that waits: 15 MB of heads',
    pace: 'slow',
    isHeavy: true,
    ms: 1_500,
    async load({ connect }) {
      const block = requestBlock('GET', '/wait', ...Array.from({ length: 4 }, () => HUFFMAN_7K));
      for (let i = 0; i < 5; i++) {
        const peer = await connect(openingWithWindow(0));
        for (let n = 0; n < 100; n++) peer.write(headersInFrames(2 * n + 1, block));
        await peer.until(() => peer.isOver, 50);
        if (peer.isOver) return await judgeEnding(peer, { codes: [Code.calm] });
      }
      return null;
    },
  }),
  {
    id: 'bomb/cookies-zero-window',
    why: 'CVE-2026-49975: 4 000 crumbs of cookie on each of 100 streams, with a window of 0',
    async run({ connect }) {
      const peer = await connect(openingWithWindow(0));
      peer.write(headers(1, requestBlock('GET', '/', inserted('cookie', 'a'))));
      await pour(peer, { batch: (n) => headers(2 * n + 3, requestBlock('GET', '/big', times(4_000, indexed(62)))), count: 99 });
      await peer.until(() => peer.isOver, 500);
      // 431 to each, or the end of the connection.
      if (peer.isOver) return await judgeEnding(peer, { codes: [Code.calm] });
      const served = [...peer.streams.entries()].filter(([id, { status }]) => id > 1 && status === 200).length;
      return served === 0 ? null : `${served} requests of 4 000 fields were served`;
    },
  },
  flood({
    id: 'headers/empty',
    why: 'CVE-2019-9516 and its kin: HEADERS with nothing in them',
    batch: each(100, (id) => [headers(id, Buffer.alloc(0))]),
    count: 100,
    codes: [Code.calm, Code.protocol],
  }),
  flood({
    id: 'headers/empty-names',
    why: 'CVE-2019-9516: fields with empty names and values',
    batch: each(20, (id) => [headers(id, requestBlock('GET', '/', times(50, Buffer.of(0x40, 0, 0))))]),
    count: 200,
    codes: [Code.calm, Code.protocol],
  }),
  streamViolation({
    id: 'headers/empty-once',
    why: 'RFC 9113 §8.3.1: a request without pseudo-fields is malformed',
    bytes: headers(1, Buffer.alloc(0)),
    codes: [Code.protocol],
    connectionCodes: [Code.protocol],
    statuses: [400],
  }),
  flood({
    id: 'trailers/flood',
    why: 'trailers of 30 fields on request after request: they may be answered',
    batch: each(20, (id) => [
      headers(id, requestBlock('POST', '/read'), Flag.endHeaders),
      headers(id, times(30, literal('x-t', 'y'.repeat(100)))),
    ]),
    count: 100,
    mayBeBorne: true,
    codes: [Code.calm, Code.noError],
  }),
  {
    id: 'trailers/oversize',
    why: 'trailers of 5 000 fields',
    async run({ connect }) {
      const peer = await connect();
      peer.write(headers(1, requestBlock('POST', '/read'), Flag.endHeaders), headersInFrames(1, times(5_000, literal('a', 'b'))));
      const seen = peer.stream(1);
      await peer.until(() => seen.isEnded || seen.resetCode >= 0 || peer.isOver, CLOSE_MS);
      if (!peer.isOver && seen.status === 200 && seen.resetCode < 0) return 'was answered 200';
      return await servesOrEnds(peer, [Code.calm], 3);
    },
  },
];

export const HEADER_BLOCK_ATTACKS: readonly Attack[] = [...CONTINUATION, ...HPACK];
