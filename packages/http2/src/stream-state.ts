/**
 * The states of a stream (RFC 9113 §5.1), and what a frame of the peer means in each.
 *
 * ```text
 *                      ┌────────┐
 *                      │  idle  │
 *                      └───┬────┘
 *                          │ HEADERS, sent (client) or received (server)
 *                          ▼
 *                      ┌────────┐
 *           END_STREAM │        │ END_STREAM
 *            received  │  open  │  sent
 *              ┌───────┤        ├───────┐
 *              ▼       └───┬────┘       ▼
 *      ┌─────────────┐     │     ┌─────────────┐
 *      │ half-closed │     │     │ half-closed │
 *      │  (remote)   │     │     │   (local)   │
 *      └──────┬──────┘     │     └──────┬──────┘
 *             │ END_STREAM │ RST_STREAM │ END_STREAM
 *             │  sent, or  │  sent or   │ received, or
 *             │ RST_STREAM ▼  received  │ RST_STREAM
 *             │        ┌────────┐       │
 *             └───────►│ closed │◄──────┘
 *                      └────────┘
 * ```
 * The reserved states of the RFC belong to PUSH_PROMISE, which is never sent here, and ends the connection when it comes.
 *
 * `closed` comes in three kinds, because the RFC wants late frames treated by how the stream was closed: after our RST_STREAM what the peer had
 * under way is ignored; after its RST_STREAM more is an error of the stream; after both END_STREAMs it is an error of the connection. Streams that
 * nobody remembers count as reset by us (`StreamTable` remembers the newest thousands): a late frame must not end what others use.
 */

/** The state of a stream. */
export const StreamState = {
  idle: 0,
  open: 1,
  halfClosedLocal: 2,
  halfClosedRemote: 3,
  /** Both sides said END_STREAM. */
  closedByEnd: 4,
  /** We sent RST_STREAM, refused the stream or passed it over, or nobody remembers. */
  closedByUs: 5,
  /** The peer sent RST_STREAM. */
  closedByPeer: 6,
} as const;

/** The state of a stream. */
export type StreamState = (typeof StreamState)[keyof typeof StreamState];

/** What a frame of the peer means in a state. */
export const Verdict = {
  /** It is in order. */
  fine: 0,
  /** It was under way when the stream closed: do nothing, but count flow control, and keep the header table right. */
  ignore: 1,
  /** RST_STREAM(STREAM_CLOSED). */
  streamClosed: 2,
  /** GOAWAY(STREAM_CLOSED). */
  connectionClosed: 3,
  /** GOAWAY(PROTOCOL_ERROR). */
  protocolError: 4,
} as const;

/** What a frame of the peer means in a state. */
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** The frames that belong to a stream and depend on its state; PRIORITY is allowed in every state (RFC 9113 §6.3). */
export const StreamFrame = { headers: 0, data: 1, rstStream: 2, windowUpdate: 3 } as const;

/** The frames that belong to a stream and depend on its state. */
export type StreamFrame = (typeof StreamFrame)[keyof typeof StreamFrame];

const { fine, ignore, streamClosed, connectionClosed, protocolError } = Verdict;

/** A row a state, a column a frame. */
const verdicts: Uint8Array = Uint8Array.of(
  // HEADERS         DATA              RST_STREAM      WINDOW_UPDATE
  // idle: only HEADERS opens a stream, and only those of a client (the machine sees to that).
  fine,
  protocolError,
  protocolError,
  protocolError,
  // open
  fine,
  fine,
  fine,
  fine,
  // half-closed (local): we have said END_STREAM, the peer may say all.
  fine,
  fine,
  fine,
  fine,
  // half-closed (remote): the peer has said END_STREAM.
  streamClosed,
  streamClosed,
  fine,
  fine,
  // closed by END_STREAM of both: WINDOW_UPDATE and RST_STREAM may have been under way.
  connectionClosed,
  connectionClosed,
  ignore,
  ignore,
  // closed by our RST_STREAM: all may have been under way.
  ignore,
  ignore,
  ignore,
  ignore,
  // closed by the peer's RST_STREAM: it knows better.
  streamClosed,
  streamClosed,
  ignore,
  ignore,
);

/** What a frame of the peer means in a state. @see RFC 9113 §5.1 */
export function verdictOn(state: StreamState, frame: StreamFrame): Verdict {
  return verdicts[state * 4 + frame] as Verdict;
}

const { open, halfClosedLocal, halfClosedRemote, closedByEnd, closedByUs, closedByPeer } = StreamState;
const afterSentEnd: Uint8Array = Uint8Array.of(0, halfClosedLocal, halfClosedLocal, closedByEnd, closedByEnd, closedByUs, closedByPeer);
const afterReceivedEnd: Uint8Array = Uint8Array.of(
  0,
  halfClosedRemote,
  closedByEnd,
  halfClosedRemote,
  closedByEnd,
  closedByUs,
  closedByPeer,
);

/** The state after END_STREAM was sent in `state`. */
export function stateAfterSentEnd(state: StreamState): StreamState {
  return afterSentEnd[state] as StreamState;
}

/** The state after END_STREAM was received in `state`. */
export function stateAfterReceivedEnd(state: StreamState): StreamState {
  return afterReceivedEnd[state] as StreamState;
}

/** Whether the peer may still send on a stream in this state. */
export function mayReceive(state: StreamState): boolean {
  return state === open || state === halfClosedLocal;
}
