/** @ferrata/memory-cache: a cache with times to live on TinyUFO, and one that reads through it with one look-up for each key. */

export { type CacheRead, type ManyHits, MemoryCache, type MemoryCacheOptions } from './memory-cache.ts';
export { type LookedUp, type ReadThroughCacheOptions } from './options.ts';
export { type HookErrors, type ManyReads, type ReadOptions, ReadThroughCache, type ReadThroughResult } from './read-through-cache.ts';
