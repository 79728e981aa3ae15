/**
 * The laws of every codec, as tests: split, round trip, total, conservation, oracle.
 *
 * - **Split**: any way to cut the input gives the same events, the same end and the same error.
 * - **Round trip**: what was encoded decodes to what was meant.
 * - **Total**: any bytes give events or one `WireError`, which is final; in a number of steps and an amount of memory that the input bounds.
 * - **Conservation**: what was consumed and what is left make what was fed, after every step.
 * - **Oracle**: an independent implementation reads the same.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WireError } from '@ferrata/error';
import fc from 'fast-check';
import { cut, cutBytes } from '../arbitrary/chunkings.ts';

/** A decoder as the laws drive it: a cursor whose events have become values. */
export interface DecoderDriver<Event> {
  feed(chunk: Uint8Array): void;
  end(): void;
  /** The next event, null if more bytes are needed. May throw a `WireError`. The event must not hold on to anything that the decoder changes. */
  next(): Event | null;
  /** Bytes fed and not consumed. */
  readonly bufferedBytes: number;
  /** Bytes consumed in all. */
  readonly consumedBytes: number;
}

/** What a decoder made of an input. */
export interface Transcript<Event> {
  /** Joined by `join`. */
  readonly events: readonly Event[];
  /** Reason of the error that ended it; null if there was none. */
  readonly error: string | null;
  readonly consumedBytes: number;
  readonly bufferedBytes: number;
}

/** A codec as the laws see it. */
export interface CodecUnderTest<Event, Meaning> {
  readonly makeDecoder: () => DecoderDriver<Event>;
  /** Makes one event of two that another cut of the same bytes would give as one (two pieces of data); null if they can't be joined. */
  readonly join: (first: Event, second: Event) => Event | null;
  /** Valid inputs and what they mean; of these are made cuts and, by `mutate`, near misses. */
  readonly valid: fc.Arbitrary<{ readonly bytes: Uint8Array; readonly meaning: Meaning }>;
  /** Round trip: what the events of a whole valid input must amount to. */
  readonly check: (events: readonly Event[], meaning: Meaning) => void;
  /** Nearly valid inputs; default none but random bytes. */
  readonly nearlyValid?: fc.Arbitrary<Uint8Array>;
  /** The oracle's opinion of a whole input, valid or not; throws an assertion if it is another one. */
  readonly compareWithOracle?: (transcript: Transcript<Event>, bytes: Uint8Array) => void;
  /** Most events a byte of input may give, plus `maxExtraEvents`; default 2. */
  readonly maxEventsPerByte?: number;
  readonly maxExtraEvents?: number;
  /** Most bytes that a decoder may hold after an error; default 0. */
  readonly maxBytesAfterError?: number;
}

/** Options of `codecLaws`. */
export interface CodecLawsOptions {
  /** Runs of each property; default 200. */
  readonly runs?: number;
  /** Fixed seed of the properties; default drawn. */
  readonly seed?: number;
  /** Inputs with names, to be tried in every single cut besides the drawn ones. */
  readonly examples?: Readonly<Record<string, Uint8Array>>;
}

/** Registers the laws as `node:test` tests under `name`. */
export function codecLaws<Event, Meaning>(name: string, codec: CodecUnderTest<Event, Meaning>, options: CodecLawsOptions = {}): void {
  const parameters = { numRuns: options.runs ?? 200, ...(options.seed === undefined ? {} : { seed: options.seed }) };
  const validBytes = codec.valid.map(({ bytes }) => bytes);
  const anyBytes = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 2, arbitrary: validBytes },
    { weight: 6, arbitrary: codec.nearlyValid ?? fc.uint8Array({ maxLength: 300 }) },
  );

  describe(`${name}: the laws of codecs`, () => {
    test('round trip: what was meant is what is read', () => {
      fc.assert(
        fc.property(codec.valid, ({ bytes, meaning }) => {
          const { events, error } = transcribe(codec, [bytes]);
          assert.equal(error, null, `a valid input was refused: ${error}`);
          codec.check(events, meaning);
        }),
        parameters,
      );
    });

    test('split: every cut of a valid input gives the same events', () => {
      fc.assert(
        fc.property(cutBytes(validBytes), ({ bytes, chunks }) => codecLawChecks.split(codec, bytes, chunks)),
        parameters,
      );
    });

    test('split: every cut of any input gives the same events and the same error', () => {
      fc.assert(
        fc.property(cutBytes(anyBytes), ({ bytes, chunks }) => codecLawChecks.split(codec, bytes, chunks)),
        parameters,
      );
    });

    test('total: any bytes give events or one final WireError, in bounded steps and memory', () => {
      fc.assert(
        fc.property(cutBytes(anyBytes), ({ bytes, chunks }) => codecLawChecks.total(codec, bytes, chunks)),
        parameters,
      );
    });

    test('conservation: consumed and left make what was fed, after every step', () => {
      fc.assert(
        fc.property(cutBytes(anyBytes), ({ bytes, chunks }) => codecLawChecks.conservation(codec, bytes, chunks)),
        parameters,
      );
    });

    if (codec.compareWithOracle !== undefined) {
      const compare = codec.compareWithOracle;
      test('oracle: an independent implementation reads the same', () => {
        fc.assert(
          fc.property(anyBytes, (bytes) => compare(transcribe(codec, [bytes]), bytes)),
          parameters,
        );
      });
    }

    for (const [title, bytes] of Object.entries(options.examples ?? {})) {
      test(`split: ${title}, at every single byte and in single bytes`, () => {
        for (let at = 1; at < bytes.byteLength; at++) codecLawChecks.split(codec, bytes, cut(bytes, [at]));
        codecLawChecks.split(codec, bytes, cut(bytes, new Array<number>(bytes.byteLength).fill(1)));
      });
    }
  });
}

/** The laws that hold for any input, as checks of one input and one cut of it: for fuzzers, which bring their own inputs. */
export const codecLawChecks = { split: assertSameReading, total: assertTotal, conservation: assertConservation } as const;

/** Feeds the chunks one after the other, reading all events in between, then the end. */
export function transcribe<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, chunks: readonly Uint8Array[]): Transcript<Event> {
  const decoder = codec.makeDecoder();
  const events: Event[] = [];
  const add = (event: Event): void => {
    const last = events.at(-1);
    const joined = last === undefined ? null : codec.join(last, event);
    if (joined === null) events.push(event);
    else events[events.length - 1] = joined;
  };
  let error: string | null = null;
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      for (let event = decoder.next(); event !== null; event = decoder.next()) add(event);
    }
    decoder.end();
    for (let event = decoder.next(); event !== null; event = decoder.next()) add(event);
  } catch (thrown) {
    if (!(thrown instanceof WireError)) throw thrown;
    error = thrown.reason;
  }
  return { events, error, consumedBytes: decoder.consumedBytes, bufferedBytes: decoder.bufferedBytes };
}

function assertSameReading<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  const whole = transcribe(codec, [bytes]);
  const pieces = transcribe(codec, chunks);
  assert.equal(pieces.error, whole.error);
  assert.deepEqual(pieces.events, whole.events);
  // After an error a decoder has dropped what it held, and how much it had been given by then depends on the cut.
  if (whole.error === null) assert.deepEqual([pieces.consumedBytes, pieces.bufferedBytes], [whole.consumedBytes, whole.bufferedBytes]);
}

function assertTotal<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, _bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  const decoder = codec.makeDecoder();
  const { maxEventsPerByte = 2, maxExtraEvents = 2, maxBytesAfterError = 0 } = codec;
  let fed = 0;
  let eventCount = 0;
  let error: WireError | null = null;
  const readAll = (): void => {
    while (decoder.next() !== null) {
      eventCount += 1;
      assert.ok(eventCount <= fed * maxEventsPerByte + maxExtraEvents + chunks.length, `${eventCount} events of ${fed} bytes`);
    }
  };
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      fed += chunk.byteLength;
      readAll();
      assert.equal(decoder.next(), null, 'after "needs more" nothing comes by itself');
    }
    decoder.end();
    readAll();
  } catch (thrown) {
    if (!(thrown instanceof WireError)) throw thrown;
    error = thrown;
  }
  if (error === null) return;
  assert.throws(
    () => decoder.next(),
    (again) => again === error,
    'the first error is thrown again',
  );
  assert.ok(decoder.bufferedBytes <= maxBytesAfterError, `${decoder.bufferedBytes} bytes are held after an error`);
}

function assertConservation<Event, Meaning>(
  codec: CodecUnderTest<Event, Meaning>,
  _bytes: Uint8Array,
  chunks: readonly Uint8Array[],
): void {
  const decoder = codec.makeDecoder();
  let fed = 0;
  const balance = (): void => assert.equal(decoder.consumedBytes + decoder.bufferedBytes, fed);
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      fed += chunk.byteLength;
      balance();
      while (decoder.next() !== null) balance();
      balance();
    }
  } catch (thrown) {
    if (!(thrown instanceof WireError)) throw thrown;
  }
}
