/** How requests are shared out among origins, as a command line or a route file says it: parsed into plain data, which goes to every thread. */
import { parseCount } from './parse-options.ts';
import { parseTime } from './parse-time.ts';
import { UsageError } from './usage-error.ts';

/** The names that `--lb` knows. */
export const algorithmNames = ['round-robin', 'random', 'least-requests', 'p2c', 'ewma', 'ketama', 'maglev', 'bounded', 'hash'] as const;
export type AlgorithmName = (typeof algorithmNames)[number];

/** What was said; of what was not, the default holds. Times in milliseconds. */
export interface LoadBalancing {
  /** Default `round-robin`. */
  readonly algorithm?: AlgorithmName;
  /** `ip`, `uri`, `path`, `header:NAME`, `cookie:NAME` or `query:NAME`. Default `uri`, where the algorithm asks for one. */
  readonly key?: string;
  /** The name of a cookie that leads clients back. Default: none is set. */
  readonly sticky?: string;
  /** `tcp`, `grpc`, or a path to ask for. Default: no checks. */
  readonly health?: string;
  readonly healthIntervalMs?: number;
  readonly healthTimeoutMs?: number;
  /** Numbers and ranges. Default 200 to 399. */
  readonly healthStatuses?: readonly string[];
  /** Passive health by answers, too. Default: an origin is passed over for a second when it cannot be connected to. */
  readonly hasOutliers?: boolean;
  readonly slowStartMs?: number;
}

/** The same as it is written. */
export interface WrittenBalancing {
  readonly lb?: string | undefined;
  readonly 'lb-key'?: string | undefined;
  readonly sticky?: string | undefined;
  readonly health?: string | undefined;
  readonly 'health-interval'?: string | undefined;
  readonly 'health-timeout'?: string | undefined;
  readonly 'health-status'?: string | undefined;
  readonly outliers?: boolean | undefined;
  readonly 'slow-start'?: string | undefined;
}

const USUAL_COOKIE = 'ferrata-backend';
const keyed: ReadonlySet<AlgorithmName> = new Set(['ketama', 'maglev', 'bounded', 'hash']);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** The algorithm goes by keys. */
export function isKeyed(algorithm: AlgorithmName): boolean {
  return keyed.has(algorithm);
}

/** @returns undefined: nothing was said @throws {UsageError} with what to write */
export function parseLoadBalancing(written: WrittenBalancing): LoadBalancing | undefined {
  const { lb, 'lb-key': key, sticky, health, outliers = false } = written;
  const algorithm = lb === undefined ? undefined : algorithmOf(lb);
  if (key !== undefined) checkKey(key);
  if (key !== undefined && algorithm !== undefined && !isKeyed(algorithm))
    throw new UsageError(`--lb-key ${key}: --lb ${algorithm} goes by no key; write --lb ketama, maglev, bounded or hash with it`);
  const { 'health-interval': interval, 'health-timeout': timeout, 'health-status': statuses, 'slow-start': slowStart } = written;
  if (health !== undefined) checkHealth(health);
  for (const [name, value] of Object.entries({ 'health-interval': interval, 'health-timeout': timeout, 'health-status': statuses }))
    if (value !== undefined && health === undefined) throw new UsageError(`--${name} is for checks; write --health /path with it`);
  if (statuses !== undefined && health !== undefined && !health.startsWith('/'))
    throw new UsageError(`--health-status is for checks by HTTP, and --health ${health} asks for no status`);
  if (sticky !== undefined && sticky !== '' && !TOKEN.test(sticky)) throw new UsageError(`--sticky=${sticky}: that is no name of a cookie`);
  const said: LoadBalancing = {
    ...(algorithm === undefined ? {} : { algorithm }),
    ...(key === undefined ? {} : { key }),
    ...(sticky === undefined ? {} : { sticky: sticky === '' ? USUAL_COOKIE : sticky }),
    ...(health === undefined ? {} : { health }),
    ...(interval === undefined ? {} : { healthIntervalMs: Math.max(10, parseTime('--health-interval', interval, 0)) }),
    ...(timeout === undefined ? {} : { healthTimeoutMs: parseTime('--health-timeout', timeout, 0) }),
    ...(statuses === undefined ? {} : { healthStatuses: statusesOf(statuses) }),
    ...(outliers ? { hasOutliers: true } : {}),
    ...(slowStart === undefined ? {} : { slowStartMs: parseTime('--slow-start', slowStart, 0) }),
  };
  return Object.keys(said).length === 0 ? undefined : said;
}

/** The weight of an origin. @throws {UsageError} */
export function parseWeight(option: string, text: string): number {
  return parseCount(option, text, { fallback: 1, least: 0, most: 65_535 });
}

function algorithmOf(text: string): AlgorithmName {
  const found = algorithmNames.find((name) => name === text);
  if (found === undefined) throw new UsageError(`--lb ${text}: write one of ${algorithmNames.join(', ')}`);
  return found;
}

function checkKey(text: string): void {
  const [, kind = '', , name] = /^([a-z]+)(:(.*))?$/s.exec(text) ?? [];
  const isPlain = (kind === 'ip' || kind === 'uri' || kind === 'path') && name === undefined;
  const isNamed = (kind === 'header' || kind === 'cookie') && name !== undefined && TOKEN.test(name);
  if (!isPlain && !isNamed && !(kind === 'query' && name !== undefined && name !== ''))
    throw new UsageError(`--lb-key ${text}: write ip, uri, path, header:NAME, cookie:NAME or query:NAME`);
}

function checkHealth(text: string): void {
  if (text !== 'tcp' && text !== 'grpc' && !/^\/[\x21-\x7e]*$/.test(text))
    throw new UsageError(`--health ${text}: write a path to ask for, such as /healthz, or tcp, or grpc`);
}

function statusesOf(text: string): readonly string[] {
  const parts = text.split(',').map((part) => part.trim());
  for (const part of parts) {
    const [, from = '', , to = from] = /^([1-5]\d\d)(-([1-5]\d\d))?$/.exec(part) ?? [];
    if (from === '' || Number(from) > Number(to))
      throw new UsageError(`--health-status ${text}: write statuses and ranges of them, such as 200-399 or 200,204`);
  }
  return parts;
}
