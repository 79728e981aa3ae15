/**
 * Shared connections that carry nothing, over all peers: no more than a bound, however many peers there are. Peers that are made for clients (`peerForClient`) come in any number,
 * and leave their connections behind.
 *
 * A session that has been taken since is still in here, and is found out when its turn comes: taking one must cost nothing.
 */

/** The order in which sessions fell idle. */
export class IdleSessions<Session> {
  readonly #max: number;
  /** The one that fell idle last at the end. */
  readonly #sessions = new Set<Session>();
  readonly #drop: (session: Session) => void;
  /** The one at the end: it falls idle again and again where one connection carries one request after the other. */
  #newest: Session | null = null;

  /** @param drop ends a session, unless it carries something again */
  constructor(max: number, drop: (session: Session) => void) {
    this.#max = max;
    this.#drop = drop;
  }

  /** A session carries nothing any more. */
  add(session: Session): void {
    if (session === this.#newest) return;
    this.#newest = session;
    this.#sessions.delete(session);
    this.#sessions.add(session);
    if (this.#sessions.size <= this.#max) return;
    const oldest = this.#sessions.values().next().value as Session;
    this.delete(oldest);
    this.#drop(oldest);
  }

  /** It is gone. */
  delete(session: Session): void {
    if (session === this.#newest) this.#newest = null;
    this.#sessions.delete(session);
  }
}
