/**
 * The streams of a connection: those that are open, by number, and how those were closed that closed a short while ago.
 *
 * Rules of this file:
 * - Of every stream that closed one byte is kept: how, and which late frames have come since. The place of a byte is its stream's number, so nothing
 *   is searched, and the newest numbers push out the oldest. The memory grows with the numbers that are used; a short connection has 64 bytes.
 * - What is forgotten counts as reset by us: a late frame on it is ignored, and charged. It must not end a connection that others use as well; what
 *   an honest peer had under way when its stream was reset may come thousands of streams later.
 * - Numbers of the initiator's side only rise (RFC 9113 §5.1.1); whatever lies at or below the highest and is not open has been closed, or passed
 *   over.
 *
 * ```text
 *   number   1  3  5 …                                          highestId
 *            |-- forgotten --|-- remembered: one byte each, a ring --|
 * ```
 */
import type { Http2Stream } from '../stream.ts';
import { StreamState } from '../stream-state.ts';
import { OpenStreams } from './open-streams.ts';

/** Streams remembered at first. Memory for them and no more is part of its object (no buffer of its own). */
const FIRST_MEMORY = 64;
/**
 * Streams remembered at last: what a shared connection opens and gives up in a long round trip (2 000 a second, 1 s), and above the open ones and
 * the burst of resets that the flood guard lets pass.
 */
const MIN_MEMORY = 4_096;
const MAX_MEMORY = 65_536;

/** Beside the state: HEADERS of the peer have come since. */
const HEARD = 0x80;
/** Beside the state: END_STREAM of the peer has come since, on DATA. */
const ENDED = 0x40;
const STATE = 0x07;
/** Instead of a byte: too old to be remembered. */
const FORGOTTEN = -1;

export class StreamTable {
  readonly #open = new OpenStreams();
  /** The highest number the peer, or we, have opened. */
  highestId = 0;
  /** Bytes that wait in all streams. */
  queuedBytes = 0;
  /** Whose end the session has been waiting for. */
  idleSince: number;
  /** How many streams are remembered at most, a power of two. */
  readonly #memory: number;
  /** A byte for each stream: its closed state and what came since; 0: open, or never opened. A ring once it is as long as `#memory`. */
  #closed: Uint8Array | null = null;
  /** The place of the highest number for which `#closed` is right. */
  #top = -1;

  /** @param maxConcurrentStreams of which all may be given up at once */
  constructor(now: number, maxConcurrentStreams: number) {
    this.idleSince = now;
    this.#memory = powerOfTwo(Math.min(Math.max(2 * maxConcurrentStreams, MIN_MEMORY), MAX_MEMORY));
  }

  /** Number of open streams. */
  get openCount(): number {
    return this.#open.size;
  }

  /** The open streams of now, by number. */
  get openStreams(): Http2Stream[] {
    return this.#open.toArray();
  }

  /** @returns null if none is open */
  find(id: number): Http2Stream | null {
    return this.#open.find(id);
  }

  add(stream: Http2Stream): void {
    this.#open.add(stream);
  }

  /** Gives back memory that a connection without streams does not need. */
  trim(): void {
    this.#open.trim();
  }

  /** Takes a stream out of the open ones. Its queues are dropped, and its bytes no longer counted. */
  close(stream: Http2Stream, state: StreamState, now: number): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    stream.state = state;
    this.#open.delete(stream);
    this.queuedBytes -= stream.queuedBytes;
    if (this.openCount === 0) this.idleSince = now;
    this.remember(stream.id, state);
    stream.dropQueues();
  }

  /** How a stream has closed. Said anew where a reset of ours has followed: one answer was enough, and what comes now is ignored. */
  remember(id: number, state: StreamState): void {
    this.#put(id, state);
  }

  /** State of a stream that is not open and not above `highestId`. Those that are forgotten count as reset by us, those that never were as ended. */
  closedState(id: number): StreamState {
    const found = this.#look(id);
    if (found === FORGOTTEN) return StreamState.closedByUs;
    return found === 0 ? StreamState.closedByEnd : ((found & STATE) as StreamState);
  }

  /** HEADERS have come on a stream that was reset. @returns false if they were not the first: one response, or one trailer section, may be under way */
  mayHear(id: number): boolean {
    return this.#isFirst(id, HEARD);
  }

  /** The end of a body has come on a stream that was reset. @returns false if it was not the first */
  mayEnd(id: number): boolean {
    return this.#isFirst(id, ENDED);
  }

  /** Whether a stream was open once, as far as anybody remembers: false only for a number that was passed over. */
  wasOpen(id: number): boolean {
    return this.#look(id) !== 0;
  }

  #isFirst(id: number, flag: number): boolean {
    const found = this.#look(id);
    if (found <= 0 || (found & flag) !== 0) return false;
    this.#put(id, found | flag);
    return true;
  }

  /** @returns the byte of a stream that is not open, or `FORGOTTEN` */
  #look(id: number): number {
    const place = id >>> 1;
    if ((this.highestId >>> 1) - place >= this.#memory) return FORGOTTEN;
    const closed = this.#closed;
    // Above `#top` there may be the bytes of numbers that lie a whole ring lower.
    return closed === null || place > this.#top ? 0 : (closed[place & (closed.length - 1)] as number);
  }

  #put(id: number, byte: number): void {
    const place = id >>> 1;
    const top = this.highestId >>> 1;
    if (top - place >= this.#memory) return;
    const closed = this.#reach(top);
    closed[place & (closed.length - 1)] = byte;
  }

  /** Makes the ring reach up to a place: longer if it may be, else what lies a whole ring lower is forgotten. */
  #reach(top: number): Uint8Array {
    let closed = this.#closed;
    if (closed !== null && top <= this.#top) return closed;
    if (closed === null || top >= closed.length) {
      const length = Math.min(Math.max(powerOfTwo(top + 1), FIRST_MEMORY), this.#memory);
      if (closed === null || length > closed.length) {
        // Before its last length the ring has never gone round: places stay where they are.
        const longer = new Uint8Array(length);
        if (closed !== null) longer.set(closed);
        closed = longer;
        this.#closed = closed;
      }
    }
    if (top - this.#top >= closed.length) closed.fill(0);
    else for (let place = this.#top + 1; place <= top; place++) closed[place & (closed.length - 1)] = 0;
    this.#top = top;
    return closed;
  }
}

/** The least power of two that is not below a number from 1 on. */
function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(atLeast));
}
