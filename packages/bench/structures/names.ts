/**
 * The structures that have a bench, each by the name of its package and of its file here, in the order of the table. It is the one list of
 * them, for `run.ts`, for `pnpm bench NAME` and for the tests. It imports nothing, because `pnpm bench` reads it whatever it is to run.
 */
export const structureNames = ['hash', 'timeout', 'ketama', 'lru', 'tinyufo', 'memory-cache', 'limits', 'pool', 'metrics'] as const;

/** The name of one. */
export type StructureName = (typeof structureNames)[number];
