/**
 * `pnpm bench structures [NAME…] [--quick] [--check]`: the structures beside what npm offers, one table: ours, peer, ratio.
 *
 * Figures come from the same run in the same process, peers measured in turns with ours; a ratio below 1 means that ours costs less. Times are
 * CPU time, but for the longest `set` of `lru`, which is time on the wall: there a single call is timed. The others are bytes, hit ratios and
 * the like. `--quick` only shows that everything runs; `--check` ends with 1 if a bar is missed; a wrong command line ends with 2.
 */
import { runRowBenches } from '../src/row-table.ts';
import type { RowBench } from '../src/rows.ts';
import { hash } from './hash.ts';
import { ketama } from './ketama.ts';
import { limits } from './limits.ts';
import { lru } from './lru.ts';
import { memoryCache } from './memory-cache.ts';
import { metrics } from './metrics.ts';
import { type StructureName, structureNames } from './names.ts';
import { pool } from './pool.ts';
import { timeout } from './timeout.ts';
import { tinyufo } from './tinyufo.ts';

/** By the one list of names: a bench that it lacks, or a name that has no bench, is an error of types. */
const benches: Readonly<Record<StructureName, RowBench>> = {
  hash,
  timeout,
  ketama,
  lru,
  tinyufo,
  'memory-cache': memoryCache,
  limits,
  pool,
  metrics,
};

const usage = `usage: pnpm bench structures [NAME…] [--quick] [--check]

  NAME      one of ${structureNames.join(', ')}; default: all of them
  --quick   only see that everything runs: the figures mean nothing
  --check   exit with 1 when a bar is missed`;

await runRowBenches({
  usage,
  heading: 'structure, operation',
  benches: structureNames.map((name) => benches[name]),
  describeUnknown: (names) => `no bench of a structure is called ${names.join(', ')}; there are: ${structureNames.join(', ')}`,
});
