/**
 * The member with the fewest requests under way for its weight.
 *
 * Of several with as few, the one whose turn it is by smooth weighted round robin among these, as in nginx: with little traffic nearly all have nothing to do, and the first of the list must not
 * get everything. Each pick looks at all members: for hundreds it is exact and cheap, for thousands `powerOfTwo` comes close at a small part of the cost. What is under way counts for all
 * threads; between the look and the request other threads may choose the same.
 *
 * Source: nginx, `ngx_http_upstream_least_conn_module.c`.
 */
import type { Candidates, Members, Picker, SelectionAlgorithm, SelectionKey } from './algorithm.ts';

/** Picks who has the fewest requests under way for its weight. */
export function leastRequests(): SelectionAlgorithm {
  return Object.freeze({
    name: 'least-requests',
    build: (members: Members): Picker => new LeastRequestsPicker(members.count),
  });
}

class LeastRequestsPicker implements Picker {
  /** By member: what it has in credit for the turns among equals. */
  readonly #credits: Float64Array;
  /** The members with the lowest load so far. */
  readonly #least: Int32Array;

  constructor(memberCount: number) {
    this.#credits = new Float64Array(memberCount);
    this.#least = new Int32Array(memberCount);
  }

  pick(_key: SelectionKey | null, candidates: Candidates): number {
    const { ready, readyCount, weights, isPlain } = candidates;
    const least = this.#least;
    let count = 0;
    let lowest = Infinity;
    for (let place = 0; place < readyCount; place++) {
      const member = ready[place] as number;
      // Quotients that are equal as numbers are equal as doubles, since each is rounded from the same.
      const load = candidates.inflight(member) / (weights[member] as number);
      if (load > lowest || !(isPlain || candidates.isOpen(member))) continue;
      if (load < lowest) {
        lowest = load;
        count = 0;
      }
      least[count] = member;
      count += 1;
    }
    if (count === 0) return -1;
    return count === 1 ? (least[0] as number) : this.#turnAmong(count, weights);
  }

  /** Each gains its weight; the one with the most has the turn, and pays for all. */
  #turnAmong(count: number, weights: Float64Array): number {
    const credits = this.#credits;
    let best = -1;
    let most = -Infinity;
    let total = 0;
    for (let place = 0; place < count; place++) {
      const member = this.#least[place] as number;
      const weight = weights[member] as number;
      const credit = (credits[member] as number) + weight;
      credits[member] = credit;
      total += weight;
      if (credit <= most) continue;
      most = credit;
      best = member;
    }
    credits[best] = most - total;
    return best;
  }
}
