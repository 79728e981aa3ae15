/**
 * What becomes of a response's head when its body changes its coding, or could have.
 *
 * Rules of this file:
 * - What said something of the bytes goes: their length, their ranges, their digests. A strong ETag becomes a weak one, as the bytes are others and
 *   the meaning is the same (RFC 9110 §8.8.1); one that is malformed goes.
 */
import { type HeaderMap, KnownHeader } from '@ferrata/headers';
import { deleteDigests, weakenEtag } from '../internal/old-bytes.ts';

/** Edits the head of a body that gets a coding, or loses it with `null`. */
export function editTranscodedHead(headers: HeaderMap, coding: string | null, preservesEtag: boolean): void {
  if (coding === null) headers.deleteKnown(KnownHeader.contentEncoding);
  else headers.setKnown(KnownHeader.contentEncoding, coding);
  headers.deleteKnown(KnownHeader.contentLength);
  headers.deleteKnown(KnownHeader.acceptRanges);
  deleteDigests(headers);
  if (!preservesEtag) weakenEtag(headers);
}
