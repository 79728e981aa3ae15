/**
 * The coverage map: one counter a branch, counted by the instrumented sources (see `instrument.ts`), read here after each execution.
 *
 * As in AFL, a count matters only by its class (1, 2, 3, 4–7, 8–15, 16–31, 32–127, 128–255): "a loop ran ten times" is news after "it ran
 * three times", eleven after ten is not. One (branch, class) pair is a *feature*. Counters are bytes and wrap, which hides a count that is
 * an exact multiple of 256; in exchange the scan reads four counters at a time and a run costs about a microsecond.
 */

/** The most branches that one process can instrument. */
export const MAX_BRANCHES = 65_536;

/** Features of a branch: one bit for each class of counts. */
const FEATURES_PER_BRANCH = 8;

const counters = new Uint8Array(MAX_BRANCHES);
const words = new Uint32Array(counters.buffer);
let branchCount = 0;

declare global {
  /** The counters, where instrumented modules find them: such a module is made of text and imports nothing of ours. */
  var ferrataCoverageCounters: Uint8Array | undefined;
}
globalThis.ferrataCoverageCounters = counters;

const classOfCount = new Uint8Array(256);
for (let count = 1; count < 256; count++) {
  classOfCount[count] = count < 4 ? count - 1 : count < 8 ? 3 : count < 16 ? 4 : count < 32 ? 5 : count < 128 ? 6 : 7;
}

/** Reserves a counter for a branch. @returns its index @throws {RangeError} if `MAX_BRANCHES` are taken */
export function newBranch(): number {
  if (branchCount === MAX_BRANCHES) throw new RangeError(`more than ${MAX_BRANCHES} branches to instrument`);
  return branchCount++;
}

/** The branches of all modules that were instrumented so far. */
export function instrumentedBranches(): number {
  return branchCount;
}

/** Forgets the counts of the last execution. */
export function resetCounters(): void {
  counters.fill(0, 0, branchCount);
}

/** Remembers which features were ever seen, and by which input they are reached most cheaply. */
export class FeatureMap {
  readonly #seen = new Uint8Array(MAX_BRANCHES);
  #seenBranches = 0;
  #seenFeatures = 0;

  /** Branches reached by any execution so far. */
  get branches(): number {
    return this.#seenBranches;
  }

  /** Features reached by any execution so far. */
  get features(): number {
    return this.#seenFeatures;
  }

  /** Takes the counters of the execution that just ended, and resets them. @returns how many features were new */
  absorb(): number {
    const seen = this.#seen;
    const end = (branchCount + 3) >>> 2;
    let fresh = 0;
    for (let word = 0; word < end; word++) {
      if (words[word] === 0) continue;
      for (let index = word << 2; index < (word << 2) + 4; index++) {
        const count = counters[index] as number;
        if (count === 0) continue;
        const bit = 1 << (classOfCount[count] as number);
        const known = seen[index] as number;
        if ((known & bit) !== 0) continue;
        if (known === 0) this.#seenBranches++;
        seen[index] = known | bit;
        fresh++;
      }
      words[word] = 0;
    }
    this.#seenFeatures += fresh;
    return fresh;
  }

  /** Calls `visit` with each feature of the counters as they stand, without taking them: run the input again first. */
  static forEachFeature(visit: (feature: number) => void): void {
    for (let index = 0; index < branchCount; index++) {
      const count = counters[index] as number;
      if (count !== 0) visit(index * FEATURES_PER_BRANCH + (classOfCount[count] as number));
    }
  }
}
