/** What was said of a body's bytes and is true no more when they are others: digests, and a strong entity tag. @see RFC 9110 §8.8.1, RFC 9530 */
import { type HeaderMap, KnownHeader } from '@ferrata/headers';
import { listNames } from './entity-tags.ts';

/** Digests of the content, which a part of it does not have. @see RFC 9530 §2, RFC 2616 §14.15 */
const CONTENT_DIGESTS: readonly string[] = ['content-digest', 'content-md5'];
/** Those of the representation, which a part of it keeps. @see RFC 9530 §3, RFC 3230 */
const REPRESENTATION_DIGESTS: readonly string[] = ['repr-digest', 'digest'];

const STRONG_ETAG = /^"[\x21\x23-\x7e\x80-\xff]*"$/;
const WEAK_ETAG = /^W\/"[\x21\x23-\x7e\x80-\xff]*"$/;

/** Takes the digests of bytes that are no more out of a head or a trailer section. */
export function deleteDigests(headers: HeaderMap): void {
  deleteContentDigests(headers);
  for (const name of REPRESENTATION_DIGESTS) headers.delete(name);
}

/** The same of bytes of which only a part is sent. */
export function deleteContentDigests(headers: HeaderMap): void {
  for (const name of CONTENT_DIGESTS) headers.delete(name);
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
