/**
 * The files that list backends: read strictly, as a key that is misspelt would be a setting that nobody has made.
 *
 * ```text
 *   { "backends": [                                          10.0.0.1:80
 *     "10.0.0.1:80",                                         [2001:db8::1]:80    # a comment
 *     { "address": "10.0.0.2:80", "weight": 2, "zone": "a" } unix:/run/app.sock
 *   ] }
 * ```
 * Rules:
 * - Whatever is wrong with a part of it is wrong with the whole: half a set would send everything to a few.
 * - A text without any backend is no empty set but a file that is being written; `{ "backends": [] }` is an empty set.
 * - A comment begins a line, or behind a blank: the path of a socket may have a `#` in it.
 * - An error says where, and what would have been right, in few words however long the text is.
 */
import { textOf } from '@ferrata/error';
import { type BackendInit, checkBackend, type PlainBackend, plainBackend } from '../backend.ts';

/** How a file is read: one of ours, or a function that makes backends of its text, and throws if it cannot. */
export type BackendFileFormat = 'json' | 'lines' | ((text: string) => Iterable<BackendInit>);

/** What is wrong with a file. */
export class BackendFileError extends Error {}

/** What begins a comment. */
const COMMENT = /(?<!\S)#/;

/** As much of a reason as is told: it may repeat what is wrong, which may be a line of megabytes. */
const MAX_REASON = 400;

const KEYS = [
  'address',
  'name',
  'weight',
  'priority',
  'zone',
  'metadata',
  'isEnabled',
  'healthPort',
] as const satisfies readonly (keyof BackendInit)[];

/**
 * Reads the content of a file, which must be UTF-8.
 *
 * @param format null: JSON if it begins with a brace, else lines
 * @throws {BackendFileError} that says what is wrong, and where
 */
export function readBackendFile(bytes: Uint8Array, format: BackendFileFormat | null, maxBackends: number): readonly PlainBackend[] {
  const text = textIn(bytes);
  const collector = new Collector(maxBackends);
  if (typeof format === 'function') readByFunction(text, format, collector);
  else if (format === 'json' || (format === null && /^\s*\{/.test(text))) readJson(text, collector);
  else readLines(text, collector);
  return collector.backends;
}

function textIn(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new BackendFileError('it is no text in UTF-8');
  }
}

class Collector {
  readonly backends: PlainBackend[] = [];
  readonly #max: number;
  readonly #placeOfName = new Map<string, string>();

  constructor(max: number) {
    this.#max = max;
  }

  add(place: string, init: BackendInit): void {
    if (this.backends.length === this.#max) throw new BackendFileError(`there are more than ${this.#max} backends`);
    let name: string;
    let plain: PlainBackend;
    try {
      ({ name } = checkBackend(init));
      plain = plainBackend(init);
    } catch (error) {
      throw new BackendFileError(`${place}: ${shortened(textOf(error))}`);
    }
    const before = this.#placeOfName.get(name);
    if (before !== undefined) throw new BackendFileError(`${place} goes by the name of ${before}: ${name}`);
    this.#placeOfName.set(name, place);
    this.backends.push(plain);
  }
}

function readByFunction(text: string, format: (text: string) => Iterable<BackendInit>, collector: Collector): void {
  let index = 0;
  try {
    for (const init of format(text)) collector.add(`backend ${index++}`, init);
  } catch (error) {
    throw error instanceof BackendFileError ? error : new BackendFileError(`the format has thrown: ${textOf(error)}`);
  }
}

function readJson(text: string, collector: Collector): void {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw new BackendFileError(`it is no JSON: ${shortened(textOf(error))}`);
  }
  if (!isObject(root)) throw new BackendFileError(`it must be an object with "backends", not ${kindOf(root)}`);
  checkKeys('the file', root, ['backends']);
  const { backends } = root;
  if (!Array.isArray(backends)) throw new BackendFileError(`"backends" must be a list, not ${kindOf(backends)}`);
  for (const [index, entry] of (backends as readonly unknown[]).entries()) {
    const place = `backends[${index}]`;
    if (typeof entry === 'string') collector.add(place, { address: entry });
    else if (isObject(entry)) collector.add(place, backendOf(place, entry));
    else throw new BackendFileError(`${place} must be an address or an object, not ${kindOf(entry)}`);
  }
}

function backendOf(place: string, entry: Readonly<Record<string, unknown>>): BackendInit {
  checkKeys(place, entry, KEYS);
  // `checkBackend` looks at what the type promises; an address of another kind would be none that can be published.
  if (typeof entry['address'] !== 'string') throw new BackendFileError(`${place}: "address" must be text, not ${kindOf(entry['address'])}`);
  return entry as unknown as BackendInit;
}

function readLines(text: string, collector: Collector): void {
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    const hash = line.search(COMMENT);
    const address = (hash < 0 ? line : line.slice(0, hash)).trim();
    if (address !== '') collector.add(`line ${number}`, { address });
  }
  if (collector.backends.length === 0) throw new BackendFileError('there is no backend in it; write { "backends": [] } if there are none');
}

function shortened(reason: string): string {
  return reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason;
}

function checkKeys(place: string, value: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  for (const key of Object.keys(value))
    if (!known.includes(key))
      throw new BackendFileError(`${place} cannot have ${JSON.stringify(key.slice(0, 100))}; it knows ${known.join(', ')}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
