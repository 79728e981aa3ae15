/**
 * OCSP responses (RFC 6960 §4.2.1): as much as tells whether one may be stapled to a certificate. Its signature is for clients to verify.
 *
 * ```
 * SEQUENCE { ENUMERATED status, [0] SEQUENCE { OID basic, OCTET STRING {
 *   SEQUENCE { tbs SEQUENCE { [0] version, responder, producedAt, SEQUENCE OF
 *     SEQUENCE { CertID { …, INTEGER serialNumber }, status, thisUpdate, [0] nextUpdate } }, … } } } }
 * ```
 * Why look: the response of the certificate before this one, and one that has run out, make clients with "must staple" hang up; no response at all does less harm.
 */
import { isWireError, type WireError } from '@ferrata/error';
import { bareTextOf, certificateError } from './certificate-error.ts';
import type { LoadedCertificate } from './certificate-load.ts';
import { DerReader, DerTag, decodeIntegerHex, decodeObjectIdentifier, malformedCertificate, readTime } from './der-reader.ts';

const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
/** Clocks differ; clients grant each other as much. */
const MAX_SKEW_MS = 300_000;
/** [1] IMPLICIT RevokedInfo, [2] IMPLICIT NULL (§4.2.1). */
const REVOKED = 0xa1;
const UNKNOWN = 0x82;

interface SingleResponse {
  readonly serialNumber: string;
  /** The tag of the choice. */
  readonly status: number;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** Milliseconds since 1970; null: newer information is always to be had (§4.2.2.1). */
  readonly nextUpdate: number | null;
}

/**
 * What is to be said of a response for a certificate; null if all is well. A `WireError`:
 *
 * - not to be stapled: `TLS_OCSP_UNREADABLE` (no successful basic response), `TLS_OCSP_MISMATCH` (for another certificate, or its authority does not
 *   know it), `TLS_OCSP_NOT_YET_VALID`, `TLS_OCSP_EXPIRED` (§4.2.2.1)
 * - stapled all the same: `TLS_OCSP_REVOKED`. It is what the authority says, and clients would hear it from there, too; the certificate must be replaced.
 */
export function ocspConcern({ label, certificate }: LoadedCertificate, response: Uint8Array, wallNow: number): WireError | null {
  try {
    const single = readSingleResponses(response).find(({ serialNumber }) => serialNumber === certificate.serialNumber);
    if (single === undefined) return ocspError('MISMATCH', `${label}: the OCSP response is for another certificate; it is not stapled`);
    const { nextUpdate, thisUpdate, status } = single;
    if (status === UNKNOWN) {
      return ocspError('MISMATCH', `${label}: the OCSP response says that its authority does not know the certificate; it is not stapled`);
    }
    if (thisUpdate > wallNow + MAX_SKEW_MS) {
      return ocspError('NOT_YET_VALID', `${label}: the OCSP response is of ${dateOf(thisUpdate)}, which is yet to come; it is not stapled`);
    }
    if (nextUpdate !== null && wallNow > nextUpdate) {
      return ocspError('EXPIRED', `${label}: the OCSP response has run out at ${dateOf(nextUpdate)}; it is not stapled`);
    }
    return status === REVOKED ? ocspError('REVOKED', `${label}: the OCSP response says that the certificate is revoked`) : null;
  } catch (error) {
    if (!isWireError(error)) throw error;
    return certificateError(
      'TLS_OCSP_UNREADABLE',
      `${label}: the OCSP response can't be read, and is not stapled: ${bareTextOf(error)}`,
      error,
    );
  }
}

/** Whether a response is stapled of which this is to be said. */
export function isStapled(concern: WireError | null): boolean {
  return concern === null || concern.reason === 'TLS_OCSP_REVOKED';
}

function ocspError(reason: string, message: string): WireError {
  return certificateError(`TLS_OCSP_${reason}`, message);
}

function dateOf(time: number): string {
  return new Date(time).toISOString();
}

function readSingleResponses(response: Uint8Array): SingleResponse[] {
  const outer = new DerReader(response);
  outer.expect(DerTag.sequence, 'the OCSP response');
  outer.expectEnd('the OCSP response');
  const fields = outer.inside();
  fields.expect(DerTag.enumerated, 'the status');
  // 0 is successful; any other has no response in it.
  if (fields.content()[0] !== 0) throw malformedCertificate('the authority gave no answer');
  fields.expect(0xa0, 'the response');
  const explicit = fields.inside();
  explicit.expect(DerTag.sequence, 'the response');
  const typed = explicit.inside();
  typed.expect(DerTag.objectIdentifier, 'the type of the response');
  if (decodeObjectIdentifier(typed.content()) !== BASIC_RESPONSE) throw malformedCertificate('a response that is not basic');
  typed.expect(DerTag.octetString, 'the basic response');
  const basic = typed.inside();
  basic.expect(DerTag.sequence, 'the basic response');
  const signed = basic.inside();
  signed.expect(DerTag.sequence, 'the signed part');
  const data = signed.inside();
  data.skipIf(0xa0);
  // The responder: by name ([1]) or by the hash of its key ([2]).
  if (!data.next()) throw malformedCertificate('the responder is missing');
  readTime(data);
  data.expect(DerTag.sequence, 'the list of responses');
  const list = data.inside();
  const found: SingleResponse[] = [];
  while (!list.isAtEnd()) {
    list.expect(DerTag.sequence, 'a single response');
    found.push(readSingleResponse(list.inside()));
  }
  return found;
}

function readSingleResponse(single: DerReader): SingleResponse {
  single.expect(DerTag.sequence, 'the identity of a certificate');
  const identity = single.inside();
  identity.expect(DerTag.sequence, 'a hash algorithm');
  identity.expect(DerTag.octetString, "the hash of an issuer's name");
  identity.expect(DerTag.octetString, "the hash of an issuer's key");
  identity.expect(DerTag.integer, 'a serial number');
  const serialNumber = decodeIntegerHex(identity.content());
  if (!single.next()) throw malformedCertificate('the status of a certificate is missing');
  const status = single.tag;
  const thisUpdate = readTime(single);
  return { serialNumber, status, thisUpdate, nextUpdate: single.skipIf(0xa0) ? readTime(single.inside()) : null };
}
