/** All that the suite has run, added up: what has failed, and what has not come to pass and so was not tried. */
import { FAMILIES, type WorldFailure } from './families.ts';

/** One batch of worlds of one kind and one seed. */
export interface BatchReport {
  readonly family: string;
  readonly seed: number;
  readonly worlds: number;
  readonly requests: number;
  /** Worlds whose events were those of no other of the batch. */
  readonly histories: number;
  /** How often each thing has come to pass. */
  readonly seen: readonly (readonly [what: string, count: number])[];
  readonly failure: WorldFailure | null;
}

/** So many worlds of a kind, and all that may come to pass in it has, many times. */
const ENOUGH_WORLDS = 1_000;
/** And what is rare. */
const ENOUGH_FOR_RARE = 20_000;

/** Of small worlds some are the same. */
const LEAST_DIFFERENT = 2 / 3;

/** What is expected of a kind of worlds. */
export interface Expected {
  readonly name: string;
  readonly expected: readonly string[];
  readonly rare: readonly string[];
}

interface FamilyTotals {
  worlds: number;
  failures: number;
  requests: number;
  histories: number;
  readonly seeds: Set<number>;
  readonly seen: Map<string, number>;
}

/** The sums, by kind of worlds. */
export class Totals {
  readonly #families: ReadonlyMap<string, FamilyTotals>;
  readonly #expected: readonly Expected[];
  readonly #doubled: string[] = [];

  /** @param families those that take part; default: all */
  constructor(families: readonly Expected[] = FAMILIES) {
    this.#expected = families;
    this.#families = new Map(
      families.map(({ name }) => [
        name,
        { worlds: 0, failures: 0, requests: 0, histories: 0, seeds: new Set<number>(), seen: new Map<string, number>() },
      ]),
    );
  }

  /** Worlds that have passed. */
  get passed(): number {
    return this.worlds - this.#sum(({ failures }) => failures);
  }
  get worlds(): number {
    return this.#sum(({ worlds }) => worlds);
  }
  get requests(): number {
    return this.#sum(({ requests }) => requests);
  }

  add({ family, seed, worlds, requests, histories, seen, failure }: BatchReport): void {
    const totals = this.#of(family);
    if (totals.seeds.has(seed)) this.#doubled.push(`${family}: the worlds of seed ${seed} were run twice`);
    totals.seeds.add(seed);
    totals.worlds += worlds;
    totals.requests += requests;
    totals.histories += histories;
    if (failure !== null) totals.failures++;
    for (const [what, count] of seen) totals.seen.set(what, (totals.seen.get(what) ?? 0) + count);
  }

  /** One line for each kind: how many worlds, and how often each thing has come to pass. */
  lines(): readonly string[] {
    return this.#expected.map(({ name, expected, rare }) => {
      const { worlds, requests, histories, seen } = this.#of(name);
      const counts = [...new Set([...expected, ...rare, ...seen.keys()])].map((what) => `${seen.get(what) ?? 0} × ${what}`);
      return `${worlds} of ${name}, ${histories} different ones, ${requests} requests: ${counts.join(', ')}`;
    });
  }

  /**
   * What makes a run say less than it seems to, in which nothing has failed.
   *
   * @param wanted how many worlds of a kind were to be run; null where the clock has ended the run
   */
  problems(wanted: ((family: string) => number) | null): readonly string[] {
    return [
      ...this.#doubled,
      ...this.#expected.flatMap(({ name, expected, rare }) => {
        const totals = this.#of(name);
        const { worlds, failures, requests, histories, seen } = totals;
        const problems: string[] = [];
        // A batch ends with its first failure.
        if (wanted !== null && failures === 0 && worlds !== wanted(name))
          problems.push(`${worlds} worlds were run, and not ${wanted(name)}`);
        if (worlds > 0 && requests === 0) problems.push('no request was accepted');
        if (worlds >= ENOUGH_WORLDS) {
          if (histories < worlds * LEAST_DIFFERENT) problems.push(`only ${histories} of ${worlds} worlds are different`);
          const due = worlds >= ENOUGH_FOR_RARE ? [...expected, ...rare] : expected;
          for (const what of due) if ((seen.get(what) ?? 0) === 0) problems.push(`"${what}" has never come to pass`);
        }
        return problems.map((problem) => `${name}: ${problem}`);
      }),
    ];
  }

  #of(family: string): FamilyTotals {
    const totals = this.#families.get(family);
    if (totals === undefined) throw new RangeError(`there is no family ${family}`);
    return totals;
  }

  #sum(pick: (totals: FamilyTotals) => number): number {
    return [...this.#families.values()].reduce((sum, totals) => sum + pick(totals), 0);
  }
}
