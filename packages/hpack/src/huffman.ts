/**
 * Huffman coding of strings (RFC 7541 §5.2).
 *
 * Decoding goes an octet a step through a table (`internal/huffman-code.ts`); encoding two octets a step.
 */
import { type ByteWriter, latin1EncodeInto } from '@ferrata/bytes';
import { CODE_LENGTHS, CODES, MAY_END, PAIRS, STEP_FAILS, STEPS } from './internal/huffman-code.ts';

/** What `decodeHuffman` returns for the end-of-string symbol within a string. */
export const HUFFMAN_EOS = -1;

/** What `decodeHuffman` returns for padding of more than 7 bits, or not all ones. */
export const HUFFMAN_PADDING = -2;

/** What encoding may write behind the limit that it is given; it means nothing. */
const SPARE_BYTES = 3;

/** Bytes that any string of `length` coded octets fits into, with what `decodeHuffman` needs behind it. */
export function huffmanRoom(length: number): number {
  // The shortest code has 5 bits; two symbols are written at every step, of which the last ones may not count.
  return Math.floor((length * 8) / 5) + 2;
}

/**
 * Decodes `bytes[start, end)` into `target` from index `at`, which needs room for 8/5 of the coded length and 2 bytes more.
 *
 * @returns where the text ends in `target`; −1 if the end-of-string symbol stands within it, −2 if the padding is longer than 7 bits or not
 *   all ones (what has been written by then means nothing)
 * @see RFC 7541 §5.2
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  let state = 0;
  let out = at;
  for (let i = start; i < end; i++) {
    const step = STEPS[(state << 8) | (bytes[i] as number)] as number;
    if (step >= STEP_FAILS) return HUFFMAN_EOS;
    // Both symbols always: the next step writes over what does not count, and no branch has to be guessed.
    target[out] = step >>> 8;
    target[out + 1] = step >>> 16;
    out += step >>> 24;
    state = step & 0xff;
  }
  return MAY_END[state] === 1 ? out : HUFFMAN_PADDING;
}

/**
 * Bytes of `text` in Huffman code.
 *
 * @throws {RangeError} when a character lies above U+00FF
 */
export function huffmanEncodedLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0xff) throwNotLatin1(text, i);
    bits += CODE_LENGTHS[unit] as number;
  }
  return (bits + 7) >>> 3;
}

/**
 * Appends `text` in Huffman code, without a length before it.
 *
 * @throws {RangeError} when a character lies above U+00FF; nothing has been written then
 */
export function writeHuffman(writer: ByteWriter, text: string): void {
  const { length } = text;
  const coded = huffmanEncodedLength(text);
  const at = writer.makeRoom(coded + SPARE_BYTES + length);
  const raw = at + coded + SPARE_BYTES;
  const slab = writer.slab;
  latin1EncodeInto(text, slab, raw);
  writer.commit(encodeHuffman(slab, raw, raw + length, slab, at, at + coded));
}

/** Bytes that `bytes[start, end)` take in Huffman code. */
export function huffmanLengthOf(bytes: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += CODE_LENGTHS[bytes[i] as number] as number;
  return (bits + 7) >>> 3;
}

/**
 * Encodes `bytes[start, end)` into `target[at, limit)`.
 *
 * From bytes, as reading characters out of a string that is part of another one costs more than writing them out first.
 *
 * `target` needs three bytes more than `limit`: they may be written, and mean nothing.
 *
 * @returns where it ends; −1 if it does not fit (what has been written by then means nothing)
 */
export function encodeHuffman(bytes: Uint8Array, start: number, end: number, target: Uint8Array, at: number, limit: number): number {
  // The lowest `count` bits of `pending` are to be written, fewer than 8 between steps; what lies above them falls off.
  let pending = 0;
  let count = 0;
  let out = at;
  let i = start;
  const last = end - 1;
  for (;;) {
    // Two octets a step while their codes are short, as those of text are: 1.3 to 2 against 7 ns an octet one by one.
    while (i < last) {
      const first = bytes[i] as number;
      const second = bytes[i + 1] as number;
      if ((first | second) >= 0x80) break;
      const pair = PAIRS[(first << 7) | second] as number;
      if (pair === 0) break;
      if (out >= limit) return -1;
      pending = (pending << (pair & 0x1f)) | (pair >>> 5);
      count += pair & 0x1f;
      // Three octets always, complete or not: the next step writes over what is not, and no branch has to be guessed.
      const aligned = pending << (32 - count);
      target[out] = aligned >>> 24;
      target[out + 1] = aligned >>> 16;
      target[out + 2] = aligned >>> 8;
      out += count >>> 3;
      count &= 7;
      i += 2;
    }
    if (i >= end) break;
    const octet = bytes[i++] as number;
    const code = CODES[octet] as number;
    // Up to 7 bits and 30 don't fit into 32, so at most an octet a turn.
    for (let left = CODE_LENGTHS[octet] as number; left > 0; ) {
      const bits = ((left - 1) & 7) + 1;
      left -= bits;
      pending = (pending << bits) | ((code >>> left) & 0xff);
      count += bits;
      if (count < 8) continue;
      if (out >= limit) return -1;
      count -= 8;
      target[out++] = pending >>> count;
    }
  }
  return endHuffman(pending, count, target, out, limit);
}

/** @returns where the code ends; −1 if that lies behind `limit` */
function endHuffman(pending: number, count: number, target: Uint8Array, out: number, limit: number): number {
  // The rest of the octet is the beginning of the end-of-string symbol: ones (RFC 7541 §5.2).
  if (count !== 0) target[out++] = (pending << (8 - count)) | (0xff >>> count);
  return out > limit ? -1 : out;
}

/**
 * Does both at once with `text`, in one pass over its characters: its octets go to `octets` from index `rawAt`, its Huffman code to `target[at, limit)`.
 * For text of up to some 48 characters; longer ones are written out quicker by the engine.
 *
 * `target` needs three bytes more than `limit`: they may be written, and mean nothing.
 *
 * @returns where the code ends; −1 if it does not fit, or has codes of more than 8 bits in it, which are for the ways above (what has been written to either place
 *   by then means nothing)
 */
export function encodeShortText(text: string, octets: Uint8Array, rawAt: number, target: Uint8Array, at: number, limit: number): number {
  let pending = 0;
  let count = 0;
  let out = at;
  let i = 0;
  const last = text.length - 1;
  for (; i < last; i += 2) {
    const first = text.charCodeAt(i);
    const second = text.charCodeAt(i + 1);
    if ((first | second) >= 0x80) return -1;
    const pair = PAIRS[(first << 7) | second] as number;
    if (pair === 0 || out >= limit) return -1;
    octets[rawAt + i] = first;
    octets[rawAt + i + 1] = second;
    pending = (pending << (pair & 0x1f)) | (pair >>> 5);
    count += pair & 0x1f;
    const aligned = pending << (32 - count);
    target[out] = aligned >>> 24;
    target[out + 1] = aligned >>> 16;
    target[out + 2] = aligned >>> 8;
    out += count >>> 3;
    count &= 7;
  }
  if (i === last) {
    const octet = text.charCodeAt(i);
    if (octet >= 0x80) return -1;
    const bits = CODE_LENGTHS[octet] as number;
    if (bits > 24 || out >= limit) return -1;
    octets[rawAt + i] = octet;
    pending = (pending << bits) | (CODES[octet] as number);
    count += bits;
    const aligned = pending << (32 - count);
    target[out] = aligned >>> 24;
    target[out + 1] = aligned >>> 16;
    target[out + 2] = aligned >>> 8;
    out += count >>> 3;
    count &= 7;
  }
  return endHuffman(pending, count, target, out, limit);
}

function throwNotLatin1(text: string, index: number): never {
  throw new RangeError(`not Latin-1: character at index ${index} of ${text.length} lies above U+00FF`);
}
