/** The bytes of some ranges, cut out of a body that passes by, with or without the frames of a multipart body. */
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import type { ByteRange } from './parse-ranges.ts';

/** What stands around the parts of a multipart body. @see RFC 9110 §14.6, RFC 2046 §5.1 */
export interface PartFrames {
  /** In front of each part, in order. */
  readonly heads: readonly string[];
  readonly end: string;
}

/** The frames of a `multipart/byteranges` body. @param contentType of the whole representation */
export function partFrames(ranges: readonly ByteRange[], length: number, boundary: string, contentType: string): PartFrames {
  const heads = ranges.map(
    ({ first, last }) => `\r\n--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: bytes ${first}-${last}/${length}\r\n\r\n`,
  );
  return { heads, end: `\r\n--${boundary}--\r\n` };
}

/** Bytes in all. */
export function framedLength(ranges: readonly ByteRange[], frames: PartFrames | null): number {
  let length = frames === null ? 0 : frames.end.length;
  for (const head of frames?.heads ?? []) length += head.length;
  for (const { first, last } of ranges) length += last - first + 1;
  return length;
}

/** Cuts ranges out of the pieces of a body. */
export class RangeBody {
  readonly #ranges: readonly ByteRange[];
  readonly #frames: PartFrames | null;
  /** The range that is under way, or comes next. */
  #index = 0;
  /** Where the next piece begins. */
  #position = 0;

  /** @param ranges ascending and apart, one or more */
  constructor(ranges: readonly ByteRange[], frames: PartFrames | null) {
    this.#ranges = ranges;
    this.#frames = frames;
  }

  /** @returns what of a piece belongs to the ranges, null for nothing: views of it where there are no frames */
  take(chunk: Uint8Array): Uint8Array | null {
    const start = this.#position;
    const end = start + chunk.length;
    this.#position = end;
    const parts: Uint8Array[] = [];
    for (let range = this.#ranges[this.#index]; range !== undefined && range.first < end; range = this.#ranges[this.#index]) {
      if (this.#frames !== null && range.first >= start) parts.push(latin1Encode(this.#frames.heads[this.#index] as string));
      parts.push(chunk.subarray(Math.max(0, range.first - start), range.last + 1 - start));
      if (range.last >= end) break;
      this.#index++;
      // Said at once: the client need not wait for the rest of the body.
      if (this.#frames !== null && this.#index === this.#ranges.length) parts.push(latin1Encode(this.#frames.end));
    }
    return parts.length === 0 ? null : concatBytes(parts);
  }
}
