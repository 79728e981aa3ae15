/** Latin-1 (ISO 8859-1) text: one byte a character, so that any bytes survive the way to a string and back (RFC 9110 §5.5, obs-text). */
import { latin1 } from './internal/latin1.ts';

/**
 * Decodes `bytes[start, end)` as Latin-1.
 *
 * @throws {RangeError} when the range doesn't lie within `bytes`
 */
export function latin1Decode(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (!(start >= 0 && start <= end && end <= bytes.length))
    throw new RangeError(`range ${start} to ${end} is not within ${bytes.length} bytes`);
  return latin1.decode(bytes, start, end);
}

/**
 * Encodes `text` into `target` from index `at`.
 *
 * @returns the number of bytes written, which is `text.length`
 * @throws {RangeError} when `target` has not enough room, or when a character lies above U+00FF (the bytes from `at` on are then undefined)
 */
export function latin1EncodeInto(text: string, target: Uint8Array, at: number): number {
  if (!(at >= 0 && at + text.length <= target.length)) {
    throw new RangeError(`${text.length} characters at ${at} don't fit into ${target.length} bytes`);
  }
  latin1.encodeInto(text, target, at);
  return text.length;
}

/** Encodes `text` into a fresh array. @throws {RangeError} when a character lies above U+00FF */
export function latin1Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  latin1.encodeInto(text, bytes, 0);
  return bytes;
}
