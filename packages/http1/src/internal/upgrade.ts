/** The Upgrade field: which protocols are offered, and whether one that is chosen is among them (RFC 9110 §7.8). */
import { type HeaderMap, KnownHeader, parseList, tokenListHas } from '@ferrata/headers';

/**
 * True if the value has a list element: a list may be empty (RFC 9110 §5.6.1). A quote is in no protocol's name; with one, readers differ in which
 * commas divide, so that one of them could see an `h2c` that a filter did not.
 */
export function namesProtocol(value: string): boolean {
  return !value.includes('"') && /[^,\t ]/.test(value);
}

/**
 * True if every protocol that is chosen was offered. An empty choice is among any offer: ask `namesProtocol` too where one must be made.
 *
 * @throws {WireError} FIELD_LIST_TOO_LONG when more than 1000 are chosen
 */
export function isAmongOffered(chosen: string, offered: string): boolean {
  return parseList(chosen).every((protocol) => tokenListHas(offered, protocol));
}

/**
 * Checks a 101.
 *
 * @param offered what the request asks to switch to, or null
 * @throws {TypeError} when 101 with these fields is no answer to it
 */
export function checkSwitch(headers: HeaderMap, offered: string | null): void {
  if (offered === null) throw new TypeError('101 to a request that asked for no upgrade');
  const chosen = headers.combinedKnown(KnownHeader.upgrade) ?? '';
  if (!namesProtocol(chosen)) throw new TypeError('101 without a protocol in Upgrade');
  if (!isAmongOffered(chosen, offered)) throw new TypeError('101 to a protocol that was not offered');
}
