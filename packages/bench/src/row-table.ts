/**
 * The program around benches with one table: reads the command line, runs what is asked for, prints every line with its verdict.
 *
 * `--quick` only shows that everything runs; `--check` ends with 1 if a bar is missed; a wrong command line ends with 2.
 */
import { parseArgs } from 'node:util';
import { type BenchBar, type BenchRow, keepsBar, type RowBench } from './rows.ts';
import { type Cell, formatFigure, formatTable } from './table.ts';

/** What a program measures, and what it says about itself. */
export interface RowBenchProgram {
  readonly usage: string;
  /** Of the first column. */
  readonly heading: string;
  /** In the order of the table; by their names some of them can be chosen. */
  readonly benches: readonly RowBench[];
  /** The sentence for names that none of them has. */
  readonly describeUnknown: (names: readonly string[]) => string;
}

/** What the command line asks for. */
interface Wish {
  readonly benches: readonly RowBench[];
  readonly isQuick: boolean;
  readonly isCheck: boolean;
}

/** Something wrong on the command line; its message says what to write instead. */
class UsageError extends Error {}

/** Does what the command line asks for, and sets the exit code. */
export async function runRowBenches(program: RowBenchProgram): Promise<void> {
  try {
    const wish = readCommandLine(program);
    if (wish === null) console.log(program.usage);
    else await measure(program.heading, wish);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}

/** @returns null if only the usage is asked for */
function readCommandLine({ benches, describeUnknown }: RowBenchProgram): Wish | null {
  const { values, positionals } = parseOptions();
  if (values.help) return null;
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) throw new UsageError(describeUnknown(unknown));
  const chosen = benches.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return { benches: chosen, isQuick: values.quick, isCheck: values.check };
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

async function measure(heading: string, { benches, isQuick, isCheck }: Wish): Promise<void> {
  const rows: (readonly Cell[])[] = [];
  const notes: string[] = [];
  let missed = 0;
  for (const bench of benches) {
    console.error(`measuring ${bench.name}`);
    const note = (text: string): void => void notes.push(text);
    for (const row of await bench.run({ isQuick, note })) {
      // The figures of a quick run are not to be believed.
      if (!isQuick && keepsBar(row) === false) missed += 1;
      rows.push(cellsOf(bench.name, row, !isQuick));
    }
  }
  console.log(formatTable([heading, 'unit', 'ours', 'theirs', 'ratio', 'peer', 'bar'], rows));
  for (const note of notes) console.log(`\n${note}`);
  if (missed > 0) console.log(`\n${missed} of the bars missed`);
  if (isCheck && missed > 0) process.exitCode = 1;
}

function cellsOf(name: string, row: BenchRow, isJudged: boolean): readonly Cell[] {
  const label = `${name}: ${row.operation}`;
  return [label, row.unit, formatFigure(row.ours), formatFigure(row.theirs), row.ratio.toFixed(2), row.peer, verdictOn(row, isJudged)];
}

function verdictOn(row: BenchRow, isJudged: boolean): Cell {
  if (row.bar === undefined) return '';
  const bar = describeBar(row.bar);
  if (!isJudged) return { text: `${bar} (not judged)`, style: 'dim' };
  return keepsBar(row) === true ? { text: `${bar} met`, style: 'green' } : { text: `${bar} MISSED`, style: 'red' };
}

function describeBar(bar: BenchBar): string {
  if ('maxRatio' in bar) return `ratio ≤ ${bar.maxRatio}`;
  if ('maxOurs' in bar) return `ours ≤ ${bar.maxOurs}`;
  return `ours ≥ theirs ${bar.minDifference < 0 ? '−' : '+'} ${Math.abs(bar.minDifference)}`;
}
