/**
 * Turns by weight, spread evenly: of weights 5, 1, 1 the turns are a a b a c a a, not a a a a a b c.
 *
 * Each turn, every ready member gains its weight in credit; the one with the most credit, of equals the first in the list, has the turn, and pays the sum of all weights.
 *
 * Done as said, a turn looks at every member. But members of one weight gain the same, so among these the order changes only by paying:
 *
 * ```
 *   class of weight 5   gain 35   heap of members by credit − gain        a turn: each class gains its weight,
 *   class of weight 1   gain  7   heap of members by credit − gain        the best head has it, pays, and sinks in its heap
 * ```
 * A turn costs a step for each distinct weight and the logarithm of a class's size, and gives the same member as the long way: sums are exact, since weights count in steps of 2⁻¹⁶
 * (what is less than one step counts as one), and credits are made small again now and then.
 *
 * Requests that come again after a failure have turns of their own. Were they to take those of the others, a member that fails each time would get more of the first requests, not fewer: of
 * two members, the one in order would have its turn with each retry, and the other one with each new request.
 *
 * Source: nginx, `ngx_http_upstream_get_peer` in `ngx_http_upstream_round_robin.c` (Maxim Dounin's smooth weighted balancing, 2012).
 */
import type { Candidates } from './algorithm.ts';

/** After so many turns gains are added to credits and begin at 0: 2¹⁹ gains of 2¹⁶ in steps of 2⁻¹⁶ stay far below 2⁵³. */
const turnsBetweenSettling = 2 ** 19;

/** How many turns may be lost to members that are not open, before the open one with the most credit has the next. */
const maxLostTurns = 64;

/** The weight that counts. */
export function stepWeight(weight: number): number {
  return Math.max(1, Math.round(weight * 65_536)) / 65_536;
}

/** The turns of one list of members. */
export class SmoothTurns {
  /** By member: its credit; of those in a heap, less what their class has gained. */
  readonly #credits: Float64Array;
  /** By member: its class. */
  readonly #classOf: Int32Array;
  /** Those that take turns, class by class; in a class a heap, the most credit on top. */
  readonly #heap: Int32Array;
  #classCount = 0;
  #weights = new Float64Array(4);
  #gains = new Float64Array(4);
  /** By class: where its heap begins; one more at the end. */
  #starts = new Int32Array(5);
  #total = 0;
  #turnsLeft = 0;
  /** The turns of requests that come again; null: none has yet. */
  #retries: SmoothTurns | null = null;

  constructor(memberCount: number) {
    this.#credits = new Float64Array(memberCount);
    this.#classOf = new Int32Array(memberCount);
    this.#heap = new Int32Array(memberCount);
  }

  /**
   * Takes over the credits of those that are in both lists.
   *
   * @param places by member here: its number there, or −1
   */
  inherit(previous: SmoothTurns, places: Int32Array): void {
    previous.settle();
    for (let member = 0; member < places.length; member++) {
      const place = places[member] as number;
      if (place !== -1) this.#credits[member] = previous.#credits[place] as number;
    }
    if (previous.#retries === null) return;
    this.#retries = new SmoothTurns(places.length);
    this.#retries.inherit(previous.#retries, places);
  }

  /** Ends all heaps. To be called when what is ready has changed, or weights have: the next turn makes heaps of what there is then. */
  settle(): void {
    this.#retries?.settle();
    const end = this.#starts[this.#classCount] as number;
    for (let place = 0; place < end; place++) {
      const member = this.#heap[place] as number;
      this.#credits[member] = (this.#credits[member] as number) + (this.#gains[this.#classOf[member] as number] as number);
    }
    this.#classCount = 0;
    this.#starts[0] = 0;
    this.#turnsLeft = 0;
  }

  /**
   * Gives turns until an open member has one; a member that isn't open loses its turn, and collects no credit for it.
   *
   * @returns −1: there is none
   */
  nextOpen(candidates: Candidates): number {
    if (candidates.readyCount === 0) return -1;
    if (candidates.isPlain) return this.next(candidates);
    if (candidates.isRetry !== true) return this.#untilOpen(candidates);
    this.#retries ??= new SmoothTurns(this.#credits.length);
    return this.#retries.#untilOpen(candidates);
  }

  #untilOpen(candidates: Candidates): number {
    for (let count = 0; count < maxLostTurns; count++) {
      const member = this.next(candidates);
      if (candidates.isOpen(member)) return member;
    }
    return this.#nextOfAll(candidates);
  }

  /** Gives the next turn. There must be one ready. */
  next(candidates: Candidates): number {
    if (this.#turnsLeft === 0) this.#rank(candidates);
    this.#turnsLeft -= 1;
    const credits = this.#credits;
    const gains = this.#gains;
    let best = -1;
    let most = -Infinity;
    for (let index = 0; index < this.#classCount; index++) {
      const gain = (gains[index] as number) + (this.#weights[index] as number);
      gains[index] = gain;
      const member = this.#heap[this.#starts[index] as number] as number;
      const credit = (credits[member] as number) + gain;
      if (credit < most || (credit === most && member > best)) continue;
      most = credit;
      best = member;
    }
    credits[best] = (credits[best] as number) - this.#total;
    const index = this.#classOf[best] as number;
    this.#sink(this.#starts[index] as number, this.#starts[index + 1] as number, this.#starts[index] as number);
    return best;
  }

  /** Looks at all for the open one with the most credit, and gives it the turn. */
  #nextOfAll(candidates: Candidates): number {
    const end = this.#starts[this.#classCount] as number;
    let best = -1;
    let bestPlace = -1;
    let most = -Infinity;
    for (let place = 0; place < end; place++) {
      const member = this.#heap[place] as number;
      const index = this.#classOf[member] as number;
      const credit = (this.#credits[member] as number) + (this.#gains[index] as number) + (this.#weights[index] as number);
      if (credit < most || (credit === most && member > best) || !candidates.isOpen(member)) continue;
      most = credit;
      best = member;
      bestPlace = place;
    }
    if (best === -1) return -1;
    for (let index = 0; index < this.#classCount; index++)
      this.#gains[index] = (this.#gains[index] as number) + (this.#weights[index] as number);
    this.#credits[best] = (this.#credits[best] as number) - this.#total;
    const index = this.#classOf[best] as number;
    this.#sink(this.#starts[index] as number, this.#starts[index + 1] as number, bestPlace);
    return best;
  }

  /** Makes a heap for each weight. */
  #rank({ ready, readyCount, weights }: Candidates): void {
    this.settle();
    this.#turnsLeft = turnsBetweenSettling;
    const classes = new Map<number, number>();
    const sizes: number[] = [];
    this.#total = 0;
    for (let place = 0; place < readyCount; place++) {
      const member = ready[place] as number;
      const weight = stepWeight(weights[member] as number);
      this.#total += weight;
      let index = classes.get(weight);
      if (index === undefined) {
        index = classes.size;
        classes.set(weight, index);
        sizes.push(0);
      }
      this.#classOf[member] = index;
      sizes[index] = (sizes[index] as number) + 1;
    }
    this.#makeClasses([...classes.keys()], sizes);
    const ends = this.#starts.slice(0, sizes.length);
    for (let place = 0; place < readyCount; place++) {
      const member = ready[place] as number;
      const index = this.#classOf[member] as number;
      const end = ends[index] as number;
      this.#heap[end] = member;
      ends[index] = end + 1;
    }
    for (let index = 0; index < sizes.length; index++) this.#makeHeap(this.#starts[index] as number, this.#starts[index + 1] as number);
  }

  #makeClasses(weights: readonly number[], sizes: readonly number[]): void {
    const count = weights.length;
    if (this.#weights.length < count) {
      this.#weights = new Float64Array(count);
      this.#gains = new Float64Array(count);
      this.#starts = new Int32Array(count + 1);
    }
    this.#classCount = count;
    this.#gains.fill(0);
    let start = 0;
    for (let index = 0; index < count; index++) {
      this.#weights[index] = weights[index] as number;
      this.#starts[index] = start;
      start += sizes[index] as number;
    }
    this.#starts[count] = start;
  }

  #makeHeap(start: number, end: number): void {
    for (let place = start + ((end - start) >>> 1) - 1; place >= start; place--) this.#sink(start, end, place);
  }

  /** Lets the member at a place sink to where nobody below has more credit, or as much and a place before it in the list. */
  #sink(start: number, end: number, from: number): void {
    const heap = this.#heap;
    const credits = this.#credits;
    const sinking = heap[from] as number;
    const credit = credits[sinking] as number;
    let place = from;
    for (;;) {
      let child = 2 * (place - start) + 1 + start;
      if (child >= end) break;
      let member = heap[child] as number;
      let most = credits[member] as number;
      if (child + 1 < end) {
        const other = heap[child + 1] as number;
        const otherCredit = credits[other] as number;
        if (otherCredit > most || (otherCredit === most && other < member)) {
          child += 1;
          member = other;
          most = otherCredit;
        }
      }
      if (most < credit || (most === credit && member > sinking)) break;
      heap[place] = member;
      place = child;
    }
    heap[place] = sinking;
  }
}
