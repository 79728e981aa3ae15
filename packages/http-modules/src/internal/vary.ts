/** What a response depends on. @see RFC 9110 §12.5.5 */
import { type HeaderMap, KnownHeader, tokenListHas } from '@ferrata/headers';

/** Names request fields in `Vary`, those that are not there yet. `*` says more than any name, and stays alone. */
export function addVary(headers: HeaderMap, ...names: readonly string[]): void {
  const present = headers.combinedKnown(KnownHeader.vary);
  if (present !== undefined && tokenListHas(present, '*')) return;
  const missing = present === undefined ? names : names.filter((name) => !tokenListHas(present, name));
  if (missing.length === 0) return;
  const added = missing.join(', ');
  headers.setKnown(KnownHeader.vary, present === undefined || present === '' ? added : `${present}, ${added}`);
}
