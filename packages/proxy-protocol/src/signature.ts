/**
 * The first bytes of a PROXY header, and how to tell them from other protocols.
 *
 * ```text
 *   version 1   50 52 4F 58 59 20                        "PROXY "
 *   version 2   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A      "\r\n\r\n\0\r\nQUIT\n"
 * ```
 * They differ in their first byte. No header of version 2 is a request of HTTP, nor a greeting of SMTP or POP3 (specification §2.2).
 */
import { fromHex, latin1Encode } from '@ferrata/bytes';

/** The first bytes of version 1: the word and its space. */
export const V1_SIGNATURE: Uint8Array = latin1Encode('PROXY ');
/** The first bytes of version 2. */
export const V2_SIGNATURE: Uint8Array = fromHex('0d0a0d0a000d0a515549540a');

/** `version1`, `version2`: so a header begins; `partial`: it may, wait for more; `no`: something else. */
export type ProxySignatureMatch = 'version1' | 'version2' | 'partial' | 'no';

/**
 * Tells whether bytes begin a PROXY header. No bytes at all are `partial`.
 *
 * Guessing is for whoever cannot know: a peer that speaks first chooses what it is taken for. The specification (§2) asks receivers
 * to be configured to expect a header, or not to.
 */
export function proxySignatureMatch(bytes: Uint8Array): ProxySignatureMatch {
  const signature = bytes[0] === V1_SIGNATURE[0] ? V1_SIGNATURE : V2_SIGNATURE;
  const length = Math.min(bytes.length, signature.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== signature[i]) return 'no';
  if (length < signature.length) return 'partial';
  return signature === V1_SIGNATURE ? 'version1' : 'version2';
}
