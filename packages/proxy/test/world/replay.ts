/**
 * How the worlds are run, and how a failing one is run again.
 *
 * | variable         | meaning                                                                             |
 * |------------------|-------------------------------------------------------------------------------------|
 * | `FERRATA_WORLDS` | how many times as many worlds as in a normal run; default 1                         |
 * | `FERRATA_SEED`   | the seed that all plans are drawn from, or `random`; default fixed, so that a run says the same as the last |
 * | `FERRATA_REPLAY` | `seed:number` of a world that failed: that one only, in each test; name the test with `--test-name-pattern` |
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Breach } from './edge.ts';
import type { LedgerRecord } from './ledger.ts';

const FACTOR = Number(process.env['FERRATA_WORLDS'] ?? 1);
const SEED =
  process.env['FERRATA_SEED'] === 'random' ? Math.floor(Math.random() * 0x7fff_ffff) : Number(process.env['FERRATA_SEED'] ?? 20_260_901);
const REPLAY = /^(-?\d+):(\d+)$/.exec(process.env['FERRATA_REPLAY'] ?? '');

/**
 * Checks a property of plans; what it throws says which world it was and how to see it again.
 *
 * @param name part of the test's name, for the line to copy
 * @param file of the test, for the same
 */
export async function holds<Plan>(
  name: string,
  plans: fc.Arbitrary<Plan>,
  worlds: number,
  file: string,
  property: (plan: Plan) => Promise<void>,
): Promise<void> {
  const numRuns = Math.ceil(worlds * FACTOR);
  const parameters = REPLAY === null ? { numRuns, seed: SEED } : { numRuns: 1, seed: Number(REPLAY[1]), path: REPLAY[2] as string };
  const details = await fc.check(fc.asyncProperty(plans, property), parameters);
  if (!details.failed) return;
  // Without the steps of shrinking, which are found again: a line that one can copy.
  const world = details.counterexamplePath?.split(':')[0] ?? '0';
  const replay = `FERRATA_REPLAY=${details.seed}:${world} node --test --test-name-pattern='${name}' ${file}`;
  const why = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance);
  throw new Error(
    `world ${world} of seed ${details.seed} fails (shrunk ${details.numShrinks} times):\n${why}\nonce more: ${replay}\nplan: ${JSON.stringify(details.counterexample?.[0])}`,
  );
}

/** Throws if there are breaches; the message names the invariants and ends with the last of the world's events. */
export function assertUnbroken(report: { readonly trace: readonly string[] }, breaches: readonly Breach[]): void {
  if (breaches.length === 0) return;
  const lines = breaches.slice(0, 5).map(({ invariant, what }) => `${invariant}: ${what.slice(0, 600)}`);
  throw new Error(`${lines.join('\n')}\n  ${report.trace.slice(-25).join('\n  ')}`);
}

/** Throws unless each of many plans gives the same events again (I23), and different plans different ones. */
export async function assertRepeats<Plan>(
  plans: fc.Arbitrary<Plan>,
  worlds: number,
  file: string,
  run: (plan: Plan) => Promise<{ readonly hash: string; readonly trace: readonly string[] }>,
): Promise<void> {
  const hashes = new Set<string>();
  await holds('same plan', plans, worlds, file, async (plan) => {
    const first = await run(plan);
    const second = await run(plan);
    assert.deepEqual(second.trace, first.trace);
    assert.equal(second.hash, first.hash);
    hashes.add(first.hash);
  });
  if (REPLAY === null) assert.ok(hashes.size > (worlds * 2) / 3, `only ${hashes.size} different histories`);
}

/** What has come to pass in many worlds. */
export class Tally {
  readonly #seen = new Map<string, number>();

  /** How often each thing has. */
  get seen(): ReadonlyMap<string, number> {
    return this.#seen;
  }

  count(what: string, by = 1): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + by);
  }

  /** The end of a request. */
  countEnd({ error, attempts }: LedgerRecord): void {
    this.count(error === null ? 'whole' : `${error.source} ${error.type}`);
    if (attempts > 1) this.count('retries');
  }

  /** Throws unless each of these has come to pass, as has every end of a request. */
  assertSeen(...more: readonly string[]): void {
    this.assertSeenAll([...ENDS, 'retries', ...more]);
  }

  /**
   * A world in which nothing happens proves nothing: throws unless each of these has come to pass, and more than once. One world alone, played
   * again, need not.
   */
  assertSeenAll(all: readonly string[]): void {
    if (REPLAY !== null) return;
    for (const what of all) {
      assert.ok((this.#seen.get(what) ?? 0) >= 5, `too little of "${what}" in ${JSON.stringify(Object.fromEntries(this.#seen))}`);
    }
  }
}

/** How requests end in worlds in which anything may go wrong. */
export const ENDS: readonly string[] = [
  'whole',
  'upstream io',
  'upstream protocol',
  'upstream timeout',
  'upstream connect',
  'downstream io',
  'downstream timeout',
];
