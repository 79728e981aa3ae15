/**
 * The corpus: the inputs worth mutating. On disk it is a folder of raw files, `corpora/<target>/`: small seeds by name, and `found-<hash>`
 * for each input that once broke the invariant and is now a regression.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '@ferrata/clock';
import { FeatureMap } from './coverage.ts';

/** An input on disk. */
export interface Seed {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Reads the files of a folder, in the order of their names, so that a run depends on nothing but its seed. A missing folder is empty. */
export function readSeeds(folder: string): Seed[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => !name.startsWith('.'))
    .toSorted()
    .map((name) => ({ name, data: Uint8Array.from(readFileSync(join(folder, name))) }));
}

/** Writes an input under a name made of its hash. @returns the path of the file */
export function writeInput(folder: string, prefix: string, data: Uint8Array): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${prefix}-${createHash('sha256').update(data).digest('hex').slice(0, 12)}`);
  writeFileSync(path, data);
  return path;
}

/**
 * The inputs of a run. An input that brought new coverage is kept; a *favourite* is the shortest known input for some feature. Three picks
 * of four are favourites: short inputs run faster, and a mutation of one hits something that matters more often.
 */
export class Corpus {
  readonly #inputs: Uint8Array[] = [];
  /** By feature: index of its favourite. */
  readonly #favouriteOf = new Map<number, number>();
  #favourites: readonly number[] = [];
  #isStale = false;

  get size(): number {
    return this.#inputs.length;
  }

  /** All inputs, oldest first. */
  get inputs(): readonly Uint8Array[] {
    return this.#inputs;
  }

  /** Adds an input whose features stand in the counters right now. */
  add(data: Uint8Array): void {
    const index = this.#inputs.push(data) - 1;
    FeatureMap.forEachFeature((feature) => {
      const favourite = this.#favouriteOf.get(feature);
      if (favourite !== undefined && (this.#inputs[favourite] as Uint8Array).length <= data.length) return;
      this.#favouriteOf.set(feature, index);
    });
    this.#isStale = true;
  }

  /** An input to mutate. The corpus must not be empty. */
  pick(random: Random): Uint8Array {
    if (this.#isStale) {
      this.#favourites = [...new Set(this.#favouriteOf.values())];
      this.#isStale = false;
    }
    const isFavourite = this.#favourites.length > 0 && random.below(4) !== 0;
    const index = isFavourite ? (this.#favourites[random.below(this.#favourites.length)] as number) : random.below(this.#inputs.length);
    return this.#inputs[index] as Uint8Array;
  }
}
