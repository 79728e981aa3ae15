/**
 * `pnpm bench structures [NAME…] [--quick] [--check]`: the structures beside what npm offers, one table: ours, peer, ratio.
 *
 * Figures come from the same run in the same process, peers measured in turns with ours; a ratio below 1 means that ours costs less. Times are
 * CPU time, but for the longest `set` of `lru`, which is time on the wall: there a single call is timed. The others are bytes, hit ratios and
 * the like. `--quick` only shows that everything runs; `--check` ends with 1 if a bar is missed; a wrong command line ends with 2.
 */
import { parseArgs } from 'node:util';
import { type Cell, formatFigure, formatTable } from '../src/index.ts';
import { hash } from './hash.ts';
import { ketama } from './ketama.ts';
import { limits } from './limits.ts';
import { lru } from './lru.ts';
import { memoryCache } from './memory-cache.ts';
import { metrics } from './metrics.ts';
import { type StructureName, structureNames } from './names.ts';
import { pool } from './pool.ts';
import { keepsBar, type StructureBar, type StructureBench, type StructureRow } from './structure-bench.ts';
import { timeout } from './timeout.ts';
import { tinyufo } from './tinyufo.ts';

/** By the one list of names: a bench that it lacks, or a name that has no bench, is an error of types. */
const benches: Readonly<Record<StructureName, StructureBench>> = {
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

/** What the command line asks for. */
interface Wish {
  readonly names: readonly StructureName[];
  readonly isQuick: boolean;
  readonly isCheck: boolean;
}

/** Something wrong on the command line; its message says what to write instead. */
class UsageError extends Error {}

try {
  const wish = readCommandLine();
  if (wish === null) console.log(usage);
  else await runBenches(wish);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

/** @returns null if only the usage is asked for */
function readCommandLine(): Wish | null {
  const { values, positionals } = parseOptions();
  if (values.help) return null;
  const unknown = positionals.filter((name) => !(structureNames as readonly string[]).includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`no bench of a structure is called ${unknown.join(', ')}; there are: ${structureNames.join(', ')}`);
  }
  const names = structureNames.filter((name) => positionals.length === 0 || positionals.includes(name));
  return { names, isQuick: values.quick, isCheck: values.check };
}

function parseOptions(): { values: { quick: boolean; check: boolean; help: boolean }; positionals: readonly string[] } {
  const flag = { type: 'boolean', default: false } as const;
  try {
    // `pnpm bench lru -- --quick` may hand the separator on.
    const args = process.argv.slice(2).filter((argument) => argument !== '--');
    return parseArgs({ args, allowPositionals: true, options: { quick: flag, check: flag, help: flag } });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(/\.?\n|\. /)[0] ?? ''}; --help lists the options`);
  }
}

async function runBenches({ names, isQuick, isCheck }: Wish): Promise<void> {
  const rows: (readonly Cell[])[] = [];
  const notes: string[] = [];
  let missed = 0;
  for (const name of names) {
    console.error(`measuring ${name}`);
    const note = (text: string): void => void notes.push(text);
    for (const row of await benches[name].run({ isQuick, note })) {
      // The figures of a quick run are not to be believed.
      if (!isQuick && keepsBar(row) === false) missed += 1;
      rows.push(cellsOf(name, row, !isQuick));
    }
  }
  console.log(formatTable(['structure, operation', 'unit', 'ours', 'theirs', 'ratio', 'peer', 'bar'], rows));
  for (const note of notes) console.log(`\n${note}`);
  if (missed > 0) console.log(`\n${missed} of the bars missed`);
  if (isCheck && missed > 0) process.exitCode = 1;
}

function cellsOf(name: string, row: StructureRow, isJudged: boolean): readonly Cell[] {
  const label = `${name}: ${row.operation}`;
  return [label, row.unit, formatFigure(row.ours), formatFigure(row.theirs), row.ratio.toFixed(2), row.peer, verdictOn(row, isJudged)];
}

function verdictOn(row: StructureRow, isJudged: boolean): Cell {
  if (row.bar === undefined) return '';
  const bar = describeBar(row.bar);
  if (!isJudged) return { text: `${bar} (not judged)`, style: 'dim' };
  return keepsBar(row) === true ? { text: `${bar} met`, style: 'green' } : { text: `${bar} MISSED`, style: 'red' };
}

function describeBar(bar: StructureBar): string {
  if ('maxRatio' in bar) return `ratio ≤ ${bar.maxRatio}`;
  if ('maxOurs' in bar) return `ours ≤ ${bar.maxOurs}`;
  return `ours ≥ theirs ${bar.minDifference < 0 ? '−' : '+'} ${Math.abs(bar.minDifference)}`;
}
