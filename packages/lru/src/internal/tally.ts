/** What all shards of a cache hold together, what has been evicted from them, and the limits. */
export class Tally {
  readonly maxWeight: number;
  readonly maxCount: number;
  size = 0;
  /** A sum of whole numbers within the safe integers, so always exact. */
  weight = 0;
  evictedCount = 0;
  evictedWeight = 0;

  constructor(maxWeight: number, maxCount: number) {
    this.maxWeight = maxWeight;
    this.maxCount = maxCount;
  }

  /** Whether nothing more can come, however light. */
  get isAtLimit(): boolean {
    return this.weight >= this.maxWeight || this.size >= this.maxCount;
  }

  get isOverLimit(): boolean {
    return this.weight > this.maxWeight || this.size > this.maxCount;
  }
}
