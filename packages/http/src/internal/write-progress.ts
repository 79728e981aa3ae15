/**
 * Whether a peer that is slow still takes bytes: what tells a slow reader, who is served, from a stalled one, who is cut.
 *
 * Looked at only when a time-out is due, so it costs nothing while bytes flow.
 */
import type { L4Stream } from '@ferrata/stream';

/** The progress of a stream that is full, or of one that is about to end. */
export class WriteProgress {
  /** When looking began, or when bytes were last found to have moved; monotonic milliseconds. */
  since = 0;
  #bufferedBytes = 0;

  begin(stream: L4Stream, now: number): void {
    this.#bufferedBytes = stream.bufferedBytes;
    this.since = now;
  }

  /** Whether the stream has taken bytes since last looked at. */
  hasMoved(stream: L4Stream, now: number): boolean {
    const { bufferedBytes } = stream;
    if (bufferedBytes >= this.#bufferedBytes) return false;
    this.#bufferedBytes = bufferedBytes;
    this.since = now;
    return true;
  }
}
