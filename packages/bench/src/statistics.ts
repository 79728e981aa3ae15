/**
 * The few statistics that the benches print. Medians, because one disturbed round must not move a figure.
 */

/**
 * Returns the median of some samples: the middle one, or the mean of the two in the middle.
 *
 * @throws {RangeError} when there is no sample.
 */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError('the median of no samples is not defined');
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = at(sorted, middle);
  return sorted.length % 2 === 1 ? upper : (at(sorted, middle - 1) + upper) / 2;
}

/**
 * Returns the smallest of some samples that at least this share of them does not exceed: `percentile(samples, 0.99)`.
 *
 * @throws {RangeError} when there is no sample, or the share is not above 0 and at most 1.
 */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError('a percentile of no samples is not defined');
  if (!(share > 0 && share <= 1)) throw new RangeError(`not a share: ${share}`);
  const sorted = samples.toSorted((a, b) => a - b);
  return at(sorted, Math.ceil(sorted.length * share) - 1);
}

/**
 * Returns how far the samples lie apart: (largest − smallest) ÷ median, so 0.1 means that the rounds differ by a tenth.
 * A spread wider than the difference that one wants to see means: measure again on a quieter machine.
 *
 * @throws {RangeError} when there is no sample.
 */
export function spread(samples: readonly number[]): number {
  const middle = median(samples);
  if (middle === 0) return 0;
  return (Math.max(...samples) - Math.min(...samples)) / middle;
}

/**
 * Returns the median of the ratios of two series that were measured in turns, round by round. What disturbed a whole round disturbed both
 * sides of it and cancels, which it would not in the ratio of the two medians. Only rounds that both series have are used.
 *
 * @throws {RangeError} when the series have no round in common.
 */
export function medianRatio(samples: readonly number[], baseline: readonly number[]): number {
  const ratios: number[] = [];
  for (let round = 0; round < Math.min(samples.length, baseline.length); round++) {
    ratios.push(at(samples, round) / at(baseline, round));
  }
  return median(ratios);
}

function at(samples: readonly number[], index: number): number {
  const sample = samples[index];
  if (sample === undefined) throw new RangeError(`no sample ${index}`);
  return sample;
}
