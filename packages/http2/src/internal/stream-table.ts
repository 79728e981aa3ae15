/**
 * The streams of a connection: those that are open, by number, and how those were closed that closed a short while ago.
 *
 * Rules of this file:
 * - The memory of closed streams is two rings of numbers, so that a storm of one kind does not make the other forgotten. It is searched only for
 *   frames on streams that are not open, which an honest peer sends in the moment of a reset.
 * - Numbers of the initiator's side only rise (RFC 9113 §5.1.1); whatever lies at or below the highest and is not open has been closed.
 */
import type { Http2Stream } from '../stream.ts';
import { StreamState } from '../stream-state.ts';

/** Resets remembered: above the burst of resets that the flood guard lets pass. */
const REMEMBERED_RESETS = 256;
/** Beside the kind of a reset: HEADERS of the peer have come since. */
const HEARD = 0x80;
/** Streams that ended well and are remembered. Only which error a broken peer gets depends on them. */
const REMEMBERED_ENDS = 64;

export class StreamTable {
  readonly byId: Map<number, Http2Stream> = new Map();
  /** Number of streams in `byId`. */
  openCount = 0;
  /** The highest number the peer, or we, have opened. */
  highestId = 0;
  /** Bytes that wait in all streams. */
  queuedBytes = 0;
  /** Whose end the session has been waiting for. */
  idleSince: number;
  #resets: Int32Array | null = null;
  /** Beside `#resets`: who sent the RST_STREAM. */
  #kinds: Uint8Array | null = null;
  #resetAt = 0;
  #ends: Int32Array | null = null;
  #endAt = 0;

  constructor(now: number) {
    this.idleSince = now;
  }

  find(id: number): Http2Stream | undefined {
    return this.byId.get(id);
  }

  add(stream: Http2Stream): void {
    this.byId.set(stream.id, stream);
    this.openCount++;
  }

  /** Takes a stream out of the open ones. Its queues are dropped, and its bytes no longer counted. */
  close(stream: Http2Stream, state: StreamState, now: number): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    stream.state = state;
    this.byId.delete(stream.id);
    this.openCount--;
    this.queuedBytes -= stream.queuedBytes;
    if (this.openCount === 0) this.idleSince = now;
    if (state === StreamState.closedByEnd) this.rememberEnd(stream.id);
    else this.rememberReset(stream.id, state);
    stream.dropQueues();
  }

  rememberEnd(id: number): void {
    this.#ends ??= new Int32Array(REMEMBERED_ENDS);
    this.#ends[this.#endAt] = id;
    this.#endAt = (this.#endAt + 1) % REMEMBERED_ENDS;
  }

  rememberReset(id: number, state: StreamState): void {
    this.#resets ??= new Int32Array(REMEMBERED_RESETS);
    this.#kinds ??= new Uint8Array(REMEMBERED_RESETS);
    this.#resets[this.#resetAt] = id;
    this.#kinds[this.#resetAt] = state;
    this.#resetAt = (this.#resetAt + 1) % REMEMBERED_RESETS;
  }

  /** State of a stream that is not open and not above `highestId`. Those that are forgotten count as ended. */
  closedState(id: number): StreamState {
    const at = this.#resets?.indexOf(id) ?? -1;
    return at < 0 ? StreamState.closedByEnd : (((this.#kinds?.[at] ?? 0) & ~HEARD) as StreamState);
  }

  /** HEADERS have come on a stream that was reset. @returns false if they were not the first: one response, or one trailer section, may be under way */
  mayHear(id: number): boolean {
    const at = this.#resets?.indexOf(id) ?? -1;
    const kinds = this.#kinds;
    if (at < 0 || kinds === null || ((kinds[at] as number) & HEARD) !== 0) return false;
    kinds[at] = (kinds[at] as number) | HEARD;
    return true;
  }

  /** Whether a stream was open once, as far as anybody remembers. */
  wasOpen(id: number): boolean {
    return (this.#resets?.includes(id) ?? false) || (this.#ends?.includes(id) ?? false);
  }
}
