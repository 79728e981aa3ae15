/**
 * Frames of RFC 6455 as bytes, appended to a writer.
 *
 * @see RFC 6455 §5.2, §5.3
 */
import type { ByteWriter } from '@ferrata/bytes';
import { maskInPlace } from './mask.ts';
import type { Opcode } from './opcode.ts';

/** What a frame header says. */
export interface FrameHeader {
  readonly opcode: Opcode;
  /** FIN; default true. */
  readonly isFinal?: boolean;
  /** RSV1 (RFC 7692 §6); default false. */
  readonly isCompressed?: boolean;
  /** The masking key as a 32-bit number, or null for no mask (a server's frames); default null. */
  readonly key?: number | null;
}

/** First byte of a frame. */
export function firstByte(opcode: Opcode, isFinal: boolean, isCompressed: boolean): number {
  return opcode | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0);
}

/** Bytes of a header. */
export function headerLength(payloadLength: number, isMasked: boolean): number {
  return (payloadLength < 126 ? 2 : payloadLength < 0x1_0000 ? 4 : 10) + (isMasked ? 4 : 0);
}

/**
 * Writes the header of a frame, its length in the fewest bytes that hold it. The payload follows, masked by the caller if there is a key.
 *
 * @param first what `firstByte` gives
 * @param key the masking key, or -1 for none
 */
export function writeHeader(writer: ByteWriter, first: number, payloadLength: number, key: number): void {
  const at = writer.makeRoom(headerLength(payloadLength, key >= 0));
  writer.commit(putHeader(writer.slab, at, first, payloadLength, key));
}

/** @returns where the payload begins */
function putHeader(slab: Uint8Array, start: number, first: number, payloadLength: number, key: number): number {
  let at = start;
  const masked = key >= 0 ? 0x80 : 0;
  slab[at++] = first;
  if (payloadLength < 126) {
    slab[at++] = masked | payloadLength;
  } else if (payloadLength < 0x1_0000) {
    slab[at++] = masked | 126;
    slab[at++] = payloadLength >>> 8;
    slab[at++] = payloadLength;
  } else {
    slab[at++] = masked | 127;
    at = putWord(slab, at, Math.floor(payloadLength / 0x1_0000_0000));
    at = putWord(slab, at, payloadLength >>> 0);
  }
  return key >= 0 ? putWord(slab, at, key) : at;
}

/** Writes a frame, header and payload; the payload is copied, and masked if there is a key. @see RFC 6455 §5.2 */
export function writeFrame(writer: ByteWriter, header: FrameHeader, payload: Uint8Array): void {
  const first = firstByte(header.opcode, header.isFinal ?? true, header.isCompressed ?? false);
  writeFrameBytes(writer, first, payload, header.key ?? -1);
}

/** The same with numbers for arguments, for the machine. */
export function writeFrameBytes(writer: ByteWriter, first: number, payload: Uint8Array, key: number): void {
  const length = payload.length;
  // Room for both at once: a header without its payload must not stay behind in a writer that has no more room.
  const start = writer.makeRoom(headerLength(length, key >= 0) + length);
  const slab = writer.slab;
  const at = putHeader(slab, start, first, length, key);
  slab.set(payload, at);
  if (key >= 0) maskInPlace(new Uint8Array(slab.buffer, slab.byteOffset + at, length), key, 0);
  writer.commit(at + length);
}

function putWord(slab: Uint8Array, at: number, word: number): number {
  slab[at] = word >>> 24;
  slab[at + 1] = word >>> 16;
  slab[at + 2] = word >>> 8;
  slab[at + 3] = word;
  return at + 4;
}
