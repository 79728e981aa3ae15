/** What OpenSSL is told by the settings of a client. */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { textOf } from '@ferrata/error';
import { type Pem, parsePem } from './pem.ts';
import type { TlsClientConfig } from './tls-client-options.ts';

/** @throws {TypeError} if OpenSSL refuses something, or would leave it out without a word */
export function createClientContext(config: TlsClientConfig): SecureContext {
  const { ca, crl, certificate, key, passphrase, ciphers, curves, minVersion, maxVersion } = config;
  try {
    for (const pem of ca ?? []) checkAuthorities(pem);
    for (const pem of crl ?? []) checkRevocations(pem);
    return createSecureContext({
      minVersion,
      maxVersion,
      ...(ca === null ? {} : { ca: ca.map(toNodePem) }),
      ...(crl === null ? {} : { crl: crl.map(toNodePem) }),
      ...(certificate === null ? {} : { cert: toNodePem(certificate) }),
      ...(key === null ? {} : { key: toNodePem(key) }),
      ...(passphrase === null ? {} : { passphrase }),
      ...(ciphers === null ? {} : { ciphers }),
      ...(curves === null ? {} : { ecdhCurve: curves }),
      // A server that asks for a second handshake would have its new certificate verified by nobody (CVE-2009-3555 and its kin).
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
  } catch (error) {
    throw new TypeError(`OpenSSL refuses the settings of the TLS client: ${textOf(error)}`, { cause: error });
  }
}

/** Node leaves out what it cannot read of `ca`: then no server would be trusted, and nobody would know why. */
function checkAuthorities(pem: Pem): void {
  const blocks = parsePem(pem, 'CERTIFICATE', 'ca');
  if (blocks.length === 0) throw new TypeError('ca has no certificate in it');
  for (const { der } of blocks) {
    try {
      new X509Certificate(der);
    } catch (cause) {
      throw new TypeError('ca has a certificate that cannot be read', { cause });
    }
  }
}

function checkRevocations(pem: Pem): void {
  if (parsePem(pem, 'X509 CRL', 'crl').length === 0) throw new TypeError('crl has no revocation list in it');
}

function toNodePem(pem: Pem): string | Buffer {
  return typeof pem === 'string' ? pem : Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength);
}
