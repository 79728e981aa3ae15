/** What those hear who wait for a connection, or for a place on a shared one, and get none. */
import { limitError, timeoutError, WireError } from '@ferrata/error';
import type { SharedLimits } from './shared-sessions.ts';

/** One for each who is told: whoever gets it may change what it says of retries. */
export function copyOf(thrown: unknown): unknown {
  if (!(thrown instanceof WireError)) return thrown;
  const { type, reason, retry, fault, wire, source, context } = thrown;
  return new WireError(type, reason, {
    message: 'as for the request that began to connect',
    retry,
    fault,
    wire,
    source,
    context,
    cause: thrown,
  });
}

/** The line is full. @param place the address */
export function tooManyPending({ maxPending, place }: Pick<SharedLimits, 'maxPending' | 'place'>): WireError {
  const message = `${maxPending} requests wait for a connection, or a place on one`;
  return limitError('UPSTREAM_TOO_MANY_PENDING', message, { wire: { status: 503 }, retry: 'never', source: 'upstream', context: place });
}

/** Waited in vain. @param isFull a connection stands, and has no place: another try would only wait again. Without one, another peer may have it. */
export function noStream({ pendingTimeoutMs, place }: Pick<SharedLimits, 'pendingTimeoutMs' | 'place'>, isFull: boolean): WireError {
  const message = isFull ? `no connection had a place within ${pendingTimeoutMs} ms` : 'no connection could be made in time';
  const retry = isFull ? 'never' : 'always';
  return timeoutError('UPSTREAM_NO_STREAM', message, { wire: { status: 503 }, retry, source: 'upstream', context: place });
}

/** HTTP/1: waited in vain. Another try would only wait again. */
export function noConnection({ pendingTimeoutMs, place }: Pick<SharedLimits, 'pendingTimeoutMs' | 'place'>): WireError {
  const message = `no connection became free within ${pendingTimeoutMs} ms`;
  return timeoutError('UPSTREAM_NO_CONNECTION', message, { wire: { status: 503 }, retry: 'never', source: 'upstream', context: place });
}
