/**
 * `pnpm bench structures [NAME…] [--quick] [--check]`: the structures beside what npm offers, one table: ours, peer, ratio.
 *
 * Figures are CPU time (or bytes, or hit ratios) from the same run in the same process, peers measured in turns with ours; a ratio below 1
 * means that ours costs less. `--quick` only shows that everything runs; `--check` ends with 1 if a bar is missed.
 */
import { parseArgs } from 'node:util';
import { type Cell, formatFigure, formatTable } from '../src/index.ts';
import { hash } from './hash.ts';
import { ketama } from './ketama.ts';
import { limits } from './limits.ts';
import { lru } from './lru.ts';
import { memoryCache } from './memory-cache.ts';
import { metrics } from './metrics.ts';
import { pool } from './pool.ts';
import { keepsBar, type StructureBar, type StructureBench, type StructureRow } from './structure-bench.ts';
import { timeout } from './timeout.ts';
import { tinyufo } from './tinyufo.ts';

const benches: readonly StructureBench[] = [hash, timeout, ketama, lru, tinyufo, memoryCache, limits, pool, metrics];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, check: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`no bench of a structure is called ${unknown.join(', ')}; there are: ${benches.map((bench) => bench.name).join(', ')}`);
  process.exitCode = 2;
} else {
  const chosen = benches.filter((bench) => positionals.length === 0 || positionals.includes(bench.name));
  await runBenches(chosen);
}

async function runBenches(chosen: readonly StructureBench[]): Promise<void> {
  const rows: (readonly Cell[])[] = [];
  const notes: string[] = [];
  let missed = 0;
  for (const bench of chosen) {
    console.error(`measuring ${bench.name}`);
    const note = (text: string): void => void notes.push(text);
    for (const row of await bench.run({ isQuick: values.quick, note })) {
      if (keepsBar(row) === false) missed += 1;
      rows.push(cellsOf(bench.name, row));
    }
  }
  console.log(formatTable(['structure, operation', 'unit', 'ours', 'theirs', 'ratio', 'peer', 'bar'], rows));
  for (const note of notes) console.log(`\n${note}`);
  if (missed > 0) console.log(`\n${missed} of the bars missed`);
  if (values.check && missed > 0) process.exitCode = 1;
}

function cellsOf(name: string, row: StructureRow): readonly Cell[] {
  const isKept = keepsBar(row);
  const verdict: Cell =
    row.bar === undefined
      ? ''
      : { text: `${describeBar(row.bar)} ${isKept === true ? 'met' : 'MISSED'}`, style: isKept === true ? 'green' : 'red' };
  const label = `${name}: ${row.operation}`;
  return [label, row.unit, formatFigure(row.ours), formatFigure(row.theirs), row.ratio.toFixed(2), row.peer, verdict];
}

function describeBar(bar: StructureBar): string {
  if ('maxRatio' in bar) return `ratio ≤ ${bar.maxRatio}`;
  if ('maxOurs' in bar) return `ours ≤ ${bar.maxOurs}`;
  return `ours ≥ theirs ${bar.minDifference < 0 ? '−' : '+'} ${Math.abs(bar.minDifference)}`;
}
