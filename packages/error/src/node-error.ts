/**
 * Node's error codes as `WireError`s: the one table.
 *
 * Source of the codes: Node's `errors` documentation and the `errno` values that libuv passes through. Whether a failed read or write
 * may be tried again depends on the connection having been reused (a server may close an idle connection at any moment), hence
 * `ifReused`; a connection that was never made may always be tried again.
 */
import { textOf } from './text-of.ts';
import { type ErrorType, isWireError, type Retry, WireError, type WireErrorDetails } from './wire-error.ts';

interface Row {
  readonly type: ErrorType;
  readonly reason: string;
  readonly retry: Retry;
  readonly status: number;
}

function row(type: ErrorType, reason: string, retry: Retry, status = 502): Row {
  return { type, reason, retry, status };
}

const byCode: ReadonlyMap<string, Row> = new Map([
  ['ECONNREFUSED', row('connect', 'CONNECT_REFUSED', 'always')],
  ['ENOENT', row('connect', 'CONNECT_NO_SOCKET', 'always')],
  ['EACCES', row('connect', 'CONNECT_NOT_PERMITTED', 'never')],
  ['EPERM', row('connect', 'CONNECT_NOT_PERMITTED', 'never')],
  ['EHOSTUNREACH', row('connect', 'CONNECT_NO_ROUTE', 'always')],
  ['ENETUNREACH', row('connect', 'CONNECT_NO_ROUTE', 'always')],
  ['EHOSTDOWN', row('connect', 'CONNECT_NO_ROUTE', 'always')],
  ['EADDRNOTAVAIL', row('connect', 'CONNECT_NO_LOCAL_ADDRESS', 'always')],
  ['EMFILE', row('connect', 'DESCRIPTORS_EXHAUSTED', 'never', 503)],
  ['ENFILE', row('connect', 'DESCRIPTORS_EXHAUSTED', 'never', 503)],
  ['ENOTFOUND', row('connect', 'DNS_NOT_FOUND', 'always')],
  ['EAI_AGAIN', row('connect', 'DNS_TEMPORARY_FAILURE', 'always')],
  ['ESERVFAIL', row('connect', 'DNS_SERVER_FAILURE', 'always')],
  ['ETIMEDOUT', row('timeout', 'CONNECT_TIMEOUT', 'always', 504)],
  ['ERR_SOCKET_CONNECTION_TIMEOUT', row('timeout', 'CONNECT_TIMEOUT', 'always', 504)],
  ['ECONNRESET', row('io', 'CONNECTION_RESET', 'ifReused')],
  ['ECONNABORTED', row('io', 'CONNECTION_ABORTED', 'ifReused')],
  ['EPIPE', row('io', 'CONNECTION_BROKEN_PIPE', 'ifReused')],
  ['ERR_STREAM_PREMATURE_CLOSE', row('io', 'CONNECTION_CLOSED_EARLY', 'ifReused')],
  ['ERR_STREAM_WRITE_AFTER_END', row('io', 'CONNECTION_BROKEN_PIPE', 'ifReused')],
  ['ERR_STREAM_DESTROYED', row('io', 'CONNECTION_BROKEN_PIPE', 'ifReused')],
  ['EADDRINUSE', row('io', 'ADDRESS_IN_USE', 'never', 500)],
]);

/**
 * Turns an error of Node's sockets into a `WireError`; unknown codes become `io IO_FAILED` with the code as context.
 *
 * @param thrown anything; a `WireError` is returned as it is
 * @param details overrides, usually `source` and `context`
 */
export function fromNodeError(thrown: unknown, details: WireErrorDetails = {}): WireError {
  if (isWireError(thrown)) return thrown;
  const code = nodeCode(thrown);
  const message = messageOf(thrown);
  const found = byCode.get(firstCode(thrown, code));
  if (found === undefined) {
    const type: ErrorType = code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') ? 'tls' : 'io';
    return new WireError(type, type === 'tls' ? 'TLS_FAILED' : 'IO_FAILED', {
      message,
      cause: thrown,
      context: code || undefined,
      ...details,
    });
  }
  const { type, reason, retry, status } = found;
  return new WireError(type, reason, { message, cause: thrown, retry, wire: { status }, ...details });
}

/** Errors of OpenSSL have file names, numbers and a line break in their message, and say in words what it is in `reason`. */
function messageOf(thrown: unknown): string {
  const reason = typeof thrown === 'object' && thrown !== null && 'reason' in thrown ? thrown.reason : undefined;
  return typeof reason === 'string' && reason !== '' && nodeCode(thrown).startsWith('ERR_SSL') ? reason : textOf(thrown).trimEnd();
}

function nodeCode(thrown: unknown): string {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' ? code : '';
}

/** A connection tried over several addresses fails with an `AggregateError`: its first known member speaks for it. */
function firstCode(thrown: unknown, code: string): string {
  if (byCode.has(code) || !(thrown instanceof AggregateError)) return code;
  for (const one of thrown.errors) {
    const inner = nodeCode(one);
    if (byCode.has(inner)) return inner;
  }
  return code;
}
