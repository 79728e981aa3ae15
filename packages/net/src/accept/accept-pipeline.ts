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
import { internalError, textOf, type WireError } from '@ferrata/error';
import { callUser, type L4Stream, type StreamAddress } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { warn } from '../warn.ts';
import type { AcceptConfig } from './accept-options.ts';
import { AcceptRate } from './accept-rate.ts';
import { FilterSlots } from './filter-slots.ts';

/** What the stages of one listener have in common: its places, its counts, its callbacks. */
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
  readonly filterSlots: FilterSlots<object>;
  /** Whom to tell when the connection below a stream is over; null if the filter does not want to know. Not by ids: a source may give one twice. */
  readonly watched: Map<object, { handleClosed(): void }> | null;
  readonly #rate: AcceptRate;
  readonly #onStream: (stream: L4Stream) => unknown;
  /** Called when nobody is pending or waits any more. */
  #onIdle: (() => void) | null = null;

  constructor(config: AcceptConfig, onStream: (stream: L4Stream) => unknown) {
    this.config = config;
    this.isDirect = config.filter === null && config.proxyProtocol === null && config.tls === null;
    this.deadlines = new DeadlineQueue({ clock: config.clock });
    this.filterSlots = new FilterSlots(config.maxPendingFilters, config.filterTimeoutMs);
    this.#rate = new AcceptRate(config.clock.now());
    this.#onStream = onStream;
    this.watched = config.filter?.onClosed === undefined ? null : new Map();
  }

  /** Connections that came in the last whole second. */
  acceptRate(): number {
    return this.#rate.perSecond(this.config.clock.now());
  }

  /** A connection came. @param now monotonic milliseconds */
  countArrival(now: number): void {
    this.#rate.count(now);
  }

  /** Takes a place under both caps for a newcomer. @returns false if one of them is full, or somebody waits for it already */
  tryTakePlace(): boolean {
    const { ownCap, sharedCap } = this.config;
    if (ownCap.hasWaiters() || sharedCap?.hasWaiters() === true) return false;
    return this.tryTakeTurn();
  }

  /** Takes a place under both caps for one who has waited. @returns false if one of them is full */
  tryTakeTurn(): boolean {
    const { ownCap, sharedCap } = this.config;
    // Looked at before any is taken: giving one back would wake whoever waits for it, this listener too, for nothing and for ever.
    if (sharedCap !== null && !sharedCap.hasPlace()) return false;
    if (!ownCap.tryTake()) return false;
    sharedCap?.tryTake();
    return true;
  }

  releasePlace(): void {
    const { ownCap, sharedCap } = this.config;
    ownCap.release();
    sharedCap?.release();
  }

  /** A connection over a cap was closed. */
  countShed(peer: StreamAddress | null): void {
    this.shedCount++;
    const { onShed } = this.config;
    if (onShed !== null && peer !== null) this.call(() => onShed(peer));
  }

  /** The connection below a stream that had its place is over. */
  handleOver(stream: object): void {
    this.releasePlace();
    this.handleClosed(stream);
  }

  /** The connection below a stream is over; it had no place, or has given it back. */
  handleClosed(stream: object): void {
    const watcher = this.watched?.get(stream);
    if (watcher === undefined) return;
    this.watched?.delete(stream);
    watcher.handleClosed();
  }

  /** A stream is through. */
  hand(stream: L4Stream): void {
    this.acceptedCount++;
    callUser(
      () => this.#onStream(stream),
      (thrown) => {
        const error = internalError('ON_STREAM_THREW', textOf(thrown), { cause: thrown });
        stream.abort(error);
        this.report(error);
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

  /** Closes a TLS server that the listener has made, once nobody needs it any more who has been accepted. */
  closeOwnTls(): void {
    const { ownsTls, tls } = this.config;
    if (ownsTls) this.whenIdle(() => this.call(() => tls?.close()));
  }

  /** Calls one of the user's callbacks, whatever it does. */
  call(callback: () => unknown): void {
    callUser(callback, (thrown) => this.report(internalError('LISTENER_CALLBACK_THREW', textOf(thrown), { cause: thrown })));
  }

  /** Tells the user's `onError`; if there is none, or it throws in turn, a warning shows the bug without ending the process. */
  report(error: WireError): void {
    const { onError } = this.config;
    if (onError === null) return warn(error);
    callUser(() => onError(error), warn);
  }
}
