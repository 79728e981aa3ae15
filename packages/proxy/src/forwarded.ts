/** `X-Forwarded-For`, `-Proto` and `-Host`: who asked, how and for which host, as a list to which each proxy appends itself. */
import { type HeaderMap, KnownHeader, knownName, type RequestHead } from '@ferrata/headers';
import type { ProxySession } from './proxy-session.ts';

/**
 * Appends the client's address, scheme and host to the `X-Forwarded-*` fields of an upstream request. Fits as `upstreamRequestFilter`.
 *
 * What the client itself sent in these fields stays in front, as the convention has it, and is as true as the client is honest: a server that
 * trusts them must count from the right. Delete them first where the proxy is the first trusted hop. The host is the one that the client
 * asked for, whatever `request` is sent with.
 */
export function appendForwarded(session: ProxySession, request: RequestHead): void {
  const { headers } = request;
  const { remoteAddress } = session.client;
  appendTo(headers, KnownHeader.xForwardedFor, remoteAddress.kind === 'ip' ? remoteAddress.host : 'unknown');
  appendTo(headers, KnownHeader.xForwardedProto, session.client.tls === null ? 'http' : 'https');
  const host = session.request.headers.getKnown(KnownHeader.host);
  if (host !== undefined && host !== '') appendTo(headers, KnownHeader.xForwardedHost, host);
}

function appendTo(headers: HeaderMap, id: KnownHeader, value: string): void {
  if (!headers.hasKnown(id)) {
    headers.appendKnown(id, value);
    return;
  }
  const before = headers.countKnown(id) > 1 ? headers.combined(knownName(id)) : headers.getKnown(id);
  headers.setKnown(id, before === undefined || before === '' ? value : `${before}, ${value}`);
}
