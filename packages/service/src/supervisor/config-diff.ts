/**
 * What changed between two configurations, as lines for the operator.
 *
 * ```
 *  upstream.hosts[1]: "a" → "b"
 *  threads: (none) → 4
 *  tls.password: *** → ***
 * ```
 * Values under keys that sound like secrets are not shown, nor passwords in URLs; long values and long lists are cut.
 *
 * A value may stand in many places of a configuration at once (an anchor of YAML, say), and such values may hold others: written out, a file of a few hundred bytes can
 * have 2³² values. So a pair of values in which nothing has changed is compared once, wherever it stands.
 */
import { isDeepStrictEqual } from 'node:util';
import { serialize } from 'node:v8';

/** How much is told. */
export interface ConfigDiffOptions {
  /** Lines at most; one more says that there are more changes. Default 100. */
  readonly maxLines?: number;
  /** Characters of one value at most. Default 80. */
  readonly maxValueLength?: number;
}

type Members = Readonly<Record<string, unknown>>;

/** From a value to one of its members. */
interface Step {
  readonly key: string;
  readonly isOfArray: boolean;
}

/** Deeper data is compared as a whole. */
const MAX_DEPTH = 32;

/** In the place of a value that is not there; `undefined` is one that is. */
const NONE = Symbol('none');

const HIDDEN = '***';

/** Words of a key whose value is nobody's business. */
const secretWords: ReadonlySet<string> = new Set([
  'password',
  'passwords',
  'passwd',
  'passphrase',
  'pass',
  'pwd',
  'secret',
  'secrets',
  'token',
  'tokens',
  'key',
  'keys',
  'apikey',
  'privatekey',
  'credential',
  'credentials',
  'authorization',
  'cookie',
]);

/** Compares two configurations of plain data. Total: any values may come. @returns no line only if nothing has changed */
export function diffConfigs(before: unknown, after: unknown, options: ConfigDiffOptions = {}): readonly string[] {
  const { maxLines = 100, maxValueLength = 80 } = options;
  const lines: string[] = [];
  const place: Step[] = [];
  /** Pairs in which nothing has changed, and those that are being compared: circles end there. */
  const alike = new Map<object, Set<object>>();
  const compare = (a: unknown, b: unknown): void => {
    if (lines.length > maxLines || Object.is(a, b)) return;
    if (place.length === MAX_DEPTH || !hasMembers(a) || !hasMembers(b) || Array.isArray(a) !== Array.isArray(b)) {
      if (!isSameWhole(a, b)) lines.push(lineOf(place, a, b, maxValueLength));
      return;
    }
    const partners = alike.get(a) ?? new Set();
    if (partners.has(b)) return;
    alike.set(a, partners.add(b));
    const lineCount = lines.length;
    const isOfArray = Array.isArray(a);
    for (const key of [...Object.keys(a), ...Object.keys(b).filter((other) => !Object.hasOwn(a, other))]) {
      place.push({ key, isOfArray });
      compare(own(a, key), own(b, key));
      place.pop();
    }
    // Told of again where it stands again; the number of lines is the limit of that.
    if (lines.length > lineCount) partners.delete(b);
  };
  compare(before, after);
  return lines.length > maxLines ? [...lines.slice(0, maxLines), 'and more'] : lines;
}

function lineOf(place: readonly Step[], before: unknown, after: unknown, maxValueLength: number): string {
  const isSecret = place.some(({ key }) => isSecretKey(key));
  const path = place.reduce(memberPath, '') || 'configuration';
  return `${path}: ${shown(before, isSecret, maxValueLength)} → ${shown(after, isSecret, maxValueLength)}`;
}

/** Compares what is not walked through, by what it is written as: in linear time, whatever it holds how often. */
function isSameWhole(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  try {
    return serialize(a).equals(serialize(b));
  } catch {
    // A key of `node:crypto`, say: threads can have it, but it cannot be written.
    return isDeepStrictEqual(a, b);
  }
}

/** Whether a key sounds like a secret: one of the words that it is made of (`clientSecret`, `API_KEY`, `token`). */
function isSecretKey(key: string): boolean {
  const words = key.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').split(/[^A-Za-z0-9]+/);
  return words.some((word) => secretWords.has(word.toLowerCase()));
}

function memberPath(path: string, { key, isOfArray }: Step): string {
  if (isOfArray && /^\d+$/.test(key)) return `${path}[${key}]`;
  if (!/^[\w$-]{1,100}$/.test(key)) return `${path}[${cut(JSON.stringify(key), 100)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function shown(value: unknown, isSecret: boolean, maxLength: number): string {
  if (value === NONE) return '(none)';
  return isSecret ? HIDDEN : cut(textOfValue(value, maxLength), maxLength);
}

/** Like JSON, without secrets, and without what would be cut off. */
function textOfValue(value: unknown, maxLength: number): string {
  let text = '';
  const write = (item: unknown, depth: number): void => {
    if (typeof item === 'string') text += JSON.stringify(hideUserInfo(item.slice(0, 4_096)));
    else if (typeof item === 'bigint') text += `${item}n`;
    else if (typeof item !== 'object' || item === null) text += String(item);
    else if (depth > 4) text += '…';
    else if (Array.isArray(item)) {
      text += '[';
      for (const [index, member] of item.slice(0, 32).entries()) {
        if (text.length > maxLength) break;
        if (index > 0) text += ',';
        write(member, depth + 1);
      }
      text += ']';
    } else if (isRecord(item)) {
      text += '{';
      for (const [index, key] of Object.keys(item).slice(0, 32).entries()) {
        if (text.length > maxLength) break;
        text += `${index > 0 ? ',' : ''}${JSON.stringify(key.slice(0, 100))}:`;
        if (isSecretKey(key)) text += HIDDEN;
        else write(item[key], depth + 1);
      }
      text += '}';
    } else text += item instanceof Date ? String(item) : `(${Object.prototype.toString.call(item).slice(8, -1)})`;
  };
  write(value, 0);
  return text;
}

/** `redis://user:password@host`. */
function hideUserInfo(text: string): string {
  return text.replaceAll(/(\/\/[^/:@\s]*):[^/@\s]+@/g, `$1:${HIDDEN}@`);
}

function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
}

/** A record or an array: what is walked through. */
function hasMembers(value: unknown): value is Members {
  return Array.isArray(value) || isRecord(value);
}

function isRecord(value: unknown): value is Members {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function own(members: Members, key: string): unknown {
  return Object.hasOwn(members, key) ? members[key] : NONE;
}
