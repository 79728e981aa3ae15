/** What the Connection field says about the time after a message (RFC 9112 §9.3). */
import { type HeaderMap, HttpVersion, KnownHeader, tokenListHas } from '@ferrata/headers';

/** True if any Connection line has the option `token`, given in lower case. */
export function hasConnectionOption(headers: HeaderMap, token: string): boolean {
  for (let line = headers.indexOfKnown(KnownHeader.connection); line >= 0; line = headers.indexOfKnown(KnownHeader.connection, line + 1)) {
    if (tokenListHas(headers.valueAt(line), token)) return true;
  }
  return false;
}

/** True if the connection goes on after a message with this head, as far as its sender is concerned. */
export function keepsAlive(headers: HeaderMap, version: HttpVersion): boolean {
  if (!headers.hasKnown(KnownHeader.connection)) return version !== HttpVersion.http10;
  const value = headers.getKnown(KnownHeader.connection);
  // What browsers send; more lines than this one could still say `close`.
  if (value === 'keep-alive' && headers.countKnown(KnownHeader.connection) === 1) return true;
  if (hasConnectionOption(headers, 'close')) return false;
  return version !== HttpVersion.http10 || hasConnectionOption(headers, 'keep-alive');
}
