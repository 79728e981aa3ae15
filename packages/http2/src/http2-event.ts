/** What `nextEvent` of a connection has found. */

/** The kinds of events; the order on one stream is `interim`* `head` `data`* `end`, and `reset` may follow at any point, last. */
export const Http2Event = {
  none: 0,
  /** A request (server: `stream.request`) or a final response (client: `stream.response`). */
  head: 1,
  /** An interim response (client: `stream.interim`). */
  interim: 2,
  /** A piece of a body: `connection.data`. */
  data: 3,
  /** The message is whole: `connection.trailers`. Follows `head` also if there was no body. */
  end: 4,
  /** The stream is gone: `connection.error`. */
  reset: 5,
  /** A request that never became an exchange, and was answered or reset by the machine (server): `connection.error`. */
  refused: 6,
  /** GOAWAY of the peer: `connection.error` has its code and text. */
  goaway: 7,
  /** SETTINGS of the peer were applied: `availableStreams` may have changed. */
  settings: 8,
} as const;

/** A kind of event. */
export type Http2Event = (typeof Http2Event)[keyof typeof Http2Event];
