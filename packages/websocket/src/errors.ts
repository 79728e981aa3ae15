/**
 * The errors of connections and handshakes, each made in one place, so that a reason always carries the same close code and status.
 *
 * Rules of this file:
 * - `wire.closeCode` is the code of the Close frame that tells the peer; 1006 means that none is sent (RFC 6455 §7.4.1).
 * - `wire.status` answers a handshake that is refused; once there are frames there is no status.
 */
import { ioError, limitError, protocolError, timeoutError, type WireError } from '@ferrata/error';
import { CloseCode } from './close-code.ts';

/** The peer broke a rule of RFC 6455: 1002 unless another code fits better. */
export function violation(reason: string, message: string, closeCode: number = CloseCode.protocolError, cause?: unknown): WireError {
  return protocolError(reason, message, { wire: { closeCode, status: 0 }, cause });
}

/** The peer went over a limit. */
export function overLimit(reason: string, message: string, closeCode: number): WireError {
  return limitError(reason, message, { wire: { closeCode, status: 0 } });
}

/** The peer was silent for too long. */
export function tooSlow(reason: string, message: string): WireError {
  return timeoutError(reason, message, { wire: { closeCode: CloseCode.abnormal, status: 0 } });
}

/** The connection ended without the closing handshake (RFC 6455 §7.1.5). */
export function closedEarly(): WireError {
  return ioError('WS_CLOSED_EARLY', 'the connection ended without a Close frame', { wire: { closeCode: CloseCode.abnormal, status: 0 } });
}

/** A handshake that cannot be answered with success. */
export function badHandshake(reason: string, message: string, status = 400): WireError {
  return protocolError(reason, message, { wire: { status } });
}
