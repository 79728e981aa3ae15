/**
 * What happens to a connection between the accept and `onStream`, the same for sockets and for streams from elsewhere.
 *
 * ```text
 *            cap               filter               PROXY header           TLS
 *   accept ───────► admitted ──────────► unheaded ───────────────► bare ─────────► onStream
 *       │    │                  │                      │                   │
 *       │  shed              refused             headerFailed       handshakeFailed       each told, each counted, each reset
 *       │    │                  │
 *       └─► waiting (no place yet; the filter is asked meanwhile) ──► admitted, or unheaded if the filter has accepted already
 * ```
 * Rules:
 * - A listener without filter, header and TLS goes straight to `onStream`: none of this costs it anything but the counting.
 * - A connection under way is one `Admission`, and ends in exactly one of the five counts.
 * - Every callback of the user may throw, reject, never answer, or answer nonsense: that connection is refused, and listening goes on.
 */
import { internalError, textOf, toWireError } from '@ferrata/error';
import { callUser, type L4Stream, type StreamAddress } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import type { AcceptConfig } from './accept-options.ts';
import { AcceptRate } from './accept-rate.ts';
import { Admission } from './admission.ts';
import { FilterSlots } from './filter-slots.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** The stages of a listener, and its counts. */
export class AcceptPipeline {
  readonly config: AcceptConfig;
  /** Nothing lies between the accept and `onStream`. */
  readonly isDirect: boolean;
  /** Time-outs of filters and of waiting. */
  readonly deadlines: DeadlineQueue;
  acceptedCount = 0;
  refusedCount = 0;
  shedCount = 0;
  headerFailedCount = 0;
  handshakeFailedCount = 0;
  /** Connections in one of the stages. */
  pendingCount = 0;
  /** Connections that wait for a place under the caps, before all stages. */
  waitingCount = 0;
  /** For filters that take their time. */
  readonly filterSlots: FilterSlots<Admission>;
  readonly #rate: AcceptRate;
  readonly #onStream: (stream: L4Stream) => unknown;
  /** Connections to tell the filter about when they close, by the id of their stream; null if it does not want to know. */
  readonly #watched: Map<number, Admission> | null;
  /** Called when nobody is pending or waits any more. */
  #onIdle: (() => void) | null = null;

  constructor(config: AcceptConfig, onStream: (stream: L4Stream) => unknown) {
    this.config = config;
    this.isDirect = config.filter === null && config.proxyProtocol === null && config.tls === null;
    this.deadlines = new DeadlineQueue({ clock: config.clock });
    this.filterSlots = new FilterSlots(config.maxPendingFilters, config.filterTimeoutMs);
    this.#rate = new AcceptRate(config.clock.now());
    this.#onStream = onStream;
    this.#watched = config.filter?.onClosed === undefined ? null : new Map();
  }

  /** Connections that came in the last whole second. */
  acceptRate(): number {
    return this.#rate.perSecond(this.config.clock.now());
  }

  /** A connection came. @param now monotonic milliseconds */
  countArrival(now: number): void {
    this.#rate.count(now);
  }

  /** Takes a stream that has its place under the caps through the stages. */
  admit(stream: L4Stream): void {
    if (this.isDirect) return this.hand(stream);
    const admission = new Admission(this, stream, null);
    this.#watched?.set(stream.id, admission);
    admission.start();
  }

  /** Lets a stream that has no place yet wait in `room`; the filter is asked at once, so that whom it refuses waits for nothing. */
  admitLater(stream: L4Stream, room: WaitingRoom): void {
    const admission = new Admission(this, stream, room);
    this.#watched?.set(stream.id, admission);
    admission.start();
  }

  /** A connection over a cap was closed. */
  countShed(peer: StreamAddress | null): void {
    this.shedCount++;
    const { onShed } = this.config;
    if (onShed !== null && peer !== null) this.call(() => onShed(peer));
  }

  /** The connection below a stream given to `admit` is over. */
  handleClosed(id: number): void {
    const admission = this.#watched?.get(id);
    if (admission === undefined) return;
    this.#watched?.delete(id);
    admission.handleClosed();
  }

  /** A stream is through. */
  hand(stream: L4Stream): void {
    this.acceptedCount++;
    callUser(
      () => this.#onStream(stream),
      (thrown) => {
        stream.abort(internalError('ON_STREAM_THREW', textOf(thrown), { cause: thrown }));
        this.report(thrown);
      },
    );
  }

  /** A pending connection has come to its end. */
  settlePending(): void {
    this.pendingCount--;
    this.#tellIdle();
  }

  /** A connection has waited to its end: it has got a place, or none. */
  settleWaiting(): void {
    this.waitingCount--;
    this.#tellIdle();
  }

  /** Calls `then` when no connection is pending or waits, perhaps at once. */
  whenIdle(then: () => void): void {
    this.#onIdle = then;
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#onIdle === null || this.pendingCount > 0 || this.waitingCount > 0) return;
    const onIdle = this.#onIdle;
    this.#onIdle = null;
    onIdle();
  }

  /** Calls one of the user's callbacks, whatever it does. */
  call(callback: () => unknown): void {
    callUser(callback, (thrown) => this.report(thrown));
  }

  /** Tells the user's `onError`; if there is none, or it throws in turn, a warning shows the bug without ending the process. */
  report(thrown: unknown): void {
    const { onError } = this.config;
    if (onError === null) return warn(thrown);
    callUser(() => onError(toWireError(thrown, 'LISTENER_CALLBACK_THREW')), warn);
  }
}

function warn(thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : toWireError(thrown));
}
