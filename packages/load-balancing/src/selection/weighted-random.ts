/**
 * A member at random, by weight: no state, nothing to agree on between threads, and a share that differs from the weight's only by chance.
 *
 * Source of the table behind it: Vose 1991, see `weighted-sampler.ts`.
 */
import type { Candidates, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { WeightedSampler } from './weighted-sampler.ts';

/** Picks at random, each open member with the chance that its weight has among those of the open. */
export function weightedRandom(): SelectionAlgorithm {
  return Object.freeze({
    name: 'weighted-random',
    build: (_members: unknown, { random }: PickerTools): Picker => new WeightedRandomPicker(random),
  });
}

class WeightedRandomPicker implements Picker {
  readonly #sampler: WeightedSampler;

  constructor(random: PickerTools['random']) {
    this.#sampler = new WeightedSampler(random);
  }

  refresh(): void {
    this.#sampler.refresh();
  }

  pick(_key: SelectionKey | null, candidates: Candidates): number {
    return this.#sampler.drawOpen(candidates);
  }
}
