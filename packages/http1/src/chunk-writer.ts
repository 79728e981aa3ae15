/**
 * Writes chunked bodies (RFC 9112 §7.1).
 *
 * Rules of this file:
 * - A chunk of no bytes would end the body, so it is never written as a chunk.
 * - Trailer fields that may not be trailers are left out (RFC 9110 §6.5.1).
 * - For a large chunk write its line and its end around the bytes, and pass the bytes themselves to the socket uncopied.
 */
import type { ByteWriter } from '@ferrata/bytes';
import { type HeaderMap, mayBeTrailer } from '@ferrata/headers';

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
// biome-ignore lint/suspicious/noControlCharactersInRegex: HTAB is the one control that quoted text may hold
const QUOTED = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t \\x21-\\x7e\\x80-\\xff])*"';
const EXTENSION = new RegExp(`^${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*$`);

/** What follows the data of a chunk. */
export const CHUNK_END = '\r\n';

/**
 * The line before the data of a chunk, with its CRLF.
 *
 * @param byteLength of the data, above 0
 * @param extension chunk extensions without their first ";", as `chunkExtension` of a decoder gives them
 * @throws {RangeError} when the length is not a whole number above 0
 * @throws {TypeError} when the extension is malformed
 */
export function formatChunkLine(byteLength: number, extension = ''): string {
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0) throw new RangeError(`a chunk cannot have ${byteLength} bytes`);
  if (extension === '') return `${byteLength.toString(16)}\r\n`;
  if (typeof extension !== 'string' || !EXTENSION.test(extension))
    throw new TypeError(`invalid chunk extension: ${JSON.stringify(extension.slice(0, 80))}`);
  return `${byteLength.toString(16)};${extension}\r\n`;
}

/**
 * The last chunk, the trailer section and the empty line.
 *
 * @param trailers fields to send; those that may not be trailers are left out
 */
export function formatLastChunk(trailers: HeaderMap | null = null): string {
  if (trailers === null || trailers.size === 0) return '0\r\n\r\n';
  let text = '0\r\n';
  for (let line = 0; line < trailers.size; line++) {
    if (mayBeTrailer(trailers.idAt(line))) text += `${trailers.nameAt(line)}: ${trailers.valueAt(line)}\r\n`;
  }
  return `${text}\r\n`;
}

/**
 * Appends one chunk; nothing if `data` is empty.
 *
 * @throws {TypeError} when the extension is malformed
 */
export function writeChunk(writer: ByteWriter, data: Uint8Array, extension = ''): void {
  if (data.length === 0) return;
  writer.writeLatin1(formatChunkLine(data.length, extension));
  writer.writeBytes(data);
  writer.writeLatin1(CHUNK_END);
}

/** Appends the end of a chunked body; see `formatLastChunk`. */
export function writeLastChunk(writer: ByteWriter, trailers: HeaderMap | null = null): void {
  writer.writeLatin1(formatLastChunk(trailers));
}
