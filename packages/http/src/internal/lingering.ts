/**
 * The end of a connection whose last word is said: our side is ended, and what the peer still sends is dropped for a while. To close at once would have the peer's
 * kernel throw our answer away that it has not read yet (RFC 9112 §9.6).
 */
import type { L4Stream } from '@ferrata/stream';
import { hasRate, type WriteBounds, WriteProgress } from './write-progress.ts';

/** The times and bounds of lingering. */
export interface LingerOptions extends WriteBounds {
  readonly lingerTimeoutMs: number;
  readonly maxLingeringBytes: number;
}

/** What has become of it: `over`, time to close; `stalled`, the peer takes nothing of what we said. */
export type LingerState = 'waiting' | 'over' | 'stalled';

/** One connection that lingers. */
export class Lingering {
  /** When to call `handleTimeout`. */
  cutAt = 0;
  readonly #stream: L4Stream;
  readonly #options: LingerOptions;
  readonly #writeBounds: WriteBounds;
  readonly #progress = new WriteProgress();
  #lateBytes = 0;

  /** Ends our side of the stream, which has been given all there is to say. @param writeBounds how long what still waits may do so */
  constructor(stream: L4Stream, options: LingerOptions, now: number, writeBounds: WriteBounds = options) {
    this.#stream = stream;
    this.#options = options;
    this.#writeBounds = writeBounds;
    stream.end();
    this.#progress.begin(stream, now);
    this.#prolong(now);
  }

  /** Counts what the peer sent after the end. @returns true: it is too much */
  isTooMuch(byteLength: number): boolean {
    this.#lateBytes += byteLength;
    return this.#lateBytes > this.#options.maxLingeringBytes;
  }

  /** The time for the peer's bytes begins when ours are out: a peer that reads the last of them slowly is not cut short. */
  handleTimeout(now: number): LingerState {
    if (now < this.cutAt) return 'waiting';
    if (this.#stream.bufferedBytes === 0) return 'over';
    if (this.#isStalled(now)) return 'stalled';
    this.#prolong(now);
    return 'waiting';
  }

  /** A move is looked for each time: it may be one of long before the time is over. */
  #isStalled(now: number): boolean {
    if (hasRate(this.#writeBounds)) return now >= this.#progress.dueAt(this.#writeBounds);
    return !this.#progress.hasMoved(this.#stream, now) && now >= this.#progress.dueAt(this.#writeBounds);
  }

  #prolong(now: number): void {
    this.cutAt = now + this.#options.lingerTimeoutMs;
  }
}
