/**
 * Values of handshake fields: what may be checked and chosen without I/O. SHA-1, which Sec-WebSocket-Accept needs, is the caller's.
 *
 * @see RFC 6455 §1.3, §4.1, §4.2, §11.3
 */
import type { Random } from '@ferrata/clock';
import { isToken } from '@ferrata/headers';
import { badHandshake } from './errors.ts';
import { splitList } from './internal/list.ts';

/** Appended to Sec-WebSocket-Key before it is hashed. @see RFC 6455 §1.3 */
export const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The one version there is. @see RFC 6455 §4.1 */
export const WEBSOCKET_VERSION = '13';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const MAX_PROTOCOLS = 100;

/** A Sec-WebSocket-Key: 16 random bytes in base64. @see RFC 6455 §4.1 */
export function makeWebSocketKey(random: Random): string {
  let key = '';
  // 21 digits of six bits are 126 bits; the last digit has the two that are left, so it is one of four.
  for (let i = 0; i < 21; i++) key += BASE64.charAt(random.below(64));
  return `${key}${BASE64.charAt(random.below(4) * 16)}==`;
}

/** Whether a value is 16 bytes in base64. @see RFC 6455 §4.2.1 */
export function isWebSocketKey(value: string): boolean {
  return /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(value);
}

/**
 * The subprotocols that a client offers, in its order of preference; empty elements are passed over (RFC 9110 §5.6.1).
 *
 * @param value of Sec-WebSocket-Protocol, several fields joined by commas
 * @throws {WireError} WS_PROTOCOLS_INVALID when there is none or more than 100, one is no token, or stands there twice (RFC 6455 §4.1)
 */
export function parseSubprotocols(value: string): string[] {
  const names = splitList(value, MAX_PROTOCOLS);
  if (names === null) throw badHandshake('WS_PROTOCOLS_INVALID', 'too many subprotocols');
  if (names.length === 0 || !names.every(isToken) || new Set(names).size < names.length)
    throw badHandshake('WS_PROTOCOLS_INVALID', 'Sec-WebSocket-Protocol is no list of distinct tokens');
  return names;
}
