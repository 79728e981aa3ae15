/**
 * Bytes of HTTP/2 made by hand: frames of any shape and header blocks of any content, right or wrong, for peers that attack.
 *
 * Nothing here checks anything, and nothing is shared with the code under attack: what our own writers refuse to write can be written.
 *
 * ```text
 *   0                   1                   2                   3
 *  +-----------------------------------------------+---------------+
 *  |                 length (24)                   |   type (8)    |    RFC 9113 §4.1
 *  +---------------+-------------------------------+---------------+
 *  |   flags (8)   |R|                stream id (31)               |
 *  +---------------+-----------------------------------------------+
 * ```
 */

/** What a client sends first (RFC 9113 §3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Frame types (RFC 9113 §6, RFC 9218 §7.1, RFC 7838 §4, RFC 8336 §2). */
export const Type = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
  altsvc: 0xa,
  origin: 0xc,
  priorityUpdate: 0x10,
} as const;

/** Flags. */
export const Flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

/** Error codes (RFC 9113 §7). */
export const Code = {
  noError: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  connect: 0xa,
  calm: 0xb,
} as const;

/** Settings (RFC 9113 §6.5.2). */
export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** The largest stream id, window and increment. */
export const MAX_31 = 0x7f_ff_ff_ff;

const EMPTY = Buffer.alloc(0);

/** A frame of any type; `length` may lie about the payload. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = EMPTY, length = payload.length): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  bytes.writeUIntBE(length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId >>> 0, 5);
  bytes.set(payload, 9);
  return bytes;
}

/** The same bytes so many times. */
export function times(count: number, bytes: Uint8Array): Buffer {
  return Buffer.concat(new Array<Uint8Array>(count).fill(bytes));
}

/** So many pieces, one behind the other. */
export function many(count: number, make: (i: number) => Uint8Array): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
}

/** A SETTINGS frame of pairs. */
export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * pairs.length);
  pairs.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value >>> 0, 6 * index + 2);
  });
  return frame(Type.settings, 0, 0, payload);
}

/** The acknowledgement of SETTINGS. */
export const SETTINGS_ACK = frame(Type.settings, Flag.ack, 0);

/** Four bytes of a number. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function rst(streamId: number, code: number): Buffer {
  return frame(Type.rstStream, 0, streamId, uint32(code));
}

export function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(Type.windowUpdate, 0, streamId, uint32(increment));
}

export function ping(text = 'ferrata!', flags = 0): Buffer {
  return frame(Type.ping, flags, 0, Buffer.from(text, 'latin1'));
}

export function goaway(lastStreamId: number, code: number, debug = ''): Buffer {
  return frame(Type.goaway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(debug, 'latin1')]));
}

export function data(streamId: number, payload: Uint8Array = EMPTY, isLast = false): Buffer {
  return frame(Type.data, isLast ? Flag.endStream : 0, streamId, payload);
}

/** DATA with nothing but padding. */
export function paddedData(streamId: number, padding: number): Buffer {
  const payload = Buffer.alloc(1 + padding);
  payload[0] = padding;
  return frame(Type.data, Flag.padded, streamId, payload);
}

/** HEADERS, whole, or to be continued. */
export function headers(streamId: number, block: Uint8Array, flags: number = Flag.endHeaders | Flag.endStream): Buffer {
  return frame(Type.headers, flags, streamId, block);
}

/** HEADERS and as many CONTINUATIONs as the block needs, each of at most `maxFrameBytes`. */
export function headersInFrames(streamId: number, block: Uint8Array, isLast = true, maxFrameBytes = 16_384): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < block.length; at += maxFrameBytes) {
    const end = at + maxFrameBytes >= block.length ? Flag.endHeaders : 0;
    const part = block.subarray(at, at + maxFrameBytes);
    frames.push(at === 0 ? headers(streamId, part, end | (isLast ? Flag.endStream : 0)) : frame(Type.continuation, end, streamId, part));
  }
  return Buffer.concat(frames);
}

/** PRIORITY (RFC 9113 §6.3). */
export function priority(streamId: number, dependsOn: number, weight = 15): Buffer {
  return frame(Type.priority, 0, streamId, Buffer.concat([uint32(dependsOn), Buffer.from([weight])]));
}

/** PRIORITY_UPDATE (RFC 9218 §7.1). */
export function priorityUpdate(streamId: number, value: string): Buffer {
  return frame(Type.priorityUpdate, 0, 0, Buffer.concat([uint32(streamId), Buffer.from(value, 'latin1')]));
}

/** An integer of HPACK behind the bits of `first` (RFC 7541 §5.1). */
export function hpackInteger(first: number, prefixBits: number, value: number): Buffer {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) return Buffer.from([first | value]);
  const bytes = [first | limit];
  let rest = value - limit;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A string of HPACK without Huffman (RFC 7541 §5.2). */
export function hpackString(text: string): Buffer {
  return Buffer.concat([hpackInteger(0, 7, text.length), Buffer.from(text, 'latin1')]);
}

/** A field by its index (RFC 7541 §6.1). */
export function indexed(index: number): Buffer {
  return hpackInteger(0x80, 7, index);
}

/** A literal field that enters no table (RFC 7541 §6.2.2). */
export function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), hpackString(name), hpackString(value)]);
}

/** A literal field that enters the table (RFC 7541 §6.2.1). */
export function inserted(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0x40), hpackString(name), hpackString(value)]);
}

/** A literal with the name of an index. */
export function namedLiteral(index: number, value: string): Buffer {
  return Buffer.concat([hpackInteger(0, 4, index), hpackString(value)]);
}

/** A change of the table's size (RFC 7541 §6.3). */
export function sizeUpdate(bytes: number): Buffer {
  return hpackInteger(0x20, 5, bytes);
}

/** The four pseudo-fields of a request, then whatever follows. */
export function requestBlock(method: string, path: string, ...more: readonly Uint8Array[]): Buffer {
  return Buffer.concat([
    method === 'GET' ? Buffer.of(0x82) : method === 'POST' ? Buffer.of(0x83) : namedLiteral(2, method),
    Buffer.of(0x86),
    path === '/' ? Buffer.of(0x84) : namedLiteral(4, path),
    namedLiteral(1, 'localhost'),
    ...more,
  ]);
}

/** The `:status` that a block of a peer begins with, if its table has been set to 0; 0: it cannot be told. */
export function statusOf(block: Uint8Array): number {
  let at = 0;
  // Changes of the table's size come first (RFC 7541 §4.2).
  while (((block[at] ?? 0) & 0xe0) === 0x20) {
    if ((block[at++] ?? 0) % 0x20 !== 0x1f) continue;
    while ((block[at++] ?? 0) >= 0x80);
  }
  const first = block[at++] ?? 0;
  if (first >= 0x88 && first <= 0x8e) return [200, 204, 206, 304, 400, 404, 500][first - 0x88] ?? 0;
  // A literal whose name is one of the seven static entries (RFC 7541, Appendix A).
  const index = (first & 0xc0) === 0x40 ? first & 0x3f : first & 0x0f;
  if (index < 8 || index > 14) return 0;
  const length = block[at++] ?? 0;
  const value = block.subarray(at, at + (length & 0x7f));
  return Number((length & 0x80) === 0 ? Buffer.from(value).toString('latin1') : huffmanDigits(value));
}

/** Digits are short: 0 to 2 have five bits, 3 to 9 six (RFC 7541, Appendix B). */
function huffmanDigits(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let digits = '';
  for (let at = 0; digits.length < 3; ) {
    const five = Number.parseInt(bits.slice(at, at + 5), 2);
    if (five <= 2) {
      digits += String(five);
      at += 5;
      continue;
    }
    const six = Number.parseInt(bits.slice(at, at + 6), 2);
    if (!(six >= 0x19 && six <= 0x1f)) return 'NaN';
    digits += String(six - 0x19 + 3);
    at += 6;
  }
  return digits;
}
