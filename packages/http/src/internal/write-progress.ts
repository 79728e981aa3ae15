/**
 * Whether a peer that is slow still takes bytes: what tells a slow reader, who is served, from a stalled one, who is cut.
 *
 * Two rules: either it must take something within a time (`writeTimeoutMs`), or, in the place of that, all that waited when it was found slow must be taken at a rate
 * (`minSendBytesPerSecond`), for which max(bytes, rate) / rate seconds are allowed. Looked at only when a time-out is due, so it costs nothing while bytes flow.
 */

/** What has bytes that wait for a peer: a stream. */
export interface WaitingBytes {
  readonly bufferedBytes: number;
}

/** How long a peer may be slow. */
export interface WriteBounds {
  readonly writeTimeoutMs: number;
  /** In place of `writeTimeoutMs`; 0 or absent: no such rule. */
  readonly minSendBytesPerSecond?: number;
}

/** The progress of a stream that is full, or of one that is about to end. */
export class WriteProgress {
  /** When looking began, or when bytes were last found to have moved; monotonic milliseconds. */
  since = 0;
  #bufferedBytes = 0;

  begin(stream: WaitingBytes, now: number): void {
    this.#bufferedBytes = stream.bufferedBytes;
    this.since = now;
  }

  /** When the peer has been slow for too long, unless it has moved meanwhile. */
  dueAt(bounds: WriteBounds): number {
    return this.since + allowedMs(this.#bufferedBytes, bounds);
  }

  /** Whether the time is over, and the peer has not moved as it must. */
  isStalled(stream: WaitingBytes, bounds: WriteBounds, now: number): boolean {
    if (now < this.dueAt(bounds)) return false;
    return hasRate(bounds) || !this.hasMoved(stream, now);
  }

  /** Whether the stream has taken bytes since last looked at. */
  hasMoved(stream: WaitingBytes, now: number): boolean {
    const { bufferedBytes } = stream;
    if (bufferedBytes >= this.#bufferedBytes) return false;
    this.#bufferedBytes = bufferedBytes;
    this.since = now;
    return true;
  }
}

/** Whether a rate holds in the place of the time. */
export function hasRate({ minSendBytesPerSecond = 0 }: WriteBounds): boolean {
  return minSendBytesPerSecond > 0;
}

/** Whether two say the same. */
export function isSameBounds(one: WriteBounds, other: WriteBounds): boolean {
  return one.writeTimeoutMs === other.writeTimeoutMs && (one.minSendBytesPerSecond ?? 0) === (other.minSendBytesPerSecond ?? 0);
}

/** How long `waitingBytes` may wait. */
export function allowedMs(waitingBytes: number, { writeTimeoutMs, minSendBytesPerSecond = 0 }: WriteBounds): number {
  if (minSendBytesPerSecond === 0) return writeTimeoutMs;
  return (Math.max(waitingBytes, minSendBytesPerSecond) / minSendBytesPerSecond) * 1000;
}
