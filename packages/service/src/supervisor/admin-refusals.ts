/**
 * What the admin endpoint refuses before it looks at what is asked for.
 *
 * Only processes of this machine reach it, but a browser is one of them, and does what any page on the web tells it: a page may send requests to `http://127.0.0.1:port`
 * (CSRF), or have its own name resolve to 127.0.0.1 and then read the answers as well (DNS rebinding). Browsers say by themselves where a request comes from (`Origin`,
 * `Sec-Fetch-*`; a page cannot take them away), no page can send `Content-Type: application/json` to another origin without asking first by OPTIONS, which is answered 405,
 * and a rebound name is in Host.
 */
import type { ServerExchange } from '@ferrata/http';
import { isLoopbackHost } from '../loopback.ts';

/** Bodies of at most so many bytes are read. */
export const MAX_BODY_BYTES = 1_024;

/** Why a request is not looked at any further. */
export interface AdminRefusal {
  readonly status: 400 | 403 | 404 | 405 | 413 | 415;
  readonly why: string;
  /** With 405: the methods that there are. */
  readonly allow?: string;
}

/** @returns null for a request that may be looked at */
export function refusalOf(exchange: ServerExchange): AdminRefusal | null {
  const { headers, method } = exchange.request;
  if (!isLoopbackName(headers.getAll('host'))) return { status: 403, why: 'the Host field must name localhost, or an address of loopback' };
  for (const [name] of headers)
    if (/^(?:origin|sec-fetch-.*)$/i.test(name)) return { status: 403, why: `requests of browsers are not taken (${name.toLowerCase()})` };
  const length = exchange.requestBodyLength;
  if (length > MAX_BODY_BYTES) return { status: 413, why: `a body may have ${MAX_BODY_BYTES} bytes at most` };
  if (method !== 'POST') return length === 0 ? null : { status: 400, why: `${method} takes no body` };
  const types = headers.getAll('content-type');
  const isJson = types.length === 1 && /^application\/json[\t ]*(?:;[\t ]*charset="?utf-8"?[\t ]*)?$/i.test(types[0] as string);
  return isJson ? null : { status: 415, why: 'POST needs Content-Type: application/json' };
}

/** @returns why a whole body is refused; null: it asks for nothing that there is not */
export function bodyRefusal(body: Uint8Array): AdminRefusal | null {
  if (body.length === 0) return null;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0) return null;
  } catch {
    return { status: 400, why: 'the body is no JSON' };
  }
  return { status: 400, why: 'there is nothing to say in the body; leave it empty, or write {}' };
}

/** Exactly one line, a name or an address of loopback, with or without a port. */
function isLoopbackName(hosts: readonly string[]): boolean {
  const found = hosts.length === 1 ? /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d{0,5})?$/.exec(hosts[0] as string) : null;
  return found !== null && isLoopbackHost(found[1] ?? found[2] ?? '');
}
