/**
 * Codes of Close frames, and which of them may stand on the wire.
 *
 * ```text
 *   0 –  999   never used
 *   1000–2999  of the protocol: only those registered, and of these not 1004, 1005, 1006, 1015, which are words for programs
 *   3000–3999  registered for libraries and frameworks
 *   4000–4999  private
 * ```
 *
 * @see RFC 6455 §7.4 · IANA "WebSocket Close Code Number" registry (1012–1014)
 */

/** Registered close codes. @see RFC 6455 §7.4.1 */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  /** The Close frame had no code; never on the wire. */
  none: 1005,
  /** The connection ended without a Close frame; never on the wire. */
  abnormal: 1006,
  invalidData: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  extensionMissing: 1010,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
  badGateway: 1014,
  /** TLS failed; never on the wire. */
  tlsFailed: 1015,
} as const;

const FIRST_REGISTERED = 1000;
const LAST_REGISTERED = 1014;
/** Reserved, or words for programs only. */
const NEVER_SENT: ReadonlySet<number> = new Set([1004, CloseCode.none, CloseCode.abnormal]);

/** Whether a code may stand in a Close frame, ours or the peer's. @see RFC 6455 §7.4.2 */
export function isCloseCode(code: number): boolean {
  if (code >= 3000 && code <= 4999) return Number.isInteger(code);
  return Number.isInteger(code) && code >= FIRST_REGISTERED && code <= LAST_REGISTERED && !NEVER_SENT.has(code);
}
