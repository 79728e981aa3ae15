/**
 * `@ferrata/net/x509`: what a peer's certificate says beyond its names, by @peculiar/x509.
 *
 * An entry point of its own: it needs `@peculiar/x509` and `reflect-metadata`, which a program that wants it installs (they are optional peer dependencies),
 * costs about 100 ms to import, and reads a certificate in some 0.4 ms. The fields of `PeerCertificate` need none of this.
 */
import 'reflect-metadata';
import { textOf } from '@ferrata/error';
import type { PeerCertificate } from '@ferrata/stream';
import { type Extension, X509Certificate } from '@peculiar/x509';
import { malformedCertificate } from './tls/der-reader.ts';

/**
 * Reads a certificate with @peculiar/x509. Its extensions are read when they are first asked for, some of their fields later still: what a peer has put
 * there may make them throw errors of that library.
 *
 * @param certificate as a TLS digest has it, or its DER
 * @throws {WireError} `TLS_CERTIFICATE_MALFORMED` when it can't be read
 */
export function readX509(certificate: PeerCertificate | Uint8Array): X509Certificate {
  const der = certificate instanceof Uint8Array ? certificate : certificate.der;
  // A copy: the library takes the buffer under a view for its own.
  return readSafely('the certificate', () => new X509Certificate(new Uint8Array(der)));
}

/**
 * One extension of a certificate (RFC 5280 §4.2), in the class that is registered for it, else in the library's general one. Fields that are read when they are
 * asked for may still throw errors of that library.
 *
 * @param oid in dots: `2.5.29.37`
 * @returns null if the certificate has none
 * @throws {WireError} `TLS_CERTIFICATE_MALFORMED` when the certificate, or one of its extensions, can't be read
 */
export function readExtension<T extends Extension = Extension>(certificate: PeerCertificate | Uint8Array, oid: string): T | null {
  const found = readX509(certificate);
  // The library reads all extensions at the first question.
  return readSafely('its extensions', () => found.getExtension<T>(oid));
}

function readSafely<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw malformedCertificate(`@peculiar/x509 can't read ${what}: ${textOf(cause)}`, cause);
  }
}
