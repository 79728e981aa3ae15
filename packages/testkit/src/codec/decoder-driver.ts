/** A decoder that is a cursor already, as the laws drive it: only its events have to become values. */
import type { DecoderDriver } from './codec-under-test.ts';

/** What the decoders of Ferrata have in common: `next` moves on, and what was found is read from the decoder itself. */
export interface CursorDecoder {
  feed(chunk: Uint8Array): void;
  end(): void;
  /** @returns false if more bytes are needed */
  next(): boolean;
  readonly bufferedBytes: number;
  readonly consumedBytes: number;
}

/**
 * Drives a cursor.
 *
 * @param valueOf the event at hand as a value, which must not hold on to anything that the decoder changes
 */
export function cursorDriver<Decoder extends CursorDecoder, Event>(
  decoder: Decoder,
  valueOf: (decoder: Decoder) => Event,
): DecoderDriver<Event> {
  return {
    feed: (chunk) => decoder.feed(chunk),
    end: () => decoder.end(),
    next: () => (decoder.next() ? valueOf(decoder) : null),
    get bufferedBytes() {
      return decoder.bufferedBytes;
    },
    get consumedBytes() {
      return decoder.consumedBytes;
    },
  };
}
