/** What a body is coded by. @see RFC 9110 §8.4 */
import { type HeaderMap, KnownHeader } from '@ferrata/headers';

/** The codings of Content-Encoding, in the order in which they were put on, `identity` left out as it is none; a list of tokens, which has no quotes and any length. */
export function contentCodings(headers: HeaderMap): readonly string[] {
  const field = headers.combinedKnown(KnownHeader.contentEncoding);
  if (field === undefined) return [];
  return field
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding.toLowerCase() !== 'identity');
}
