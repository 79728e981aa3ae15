/** Bodies whose bytes tell their stream and their place; made once for each stream, as an execution is to be short. */
import { positionalBytes } from '@ferrata/testkit';

const KEPT_BYTES = 262_144;
const kept = new Map<number, Uint8Array>();

/** `length` bytes of the body of stream `id`, from `offset` on; not to be written to. */
export function bodyBytes(id: number, offset: number, length: number): Uint8Array {
  if (offset + length > KEPT_BYTES || id > 64) return positionalBytes(length, id, offset);
  let bytes = kept.get(id);
  if (bytes === undefined) {
    bytes = positionalBytes(KEPT_BYTES, id);
    kept.set(id, bytes);
  }
  return bytes.subarray(offset, offset + length);
}
