/**
 * A certificate, read from its DER (RFC 5280 §4.1) when its fields are asked for.
 *
 * ```
 * Certificate ::= SEQUENCE {
 *   tbsCertificate SEQUENCE {
 *     [0] version, INTEGER serialNumber, SEQUENCE signature, SEQUENCE issuer,
 *     SEQUENCE validity { notBefore, notAfter }, SEQUENCE subject, SEQUENCE subjectPublicKeyInfo,
 *     [1] issuerUniqueID, [2] subjectUniqueID, [3] extensions }
 *   SEQUENCE signatureAlgorithm, BIT STRING signature }
 * ```
 * Nothing here verifies anything: OpenSSL did, or did not (`TlsDigest.isPeerVerified`). A server that never looks at its clients' certificates pays for
 * none of this. What OpenSSL has taken may still break DER; then the field that needs it throws a `WireError`, each time, and nothing else happens.
 */
import { createHash } from 'node:crypto';
import { isWireError, limitError, type WireError } from '@ferrata/error';
import type { DistinguishedName, PeerCertificate, SubjectAltName } from '@ferrata/stream';
import { readAlternativeNames, readDistinguishedName } from './certificate-names.ts';
import { DerReader, DerTag, decodeIntegerHex, decodeObjectIdentifier, malformedCertificate, readTime } from './der-reader.ts';

/** As much as OpenSSL takes of a peer's whole chain by default is 100 KiB. */
export const MAX_CERTIFICATE_BYTES = 131_072;
const SUBJECT_ALT_NAME = '2.5.29.17';

/**
 * A certificate from its DER. Reads nothing yet.
 *
 * Its fields throw a `WireError`: `TLS_CERTIFICATE_MALFORMED` when the DER is none, or not that of a certificate; `TLS_CERTIFICATE_TOO_LARGE` above
 * 131 072 bytes. `der` and `sha256` never throw.
 *
 * @param der kept, not copied
 * @throws {TypeError} when `der` are no bytes
 */
export function createPeerCertificate(der: Uint8Array): PeerCertificate {
  if (!(der instanceof Uint8Array)) throw new TypeError('a certificate is made of bytes, its DER');
  return new DerCertificate(der);
}

/** Where the fields lie: found once, by one pass over the outer elements. */
interface Layout {
  readonly serialNumber: Uint8Array;
  readonly issuer: DerReader;
  readonly subject: DerReader;
  readonly validFrom: number;
  readonly validTo: number;
  /** The content of the subjectAltName extension; null if there is none. */
  readonly subjectAltName: Uint8Array | null;
}

class DerCertificate implements PeerCertificate {
  readonly der: Uint8Array;
  // Each value as it was read, or the error that ended the reading: a peer must not make a program read the same 100 KiB for each request.
  #layout: Layout | WireError | null = null;
  #subject: DistinguishedName | WireError | null = null;
  #issuer: DistinguishedName | WireError | null = null;
  #serialNumber: string | WireError | null = null;
  #subjectAltNames: readonly SubjectAltName[] | WireError | null = null;
  #sha256: string | null = null;

  constructor(der: Uint8Array) {
    this.der = der;
  }

  get subject(): DistinguishedName {
    this.#subject ??= readSafely(() => readDistinguishedName(this.#laidOut().subject));
    return orThrow(this.#subject);
  }

  get issuer(): DistinguishedName {
    this.#issuer ??= readSafely(() => readDistinguishedName(this.#laidOut().issuer));
    return orThrow(this.#issuer);
  }

  get serialNumber(): string {
    this.#serialNumber ??= readSafely(() => decodeIntegerHex(this.#laidOut().serialNumber));
    return orThrow(this.#serialNumber);
  }

  get subjectAltNames(): readonly SubjectAltName[] {
    this.#subjectAltNames ??= readSafely(() => {
      const { subjectAltName } = this.#laidOut();
      return subjectAltName === null ? [] : readAlternativeNames(subjectAltName);
    });
    return orThrow(this.#subjectAltNames);
  }

  get sha256(): string {
    this.#sha256 ??= createHash('sha256').update(this.der).digest('hex');
    return this.#sha256;
  }

  get validFrom(): number {
    return this.#laidOut().validFrom;
  }

  get validTo(): number {
    return this.#laidOut().validTo;
  }

  #laidOut(): Layout {
    this.#layout ??= readSafely(() => layOut(this.der));
    return orThrow(this.#layout);
  }
}

function readSafely<T>(read: () => T): T | WireError {
  try {
    return read();
  } catch (error) {
    if (isWireError(error)) return error;
    throw error;
  }
}

function orThrow<T>(value: T | WireError): T {
  if (isWireError(value)) throw value;
  return value;
}

function layOut(der: Uint8Array): Layout {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw limitError('TLS_CERTIFICATE_TOO_LARGE', `a certificate of ${der.length} bytes; at most ${MAX_CERTIFICATE_BYTES} are read`);
  }
  const outer = new DerReader(der);
  outer.expect(DerTag.sequence, 'the certificate');
  outer.expectEnd('the certificate');
  const certificate = outer.inside();
  certificate.expect(DerTag.sequence, 'tbsCertificate');
  const fields = certificate.inside();
  certificate.expect(DerTag.sequence, 'signatureAlgorithm');
  certificate.expect(DerTag.bitString, 'the signature');
  certificate.expectEnd('the signature');

  fields.skipIf(0xa0);
  fields.expect(DerTag.integer, 'serialNumber');
  const serialNumber = fields.content();
  fields.expect(DerTag.sequence, 'the algorithm of the signature');
  fields.expect(DerTag.sequence, 'the issuer');
  const issuer = new DerReader(der, fields.start, fields.end);
  issuer.next();
  fields.expect(DerTag.sequence, 'validity');
  const validity = fields.inside();
  const validFrom = readTime(validity);
  const validTo = readTime(validity);
  validity.expectEnd('validity');
  fields.expect(DerTag.sequence, 'the subject');
  const subject = new DerReader(der, fields.start, fields.end);
  subject.next();
  fields.expect(DerTag.sequence, 'subjectPublicKeyInfo');
  fields.skipIf(0x81);
  fields.skipIf(0x82);
  const subjectAltName = fields.skipIf(0xa3) ? findExtension(fields.inside(), SUBJECT_ALT_NAME) : null;
  fields.expectEnd('tbsCertificate');
  return { serialNumber, issuer, subject, validFrom, validTo, subjectAltName };
}

/** The content of one extension; null if it is not there. */
function findExtension(explicit: DerReader, wanted: string): Uint8Array | null {
  explicit.expect(DerTag.sequence, 'the extensions');
  explicit.expectEnd('the extensions');
  const extensions = explicit.inside();
  let found: Uint8Array | null = null;
  while (!extensions.isAtEnd()) {
    extensions.expect(DerTag.sequence, 'an extension');
    const extension = extensions.inside();
    extension.expect(DerTag.objectIdentifier, 'the identifier of an extension');
    const oid = decodeObjectIdentifier(extension.content());
    // "critical": a DEFAULT of FALSE that some write out, against X.690 §11.5; it says nothing to us.
    extension.skipIf(DerTag.boolean);
    extension.expect(DerTag.octetString, 'the value of an extension');
    extension.expectEnd('the value of an extension');
    if (oid !== wanted) continue;
    // §4.2: one of a kind. Of two lists of names, one would be verified and the other believed.
    if (found !== null) throw malformedCertificate(`the extension ${wanted} is there twice`);
    found = extension.content();
  }
  return found;
}
