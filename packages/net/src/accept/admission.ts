/**
 * One connection on its way through the stages of a listener, from the accept to `onStream`.
 *
 * ```text
 *                   place free            yes                  header                secure
 *   waiting ──────────────────► filter ─────────► readHeader ─────────► handshake ─────────► onStream
 *     │ filter: no, or no in time  │ no               │ bad                 │ failed
 *     ▼ waited too long            ▼                  ▼                     ▼
 *    refused, shed              refused          headerFailed        handshakeFailed
 * ```
 * The filter is asked once, at the start: a connection that waits for its place is asked about while it waits.
 */
import { applicationError, internalError, ioError, limitError, textOf, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { ProxyHeader } from '@ferrata/proxy-protocol';
import { formatAddress, type L4Stream, type StreamAddress, type StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { TlsAcceptSink } from '../tls/tls-handshake.ts';
import type { AcceptPipeline } from './accept-pipeline.ts';
import type { ConnectionFilter } from './connection-filter.ts';
import { type ProxyHeaderSink, readProxyHeader } from './proxy-header-reader.ts';
import type { Waiting, WaitingRoom } from './waiting-room.ts';

/**
 * Takes a stream through the stages.
 *
 * @param room where it waits for its place first; null if it has one. The filter is asked at once all the same, so that whom it refuses waits for nothing
 */
export function admit(pipeline: AcceptPipeline, stream: L4Stream, room: WaitingRoom | null = null): void {
  if (room === null && pipeline.isDirect) return pipeline.hand(stream);
  const admission = new Admission(pipeline, stream, room);
  pipeline.watched?.set(stream, admission);
  admission.start();
}

/** A connection under way; it ends in exactly one of the counts. */
class Admission implements ProxyHeaderSink, TlsAcceptSink, Waiting {
  readonly stream: L4Stream;
  readonly #pipeline: AcceptPipeline;
  readonly #peer: StreamAddress;
  readonly #info: StreamInfo;
  /** Where it waits for its place; null as soon as it has one. */
  #room: WaitingRoom | null;
  /** The filter has said yes, or there is none. */
  #isPassed = false;
  /** The filter has said yes, and is owed the end. */
  #isHeld = false;
  /** The connection below is over. */
  #isClosed = false;
  #isFilterPending = false;
  #deadline: Deadline | null = null;

  /** @param room where it waits; null if it has its place */
  constructor(pipeline: AcceptPipeline, stream: L4Stream, room: WaitingRoom | null) {
    this.#pipeline = pipeline;
    this.stream = stream;
    this.#room = room;
    // The same for the filter in the beginning and at the end, whatever later layers say of the stream.
    this.#info = stream.info;
    this.#peer = this.#info.remoteAddress;
  }

  start(): void {
    const pipeline = this.#pipeline;
    const { filter } = pipeline.config;
    if (this.#room === null) pipeline.pendingCount++;
    else {
      pipeline.waitingCount++;
      this.#room.add(this);
    }
    if (filter === null) this.#passFilter();
    else this.#ask(filter);
  }

  /** It has got its place. */
  handlePlace(): void {
    const pipeline = this.#pipeline;
    this.#room = null;
    pipeline.pendingCount++;
    pipeline.settleWaiting();
    if (this.#isPassed) this.#readHeader();
  }

  /** It has waited too long for its place. */
  shed(): void {
    const pipeline = this.#pipeline;
    this.#room = null;
    if (this.#isFilterPending) this.#giveUpFilter();
    // A reset, so that no half-dead connection keeps a place in the kernel's tables.
    this.stream.abort(ioError('CONNECTION_SHED', 'it has waited too long for a place', { fault: 'local' }));
    pipeline.settleWaiting();
    pipeline.countShed(this.#peer);
  }

  /** The connection below is over. */
  handleClosed(): void {
    this.#isClosed = true;
    this.#releaseFilter();
  }

  #ask(filter: ConnectionFilter): void {
    const { filterSlots, config } = this.#pipeline;
    // Not asked at all: what it began could not be stopped.
    if (filterSlots.isFull(config.clock.now())) {
      const message = `${config.maxPendingFilters} filters have not answered yet`;
      return this.#refuse(limitError('FILTERS_PENDING', message, { fault: 'local', wire: { status: 0 } }));
    }
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
    const { filterTimeoutMs } = pipeline.config;
    // A thenable may throw from its `then`, or call back twice: `resolve` makes a promise of it.
    Promise.resolve(answer).then(
      (late) => this.#answered(late),
      (thrown: unknown) => this.#rejected(thrown),
    );
    // Before anything is booked, as a clock of the program may throw.
    this.#deadline = pipeline.deadlines.after(filterTimeoutMs, () => {
      const message = `the filter has not answered within ${filterTimeoutMs} ms`;
      this.#giveUpFilter();
      this.#refuse(timeoutError('FILTER_TIMEOUT', message, { fault: 'local', wire: { status: 0 } }));
    });
    this.#isFilterPending = true;
    pipeline.filterSlots.take();
  }

  /** Nobody waits for the filter any more. It is told, since what it holds for this connection it would otherwise hold until it answers, or for ever. */
  #giveUpFilter(): void {
    const pipeline = this.#pipeline;
    const { filter, clock } = pipeline.config;
    this.#stopWaiting();
    pipeline.filterSlots.giveUp(this, clock.now());
    if (filter?.onGivenUp !== undefined) pipeline.call(() => filter.onGivenUp?.(this.#peer, this.#info));
  }

  #answered(answer: unknown): void {
    const { filterSlots } = this.#pipeline;
    filterSlots.settle(this, !this.#isFilterPending);
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
    this.#pipeline.filterSlots.settle(this, !this.#isFilterPending);
    if (!this.#isFilterPending) return;
    this.#stopWaiting();
    this.#refuse(filterThrew(thrown));
  }

  #stopWaiting(): void {
    this.#isFilterPending = false;
    this.#deadline?.cancel();
    this.#deadline = null;
  }

  #judge(answer: unknown): void {
    if (answer !== true) return this.#refuse(applicationError('CONNECTION_FILTERED', 'the filter has refused it', silent));
    this.#isHeld = true;
    if (this.#isClosed) this.#releaseFilter();
    this.#passFilter();
  }

  #passFilter(): void {
    this.#isPassed = true;
    if (this.#room === null) this.#readHeader();
  }

  #refuse(error: WireError): void {
    const pipeline = this.#pipeline;
    const { onRefused } = pipeline.config;
    // A reset: the peer learns that nobody will answer, and no half-dead connection keeps a place in the kernel's tables.
    this.stream.abort(error);
    pipeline.refusedCount++;
    if (this.#room === null) pipeline.settlePending();
    else {
      this.#room.remove(this);
      this.#room = null;
      pipeline.settleWaiting();
    }
    error.context ??= formatAddress(this.#peer);
    if (onRefused !== null) pipeline.call(() => onRefused(error, this.#info));
  }

  #readHeader(): void {
    const { proxyProtocol } = this.#pipeline.config;
    if (proxyProtocol === null) this.#secure(this.stream);
    else readProxyHeader(this.stream, proxyProtocol, this);
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
