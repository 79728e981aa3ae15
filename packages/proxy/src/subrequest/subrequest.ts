/** A subrequest as its maker has it: the client's side of an exchange in memory. */
import type { WireError } from '@ferrata/error';
import type { HeaderMap, ResponseHead } from '@ferrata/headers';

/**
 * What hears the response. It is called at the end of a turn of the event loop, never from inside `open` or a method of the subrequest. What it throws, or rejects with, cancels the
 * subrequest (`SINK_THREW`), and nothing else.
 */
export interface SubrequestSink {
  /** An interim response (1xx but 101); a final one follows. Absent: they are dropped. */
  onInterim?(head: ResponseHead): void;
  /** The response's head; it is yours. `bodyLength` ≥ 0, or `BodyLength.chunked`; 0 for what has no body (HEAD, 204, 304). */
  onResponse(head: ResponseHead, bodyLength: number): void;
  /** A piece of the body; it is yours. */
  onData(chunk: Uint8Array): void;
  /** The response is whole. */
  onEnd(trailers: HeaderMap | null): void;
  /** The body of the request is wanted: once at first, unless it is not wanted at all, and again after each `sendData` that returned false. */
  onRequestDrain?(): void;
  /**
   * Once and last. `null`: all went well. An error behind `onEnd`: the response is whole, and tells of the failure (a 502 that the application did not write itself); without `onEnd`
   * the response is cut short, or never came.
   */
  onClose(error: WireError | null): void;
}

/** A request of one's own that is under way. */
export interface Subrequest {
  /** The final status of the response, or 0. */
  readonly status: number;
  /** Bytes of the response's body that the application has sent. */
  readonly responseBytes: number;
  /** It is over: commands do nothing any more. */
  readonly isClosed: boolean;
  /**
   * Sends a piece of a streamed body, which then belongs to the subrequest.
   *
   * @returns false: wait for `onRequestDrain`; also when nobody wants the body any more
   * @throws {TypeError} when the body is not streamed
   * @throws {RangeError} when it is more than the length announced: the subrequest ends with `BODY_LENGTH_WRONG`
   */
  sendData(chunk: Uint8Array): boolean;
  /**
   * Ends a streamed body.
   * @throws {TypeError} when the body is not streamed
   * @throws {RangeError} when bytes of the length announced are missing: the subrequest ends with `BODY_LENGTH_WRONG`
   */
  sendEnd(trailers?: HeaderMap | null): void;
  /** Nothing of the response until `resume`; a failure is told all the same. */
  pause(): void;
  resume(): void;
  /** Gives it up: the application hears of a client that is gone, and `onClose` follows with `error`. Default: `SUBREQUEST_CANCELLED`. */
  cancel(error?: WireError): void;
}
