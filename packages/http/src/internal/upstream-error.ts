/** What a failure of a shared connection to a server means: for whoever asked through us, and for each of its exchanges. */
import { type Retry, WireError, withSource } from '@ferrata/error';

/** `error` with another class of retry; the same object if it has that one already. */
export function withRetry(error: WireError, retry: Retry): WireError {
  return error.retry === retry ? error : copyOf(error, retry, error.status);
}

/**
 * The error of a server, as its client tells it on: codecs know no roles, and give a client's faults a status of 4xx; a server's are 502
 * (RFC 9110 §15.6.3).
 */
export function asUpstreamError(error: WireError): WireError {
  if (error.type === 'internal') return withSource(error, 'internal');
  const { status } = error;
  return withSource(status >= 500 && status <= 599 ? error : copyOf(error, error.retry, 502), 'upstream');
}

function copyOf(error: WireError, retry: Retry, status: number): WireError {
  const { type, reason, wire, source, fault } = error;
  return new WireError(type, reason, { message: 'see the cause', retry, wire: { ...wire, status }, source, fault, cause: error });
}
