/** How much was allocated, from what the heap held before and after each collection. */

/** What a thread's heap holds: its objects, and the memory outside that belongs to them (of buffers, above all). */
export interface HeapReading {
  readonly heapBytes: number;
  readonly externalBytes: number;
}

/** What was allocated. */
export interface AllocationCount extends HeapReading {
  readonly collections: number;
}

/**
 * Returns what was allocated between two readings, with the collections that were between them.
 *
 * Exact but for two things, both small: a heap that is still being swept holds less than it says, and memory outside of the heap that is
 * freed by hand between two collections is not seen.
 */
export function addedBetween(
  first: HeapReading,
  collections: readonly { readonly before: HeapReading; readonly after: HeapReading }[],
  last: HeapReading,
): AllocationCount {
  let held = first;
  let heapBytes = 0;
  let externalBytes = 0;
  const addSince = (now: HeapReading): void => {
    heapBytes += Math.max(0, now.heapBytes - held.heapBytes);
    externalBytes += Math.max(0, now.externalBytes - held.externalBytes);
  };
  for (const { before, after } of collections) {
    addSince(before);
    held = after;
  }
  addSince(last);
  return { heapBytes, externalBytes, collections: collections.length };
}

/** Returns the sum of what several threads have allocated. */
export function sumOf(counts: readonly AllocationCount[]): AllocationCount {
  return {
    heapBytes: counts.reduce((sum, one) => sum + one.heapBytes, 0),
    externalBytes: counts.reduce((sum, one) => sum + one.externalBytes, 0),
    collections: counts.reduce((sum, one) => sum + one.collections, 0),
  };
}
