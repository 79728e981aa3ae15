/**
 * The L4 stream: the joint on which everything turns.
 *
 * A stream is a reliable, ordered, two-way flow of bytes with half-close: a TCP or TLS connection, a Unix socket, an HTTP/2 tunnel, a pair in
 * memory. It pushes into exactly one sink. The contract, each line a test of `streamCompliance` in the test kit:
 *
 * 1. `onData` and `onDrain` any number of times, then at most one `onEnd` (data may still be written, and `onDrain` may still come), then
 *    exactly one `onClose`, then nothing. This holds for each sink: one that is attached later is told again what still holds (`onEnd` if the
 *    peer has ended, `onClose` if the stream has closed, `onDrain` if no write found the stream full since, so a sink that
 *    attaches another one from `onDrain` must be sure that this one does not do the same); one that was replaced hears nothing more.
 * 2. A stream never calls its sink from inside one of its own methods. The head given to `attach` arrives before newer bytes.
 * 3. A chunk handed to `onData` belongs to the sink, and is never rewritten; a chunk handed to `write` belongs to the stream and must not be
 *    changed by the caller afterwards.
 * 4. After `pause()` there is neither `onData` nor `onEnd` until `resume()`; `onDrain` and `onClose` may come.
 * 5. `write` never throws for reasons of the peer; bytes written after `end()` or after a close are dropped, and the answer is false (so that
 *    nobody goes on producing); `onClose` says why.
 * 6. A sink that throws is a bug: the stream aborts with an `internal` error (`SINK_THREW`). A throw from `onClose` has nothing left to end,
 *    and is dropped.
 * 7. A stream starts paused; the first `attach` starts the flow.
 *
 * ```text
 *                  end()                       peer's end
 *        ┌───────────────────────► ended ────────────────────────┐
 *      open                                                       ├──► closed
 *        └───────────────────────► peerEnded ────────────────────┘       ▲
 *        │         peer's end                  end()                     │
 *        └──────────────────── abort(), reset, error ────────────────────┘
 * ```
 *
 * `state` is what is already known: `end()` and `abort()` change it at once, the peer's end changes it just before `onEnd`, a reset or an error
 * not later than just before `onClose`. `closed` by two orderly ends may precede `onClose(null)`, which waits until all written bytes are out;
 * an `abort` in between still drops them. The clean `onClose(null)` never overtakes bytes; a failure overtakes what a paused sink has left unread.
 */
import type { WireError } from '@ferrata/error';
import type { StreamInfo } from './stream-info.ts';

/** `ended`: we have ended our side; `peerEnded`: the peer has ended its side; `closed`: both, or an error. */
export type StreamState = 'open' | 'ended' | 'peerEnded' | 'closed';

/** A reliable, ordered, two-way flow of bytes. */
export interface L4Stream {
  /** Unique among the streams of this thread; a wrapper (`idleTimeout`, `traced`, …) keeps the id of the stream that it wraps. */
  readonly id: number;
  readonly info: StreamInfo;
  readonly state: StreamState;
  /** Bytes accepted by `write` and not yet handed to the layer below. */
  readonly bufferedBytes: number;
  /**
   * Makes `sink` the receiver. The first call starts the flow; a later call moves the stream to another sink (a protocol switch), and resumes it.
   *
   * @param head bytes that were read but not used by the former sink; delivered to the new one first
   */
  attach(sink: L4Sink, head?: Uint8Array): void;
  /** Writes a chunk. @returns false if the stream is full: the chunk was accepted, wait for `onDrain` before writing more */
  write(chunk: Uint8Array): boolean;
  /** Writes several chunks as one; like `write`. */
  writev(chunks: readonly Uint8Array[]): boolean;
  /** Stops `onData` and `onEnd` at once; the peer feels it as back-pressure. */
  pause(): void;
  resume(): void;
  /** Ends our side once all written bytes are out; reading goes on. A second call does nothing. */
  end(): void;
  /**
   * Drops the stream at once in both directions; unsent bytes are lost, and so is what was not yet read. `onClose` follows with `error` (null
   * if none was given). After a close it does nothing. The peer must be able to tell it from an orderly end wherever the layer below can say so.
   */
  abort(error?: WireError): void;
}

/** The receiver of a stream. */
export interface L4Sink {
  /** Bytes came; the chunk is yours, and never empty. */
  onData(chunk: Uint8Array): void;
  /** The stream has room again after a `write` that returned false. */
  onDrain(): void;
  /** The peer has ended its side; no more data comes. Our side may still write. */
  onEnd(): void;
  /** Once and last. `null`: both sides ended in order, or `abort()` without an error. */
  onClose(error: WireError | null): void;
}
