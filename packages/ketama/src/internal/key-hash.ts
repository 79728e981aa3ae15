/** The hash of a key: its CRC-32, as in nginx. */
import { crc32, crc32Text } from '@ferrata/hash';

/** @throws {TypeError} when the key is neither text nor bytes */
export function hashOf(key: string | Uint8Array): number {
  if (typeof key === 'string') return crc32Text(key);
  // Not instanceof: a Uint8Array of another realm is bytes too.
  if (key.BYTES_PER_ELEMENT !== 1) throw new TypeError(`key must be a string or a Uint8Array, not ${typeof key}`);
  return crc32(key);
}
