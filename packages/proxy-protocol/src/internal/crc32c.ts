/** CRC32C (RFC 3720 appendix B.4, Castagnoli): reflected polynomial 0x82f63b78, begun with and finished by inverting all bits. */

const table = /* @__PURE__ */ makeTable();

/** @param crc the CRC32C of the bytes before these; 0 for none @returns 0 to 2³² − 1 */
export function crc32c(bytes: Uint8Array, crc = 0): number {
  let rest = ~crc;
  for (let i = 0; i < bytes.length; i++) rest = (table[(rest ^ (bytes[i] as number)) & 0xff] as number) ^ (rest >>> 8);
  return ~rest >>> 0;
}

function makeTable(): Int32Array {
  const words = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
    words[byte] = crc;
  }
  return words;
}
