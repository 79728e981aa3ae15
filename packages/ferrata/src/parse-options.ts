/** A command line, read by Node's parser, with errors that are sentences of this command. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { UsageError } from './usage-error.ts';

/** The options of a command, as `parseArgs` wants them. */
export type OptionTable = NonNullable<ParseArgsConfig['options']>;

/** What a command line with these options says. */
export type ParsedOptions<T extends OptionTable> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true; tokens: true }>
>;

/** What `parseArgs` says of each argument, as far as it matters here. */
interface OptionToken {
  readonly kind: string;
  readonly name?: string;
}

/**
 * Parses options and positional arguments.
 *
 * @param help the command that lists the options
 * @throws {UsageError} for an option that is unknown, lacks its value, or is written twice though it takes one value
 */
export function parseOptions<T extends OptionTable>(argv: readonly string[], options: T, help: string): ParsedOptions<T> {
  try {
    const parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true, tokens: true });
    checkOnce(parsed.tokens, options);
    return parsed;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${sentenceOf((error as Error).message)}; ${help} lists the options`, { cause: error });
  }
}

/** What Node says, without its advice on '--' that fits no option of ours. */
function sentenceOf(message: string): string {
  // What is behind the option begins as an option does.
  const lacking = /^Option '(?:-\w, )?(--[\w-]+)' argument is ambiguous/.exec(message)?.[1];
  if (lacking !== undefined) return `${lacking} needs a value; one that begins with a minus sign is written ${lacking}=VALUE`;
  const [sentence = ''] = message.split(/\. To |\.\n| To specify/);
  return `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`;
}

/** A whole number. @throws {UsageError} when it is none, or out of range */
export function parseCount(option: string, text: string | undefined, range: { fallback: number; least: number; most: number }): number {
  if (text === undefined) return range.fallback;
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= range.least && count <= range.most))
    throw new UsageError(`${option} ${text}: write a whole number from ${range.least} to ${range.most}`);
  return count;
}

/** Of two values, `parseArgs` would keep the last without a word, and nobody means the first to be thrown away. A switch that is on is on, however often it is written. */
function checkOnce(tokens: readonly OptionToken[], options: OptionTable): void {
  const seen = new Set<string>();
  for (const { kind, name } of tokens) {
    if (kind !== 'option' || name === undefined) continue;
    const { type, multiple } = options[name] ?? {};
    if (type !== 'string' || multiple === true) continue;
    if (seen.has(name)) throw new UsageError(`--${name} is written twice; it takes one value`);
    seen.add(name);
  }
}
