/** How many slots an array of slots gets when it is full. */

/**
 * Doubled while small; above 65 536 slots a tenth more, which keeps the unused part of a big cache small. Filling a cache of a million
 * entries then takes about a third longer than with doubling; one with a limit by count stops growing at exactly that.
 */
const doublesUpTo = 65_536;

/**
 * Returns the next capacity, in slots.
 *
 * @param expected where growth stops for the first time, because more is not expected to be needed
 */
export function nextCapacity(capacity: number, expected: number): number {
  const next = capacity < doublesUpTo ? Math.max(16, capacity * 2) : capacity + Math.ceil(capacity / 10);
  return capacity < expected && expected < next ? expected : next;
}
