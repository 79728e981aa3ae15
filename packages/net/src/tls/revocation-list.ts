/**
 * When a list of revoked certificates runs out (RFC 5280 §5.1).
 *
 * ```
 *   SEQUENCE { tbs SEQUENCE { [version INTEGER], algorithm SEQUENCE, issuer SEQUENCE, thisUpdate Time, [nextUpdate Time], … }, … }
 * ```
 * OpenSSL judges the list; this is for telling the operator before the first client is refused.
 */
import { textOf } from '@ferrata/error';
import { certificateError } from './certificate-error.ts';
import { DerReader, DerTag, readTime } from './der-reader.ts';
import { parsePem } from './pem.ts';

/**
 * @param pem one list
 * @returns milliseconds since 1970; null if it does not say
 * @throws {WireError} `TLS_CRL_UNREADABLE`
 */
export function revocationListEnd(pem: string): number | null {
  try {
    const [block] = parsePem(pem, 'X509 CRL', 'clientCertificates.crl');
    const outer = new DerReader(block?.der ?? new Uint8Array(0));
    outer.expect(DerTag.sequence, 'a list of revoked certificates');
    const list = outer.inside();
    list.expect(DerTag.sequence, 'what is signed');
    const signed = list.inside();
    signed.skipIf(DerTag.integer);
    signed.expect(DerTag.sequence, 'a signature algorithm');
    signed.expect(DerTag.sequence, 'an issuer');
    readTime(signed);
    const tag = signed.isAtEnd() ? 0 : signed.peekTag();
    return tag === DerTag.utcTime || tag === DerTag.generalizedTime ? readTime(signed) : null;
  } catch (error) {
    throw certificateError('TLS_CRL_UNREADABLE', `clientCertificates.crl: ${textOf(error)}`, error);
  }
}
