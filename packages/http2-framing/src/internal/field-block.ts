/**
 * The frames of one field block: HEADERS or PUSH_PROMISE, then CONTINUATIONs up to the one with END_HEADERS, and nothing between.
 *
 * Bounded in frames and in bytes, at the header of each frame, before a byte of it is kept or decoded.
 *
 * @see RFC 9113 §4.3, §6.10, §10.5.1
 */
import type { FramingReason } from '../errors.ts';
import { FrameFlag, FrameType } from '../frame-type.ts';

export class FieldBlock {
  /** The stream whose block is open; 0 if none is. */
  streamId = 0;
  readonly #maxContinuations: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #continuations = 0;

  constructor(maxContinuations: number, maxBytes: number) {
    this.#maxContinuations = maxContinuations;
    this.#maxBytes = maxBytes;
  }

  /** @returns null if a frame with this header may come now, as any may that has nothing to do with field blocks while none is open */
  refusal(type: number, flags: number, streamId: number, length: number): FramingReason | null {
    if (this.streamId !== 0) {
      // Not even an extension may come between (RFC 9113 §5.5).
      if (type !== FrameType.continuation || streamId !== this.streamId) return 'H2_CONTINUATION_EXPECTED';
      // Empty ones count too: nine bytes each, they would otherwise go on for ever.
      this.#continuations += 1;
      if (this.#continuations > this.#maxContinuations) return 'H2_CONTINUATIONS_TOO_MANY';
    } else {
      if (type === FrameType.continuation) return 'H2_CONTINUATION_UNEXPECTED';
      if (type !== FrameType.headers && type !== FrameType.pushPromise) return null;
      this.#bytes = 0;
      this.#continuations = 0;
    }
    this.#bytes += length;
    if (this.#bytes > this.#maxBytes) return 'H2_FIELD_BLOCK_TOO_LARGE';
    this.streamId = (flags & FrameFlag.endHeaders) === 0 ? streamId : 0;
    return null;
  }
}
