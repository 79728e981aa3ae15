/**
 * The two goodbyes of a connection (RFC 9113 §6.8).
 *
 * ```text
 *   ours     none ──drain──► announced: last = 2^31−1 ──PING acknowledged, or time──► final: last = highest taken ──► no stream: close
 *              └───────────── goaway, a fatal error, or a client's drain ───────────────► final
 *   theirs   none ──GOAWAY──► last id, may only fall ──► no stream: close
 * ```
 * The two steps of a server let requests arrive that were under way when it decided to go: nothing is lost, and nothing need be tried again.
 */

/** Highest number of a stream: "I do not say yet where I stop". */
export const ANY_STREAM = 0x7fff_ffff;

/** What was said and heard about the end. */
export class GoingAway {
  /** Last stream in our GOAWAY, −1 if none was sent. */
  sentLastId = -1;
  /** Since when the second GOAWAY is due; −1 if it is not. */
  announcedAt = -1;
  /** Last stream in the peer's GOAWAY, −1 if none came. */
  receivedLastId = -1;
  /** No stream is opened any more, or those that come are ignored. */
  isDraining = false;

  /** Our last word was said: streams above it are ignored. */
  get isFinal(): boolean {
    return this.sentLastId >= 0 && this.sentLastId !== ANY_STREAM;
  }
}
