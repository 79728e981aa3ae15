/**
 * The one error shape of Ferrata: what went wrong, on whose side, and whether trying again is safe.
 *
 * Rules of this file:
 * - A `WireError` ends a connection or a request. It never steers ordinary control flow: "needs data", "closed" and
 *   "window empty" are values.
 * - It is made by functions (`protocolError`, `limitError`, …), never by hand, so that a type always carries the same defaults.
 * - `reason` is stable: one string per check. Programs compare reasons, people read messages.
 * - Misuse by the programmer is a `TypeError` or `RangeError`, never a `WireError`.
 */

/** The kind of failure. */
export type ErrorType = 'connect' | 'tls' | 'protocol' | 'io' | 'limit' | 'timeout' | 'application' | 'internal';

/** The side of a proxy on which the failure arose; `unset` until somebody who knows says so. */
export type ErrorSource = 'upstream' | 'downstream' | 'internal' | 'unset';

/** Whether the same request may be sent again; `ifReused`: only if the connection it failed on was a reused one. */
export type Retry = 'never' | 'always' | 'ifReused';

/** Who broke the rules: the peer (`remote`) or this program (`local`). */
export type Fault = 'remote' | 'local';

/** What to put on the wire when this error is told to a peer; each protocol reads its own field. */
export interface WireHint {
  /** HTTP status code, 400 to 599; 0 means: answer nothing, only close. */
  readonly status?: number;
  /** HTTP/2 error code (RFC 9113 §7). */
  readonly http2Code?: number;
  /** WebSocket close code (RFC 6455 §7.4). */
  readonly closeCode?: number;
}

/** Everything about a `WireError` beyond its type and reason. All optional. */
export interface WireErrorDetails {
  /** One sentence for people; default: none. */
  readonly message?: string | undefined;
  /** Default `unset`. */
  readonly source?: ErrorSource | undefined;
  /** Default: inherited from `cause` if that is a `WireError`, else `never`. */
  readonly retry?: Retry | undefined;
  /** Default by type: `local` for application and internal, `remote` for all others. */
  readonly fault?: Fault | undefined;
  /** Default: the HTTP status of the type, as in the README. */
  readonly wire?: WireHint | undefined;
  /** The error below this one. */
  readonly cause?: unknown;
  /** Where it happened: a peer, an option, a byte offset. */
  readonly context?: string | undefined;
}

const defaultStatus: Readonly<Record<ErrorType, number>> = {
  connect: 502,
  tls: 502,
  protocol: 400,
  io: 502,
  limit: 431,
  timeout: 504,
  application: 500,
  internal: 500,
};

const brand: unique symbol = Symbol.for('@ferrata/error/WireError') as never;

/**
 * An error of a connection, a message or an exchange. Its message begins with type and reason, so a log line alone is enough.
 *
 * `source`, `retry` and `context` may be set later by the layer that knows them (see `withSource`, `addContext`);
 * all other fields are fixed.
 */
export class WireError extends Error {
  readonly type: ErrorType;
  /** Stable name of the failed check, upper snake case with the protocol in front: `H1_CHUNK_SIZE_OVERFLOW`. */
  readonly reason: string;
  readonly fault: Fault;
  readonly wire: WireHint;
  source: ErrorSource;
  retry: Retry;
  context: string | undefined;

  constructor(type: ErrorType, reason: string, details: WireErrorDetails = {}) {
    const { message, cause, context } = details;
    super(composeMessage(type, reason, message, context), cause === undefined ? undefined : { cause });
    this.type = type;
    this.reason = reason;
    this.fault = details.fault ?? (type === 'application' || type === 'internal' ? 'local' : 'remote');
    this.wire = details.wire ?? { status: defaultStatus[type] };
    this.source = details.source ?? 'unset';
    this.retry = details.retry ?? (isWireError(cause) ? cause.retry : 'never');
    this.context = context;
    Object.defineProperty(this, brand, { value: true });
  }

  override get name(): string {
    return 'WireError';
  }

  /** The HTTP status that tells a client of this error; 0 means that nothing is to be sent. */
  get status(): number {
    return this.wire.status ?? defaultStatus[this.type];
  }

  /** True for every `WireError`, also one made by a second copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isWireError(value);
  }
}

/** True if `value` is a `WireError`, of this copy of the package or another. Total: false for a proxy that throws when it is asked. */
export function isWireError(value: unknown): value is WireError {
  try {
    return typeof value === 'object' && value !== null && brand in value;
  } catch {
    return false;
  }
}

/** Sets the side an error arose on, unless it is known already. @returns the same error */
export function withSource(error: WireError, source: ErrorSource): WireError {
  if (error.source === 'unset') error.source = source;
  return error;
}

/** Turns `ifReused` into a decision. @returns true if the request may be sent again */
export function mayRetry(error: WireError, connectionWasReused: boolean): boolean {
  return error.retry === 'always' || (error.retry === 'ifReused' && connectionWasReused);
}

/** Adds where an error happened, outermost first. @returns the same error */
export function addContext(error: WireError, context: string): WireError {
  error.context = error.context === undefined ? context : `${context}: ${error.context}`;
  return error;
}

/** The innermost cause that is an `Error`; the error itself if it has none. Stops after 32 steps, so that a cycle ends. */
export function rootCause(error: Error): Error {
  let current = error;
  for (let depth = 0; depth < 32 && current.cause instanceof Error; depth++) current = current.cause;
  return current;
}

function composeMessage(type: string, reason: string, message: string | undefined, context: string | undefined): string {
  let text = `${type} ${reason}`;
  if (message !== undefined) text += `: ${message}`;
  if (context !== undefined) text += ` (${context})`;
  return text;
}
