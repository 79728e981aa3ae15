/**
 * A small harness for micro-benches: fixed inputs, a warm-up, rounds taken in turns, medians, and always a ratio to a baseline
 * that was measured in the same run.
 *
 * The figure is CPU time of the process, not time on the wall: on a machine shared with others it is the one that repeats. It counts all
 * threads of the process, so what a function leaves to the garbage collector or the compiler is on its bill.
 *
 *   for each case:  warm-up (also finds how many calls fill one round)
 *   for each round: case 1, case 2, … case n       in turns, so that a disturbance meets all of them
 */

import { writeFileSync } from 'node:fs';
import { median, medianRatio, spread } from './statistics.ts';
import { formatFigure, formatTable } from './table.ts';

/** How one case is measured. */
export interface MeasureOptions {
  /** Number of rounds, of which the median is taken. Default 7, at least 5. More steadies the figure and costs time. */
  readonly rounds?: number;
  /** How long one round lasts, in ms of CPU time. Default 50, more than 0. Below about 10 the clock's own resolution shows. */
  readonly roundMs?: number;
  /** How long the function runs before the first round, in ms of CPU time. Default 200, at least 0: the optimising compiler needs it. */
  readonly warmUpMs?: number;
  /** How many operations one call does, when a call is a batch. Default 1, a whole number above 0. */
  readonly operationsPerCall?: number;
  /** How many bytes one operation handles; adds a MiB/s column. Default 0: none. */
  readonly bytesPerOperation?: number;
}

/** What `measure` found. */
export interface Measurement {
  /** The name it was given. */
  readonly name: string;
  /** Median CPU time of one operation, in ns. */
  readonly nsPerOperation: number;
  /** Median time on the wall of one operation, in ns; far above the CPU time means that the machine was busy. */
  readonly wallNsPerOperation: number;
  /** CPU time of one operation in each round, in ns, in the order measured. */
  readonly samples: readonly number[];
  /** (Largest − smallest) ÷ median of the samples. */
  readonly spread: number;
  /** Bytes that one operation handles, 0 when none were named. */
  readonly bytesPerOperation: number;
}

/** One line of a comparison. */
export interface BenchCase {
  /** What the table calls it; unique within the comparison. */
  readonly name: string;
  /** The work, synchronous. What it returns is kept from being optimised away. */
  readonly run: () => unknown;
  /** The case that the others are divided by. Default: the first case is. */
  readonly isBaseline?: boolean;
  /** What differs for this case alone. */
  readonly options?: Pick<MeasureOptions, 'operationsPerCall' | 'bytesPerOperation'>;
}

/** One case of a comparison, measured. */
export interface ComparedMeasurement extends Measurement {
  /** Median over the rounds of this case's CPU time ÷ the baseline's in the same round. */
  readonly ratio: number;
}

/** A whole comparison. */
export interface Comparison {
  /** The title it was given. */
  readonly title: string;
  /** Name of the case that the ratios refer to. */
  readonly baseline: string;
  /** The cases in the order given. */
  readonly measurements: readonly ComparedMeasurement[];
}

/** How a comparison is measured and where it goes. */
export interface CompareOptions extends MeasureOptions {
  /** Takes each line of the printed table. Default: the standard output. */
  readonly print?: (line: string) => void;
  /** File that gets the comparison as JSON. Default: what follows `--json` on the command line, or none. */
  readonly jsonFile?: string | null;
}

/**
 * Measures one synchronous function by itself.
 *
 * @throws {RangeError} when an option is out of its range.
 */
export function measure(name: string, run: () => unknown, options: MeasureOptions = {}): Measurement {
  const config = resolveMeasureOptions(options);
  const sampler = new Sampler(name, run, config);
  sampler.warmUp();
  for (let round = 0; round < config.rounds; round++) sampler.sample();
  return sampler.measurement();
}

/**
 * Measures several cases in turns, prints a table with each one's ratio to the baseline, writes JSON when `--json FILE` asks for it, and
 * returns the figures.
 *
 * @throws {RangeError} when an option is out of its range, there is no case, or two cases have one name or are both the baseline.
 */
export function compare(title: string, cases: readonly BenchCase[], options: CompareOptions = {}): Comparison {
  const config = resolveMeasureOptions(options);
  const baselineIndex = findBaseline(cases);
  const samplers = cases.map((one) => new Sampler(one.name, one.run, resolveMeasureOptions({ ...options, ...one.options })));
  for (const sampler of samplers) sampler.warmUp();
  for (let round = 0; round < config.rounds; round++) {
    for (const sampler of samplers) sampler.sample();
  }

  const measured = samplers.map((sampler) => sampler.measurement());
  const baseline = measured[baselineIndex];
  if (baseline === undefined) throw new RangeError('a comparison needs at least one case');
  const comparison: Comparison = {
    title,
    baseline: baseline.name,
    measurements: measured.map((one) => ({ ...one, ratio: medianRatio(one.samples, baseline.samples) })),
  };
  const print = options.print ?? ((line: string): void => void process.stdout.write(`${line}\n`));
  for (const line of formatComparison(comparison).split('\n')) print(line);
  const jsonFile = options.jsonFile === undefined ? jsonFileOf(process.argv) : options.jsonFile;
  if (jsonFile !== null) writeFileSync(jsonFile, `${JSON.stringify(comparison, null, 2)}\n`);
  return comparison;
}

/** Returns a comparison as a table, the title above it. */
export function formatComparison(comparison: Comparison): string {
  const hasBytes = comparison.measurements.some((one) => one.bytesPerOperation > 0);
  const headings = ['case', 'ns/op', 'op/s', ...(hasBytes ? ['MiB/s'] : []), `x ${comparison.baseline}`, 'spread', 'wall ns/op'];
  const rows = comparison.measurements.map((one) => [
    one.name,
    formatFigure(one.nsPerOperation),
    formatFigure(1e9 / one.nsPerOperation),
    ...(hasBytes ? [formatFigure(((one.bytesPerOperation / one.nsPerOperation) * 1e9) / 2 ** 20)] : []),
    one.ratio.toFixed(2),
    `${(one.spread * 100).toFixed(0)} %`,
    formatFigure(one.wallNsPerOperation),
  ]);
  return `${comparison.title}\n${formatTable(headings, rows)}\n`;
}

/** Returns what follows `--json` on a command line, or null. */
export function jsonFileOf(argv: readonly string[]): string | null {
  const at = argv.indexOf('--json');
  return at === -1 ? null : (argv[at + 1] ?? null);
}

/** No measured function can return this. */
const NEVER_RETURNED = Symbol('never returned');

type MeasureConfig = Required<MeasureOptions>;

function resolveMeasureOptions(options: MeasureOptions): MeasureConfig {
  const config: MeasureConfig = {
    rounds: options.rounds ?? 7,
    roundMs: options.roundMs ?? 50,
    warmUpMs: options.warmUpMs ?? 200,
    operationsPerCall: options.operationsPerCall ?? 1,
    bytesPerOperation: options.bytesPerOperation ?? 0,
  };
  if (!Number.isInteger(config.rounds) || config.rounds < 5) throw new RangeError('rounds must be a whole number, at least 5');
  if (!(config.roundMs > 0)) throw new RangeError('roundMs must be above 0');
  if (!(config.warmUpMs >= 0)) throw new RangeError('warmUpMs must be at least 0');
  if (!Number.isInteger(config.operationsPerCall) || config.operationsPerCall < 1) {
    throw new RangeError('operationsPerCall must be a whole number above 0');
  }
  if (!(config.bytesPerOperation >= 0)) throw new RangeError('bytesPerOperation must be at least 0');
  return Object.freeze(config);
}

function findBaseline(cases: readonly BenchCase[]): number {
  if (cases.length === 0) throw new RangeError('a comparison needs at least one case');
  if (new Set(cases.map((one) => one.name)).size !== cases.length) throw new RangeError('two cases have the same name');
  const marked = cases.filter((one) => one.isBaseline === true);
  if (marked.length > 1) throw new RangeError('two cases are marked as the baseline');
  const baseline = marked[0];
  return baseline === undefined ? 0 : cases.indexOf(baseline);
}

/** One case on its way: how many calls fill a round, and the samples so far. */
class Sampler {
  readonly #name: string;
  readonly #run: () => unknown;
  readonly #config: MeasureConfig;
  readonly #samples: number[] = [];
  readonly #wallSamples: number[] = [];
  #callsPerRound = 1;

  constructor(name: string, run: () => unknown, config: MeasureConfig) {
    this.#name = name;
    this.#run = run;
    this.#config = config;
  }

  /** Runs the function until the warm-up time is used, and learns from it how many calls fill one round. */
  warmUp(): void {
    const { warmUpMs, roundMs } = this.#config;
    let calls = 1;
    let usedMs = 0;
    for (;;) {
      const { cpuMs } = this.#runCalls(calls);
      usedMs += cpuMs;
      // A batch must be long enough for its clock reading before its length says anything.
      if (cpuMs >= Math.min(roundMs / 4, 5)) {
        this.#callsPerRound = Math.max(1, Math.round((calls * roundMs) / cpuMs));
        if (usedMs >= warmUpMs) return;
      } else {
        calls *= 2;
      }
    }
  }

  sample(): void {
    const { cpuMs, wallMs } = this.#runCalls(this.#callsPerRound);
    const operations = this.#callsPerRound * this.#config.operationsPerCall;
    this.#samples.push((cpuMs * 1e6) / operations);
    this.#wallSamples.push((wallMs * 1e6) / operations);
  }

  measurement(): Measurement {
    return {
      name: this.#name,
      nsPerOperation: median(this.#samples),
      wallNsPerOperation: median(this.#wallSamples),
      samples: [...this.#samples],
      spread: spread(this.#samples),
      bytesPerOperation: this.#config.bytesPerOperation,
    };
  }

  #runCalls(calls: number): { cpuMs: number; wallMs: number } {
    const run = this.#run;
    let result: unknown;
    const wallBefore = process.hrtime.bigint();
    const cpuBefore = process.cpuUsage();
    for (let call = 0; call < calls; call++) result = run();
    const cpu = process.cpuUsage(cpuBefore);
    const wallMs = Number(process.hrtime.bigint() - wallBefore) / 1e6;
    // Looking at the result is what stops the compiler from dropping the work that made it.
    if (result === NEVER_RETURNED) throw new TypeError(`${this.#name} returned the harness's own mark`);
    return { cpuMs: (cpu.user + cpu.system) / 1000, wallMs };
  }
}
