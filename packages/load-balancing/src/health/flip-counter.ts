/**
 * When results of checks change what is thought of a backend: one of the opposite kind counts, one of the same kind takes back what was counted, and as many in a row as
 * the threshold flip it.
 */

/** How many results in a row flip it. */
export interface FlipThresholds {
  /** Good ones, from unhealthy to healthy. */
  readonly healthyThreshold: number;
  /** Bad ones, from healthy to unhealthy. */
  readonly unhealthyThreshold: number;
}

/** What is thought of one backend. */
export class FlipCounter {
  readonly #thresholds: FlipThresholds;
  #isHealthy: boolean;
  #count = 0;

  constructor(thresholds: FlipThresholds, isHealthy: boolean) {
    this.#thresholds = thresholds;
    this.#isHealthy = isHealthy;
  }

  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** Takes a result. @returns whether it flipped */
  add(isGood: boolean): boolean {
    if (isGood === this.#isHealthy) {
      this.#count = 0;
      return false;
    }
    this.#count++;
    const { healthyThreshold, unhealthyThreshold } = this.#thresholds;
    if (this.#count < (isGood ? healthyThreshold : unhealthyThreshold)) return false;
    this.reset(isGood);
    return true;
  }

  /** Somebody else knows better. */
  reset(isHealthy: boolean): void {
    this.#isHealthy = isHealthy;
    this.#count = 0;
  }
}
