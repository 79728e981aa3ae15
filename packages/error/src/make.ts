/** Makers of `WireError`, one per type, each with the defaults that fit that type. */
import { textOf } from './text-of.ts';
import { isWireError, WireError, type WireErrorDetails } from './wire-error.ts';

/** The peer broke a protocol rule. Default status 400. */
export function protocolError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('protocol', reason, { ...details, message });
}

/** The peer went over a limit. Default status 431; pass `wire` for 413 or 414. */
export function limitError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('limit', reason, { ...details, message });
}

/** Something took too long. Default status 504; pass `wire` for 408. */
export function timeoutError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('timeout', reason, { ...details, message });
}

/** A connection could not be made. Default status 502, retry `always`: nothing was sent. */
export function connectError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('connect', reason, { retry: 'always', ...details, message });
}

/** A TLS handshake or check failed. Default status 502. */
export function tlsError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('tls', reason, { ...details, message });
}

/** An established connection failed. Default status 502. */
export function ioError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('io', reason, { ...details, message });
}

/** The user's own code asked for failure. Default status 500. */
export function applicationError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('application', reason, { ...details, message });
}

/** A bug of this program, or a throw from a user's callback. Default status 500. */
export function internalError(reason: string, message?: string, details?: WireErrorDetails): WireError {
  return new WireError('internal', reason, { ...details, message });
}

/** Whatever was thrown or rejected, as a `WireError`: itself if it is one, else `internal` with it as the cause. */
export function toWireError(thrown: unknown, reason = 'UNEXPECTED_THROW'): WireError {
  if (isWireError(thrown)) return thrown;
  return internalError(reason, textOf(thrown), { cause: thrown });
}
