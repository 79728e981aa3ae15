/** What goes wrong in a client's handshake, as `WireError`s. */
import { type Fault, fromNodeError, type Retry, tlsError, type WireError } from '@ferrata/error';
import { codeOf, localVerifyReasons, openSslText } from './tls-errors.ts';

/** OpenSSL's names of what is wrong with a chain (X509_V_ERR_…), as Node has them; any other is `TLS_CERT_UNTRUSTED`. */
const verifyReasons: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'TLS_CERT_EXPIRED'],
  ['CERT_NOT_YET_VALID', 'TLS_CERT_NOT_YET_VALID'],
  ['CERT_REVOKED', 'TLS_CERT_REVOKED'],
  ['INVALID_PURPOSE', 'TLS_CERT_WRONG_PURPOSE'],
]);

/** OpenSSL's names of alerts and failures that stand for themselves; any other is `TLS_HANDSHAKE_FAILED`. */
const handshakeReasons: readonly (readonly [RegExp, string])[] = [
  [/NO_APPLICATION_PROTOCOL/, 'TLS_ALPN_REFUSED'],
  // What the peer sent is no TLS record, or none of a length that one can have: it speaks something else.
  [/WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE|BAD_RECORD_TYPE/, 'TLS_NOT_TLS'],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW/, 'TLS_VERSION_REFUSED'],
  [/ALERT_.*CERTIFICATE|ALERT_UNKNOWN_CA|ALERT_ACCESS_DENIED/, 'TLS_CLIENT_CERT_REFUSED'],
  [/UNRECOGNIZED_NAME/, 'TLS_NAME_REFUSED'],
];

/**
 * An error of Node's TLS socket before its handshake was complete.
 *
 * @param authorizationError of that socket: the code of the error, if it was the server's chain that could not be verified
 */
export function handshakeError(thrown: unknown, server: string, authorizationError: unknown): WireError {
  const code = codeOf(thrown);
  const text = `${openSslText(thrown)} (${code})`;
  if (code !== '' && code === authorizationError) {
    const local = localVerifyReasons.get(code);
    if (local !== undefined) {
      const message = `the server's certificate cannot be judged: ${text}`;
      return describe(local, message, { server, cause: thrown, retry: 'never', fault: 'local' });
    }
    return describe(verifyReasons.get(code) ?? 'TLS_CERT_UNTRUSTED', text, { server, cause: thrown, retry: 'never' });
  }
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code.startsWith('ERR_OSSL')) {
    const reason = handshakeReasons.find(([pattern]) => pattern.test(code))?.[1] ?? 'TLS_HANDSHAKE_FAILED';
    return describe(reason, text, { server, cause: thrown, retry: 'never' });
  }
  // The connection failed below. Nothing of any request was sent yet.
  const below = fromNodeError(thrown);
  return describe('TLS_HANDSHAKE_CUT', openSslText(thrown), { server, cause: below, retry: 'always' });
}

/** The connection was closed before the handshake was complete. */
export function handshakeCut(server: string): WireError {
  return describe('TLS_HANDSHAKE_CUT', 'the connection was closed before the handshake was complete', {
    server,
    cause: undefined,
    retry: 'always',
  });
}

function describe(reason: string, message: string, facts: { server: string; cause: unknown; retry: Retry; fault?: Fault }): WireError {
  const { server, cause, retry, fault = 'remote' } = facts;
  return tlsError(reason, message, { cause, retry, context: server, fault });
}
