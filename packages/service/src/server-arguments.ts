/**
 * A server's command line: what Pingora's has, as far as it means something here, and the way from there to options.
 *
 * What is said nearer to the moment counts: an argument more than the file, the file more than the program.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { textOf } from '@ferrata/error';
import { DAEMON_REFUSED, type ServerFileOptions } from './server-config-keys.ts';
import { say, withServerFile } from './server-file.ts';
import { resolveServerOptions, type ServerOptions, serverRanges } from './server-options.ts';
import { SetupError } from './setup-error.ts';
import { suggestion } from './suggest.ts';

/** What a command line asks for. */
export interface ServerArguments {
  /** The file to read; null: none. */
  readonly configFile: string | null;
  /** What the command line itself says. */
  readonly options: Pick<ServerOptions, 'threads' | 'pidFile' | 'admin' | 'test'>;
  readonly wantsHelp: boolean;
  /** What is no option, and everything behind `--`. */
  readonly positionals: readonly string[];
}

/** What `--help` prints behind the program's own first line. */
export const SERVER_HELP = `  -c, --conf FILE     options of the server, as YAML
  -t, --test          looks at the whole configuration and serves nothing: 0 if it would do, 2 if not
      --threads N     worker threads (as many as there are processors)
      --pid-file FILE where to write the process id
      --admin ADDRESS where the admin endpoint listens: 127.0.0.1:9000, unix:/run/app-admin.sock
  -h, --help

  SIGTERM ends in order, SIGINT fast, SIGHUP reloads, SIGQUIT and SIGUSR2 upgrade.
`;

const table = {
  conf: { type: 'string', short: 'c' },
  test: { type: 'boolean', short: 't' },
  threads: { type: 'string' },
  'pid-file': { type: 'string' },
  admin: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  // Known, so that they can be refused with what to do instead.
  daemon: { type: 'boolean', short: 'd' },
  upgrade: { type: 'boolean', short: 'u' },
} as const;

type Name = keyof typeof table;

/**
 * Reads a command line, without the program's own name.
 *
 * @throws {SetupError} with everything that is wrong with it
 */
export function serverArguments(argv: readonly string[]): ServerArguments {
  const problems: string[] = [];
  const texts = new Map<Name, string>();
  const { tokens, positionals } = parseArgs({ args: [...argv], options: table, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value } = token;
    const problem = isName(name) ? valueProblem(name, rawName, value, token.inlineValue === true) : unknownArgument(rawName);
    if (problem !== null) problems.push(problem);
    else if (isName(name) && texts.has(name) && table[name].type === 'string')
      problems.push(`${rawName} is written twice; it takes one value`);
    else if (isName(name)) texts.set(name, value ?? '');
  }
  const threads = threadsOf(texts.get('threads'), problems);
  checkText('pid-file', 'pidFile', texts.get('pid-file'), problems);
  checkText('admin', 'admin', texts.get('admin'), problems);
  if (problems.length > 0) throw new SetupError(problems);
  const [pidFile, admin] = [texts.get('pid-file'), texts.get('admin')];
  return {
    configFile: texts.get('conf') ?? null,
    options: {
      ...(threads === undefined ? null : { threads }),
      ...(pidFile === undefined ? null : { pidFile }),
      ...(admin === undefined ? null : { admin }),
      ...(texts.has('test') ? { test: true } : null),
    },
    wantsHelp: texts.has('help'),
    positionals,
  };
}

/** Joins the three, each for what the one before it does not say; of `workers` each option by itself. */
export function joinServerOptions<C>(
  program: ServerOptions<C>,
  file: ServerFileOptions,
  argument: ServerArguments['options'],
): ServerOptions<C> {
  const workers = program.workers === undefined && file.workers === undefined ? null : { workers: { ...program.workers, ...file.workers } };
  return { ...program, ...file, ...argument, ...workers };
}

/**
 * The options of a program, changed by its command line and the file that this names: for `new Server(commandLineOptions({ … }))`.
 *
 * Ends the process if there is nothing to go on with: with 0 after printing help, with 2 after saying on standard error all that is wrong. Worker threads do not read the
 * file but have what their main thread has read: one that takes the place of another must come up whatever has become of the file since. So has a process that takes the place of
 * one that died, if the file is no good any more; standard error says so.
 */
export function commandLineOptions<C = undefined>(
  program: ServerOptions<C> = {},
  argv: readonly string[] = process.argv.slice(2),
): ServerOptions<C> {
  const name = program.name ?? 'server';
  try {
    const { configFile, options, wantsHelp, positionals } = serverArguments(argv);
    if (wantsHelp) return end(0, 1, `${basename(process.argv[1] ?? name)} [options]\n\n${SERVER_HELP}`);
    if (positionals.length > 0) throw new SetupError([`'${positionals.join(' ')}' belongs to no option; --help lists them`]);
    const join = (read: ServerFileOptions): ServerOptions<C> => {
      const joined = joinServerOptions(program, read, options);
      resolveServerOptions(joined);
      return joined;
    };
    return configFile === null ? join({}) : withServerFile(configFile, name, join);
  } catch (error) {
    const problems = error instanceof SetupError ? error.problems : [textOf(error)];
    return end(2, 2, problems.map((problem) => `${name}: ${problem}\n`).join(''));
  }
}

function end(code: number, descriptor: number, text: string): never {
  say(descriptor, text);
  process.exit(code);
}

function isName(name: string): name is Name {
  return Object.hasOwn(table, name);
}

function valueProblem(name: Name, rawName: string, value: string | undefined, isInline: boolean): string | null {
  if (name === 'daemon') return `${rawName}: ${DAEMON_REFUSED}`;
  if (name === 'upgrade')
    return `${rawName} is not needed: send SIGQUIT to the process that runs (kill -QUIT "$(cat PIDFILE)"), and it starts its successor itself, with its sockets`;
  if (table[name].type === 'boolean') return value === undefined ? null : `${rawName} takes no value`;
  // `--conf --test` would read a file named --test.
  if (value === undefined || value === '' || (!isInline && value.startsWith('-')))
    return `${rawName} needs a value; --help lists the options`;
  return null;
}

function unknownArgument(rawName: string): string {
  const known = Object.keys(table).map((name) => `--${name}`);
  const shown = rawName.slice(0, 100);
  return `there is no option ${shown}${suggestion(rawName, known) || '; --help lists the options'}`;
}

function threadsOf(text: string | undefined, problems: string[]): number | undefined {
  if (text === undefined) return undefined;
  const { min, max } = serverRanges.threads;
  const threads = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(threads >= min && threads <= max)) problems.push(`--threads ${text.slice(0, 100)}: write a whole number from ${min} to ${max}`);
  return threads;
}

/** What is said of the option begins with its name, which the command line writes in another way. */
function checkText(name: Name, option: 'pidFile' | 'admin', text: string | undefined, problems: string[]): void {
  try {
    if (text !== undefined) resolveServerOptions({ [option]: text });
  } catch (error) {
    problems.push(`--${name}${textOf(error).slice(option.length)}`);
  }
}
