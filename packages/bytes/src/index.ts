/** @ferrata/bytes: byte queues, writers and cursors, Latin-1, UTF-8, ASCII and hex, without needless copies. */

export { asciiLowerCase, equalsAsciiIgnoreCase, parseDecimal } from './ascii.ts';
export { concatBytes, EMPTY_BYTES, equalBytes } from './byte-array.ts';
export { ByteCursor } from './byte-cursor.ts';
export { ByteQueue } from './byte-queue.ts';
export { ByteWriter, type ByteWriterOptions } from './byte-writer.ts';
export { fromHex, hexValue, toHex } from './hex.ts';
export { formatIpv4, formatIpv6, formatIpv6Groups, isIpv4Mapped, readIpv4, readIpv6 } from './ip-address.ts';
export { latin1Decode, latin1Encode, latin1EncodeInto } from './latin1.ts';
export { utf8Decode, utf8Encode } from './utf8.ts';
