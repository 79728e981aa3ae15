/**
 * What the four benches share on their command lines, and how they end.
 */

import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { type ParseArgsOptionsConfig, parseArgs, styleText } from 'node:util';
import { type Contender, chooseContenders } from './contenders.ts';
import { describeMachine, type MachineInfo, raiseOpenFileLimit, setUpMachine } from './set-up.ts';

/** Options that every bench takes. */
export const SHARED_OPTIONS = {
  only: { type: 'string' },
  subject: { type: 'string', default: 'ferrata' },
  json: { type: 'string' },
  check: { type: 'boolean', default: false },
  'proxy-cores': { type: 'string', default: '1' },
  'load-cores': { type: 'string', default: '0' },
  help: { type: 'boolean', default: false },
} as const satisfies ParseArgsOptionsConfig;

/** The lines of `--help` for them. */
export const SHARED_HELP = `  --only a,b         proxies to measure, by name
  --subject NAME     the proxy that the bars are for; default ferrata
  --json             print every figure as JSON on standard output, and the tables on standard error
  --json FILE        write them to a file instead
  --check            exit with 1 when a bar fails or cannot be judged
  --proxy-cores LIST --load-cores LIST
                     CPUs of the proxy, and of load and origin; default 1 and 0`;

/** The shared options, read. */
export interface SharedOptions {
  readonly contenders: readonly Contender[];
  readonly subject: string;
  /** Where the figures go as JSON: a file, `-` for standard output, null for nowhere. */
  readonly jsonFile: string | null;
  /** Prints a part of the result for people: on standard output, or on standard error where JSON takes that. */
  readonly print: (text: string) => void;
  readonly isCheck: boolean;
  readonly proxyCores: string;
  readonly loadCores: string;
}

/** A bar that a figure must not exceed, and how that went; `value` is null when it could not be judged. */
export interface Bar {
  readonly name: string;
  readonly limit: number;
  readonly value: number | null;
  /** What the two are, for people: `x`, `MiB`, `KiB`. */
  readonly unit: string;
}

/** The share of the machine from which on other work spoils the figures. */
const MAX_OTHER_WORK = 0.05;

/** As the file of `--json`: standard output. */
const STANDARD_OUTPUT = '-';

/** Something wrong on the command line; its message says what to write instead. */
export class UsageError extends Error {}

/**
 * Parses a bench's own arguments; prints `--help` and ends when asked to. A `--json` without a file means standard output.
 *
 * @throws {UsageError} when an option is unknown or lacks its value.
 */
export function parseCommandLine<Options extends ParseArgsOptionsConfig>(
  options: Options,
  help: string,
  argv: readonly string[] = process.argv.slice(2),
): ReturnType<typeof parseArgs<{ options: Options }>>['values'] {
  // `pnpm bench proxy -- --seconds 2` may hand the separator on.
  const args = argv.filter((argument) => argument !== '--').map(withJsonFile);
  if (args.includes('--help')) {
    process.stdout.write(`${help}\n`);
    process.exit(0);
  }
  try {
    return parseArgs({ args, options, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(`${firstSentence((error as Error).message)}; --help lists the options`);
  }
}

/**
 * Reads the shared options, with the proxies that a bench measures when none are named (null: those of the comparison).
 *
 * @throws {UsageError} when a proxy or a CPU does not exist.
 */
export function readSharedOptions(
  values: { only?: string; subject: string; json?: string; check: boolean; 'proxy-cores': string; 'load-cores': string },
  defaultNames: readonly string[] | null = null,
): SharedOptions {
  const names = values.only?.split(',').map((name) => name.trim()) ?? defaultNames;
  let contenders: readonly Contender[];
  try {
    contenders = chooseContenders(names);
    chooseContenders([values.subject]);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return {
    contenders,
    subject: values.subject,
    jsonFile: values.json ?? null,
    print: values.json === STANDARD_OUTPUT ? printForPeople : print,
    isCheck: values.check,
    proxyCores: checkedCores('proxy-cores', values['proxy-cores']),
    loadCores: checkedCores('load-cores', values['load-cores']),
  };
}

/** What a bench of several scenarios is told. */
export interface ScenarioOptions<Scenario> {
  readonly scenarios: readonly Scenario[];
  /** The names of those to measure; null: all. */
  readonly only: ReadonlySet<string> | null;
  readonly seconds: number;
  readonly rounds: number;
  readonly proxyCores: string;
  readonly loadCores: string;
  readonly isCheck: boolean;
  readonly jsonFile: string | null;
  readonly print: (text: string) => void;
}

/** Options of every bench of several scenarios. */
export const SCENARIO_OPTIONS = {
  only: SHARED_OPTIONS.only,
  json: SHARED_OPTIONS.json,
  check: SHARED_OPTIONS.check,
  'proxy-cores': SHARED_OPTIONS['proxy-cores'],
  'load-cores': SHARED_OPTIONS['load-cores'],
  help: SHARED_OPTIONS.help,
  scenarios: { type: 'string' },
  seconds: { type: 'string', default: '3' },
  rounds: { type: 'string', default: '3' },
} as const satisfies ParseArgsOptionsConfig;

/** The lines of `--help` for them, but for that of `--scenarios`. */
export const SCENARIO_HELP = `  --only a,b         of those compared, by name
  --seconds N        of load in each round; default 3
  --rounds N         default 3
  --json [FILE]      every figure as JSON on standard output, or in a file
  --check            exit with 1 when a bar fails or cannot be judged
  --proxy-cores LIST --load-cores LIST
                     CPUs of what is measured, and of load and origin; default 1 and 0`;

/**
 * Reads the options of a bench of several scenarios.
 *
 * @throws {UsageError} when a scenario does not exist, or a number is none
 */
export function readScenarioOptions<Scenario extends { readonly name: string }>(
  all: readonly Scenario[],
  values: {
    readonly only?: string;
    readonly scenarios?: string;
    readonly json?: string;
    readonly check: boolean;
    readonly seconds: string;
    readonly rounds: string;
    readonly 'proxy-cores': string;
    readonly 'load-cores': string;
  },
): ScenarioOptions<Scenario> {
  const scenarios = (values.scenarios?.split(',') ?? all.map((one) => one.name)).map((name) => {
    const found = all.find((one) => one.name === name);
    if (found !== undefined) return found;
    throw new UsageError(`no scenario is called ${name}; there are ${all.map((one) => one.name).join(', ')}`);
  });
  return {
    scenarios,
    only: values.only === undefined ? null : new Set(values.only.split(',')),
    seconds: positiveInteger('seconds', values.seconds),
    rounds: positiveInteger('rounds', values.rounds),
    proxyCores: checkedCores('proxy-cores', values['proxy-cores']),
    loadCores: checkedCores('load-cores', values['load-cores']),
    isCheck: values.check,
    jsonFile: values.json ?? null,
    print: values.json === STANDARD_OUTPUT ? printForPeople : print,
  };
}

/** Says, under the tables, when other work has spoilt the figures. @param busy shares of the machine that were in use before each scenario */
export function warnOfOtherWork(busy: readonly number[], { print }: Pick<SharedOptions, 'print'>): void {
  const most = Math.max(0, ...busy);
  if (most > MAX_OTHER_WORK)
    print(`${warn(`other work took up to ${(most * 100).toFixed(0)} % of this machine: measure again on a quiet one`)}\n`);
}

/**
 * Reads a number above 0.
 *
 * @throws {UsageError} when the text is none.
 */
export function positiveNumber(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new UsageError(`--${option} takes a number above 0, not "${text}"`);
  return value;
}

/**
 * Reads a whole number above 0.
 *
 * @throws {UsageError} when the text is none.
 */
export function positiveInteger(option: string, text: string): number {
  const value = positiveNumber(option, text);
  if (!Number.isInteger(value)) throw new UsageError(`--${option} takes a whole number, not "${text}"`);
  return value;
}

/** Splits contenders into those that can run here, and the names of the others with the reason. */
export function splitByAvailability<One extends Pick<Contender, 'name' | 'missing'>>(
  contenders: readonly One[],
): {
  present: readonly One[];
  skipped: readonly { name: string; reason: string }[];
} {
  const skipped: { name: string; reason: string }[] = [];
  const present = contenders.filter((one) => {
    const reason = one.missing();
    if (reason !== null) skipped.push({ name: one.name, reason });
    return reason === null;
  });
  for (const { name, reason } of skipped) say(warn(`${name} is skipped: ${reason}`));
  return { present, skipped };
}

/** Sets the machine up, says what it is, and returns that together with the limit of open files. */
export function prepareMachine(wantedOpenFiles: number): { machine: MachineInfo; openFiles: number } {
  setUpMachine(say);
  const openFiles = raiseOpenFileLimit(wantedOpenFiles);
  const machine = describeMachine();
  const { cpu, cpuCount, kernel, node, nginx, haproxy, wrk } = machine;
  say(`${cpuCount} x ${cpu}, Linux ${kernel}; node ${node}, nginx ${nginx}, haproxy ${haproxy}, wrk ${wrk}`);
  return { machine, openFiles };
}

/** Returns whether a bar holds; false too when it could not be judged. */
export function isMet(bar: Bar): boolean {
  return bar.value !== null && bar.value <= bar.limit;
}

/** Prints the bars, each with its outcome. */
export function printBars(bars: readonly Bar[], { print }: Pick<SharedOptions, 'print'>): void {
  for (const bar of bars) {
    const outcome = bar.value === null ? warn('not judged') : isMet(bar) ? styleText('green', 'met') : fault('FAILED');
    const value = bar.value === null ? 'no figure' : `${bar.value.toFixed(2)} ${bar.unit}`;
    print(`bar  ${bar.name}: ${value}, at most ${Number(bar.limit.toFixed(3))} ${bar.unit}: ${outcome}\n`);
  }
}

/** Writes the figures where `--json` says, if it does. */
export function writeJson({ jsonFile }: Pick<SharedOptions, 'jsonFile'>, figures: object): void {
  if (jsonFile === null) return;
  const text = `${JSON.stringify(figures, null, 2)}\n`;
  if (jsonFile === STANDARD_OUTPUT) {
    process.stdout.write(text);
    return;
  }
  writeFileSync(jsonFile, text);
  say(`figures written to ${jsonFile}`);
}

/** Runs a bench and ends the process with what it returns: 0, 1 when a bar failed, 2 for a wrong command line. */
export async function runAsCommand(bench: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await bench();
  } catch (error) {
    process.stderr.write(`${fault((error as Error).message)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** Tells the person at the terminal how it goes; not part of the result. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Returns a text in the colour of faults. */
export function fault(text: string): string {
  return styleText('red', text);
}

/** Returns a text in the colour of warnings. */
export function warn(text: string): string {
  return styleText('yellow', text);
}

/** `parseArgs` knows no option whose value may be missing, so a `--json` that nothing or another option follows gets one. */
function withJsonFile(argument: string, index: number, args: readonly string[]): string {
  const next = args[index + 1];
  return argument === '--json' && (next === undefined || next.startsWith('--')) ? `--json=${STANDARD_OUTPUT}` : argument;
}

function print(text: string): void {
  process.stdout.write(text);
}

function printForPeople(text: string): void {
  process.stderr.write(text);
}

function firstSentence(text: string): string {
  return text.split('. ')[0] ?? text;
}

function checkedCores(option: string, list: string): string {
  const count = cpus().length;
  for (const part of list.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) throw new UsageError(`--${option} takes a list of CPUs like 1 or 0,2-3, not "${list}"`);
    const highest = Number(match[2] ?? match[1]);
    if (highest >= count) throw new UsageError(`--${option} names CPU ${highest}, but this machine has ${count} (0 to ${count - 1})`);
  }
  return list;
}
