/** @ferrata/pool: idle things under keys, bounded in number and in time; each handed out once. */
export { IdlePool, type PutOptions } from './idle-pool.ts';
export { type EvictReason, type IdlePoolOptions } from './options.ts';
export { type LeaveReason, type PoolEntry } from './pool-entry.ts';
