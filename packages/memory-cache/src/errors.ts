/** The errors of a read-through cache. A look-up's own error is always the cause; its type, source, retry and wire codes stay visible. */
import { applicationError, isWireError, limitError, timeoutError, WireError } from '@ferrata/error';

/** `CACHE_LOOK_UP_FAILED`: `lookUp` or `lookUpMany` threw or rejected. */
export function lookUpFailed(cause: unknown): WireError {
  if (!isWireError(cause)) return applicationError('CACHE_LOOK_UP_FAILED', describe(cause), { cause });
  const { type, message, source, fault, wire } = cause;
  return new WireError(type, 'CACHE_LOOK_UP_FAILED', { message, source, fault, wire, cause });
}

/** `CACHE_TOO_MANY_WAITERS`: as many as may wait for one key do so already. */
export function tooManyWaiters(maxWaiters: number): WireError {
  return limitError('CACHE_TOO_MANY_WAITERS', `${maxWaiters} wait for the same look-up`, {
    fault: 'local',
    source: 'internal',
    wire: { status: 503 },
  });
}

/** `CACHE_LOCK_TIMEOUT`: a caller has waited as long as it may for look-ups that don't end, and no other may begin. */
export function lockTimedOut(): WireError {
  return timeoutError('CACHE_LOCK_TIMEOUT', 'the look-ups of the key do not end', { fault: 'local', source: 'internal' });
}

function describe(thrown: unknown): string | undefined {
  return thrown instanceof Error ? thrown.message : undefined;
}
