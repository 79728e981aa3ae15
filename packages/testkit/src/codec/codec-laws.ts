/**
 * The laws of every codec, as tests: split, round trip, total, conservation, oracle.
 *
 * - **Split**: any way to cut the input gives the same events, the same end and the same error.
 * - **Round trip**: what was encoded decodes to what was meant.
 * - **Total**: any bytes give events or one refusal, which is final; in a number of steps and an amount of memory that the input bounds.
 * - **Conservation**: what was consumed and what is left make what was fed, after every step.
 * - **Oracle**: an independent implementation reads the same.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WireError } from '@ferrata/error';
import fc from 'fast-check';
import { type CutBytes, cut, cutBytes } from '../arbitrary/chunkings.ts';
import { leastInput } from './least-input.ts';
import { showBytes } from './show-bytes.ts';

/** A decoder as the laws drive it: a cursor whose events have become values. */
export interface DecoderDriver<Event> {
  feed(chunk: Uint8Array): void;
  end(): void;
  /** The next event, null if more bytes are needed. May throw a refusal: see `reasonOf`. The event must not hold on to anything that the decoder changes. */
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
  /** Valid inputs and what they mean; of these are made cuts and, by `mutate`, near misses. */
  readonly valid: fc.Arbitrary<{ readonly bytes: Uint8Array; readonly meaning: Meaning }>;
  /** Round trip: what the events of a whole valid input must amount to. */
  readonly check: (events: readonly Event[], meaning: Meaning) => void;
  /** Nearly valid inputs; default none but random bytes. */
  readonly nearlyValid?: fc.Arbitrary<Uint8Array>;
  /** The oracle's opinion of a whole input, valid or not; throws an assertion if it is another one. */
  readonly compareWithOracle?: (transcript: Transcript<Event>, bytes: Uint8Array) => void;
  /**
   * The reason of an error by which the decoder refuses bytes, null for any other error: that one is a bug. Default: the `reason` of a
   * `WireError`.
   */
  readonly reasonOf?: (thrown: unknown) => string | null;
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
  describe(`${name}: the laws of codecs`, () => {
    for (const law of lawsOf(codec)) {
      test(law.title, () => {
        const breach = breachOf(law, options);
        if (breach !== null) throw new LawBroken(breach);
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

/** A law that does not hold, and the least input that shows it. */
export interface LawBreach {
  /** The law in words, its name first: `split: …`. */
  readonly title: string;
  readonly bytes: Uint8Array;
  /** How the input was cut; one chunk where the law is about whole inputs. */
  readonly chunks: readonly Uint8Array[];
  /** What the law, or the codec, threw. */
  readonly error: unknown;
  /** Inputs tried until it was found. */
  readonly runs: number;
  /** Gives the same breach again. */
  readonly seed: number;
}

/** Tries the laws one after the other, as a plain function. @returns the first breach, shrunk; null if all hold */
export function findLawBreach<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, options: CodecLawsOptions = {}): LawBreach | null {
  for (const law of lawsOf(codec)) {
    const breach = breachOf(law, options);
    if (breach !== null) return breach;
  }
  return null;
}

/** What a property of these laws draws. */
interface LawInput<Meaning> extends CutBytes {
  readonly meaning?: Meaning;
}

interface Law<Meaning> {
  readonly title: string;
  readonly inputs: fc.Arbitrary<LawInput<Meaning>>;
  /** Throws if the law does not hold. */
  readonly check: (input: LawInput<Meaning>) => void;
}

/** A breach as a test tells it. */
class LawBroken extends Error {
  override readonly name = 'LawBroken';

  constructor({ bytes, chunks, error, seed, runs }: LawBreach) {
    const pieces = chunks.length > 1 ? ` in pieces of ${chunks.map(({ byteLength }) => byteLength).join(', ')} bytes` : '';
    const what = error instanceof Error ? error.message : String(error);
    super(`${showBytes(bytes)}${pieces}: ${what}\n(seed ${seed}, input ${runs}, made smaller)`, { cause: error });
  }
}

function breachOf<Meaning>({ title, inputs, check }: Law<Meaning>, options: CodecLawsOptions): LawBreach | null {
  const details = fc.check(
    fc.property(inputs, (input) => check(input)),
    parametersOf(options),
  );
  if (details.counterexample === null) return null;
  const [found] = details.counterexample;
  const thrownBy = (input: LawInput<Meaning>): { readonly error: unknown } | null => {
    try {
      check(input);
      return null;
    } catch (error) {
      return { error };
    }
  };
  // What was meant goes with the bytes as they were drawn.
  const { bytes, chunks } = 'meaning' in found ? found : leastInput(found, (input) => thrownBy(input) !== null);
  const error = thrownBy('meaning' in found ? found : { bytes, chunks })?.error ?? details.errorInstance;
  return { title, bytes, chunks, error, runs: details.numRuns, seed: details.seed };
}

function parametersOf({ runs = 200, seed }: CodecLawsOptions): { readonly numRuns: number; readonly seed?: number } {
  return { numRuns: runs, ...(seed === undefined ? {} : { seed }) };
}

function lawsOf<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>): readonly Law<Meaning>[] {
  const { compareWithOracle } = codec;
  const validBytes = codec.valid.map(({ bytes }) => bytes);
  const anyBytes = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 2, arbitrary: validBytes },
    { weight: 6, arbitrary: codec.nearlyValid ?? fc.uint8Array({ maxLength: 300 }) },
  );
  const split = ({ bytes, chunks }: CutBytes): void => codecLawChecks.split(codec, bytes, chunks);
  const laws: Law<Meaning>[] = [
    {
      title: 'round trip: what was meant is what is read',
      inputs: codec.valid.map(({ bytes, meaning }) => ({ bytes, chunks: [bytes], meaning })),
      check: ({ bytes, meaning }) => {
        const { events, error } = transcribe(codec, [bytes]);
        assert.equal(error, null, `a valid input was refused: ${error}`);
        codec.check(events, meaning as Meaning);
      },
    },
    { title: 'split: every cut of a valid input gives the same events', inputs: cutBytes(validBytes), check: split },
    { title: 'split: every cut of any input gives the same events and the same error', inputs: cutBytes(anyBytes), check: split },
    {
      title: 'total: any bytes give events or one final refusal, in bounded steps and memory',
      inputs: cutBytes(anyBytes),
      check: ({ bytes, chunks }) => codecLawChecks.total(codec, bytes, chunks),
    },
    {
      title: 'conservation: consumed and left make what was fed, after every step',
      inputs: cutBytes(anyBytes),
      check: ({ bytes, chunks }) => codecLawChecks.conservation(codec, bytes, chunks),
    },
  ];
  if (compareWithOracle === undefined) return laws;
  return [
    ...laws,
    {
      title: 'oracle: an independent implementation reads the same',
      inputs: anyBytes.map((bytes) => ({ bytes, chunks: [bytes] })),
      check: ({ bytes }) => compareWithOracle(transcribe(codec, [bytes]), bytes),
    },
  ];
}

/** The laws that hold for any input, as checks of one input and one cut of it: for fuzzers, which bring their own inputs. */
export const codecLawChecks = { split: assertSameReading, total: assertTotal, conservation: assertConservation } as const;

/**
 * Feeds the chunks one after the other, reading all events in between, then the end.
 *
 * @throws {AssertionError} if there are more events than so many bytes may give: a decoder that never stops is found, not waited for
 */
export function transcribe<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, chunks: readonly Uint8Array[]): Transcript<Event> {
  const decoder = codec.makeDecoder();
  const events: Event[] = [];
  const count = new EventCount(codec, chunks.length);
  const readAll = (): void => {
    for (let event = decoder.next(); event !== null; event = decoder.next()) {
      count.add();
      const last = events.at(-1);
      const joined = last === undefined ? null : codec.join(last, event);
      if (joined === null) events.push(event);
      else events[events.length - 1] = joined;
    }
  };
  let error: string | null = null;
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      count.fedBytes += chunk.byteLength;
      readAll();
    }
    decoder.end();
    readAll();
  } catch (thrown) {
    error = refusalOf(codec, thrown);
  }
  return { events, error, consumedBytes: decoder.consumedBytes, bufferedBytes: decoder.bufferedBytes };
}

/** Bounds the events of a decoder by the bytes that it was fed. */
class EventCount {
  fedBytes = 0;
  #events = 0;
  readonly #perByte: number;
  readonly #extra: number;

  constructor(
    { maxEventsPerByte = 2, maxExtraEvents = 2 }: Pick<CodecUnderTest<unknown, unknown>, 'maxEventsPerByte' | 'maxExtraEvents'>,
    chunkCount: number,
  ) {
    this.#perByte = maxEventsPerByte;
    this.#extra = maxExtraEvents + chunkCount;
  }

  add(): void {
    this.#events += 1;
    const { fedBytes } = this;
    assert.ok(this.#events <= fedBytes * this.#perByte + this.#extra, `${this.#events} events of ${fedBytes} bytes`);
  }
}

function assertSameReading<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  // No input is no chunk: sources never hand over an empty one.
  const whole = transcribe(codec, bytes.byteLength === 0 ? [] : [bytes]);
  const pieces = transcribe(codec, chunks);
  assert.equal(pieces.error, whole.error);
  assert.deepEqual(pieces.events, whole.events);
  // After an error a decoder has dropped what it held, and how much it had been given by then depends on the cut.
  if (whole.error === null) assert.deepEqual([pieces.consumedBytes, pieces.bufferedBytes], [whole.consumedBytes, whole.bufferedBytes]);
}

function assertTotal<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, _bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  const decoder = codec.makeDecoder();
  const { maxBytesAfterError = 0 } = codec;
  const count = new EventCount(codec, chunks.length);
  let refusal: { readonly error: unknown } | null = null;
  const readAll = (): void => {
    while (decoder.next() !== null) count.add();
  };
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      count.fedBytes += chunk.byteLength;
      readAll();
      assert.equal(decoder.next(), null, 'after "needs more" nothing comes by itself');
    }
    decoder.end();
    readAll();
  } catch (thrown) {
    refusalOf(codec, thrown);
    refusal = { error: thrown };
  }
  if (refusal === null) return;
  const { error } = refusal;
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
  const count = new EventCount(codec, chunks.length);
  const balance = (): void => assert.equal(decoder.consumedBytes + decoder.bufferedBytes, count.fedBytes);
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      count.fedBytes += chunk.byteLength;
      balance();
      while (decoder.next() !== null) {
        count.add();
        balance();
      }
      balance();
    }
  } catch (thrown) {
    refusalOf(codec, thrown);
  }
}

/** @returns the reason of a refusal. @throws what is no refusal, as it is */
function refusalOf<Event, Meaning>({ reasonOf = wireReasonOf }: CodecUnderTest<Event, Meaning>, thrown: unknown): string {
  const reason = reasonOf(thrown);
  if (reason === null) throw thrown;
  return reason;
}

function wireReasonOf(thrown: unknown): string | null {
  return thrown instanceof WireError ? thrown.reason : null;
}
