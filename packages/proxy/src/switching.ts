/**
 * How a request that asks for a tunnel goes upstream, and how what grants it comes back: the same wish has other words in each version of HTTP.
 *
 * ```text
 *                  HTTP/1.1                                           HTTP/2
 *   WebSocket      GET, Upgrade: websocket, Sec-WebSocket-Key  ◄──►  CONNECT, :protocol websocket      (RFC 8441 §5)
 *                  101, Sec-WebSocket-Accept                   ◄──►  200
 *   other upgrade  Upgrade: …, 101                                   there is none (RFC 9113 §8.6): asked as if it were no wish
 *   CONNECT        CONNECT host:port, 2xx                      ◄──►  CONNECT, :authority, 2xx          (RFC 9110 §9.3.6)
 * ```
 *
 * The bytes in the tunnel are the same either way: frames of RFC 6455 with their masks.
 */
import type { WireError } from '@ferrata/error';
import { HttpVersion, KnownHeader, type ReadonlyRequestHead, type RequestHead, type ResponseHead, removeHopByHop } from '@ferrata/headers';
import type { ClientSession, HttpEnvironment, RequestFraming, ServerExchange } from '@ferrata/http';
import { acceptKey } from '@ferrata/tunnel';
import type { Peer } from '@ferrata/upstream';
import { isWebSocketKey, makeWebSocketKey, WEBSOCKET_VERSION } from '@ferrata/websocket';
import { connectNotAllowed, connectProtocolUnknown, noWebSocketUpstream, switchRefused, webSocketAcceptWrong } from './errors.ts';
import { forwardedUpgrade, upgradeFor } from './upgrade.ts';

const KEY = 'Sec-WebSocket-Key';
const ACCEPT = 'Sec-WebSocket-Accept';
const VERSION = 'Sec-WebSocket-Version';

/** A protocol for UDP in HTTP, of which we know nothing (RFC 9298). */
const CONNECT_UDP = 'connect-udp';

/** What of a request's framing its wish decides. */
export type SwitchFraming = Required<Pick<RequestFraming, 'upgrade' | 'protocol'>>;

const NO_SWITCH: SwitchFraming = { upgrade: null, protocol: null };

/**
 * Looks at what a client asks for beside an ordinary answer.
 * @returns why it cannot be had, whatever the upstream says; null: nothing is wrong with it
 */
export function refusedSwitch({ request, protocol, upgrade }: ServerExchange, allowsConnect: boolean): WireError | null {
  if (request.method === 'CONNECT') {
    if (protocol === null) return allowsConnect ? null : connectNotAllowed();
    return protocol.toLowerCase() === 'websocket' ? null : connectProtocolUnknown(protocol);
  }
  return upgrade?.toLowerCase() === CONNECT_UDP ? connectProtocolUnknown(upgrade) : null;
}

/**
 * Makes the Host of a CONNECT what its target says, as it is over HTTP/2: one that differs, or an HTTP/1.0 client's that there is none of, would have hooks and the next proxy
 * read another host than the one that is connected to (RFC 9110 §7.2).
 */
export function nameTunnel({ request: { method, target, headers }, protocol }: ServerExchange): void {
  if (method !== 'CONNECT' || protocol !== null) return;
  if (headers.getKnown(KnownHeader.host) !== target) headers.setKnown(KnownHeader.host, target);
}

/** What the client wants to switch to: as `Upgrade` says it, whichever way it was said; null for nothing, and for a plain CONNECT. */
export function wantedUpgrade(exchange: ServerExchange): string | null {
  return askedUpgrade(exchange) ?? (exchange.protocol === null ? null : 'websocket');
}

/** The Upgrade that the client has asked for, as hooks have left it: whoever takes the field out means it. */
function askedUpgrade({ upgrade, request }: ServerExchange): string | null {
  return upgrade === null ? null : (request.headers.combinedKnown(KnownHeader.upgrade) ?? null);
}

/** Its connection upstream, where that is HTTP/1, is to carry it alone, before and after. */
export function wantsOwnConnection(exchange: ServerExchange): boolean {
  return exchange.request.method === 'CONNECT' || askedUpgrade(exchange) !== null;
}

/** Where it may still turn out that a shared connection takes extended CONNECT: this wish is worth waiting for its SETTINGS. */
export function needsSettings(exchange: ServerExchange, session: ClientSession): boolean {
  return session.isShared && (exchange.protocol !== null || mayBridge(exchange));
}

/**
 * Puts the wish into the request for the next hop.
 *
 * @param request the copy that goes upstream; edited
 * @throws {WireError} UPSTREAM_NO_WEBSOCKET when it can be had over this connection in no way
 */
export function askForSwitch(
  request: RequestHead,
  exchange: ServerExchange,
  { session, peer, environment }: { readonly session: ClientSession; readonly peer: Peer; readonly environment: HttpEnvironment },
): SwitchFraming {
  if (exchange.upgrade === null && exchange.protocol === null) return NO_SWITCH;
  if (exchange.protocol !== null) {
    if (session.takesExtendedConnect) return { upgrade: null, protocol: exchange.protocol };
    if (session.isShared) throw noWebSocketUpstream();
    request.method = 'GET';
    request.headers.set(KEY, makeWebSocketKey(environment.random));
    if (!request.headers.has(VERSION)) request.headers.set(VERSION, WEBSOCKET_VERSION);
    return { upgrade: 'websocket', protocol: null };
  }
  if (session.takesExtendedConnect && mayBridge(exchange)) {
    request.method = 'CONNECT';
    request.headers.delete(KEY);
    return { upgrade: null, protocol: 'websocket' };
  }
  return { upgrade: upgradeFor(peer, session.isShared, askedUpgrade(exchange)), protocol: null };
}

/** A handshake of HTTP/1.1 that is whole, so that it can be said in the words of HTTP/2 and answered in its own (RFC 6455 §4.2.1). */
function mayBridge(exchange: ServerExchange): boolean {
  const { request, requestBodyLength } = exchange;
  return (
    forwardedUpgrade(askedUpgrade(exchange))?.toLowerCase() === 'websocket' &&
    request.method === 'GET' &&
    requestBodyLength === 0 &&
    request.headers.count(KEY) === 1 &&
    isWebSocketKey(request.headers.get(KEY) ?? '')
  );
}

/**
 * The head that grants the wish, in the words of the client's version.
 *
 * @param head what the upstream granted it with; edited
 * @param asked the request as it was sent upstream
 * @throws {WireError} WEBSOCKET_ACCEPT_WRONG when the upstream has not read the key
 */
export function grantedHead(head: ResponseHead, asked: ReadonlyRequestHead, exchange: ServerExchange): ResponseHead {
  const { headers } = head;
  const upgrade = headers.combinedKnown(KnownHeader.upgrade);
  removeHopByHop(headers);
  headers.deleteKnown(KnownHeader.trailer);
  headers.deleteKnown(KnownHeader.contentLength);
  if (exchange.protocol !== null) {
    if (head.status !== 101) return head;
    // RFC 8441 §5: there is no key over HTTP/2, and so nobody but us to see whether it was read.
    if (headers.get(ACCEPT)?.trim() !== acceptKey(asked.headers.get(KEY) ?? '')) throw webSocketAcceptWrong();
    headers.delete(ACCEPT);
    return { status: 200, reason: '', version: HttpVersion.http2, headers };
  }
  if (exchange.upgrade === null) return head;
  if (head.status === 101) {
    if (upgrade !== undefined) headers.setKnown(KnownHeader.upgrade, upgrade);
    return head;
  }
  headers.setKnown(KnownHeader.upgrade, 'websocket');
  headers.set(ACCEPT, acceptKey(exchange.request.headers.get(KEY) ?? ''));
  return { status: 101, reason: 'Switching Protocols', version: HttpVersion.http11, headers };
}

/** An answer that grants nothing, and which the client's version could only read as one that does. @returns null: it may be sent */
export function ungranted({ status }: ResponseHead, exchange: ServerExchange): WireError | null {
  const isGrant = exchange.request.method === 'CONNECT' && status >= 200 && status <= 299;
  return isGrant ? switchRefused(status) : null;
}
