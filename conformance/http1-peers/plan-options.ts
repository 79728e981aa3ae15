/** The command line of suites that act plans out. */
import { parseArgs } from 'node:util';

/** Which plans to act out. */
export interface PlanOptions {
  /** Null: all. */
  readonly only: RegExp | null;
  readonly seed: number;
  readonly draws: number;
}

/** Null, and the usage on the standard error, if the command line is wrong. @param suite as its folder is called */
export function readPlanOptions(suite: string): PlanOptions | null {
  try {
    const { values } = parseArgs({
      options: { only: { type: 'string' }, seed: { type: 'string', default: '1' }, draws: { type: 'string', default: '120' } },
    });
    const only = values.only === undefined ? null : new RegExp(values.only);
    return { only, seed: wholeNumber('--seed', values.seed), draws: wholeNumber('--draws', values.draws) };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}
usage: node conformance/${suite}/run.ts [--only PATTERN] [--seed N] [--draws N]

  --only PATTERN   a regular expression for ids, as '^node-ferrata/expect/'
  --seed N         draws other plans; default 1
  --draws N        how many; default 120`);
    return null;
  }
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`${name} takes a whole number`);
  return Number(text);
}
