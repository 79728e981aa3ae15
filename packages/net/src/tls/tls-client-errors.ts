/** What goes wrong in a client's handshake, as `WireError`s. */
import { fromNodeError, type Retry, textOf, tlsError, type WireError } from '@ferrata/error';

/** OpenSSL's names of what is wrong with a chain (X509_V_ERR_…), as Node has them; any other is `TLS_CERT_UNTRUSTED`. */
const verifyReasons: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'TLS_CERT_EXPIRED'],
  ['CERT_NOT_YET_VALID', 'TLS_CERT_NOT_YET_VALID'],
  ['CERT_REVOKED', 'TLS_CERT_REVOKED'],
  ['INVALID_PURPOSE', 'TLS_CERT_WRONG_PURPOSE'],
]);

/** Codes of chains that could not be verified: `tls.TLSSocket.authorizationError`. */
const verifyCodes: ReadonlySet<string> = new Set([
  ...verifyReasons.keys(),
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CRL_SIGNATURE_FAILURE',
  'CRL_NOT_YET_VALID',
  'CRL_HAS_EXPIRED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  'OUT_OF_MEM',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_CHAIN_TOO_LONG',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
  // Node's name for every one that it does not name.
  'UNSPECIFIED',
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

/** An error of Node's TLS socket before its handshake was complete. */
export function handshakeError(thrown: unknown, server: string): WireError {
  const code = codeOf(thrown);
  if (verifyCodes.has(code)) {
    const reason = verifyReasons.get(code) ?? 'TLS_CERT_UNTRUSTED';
    return describe(reason, `${shortText(thrown)} (${code})`, { server, cause: thrown, retry: 'never' });
  }
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code.startsWith('ERR_OSSL')) {
    const reason = handshakeReasons.find(([pattern]) => pattern.test(code))?.[1] ?? 'TLS_HANDSHAKE_FAILED';
    return describe(reason, `${shortText(thrown)} (${code})`, { server, cause: thrown, retry: 'never' });
  }
  // The connection failed below. Nothing of any request was sent yet.
  const below = fromNodeError(thrown);
  return describe('TLS_HANDSHAKE_CUT', shortText(thrown), { server, cause: below, retry: 'always' });
}

/** The connection was closed before the handshake was complete. */
export function handshakeCut(server: string): WireError {
  return describe('TLS_HANDSHAKE_CUT', 'the connection was closed before the handshake was complete', {
    server,
    cause: undefined,
    retry: 'always',
  });
}

function describe(reason: string, message: string, facts: { server: string; cause: unknown; retry: Retry }): WireError {
  const { server, cause, retry } = facts;
  return tlsError(reason, message, { cause, retry, context: server, fault: 'remote' });
}

function codeOf(thrown: unknown): string {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : '';
  return typeof code === 'string' ? code : '';
}

/** What OpenSSL says without the place in its sources, where there is such a part. */
function shortText(thrown: unknown): string {
  if (typeof thrown === 'object' && thrown !== null && 'reason' in thrown && typeof thrown.reason === 'string') return thrown.reason;
  return textOf(thrown).trim();
}
