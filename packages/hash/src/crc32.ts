/**
 * CRC-32 as in ISO 3309, ITU-T V.42, zlib, PNG and nginx: polynomial 0x04c11db7, reflected, begun with and finished by inverting all bits.
 *
 * One table of 256 words, a byte a step. Wider tables (slicing by 8) pay from some hundred bytes on; keys are shorter, and their words
 * would crowd the cache.
 */

const table = /* @__PURE__ */ makeTable();

/**
 * Computes the CRC-32 of some bytes, or goes on with one.
 *
 * @param previous the CRC-32 of the bytes before these; default 0, that of none
 * @returns 0 to 2³² − 1
 */
export function crc32(bytes: Uint8Array, previous = 0): number {
  let crc = ~previous;
  for (let index = 0; index < bytes.length; index++) {
    crc = (table[(crc ^ (bytes[index] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/**
 * Computes the CRC-32 of the UTF-8 form of a text, without making it: the same as `crc32` of `TextEncoder`'s bytes. A surrogate without
 * its other half counts as U+FFFD, as the encoder has it.
 *
 * @param previous the CRC-32 of the bytes before these; default 0, that of none
 * @returns 0 to 2³² − 1
 */
export function crc32Text(text: string, previous = 0): number {
  let crc = ~previous;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      crc = (table[(crc ^ unit) & 0xff] as number) ^ (crc >>> 8);
      continue;
    }
    const point = codePointAt(text, index, unit);
    if (point > 0xffff) index++;
    crc = addCodePoint(crc, point);
  }
  return ~crc >>> 0;
}

function codePointAt(text: string, index: number, unit: number): number {
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  const next = index + 1 < text.length ? text.charCodeAt(index + 1) : 0;
  const isPair = unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff;
  return isPair ? 0x1_0000 + ((unit - 0xd800) << 10) + (next - 0xdc00) : 0xfffd;
}

/** @param point above 0x7f: two to four bytes */
function addCodePoint(crc: number, point: number): number {
  let sum = crc;
  if (point < 0x800) {
    sum = addByte(sum, 0xc0 | (point >>> 6));
  } else {
    if (point < 0x1_0000) {
      sum = addByte(sum, 0xe0 | (point >>> 12));
    } else {
      sum = addByte(sum, 0xf0 | (point >>> 18));
      sum = addByte(sum, 0x80 | ((point >>> 12) & 0x3f));
    }
    sum = addByte(sum, 0x80 | ((point >>> 6) & 0x3f));
  }
  return addByte(sum, 0x80 | (point & 0x3f));
}

function addByte(crc: number, byte: number): number {
  return (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
}

/** Signed words: V8 keeps them unboxed. */
function makeTable(): Int32Array {
  const words = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
    words[byte] = crc;
  }
  return words;
}
