/** The Upgrade field: which protocols are offered, and whether one that is chosen is among them (RFC 9110 §7.8). */
import { parseList, tokenListHas } from '@ferrata/headers';

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
