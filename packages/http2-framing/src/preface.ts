/** What a client says first: the connection preface (RFC 9113 §3.4), by which a server tells HTTP/2 from other protocols. */
import { latin1Encode } from '@ferrata/bytes';

/** `PRI * HTTP/2.0`, an empty line, `SM`, an empty line: 24 bytes, then follows SETTINGS. No bytes of yours: don't write into it. */
export const CLIENT_PREFACE: Uint8Array = latin1Encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** What the first bytes of a connection say: another protocol, perhaps HTTP/2, surely HTTP/2. */
export type PrefaceMatch = 'no' | 'partial' | 'yes';

/**
 * Whether a connection begins with the client preface.
 *
 * @param bytes all that came so far, from the first byte of the connection; whatever follows the preface is not looked at
 * @returns `partial` while all bytes fit and more are needed, also of none. `PRI` is no method of HTTP/1 that anybody sends, so the fourth byte decides
 */
export function prefaceMatch(bytes: Uint8Array): PrefaceMatch {
  const length = Math.min(bytes.length, CLIENT_PREFACE.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== CLIENT_PREFACE[i]) return 'no';
  return length === CLIENT_PREFACE.length ? 'yes' : 'partial';
}
