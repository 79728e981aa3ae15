/**
 * Two or more readers of the same input, compared: yours, and others that were written without looking at it.
 *
 * Where they differ, the difference is a finding, or it is a known one that stands in a list under its reason. What no input needs any more
 * has no place in that list: it would hide the next finding.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { showBytes } from './show-bytes.ts';

/** One input and what two readers made of it. */
export interface Comparison<Input, Ours, Theirs> {
  readonly input: Input;
  readonly ours: Ours;
  readonly theirs: Theirs;
  /** Name of the other reader. */
  readonly reader: string;
}

/** A difference that is right as it is. */
export interface KnownDifference<Input, Ours, Theirs> {
  /** The reason: who is right, by which rule. It names the difference in the counts, so no two may have the same. */
  readonly why: string;
  /** The readers that it concerns, by name; default all. */
  readonly readers?: readonly string[];
  /** Whether a difference is this one. Asked only where two readers differ. Keep it narrow: whatever it covers is never seen again. */
  readonly applies: (comparison: Comparison<Input, Ours, Theirs>) => boolean;
}

/** What is compared, and how. */
export interface DifferentialOptions<Input, Ours, Theirs> {
  /** Your reader. What it throws is a finding, and passes through as it is. */
  readonly ours: (input: Input) => Ours;
  /** The others, by name. A reader that refuses says so by what it returns: what one throws is a finding too, and no known difference covers it. */
  readonly theirs: Readonly<Record<string, (input: Input) => Theirs>>;
  /** Throws if the readings differ; default `assert.deepEqual`. May let pass what is no difference, such as a stricter verdict of ours. */
  readonly compare?: (comparison: Comparison<Input, Ours, Theirs>) => void;
  readonly knownDifferences?: readonly KnownDifference<Input, Ours, Theirs>[];
  /** How an input is shown; default: bytes as text with escapes and as hex, anything else as JSON. */
  readonly show?: (input: Input) => string;
}

/** How often the readers agreed. */
export interface DifferentialCounts {
  /** Inputs compared. */
  readonly inputs: number;
  /** Comparisons without a difference, by reader. */
  readonly agreed: Readonly<Record<string, number>>;
  /** Known differences met, by reason; those never met have 0. */
  readonly known: Readonly<Record<string, number>>;
}

/** Two readers differ, and nobody knows why; or another one than ours threw, which is an answer to nothing. */
export class DifferenceFound extends Error {
  override readonly name = 'DifferenceFound';
  /** Name of the reader that ours differs from. */
  readonly reader: string;

  constructor(reader: string, deed: string, cause: unknown) {
    super(`${reader} ${deed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.reader = reader;
  }
}

/** Compares readers, one input at a time, and counts. For fuzzers and loops of your own; `differential` makes tests of it. */
export class Differential<Input, Ours, Theirs> {
  readonly #options: DifferentialOptions<Input, Ours, Theirs>;
  readonly #agreed = new Map<string, number>();
  readonly #known = new Map<string, number>();
  #inputs = 0;

  /** @throws {TypeError} if there is nobody to compare with, a reason is given twice, or a known difference names a reader that is none */
  constructor(options: DifferentialOptions<Input, Ours, Theirs>) {
    this.#options = options;
    for (const reader of Object.keys(options.theirs)) this.#agreed.set(reader, 0);
    if (this.#agreed.size === 0) throw new TypeError('there is no other reader to compare with');
    for (const { why, readers = [] } of options.knownDifferences ?? []) {
      if (this.#known.has(why)) throw new TypeError(`two known differences have the reason "${why}"`);
      const unknown = readers.find((reader) => !this.#agreed.has(reader));
      if (unknown !== undefined) throw new TypeError(`"${why}" is about ${unknown}, which is no reader`);
      this.#known.set(why, 0);
    }
  }

  get counts(): DifferentialCounts {
    return { inputs: this.#inputs, agreed: Object.fromEntries(this.#agreed), known: Object.fromEntries(this.#known) };
  }

  /** The reasons of known differences that no input has needed so far. */
  get unmet(): readonly string[] {
    return [...this.#known].filter(([, count]) => count === 0).map(([why]) => why);
  }

  /**
   * Gives one input to all readers. The same input must always be read alike.
   *
   * @throws {DifferenceFound} if a reader differs from ours, for no known reason, or throws
   */
  check(input: Input): void {
    const { theirs, compare = deepEqual } = this.#options;
    this.#inputs += 1;
    const ours = this.#options.ours(input);
    for (const [reader, read] of Object.entries(theirs)) {
      const comparison = { input, ours, theirs: this.#read(reader, read, input), reader };
      try {
        compare(comparison);
      } catch (difference) {
        const known = this.#knownFor(comparison);
        if (known === undefined) throw new DifferenceFound(reader, `reads something else in ${this.#show(input)}`, difference);
        this.#known.set(known.why, (this.#known.get(known.why) ?? 0) + 1);
        continue;
      }
      this.#agreed.set(reader, (this.#agreed.get(reader) ?? 0) + 1);
    }
  }

  #read(reader: string, read: (input: Input) => Theirs, input: Input): Theirs {
    try {
      return read(input);
    } catch (error) {
      throw new DifferenceFound(reader, `throws when it reads ${this.#show(input)}`, error);
    }
  }

  #knownFor(comparison: Comparison<Input, Ours, Theirs>): KnownDifference<Input, Ours, Theirs> | undefined {
    return this.#options.knownDifferences?.find(
      ({ readers, applies }) => (readers === undefined || readers.includes(comparison.reader)) && applies(comparison),
    );
  }

  #show(input: Input): string {
    if (this.#options.show !== undefined) return this.#options.show(input);
    return input instanceof Uint8Array ? showBytes(input) : JSON.stringify(input);
  }
}

/** Options of `differential`. */
export interface DifferentialTestOptions<Input, Ours, Theirs> extends DifferentialOptions<Input, Ours, Theirs> {
  /** What the readers are given; a finding is shrunk as these shrink. */
  readonly inputs: fc.Arbitrary<Input>;
  /** Inputs by name, each a test of its own, before the drawn ones. One for each known difference keeps `mustMeetAll` from hanging on chance. */
  readonly examples?: Readonly<Record<string, Input>>;
  /** Default 1000. */
  readonly runs?: number;
  /** Default drawn, and told by fast-check when a difference is found. */
  readonly seed?: number;
  /** Whether a known difference that neither examples nor inputs have met is an error. Default true. */
  readonly mustMeetAll?: boolean;
}

/** Registers the comparison as `node:test` tests under `name`. The counts are told as diagnostics of the last test. */
export function differential<Input, Ours, Theirs>(name: string, options: DifferentialTestOptions<Input, Ours, Theirs>): void {
  const { inputs, examples = {}, runs = 1000, seed, mustMeetAll = true } = options;
  const comparing = new Differential(options);

  describe(`${name}: read by others`, () => {
    for (const [title, input] of Object.entries(examples)) test(title, () => comparing.check(input));

    test(`${Object.keys(options.theirs).join(', ')}: each reads the same, or differs for a known reason`, () => {
      fc.assert(
        fc.property(inputs, (input) => comparing.check(input)),
        { numRuns: runs, ...(seed === undefined ? {} : { seed }) },
      );
    });

    test('every known difference was met', (context) => {
      const { inputs: count, agreed, known } = comparing.counts;
      for (const [reader, times] of Object.entries(agreed)) context.diagnostic(`${reader}: ${times} of ${count} agree`);
      for (const [why, times] of Object.entries(known)) context.diagnostic(`${times} differ: ${why}`);
      if (mustMeetAll) assert.deepEqual(comparing.unmet, [], 'what no input needs has no place among the known differences');
    });
  });
}

function deepEqual<Input, Ours, Theirs>({ ours, theirs }: Comparison<Input, Ours, Theirs>): void {
  assert.deepEqual<unknown>(ours, theirs);
}
