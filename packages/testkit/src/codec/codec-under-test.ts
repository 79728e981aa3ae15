/** A codec as the laws see it: what makes its decoders, what its inputs are, and which of its errors are refusals. */
import { WireError } from '@ferrata/error';
import type fc from 'fast-check';

/** A decoder as the laws drive it: a cursor whose events have become values. */
export interface DecoderDriver<Event> {
  feed(chunk: Uint8Array): void;
  end(): void;
  /**
   * The next event, null if more bytes are needed. The event must not hold on to anything that the decoder changes.
   *
   * Bytes may be refused by an error, here or in `feed` or `end`: see `reasonOf`. A refusal is final: `next` throws one of the same reason at
   * every later call. It need not be the same object.
   */
  next(): Event | null;
  /** Bytes fed and not consumed; after a refusal none are held (see `maxBytesAfterError`). */
  readonly bufferedBytes: number;
  /** Bytes consumed in all. */
  readonly consumedBytes: number;
}

/** What a decoder made of an input. */
export interface Transcript<Event> {
  /** Joined by `join`. */
  readonly events: readonly Event[];
  /** Reason of the refusal that ended it; null if there was none. */
  readonly error: string | null;
  readonly consumedBytes: number;
  readonly bufferedBytes: number;
}

/** A codec as the laws see it. */
export interface CodecUnderTest<Event, Meaning> {
  readonly makeDecoder: () => DecoderDriver<Event>;
  /** Makes one event of two that another cut of the same bytes would give as one (two pieces of data); null if they can't be joined. */
  readonly join: (first: Event, second: Event) => Event | null;
  /** Valid inputs and what they mean. */
  readonly valid: fc.Arbitrary<{ readonly bytes: Uint8Array; readonly meaning: Meaning }>;
  /** Round trip: what the events of a whole valid input must amount to. */
  readonly check: (events: readonly Event[], meaning: Meaning) => void;
  /** Nearly valid inputs; default none but random bytes. */
  readonly nearlyValid?: fc.Arbitrary<Uint8Array>;
  /** The oracle's opinion of a whole input, valid or not; throws an assertion if it is another one. */
  readonly compareWithOracle?: (transcript: Transcript<Event>, bytes: Uint8Array) => void;
  /**
   * The reason of an error by which the decoder refuses bytes, null for any other error: that one is a bug. Asked only about what the decoder
   * throws, never about a `LawFailure`. Default: the `reason` of a `WireError`.
   */
  readonly reasonOf?: (thrown: unknown) => string | null;
  /**
   * Chunks may be fed, and the end told, before what came earlier was read, as whoever pauses does: then the law of cuts tries that, too. Default false:
   * all events of a chunk are read before the next one.
   */
  readonly mayBeFedAhead?: boolean;
  /** Most events a byte of input may give, plus `maxExtraEvents`; default 2. */
  readonly maxEventsPerByte?: number;
  readonly maxExtraEvents?: number;
  /** Most bytes that a decoder may hold after an error; default 0. */
  readonly maxBytesAfterError?: number;
}

/** The default of `reasonOf`. */
export function wireReasonOf(thrown: unknown): string | null {
  return thrown instanceof WireError ? thrown.reason : null;
}
