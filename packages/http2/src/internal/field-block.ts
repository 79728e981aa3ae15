/**
 * A field block written in place: room for the frame header first, then the block behind it, then the header, when the length is known.
 *
 * ```text
 *   before            + 9                                                     before, split at maxFrameBytes
 *   │ HEADERS header  │ block …                          │    ─────►    │ HEADERS │ part │ CONTINUATION │ part │ …
 * ```
 * @see RFC 9113 §4.3, §6.2, §6.10
 */
import type { ByteWriter } from '@ferrata/bytes';
import { FRAME_HEADER_BYTES, FrameFlag, FrameType } from '@ferrata/http2-framing';

/** @returns what `endBlock` wants to know */
export function beginBlock(writer: ByteWriter): number {
  const before = writer.length;
  writer.commit(writer.makeRoom(FRAME_HEADER_BYTES) + FRAME_HEADER_BYTES);
  return before;
}

/** Nothing was written behind the room: takes it back. For programs that give heads which cannot be sent, so a copy does not matter. */
export function cancelBlock(writer: ByteWriter): void {
  const written = writer.take();
  if (written.length > FRAME_HEADER_BYTES) writer.writeBytes(written.subarray(0, written.length - FRAME_HEADER_BYTES));
}

/** Makes frames of what was written since `beginBlock`. @param flags of HEADERS besides END_HEADERS */
export function endBlock(writer: ByteWriter, before: number, streamId: number, flags: number, maxFrameBytes: number): void {
  const length = writer.length - before - FRAME_HEADER_BYTES;
  if (length <= maxFrameBytes) {
    const at = writer.makeRoom(0) - length - FRAME_HEADER_BYTES;
    putHeader(writer.slab, at, length, FrameType.headers, flags | FrameFlag.endHeaders, streamId);
    return;
  }
  // Frames behind the first, each of which moves what follows by the length of a header: from the last on, so that nothing is overwritten.
  const more = Math.ceil(length / maxFrameBytes) - 1;
  const end = writer.makeRoom(more * FRAME_HEADER_BYTES);
  const { slab } = writer;
  const start = end - length;
  for (let part = more; part > 0; part--) {
    const from = start + part * maxFrameBytes;
    const partLength = Math.min(maxFrameBytes, end - from);
    const to = from + part * FRAME_HEADER_BYTES;
    slab.copyWithin(to, from, from + partLength);
    putHeader(slab, to - FRAME_HEADER_BYTES, partLength, FrameType.continuation, part === more ? FrameFlag.endHeaders : 0, streamId);
  }
  putHeader(slab, start - FRAME_HEADER_BYTES, maxFrameBytes, FrameType.headers, flags, streamId);
  writer.commit(end + more * FRAME_HEADER_BYTES);
}

function putHeader(slab: Uint8Array, at: number, length: number, type: number, flags: number, streamId: number): void {
  slab[at] = length >>> 16;
  slab[at + 1] = length >>> 8;
  slab[at + 2] = length;
  slab[at + 3] = type;
  slab[at + 4] = flags;
  slab[at + 5] = streamId >>> 24;
  slab[at + 6] = streamId >>> 16;
  slab[at + 7] = streamId >>> 8;
  slab[at + 8] = streamId;
}
