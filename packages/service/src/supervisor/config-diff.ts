/**
 * What changed between two configurations, as lines for the operator.
 *
 * ```
 *  upstream.hosts[1]: "a" → "b"
 *  threads: (none) → 4
 *  tls.password: *** → ***
 * ```
 * Values under keys that sound like secrets are not shown, nor passwords in URLs; long values and long lists are cut.
 */
import { isDeepStrictEqual } from 'node:util';

/** How much is told. */
export interface ConfigDiffOptions {
  /** Lines at most; one more says that there are more changes. Default 100. */
  readonly maxLines?: number;
  /** Characters of one value at most. Default 80. */
  readonly maxValueLength?: number;
}

/** Deeper data is compared as a whole: circles end here. */
const MAX_DEPTH = 32;

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

/** Compares two configurations of plain data. Total: any values may come. */
export function diffConfigs(before: unknown, after: unknown, options: ConfigDiffOptions = {}): readonly string[] {
  const { maxLines = 100, maxValueLength = 80 } = options;
  const lines: string[] = [];
  const compare = (path: string, a: unknown, b: unknown, isSecret: boolean, depth: number): void => {
    if (lines.length > maxLines || Object.is(a, b)) return;
    if (depth < MAX_DEPTH && isRecord(a) && isRecord(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
        compare(memberPath(path, key), own(a, key), own(b, key), isSecret || isSecretKey(key), depth + 1);
      }
    } else if (depth < MAX_DEPTH && Array.isArray(a) && Array.isArray(b)) {
      for (let index = 0; index < Math.max(a.length, b.length); index++) {
        compare(`${path}[${index}]`, a[index], b[index], isSecret, depth + 1);
      }
    } else if (!isDeepStrictEqual(a, b)) {
      lines.push(`${path === '' ? 'configuration' : path}: ${shown(a, isSecret, maxValueLength)} → ${shown(b, isSecret, maxValueLength)}`);
    }
  };
  compare('', before, after, false, 0);
  return lines.length > maxLines ? [...lines.slice(0, maxLines), 'and more'] : lines;
}

/** Whether a key sounds like a secret: one of the words that it is made of (`clientSecret`, `API_KEY`, `token`). */
function isSecretKey(key: string): boolean {
  const words = key.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').split(/[^A-Za-z0-9]+/);
  return words.some((word) => secretWords.has(word.toLowerCase()));
}

function memberPath(path: string, key: string): string {
  if (!/^[\w$-]{1,100}$/.test(key)) return `${path}[${cut(JSON.stringify(key), 100)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function shown(value: unknown, isSecret: boolean, maxLength: number): string {
  if (value === undefined) return '(none)';
  return isSecret ? HIDDEN : cut(textOfValue(value, 0), maxLength);
}

/** Like JSON, without secrets, and without all of what is large. */
function textOfValue(value: unknown, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(hideUserInfo(value.slice(0, 4_096)));
  if (typeof value === 'object' && value !== null) {
    if (depth > 4) return '…';
    if (Array.isArray(value))
      return `[${value
        .slice(0, 32)
        .map((item) => textOfValue(item, depth + 1))
        .join(',')}]`;
    if (!isRecord(value)) return value instanceof Date ? String(value) : `(${Object.prototype.toString.call(value).slice(8, -1)})`;
    const members = Object.keys(value)
      .slice(0, 32)
      .map((key) => `${JSON.stringify(key.slice(0, 100))}:${isSecretKey(key) ? HIDDEN : textOfValue(value[key], depth + 1)}`);
    return `{${members.join(',')}}`;
  }
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

/** `redis://user:password@host`. */
function hideUserInfo(text: string): string {
  return text.replaceAll(/(\/\/[^/:@\s]*):[^/@\s]+@/g, `$1:${HIDDEN}@`);
}

function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function own(record: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
