/** Lists that are each in the order of use, made into one. */

/**
 * Merges lists by relative rank: what is a third down its own list comes about a third down the merged one, however long the lists are.
 *
 * Each list is laid out evenly over as many places as there are items in all; what falls into one place comes in the order of the lists.
 * Each list's own order is kept. It takes time in proportion to the number of items, whatever the number of lists.
 */
export function interleave<T>(lists: readonly (readonly T[])[]): T[] {
  const [only] = lists;
  if (lists.length === 1 && only !== undefined) return [...only];
  let total = 0;
  for (const { length } of lists) total += length;
  // At each place, how many items come before it: first counted one place too far on, then summed up.
  const before = new Uint32Array(total + 1);
  for (const { length } of lists) {
    for (let rank = 0; rank < length; rank++) {
      const next = placeOf(rank, length, total) + 1;
      before[next] = (before[next] as number) + 1;
    }
  }
  for (let place = 1; place <= total; place++) before[place] = (before[place] as number) + (before[place - 1] as number);
  // From which list each item of the merged one is: filled by position, so that the items can then be appended one by one.
  const sources = new Uint32Array(total);
  for (const [source, { length }] of lists.entries()) {
    for (let rank = 0; rank < length; rank++) {
      const place = placeOf(rank, length, total);
      const position = before[place] as number;
      before[place] = position + 1;
      sources[position] = source;
    }
  }
  const taken = new Uint32Array(lists.length);
  const merged: T[] = [];
  for (const source of sources) {
    const rank = taken[source] as number;
    taken[source] = rank + 1;
    merged.push((lists[source] as readonly T[])[rank] as T);
  }
  return merged;
}

/** The middle of an item's share of the places: from 0 to `total` − 1. */
function placeOf(rank: number, length: number, total: number): number {
  return Math.floor(((rank + 0.5) * total) / length);
}
