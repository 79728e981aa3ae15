/** HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive (RFC 9112 §2.3). */
import { DIGIT_0, DIGIT_9, DOT } from './ascii.ts';

/** Bytes of a version. */
export const VERSION_LENGTH = 8;

const PREFIX = Uint8Array.of(0x48, 0x54, 0x54, 0x50, 0x2f);

/** True if `byte` may stand at `index` (0 to 7) of a version. */
export function isVersionByte(byte: number, index: number): boolean {
  if (index < PREFIX.length) return byte === PREFIX[index];
  if (index === 6) return byte === DOT;
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}
