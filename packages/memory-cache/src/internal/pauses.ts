/**
 * Keys that are left alone for a while after something failed.
 *
 * All pauses are equally long, so they end in the order in which they began: the ones that are over stand first in the map. With a clock
 * that goes back they last longer by as much.
 */
export class Pauses<K> {
  readonly #pauseMs: number;
  readonly #ends = new Map<K, number>();

  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  begin(key: K, now: number): void {
    this.#sweep(now);
    if (this.#pauseMs === 0) return;
    this.#ends.delete(key);
    this.#ends.set(key, now + this.#pauseMs);
  }

  has(key: K, now: number): boolean {
    this.#sweep(now);
    return this.#ends.has(key);
  }

  end(key: K): void {
    if (this.#ends.size > 0) this.#ends.delete(key);
  }

  clear(): void {
    this.#ends.clear();
  }

  #sweep(now: number): void {
    if (this.#ends.size === 0) return;
    for (const [key, end] of this.#ends) {
      if (end > now) return;
      this.#ends.delete(key);
    }
  }
}
