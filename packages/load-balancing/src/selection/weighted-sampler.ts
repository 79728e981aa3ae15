/**
 * Draws ready members by their weights, each draw in the same time however many there are.
 *
 * The table is Walker's, built as Vose does it: as many columns as members, each of the same height, filled by at most two members. A draw takes a column, and of its two members one.
 * It is built again with the first draw after a change, in linear time and in the memory it has. Members of one weight need no table.
 *
 * Source: Michael D. Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE Transactions on Software Engineering 17(9), 1991.
 */
import type { Random } from '@ferrata/clock';
import type { Candidates } from './algorithm.ts';

/** How often a draw that meets a member which is not open is taken again, before all are looked at. */
const maxDraws = 16;

const toFraction = 2 ** -32;

/** The sampler of one picker. */
export class WeightedSampler {
  readonly #random: Random;
  #isStale = true;
  #isEqual = true;
  /** By column: the height up to which its own member has it, from 0 to 1. */
  #cut = new Float64Array(0);
  /** By column: the place among the ready of the member that has the rest. */
  #alias = new Int32Array(0);
  /** Columns that wait for another while the table is built. */
  #waiting = new Int32Array(0);

  constructor(random: Random) {
    this.#random = random;
  }

  /** What is ready, or with which weight, has changed. */
  refresh(): void {
    this.#isStale = true;
  }

  /** Draws one of the ready, of which there must be one at least. */
  draw(candidates: Candidates): number {
    const { ready, readyCount } = candidates;
    if (this.#isStale) this.#build(candidates);
    if (this.#isEqual) return ready[Math.floor(this.#random.uint32() * toFraction * readyCount)] as number;
    const place = this.#random.next() * readyCount;
    const column = Math.floor(place);
    return ready[place - column < (this.#cut[column] as number) ? column : (this.#alias[column] as number)] as number;
  }

  /** Draws one of the open, by weight, exactly. @returns −1: there is none */
  drawOpen(candidates: Candidates): number {
    if (candidates.readyCount === 0) return -1;
    if (candidates.isPlain) return this.draw(candidates);
    for (let count = 0; count < maxDraws; count++) {
      const member = this.draw(candidates);
      if (candidates.isOpen(member)) return member;
    }
    return this.drawOther(candidates, nobody, 0);
  }

  /**
   * Draws one of the open that is none of those drawn before, after looking at all.
   *
   * @param drawn of which `count` count
   * @returns −1: there is none
   */
  drawOther(candidates: Candidates, drawn: Int32Array, count: number): number {
    const { ready, readyCount, weights } = candidates;
    let total = 0;
    let chosen = -1;
    // One pass: each takes the place of the one chosen with the chance that it has among those up to it.
    for (let place = 0; place < readyCount; place++) {
      const member = ready[place] as number;
      if (isAmong(member, drawn, count) || !candidates.isOpen(member)) continue;
      const weight = weights[member] as number;
      total += weight;
      if (chosen === -1 || this.#random.uint32() * toFraction * total < weight) chosen = member;
    }
    return chosen;
  }

  #build({ ready, readyCount, weights, totalWeight }: Candidates): void {
    this.#isStale = false;
    this.#isEqual = haveOneWeight(ready, readyCount, weights);
    if (this.#isEqual) return;
    if (this.#cut.length < readyCount) {
      this.#cut = new Float64Array(readyCount);
      this.#alias = new Int32Array(readyCount);
      this.#waiting = new Int32Array(readyCount);
    }
    const cut = this.#cut;
    const alias = this.#alias;
    const waiting = this.#waiting;
    // Low columns are stacked from the left, high ones from the right.
    let low = 0;
    let high = readyCount;
    for (let column = 0; column < readyCount; column++) {
      const height = ((weights[ready[column] as number] as number) / totalWeight) * readyCount;
      cut[column] = height;
      alias[column] = column;
      if (height < 1) waiting[low++] = column;
      else waiting[--high] = column;
    }
    while (low > 0 && high < readyCount) {
      const short = waiting[--low] as number;
      const tall = waiting[high] as number;
      alias[short] = tall;
      const left = (cut[tall] as number) - (1 - (cut[short] as number));
      cut[tall] = left;
      if (left >= 1) continue;
      high += 1;
      waiting[low++] = tall;
    }
    // What is left is 1 but for rounding.
    while (low > 0) cut[waiting[--low] as number] = 1;
    while (high < readyCount) cut[waiting[high++] as number] = 1;
  }
}

const nobody = new Int32Array(0);

function isAmong(member: number, drawn: Int32Array, count: number): boolean {
  for (let place = 0; place < count; place++) if (drawn[place] === member) return true;
  return false;
}

/** @returns whether all that are ready have the same weight in force */
export function haveOneWeight(ready: Int32Array, readyCount: number, weights: Float64Array): boolean {
  if (readyCount === 0) return true;
  const first = weights[ready[0] as number] as number;
  for (let place = 1; place < readyCount; place++) if (weights[ready[place] as number] !== first) return false;
  return true;
}
