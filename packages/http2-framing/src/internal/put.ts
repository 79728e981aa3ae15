/** Puts the fields of frames into bytes at a place, and returns the place behind. The caller has checked them, and has made room. */
import { FRAME_HEADER_BYTES, FrameFlag, FrameType } from '../frame-type.ts';

export function putHeader(slab: Uint8Array, at: number, length: number, type: number, flags: number, streamId: number): number {
  slab[at] = length >>> 16;
  slab[at + 1] = length >>> 8;
  slab[at + 2] = length;
  slab[at + 3] = type;
  slab[at + 4] = flags;
  return putUint32(slab, at + 5, streamId);
}

export function putUint16(slab: Uint8Array, at: number, value: number): number {
  slab[at] = value >>> 8;
  slab[at + 1] = value;
  return at + 2;
}

export function putUint32(slab: Uint8Array, at: number, value: number): number {
  slab[at] = value >>> 24;
  slab[at + 1] = value >>> 16;
  slab[at + 2] = value >>> 8;
  slab[at + 3] = value;
  return at + 4;
}

/** One byte a character. */
export function putText(slab: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) slab[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** The Pad Length field. @param padding undefined: there is none */
export function putPadLength(slab: Uint8Array, at: number, padding: number | undefined): number {
  if (padding === undefined) return at;
  slab[at] = padding;
  return at + 1;
}

/** The padding itself: RFC 9113 §6.1 wants zeros, and the room may hold what a write that failed left there. */
export function putPadding(slab: Uint8Array, at: number, padding = 0): number {
  if (padding > 0) slab.fill(0, at, at + padding);
  return at + padding;
}

/** @param weight 1 to 256 */
export function putPriority(slab: Uint8Array, at: number, dependsOn: number, weight: number, isExclusive: boolean): number {
  putUint32(slab, at, isExclusive ? dependsOn + 0x8000_0000 : dependsOn);
  slab[at + 4] = weight - 1;
  return at + 5;
}

/** The rest of a field block from `from` on, in CONTINUATIONs of at most `maxFrameBytes`; none if nothing is left. */
export function putContinuations(
  slab: Uint8Array,
  at: number,
  streamId: number,
  block: Uint8Array,
  from: number,
  maxFrameBytes: number,
): number {
  let end = at;
  for (let start = from; start < block.length; start += maxFrameBytes) {
    const stop = Math.min(block.length, start + maxFrameBytes);
    const flags = stop === block.length ? FrameFlag.endHeaders : 0;
    end = putHeader(slab, end, stop - start, FrameType.continuation, flags, streamId);
    slab.set(block.subarray(start, stop), end);
    end += stop - start;
  }
  return end;
}

/** Bytes of the headers that `putContinuations` writes for so many bytes. */
export function continuationHeaderBytes(left: number, maxFrameBytes: number): number {
  return Math.ceil(left / maxFrameBytes) * FRAME_HEADER_BYTES;
}
