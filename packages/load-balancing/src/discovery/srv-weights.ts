/**
 * The weights of backends, of the weights of SRV records.
 *
 * RFC 2782 gives a weight to a target, and a target may have several addresses: they share it, so that a target gets what it was given however many addresses it has. As the weight
 * of a backend is a whole number, those of a priority are multiplied by the least number that makes the shares whole; if that makes one too great for a backend, all are scaled
 * down. A weight of 0 has "a very small chance of being selected": 1 here, as 0 would mean never; among greater ones it is small, among ones it is not. Where all are 0, all
 * are alike.
 *
 * @see RFC 2782 (Weight)
 */

/** The greatest weight of a backend. */
const MAX_WEIGHT = 65_535;

/** One target. */
export interface TargetWeight {
  readonly weight: number;
  /** 1 or more. */
  readonly addressCount: number;
}

/** @returns for each of the targets, which are all of one priority, the weight of each of its addresses: 1 to 65 535 */
export function weightsOfTargets(targets: readonly TargetWeight[]): number[] {
  let multiple = 1;
  for (const { addressCount } of targets) multiple = Math.min(leastCommonMultiple(multiple, addressCount), MAX_WEIGHT);
  const shares = targets.map(({ weight, addressCount }) => (Math.max(weight, 1) * multiple) / addressCount);
  const greatest = Math.max(...shares, 1);
  const scale = greatest > MAX_WEIGHT ? MAX_WEIGHT / greatest : 1;
  return shares.map((share) => Math.max(1, Math.round(share * scale)));
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
