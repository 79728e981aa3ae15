/** What an `Lru` hands out of itself. */

/** An entry as it was when it was handed out; changing the cache later does not change it. */
export interface LruEntry<K, V> {
  readonly key: K;
  readonly value: V;
  /** A whole number, 1 or more. */
  readonly weight: number;
}
