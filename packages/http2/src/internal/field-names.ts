/** Names of well-known fields by number, as flat arrays: a call and a range check less in the loops over field lines. */
import { canonicalName, KnownHeader, type KnownHeaderSet, knownHeaderSet, knownName } from '@ferrata/headers';

const ids: readonly KnownHeader[] = Object.values(KnownHeader);

/** As HTTP/1 usually spells them; the empty string for 0. */
export const CANONICAL_NAMES: readonly string[] = ['', ...ids.map(canonicalName)];

/** In lower case, as HTTP/2 must spell them (RFC 9113 §8.2); the empty string for 0. */
export const LOWER_NAMES: readonly string[] = ['', ...ids.map(knownName)];

/** What can log somebody in: never indexed, whatever anybody asks for (RFC 7541 §7.1.3). */
export const SENSITIVE: KnownHeaderSet = knownHeaderSet(
  KnownHeader.authorization,
  KnownHeader.proxyAuthorization,
  KnownHeader.cookie,
  KnownHeader.setCookie,
);
