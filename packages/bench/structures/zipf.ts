/** Keys as they are asked for in practice: a few often, most seldom. */
import type { Random } from '@ferrata/clock';

/**
 * Makes a source of ranks by Zipf's law: rank r, from 0, with a probability proportional to 1 ÷ (r + 1)^exponent.
 *
 * @param count how many ranks there are
 */
export function zipf(count: number, exponent: number, random: Random): () => number {
  const cumulative = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += (rank + 1) ** -exponent;
    cumulative[rank] = sum;
  }
  return () => {
    const drawn = random.next() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulative[middle] as number) > drawn) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
