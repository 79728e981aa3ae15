/**
 * Who may have how many of the descriptors that a process may open.
 *
 * ```
 * open files = kept back (256, and 8 for each thread but one) + handshakes (their own, while they say hello, wait, or have a place) + connections, two each: the client's and the origin's
 * ```
 * A server whose descriptors run out answers nobody, not even those without TLS: so whatever one client can hold by opening connections is in one of these shares.
 * Threads of one process share its descriptors, each has its part of each share: a connection is with the thread that accepted it for good.
 */

/** Handshakes have at most a quarter of the descriptors; with plenty of them, no more than this. */
const MAX_PLACES = 1_024;
const MAX_PENDING = 8_192;
/** Listeners with their spare descriptors, files, pipes, origins that are tried, and whatever else. */
const KEPT_BACK = 256;
/** An event loop has seven of its own, and a listener at least. */
const KEPT_BACK_PER_THREAD = 8;
/** However few there are: a server, or a thread of it, that serves nobody is of no use. */
const LEAST = 16;

/** Of the TLS handshakes: `maxHandshakes` and `maxPending` of a `TlsServer`. */
export interface HandshakeShares {
  readonly maxHandshakes: number;
  /** A crowd that comes back after a restart waits, and is served. */
  readonly maxPending: number;
}

/** Of one thread. @param limit how many descriptors the process may have */
export function handshakeShares(limit: number, threads = 1): HandshakeShares {
  const maxHandshakes = Math.max(LEAST, Math.min(MAX_PLACES, Math.floor(limit / 8)));
  const maxPending = Math.max(LEAST, Math.min(MAX_PENDING, Math.floor(limit / 4) - maxHandshakes));
  return { maxHandshakes: partOf(maxHandshakes, threads), maxPending: partOf(maxPending, threads) };
}

/** Clients that may be connected to one thread at once. @param handshakes its own; null: there are none */
export function connectionShare(limit: number, handshakes: HandshakeShares | null, threads = 1): number {
  const taken = handshakes === null ? 0 : (handshakes.maxHandshakes + handshakes.maxPending) * threads;
  const keptBack = KEPT_BACK + KEPT_BACK_PER_THREAD * (threads - 1);
  return partOf(Math.max(LEAST, Math.floor((limit - keptBack - taken) / 2)), threads);
}

function partOf(whole: number, threads: number): number {
  return Math.max(LEAST, Math.floor(whole / threads));
}
