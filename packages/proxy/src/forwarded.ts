/** `X-Forwarded-*`: who asked, how and for which host; as a list to which each proxy appends itself, or by this one alone. */
import { type HeaderMap, KnownHeader, knownHeaderSet, knownName, type RequestHead } from '@ferrata/headers';
import type { ProxySession } from './proxy-session.ts';

/**
 * Appends the client's address, scheme and host to the `X-Forwarded-*` fields of an upstream request. Fits as `upstreamRequestFilter`.
 *
 * What the client itself sent in these fields stays in front, as the convention has it, and is as true as the client is honest: a server that
 * trusts them must count from the right. Where the proxy is the first trusted hop, take `setForwarded`. The host is the one that the client
 * asked for, whatever `request` is sent with.
 */
export function appendForwarded(session: ProxySession, request: RequestHead): void {
  const { headers } = request;
  appendTo(headers, KnownHeader.xForwardedFor, addressOf(session));
  appendTo(headers, KnownHeader.xForwardedProto, schemeOf(session));
  const host = session.request.headers.getKnown(KnownHeader.host);
  if (host !== undefined && host !== '') appendTo(headers, KnownHeader.xForwardedHost, host);
  // The last one of a list is this proxy's word: where it has none, what the client says must not stand there.
  else headers.deleteKnown(KnownHeader.xForwardedHost);
}

/** What a client could claim to be, beside `X-Forwarded-Port`, which is no well-known name. */
const CLAIMS = knownHeaderSet(
  KnownHeader.forwarded,
  KnownHeader.xForwardedFor,
  KnownHeader.xForwardedProto,
  KnownHeader.xForwardedHost,
  KnownHeader.xRealIp,
);
const X_FORWARDED_PORT = 'X-Forwarded-Port';

/**
 * Says of an upstream request who asked, how, for which host and on which port, by what this proxy knows alone. Fits as `upstreamRequestFilter`.
 *
 * What the client itself sent as `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, `Forwarded` and `X-Real-IP` is removed, so a server may believe these fields.
 * Addresses and port are those of the connection, or of a PROXY header that is trusted; the host is the one that the client asked for, and its own claim.
 */
export function setForwarded(session: ProxySession, request: RequestHead): void {
  const { headers } = request;
  headers.deleteAnyOf(CLAIMS);
  headers.setKnown(KnownHeader.xForwardedFor, addressOf(session));
  headers.setKnown(KnownHeader.xForwardedProto, schemeOf(session));
  const host = session.request.headers.getKnown(KnownHeader.host);
  if (host !== undefined && host !== '') headers.setKnown(KnownHeader.xForwardedHost, host);
  const { localAddress } = session.client;
  if (localAddress.kind === 'ip') headers.set(X_FORWARDED_PORT, String(localAddress.port));
  else headers.delete(X_FORWARDED_PORT);
}

function addressOf({ client: { remoteAddress } }: ProxySession): string {
  return remoteAddress.kind === 'ip' ? remoteAddress.host : 'unknown';
}

function schemeOf({ client: { tls } }: ProxySession): string {
  return tls === null ? 'http' : 'https';
}

function appendTo(headers: HeaderMap, id: KnownHeader, value: string): void {
  if (!headers.hasKnown(id)) {
    headers.appendKnown(id, value);
    return;
  }
  const before = headers.countKnown(id) > 1 ? headers.combined(knownName(id)) : headers.getKnown(id);
  headers.setKnown(id, before === undefined || before === '' ? value : `${before}, ${value}`);
}
