/** Judges the certificate of a client once more, after OpenSSL: what it doesn't look at, or looked at in another handshake than this one. */
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { parsePem } from './pem.ts';
import { clientCertificateFailure, refusal } from './tls-server-errors.ts';
import type { ClientCertificateConfig } from './tls-server-options.ts';

/** OpenSSL's own limit: what it lets through needs no counting. */
const maxOpenSslDepth = 100;
/** A client may send hundreds of certificates with one name, and have us check the signature of each by each: some 50 µs. */
const maxSignatureChecks = 64;

/** What a server demands of its clients' certificates. */
export class ClientCertificateCheck {
  readonly #config: ClientCertificateConfig;
  /** Parsed when first needed: lists of authorities may be long, and `maxDepth` is seldom set. */
  #authorities: readonly X509Certificate[] | null = null;

  constructor(config: ClientCertificateConfig) {
    this.#config = config;
  }

  /**
   * @param socket whose handshake is complete @param wallNow milliseconds since 1970
   * @returns the certificate; null if there is none, and none is needed
   * @throws {WireError} if it, or its lack, is not to be taken
   */
  check(socket: TLSSocket, wallNow: number, peer: string): X509Certificate | null {
    const { mode, maxDepth } = this.#config;
    const certificate = socket.getPeerX509Certificate() ?? null;
    if (certificate === null) {
      if (mode === 'optional') return null;
      throw refusal('TLS_CLIENT_CERT_MISSING', 'the client has shown no certificate', peer, undefined);
    }
    if (!socket.authorized) throw clientCertificateFailure(String(socket.authorizationError), peer);
    // A resumed session says what OpenSSL found when it began, and certificates end.
    if (!isValidAt(certificate, wallNow)) {
      const code = wallNow > certificate.validToDate.getTime() ? 'CERT_HAS_EXPIRED' : 'CERT_NOT_YET_VALID';
      throw clientCertificateFailure(code, peer);
    }
    // It has the certificate only; its chain was counted by a server with the same demands, or there would be no session (`sessionIdContext`).
    if (maxDepth >= maxOpenSslDepth || socket.isSessionReused()) return certificate;
    const depth = this.#depthOf(certificate, wallNow);
    if (depth === null) {
      throw refusal('TLS_CLIENT_CERT_CHAIN_TOO_LONG', "no way from the client's certificate to a root was found", peer, undefined);
    }
    if (depth <= maxDepth) return certificate;
    const message = `${depth} authorities between the client's certificate and the root, at most ${maxDepth} are taken`;
    throw refusal('TLS_CLIENT_CERT_CHAIN_TOO_LONG', message, peer, undefined);
  }

  /**
   * Authorities between a certificate and the nearest root, by the signatures, since the order in which a client sends them means nothing (RFC 8446 §4.4.2), nor do names. Breadth first,
   * so the shortest way is found.
   *
   * @returns null if there is no way
   */
  #depthOf(leaf: X509Certificate, wallNow: number): number | null {
    const roots: X509Certificate[] = [];
    const others = sentWith(leaf);
    for (const authority of this.#parsedAuthorities()) (isSelfIssued(authority) ? roots : others).push(authority);
    const links = others.filter((certificate) => certificate.ca && isValidAt(certificate, wallNow));
    const checks = { left: maxSignatureChecks };
    if (roots.some((root) => root.fingerprint256 === leaf.fingerprint256)) return 0;
    let level = [leaf];
    for (let depth = 0; level.length > 0; depth++) {
      if (level.some((certificate) => roots.some((root) => isIssuedBy(certificate, root, checks)))) return depth;
      const next = links.filter((link) => level.some((certificate) => isIssuedBy(certificate, link, checks)));
      for (const link of next) links.splice(links.indexOf(link), 1);
      level = next;
    }
    return null;
  }

  #parsedAuthorities(): readonly X509Certificate[] {
    return (this.#authorities ??= this.#config.ca.flatMap((pem) =>
      parsePem(pem, 'CERTIFICATE', 'clientCertificates.ca').map(({ der }) => new X509Certificate(der)),
    ));
  }
}

/** Whatever a client has sent behind its certificate: Node links each to the next one, whether or not it is the issuer. */
function sentWith(leaf: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = [];
  for (let next = leaf.issuerCertificate; next !== undefined; next = next.issuerCertificate) sent.push(next);
  return sent;
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.checkIssued(certificate);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate, checks: { left: number }): boolean {
  if (!certificate.checkIssued(issuer) || checks.left-- <= 0) return false;
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    // A key that OpenSSL does not read.
    return false;
  }
}

function isValidAt(certificate: X509Certificate, wallNow: number): boolean {
  return wallNow >= certificate.validFromDate.getTime() && wallNow <= certificate.validToDate.getTime();
}
