/**
 * Maglev hashing: a table of a prime size in which each member has entries in proportion to its weight, almost exactly, and a look-up is one step.
 *
 * Each member prefers the entries in an order of its own, `offset, offset + skip, offset + 2 skip …`; by turns each takes the first it prefers that is still free, until none is. Turns go by weight,
 * as in Envoy: the heaviest has one in each round, one of a third of its weight in every third. Against a ring the load is more even, and a few keys of others move when a member comes or goes.
 *
 * The table holds all members of positive weight, ready or not: what is ready changes nothing in it. A key whose member is not open tries entries in an order of the key's own, so that the keys
 * of one that is down spread over all others by weight, and come back to it afterwards.
 *
 * Sources: Daniel E. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, §3.4; Envoy, `maglev_lb.cc` for the turns by weight.
 */
import { checkWholeNumber } from '@ferrata/error';
import { mix32 } from '@ferrata/hash';
import type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { firstOpenFrom } from './first-open.ts';
import { fnv1a32 } from './key-hash.ts';
import { makeMaglevTable } from './maglev-table.ts';
import { WeightedSampler } from './weighted-sampler.ts';

/** Options of `maglev`. */
export interface MaglevOptions {
  /**
   * Entries of the table, a prime from 3 to 5 000 011. Default 65 537, the smaller of the paper's. It should be a hundred times the number of members: then no member has a hundredth
   * more than another of its weight. 4 bytes and about 100 ns of building an entry, and the processor's caches hold a small one.
   */
  readonly tableSize?: number;
}

/** How many entries a key tries, before it takes the first open member behind a place of its own. */
const maxProbes = 128;

/** Makes a second word of a hash that has nothing in common with the first. */
const otherWord = 0x9e37_79b9;

/**
 * Gives each key the member that a Maglev table gives it. Without a key it picks at random by weight.
 *
 * More members than entries are refused when it is built for them: some would never have a key.
 *
 * @throws {RangeError} when `tableSize` is out of its range or no prime
 */
export function maglev(options: MaglevOptions = {}): SelectionAlgorithm {
  const tableSize = checkWholeNumber('tableSize', options.tableSize ?? 65_537, { min: 3, max: 5_000_011 });
  if (!isPrime(tableSize)) throw new RangeError(`tableSize must be a prime, not ${tableSize}`);
  return Object.freeze({
    name: 'maglev',
    *build(members: Members, { random }: PickerTools): Generator<void, Picker, void> {
      const table = yield* makeMaglevTable(members, tableSize);
      return new MaglevPicker(table, new WeightedSampler(random));
    },
  });
}

function isPrime(value: number): boolean {
  if (value % 2 === 0) return value === 2;
  for (let divisor = 3; divisor * divisor <= value; divisor += 2) if (value % divisor === 0) return false;
  return true;
}

class MaglevPicker implements Picker {
  /** By entry: the member. Empty if there are none. */
  readonly #table: Int32Array;
  readonly #sampler: WeightedSampler;

  constructor(table: Int32Array, sampler: WeightedSampler) {
    this.#table = table;
    this.#sampler = sampler;
  }

  refresh(): void {
    this.#sampler.refresh();
  }

  pick(key: SelectionKey | null, candidates: Candidates): number {
    if (key === null) return this.#sampler.drawOpen(candidates);
    if (candidates.readyCount === 0) return -1;
    const table = this.#table;
    const hash = mix32(fnv1a32(key));
    const entry = hash % table.length;
    const member = table[entry] as number;
    return candidates.isOpen(member) ? member : this.#probe(hash, entry, candidates);
  }

  /** The size is a prime, so whatever the step, no entry comes twice before all have come. */
  #probe(hash: number, first: number, candidates: Candidates): number {
    const table = this.#table;
    const size = table.length;
    const step = (mix32(hash ^ otherWord) % (size - 1)) + 1;
    let entry = first;
    for (let probes = Math.min(maxProbes, size - 1); probes > 0; probes--) {
      entry += step;
      if (entry >= size) entry -= size;
      const member = table[entry] as number;
      if (candidates.isOpen(member)) return member;
    }
    return firstOpenFrom(hash % candidates.readyCount, candidates);
  }
}
