/**
 * Draws a few members by weight, and takes the one that costs least: what `powerOfTwo` and `peakEwma` have in common.
 *
 * Members drawn are distinct and open. Of equal costs the one drawn first has it, so that members which all have nothing to do get shares by weight.
 */

import type { Random } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import type { Candidates, Picker, SelectionKey } from './algorithm.ts';
import { WeightedSampler } from './weighted-sampler.ts';

/** What it would cost to send this request to the member, compared with others. */
export type MemberCost = (member: number, candidates: Candidates) => number;

/** How often a draw that meets a member drawn before, or one that is not open, is taken again, before all are looked at. */
const maxDraws = 16;

/** @throws {RangeError} when it is not a whole number from 2 to 16 */
export function checkChoices(choices: number): number {
  return checkWholeNumber('choices', choices, { min: 2, max: 16 });
}

/** Picks the best of a few. */
export class BestOfPicker implements Picker {
  readonly #sampler: WeightedSampler;
  readonly #choices: number;
  readonly #cost: MemberCost;
  readonly #drawn: Int32Array;

  constructor(random: Random, choices: number, cost: MemberCost) {
    this.#sampler = new WeightedSampler(random);
    this.#choices = choices;
    this.#cost = cost;
    this.#drawn = new Int32Array(choices);
  }

  refresh(): void {
    this.#sampler.refresh();
  }

  pick(_key: SelectionKey | null, candidates: Candidates): number {
    let best = this.#sampler.drawOpen(candidates);
    const choices = Math.min(this.#choices, candidates.readyCount);
    if (choices < 2 || best === -1) return best;
    const drawn = this.#drawn;
    drawn[0] = best;
    let lowest = this.#cost(best, candidates);
    for (let count = 1; count < choices; count++) {
      const member = this.#drawOther(candidates, count);
      if (member === -1) break;
      drawn[count] = member;
      const cost = this.#cost(member, candidates);
      if (cost >= lowest) continue;
      lowest = cost;
      best = member;
    }
    return best;
  }

  #drawOther(candidates: Candidates, count: number): number {
    for (let draws = 0; draws < maxDraws; draws++) {
      const member = this.#sampler.draw(candidates);
      if (!this.#isDrawn(member, count) && (candidates.isPlain || candidates.isOpen(member))) return member;
    }
    return this.#sampler.drawOther(candidates, this.#drawn, count);
  }

  #isDrawn(member: number, count: number): boolean {
    for (let place = 0; place < count; place++) if (this.#drawn[place] === member) return true;
    return false;
  }
}
