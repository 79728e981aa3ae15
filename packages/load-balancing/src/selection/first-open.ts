/** The last resort of algorithms with an order of their own: each ready member in the order of the list. */
import type { Candidates } from './algorithm.ts';

/**
 * Finds the first open member from a place among the ready on, behind the last place the first.
 *
 * @param start a place below `readyCount`
 * @returns −1: there is none
 */
export function firstOpenFrom(start: number, candidates: Candidates): number {
  const { ready, readyCount } = candidates;
  for (let count = 0; count < readyCount; count++) {
    const member = ready[(start + count) % readyCount] as number;
    if (candidates.isOpen(member)) return member;
  }
  return -1;
}
