/**
 * Who may have how many of the descriptors that a process may open.
 *
 * ```
 * open files = 256 kept back + handshakes (their own, while they say hello, wait, or have a place) + connections, two each: the client's and the origin's
 * ```
 * A server whose descriptors run out answers nobody, not even those without TLS: so whatever one client can hold by opening connections is in one of these shares.
 */

/** Handshakes have at most a quarter of the descriptors; with plenty of them, no more than this. */
const MAX_PLACES = 1_024;
const MAX_PENDING = 8_192;
/** Listeners, files, pipes, origins that are tried, and whatever else. */
const KEPT_BACK = 256;
/** However few there are: a server that serves nobody is of no use. */
const LEAST = 16;

/** Of the TLS handshakes: `maxHandshakes` and `maxPending` of a `TlsServer`. */
export interface HandshakeShares {
  readonly maxHandshakes: number;
  /** A crowd that comes back after a restart waits, and is served. */
  readonly maxPending: number;
}

/** @param limit how many descriptors there may be */
export function handshakeShares(limit: number): HandshakeShares {
  const maxHandshakes = Math.max(LEAST, Math.min(MAX_PLACES, Math.floor(limit / 8)));
  return { maxHandshakes, maxPending: Math.max(LEAST, Math.min(MAX_PENDING, Math.floor(limit / 4) - maxHandshakes)) };
}

/** Clients that may be connected at once. @param handshakes null: there are none */
export function connectionShare(limit: number, handshakes: HandshakeShares | null): number {
  const taken = handshakes === null ? 0 : handshakes.maxHandshakes + handshakes.maxPending;
  return Math.max(LEAST, Math.floor((limit - KEPT_BACK - taken) / 2));
}
