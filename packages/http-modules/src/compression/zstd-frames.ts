/**
 * Where frames of zstd end, found by their block headers alone.
 *
 * Node's decoder stops behind a frame and drops the rest of what it was given, and a body that breaks off within a frame ends without an error. So
 * somebody has to count.
 *
 * ```text
 *   magic (4) │ descriptor (1) │ window (0–1) │ dictionary (0–4) │ size (0–8) │ { block header (3) │ block }* │ checksum (0 or 4)
 *   5x 2a 4d 18 │ length (4) │ skipped bytes
 * ```
 *
 * @see RFC 8878 §3.1.1, §3.1.2
 */
import { protocolError } from '@ferrata/error';

/** Frames that one body may have; each costs a way through the thread pool (50 to 80 µs), and a peer nine bytes. */
export const MAX_ZSTD_FRAMES = 1024;
/** Frames that may be short. Beyond them a body has one for so many of its bytes, lest nine kilobytes cost 80 ms. */
export const FREE_ZSTD_FRAMES = 64;
export const MEAN_ZSTD_FRAME_BYTES = 256;

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAGIC_BYTES = 4;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/** What the next bytes are. */
const Part = { magic: 0, descriptor: 1, frameHeader: 2, blockHeader: 3, block: 4, skipLength: 5, lastBytes: 6 } as const;
type Part = (typeof Part)[keyof typeof Part];

/** A cursor over the frames of one body. */
export class ZstdFrames {
  #part: Part = Part.magic;
  /** Bytes of this part that are to come. */
  #left = MAGIC_BYTES;
  /** The little-endian number that has come of this part so far, and how far it has. */
  #number = 0;
  #shift = 0;
  #hasChecksum = false;
  #isLastBlock = false;
  #frames = 0;
  /** Of the body so far. */
  #bytes = 0;

  /** Nothing is missing: the body may end here. */
  get isComplete(): boolean {
    return this.#frames > 0 && this.#part === Part.magic && this.#left === MAGIC_BYTES;
  }

  /**
   * Reads on, up to the end of a frame.
   *
   * @returns the index behind the frame that ended, or the length of the chunk if none did
   * @throws {WireError} CONTENT_CODING_MALFORMED for what is no frame, and for more than 1024 of them, or too many short ones
   */
  next(chunk: Uint8Array, from: number): number {
    const end = this.#read(chunk, from);
    this.#bytes += end - from;
    return end;
  }

  #read(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length) {
      const part = this.#part;
      if (part === Part.frameHeader || part === Part.block || part === Part.lastBytes) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
      } else {
        this.#number += (chunk[at++] as number) * 2 ** this.#shift;
        this.#shift += 8;
        this.#left--;
      }
      if (this.#left === 0 && this.#endPart(part)) return at;
    }
    return at;
  }

  /** @returns whether a frame has ended */
  #endPart(part: Part): boolean {
    const number = this.#number;
    switch (part) {
      case Part.magic:
        if (++this.#frames > this.#mostFrames()) throw malformed(`more than ${this.#mostFrames()} frames of zstd`);
        if (number === FRAME_MAGIC) return this.#begin(Part.descriptor, 1);
        if (number - (number % 16) === SKIPPABLE_MAGIC) return this.#begin(Part.skipLength, 4);
        throw malformed('no frame of zstd where one should begin');
      case Part.descriptor:
        this.#hasChecksum = (number & 0x04) !== 0;
        return this.#begin(Part.frameHeader, headerBytes(number));
      case Part.blockHeader:
        return this.#beginBlock(number);
      case Part.skipLength:
        return this.#begin(Part.lastBytes, number);
      case Part.block:
        return this.#isLastBlock
          ? this.#begin(Part.lastBytes, this.#hasChecksum ? CHECKSUM_BYTES : 0)
          : this.#begin(Part.blockHeader, BLOCK_HEADER_BYTES);
      case Part.frameHeader:
        return this.#begin(Part.blockHeader, BLOCK_HEADER_BYTES);
      default:
        this.#begin(Part.magic, MAGIC_BYTES);
        return true;
    }
  }

  #mostFrames(): number {
    return Math.min(MAX_ZSTD_FRAMES, FREE_ZSTD_FRAMES + Math.floor(this.#bytes / MEAN_ZSTD_FRAME_BYTES));
  }

  #beginBlock(header: number): boolean {
    const type = (header >>> 1) & 0x03;
    if (type === BLOCK_RESERVED) throw malformed('a block of zstd of the reserved type');
    this.#isLastBlock = (header & 1) !== 0;
    return this.#begin(Part.block, type === BLOCK_RLE ? 1 : header >>> 3);
  }

  /** A part of no bytes ends at once. */
  #begin(part: Part, bytes: number): boolean {
    this.#part = part;
    this.#left = bytes;
    this.#number = 0;
    this.#shift = 0;
    return bytes === 0 && this.#endPart(part);
  }
}

/** The bytes of a frame's header behind its descriptor. @see RFC 8878 §3.1.1.1.1 */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >>> 6;
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag;
  const dictionaryFlag = descriptor & 0x03;
  const dictionaryBytes = dictionaryFlag === 3 ? 4 : dictionaryFlag;
  return (isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes;
}

function malformed(message: string): Error {
  return protocolError('CONTENT_CODING_MALFORMED', message);
}
