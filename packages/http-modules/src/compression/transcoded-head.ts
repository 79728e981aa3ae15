/**
 * What becomes of a response's head when its body changes its coding, or could have.
 *
 * Rules of this file:
 * - What said something of the bytes goes: their length, their ranges, their digests. A strong ETag becomes a weak one, as the bytes are others and
 *   the meaning is the same (RFC 9110 §8.8.1); one that is malformed goes.
 */
import { type HeaderMap, KnownHeader } from '@ferrata/headers';
import { listNames } from '../internal/entity-tags.ts';

/** Digests of the bytes, RFC 9530 and its forebears. A body that is transcoded has others. */
export const DIGEST_FIELDS: readonly string[] = ['content-digest', 'repr-digest', 'digest', 'content-md5'];

const STRONG_ETAG = /^"[\x21\x23-\x7e\x80-\xff]*"$/;
const WEAK_ETAG = /^W\/"[\x21\x23-\x7e\x80-\xff]*"$/;

/** Edits the head of a body that gets a coding, or loses it with `null`. */
export function editTranscodedHead(headers: HeaderMap, coding: string | null, preservesEtag: boolean): void {
  if (coding === null) headers.deleteKnown(KnownHeader.contentEncoding);
  else headers.setKnown(KnownHeader.contentEncoding, coding);
  headers.deleteKnown(KnownHeader.contentLength);
  headers.deleteKnown(KnownHeader.acceptRanges);
  deleteDigests(headers);
  if (!preservesEtag) weakenEtag(headers);
}

/** Takes the digests of bytes that are no more out of a head or a trailer section. */
export function deleteDigests(headers: HeaderMap): void {
  for (const name of DIGEST_FIELDS) headers.delete(name);
}

/** Makes a strong ETag weak, leaves a weak one, and removes what is neither. */
export function weakenEtag(headers: HeaderMap): void {
  const etag = headers.getKnown(KnownHeader.etag);
  if (etag === undefined) return;
  if (headers.countKnown(KnownHeader.etag) > 1) headers.deleteKnown(KnownHeader.etag);
  else if (STRONG_ETAG.test(etag)) headers.setKnown(KnownHeader.etag, `W/${etag}`);
  else if (!WEAK_ETAG.test(etag)) headers.deleteKnown(KnownHeader.etag);
}

/**
 * Gives a 304 the weak ETag that the client has from us, if it asked by it. With the strong one a cache would find no stored response to refresh.
 *
 * @returns whether it did
 * @see RFC 9111 §4.3.4
 */
export function weakenNotModified(headers: HeaderMap, ifNoneMatch: string | undefined): boolean {
  const etag = headers.getKnown(KnownHeader.etag);
  if (etag === undefined || ifNoneMatch === undefined || !STRONG_ETAG.test(etag)) return false;
  if (!listNames(ifNoneMatch, `W/${etag}`)) return false;
  headers.setKnown(KnownHeader.etag, `W/${etag}`);
  return true;
}
