/** Writes what a peer of HTTP/2 might say, from single bytes: frames that are valid, nearly valid, or nothing of the kind. */
import { naiveHpackBlock, naiveHttp2Frame, numberBytes } from '@ferrata/testkit';
import { bodyBytes } from './http2-body.ts';

/** What a client sends first (RFC 9113 §3.4). */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

type Fields = readonly (readonly [name: string, value: string])[];

const REQUEST: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'a.example'],
];
const POST: Fields = REQUEST.map(([name, value]) => (name === ':method' ? [name, 'POST'] : [name, value]));

/** What a client says in HEADERS, by number: the first ones are in order. */
const REQUESTS: readonly Fields[] = [
  REQUEST,
  POST,
  [...POST, ['content-length', '5']],
  [...POST, ['content-length', '100'], ['cookie', 'a=1'], ['cookie', 'b=2']],
  REQUEST.map(([name, value]) => (name === ':method' ? [name, 'HEAD'] : [name, value])),
  [['x-sum', '7']],
  [...REQUEST, ['priority', 'u=1, i']],
  [...REQUEST, ['connection', 'close']],
  [...REQUEST, ['x-long', 'l'.repeat(200)]],
  REQUEST.slice(1),
  [...POST, ['content-length', '5'], ['content-length', '6']],
  [],
];
/** The same of a server. */
const RESPONSES: readonly Fields[] = [
  [[':status', '200']],
  [
    [':status', '200'],
    ['content-length', '5'],
  ],
  [
    [':status', '200'],
    ['content-length', '100'],
  ],
  [[':status', '103']],
  [[':status', '204']],
  [['x-sum', '7']],
  [
    [':status', '304'],
    ['content-length', '9'],
  ],
  [[':status', '101']],
  [
    [':status', '200'],
    ['x-long', 'l'.repeat(200)],
  ],
  [
    ['x-first', '1'],
    [':status', '200'],
  ],
  [[':status', '42']],
  [],
];
const SETTINGS: readonly (readonly number[])[] = [
  [4_096, 0, 100, 8_192, 0xffff_ffff],
  [0, 1, 2],
  [100, 0, 1, 0x7fff_ffff],
  [65_535, 0, 1, 10, 1_000, 0x7fff_ffff, 0x8000_0000],
  [16_384, 16_383, 0xff_ffff],
  [100, 0, 0xffff_ffff],
  [0],
  [0, 1, 2],
  [0, 1],
];
const INCREMENTS = [1, 10, 1_000, 65_535, 0, 0x7fff_ffff, 0x7fff_0000] as const;

/** The voice of a peer. */
export class Http2PeerWriter {
  readonly #isClient: boolean;
  #chunks: Uint8Array[] = [];
  readonly #sent = new Map<number, number>();

  constructor(isClient: boolean) {
    this.#isClient = isClient;
  }

  /** What was said since the last time. */
  take(): Uint8Array {
    const bytes = Uint8Array.from(Buffer.concat(this.#chunks));
    this.#chunks = [];
    return bytes;
  }

  /** Preface, SETTINGS, and the acknowledgement of ours. */
  begin(): void {
    if (this.#isClient) this.#chunks.push(PREFACE);
    this.#push(4, 0, 0, new Uint8Array());
    this.acknowledge();
  }

  settings(id: number, value: number): void {
    const which = id % SETTINGS.length;
    const values = SETTINGS[which] as readonly number[];
    const entry = [numberBytes(which + 1), numberBytes(values[value % values.length] ?? 0, { byteLength: 4 })];
    this.#push(4, 0, 0, Buffer.concat(entry));
  }

  acknowledge(): void {
    this.#push(4, 1, 0, new Uint8Array());
  }

  headers(stream: number, flags: number, kind: number): void {
    const all = this.#isClient ? REQUESTS : RESPONSES;
    const block = naiveHpackBlock(all[kind % all.length] ?? []);
    this.block(stream, flags, block);
  }

  /** A block in HEADERS, or in HEADERS and CONTINUATIONs. Bits of `flags`: END_STREAM, two frames, without an end. */
  block(stream: number, flags: number, block: Uint8Array): void {
    const id = streamId(stream);
    const endStream = flags & 1;
    if ((flags & 2) === 0) {
      this.#push(1, endStream | ((flags & 4) === 0 ? 4 : 0), id, block);
      return;
    }
    const half = block.length >> 1;
    this.#push(1, endStream, id, block.subarray(0, half));
    this.#push(9, (flags & 4) === 0 ? 4 : 0, id, block.subarray(half));
  }

  /** Bits of `flags`: END_STREAM, padded. */
  data(stream: number, flags: number, length: number): void {
    const id = streamId(stream);
    const at = this.#sent.get(id) ?? 0;
    this.#sent.set(id, at + length);
    const bytes = bodyBytes(id, at, length);
    for (let offset = 0; offset === 0 || offset < length; offset += 16_000) {
      const piece = bytes.subarray(offset, offset + 16_000);
      const isLast = offset + 16_000 >= length;
      const end = isLast ? flags & 1 : 0;
      if ((flags & 2) === 0) this.#push(0, end, id, piece);
      else this.#push(0, end | 8, id, Buffer.concat([Uint8Array.of(7), piece, new Uint8Array(7)]));
    }
  }

  reset(stream: number, code: number): void {
    this.#push(3, 0, streamId(stream), numberBytes(code % 15, { byteLength: 4 }));
  }

  /** Of the connection if the highest bit of `stream` is set. */
  windowUpdate(stream: number, increment: number): void {
    const value = INCREMENTS[increment % INCREMENTS.length] ?? 0;
    this.#push(8, 0, (stream & 0x80) === 0 ? streamId(stream) : 0, numberBytes(value, { byteLength: 4 }));
  }

  /** A question, or the answer to one. */
  ping(answer: Uint8Array | null): void {
    this.#push(6, answer === null ? 0 : 1, 0, answer ?? new Uint8Array(8));
  }

  goaway(last: number, code: number): void {
    const lastId = (last & 0x80) === 0 ? streamId(last) : 0x7fff_ffff;
    this.#push(7, 0, 0, Buffer.concat([numberBytes(lastId, { byteLength: 4 }), numberBytes(code % 15, { byteLength: 4 })]));
  }

  priorityUpdate(stream: number, kind: number): void {
    const text = ['u=0', 'u=7, i', 'i', '', 'x;'][kind % 5] ?? '';
    this.#push(16, 0, 0, Buffer.concat([numberBytes(streamId(stream), { byteLength: 4 }), Buffer.from(text)]));
  }

  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    this.#push(type % 20, flags, (stream & 0x80) === 0 ? streamId(stream) : 0, payload);
  }

  raw(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
  }

  #push(type: number, flags: number, id: number, payload: Uint8Array): void {
    this.#chunks.push(naiveHttp2Frame(type, flags, id, payload));
  }
}

/** Small ones of a client by the lower bits; a few that are even. */
function streamId(stream: number): number {
  const number = stream & 0x0f;
  return (stream & 0x70) === 0x70 ? number * 2 : number * 2 + 1;
}
