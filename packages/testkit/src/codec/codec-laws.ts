/**
 * The laws of every codec, as tests: split, round trip, total, conservation, oracle.
 *
 * - **Split**: any way to cut the input gives the same events, the same end and the same error.
 * - **Round trip**: what was encoded decodes to what was meant.
 * - **Total**: any bytes give events or one refusal, which is final; in a number of steps and an amount of memory that the input bounds.
 * - **Conservation**: what was consumed and what is left make what was fed, after every step.
 * - **Oracle**: an independent implementation reads the same.
 */
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type CutBytes, cut, cutBytes } from '../arbitrary/chunkings.ts';
import type { CodecUnderTest } from './codec-under-test.ts';
import { codecLawChecks, transcribe } from './law-checks.ts';
import { LawFailure, sortOf } from './law-failure.ts';
import { leastInput } from './least-input.ts';
import { showBytes } from './show-bytes.ts';

/** Options of `codecLaws`. */
export interface CodecLawsOptions {
  /** Runs of each property; default 1000. */
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
  /** Whether bytes made smaller are still what the law is about; default: it is about any. */
  readonly staysValid?: (bytes: Uint8Array) => boolean;
}

/** What a law threw, and which failures are like it. */
interface Failure {
  readonly error: unknown;
  readonly sort: string;
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

function breachOf<Meaning>({ title, inputs, check, staysValid }: Law<Meaning>, options: CodecLawsOptions): LawBreach | null {
  const failureOf = (input: LawInput<Meaning>): Failure | null => {
    try {
      check(input);
      return null;
    } catch (error) {
      return { error, sort: sortOf(error) };
    }
  };
  // Making the input smaller must not come upon another bug: from the first failure on, only those like it count.
  let sort: string | null = null;
  const details = fc.check(
    fc.property(inputs, (input) => {
      const failure = failureOf(input);
      if (failure === null) return;
      if (fc.PreconditionFailure.isFailure(failure.error)) throw failure.error;
      sort ??= failure.sort;
      if (failure.sort === sort) throw failure.error;
    }),
    parametersOf(options),
  );
  if (details.counterexample === null) return null;
  const [found] = details.counterexample;
  const isLikeIt = (input: CutBytes): boolean =>
    failureOf(input)?.sort === sort && (input.bytes === found.bytes || staysValid === undefined || staysValid(input.bytes));
  // What was meant goes with the bytes as they were drawn.
  const least = 'meaning' in found ? found : leastInput(found, isLikeIt);
  const { bytes, chunks } = least;
  return { title, bytes, chunks, error: failureOf(least)?.error ?? details.errorInstance, runs: details.numRuns, seed: details.seed };
}

function parametersOf({ runs = 1000, seed }: CodecLawsOptions): { readonly numRuns: number; readonly seed?: number } {
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
        if (error !== null) throw new LawFailure('refused', `a valid input was refused: ${error}`);
        codec.check(events, meaning as Meaning);
      },
    },
    {
      title: 'split: every cut of a valid input gives the same events',
      inputs: cutBytes(validBytes),
      check: split,
      staysValid: (bytes) => isAccepted(codec, bytes),
    },
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

/** Whether the decoder takes the whole input, and the oracle has nothing against it: as near to "valid" as one comes without having drawn it. */
function isAccepted<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, bytes: Uint8Array): boolean {
  try {
    const transcript = transcribe(codec, [bytes]);
    codec.compareWithOracle?.(transcript, bytes);
    return transcript.error === null;
  } catch {
    return false;
  }
}
