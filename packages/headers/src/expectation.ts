/** What a request expects before its body is sent. Source: RFC 9110 §10.1.1. */
import type { HeaderMap } from './header-map.ts';
import { KnownHeader } from './known-header.ts';
import { tokenListHas } from './list-grammar.ts';

/**
 * Whether Expect has `100-continue`: the sender may wait for an interim response before it sends the body. It says nothing in HTTP/1.0, nor in a request
 * without a body; to look at that is the caller's part.
 *
 * @see RFC 9110 §10.1.1
 */
export function asksToContinue(headers: HeaderMap): boolean {
  return headers.hasKnown(KnownHeader.expect) && tokenListHas(headers.combinedKnown(KnownHeader.expect) as string, '100-continue');
}
