/** What `nextEvent` of a connection has found. */

/** The kinds of events; of one message: `messageStart`, `data`*, `messageEnd`, with pings and pongs anywhere between them. */
export const WebSocketEvent = {
  none: 0,
  /** A message begins: `connection.messageKind`. */
  messageStart: 1,
  /** A piece of it: `connection.data`, never empty. */
  data: 2,
  /** It is whole. */
  messageEnd: 3,
  /** A ping with `connection.data`; the pong has been queued. */
  ping: 4,
  /** A pong with `connection.data`. */
  pong: 5,
  /** The peer's Close: `connection.closeCode`, `connection.closeReason`. Nothing follows it. */
  close: 6,
} as const;

/** A kind of event. */
export type WebSocketEvent = (typeof WebSocketEvent)[keyof typeof WebSocketEvent];
