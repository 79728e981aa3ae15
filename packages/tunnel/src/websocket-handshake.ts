/**
 * The opening handshake on heads of HTTP messages, for both versions and both roles, without connections.
 *
 * ```text
 *   HTTP/1.1   GET /chat                            ──►   101
 *              Upgrade: websocket                         Upgrade: websocket
 *              Sec-WebSocket-Key: 16 bytes                Sec-WebSocket-Accept: SHA-1 of key and GUID
 *   HTTP/2     CONNECT /chat, :protocol websocket   ──►   200                                          (RFC 8441)
 *   both       Sec-WebSocket-Version: 13                  Sec-WebSocket-Protocol: the one chosen
 *              Sec-WebSocket-Protocol, -Extensions        Sec-WebSocket-Extensions: those agreed on
 * ```
 *
 * @see RFC 6455 §4 · RFC 8441 §5
 */

import { createHash } from 'node:crypto';
import { type Random, systemRandom } from '@ferrata/clock';
import { protocolError, type WireError } from '@ferrata/error';
import { HeaderMap, isToken, type RequestHead, type ResponseHead, tokenListHas } from '@ferrata/headers';
import { watchAnswer } from '@ferrata/stream';
import {
  acceptDeflate,
  type DeflateOptions,
  type DeflateParameters,
  isWebSocketKey,
  makeWebSocketKey,
  offerDeflate,
  parseSubprotocols,
  readDeflateAnswer,
  WEBSOCKET_GUID,
  WEBSOCKET_VERSION,
} from '@ferrata/websocket';

/** What a handshake has settled. */
export interface WebSocketAgreement {
  /** The subprotocol, or null for none. */
  readonly subprotocol: string | null;
  /** The parameters of permessage-deflate, or null for no compression. */
  readonly deflate: DeflateParameters | null;
}

/** What a client offers. */
export interface WebSocketOffer {
  /** Subprotocols, the preferred one first. Default none. */
  readonly subprotocols?: readonly string[];
  /** Whether and how to compress; default null: not at all. */
  readonly deflate?: DeflateOptions | null;
}

/** What a server answers a good request with. */
export interface WebSocketAnswer {
  readonly agreement: WebSocketAgreement;
  /** Fields of the 101 or 200. */
  readonly headers: HeaderMap;
}

/** What a server may choose from. */
export interface WebSocketChoice {
  /** Gets what the client offers, in its order, perhaps none. @returns one of them, or null for none */
  chooseSubprotocol?(offered: readonly string[]): string | null;
  /** Whether and how to compress where the client offers it; default null: not at all. */
  readonly deflate?: DeflateOptions | null;
}

/** How the handshake goes: `upgrade` over HTTP/1.1, `connect` over HTTP/2. */
export type WebSocketHandshake = 'upgrade' | 'connect';

/** Sec-WebSocket-Accept for a key. @see RFC 6455 §4.2.2 */
export function acceptKey(key: string): string {
  return createHash('sha1').update(key).update(WEBSOCKET_GUID).digest('base64');
}

/**
 * Fields of a client's request; over HTTP/1.1 with a fresh key.
 *
 * @throws {TypeError} when a subprotocol is no token, or stands there twice
 * @throws {RangeError} when window bits are not 9 to 15
 */
export function offerFields(handshake: WebSocketHandshake, offer: WebSocketOffer, random: Random = systemRandom): HeaderMap {
  const { subprotocols = [], deflate = null } = offer;
  const headers = new HeaderMap();
  if (handshake === 'upgrade') headers.set('Sec-WebSocket-Key', makeWebSocketKey(random));
  headers.set('Sec-WebSocket-Version', WEBSOCKET_VERSION);
  if (new Set(subprotocols).size !== subprotocols.length) throw new TypeError('a subprotocol stands there twice');
  for (const name of subprotocols) if (!isToken(name)) throw new TypeError(`a subprotocol must be a token: ${JSON.stringify(name)}`);
  if (subprotocols.length > 0) headers.set('Sec-WebSocket-Protocol', subprotocols.join(', '));
  if (deflate !== null) headers.set('Sec-WebSocket-Extensions', offerDeflate(deflate));
  return headers;
}

/**
 * Judges a client's request, and says what to answer.
 *
 * @param head of a GET with `Upgrade: websocket`, or of a CONNECT with `:protocol` websocket; that it is one, the caller has seen
 * @throws {WireError} with the status to refuse it with: WS_METHOD, WS_KEY_INVALID, WS_VERSION_UNSUPPORTED (426), WS_PROTOCOLS_INVALID, WS_EXTENSIONS_INVALID
 * @throws {TypeError} when `chooseSubprotocol` chooses what was not offered
 * @throws {RangeError} when window bits are not 9 to 15
 */
export function answerFields(handshake: WebSocketHandshake, head: RequestHead, choice: WebSocketChoice): WebSocketAnswer {
  const { headers: asked } = head;
  const headers = new HeaderMap();
  if (handshake === 'upgrade') {
    // RFC 6455 §4.2.1.
    if (head.method !== 'GET') throw refusal('WS_METHOD', 'the method is not GET');
    const key = asked.get('Sec-WebSocket-Key') ?? '';
    if (asked.count('Sec-WebSocket-Key') !== 1 || !isWebSocketKey(key))
      throw refusal('WS_KEY_INVALID', 'Sec-WebSocket-Key is not 16 bytes');
    headers.set('Upgrade', 'websocket').set('Sec-WebSocket-Accept', acceptKey(key));
  }
  // RFC 6455 §4.4: 426 with the version that we speak.
  if (asked.count('Sec-WebSocket-Version') !== 1 || asked.get('Sec-WebSocket-Version') !== WEBSOCKET_VERSION) {
    throw refusal('WS_VERSION_UNSUPPORTED', 'Sec-WebSocket-Version is not 13', 426);
  }
  const subprotocol = choose(asked, choice);
  if (subprotocol !== null) headers.set('Sec-WebSocket-Protocol', subprotocol);
  const extensions = asked.combined('Sec-WebSocket-Extensions') ?? '';
  const { deflate = null } = choice;
  // Even where nothing is wanted of them they must be readable (RFC 6455 §9.1).
  const answer = acceptDeflate(extensions, deflate ?? {});
  const agreed = deflate === null ? null : answer;
  if (agreed !== null) headers.set('Sec-WebSocket-Extensions', agreed.value);
  return { agreement: { subprotocol, deflate: agreed?.parameters ?? null }, headers };
}

/**
 * Judges a server's answer to `offerFields(handshake, offer)`.
 *
 * @param asked the fields of the request
 * @throws {WireError} 502: WS_ANSWER_STATUS, WS_ANSWER_UPGRADE, WS_ACCEPT_WRONG, WS_PROTOCOL_UNOFFERED, WS_EXTENSION_UNOFFERED, WS_EXTENSIONS_INVALID
 */
export function readAnswer(handshake: WebSocketHandshake, asked: HeaderMap, offer: WebSocketOffer, head: ResponseHead): WebSocketAgreement {
  const { headers } = head;
  if (handshake === 'upgrade') {
    // RFC 6455 §4.1, the client's list of checks.
    if (head.status !== 101) throw wrongAnswer('WS_ANSWER_STATUS', `status ${head.status} switches to nothing`);
    const isUpgrade = (headers.combined('Upgrade') ?? '').toLowerCase() === 'websocket';
    if (!isUpgrade || !tokenListHas(headers.combined('Connection') ?? '', 'upgrade')) {
      throw wrongAnswer('WS_ANSWER_UPGRADE', 'the answer does not switch to websocket');
    }
    const accepted = headers.combined('Sec-WebSocket-Accept') ?? '';
    if (accepted !== acceptKey(asked.get('Sec-WebSocket-Key') ?? '')) {
      throw wrongAnswer('WS_ACCEPT_WRONG', 'Sec-WebSocket-Accept does not belong to our key');
    }
  }
  const subprotocol = headers.combined('Sec-WebSocket-Protocol') ?? null;
  if (subprotocol !== null && !(offer.subprotocols ?? []).includes(subprotocol)) {
    throw wrongAnswer(
      'WS_PROTOCOL_UNOFFERED',
      `the server has chosen a subprotocol that was not offered: ${JSON.stringify(subprotocol.slice(0, 100))}`,
    );
  }
  return { subprotocol, deflate: readDeflateAnswer(headers.combined('Sec-WebSocket-Extensions') ?? '', offer.deflate ?? null) };
}

function choose(asked: HeaderMap, choice: WebSocketChoice): string | null {
  const value = asked.combined('Sec-WebSocket-Protocol');
  const offered = value === undefined ? [] : parseSubprotocols(value);
  const chosen = choice.chooseSubprotocol?.(offered) ?? null;
  // An `async` one has chosen nothing that was offered, whatever becomes of it.
  watchAnswer(chosen, () => {});
  if (chosen !== null && !offered.includes(chosen)) throw new TypeError(`not among the subprotocols that were offered: ${chosen}`);
  return chosen;
}

function refusal(reason: string, message: string, status = 400): WireError {
  return protocolError(reason, message, { wire: { status } });
}

function wrongAnswer(reason: string, message: string): WireError {
  return protocolError(reason, message, { wire: { status: 502 } });
}
