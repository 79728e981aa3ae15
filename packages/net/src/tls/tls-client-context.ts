/** What OpenSSL is told by the settings of a client. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { textOf } from '@ferrata/error';
import type { TlsClientConfig } from './tls-client-options.ts';

/** @throws {TypeError} if OpenSSL refuses something */
export function createClientContext(config: TlsClientConfig): SecureContext {
  const { ca, crl, certificate, key, passphrase, ciphers, curves, minVersion, maxVersion } = config;
  try {
    return createSecureContext({
      minVersion,
      maxVersion,
      ...(ca === null ? {} : { ca: [...ca] }),
      ...(crl === null ? {} : { crl: [...crl] }),
      ...(certificate === null ? {} : { cert: certificate }),
      ...(key === null ? {} : { key }),
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
