/**
 * What a request can be sent by: functions that read a key out of it, for consistent hashing and the like.
 *
 * Rules:
 * - A key is text; null: the request has none, and the algorithm goes by chance or by turns. Empty text is no key, or all that say nothing would go to one backend.
 * - The same client has the same key on each of its connections: the port of its address is never part of it.
 * - Nothing is made but the text. What a peer sends is gone over once.
 */

import { checkWholeNumber } from '@ferrata/error';
import { isFieldName, isToken, KnownHeader, type ReadonlyHeaderMap, type ReadonlyRequestHead, wellKnownId } from '@ferrata/headers';
import type { StreamInfo } from '@ferrata/stream';
import { endOfCookie, findCookie } from './cookie-line.ts';
import { Ipv6Prefix } from './ipv6-prefix.ts';

/** Where a key is read from. The session of a proxy is one. */
export interface KeySource {
  readonly request: ReadonlyRequestHead;
  /** The client's connection. */
  readonly client: Pick<StreamInfo, 'remoteAddress'>;
}

/** Reads a key. */
export type RequestKey = (source: KeySource) => string | null;

/** Options of `sourceIpKey`. */
export interface SourceIpKeyOptions {
  /**
   * Leading bits of an IPv6 address that count, 1 to 128. Default 128. With 64 a host that changes its address within its network (RFC 8981) keeps its backend, and all
   * hosts of a network share one.
   */
  readonly ipv6PrefixLength?: number;
}

/** Options of `queryKey`. */
export interface QueryKeyOptions {
  /**
   * Names and values are read as a form writes them: `+` is a blank, `%41` is `A`. Default false: they count as they are written, which is faster, and makes `a%41` and `aA`
   * two keys.
   */
  readonly decode?: boolean;
}

/** `::ffff:192.0.2.1` is 192.0.2.1, as a listener for both families writes it (RFC 4291 §2.5.5.2). */
const MAPPED = '::ffff:';

/**
 * The client's address without the port; null if it has none, as on a Unix socket. If a trusted proxy has named the client, that one.
 *
 * @throws {RangeError} when `ipv6PrefixLength` is out of range
 */
export function sourceIpKey(options: SourceIpKeyOptions = {}): RequestKey {
  const bits = checkWholeNumber('ipv6PrefixLength', options.ipv6PrefixLength ?? 128, { min: 1, max: 128 });
  const prefix = bits === 128 ? null : new Ipv6Prefix(bits);
  return ({ client }) => {
    const { remoteAddress } = client;
    if (remoteAddress.kind !== 'ip') return null;
    const { host } = remoteAddress;
    if (!host.includes(':')) return textOrNull(host);
    if (host.startsWith(MAPPED) && host.includes('.')) return host.slice(MAPPED.length);
    return prefix === null ? host : prefix.of(host);
  };
}

/** The target as it is written, without scheme and host if it has them: the path with its query. */
export function uriKey(): RequestKey {
  return ({ request: { target } }) => textOrNull(target.slice(startOfPath(target)));
}

/** The path as it is written, without the query. */
export function pathKey(): RequestKey {
  return ({ request: { target } }) => {
    const start = startOfPath(target);
    const end = target.indexOf('?', start);
    return textOrNull(end < 0 ? target.slice(start) : target.slice(start, end));
  };
}

/**
 * The value of a field; of several lines the first.
 *
 * @throws {TypeError} when the name is none that a field can have
 */
export function headerKey(name: string): RequestKey {
  if (!isFieldName(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a field`);
  const id = wellKnownId(name);
  if (id === 0) return ({ request }) => textOrNull(request.headers.get(name));
  return ({ request }) => textOrNull(request.headers.getKnown(id));
}

/**
 * The value of a cookie as it is written; of several the first, which is the one with the most specific path.
 *
 * @throws {TypeError} when the name is none that a cookie can have
 * @see RFC 6265 §4.2
 */
export function cookieKey(name: string): RequestKey {
  if (!isToken(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a cookie`);
  return ({ request: { headers } }) => firstCookie(headers, name);
}

/**
 * The value of a parameter of the query; of several the first.
 *
 * @throws {TypeError} when the name is no text, or empty, or `decode` is neither true nor false
 * @see https://url.spec.whatwg.org/#urlencoded-parsing
 */
export function queryKey(name: string, options: QueryKeyOptions = {}): RequestKey {
  const { decode = false } = options;
  if (typeof name !== 'string' || name === '') throw new TypeError('the name of a parameter must be text that is not empty');
  if (typeof decode !== 'boolean') throw new TypeError(`decode must be true or false, not ${String(decode)}`);
  return decode ? ({ request: { target } }) => decodedParameter(target, name) : ({ request: { target } }) => plainParameter(target, name);
}

/**
 * Several keys as one, a line each: no field, path or cookie can have a line break, and only a decoded parameter can, so that no two lists make the same key. Null if one of
 * them is.
 *
 * @throws {TypeError} when there is none, or one is no function
 */
export function joinKeys(...keys: readonly RequestKey[]): RequestKey {
  checkKeys('joinKeys', keys);
  return (source) => {
    let all = '';
    for (let index = 0; index < keys.length; index++) {
      const key = (keys[index] as RequestKey)(source);
      if (key === null) return null;
      all = index === 0 ? key : `${all}\n${key}`;
    }
    return all;
  };
}

/**
 * The first key that the request has: a cookie, say, else the address.
 *
 * @throws {TypeError} when there is none, or one is no function
 */
export function firstKey(...keys: readonly RequestKey[]): RequestKey {
  checkKeys('firstKey', keys);
  return (source) => {
    for (const read of keys) {
      const key = read(source);
      if (key !== null) return key;
    }
    return null;
  };
}

function checkKeys(what: string, keys: readonly RequestKey[]): void {
  if (keys.length === 0) throw new TypeError(`${what} needs at least one key`);
  for (const key of keys) if (typeof key !== 'function') throw new TypeError(`a key of ${what} must be a function`);
}

function textOrNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}

/** `http://host/path` has its path behind the host (RFC 9112 §3.2.2); `host:port` and `*` have none, and count as a whole. */
function startOfPath(target: string): number {
  if (target.startsWith('/')) return 0;
  const scheme = target.indexOf('://');
  if (scheme < 0) return 0;
  // The host ends at the first of the two; a path may be missing before a query.
  const slash = target.indexOf('/', scheme + 3);
  const mark = target.indexOf('?', scheme + 3);
  if (slash < 0) return mark < 0 ? target.length : mark;
  return mark >= 0 && mark < slash ? mark : slash;
}

function firstCookie(headers: ReadonlyHeaderMap, name: string): string | null {
  // HTTP/2 may carry each cookie in a line of its own (RFC 9113 §8.2.3).
  for (let index = headers.indexOfKnown(KnownHeader.cookie); index >= 0; index = headers.indexOfKnown(KnownHeader.cookie, index + 1)) {
    const line = headers.valueAt(index);
    const start = findCookie(line, name, 0);
    if (start >= 0) return textOrNull(line.slice(start, endOfCookie(line, start)));
  }
  return null;
}

function plainParameter(target: string, name: string): string | null {
  const mark = target.indexOf('?');
  let at = mark < 0 ? target.length : mark + 1;
  while (at < target.length) {
    const next = target.indexOf('&', at);
    const end = next < 0 ? target.length : next;
    if (target.startsWith(name, at)) {
      const behind = at + name.length;
      if (behind === end) return null;
      if (target[behind] === '=') return textOrNull(target.slice(behind + 1, end));
    }
    at = end + 1;
  }
  return null;
}

function decodedParameter(target: string, name: string): string | null {
  const mark = target.indexOf('?');
  let at = mark < 0 ? target.length : mark + 1;
  while (at < target.length) {
    const next = target.indexOf('&', at);
    const end = next < 0 ? target.length : next;
    // Not `indexOf`: without an equals sign it would look to the end of the target for each parameter.
    let equals = at;
    while (equals < end && target[equals] !== '=') equals++;
    // A letter is written in one to three characters for each of its bytes: what is shorter or longer needs no decoding to be another name.
    if (equals - at >= name.length && equals - at <= name.length * 9 && decodeForm(target.slice(at, equals)) === name)
      return textOrNull(decodeForm(target.slice(equals + 1, end)));
    at = end + 1;
  }
  return null;
}

/** What is no UTF-8, or no percent-encoding, counts as it is written: a key has to be the same each time, no more. */
function decodeForm(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return text;
  }
}
