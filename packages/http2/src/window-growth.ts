/**
 * Makes the receive windows of streams as large as their connection needs, and no larger.
 *
 * A sender can have one window on its way in each round trip. So whoever fills a window within a round trip would be faster with a larger one:
 * bandwidth × delay has outgrown it. The round trip is measured by a PING that leaves as DATA comes.
 *
 * ```text
 *            receive() says: send a PING                sampleEnd(): its ACK is here
 *   ──────────────┬───────────────────────────────────────────┬─────────────
 *     idle        │  measuring: bytes are counted per stream  │  a stream with ≥ 2/3 of its window
 *                 └───────────────────────────────────────────┘  gets twice the window with its next DATA
 * ```
 * Rules:
 * - A window never goes beyond `maxStreamWindowBytes`, and all together never beyond `maxReceiveBufferBytes`: that is what a peer whose streams
 *   are not read can make us hold.
 * - Small messages never cause a PING: a stream must have brought a third of its first window.
 * - A measurement that made nothing larger doubles the pause before the next one, up to 10 s: servers count PINGs.
 *
 * Sources: RFC 9113 §5.2.2 ("ought to be at least as large as the bandwidth × delay product"), §6.7 (PING); the method is that of gRPC.
 */
import type { ReceiveWindow } from './flow-window.ts';

/** What a `WindowGrowth` must know; taken from the options of the connection. */
export interface WindowGrowthOptions {
  /** Bytes of a stream's window at its beginning. A stream that brings no more than a third of it is never measured. */
  readonly initialStreamWindowBytes: number;
  /** Bytes to which a stream's window may grow. */
  readonly maxStreamWindowBytes: number;
  /** Bytes of all streams' windows of a connection beyond which none grows. */
  readonly maxReceiveBufferBytes: number;
  /** Whether windows grow at all; false sends no PING for it. */
  readonly isWindowGrowthEnabled: boolean;
}

/** The pause after the first measurement in vain. */
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

/** The growth of all stream windows of one connection. */
export class WindowGrowth {
  readonly #options: WindowGrowthOptions;
  /** Sizes of all windows of open streams. */
  #grantedBytes: number;
  /** Counts measurements; a window's own number tells which one it last took part in. */
  #sampleNumber: number;
  #isMeasuring: boolean;
  #hasGrown: boolean;
  #pauseMs: number;
  #nextSampleAt: number;

  constructor(options: WindowGrowthOptions) {
    this.#options = options;
    this.#grantedBytes = 0;
    this.#sampleNumber = 0;
    this.#isMeasuring = false;
    this.#hasGrown = false;
    this.#pauseMs = 0;
    this.#nextSampleAt = -Infinity;
  }

  /** The sum of the windows of all streams that receive: the most that they can make us hold. */
  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  /** A stream begins to receive. */
  open(window: ReceiveWindow): void {
    this.#grantedBytes += window.size;
  }

  /** A stream receives no more. Call it once for each `open`. */
  close(window: ReceiveWindow): void {
    this.#grantedBytes -= window.size;
  }

  /** A stream whose reader takes what comes: makes its window larger, as far as all windows together allow; the credit is the window's to give. */
  raise(window: ReceiveWindow, size: number): void {
    const before = window.size;
    window.grow(Math.min(size, before + Math.max(0, this.#options.maxReceiveBufferBytes - this.#grantedBytes)));
    this.#grantedBytes += window.size - before;
  }

  /** The peer has acknowledged a smaller initial size: makes the window of an open stream smaller. */
  shrink(window: ReceiveWindow, size: number): void {
    const before = window.size;
    window.shrink(size);
    this.#grantedBytes -= before - window.size;
  }

  /**
   * Counts DATA, after the window has, and makes the window larger if the last measurement said so; the credit is the window's to give.
   *
   * @returns true if a PING is to be sent now, and `sampleEnd` to be called with its ACK
   */
  receive(window: ReceiveWindow, bytes: number, now: number): boolean {
    if (!this.#options.isWindowGrowthEnabled) return false;
    if (window.sampleNumber !== this.#sampleNumber) {
      window.sampleNumber = this.#sampleNumber;
      window.sampleBytes = 0;
    }
    if (this.#isMeasuring) {
      window.sampleBytes += bytes;
      return false;
    }
    if (window.sampleBytes * 3 >= window.size * 2) this.#double(window);
    // One decision for each measurement.
    window.sampleBytes = 0;
    if (now < this.#nextSampleAt || window.receivedBytes * 3 <= this.#options.initialStreamWindowBytes || !this.#mayGrow(window))
      return false;
    this.#begin();
    window.sampleNumber = this.#sampleNumber;
    // With this piece: a sender that waits for credit sends in bursts, and this may be most of one.
    window.sampleBytes = bytes;
    return true;
  }

  /** The ACK of the PING is here. Without a measurement it does nothing. */
  sampleEnd(now: number): void {
    if (!this.#isMeasuring) return;
    this.#isMeasuring = false;
    this.#nextSampleAt = now + this.#pauseMs;
  }

  #begin(): void {
    // Growth is known only when streams go on after a measurement, so what the last one was worth is settled as the next one begins.
    this.#pauseMs = this.#hasGrown ? 0 : Math.min(Math.max(this.#pauseMs * 2, MIN_PAUSE_MS), MAX_PAUSE_MS);
    this.#hasGrown = false;
    this.#isMeasuring = true;
    this.#sampleNumber++;
  }

  #mayGrow(window: ReceiveWindow): boolean {
    return window.size < this.#options.maxStreamWindowBytes && this.#grantedBytes < this.#options.maxReceiveBufferBytes;
  }

  #double(window: ReceiveWindow): void {
    const { maxStreamWindowBytes, maxReceiveBufferBytes } = this.#options;
    const room = maxReceiveBufferBytes - this.#grantedBytes;
    const before = window.size;
    const size = Math.min(before * 2, maxStreamWindowBytes, before + Math.max(0, room));
    if (size === before) return;
    window.grow(size);
    this.#grantedBytes += window.size - before;
    this.#hasGrown = true;
    this.#nextSampleAt = -Infinity;
  }
}
