/**
 * A second reading of RFC 9112, written to be obvious and nothing else: the whole input as one string, regular expressions, no limits but the
 * defaults. The decoder must agree with it on every input that ends where it ends.
 */
import { isIPv6 } from 'node:net';
import { mayBeTrailer, wellKnownId } from '@ferrata/headers';
import type { Fields } from './decoding.ts';

export interface NaiveRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Fields;
  readonly body: string;
  readonly trailers: Fields | null;
}

/** @returns complete requests, and whether the input is valid to its end */
export function parseNaively(input: string): { readonly requests: NaiveRequest[]; readonly isValid: boolean } {
  const requests: NaiveRequest[] = [];
  let rest = input;
  for (;;) {
    const start = /^(?:\r\n){0,4}/.exec(rest)?.[0].length ?? 0;
    rest = rest.slice(start);
    if (rest === '' || (rest === '\r' && start < 8)) return { requests, isValid: true };
    const head =
      /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x22\x24-\x7e]{1,8192}) HTTP\/1\.([0-9])\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}:[\t\x20-\x7e\x80-\xff]*\r\n){0,100})\r\n/.exec(
        rest,
      );
    if (head === null) return { requests, isValid: false };
    const [whole, method = '', target = '', minor = '', lines = ''] = head;
    rest = rest.slice(whole.length);
    const headers = fieldsIn(lines);
    const isOld = minor === '0';
    const length = isTargetValid(method, target) && isHostValid(headers, isOld) ? lengthOf(method, headers, isOld) : null;
    if (length === null) return { requests, isValid: false };
    const body = length === 'chunked' ? chunkedBody(rest) : plainBody(rest, length);
    if (body === null) return { requests, isValid: false };
    rest = rest.slice(body.byteLength);
    requests.push({ method, target, headers, body: body.data, trailers: body.trailers });
    if (!staysOpen(headers, isOld)) return { requests, isValid: true };
  }
}

interface NaiveBody {
  readonly data: string;
  readonly byteLength: number;
  readonly trailers: Fields | null;
}

function fieldsIn(lines: string): Fields {
  return lines
    .split('\r\n')
    .slice(0, -1)
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).replace(/^[ \t]+|[ \t]+$/g, '')] as const);
}

function valuesOf(headers: Fields, name: string): string[] {
  return headers.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value);
}

function listOf(headers: Fields, name: string): string[] {
  return valuesOf(headers, name).flatMap((value) => value.split(',').map((item) => item.trim().toLowerCase()));
}

const AUTHORITY = /^(?:\[([0-9a-f:.]+)\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::([0-9]*))?$/i;

function isAuthority(text: string): boolean {
  const found = AUTHORITY.exec(text);
  return found !== null && Number(found[2] ?? 0) <= 65_535 && (found[1] === undefined || isIPv6(found[1]));
}

function isTargetValid(method: string, target: string): boolean {
  if (method === 'CONNECT') return isAuthority(target) && Number(/:([0-9]+)$/.exec(target)?.[1] ?? 0) > 0;
  if (target.startsWith('/')) return true;
  if (target === '*') return method === 'OPTIONS';
  const absolute = /^https?:\/\/([^/?]*)/i.exec(target);
  return absolute !== null && isAuthority(absolute[1] as string);
}

function isHostValid(headers: Fields, isOld: boolean): boolean {
  const hosts = valuesOf(headers, 'host');
  if (hosts.length === 0) return isOld;
  return hosts.length === 1 && isAuthority(hosts[0] as string);
}

function lengthOf(method: string, headers: Fields, isOld: boolean): number | 'chunked' | null {
  const lengths = valuesOf(headers, 'content-length');
  const codings = valuesOf(headers, 'transfer-encoding');
  if (codings.length > 0)
    return lengths.length === 0 && !isOld && codings.length === 1 && codings[0]?.toLowerCase() === 'chunked' && method !== 'CONNECT'
      ? 'chunked'
      : null;
  if (lengths.length === 0) return 0;
  if (lengths.length > 1 || !/^[0-9]+$/.test(lengths[0] as string)) return null;
  const length = Number(lengths[0]);
  return Number.isSafeInteger(length) && (method !== 'CONNECT' || length === 0) ? length : null;
}

function plainBody(rest: string, length: number): NaiveBody | null {
  return rest.length < length ? null : { data: rest.slice(0, length), byteLength: length, trailers: null };
}

const TCHAR = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const QUOTED = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t \\x20-\\x7e\\x80-\\xff])*"';
const CHUNK_LINE = new RegExp(`^([0-9A-Fa-f]{1,16})((?:[ \\t]*;[ \\t]*${TCHAR}(?:[ \\t]*=[ \\t]*(?:${TCHAR}|${QUOTED}))?)*)\\r\\n`);
const TRAILERS = /^((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}:[\t\x20-\x7e\x80-\xff]*\r\n){0,32})\r\n/;

function chunkedBody(rest: string): NaiveBody | null {
  let data = '';
  let at = 0;
  for (;;) {
    const line = CHUNK_LINE.exec(rest.slice(at));
    if (line === null || line[0].length > 258) return null;
    at += line[0].length;
    const size = Number.parseInt(line[1] as string, 16);
    if (size === 0) break;
    if (!Number.isSafeInteger(size) || rest.slice(at + size, at + size + 2) !== '\r\n') return null;
    data += rest.slice(at, at + size);
    at += size + 2;
  }
  const section = TRAILERS.exec(rest.slice(at));
  if (section === null) return null;
  const trailers = fieldsIn(section[1] as string).filter(([name]) => mayBeTrailer(wellKnownId(name)));
  return { data, byteLength: at + section[0].length, trailers: trailers.length === 0 ? null : trailers };
}

function staysOpen(headers: Fields, isOld: boolean): boolean {
  const options = listOf(headers, 'connection');
  return isOld ? options.includes('keep-alive') && !options.includes('close') : !options.includes('close');
}
