/** The bodies that the answering programs share: the target `/16k` is answered with 16 KiB. */
import { parseSize } from '../../proxy/sizes.ts';

const bodies = new Map<string, Uint8Array>();

/** @returns null for `/wait`, which is to get no answer */
export function bodyOf(target: string): Uint8Array | null {
  if (target === '/wait') return null;
  let body = bodies.get(target);
  if (body === undefined) {
    body = new Uint8Array(parseSize(target.slice(1)).bytes).fill(0x61);
    bodies.set(target, body);
  }
  return body;
}
