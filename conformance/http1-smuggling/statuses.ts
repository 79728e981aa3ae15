/**
 * The status that is due to a refused case. The fixtures name one where an RFC demands it; this project answers all else that breaks a rule with
 * 400, and the rest is named here.
 */
import type { SmugglingCase } from './cases.ts';

/** What is due to a request that breaks a rule (RFC 9110 §15.5.1; RFC 9112 §2.2, §3, §5.1, §6.3). */
const BAD_REQUEST = 400;

const CONTENT_TOO_LARGE = 413;
const URI_TOO_LONG = 414;
const FIELDS_TOO_LARGE = 431;
const NOT_IMPLEMENTED = 501;
const VERSION_NOT_SUPPORTED = 505;

const OTHERS: ReadonlyMap<string, number> = new Map([
  // RFC 9112 §6.1: a coding that is not understood, in a message that could be framed.
  ['te-x-chunked', NOT_IMPLEMENTED],
  // RFC 9110 §15.6.6: another major version.
  ['rl-v-2', VERSION_NOT_SUPPORTED],
  ['rl-v-9-9', VERSION_NOT_SUPPORTED],
  ['rl-pri', VERSION_NOT_SUPPORTED],
  // RFC 9112 §3.
  ['rl-target-1m', URI_TOO_LONG],
  // RFC 6585 §5.
  ['lim-header-64k', FIELDS_TOO_LARGE],
  ['lim-50000-headers', FIELDS_TOO_LARGE],
  // RFC 9110 §15.5.14: more body than is taken, or more around it.
  ['cl-overflow-2p32', CONTENT_TOO_LARGE],
  ['cl-100-digits', CONTENT_TOO_LARGE],
  ['chunk-max-64', CONTENT_TOO_LARGE],
  ['ext-many-chunks', CONTENT_TOO_LARGE],
]);

/** @returns the status that a refusal of this case has */
export function dueStatus({ id, status }: SmugglingCase): number {
  return status ?? OTHERS.get(id) ?? BAD_REQUEST;
}

/** Whether no status need come: waiting for the rest is right as well, or the client has ended its side inside the request (RFC 9112 §8). */
export function maySayNothing({ status, hangOk, halfClose }: SmugglingCase): boolean {
  return status === null && (hangOk || halfClose);
}

/** Ids of the table above, so that a test can hold them against the cases. */
export const NAMED_HERE: readonly string[] = [...OTHERS.keys()];
