/**
 * Chunks that are given away for good.
 *
 * A chunk handed to `write` belongs to the stream, but others may still read it: a cache, a filter, a retry. Who knows that nobody does says so
 * with `giveAway`; a stream over a socket then frees the memory as soon as the bytes are with the kernel, instead of leaving it to the garbage
 * collector, which lets some 32 MiB of read buffers gather before it looks. It also means that the next read finds memory that is
 * still in the processor's cache.
 *
 * Only a chunk that covers its whole buffer can be given away: freeing the buffer would empty every other view of it.
 */

/** Buffers below this size are not worth the freeing. */
const LEAST_BYTES = 16_384;

const given: unique symbol = Symbol('@ferrata/stream/given');

interface MarkedBuffer {
  [given]?: boolean;
}

/** Says that nobody but the receiver of `chunk` holds it or any view of its buffer. Does nothing for small chunks and for views of a part. */
export function giveAway(chunk: Uint8Array): void {
  if (chunk.length < LEAST_BYTES || chunk.length !== chunk.buffer.byteLength) return;
  (chunk.buffer as MarkedBuffer)[given] = true;
}

/** Whether `giveAway` was called for this chunk, and took effect. */
export function isGivenAway(chunk: Uint8Array): boolean {
  // A view of a part (a wrapper may have cut the chunk) must not free what the other parts still need.
  return chunk.length >= LEAST_BYTES && chunk.length === chunk.buffer.byteLength && (chunk.buffer as MarkedBuffer)[given] === true;
}

/** Takes the word back: for a stream that hands a written chunk on to another sink, which may keep it. */
export function takeBack(chunk: Uint8Array): void {
  if (isGivenAway(chunk)) (chunk.buffer as MarkedBuffer)[given] = false;
}

/** Frees the memory of a chunk that was given away; the chunk is empty from then on. */
export function freeChunk(chunk: Uint8Array): void {
  if (isGivenAway(chunk) && chunk.buffer instanceof ArrayBuffer) chunk.buffer.transfer(0);
}
