/**
 * What an encoder does with a field of a known name that stands in no table, unless told otherwise.
 *
 * Kept out of the table: what differs in nearly every message (it would only evict what does not), as nghttp2 does it.
 * Never indexed: what one client must not learn about another by the lengths of messages on a shared connection (RFC 7541 §7.1.3).
 */
import { Indexing } from '../indexing.ts';

/** Cookies below so many characters can be guessed at; longer ones are worth their place in the table (RFC 7541 §7.1.3, and what nghttp2 does). */
export const SHORT_COOKIE_LENGTH = 20;

/** All of them stand in the static table: of any other name nothing is known. */
const policies: ReadonlyMap<string, Indexing> = new Map<string, Indexing>([
  [':path', Indexing.without],
  ['age', Indexing.without],
  ['authorization', Indexing.never],
  ['content-length', Indexing.without],
  ['content-range', Indexing.without],
  ['etag', Indexing.without],
  ['if-modified-since', Indexing.without],
  ['if-none-match', Indexing.without],
  ['if-range', Indexing.without],
  ['if-unmodified-since', Indexing.without],
  ['location', Indexing.without],
  ['proxy-authorization', Indexing.never],
  ['set-cookie', Indexing.never],
]);

/** The policy of a name; of most names `Indexing.incremental`. */
export function policyOf(name: string): Indexing {
  return policies.get(name) ?? Indexing.incremental;
}
