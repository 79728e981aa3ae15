/** What the errors of both ends have in common: how OpenSSL and Node say what went wrong, and which of it is our own fault. */
import { textOf } from '@ferrata/error';

/**
 * What is wrong with our own lists of revoked certificates (X509_V_ERR_…, as Node has it). Only what no peer can cause: that there is no list of an issuer, or one that is not signed by it, may
 * be so because a stranger has made that issuer up.
 */
export const localVerifyReasons: ReadonlyMap<string, string> = new Map([
  ['CRL_HAS_EXPIRED', 'TLS_CRL_EXPIRED'],
  ['CRL_NOT_YET_VALID', 'TLS_CRL_EXPIRED'],
]);

/** The code of an error of Node's; empty if it has none. */
export function codeOf(thrown: unknown): string {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : '';
  return typeof code === 'string' ? code : '';
}

/** What OpenSSL says of it in words. The message has file names, numbers and a line break beside them. */
export function openSslText(thrown: unknown): string {
  const reason = typeof thrown === 'object' && thrown !== null && 'reason' in thrown ? thrown.reason : undefined;
  return typeof reason === 'string' && reason !== '' ? reason : textOf(thrown).trim();
}
