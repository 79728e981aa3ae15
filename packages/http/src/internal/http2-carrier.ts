/**
 * Carries what an HTTP/2 machine has to say to a stream, for the sessions of both roles: batching, back-pressure, and the orderly end.
 *
 * Rules of this file:
 * - One write a turn: whatever is said while the event loop handles its input leaves together, at the end. The machine makes DATA frames only
 *   when they are taken, so a full stream gets nothing until it has drained; what waits stays with the streams, each of which is bounded.
 * - A peer that takes nothing for `writeTimeoutMs` is given up; one that takes a little is not.
 * - At the end our side is ended and what the peer still sends is read and dropped for a while: a kernel that has unread bytes at a close throws
 *   the last frames (GOAWAY above all) away.
 * - The end of a turn is nobody's call: what throws there is a bug that ends this connection, and neither its neighbours nor the process.
 *
 * ```text
 *   open ──► ending (the last frames wait for a full stream) ──► lingering (our side has ended) ──► cut
 * ```
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import type { Http2Connection } from '@ferrata/http2';
import type { L4Stream } from '@ferrata/stream';
import type { HttpEnvironment, TurnTask } from '../http-environment.ts';
import { Lingering, type LingerOptions } from './lingering.ts';
import { WriteProgress } from './write-progress.ts';

/**
 * Bytes taken from the machine for one write, at first and after a write that the network did not take at once: that much a peer who stops reading
 * makes us hold here, beside what its streams hold.
 */
const FIRST_BATCH_BYTES = 65_536;

/**
 * The most that a write grows to, doubling while the network takes all of it: 1 MiB responses cost 1.46 × node:http2's CPU in writes of 256 KiB, 1.0 × in
 * these.
 */
const MAX_BATCH_BYTES = 524_288;

/** Output is handed to the stream at once when so much has gathered, so that back-pressure is noticed early. */
const FLUSH_NOW_BYTES = 65_536;

/** Where a carrier stands; see the picture above. */
const CarrierState = { open: 0, ending: 1, lingering: 2, cut: 3 } as const;

type CarrierState = (typeof CarrierState)[keyof typeof CarrierState];

/** Who has a carrier. */
export interface CarrierOwner {
  /** After each flush while the carrier is open. */
  onFlushed(): void;
  /** Something threw at the end of a turn: the connection cannot go on. */
  onBroken(error: WireError): void;
}

/** The way from a machine's output to a stream. */
export class Http2Carrier implements TurnTask {
  #state: CarrierState = CarrierState.open;
  /** The stream takes no more for now. */
  isFull = false;
  /** Writes made so far: what was said before the last of them is with the network. */
  writeCount = 0;
  #batchBytes = FIRST_BATCH_BYTES;
  readonly #stream: L4Stream;
  readonly #machine: Http2Connection;
  readonly #environment: HttpEnvironment;
  readonly #options: LingerOptions;
  readonly #owner: CarrierOwner;
  readonly #progress = new WriteProgress();
  #isScheduled = false;
  /** Once our side has ended. */
  #lingering: Lingering | null = null;

  constructor(stream: L4Stream, machine: Http2Connection, environment: HttpEnvironment, options: LingerOptions, owner: CarrierOwner) {
    this.#stream = stream;
    this.#machine = machine;
    this.#environment = environment;
    this.#options = options;
    this.#owner = owner;
  }

  /** Bytes that a stream which is full holds: what waits behind them waits for the peer to take some. 0: the stream has room. */
  get bufferedBytes(): number {
    return this.isFull ? this.#stream.bufferedBytes : 0;
  }

  /** Has what was said written at the end of this turn of the event loop. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#environment.atEndOfTurn(this);
  }

  runAtEndOfTurn(): void {
    this.#isScheduled = false;
    try {
      this.flush();
    } catch (thrown) {
      this.#state = CarrierState.cut;
      this.#owner.onBroken(withSource(toWireError(thrown, 'FLUSH_THREW'), 'internal'));
    }
  }

  /** Has a piece of a body, of which `queuedBytes` wait, written: now if that is much. What follows from it is told later, never from in here. */
  scheduleData(queuedBytes: number): void {
    if (queuedBytes >= FLUSH_NOW_BYTES) this.writeNow();
    this.schedule();
  }

  /** Writes what the machine has and the stream takes. What follows from it is told later, never from in here. */
  writeNow(): void {
    if (this.#state === CarrierState.open) this.#write();
  }

  /** Writes what the machine has and the stream takes. */
  flush(): void {
    if (this.#state >= CarrierState.lingering) return;
    this.#write();
    if (this.#state === CarrierState.open) this.#owner.onFlushed();
    else this.#tryLinger();
  }

  #write(): void {
    while (!this.isFull && this.#writeBatch());
  }

  /** @returns false when there is nothing to write */
  #writeBatch(): boolean {
    const chunks = this.#machine.takeOutput(this.#batchBytes);
    const first = chunks[0];
    if (first === undefined) return false;
    this.writeCount++;
    const hasRoom = chunks.length === 1 ? this.#stream.write(first) : this.#stream.writev(chunks);
    if (!hasRoom) {
      this.isFull = true;
      // What is left over was not taken at once. (A stream also has no room for a moment when it has just passed much on.)
      this.#batchBytes = this.#stream.bufferedBytes > 0 ? FIRST_BATCH_BYTES : Math.min(2 * this.#batchBytes, MAX_BATCH_BYTES);
      this.#progress.begin(this.#stream, this.#environment.now());
    }
    return true;
  }

  /** The stream has room again. */
  handleDrain(): void {
    this.isFull = false;
    this.flush();
  }

  /** All is said: what the machine still has goes out, then our side is ended. */
  end(): void {
    if (this.#state !== CarrierState.open) return;
    this.#state = CarrierState.ending;
    this.flush();
  }

  #tryLinger(): void {
    if (this.isFull && this.#machine.hasOutput) return;
    this.#state = CarrierState.lingering;
    this.#stream.resume();
    this.#lingering = new Lingering(this.#stream, this.#options, this.#environment.now());
  }

  /** Bytes of the peer that came after the end: counted and dropped. */
  handleLateBytes(byteLength: number): void {
    if (this.#lingering?.isTooMuch(byteLength) === true) this.#cut();
  }

  /** When to call `handleTimeout`; `Infinity` if nothing is waited for. */
  nextTimeout(): number {
    if (this.#state === CarrierState.cut) return Number.POSITIVE_INFINITY;
    if (this.#lingering !== null) return this.#lingering.cutAt;
    return this.isFull ? this.#progress.dueAt(this.#options) : Number.POSITIVE_INFINITY;
  }

  /** Does what is due. @returns true: the peer takes nothing, give it up */
  handleTimeout(now: number): boolean {
    if (now < this.nextTimeout()) return false;
    if (this.#lingering === null) {
      return this.#progress.isStalled(this.#stream, this.#options, now);
    }
    const state = this.#lingering.handleTimeout(now);
    if (state === 'over') this.#cut();
    return state === 'stalled';
  }

  /** Nothing is written any more; whoever calls aborts the stream. */
  stop(): void {
    this.#state = CarrierState.cut;
  }

  #cut(): void {
    this.#state = CarrierState.cut;
    this.#stream.abort();
  }
}
