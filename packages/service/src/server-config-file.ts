/**
 * A server's options from a file in YAML, with Pingora's keys where the meaning is equal.
 *
 * ```yaml
 * version: 1
 * threads: 4
 * pid_file: /run/app.pid
 * grace_period_seconds: 60
 * workers:
 *   max_old_generation_mb: 512
 * ```
 * Everything that is wrong is told at once, each with file, line and column. The tree of the parser is walked as it is written: aliases are refused and never followed, so
 * there is nothing that could grow; and a file is read only if it is a regular one of a bounded size, that ends with a line end and does not change meanwhile: half
 * a file may be right by itself, `threads: 1` of `threads: 16`, and nobody should find that out under load.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { textOf } from '@ferrata/error';
import type { Document, LineCounter, Pair, ParsedNode, YAMLMap } from 'yaml';
import { type ConfigKey, DAEMON_REFUSED, foreignKeys, type ServerFileOptions, serverKeys, workerKeys } from './server-config-keys.ts';
import { resolveServerOptions, serverRanges } from './server-options.ts';
import { SetupError } from './setup-error.ts';
import { suggestion } from './suggest.ts';
import { loadYaml, type Yaml } from './yaml-parser.ts';

/** Such a file has a few hundred bytes. The limit is for a log or an image that is named by mistake: what makes the parser slowest, nothing but brackets, is refused within a second. */
export const MAX_CONFIG_BYTES = 65_536;

/** A file that is wrong everywhere is another file. */
const MAX_PROBLEMS = 20;

/**
 * Reads a file.
 *
 * @param file its name, as it is to stand in errors
 * @throws {SetupError} if it cannot be read whole, or anything in it is wrong
 */
export function readServerConfig(file: string): ServerFileOptions {
  const bytes = readWhole(file);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SetupError([`${file}: is not UTF-8 text`], { cause: error });
  }
  if (text !== '' && !text.endsWith('\n'))
    throw new SetupError([`${file}: does not end with a line end; was it written whole? If so, end its last line`]);
  return parseServerConfig(text, file);
}

/**
 * Reads the text of such a file.
 *
 * @param file its name, for errors
 * @throws {SetupError} if anything is wrong, with all that is: `app.yaml:3:1: there is no key thread; did you mean threads?`
 */
export function parseServerConfig(text: string, file: string): ServerFileOptions {
  return new ConfigReading(text, file).read();
}

/** A value as it was found, and where. */
interface Entry {
  readonly key: string;
  readonly value: unknown;
  readonly at: number;
}

type Values = Record<string, unknown>;

class ConfigReading {
  readonly #text: string;
  readonly #file: string;
  readonly #yaml: Yaml = loadYaml();
  readonly #lines: LineCounter = new this.#yaml.LineCounter();
  #hasListedKeys = false;
  readonly #problems: { readonly at: number; readonly text: string }[] = [];

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  read(): ServerFileOptions {
    const document = this.#parse();
    for (const { pos, message } of [...document.errors, ...document.warnings]) this.#report(pos[0], cut(sentenceOf(message)));
    const options: Values = {};
    const { contents } = document;
    if (this.#yaml.isMap(contents)) this.#readTop(contents, options);
    else if (this.#problems.length === 0)
      this.#report(contents?.range?.[0] ?? 0, 'has no keys; was it written whole? An empty file would be: version: 1');
    if (this.#problems.length === 0) this.#checkTogether(options, contents?.range?.[0] ?? 0);
    if (this.#problems.length > 0) throw new SetupError(this.#sentences());
    return Object.freeze(options) as ServerFileOptions;
  }

  #parse(): Document.Parsed {
    try {
      return this.#yaml.parseDocument(this.#text, { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: false, logLevel: 'error' });
    } catch (error) {
      // The parser is not ours, and this is the only place that hears of it.
      throw new SetupError([`${this.#file}: cannot be read as YAML: ${textOf(error)}`], { cause: error });
    }
  }

  #readTop(map: YAMLMap.Parsed, options: Values): void {
    for (const { key, value, at, node } of this.#entries(map, '')) {
      const foreign = foreignKeys.get(key);
      const known = serverKeys.get(key);
      if (key === 'version') this.#check(value === 1, at, `version must be 1, not ${shown(value)}`);
      else if (key === 'daemon')
        this.#check(value === false, at, value === true ? `daemon: ${DAEMON_REFUSED}` : `daemon must be false, not ${shown(value)}`);
      else if (key === 'workers') options['workers'] = this.#readWorkers(node, at);
      else if (foreign !== undefined) this.#report(at, `${key} ${foreign}`);
      else if (known === undefined) this.#reportUnknown(at, key, [...serverKeys.keys(), 'version', 'daemon', 'workers']);
      else this.#take({ key, value, at }, known, options);
    }
  }

  #readWorkers(node: ParsedNode | null, at: number): Values {
    const options: Values = {};
    if (!this.#yaml.isMap(node)) {
      this.#report(at, 'workers must have keys of its own, such as max_old_generation_mb');
      return options;
    }
    for (const { key, value, at: place } of this.#entries(node, 'workers.')) {
      const known = workerKeys.get(key);
      if (known === undefined) this.#reportUnknown(place, key, workerKeys.keys(), 'workers');
      else this.#take({ key: `workers.${key}`, value, at: place }, known, options);
    }
    return options;
  }

  /** The keys and values of a map, each key once. */
  *#entries(map: YAMLMap.Parsed, prefix: string): Generator<Entry & { readonly node: ParsedNode | null }> {
    const seen = new Map<string, number>();
    for (const { key: keyNode, value: node } of map.items as readonly Pair<ParsedNode, ParsedNode | null>[]) {
      const at = keyNode.range[0];
      if (!this.#isPlain(keyNode) || (node !== null && !this.#isPlain(node))) continue;
      if (!this.#yaml.isScalar(keyNode) || typeof keyNode.value !== 'string') {
        this.#report(at, 'a key must be a name');
        continue;
      }
      const key = keyNode.value;
      const before = seen.get(key);
      if (before !== undefined) {
        this.#report(at, `${prefix}${cut(key)} is written twice; it stands in line ${this.#lines.linePos(before).line} already`);
        continue;
      }
      seen.set(key, at);
      yield { key, value: this.#yaml.isScalar(node) ? node.value : node, node, at };
    }
  }

  /** An alias means what stands elsewhere, and a chain of them more than a machine can hold. */
  #isPlain(node: ParsedNode): boolean {
    const isPlain = !this.#yaml.isAlias(node) && node.anchor === undefined;
    if (!isPlain) this.#report(node.range[0], 'anchors and aliases are not taken: write the value itself');
    return isPlain;
  }

  #take({ key, value, at }: Entry, known: ConfigKey<string>, options: Values): void {
    if (value === null) {
      this.#report(at, `${key} has no value`);
      return;
    }
    const taken = known.kind === 'seconds' ? this.#milliseconds(known, value) : this.#plainValue(known, value);
    if (typeof taken === 'string' && taken !== value) this.#report(at, `${key} must be ${taken}, not ${shown(value)}`);
    else if (this.#isFit(known, key, taken, at)) options[known.option] = taken;
  }

  /** @returns the value itself, or another text: what it must be */
  #plainValue(known: ConfigKey<string>, value: unknown): unknown {
    switch (known.kind) {
      case 'text':
        return typeof value === 'string' ? value : 'a text (in quotes, if it looks like something else)';
      case 'account':
        return typeof value === 'string' || Number.isSafeInteger(value) ? value : 'a name or a whole number';
      case 'choice':
        return known.choices.includes(value as string) ? value : known.choices.join(' or ');
      case 'count': {
        const { min, max } = serverRanges[known.option];
        return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
          ? value
          : `a whole number from ${min} to ${max}`;
      }
      case 'seconds':
        return value;
    }
  }

  #milliseconds({ option, never }: ConfigKey<string> & { readonly kind: 'seconds' }, value: unknown): number | string {
    const { min, max } = serverRanges[option];
    if (never === true && (value === 'never' || value === Infinity)) return Infinity;
    const top = Math.min(max, serverRanges.graceMs.max);
    const milliseconds = typeof value === 'number' ? Math.round(value * 1_000) : Number.NaN;
    if (milliseconds >= min && milliseconds <= top) return milliseconds;
    return `a number of seconds from ${min / 1_000} to ${top / 1_000}${never === true ? ', or never' : ''}`;
  }

  /** Asks whoever knows what an option may be, for all that is more than a number. */
  #isFit({ kind, option }: ConfigKey<string>, key: string, value: unknown, at: number): boolean {
    if (kind === 'seconds' || kind === 'count' || kind === 'choice') return true;
    try {
      resolveServerOptions({ [option]: value });
      return true;
    } catch (error) {
      this.#report(at, textOf(error).replace(new RegExp(`^${option}\\b`), key));
      return false;
    }
  }

  /** What is right by itself and wrong together. */
  #checkTogether(options: Values, at: number): void {
    try {
      resolveServerOptions(options);
    } catch (error) {
      const inSeconds = (_: string, option: string, ms: string): string => `${keyOf(option)} (${Number(ms) / 1_000})`;
      this.#report(at, textOf(error).replaceAll(/\b(\w+Ms) \((\d+)\)/g, inSeconds));
    }
  }

  #check(isRight: boolean, at: number, text: string): void {
    if (!isRight) this.#report(at, text);
  }

  #report(at: number, text: string): void {
    this.#problems.push({ at, text });
  }

  #reportUnknown(at: number, key: string, known: Iterable<string>, section?: string): void {
    const names = [...known];
    const hint = hintFor(key, names, section !== undefined);
    // The list once is enough.
    const list = hint !== '' || this.#hasListedKeys ? '' : `; the keys are ${names.join(', ')}`;
    this.#hasListedKeys ||= list !== '';
    this.#report(at, `there is no key ${cut(key)}${section === undefined ? '' : ` in ${section}`}${hint}${list}`);
  }

  #sentences(): string[] {
    // The parser says some things once for each bracket that is open.
    const all = new Set<string>();
    for (const { at, text } of this.#problems.toSorted((a, b) => a.at - b.at)) {
      const { line, col } = this.#lines.linePos(at);
      all.add(`${this.#file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${text}`);
    }
    const more = all.size - MAX_PROBLEMS;
    return more <= 0 ? [...all] : [...[...all].slice(0, MAX_PROBLEMS), `${this.#file}: and ${more} more`];
  }
}

/** What the parser says, but for its advice to programmers. */
function sentenceOf(message: string): string {
  return message
    .replace(/^Maximum call stack.*/, 'is nested too deeply')
    .replace(/^Source contains multiple documents.*/, 'a second document begins here, and a file of options has one');
}

/** What was probably meant by a key that is not there. */
function hintFor(key: string, names: readonly string[], isSection: boolean): string {
  // Names of options, as a program writes them, are the likeliest slip.
  const own = keyOf(key);
  if (isSection ? serverKeys.has(own) : workerKeys.has(own)) return `; ${own} belongs ${isSection ? 'to the top' : 'below workers'}`;
  return own !== key && names.includes(own) ? `; did you mean ${own}?` : suggestion(key, names);
}

/** The key that sets an option; what is no option as it is. */
function keyOf(option: string): string {
  for (const [key, known] of [...serverKeys, ...workerKeys]) if (known.option === option) return key;
  return option;
}

function cut(text: string): string {
  // A problem is one line of a log.
  return text.slice(0, 120).replaceAll(/[\u0000-\u001f\u007f]/g, '?');
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(cut(value));
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  return loadYaml().isMap(value) ? 'keys of its own' : 'a list';
}

function readWhole(file: string): Uint8Array {
  if (file === '' || file.includes('\0')) throw new SetupError(['the name of the configuration file is empty, or has a NUL in it']);
  let descriptor: number;
  try {
    // A pipe that nobody writes to would hold the process for ever; so it is opened without waiting, and then refused.
    descriptor = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw new SetupError([`${file}: ${openFailure(error)}`], { cause: error });
  }
  try {
    return readDescriptor(file, descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function readDescriptor(file: string, descriptor: number): Uint8Array {
  const before = fstatSync(descriptor);
  if (!before.isFile()) throw new SetupError([`${file}: is ${before.isDirectory() ? 'a directory' : 'no regular file'}`]);
  if (before.size > MAX_CONFIG_BYTES)
    throw new SetupError([`${file}: has ${before.size} bytes, and a server’s file may have ${MAX_CONFIG_BYTES}; is it another file?`]);
  const bytes = new Uint8Array(MAX_CONFIG_BYTES + 1);
  let length = 0;
  try {
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(descriptor, bytes, length, bytes.length - length, null);
  } catch (error) {
    throw new SetupError([`${file}: cannot be read: ${textOf(error)}`], { cause: error });
  }
  const after = fstatSync(descriptor);
  if (length !== after.size || !isSame(before, after))
    throw new SetupError([`${file}: changes while it is read; write another file, and rename that to this name when it is whole`]);
  return bytes.subarray(0, length);
}

function isSame(before: Stats, after: Stats): boolean {
  return before.size === after.size && before.mtimeMs === after.mtimeMs;
}

const openFailures: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ['ENOENT', 'there is no such file'],
  ['EACCES', 'may not be read by this user'],
  ['EPERM', 'may not be read by this user'],
  ['ELOOP', 'is a symbolic link that leads back to itself'],
  ['ENOTDIR', 'a part of the path is no directory'],
  ['ENAMETOOLONG', 'the name is too long'],
  ['ENXIO', 'is no regular file'],
  ['EMFILE', 'cannot be opened: this process has too many files open'],
  ['ENFILE', 'cannot be opened: this machine has too many files open'],
]);

function openFailure(error: unknown): string {
  return openFailures.get((error as { code?: unknown }).code) ?? `cannot be opened: ${textOf(error)}`;
}
