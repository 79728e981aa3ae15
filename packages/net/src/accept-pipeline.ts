/**
 * What happens to a connection between the accept and `onStream`, the same for sockets and for streams from elsewhere.
 *
 * ```text
 *            cap               filter               PROXY header           TLS
 *   accept ───────► admitted ──────────► unheaded ───────────────► bare ─────────► onStream
 *            │                  │                      │                   │
 *          shed              refused             headerFailed       handshakeFailed       each told, each counted, each reset
 * ```
 * Rules:
 * - A listener without filter, header and TLS goes straight to `onStream`: none of this costs it anything but the counting.
 * - A connection under way is one `Admission`, and ends in exactly one of the five counts.
 * - Every callback of the user may throw, reject, never answer, or answer nonsense: that connection is refused, and listening goes on.
 */
import { applicationError, internalError, limitError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { ProxyHeader } from '@ferrata/proxy-protocol';
import { formatAddress, type L4Stream, type StreamAddress, type StreamInfo } from '@ferrata/stream';
import { type Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { AcceptConfig } from './accept-options.ts';
import { AcceptRate } from './accept-rate.ts';
import { callUser } from './call-user.ts';
import type { ConnectionFilter } from './connection-filter.ts';
import { type ProxyHeaderSink, readProxyHeader } from './proxy-header-reader.ts';
import type { TlsAcceptSink } from './tls/tls-server.ts';

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
  /** Filters that have not answered. */
  pendingFilters = 0;
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
    const admission = new Admission(this, stream);
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

/** One connection on its way through the stages. */
class Admission implements ProxyHeaderSink, TlsAcceptSink {
  readonly #pipeline: AcceptPipeline;
  readonly #stream: L4Stream;
  readonly #peer: StreamAddress;
  readonly #info: StreamInfo;
  /** The filter has said yes, and is owed the end. */
  #isHeld = false;
  /** The connection below is over. */
  #isClosed = false;
  #isFilterPending = false;
  #deadline: Deadline | null = null;

  constructor(pipeline: AcceptPipeline, stream: L4Stream) {
    this.#pipeline = pipeline;
    this.#stream = stream;
    // The same for the filter in the beginning and at the end, whatever later layers say of the stream.
    this.#info = stream.info;
    this.#peer = this.#info.remoteAddress;
  }

  start(): void {
    this.#pipeline.pendingCount++;
    const { filter } = this.#pipeline.config;
    if (filter === null) this.#readHeader();
    else this.#ask(filter);
  }

  handleClosed(): void {
    this.#isClosed = true;
    this.#releaseFilter();
  }

  #ask(filter: ConnectionFilter): void {
    let answer: unknown;
    try {
      answer = filter.shouldAccept(this.#peer, this.#info);
      if (typeof answer === 'object' && answer !== null) return this.#await(answer as PromiseLike<unknown>);
    } catch (thrown) {
      return this.#refuse(filterThrew(thrown));
    }
    this.#judge(answer);
  }

  #await(answer: PromiseLike<unknown>): void {
    const pipeline = this.#pipeline;
    const { maxPendingFilters, filterTimeoutMs } = pipeline.config;
    this.#isFilterPending = true;
    const isOverLimit = pipeline.pendingFilters >= maxPendingFilters;
    pipeline.pendingFilters++;
    // A thenable may throw from its `then`, or call back twice: `resolve` makes a promise of it.
    Promise.resolve(answer).then(
      (late) => this.#answered(late),
      (thrown: unknown) => this.#rejected(thrown),
    );
    if (isOverLimit) {
      const message = `${maxPendingFilters} filters have not answered yet`;
      return this.#giveUp(limitError('FILTERS_PENDING', message, { fault: 'local', wire: { status: 0 } }));
    }
    this.#deadline = pipeline.deadlines.after(filterTimeoutMs, () => {
      const message = `the filter has not answered within ${filterTimeoutMs} ms`;
      this.#giveUp(timeoutError('FILTER_TIMEOUT', message, { fault: 'local', wire: { status: 0 } }));
    });
  }

  #giveUp(error: WireError): void {
    this.#stopWaiting();
    this.#refuse(error);
  }

  #answered(answer: unknown): void {
    if (this.#isFilterPending) {
      this.#stopWaiting();
      return this.#judge(answer);
    }
    // Too late, but the filter believes that it has accepted a connection.
    if (answer !== true) return;
    this.#isHeld = true;
    this.#releaseFilter();
  }

  #rejected(thrown: unknown): void {
    if (!this.#isFilterPending) return;
    this.#stopWaiting();
    this.#refuse(filterThrew(thrown));
  }

  #stopWaiting(): void {
    this.#isFilterPending = false;
    this.#pipeline.pendingFilters--;
    this.#deadline?.cancel();
    this.#deadline = null;
  }

  #judge(answer: unknown): void {
    if (answer !== true) return this.#refuse(applicationError('CONNECTION_FILTERED', 'the filter has refused it', silent));
    this.#isHeld = true;
    if (this.#isClosed) this.#releaseFilter();
    this.#readHeader();
  }

  #refuse(error: WireError): void {
    const pipeline = this.#pipeline;
    const { onRefused } = pipeline.config;
    // A reset: the peer learns that nobody will answer, and no half-dead connection keeps a place in the kernel's tables.
    this.#stream.abort(error);
    pipeline.refusedCount++;
    pipeline.settlePending();
    error.context ??= formatAddress(this.#peer);
    if (onRefused !== null) pipeline.call(() => onRefused(error, this.#info));
  }

  #readHeader(): void {
    const { proxyProtocol } = this.#pipeline.config;
    if (proxyProtocol === null) this.#secure(this.#stream);
    else readProxyHeader(this.#stream, proxyProtocol, this);
  }

  onHeader(stream: L4Stream, _header: ProxyHeader | null): void {
    this.#secure(stream);
  }

  onHeaderFailed(error: WireError, info: StreamInfo): void {
    const pipeline = this.#pipeline;
    const { onHeaderFailed } = pipeline.config;
    pipeline.headerFailedCount++;
    pipeline.settlePending();
    if (onHeaderFailed !== null) pipeline.call(() => onHeaderFailed(error, info));
  }

  #secure(stream: L4Stream): void {
    const { tls } = this.#pipeline.config;
    if (tls === null) return this.onSecure(stream);
    const { info } = stream;
    try {
      tls.accept(stream, this);
    } catch (thrown) {
      // A server that was closed in the meantime, or a bug of ours: neither may end the process.
      const error = toWireError(thrown, 'TLS_ACCEPT_THREW');
      stream.abort(error);
      this.onHandshakeFailed(error, info);
    }
  }

  onSecure(stream: L4Stream): void {
    this.#pipeline.settlePending();
    this.#pipeline.hand(stream);
  }

  onHandshakeFailed(error: WireError, info: StreamInfo): void {
    const pipeline = this.#pipeline;
    const { onHandshakeFailed } = pipeline.config;
    pipeline.handshakeFailedCount++;
    pipeline.settlePending();
    if (onHandshakeFailed !== null) pipeline.call(() => onHandshakeFailed(error, info));
  }

  /** Tells the filter that a connection which it has accepted is over. */
  #releaseFilter(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const { filter } = this.#pipeline.config;
    this.#pipeline.call(() => filter?.onClosed?.(this.#peer, this.#info));
  }
}

/** A filter's answer is for nobody outside: the connection just ends. */
const silent = { fault: 'local', wire: { status: 0 } } as const;

function filterThrew(thrown: unknown): WireError {
  return internalError('FILTER_THREW', textOf(thrown), { cause: thrown, wire: { status: 0 } });
}

function textOf(thrown: unknown): string {
  return toWireError(thrown).message;
}

function warn(thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : toWireError(thrown));
}
