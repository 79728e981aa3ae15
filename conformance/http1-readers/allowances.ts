/**
 * What each reader refuses or changes of valid requests, by its own documentation or by what it was seen to do: everything that is allowed to be
 * different at the origin. An allowance that no input of a full run needs is an error.
 */
import type { FieldPair, RecordedRequest } from '../rig/recording-origin.ts';
import type { SentHead } from './forwarding-proxy.ts';
import type { ReaderName } from './reader-program.ts';

/** A request that a reader must see. */
export interface ExpectedRequest extends SentHead {
  readonly body: string;
  readonly trailers: readonly FieldPair[];
  /** The fields as the client sent them, those of the hop included. */
  readonly asked: readonly FieldPair[];
}

/** A difference with its reason, in words that the run prints. */
export interface Allowance {
  readonly reader: ReaderName;
  readonly reason: string;
}

interface Refusal extends Allowance {
  readonly matches: (request: ExpectedRequest) => boolean;
}

interface FieldChange extends Allowance {
  readonly matches: (field: FieldPair) => boolean;
}

/** Fields between two neighbours and of the framing: each hop writes its own. */
const OWN_OF_HOP: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'te',
  'upgrade',
  'expect',
]);

/** Fields that nginx 1.22 refuses in two lines, beside those of the framing and Host, which we refuse too. */
const NGINX_ONCE = [
  'authorization',
  'content-range',
  'expect',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
];

/** Valid requests that a reader refuses itself: nothing of them reaches the origin. */
export const REFUSALS: readonly Refusal[] = [
  {
    reader: 'nginx',
    reason: 'a method is made of A to Z, _ and -: other tokens get 400',
    matches: ({ method }) => !/^[A-Z_-]+$/.test(method),
  },
  { reader: 'nginx', reason: 'the target * gets 400', matches: ({ target }) => target === '*' },
  {
    reader: 'nginx',
    reason: 'a path with % but without two hexadecimal digits behind it gets 400, and so does %00',
    matches: ({ target }) => /%(?![0-9a-fA-F]{2})|%00/.test(pathOf(target)),
  },
  { reader: 'nginx', reason: 'a path whose .. climbs above the root gets 400', matches: ({ target }) => climbs(pathOf(target)) },
  {
    reader: 'nginx',
    reason: 'a Host with an empty label gets 400',
    matches: ({ fields }) => valuesOf(fields, 'host').some((host) => host.includes('..')),
  },
  {
    reader: 'nginx',
    reason: 'two lines of a field that may stand once (Authorization, Content-Range, Expect, If-…) get 400',
    matches: ({ asked }) => NGINX_ONCE.some((name) => valuesOf(asked, name).length > 1),
  },
  { reader: 'haproxy', reason: 'the method PRI is kept for the preface of HTTP/2', matches: ({ method }) => method === 'PRI' },
  {
    reader: 'haproxy',
    reason: 'an upgrade to websocket without Sec-WebSocket-Key gets 400',
    matches: ({ asked }) => valuesOf(asked, 'upgrade').includes('websocket') && valuesOf(asked, 'sec-websocket-key').length === 0,
  },
];

/** Valid fields of responses that a reader drops. */
const DROPPED_OF_RESPONSES: readonly FieldChange[] = [
  {
    reader: 'nginx',
    reason: 'a field of a response whose name has no letter, digit, hyphen or underscore is dropped',
    matches: ([name]) => /^[^a-z0-9_-]+$/.test(name),
  },
];

/** What nginx 1.22 cannot read at all: such inputs are not put to it. */
export const NO_INTERIM: Allowance = { reader: 'nginx', reason: 'an interim response is taken for the final one: not asked' };

/** What haproxy does with blanks before the words of a reason. */
export const TRIMMED_REASON: Allowance = { reader: 'haproxy', reason: 'blanks at the beginning of a reason phrase are dropped' };

/** What nginx does with every trailer section, of a request and of a response. */
export const NO_TRAILERS: Allowance = { reader: 'nginx', reason: 'trailers are read and dropped' };

/** All of them. */
export const ALLOWANCES: readonly Allowance[] = [...REFUSALS, ...DROPPED_OF_RESPONSES, NO_TRAILERS, NO_INTERIM, TRIMMED_REASON];

/** @returns why a reader may refuse a request, or null */
export function refusalBy(reader: ReaderName, request: ExpectedRequest): Allowance | null {
  return REFUSALS.find((refusal) => refusal.reader === reader && refusal.matches(request)) ?? null;
}

/** @returns in what way a reader saw another request, or null */
export function requestDifference(
  reader: ReaderName,
  expected: ExpectedRequest,
  seen: RecordedRequest,
  use: (allowance: Allowance) => void,
): string | null {
  if (seen.method !== expected.method) return `method ${JSON.stringify(seen.method)}`;
  if (seen.target !== expected.target) return `target ${JSON.stringify(seen.target)}`;
  if (seen.body !== expected.body)
    return `body ${JSON.stringify(seen.body.slice(0, 200))} of ${JSON.stringify(expected.body.slice(0, 200))}`;
  return fieldDifference('fields', expected.fields, seen.fields) ?? trailerDifference(reader, expected.trailers, seen.trailers, use);
}

/** The same for trailers. */
export function trailerDifference(
  reader: ReaderName,
  expected: readonly FieldPair[],
  seen: readonly FieldPair[],
  use: (allowance: Allowance) => void,
): string | null {
  if (reader !== NO_TRAILERS.reader || expected.length === 0) return fieldDifference('trailers', expected, seen);
  use(NO_TRAILERS);
  return seen.length === 0 ? null : `trailers ${JSON.stringify(seen)}`;
}

/** The same for reason phrases. */
export function reasonDifference(reader: ReaderName, expected: string, seen: string, use: (allowance: Allowance) => void): string | null {
  if (seen === expected) return null;
  if (reader !== TRIMMED_REASON.reader || seen !== expected.trimStart())
    return `reason ${JSON.stringify(seen)} of ${JSON.stringify(expected)}`;
  use(TRIMMED_REASON);
  return null;
}

/** The same for the fields of responses. */
export function responseFieldDifference(
  reader: ReaderName,
  expected: readonly FieldPair[],
  seen: readonly FieldPair[],
  use: (allowance: Allowance) => void,
): string | null {
  const kept = expected.filter((field) => {
    const drop = DROPPED_OF_RESPONSES.find((change) => change.reader === reader && change.matches(field));
    if (drop !== undefined) use(drop);
    return drop === undefined;
  });
  return fieldDifference('fields', kept, seen);
}

/** Compares in order, without the fields of the hop; Host may move. */
function fieldDifference(what: string, expected: readonly FieldPair[], seen: readonly FieldPair[]): string | null {
  const [a, b] = [expected, seen].map((fields) => JSON.stringify(endToEnd(fields)));
  return a === b ? null : `${what} ${String(b)} of ${String(a)}`;
}

function endToEnd(fields: readonly FieldPair[]): readonly FieldPair[] {
  const isHost = ([name]: FieldPair): boolean => name === 'host';
  return [...fields.filter(isHost), ...fields.filter((field) => !isHost(field) && !OWN_OF_HOP.has(field[0]))];
}

function valuesOf(fields: readonly FieldPair[], name: string): readonly string[] {
  return fields.filter(([one]) => one === name).map(([, value]) => value.toLowerCase());
}

function pathOf(target: string): string {
  return target.split('?', 1)[0] as string;
}

function climbs(path: string): boolean {
  let depth = 0;
  for (const segment of path.replaceAll(/%2e/gi, '.').replaceAll(/%2f/gi, '/').split('/').slice(1)) {
    depth += segment === '..' ? -1 : segment === '.' ? 0 : 1;
    if (depth < 0) return true;
  }
  return false;
}
