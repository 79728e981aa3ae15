/** Sends a body on a stream of HTTP/2 at a planned pace, in pieces, and never against back-pressure. */
import type { Clock } from '@ferrata/clock';
import type { HeaderMap } from '@ferrata/headers';
import type { Http2Stream } from '@ferrata/http2';
import type { Pace } from '../world/pacer.ts';
import type { Http2Link } from './http2-link.ts';

/** What is sent, and what then. */
export interface BodyPlan {
  readonly bytes: Uint8Array;
  readonly pace: Pace;
  readonly trailers: HeaderMap | null;
  /** Called in place of the end of the body. */
  readonly instead: (() => void) | null;
  /** The body was handed over whole. */
  readonly onSent: () => void;
}

export class BodyWriter {
  readonly #link: Http2Link;
  readonly #stream: Http2Stream;
  readonly #clock: Clock;
  readonly #plan: BodyPlan;
  #at = 0;
  #isWaiting = false;
  #resumeCount = 0;
  #isOver = false;

  constructor(link: Http2Link, stream: Http2Stream, clock: Clock, plan: BodyPlan) {
    this.#link = link;
    this.#stream = stream;
    this.#clock = clock;
    this.#plan = plan;
  }

  /** Goes on: at the beginning, and when the stream may be written again. */
  run(): void {
    const { bytes, pace } = this.#plan;
    // At most some sixty pieces: a world is to be short.
    const size = pace.pieceBytes === 0 ? Math.max(1, bytes.length) : Math.max(pace.pieceBytes, Math.ceil(bytes.length / 60));
    while (!this.#isOver && !this.#isWaiting) {
      if (this.#stream.isClosed || this.#link.isLost) {
        this.#isOver = true;
        return;
      }
      if (this.#at >= bytes.length) {
        this.#finish();
        return;
      }
      const piece = bytes.slice(this.#at, this.#at + size);
      this.#at += piece.length;
      const before = this.#resumeCount;
      const hasRoom = this.#link.machine.sendData(this.#stream, piece, this.#clock.now());
      this.#link.flush();
      if (!hasRoom && this.#resumeCount === before && !this.#stream.isClosed && this.#stream.queuedBytes > 0) {
        this.#isWaiting = true;
        return;
      }
      if (pace.pauseMs > 0 && this.#at < bytes.length) {
        this.#isWaiting = true;
        this.#clock.schedule(pace.pauseMs, () => this.resume());
        return;
      }
    }
  }

  resume(): void {
    this.#resumeCount++;
    this.#isWaiting = false;
    this.run();
  }

  #finish(): void {
    this.#isOver = true;
    const { instead, trailers, onSent } = this.#plan;
    if (instead === null) this.#link.machine.sendEnd(this.#stream, trailers, this.#clock.now());
    else instead();
    this.#link.pump();
    onSent();
  }
}
