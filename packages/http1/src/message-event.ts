/** The words in which decoders, writers and machines of this package speak of messages and the length of their bodies. */

/** What a decoder's `next` found. */
export const MessageEvent = {
  /** Nothing yet. */
  none: 0,
  /** A start line with its header section. */
  head: 1,
  /** A piece of the body. */
  data: 2,
  /** The end of the message; trailers are known. */
  end: 3,
} as const;

/** One of the values of the constant of the same name. */
export type MessageEvent = (typeof MessageEvent)[keyof typeof MessageEvent];

/**
 * Body lengths that are no number of bytes. A `bodyLength` is an exact length if it is 0 or more, else one of these.
 *
 * @see RFC 9112 §6.3
 */
export const BodyLength = {
  /** In chunks, to the last one (RFC 9112 §7.1). */
  chunked: -1,
  /** To the end of the connection; responses only. */
  untilClose: -2,
} as const;

/** One of the values of the constant of the same name. */
export type BodyLength = (typeof BodyLength)[keyof typeof BodyLength];
