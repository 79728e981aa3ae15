/** Trailer sections on their way through: what the head said of its connection holds for them too. */
import { type HeaderMap, KnownHeader, removeHopByHop } from '@ferrata/headers';

/**
 * Removes from `trailers` the fields that the message's own Connection field nominates (RFC 9110 §7.6.1: header and trailer fields alike), by
 * the same rule as in the head. What may be no trailer at all is the business of decoder and encoder.
 *
 * @param connection the value of Connection as it was received
 */
export function removeNominatedTrailers(trailers: HeaderMap | null, connection: string | undefined): void {
  if (trailers === null || connection === undefined) return;
  trailers.setKnown(KnownHeader.connection, connection);
  removeHopByHop(trailers);
}
