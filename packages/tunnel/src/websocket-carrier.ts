/**
 * A WebSocket machine on a stream: bytes to it, its output to the stream, its deadlines, and the end of the connection. What becomes of messages
 * is its owner's.
 *
 * Rules of this file:
 * - While the stream is full, output stays in the machine: there its answers to pings are bounded, and messages up to `hardLimitBytes`.
 * - The owner is told of the end once: of a failure at once, of an orderly close when the stream below has closed, too.
 * - What is said while a read is handled leaves in one write behind it, or sooner if it is much.
 * - After the last word the stream is ended, and given some time to be ended by the peer. How long is settled then: what the peer does afterwards, be it
 *   to send or to take a byte now and then, does not prolong it.
 * - A peer that is asked whether it lives has the time in which the bytes before the question leave.
 */
import { ioError, limitError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { callUser, deferToMicrotask, type L4Sink, type L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { WebSocketConnection } from '@ferrata/websocket';
import { patienceFor, SendProgress } from './websocket-progress.ts';

/** Whose messages a carrier carries. */
export interface WebSocketCarrierOwner {
  /** The machine has found an event. A throw ends the connection (1011). */
  handleEvent(): void;
  /** All output has gone after the stream was full. */
  handleDrain(): void;
  /** Once and last. `null`: both sides have said goodbye. */
  handleClosed(error: WireError | null): void;
}

/** What differs by owner. */
export interface CarrierOptions {
  /** Unsent bytes on top of which nothing more is taken. */
  readonly hardLimitBytes: number;
  /** Each side's Close ends only its own direction, so a failure behind both may have cost bytes of ours. */
  readonly isHalfClosable: boolean;
  /** Told when the stream has closed, after the owner. */
  readonly onStreamClosed: ((error: WireError | null) => void) | null;
}

/**
 * How long the peer may take to end the connection after the last word, when the stream was ended. (A client's `endTimeoutMs` is over then: it is how long
 * the server may take to do so first.)
 */
const END_TIMEOUT_MS = 2_000;
/** How long bytes that wait after the last word may take, beside what a slow line takes for them; all that there is for those of a failed connection. */
const LINGER_MS = 30_000;
/** So much is written before a read is handled to its end. */
const WRITE_FROM_BYTES = 16_384;
const NEVER = -1;

export class WebSocketCarrier implements L4Sink {
  readonly stream: L4Stream;
  readonly machine: WebSocketConnection;
  readonly environment: HttpEnvironment;
  readonly #owner: WebSocketCarrierOwner;
  readonly #hardLimitBytes: number;
  readonly #isHalfClosable: boolean;
  readonly #onStreamClosed: ((error: WireError | null) => void) | null;
  readonly #deadline: Deadline;
  /** Nothing is watched before `start`: nobody has read what the peer says. */
  #armedFor = Number.NEGATIVE_INFINITY;
  #isFull = false;
  #owesDrain = false;
  #isPaused = false;
  #isPumping = false;
  #isTold = false;
  #isClosed = false;
  /** The last word has gone, and the stream was ended. */
  #isEnding = false;
  #lingerUntil = NEVER;
  /** While lingering: nothing waits any more. */
  #isDrained = false;
  readonly #progress = new SendProgress();
  /** All bytes that were handed to the stream. */
  #handedBytes = 0;
  #isAborted = false;
  #failure: WireError | null = null;

  constructor(
    stream: L4Stream,
    machine: WebSocketConnection,
    environment: HttpEnvironment,
    owner: WebSocketCarrierOwner,
    { hardLimitBytes, isHalfClosable, onStreamClosed }: CarrierOptions,
  ) {
    this.stream = stream;
    this.machine = machine;
    this.environment = environment;
    this.#owner = owner;
    this.#hardLimitBytes = hardLimitBytes;
    this.#isHalfClosable = isHalfClosable;
    this.#onStreamClosed = onStreamClosed;
    this.#deadline = environment.deadlines.deadline(() => this.#handleDeadline());
  }

  /** Begins to read. @param head bytes that were read behind the handshake */
  start(head?: Uint8Array): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    this.stream.attach(this, head);
    this.#watch(this.environment.now());
  }

  /** Bytes accepted and not yet with the layer below the stream. */
  bufferedBytes(): number {
    return this.machine.outputBytes + this.stream.bufferedBytes;
  }

  /** Whether a sender should wait for `handleDrain`. */
  isFull(): boolean {
    if (this.#isFull) this.#owesDrain = true;
    return this.#isFull;
  }

  /** Nothing that is said from here on leaves. */
  isOver(): boolean {
    return this.#isAborted || this.#isTold;
  }

  /** Whether so much waits that nothing more is taken. */
  isAtLimit(): boolean {
    return this.machine.outputBytes >= this.#hardLimitBytes;
  }

  /** The same of a message: the connection is aborted, as its sender counts on it. */
  isOverfull(): boolean {
    if (!this.isAtLimit()) return false;
    const message = `a write on top of ${this.machine.outputBytes} unsent bytes`;
    this.abort(limitError('STREAM_WRITE_OVERFLOW', message, { fault: 'local' }));
    return true;
  }

  /** Hands output to the stream; call after a command to the machine. */
  flush(): void {
    // One write for all answers to one read: each write is a call of the system, which costs more than all else.
    if (this.#isPumping && this.machine.outputBytes < WRITE_FROM_BYTES) return;
    if (this.#isClosed || this.#isEnding) return;
    if (!this.#isFull) {
      const chunks = this.machine.takeOutput();
      for (const chunk of chunks) this.#handedBytes += chunk.length;
      if (chunks.length > 0) this.#isFull = !this.stream.writev(chunks);
    }
    if (this.machine.shouldClose) this.#endStream();
    else this.#watch(this.environment.recentNow);
  }

  pause(): void {
    // Behind the last word only the peer's end is missing, and who stops reading does not see it.
    if (this.#isPaused || this.machine.shouldClose) return;
    this.#isPaused = true;
    this.stream.pause();
    this.machine.setReadingPaused(true, this.environment.now());
  }

  /** Tells what waits from a fresh tick. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.machine.setReadingPaused(false, this.environment.now());
    this.#pumpLater();
    this.stream.resume();
  }

  /** Ends the connection for an error; the peer hears its close code. From a callback only. */
  fail(error: WireError): void {
    this.machine.refuse(error);
    this.#finish(error);
  }

  /** The same at any other time. */
  failLate(error: WireError): void {
    this.environment.now();
    this.fail(error);
  }

  /** Drops the connection without a word; the owner is told when the stream has closed. */
  abort(error?: WireError): void {
    if (this.#isClosed) return;
    this.#failure ??= error ?? null;
    this.#isAborted = true;
    this.stream.abort(error);
  }

  // The stream below.

  onData(chunk: Uint8Array): void {
    if (this.#isTold) return;
    this.machine.receive(chunk, this.environment.now());
    this.#pump();
  }

  onDrain(): void {
    this.#isFull = false;
    this.flush();
    if (this.#isFull || !this.#owesDrain || this.#isTold) return;
    this.#owesDrain = false;
    this.#call(() => this.#owner.handleDrain());
  }

  onEnd(): void {
    if (this.#isTold) return;
    this.environment.now();
    this.machine.receiveEnd();
    this.#pump();
  }

  onClose(error: WireError | null): void {
    this.#isClosed = true;
    this.#deadline.cancel();
    const isAllOut = this.machine.outputBytes === 0;
    // Nobody takes it any more.
    this.machine.takeOutput();
    if (this.#isAborted) this.#tell(this.#failure);
    else if (this.#haveBothClosed() && isAllOut && (error === null || !this.#isHalfClosable)) this.#tell(null);
    else this.#tell(error ?? ioError('WS_CLOSED_EARLY', 'the connection ended without a Close frame'));
    const callback = this.#onStreamClosed;
    if (callback !== null) callUser(() => callback(error));
  }

  // Within.

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    const { machine } = this;
    const now = this.environment.recentNow;
    try {
      while (!this.#isPaused && !this.#isTold && !this.#isAborted && machine.nextEvent(now)) {
        this.#owner.handleEvent();
        // Answers to pings, which no owner sends.
        if (machine.outputBytes >= WRITE_FROM_BYTES) this.flush();
      }
    } catch (thrown) {
      const error = toWireError(thrown, 'HANDLER_THREW');
      machine.refuse(error);
      this.#finish(error);
    }
    this.#isPumping = false;
    this.flush();
  }

  #pumpLater(): void {
    deferToMicrotask(() => {
      if (this.#isClosed || this.#isTold) return;
      this.environment.now();
      this.#pump();
    });
  }

  #finish(error: WireError): void {
    this.flush();
    this.#tell(error);
  }

  /** The last word is said: once it has gone into the stream, that is ended, and what the peer still sends is dropped. */
  #endStream(): void {
    if (this.machine.outputBytes === 0) {
      this.#isEnding = true;
      this.stream.end();
      if (this.#isPaused) {
        this.#isPaused = false;
        this.stream.resume();
      }
    }
    if (this.#lingerUntil === NEVER) this.#linger();
  }

  /** Once: who could prolong it could hold the connection for ever. */
  #linger(): void {
    const now = this.environment.now();
    // Nobody needs the rest of a connection that has failed; of one that ends in order it is what was promised.
    this.#lingerUntil = now + LINGER_MS + (this.machine.error === null ? patienceFor(this.bufferedBytes()) : 0);
    this.#isDrained = this.bufferedBytes() === 0;
    this.#arm(now + END_TIMEOUT_MS, now);
  }

  #handleLinger(now: number): void {
    const isDrained = this.bufferedBytes() === 0;
    if (this.#isDrained || (now >= this.#lingerUntil && !isDrained)) {
      this.#giveUp();
      return;
    }
    // From here on only the end of the peer is missing.
    this.#isDrained = isDrained;
    this.#arm(now + END_TIMEOUT_MS, now);
  }

  #handleDeadline(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.environment.now();
    if (this.#isClosed) return;
    const { machine } = this;
    if (machine.shouldClose) {
      this.#handleLinger(now);
      return;
    }
    if (now >= machine.nextTimeout() && this.#isUnderWay(now)) machine.noteLife(now);
    const error = machine.handleTimeout(now);
    if (error === null) this.flush();
    else this.#finish(error);
  }

  #isUnderWay(now: number): boolean {
    const left = this.#handedBytes - this.stream.bufferedBytes;
    return this.#progress.isUnderWay(left, this.bufferedBytes(), this.machine.hasSentClose, now);
  }

  /** The peer does not end the connection, or takes nothing of what waits. */
  #giveUp(): void {
    const isAllSent = this.bufferedBytes() === 0 && this.#haveBothClosed();
    this.abort(isAllSent ? undefined : timeoutError('WS_SEND_STALLED', 'the peer has not taken the last bytes'));
  }

  #haveBothClosed(): boolean {
    return this.machine.hasSentClose && this.machine.hasReceivedClose;
  }

  /** Armed only when it would come too late: one that comes too early finds nothing due, and that is cheaper than moving it each time. */
  #watch(now: number): void {
    const next = this.machine.nextTimeout();
    if (next < this.#armedFor && !this.#isClosed) this.#arm(next, now);
  }

  #arm(at: number, now: number): void {
    this.#armedFor = at;
    this.#deadline.arm(Math.min(Math.max(0, at - now), this.environment.deadlines.maxDelayMs), now);
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (thrown) {
      this.fail(toWireError(thrown, 'HANDLER_THREW'));
    }
  }

  #tell(error: WireError | null): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#owner.handleClosed(error);
  }
}
