/** @ferrata/lru: a weighted, sharded LRU with a bound by weight and by count, iteration that survives changes, and its state to save. */
export { Lru } from './lru.ts';
export { type LruEntry } from './lru-entry.ts';
export { type LruOptions } from './options.ts';
