/**
 * Loads certificates: reads, and checks all that can be known before the first handshake.
 *
 * What is checked: the PEM is whole; each certificate of the chain is one; the key can be read, and belongs to the first certificate; OpenSSL takes both
 * (not so a key that its security level holds for too weak); the names can be matched. What isn't: whether clients will trust it, and whether it is valid
 * today: an expired certificate is served, as the alternative is to serve nobody, and is reported (`certificateConcern`).
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { isWireError, textOf, type WireError } from '@ferrata/error';
import type { PeerCertificate } from '@ferrata/stream';
import { bareTextOf, certificateError } from './certificate-error.ts';
import { type CertificateMaterial, pathsOf, readMaterialSync } from './certificate-files.ts';
import { type CertificateSource, checkCertificateSource, labelOf } from './certificate-source.ts';
import { createPeerCertificate } from './peer-certificate.ts';
import { type Pem, parsePem, pemText } from './pem.ts';
import { matchableName } from './server-name.ts';

/** A certificate that is ready to be served. A new one is made for each new content, so that what is kept for it may hang on the object. */
export interface LoadedCertificate {
  readonly source: CertificateSource;
  /** What messages call it: its file, or its names. */
  readonly label: string;
  /** The certificate and its chain: nothing but CERTIFICATE blocks, written anew from their DER. */
  readonly certificatePem: string;
  /** The private key as PEM (PKCS #8), decrypted. */
  readonly keyPem: string;
  /** The names it is chosen by: lower case, without a dot at the end; `*.example.test` for a wildcard. */
  readonly names: readonly string[];
  /** The certificate itself, to look into. */
  readonly certificate: PeerCertificate;
  /** What to staple now (DER); null: nothing. The only field that changes. */
  ocspResponse: Uint8Array | null;
}

/**
 * Loads a certificate; reads its files before it returns. A function given as `ocspResponse` is left to `CertificateStore`.
 *
 * @throws {TypeError} when the source has not the form of one, or a name can't be matched
 * @throws {WireError} `TLS_CERTIFICATE_UNREADABLE` a file can't be read, is no plain file, has more than 1 MiB, or holds no certificate
 * @throws {WireError} `TLS_PEM_MALFORMED` the PEM is cut off, or no base64
 * @throws {WireError} `TLS_CERTIFICATE_MALFORMED` a certificate of the chain is none
 * @throws {WireError} `TLS_CERTIFICATE_TOO_LARGE` the first certificate has more than 131 072 bytes
 * @throws {WireError} `TLS_KEY_UNREADABLE` the key can't be read: no PEM, or a passphrase that is missing or wrong
 * @throws {WireError} `TLS_KEY_MISMATCH` the key is not that of the first certificate
 * @throws {WireError} `TLS_CERTIFICATE_REFUSED` OpenSSL does not take it
 */
export function loadCertificate(source: CertificateSource): LoadedCertificate {
  checkCertificateSource(source);
  return assembleCertificate(source, readMaterialSync(source, pathsOf(source)));
}

/** Checks what was read, and makes a certificate of it. @throws as `loadCertificate` */
export function assembleCertificate(source: CertificateSource, material: CertificateMaterial): LoadedCertificate {
  const label = labelOf(source);
  const blocks = parsePem(material.certificate, 'CERTIFICATE', label);
  const [first] = blocks;
  if (first === undefined) throw certificateError('TLS_CERTIFICATE_UNREADABLE', `${label}: there is no CERTIFICATE block in it`);
  const chain = blocks.map(({ der }, index) => parseCertificate(label, der, index));
  const key = parseKey(label, material.key, source.passphrase);
  checkKeyBelongs(label, chain, key);
  const certificatePem = blocks.map(({ text }) => text).join('');
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  checkOpenSslTakes(label, certificatePem, keyPem);
  return { source, label, certificatePem, keyPem, ocspResponse: material.ocspResponse, ...readNames(label, first.der, source.names) };
}

/**
 * What is to be said of a certificate that is served all the same: a `WireError` `TLS_CERTIFICATE_EXPIRED` or `TLS_CERTIFICATE_NOT_YET_VALID`; null if it is
 * valid at `wallNow`.
 */
export function certificateConcern(
  { certificate, label }: Pick<LoadedCertificate, 'certificate' | 'label'>,
  wallNow: number,
): WireError | null {
  const { validFrom, validTo } = certificate;
  if (wallNow > validTo) {
    const message = `${label}: the certificate has expired at ${new Date(validTo).toISOString()}; clients will refuse it`;
    return certificateError('TLS_CERTIFICATE_EXPIRED', message);
  }
  if (wallNow < validFrom) {
    const message = `${label}: the certificate is not valid before ${new Date(validFrom).toISOString()}; clients will refuse it`;
    return certificateError('TLS_CERTIFICATE_NOT_YET_VALID', message);
  }
  return null;
}

/** The certificate, which can be read, and its names. */
function readNames(label: string, der: Uint8Array, names: readonly string[] | undefined): Pick<LoadedCertificate, 'names' | 'certificate'> {
  const certificate = createPeerCertificate(der);
  try {
    // OpenSSL takes some that break DER: clients might take them apart otherwise than we do.
    void certificate.validTo;
    return { names: Object.freeze(names === undefined ? ownNames(certificate) : names.map(givenName)), certificate };
  } catch (error) {
    if (isWireError(error)) throw certificateError(error.reason, `${label}: ${bareTextOf(error)}`, error);
    throw error;
  }
}

function parseCertificate(label: string, der: Uint8Array, index: number): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw certificateError('TLS_CERTIFICATE_MALFORMED', `${label}: certificate ${index + 1} of the chain is none: ${textOf(error)}`, error);
  }
}

function parseKey(label: string, pem: Pem, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey({ key: pemText(pem), format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    throw certificateError('TLS_KEY_UNREADABLE', `${label}: the private key can't be read: ${textOf(error)}`, error);
  }
}

function checkKeyBelongs(label: string, chain: readonly X509Certificate[], key: KeyObject): void {
  if (chain[0]?.checkPrivateKey(key) === true) return;
  const index = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  const hint = index < 0 ? '' : `; it belongs to certificate ${index + 1} of the chain, which must be the first`;
  throw certificateError('TLS_KEY_MISMATCH', `${label}: the private key does not belong to the certificate${hint}`);
}

/** OpenSSL has rules of its own: keys that are too short, signatures by MD5. Better now than at the first handshake. */
function checkOpenSslTakes(label: string, cert: string, key: string): void {
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw certificateError('TLS_CERTIFICATE_REFUSED', `${label}: OpenSSL does not take it: ${textOf(error)}`, error);
  }
}

/** RFC 9525 §6.3 knows no CN any more; those who make a certificate for a server at home still do. A name that can't be matched is left out. */
function ownNames(certificate: PeerCertificate): string[] {
  const found: string[] = [];
  for (const name of certificate.subjectAltNames) {
    if (name.kind === 'dns') found.push(name.name);
    else if (name.kind === 'ip') found.push(name.address);
  }
  const { commonName } = certificate.subject;
  if (found.length === 0 && commonName !== null) found.push(commonName);
  return [...new Set(found.map(matchableName).filter((name) => name !== null))];
}

function givenName(name: string): string {
  const matchable = typeof name === 'string' ? matchableName(name) : null;
  if (matchable === null)
    throw new TypeError(`names: ${JSON.stringify(name)} is no host name, no address, and no wildcard of the form *.example.test`);
  return matchable;
}
