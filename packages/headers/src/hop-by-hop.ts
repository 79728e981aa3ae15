/**
 * Fields that belong to one connection and must not be forwarded, and those that must not come in a trailer section.
 *
 * Sources: RFC 9110 §7.6.1 (Connection), §10.1.4 (TE), §11.7 (proxy authentication), §6.5.1 (trailers), RFC 9113 §8.2.2, RFC 7540 §3.2.1.
 *
 * A peer may name further fields in Connection. Read to the letter, that lets a client take away what a trusted proxy in front of us added:
 * `Connection: close, X-Forwarded-For` (CVE-2022-31813, CVE-2024-45410). So a nomination removes only names that are not well known, do not
 * begin with `X-Forwarded-`, and are not in the caller's own list. RFC 9110 §7.6.1 forbids senders to nominate any field that is meant for all
 * recipients, so nothing that is right is lost.
 */
import { asciiLowerCase, equalsAsciiIgnoreCase } from '@ferrata/bytes';
import type { HeaderMap } from './header-map.ts';
import { equalsWithin, isBlank } from './internal/ascii.ts';
import { KnownHeader, wellKnownIdWithin } from './known-header.ts';
import { isInKnownHeaderSet, type KnownHeaderSet, knownHeaderSet } from './known-header-set.ts';
import { parseQualityList } from './list-grammar.ts';

/** Options of `removeHopByHop`. */
export interface HopByHopOptions {
  /**
   * Whether a TE field that lists `trailers` leaves the line `TE: trailers`, which gRPC needs and HTTP/2 allows; default false. Over HTTP/1 the
   * sender must then nominate TE in its own Connection field.
   */
  readonly keepTrailersTe?: boolean;
  /**
   * Whether Proxy-Authenticate and Proxy-Authorization are left; default false: they are between a client and its own proxy, and forwarded
   * credentials would leak to the origin. Proxies that share one realm may want true (RFC 9110 §11.7.2).
   */
  readonly keepProxyAuth?: boolean;
  /** Further names, in any case, that a peer cannot remove by nominating them: those that your own trusted proxies add. Default: none. */
  readonly protect?: readonly string[];
}

const X_FORWARDED = 'x-forwarded-';

const hopByHopButProxyAuth = [
  KnownHeader.connection,
  KnownHeader.keepAlive,
  KnownHeader.proxyConnection,
  KnownHeader.te,
  KnownHeader.transferEncoding,
  KnownHeader.upgrade,
  KnownHeader.http2Settings,
] as const;

/** What a proxy always removes, nominated or not. Trailer is not in it: it goes with the trailers, which are forwarded. */
export const HOP_BY_HOP: KnownHeaderSet = knownHeaderSet(
  ...hopByHopButProxyAuth,
  KnownHeader.proxyAuthenticate,
  KnownHeader.proxyAuthorization,
);
const HOP_BY_HOP_BUT_PROXY_AUTH: KnownHeaderSet = knownHeaderSet(...hopByHopButProxyAuth);

/**
 * Removes what must not be forwarded: the connection's own fields, and those nominated in Connection.
 *
 * Call it before adding fields of your own, so that nobody can nominate them away. Content-Length stays; Transfer-Encoding goes, as the framing
 * of the next connection is its encoder's business. To forward an upgrade, keep the Upgrade value and set both fields again.
 */
export function removeHopByHop(headers: HeaderMap, options?: HopByHopOptions): void {
  const set = options?.keepProxyAuth === true ? HOP_BY_HOP_BUT_PROXY_AUTH : HOP_BY_HOP;
  if (!headers.hasAnyOf(set)) return;
  const wantsTrailers = options?.keepTrailersTe === true && acceptsTrailers(headers);
  if (headers.hasKnown(KnownHeader.connection)) removeNominated(headers, options?.protect);
  headers.deleteAnyOf(set);
  if (wantsTrailers) headers.appendKnown(KnownHeader.te, 'trailers');
}

/** Whether TE says that the sender takes trailers. @see RFC 9110 §10.1.4 */
export function acceptsTrailers(headers: HeaderMap): boolean {
  const te = headers.combinedKnown(KnownHeader.te);
  if (te === undefined) return false;
  return te === 'trailers' || parseQualityList(te).some((item) => item.quality > 0 && equalsAsciiIgnoreCase(item.value, 'trailers'));
}

/** What would change framing, routing, authentication or the meaning of the body if it were merged from a trailer section. */
const FORBIDDEN_IN_TRAILERS: KnownHeaderSet = knownHeaderSet(
  KnownHeader.host,
  KnownHeader.connection,
  KnownHeader.contentLength,
  KnownHeader.transferEncoding,
  KnownHeader.keepAlive,
  KnownHeader.proxyConnection,
  KnownHeader.te,
  KnownHeader.trailer,
  KnownHeader.upgrade,
  KnownHeader.expect,
  KnownHeader.http2Settings,
  KnownHeader.proxyAuthenticate,
  KnownHeader.proxyAuthorization,
  KnownHeader.contentType,
  KnownHeader.contentEncoding,
  KnownHeader.contentRange,
  KnownHeader.cacheControl,
  KnownHeader.pragma,
  KnownHeader.via,
  KnownHeader.cookie,
  KnownHeader.authorization,
  KnownHeader.ifMatch,
  KnownHeader.ifNoneMatch,
  KnownHeader.ifModifiedSince,
  KnownHeader.ifUnmodifiedSince,
  KnownHeader.ifRange,
  KnownHeader.range,
  KnownHeader.maxForwards,
  KnownHeader.forwarded,
  KnownHeader.xForwardedFor,
  KnownHeader.xForwardedProto,
  KnownHeader.xForwardedHost,
  KnownHeader.xRealIp,
  KnownHeader.setCookie,
  KnownHeader.location,
  KnownHeader.age,
  KnownHeader.vary,
  KnownHeader.expires,
  KnownHeader.retryAfter,
  KnownHeader.wwwAuthenticate,
);

/** Whether a field may come in a trailer section; names that are not well known (0) may. @see RFC 9110 §6.5.1 */
export function mayBeTrailer(id: KnownHeader | 0): boolean {
  return !isInKnownHeaderSet(FORBIDDEN_IN_TRAILERS, id);
}

/** Removes what may not come in a trailer section. @returns how many lines */
export function removeForbiddenTrailers(trailers: HeaderMap): number {
  return trailers.deleteAnyOf(FORBIDDEN_IN_TRAILERS);
}

function removeNominated(headers: HeaderMap, protect: readonly string[] | undefined): void {
  const first = headers.getKnown(KnownHeader.connection) as string;
  const isOnly = headers.countKnown(KnownHeader.connection) === 1;
  if (isOnly && (first === 'keep-alive' || first === 'close')) return;
  let nominated: Set<string> | null = null;
  for (let line = headers.indexOfKnown(KnownHeader.connection); line >= 0; line = headers.indexOfKnown(KnownHeader.connection, line + 1)) {
    nominated = addNominated(nominated, headers.valueAt(line));
  }
  if (nominated === null) return;
  const names = nominated;
  headers.deleteWhere((name, _value, id) => id === 0 && names.has(keyOf(name)) && !isProtected(name, protect));
}

/**
 * Collects the nominated names that need a look at every field line. Usual values (`keep-alive`, `close`, `Upgrade`) have none and cost no
 * allocation: well-known names either go anyway or stay anyway. A set, because 8000 names against 100 lines one by one is an attack.
 */
function addNominated(nominated: Set<string> | null, value: string): Set<string> | null {
  let names = nominated;
  for (let start = 0; start < value.length; ) {
    const comma = value.indexOf(',', start);
    let end = comma < 0 ? value.length : comma;
    const next = end + 1;
    while (start < end && isBlank(value.charCodeAt(start))) start++;
    while (end > start && isBlank(value.charCodeAt(end - 1))) end--;
    if (end > start && wellKnownIdWithin(value, start, end) === 0 && !equalsWithin(value, start, end, 'close')) {
      names ??= new Set();
      names.add(keyOf(value.slice(start, end)));
    }
    start = next;
  }
  return names;
}

/** The colon keeps digits from being hashed as array indices, for which collisions can be computed (CVE-2026-21717). */
function keyOf(name: string): string {
  return `:${asciiLowerCase(name)}`;
}

function isProtected(name: string, protect: readonly string[] | undefined): boolean {
  return equalsWithin(name, 0, X_FORWARDED.length, X_FORWARDED) || (protect?.some((one) => equalsAsciiIgnoreCase(one, name)) ?? false);
}
