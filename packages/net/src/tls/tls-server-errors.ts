/** What goes wrong in a server's handshake, as `WireError`s. */
import { fromNodeError, timeoutError, tlsError, type WireError } from '@ferrata/error';
import { codeOf, localVerifyReasons, openSslText } from './tls-errors.ts';

/** OpenSSL's names of failures, as Node has them in `code`; any other is `TLS_HANDSHAKE_FAILED`. */
const reasons: readonly (readonly [RegExp, string])[] = [
  [/HTTP_REQUEST|HTTPS_PROXY_REQUEST|WRONG_VERSION_NUMBER|BAD_RECORD_TYPE|RECORD_LAYER_FAILURE/, 'TLS_NOT_TLS'],
  // A prefix of OpenSSL's that some alerts have: the peer has refused.
  [/_ALERT_/, 'TLS_PEER_ALERT'],
  [/NO_SHARED_CIPHER|NO_SUITABLE_KEY_SHARE|NO_SHARED_GROUP|NO_SUITABLE_SIGNATURE_ALGORITHM|NO_SHARED_SIGNATURE/, 'TLS_NOTHING_SHARED'],
  [/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|NO_PROTOCOLS_AVAILABLE|UNKNOWN_PROTOCOL/, 'TLS_VERSION_REFUSED'],
  [/NO_APPLICATION_PROTOCOL/, 'TLS_ALPN_REFUSED'],
  [/PEER_DID_NOT_RETURN_A_CERTIFICATE/, 'TLS_CLIENT_CERT_MISSING'],
  [/RENEGOTIATION|SESSION_ATTACK/, 'TLS_RENEGOTIATION_REFUSED'],
];

/** OpenSSL's names of what is wrong with a client's chain; any other is `TLS_CLIENT_CERT_UNTRUSTED`. */
const verifyReasons: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'TLS_CLIENT_CERT_EXPIRED'],
  ['CERT_NOT_YET_VALID', 'TLS_CLIENT_CERT_EXPIRED'],
  ['CERT_REVOKED', 'TLS_CLIENT_CERT_REVOKED'],
]);

/** An error of Node's TLS before the handshake was complete. @param peer its address, for logs */
export function handshakeFailure(thrown: unknown, peer: string): WireError {
  const code = codeOf(thrown);
  if (/^ERR_(?:SSL|TLS|OSSL)/.test(code)) {
    const reason = reasons.find(([pattern]) => pattern.test(code))?.[1] ?? 'TLS_HANDSHAKE_FAILED';
    return refusal(reason, `${openSslText(thrown)} (${code})`, peer, thrown);
  }
  return refusal('TLS_HANDSHAKE_CUT', 'the connection ended before the handshake was complete', peer, fromNodeError(thrown));
}

/** @param code of `tls.TLSSocket.authorizationError` */
export function clientCertificateFailure(code: string, peer: string): WireError {
  const local = localVerifyReasons.get(code);
  if (local !== undefined) return localFailure(local, `the client's certificate cannot be judged: ${code}`, peer, undefined);
  return refusal(verifyReasons.get(code) ?? 'TLS_CLIENT_CERT_UNTRUSTED', `the client's certificate is not taken: ${code}`, peer, undefined);
}

export function handshakeTimeout(timeoutMs: number, peer: string): WireError {
  return timeoutError('TLS_HANDSHAKE_TIMEOUT', `no complete handshake within ${timeoutMs} ms`, { source: 'downstream', context: peer });
}

/** Any other reason to end a handshake. */
export function refusal(reason: string, message: string, peer: string, cause: unknown): WireError {
  return tlsError(reason, message, { source: 'downstream', retry: 'never', context: peer, cause });
}

/** This program's fault: a callback that threw or gave nonsense, a certificate that does not work. */
export function localFailure(reason: string, message: string, peer: string, cause: unknown): WireError {
  return tlsError(reason, message, { source: 'downstream', retry: 'never', fault: 'local', wire: { status: 500 }, context: peer, cause });
}
