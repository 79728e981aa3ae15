/** The figures of the simulation: means over seeds, as a table of data and as a table of the guide. */
import { isQuiet } from './jobs.ts';
import { ALGORITHMS, type AlgorithmId, SCENARIOS } from './scenarios.ts';
import type { SimulationResult } from './simulation.ts';

/** Means over seeds; latencies in ms. */
export interface Measured {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Of 10 000 requests. */
  readonly failed: number;
}

/** A row. */
export interface Figure {
  readonly scenario: string;
  readonly algorithm: AlgorithmId;
  readonly plain: Measured;
  /** With passive health. Where nothing goes wrong it is the same. */
  readonly ejecting: Measured;
}

/** The table. Rounded, so that its text says all that it holds. */
export function figuresOf(results: readonly SimulationResult[]): readonly Figure[] {
  return SCENARIOS.flatMap(({ id, algorithms }) =>
    algorithms.map((algorithm) => {
      const own = results.filter((result) => result.scenario === id && result.algorithm === algorithm);
      const plain = meanOf(own.filter(({ ejects }) => !ejects));
      return { scenario: id, algorithm, plain, ejecting: isQuiet(id) ? plain : meanOf(own.filter(({ ejects }) => ejects)) };
    }),
  );
}

function meanOf(results: readonly SimulationResult[]): Measured {
  if (results.length === 0) throw new RangeError('there is nothing to take the mean of');
  const mean = (of: (result: SimulationResult) => number): number =>
    round(results.reduce((sum, result) => sum + of(result), 0) / results.length);
  return {
    p50: mean(({ p50 }) => p50),
    p99: mean(({ p99 }) => p99),
    p999: mean(({ p999 }) => p999),
    failed: mean(({ failed, requests }) => (10_000 * failed) / requests),
  };
}

/** To a tenth, from ten on to a whole. */
function round(value: number): number {
  return value < 10 ? Math.round(value * 10) / 10 : Math.round(value);
}

/** The table as Markdown. */
export function markdownTable(figures: readonly Figure[]): string {
  const lines = [
    '| | | p50 | p99 | p99.9 | failed | p99, ejecting | p99.9 | failed |',
    '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const { id, title } of SCENARIOS) {
    const own = figures.filter(({ scenario }) => scenario === id);
    for (const [index, { algorithm, plain, ejecting }] of own.entries()) {
      const cells = [index === 0 ? title : '', ALGORITHMS[algorithm].title, plain.p50, plain.p99, plain.p999, plain.failed];
      const more = isQuiet(id) ? ['=', '=', '='] : [ejecting.p99, ejecting.p999, ejecting.failed];
      lines.push(`| ${[...cells, ...more].join(' | ')} |`);
    }
  }
  return lines.join('\n');
}
