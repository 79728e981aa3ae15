/**
 * A UDP socket on which each peer is a flow: made by its first datagram, gone when it has been silent for a while.
 *
 * Rules of this file:
 * - Anybody may write any source address into a datagram, as often as he likes. So the table is bounded; a full one forgets the flow that was used
 *   least recently among those that are not proven, and only if there is none, among the others: once a protocol proves its flows (`prove`), a flood of
 *   forged addresses pushes out its own. Where nothing is proven, it is simply the flow that was used least recently.
 * - Until a flow is proven, its peer is sent no more bytes than it has sent (`maxAmplification`): a reflector gains nothing.
 * - The filter is asked before anything of the user's sees a new peer, and is asked again for each datagram of a refused one: nothing is kept of those.
 *   Promises of it are bounded: while `maxPendingFilters` are pending, new peers are refused without asking.
 * - Every callback of the user may throw or reject: its flow ends, receiving goes on.
 *
 * @see RFC 8085 §3.5 (middleboxes and time-outs) · RFC 9000 §8 (amplification, with three times as QUIC's limit)
 */
import { systemClock } from '@ferrata/clock';
import {
  checkNumber,
  checkWholeNumber,
  internalError,
  limitError,
  textOf,
  timeoutError,
  toWireError,
  type WireError,
} from '@ferrata/error';
import { callUser, isThenable, type StreamAddress, type StreamInfo } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import type { ConnectionFilter } from '../accept/connection-filter.ts';
import { FilterSlots } from '../accept/filter-slots.ts';
import type { AddressLike } from '../address.ts';
import { checkBoolean, checkCallback, checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { warn } from '../warn.ts';
import { openBound, type UdpCounts, type UdpEndpoint, type UdpSink } from './udp-endpoint.ts';
import { OpenUdpFlow, PendingFilter, type UdpFlow, UdpFlowList, type UdpFlowOwner } from './udp-flow.ts';
import {
  KEPT_DATAGRAM_BYTES,
  resolveKnownBindOptions,
  toUdpOptions,
  type UdpAddress,
  type UdpBindConfig,
  type UdpBindOptions,
  udpBindNames,
} from './udp-options.ts';

/** Where to receive, and how flows live. */
export interface UdpFlowsOptions extends UdpBindOptions {
  /** Silence in both directions after which a flow is closed, above 0; `Infinity`: never. Default 60 000. Raising it keeps dead peers longer. */
  readonly idleTimeoutMs?: number;
  /** Flows at once, at least 1. Default 16 384. Raising it costs about 1 KiB for each, which a flood of forged addresses will use up. */
  readonly maxFlows?: number;
  /**
   * Bytes that we send a peer for each byte that it has sent, until its flow is proven; `Infinity`: no limit. Default 1, so that nobody can use us to
   * flood somebody else. Protocols whose answers are longer than the questions (DNS) raise it, and are as good a reflector as that; QUIC has 3.
   */
  readonly maxAmplification?: number;
  /**
   * Takes a datagram that comes after we have sent one for proof that the peer is who it says. Default false: only `UdpFlow.prove` proves. With true, two
   * datagrams with a forged source are enough to lift `maxAmplification` and to be shed after the peers that are not proven; so only where sources
   * cannot be forged: on loopback, inside of a network that filters them (RFC 2827).
   */
  readonly provesByAnswer?: boolean;
  /** Datagrams of one flow that are kept while its filter decides or it has no sink. Default 16. */
  readonly maxEarlyDatagrams?: number;
  /** Bytes of such datagrams of all flows together, each with 256 more for itself. Default 1 048 576. This much memory new peers can hold. */
  readonly maxEarlyBytes?: number;
  /** Asked about each new peer. Default: everybody is served. */
  readonly filter?: ConnectionFilter;
  /** Time for a filter's promise; then the peer is refused. Default 5 000. */
  readonly filterTimeoutMs?: number;
  /**
   * Promises of the filter that may be pending at once, at least 1; above that, new peers are refused without asking. A promise counts until it settles,
   * whatever became of the flow; after ten times `filterTimeoutMs` it is taken for one that never will. Default 1 024. Raising it lets forged addresses hold
   * so many more of whatever the filter waits for.
   */
  readonly maxPendingFilters?: number;
  /** Shared deadlines. Default: a queue of its own, on `clock`. */
  readonly deadlines?: DeadlineQueue;
  /** Called for a throw or rejection of `onFlow` and of the filter, and for datagrams that the kernel would not send. Default: nothing. */
  readonly onError?: (error: WireError) => void;
}

/** How many flows there were, and why datagrams and flows were dropped. The numbers are live. */
export interface UdpFlowCounts {
  /** Flows given to `onFlow`. */
  readonly opened: number;
  /** Closed because of `idleTimeoutMs`. */
  readonly idle: number;
  /** Closed to make room for another. */
  readonly shed: number;
  /** Peers, or datagrams of peers, that the filter did not accept, or was not asked about (`filtersPending`). */
  readonly refused: number;
  /** Of the refused, those about whom the filter was not asked, as `maxPendingFilters` of its promises were pending. */
  readonly filtersPending: number;
  /** Datagrams dropped as nobody took them yet and there was no room to keep them. */
  readonly earlyDropped: number;
  /** Datagrams dropped with their flow: those that it still kept, that came while `onFlow` closed it, and those that were to be sent on a closed one. */
  readonly closedDropped: number;
  /** Datagrams not sent because of `maxAmplification`. */
  readonly amplificationDropped: number;
}

const flowNames: Record<keyof UdpFlowsOptions, true> = {
  ...udpBindNames,
  idleTimeoutMs: true,
  maxFlows: true,
  maxAmplification: true,
  provesByAnswer: true,
  maxEarlyDatagrams: true,
  maxEarlyBytes: true,
  filter: true,
  filterTimeoutMs: true,
  maxPendingFilters: true,
  deadlines: true,
  onError: true,
};

/**
 * Receives at an address, and calls `onFlow` with each new peer.
 *
 * `onFlow` should attach a sink at once; until then a few datagrams are kept. If it throws or rejects, that flow is closed, and receiving goes on.
 *
 * @throws {WireError} as `bindUdp`
 * @throws {TypeError} if the address is malformed, an option is not known, or one is of the wrong kind
 * @throws {RangeError} if an option is out of range
 */
export async function listenUdp(where: AddressLike | UdpFlowsOptions, onFlow: (flow: UdpFlow) => void): Promise<UdpFlows> {
  const options = toUdpOptions<UdpFlowsOptions>(where);
  checkOptionNames('listenUdp', options, flowNames);
  const flows = new UdpFlows(options, onFlow);
  await flows.open(resolveKnownBindOptions(options));
  return flows;
}

/** The flows of one socket. Made by `listenUdp`. */
export class UdpFlows {
  readonly #table = new Map<string, OpenUdpFlow>();
  readonly #unproven = new UdpFlowList();
  readonly #proven = new UdpFlowList();
  readonly #owner: UdpFlowOwner;
  readonly #onFlow: (flow: UdpFlow) => void;
  readonly #onError: ((error: WireError) => void) | null;
  readonly #filter: ConnectionFilter | null;
  readonly #filterTimeoutMs: number;
  readonly #filterSlots: FilterSlots<PendingFilter>;
  readonly #idleTimeoutMs: number;
  readonly #maxFlows: number;
  readonly #maxAmplification: number;
  readonly #maxEarlyDatagrams: number;
  readonly #maxEarlyBytes: number;
  readonly #deadlines: DeadlineQueue;
  readonly #ownsDeadlines: boolean;
  readonly #counts = {
    opened: 0,
    idle: 0,
    shed: 0,
    refused: 0,
    earlyDropped: 0,
    amplificationDropped: 0,
    filtersPending: 0,
    closedDropped: 0,
  };
  #earlyBytes = 0;
  #endpoint: UdpEndpoint | null = null;

  /** @internal */
  constructor(options: UdpFlowsOptions, onFlow: (flow: UdpFlow) => void) {
    const { idleTimeoutMs = 60_000, maxFlows = 16_384, maxAmplification = 1, maxEarlyDatagrams = 16, maxEarlyBytes = 0x10_0000 } = options;
    const { maxPendingFilters = 1024 } = options;
    const provesByAnswer = checkBoolean('provesByAnswer', options.provesByAnswer, false);
    checkCallback('onError', options.onError);
    if (options.filter !== undefined) checkMethods('filter', options.filter, 'a ConnectionFilter', ['shouldAccept']);
    this.#deadlines = options.deadlines ?? new DeadlineQueue({ clock: options.clock ?? systemClock });
    this.#ownsDeadlines = options.deadlines === undefined;
    const maxMs = this.#deadlines.maxDelayMs;
    this.#idleTimeoutMs = idleTimeoutMs === Infinity ? Infinity : checkNumber('idleTimeoutMs', idleTimeoutMs, { above: 0, max: maxMs });
    this.#filterTimeoutMs = checkNumber('filterTimeoutMs', options.filterTimeoutMs ?? 5000, { above: 0, max: maxMs });
    this.#maxFlows = checkWholeNumber('maxFlows', maxFlows, { min: 1, max: 0x100_0000 });
    this.#maxAmplification = checkNumber('maxAmplification', maxAmplification, { min: 0 });
    this.#maxEarlyDatagrams = checkWholeNumber('maxEarlyDatagrams', maxEarlyDatagrams);
    this.#maxEarlyBytes = checkWholeNumber('maxEarlyBytes', maxEarlyBytes);
    this.#filterSlots = new FilterSlots(checkWholeNumber('maxPendingFilters', maxPendingFilters, { min: 1 }), this.#filterTimeoutMs);
    this.#filter = options.filter ?? null;
    this.#onError = options.onError ?? null;
    this.#onFlow = onFlow;
    this.#owner = {
      provesByAnswer,
      sendFor: (flow, bytes) => this.#sendFor(flow, bytes),
      onProven: (flow) => this.#onProven(flow),
      mayKeep: (flow, bytes) => this.#mayKeep(flow, bytes),
      onKeptGone: (bytes) => {
        this.#earlyBytes -= bytes.length + KEPT_DATAGRAM_BYTES;
      },
      onDroppedClosed: () => {
        this.#counts.closedDropped++;
      },
      onFlowClosed: (flow) => this.#onFlowClosed(flow),
    };
  }

  /** Binds the socket. @internal */
  async open(binding: UdpBindConfig): Promise<void> {
    const sink: UdpSink = {
      onDatagram: (bytes, peer) => this.#onDatagram(bytes, peer),
      onError: (error) => this.#report(error),
      onClose: (error) => this.#closeAll(error),
    };
    try {
      this.#endpoint = await openBound(binding, sink);
    } catch (error) {
      if (this.#ownsDeadlines) this.#deadlines.close();
      throw error;
    }
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  get address(): StreamAddress {
    return this.#socket().address;
  }

  /** Flows at this moment, those whose filter has not decided among them. */
  get flowCount(): number {
    return this.#table.size;
  }

  /** The object is the same at each call, and live. */
  get counts(): UdpFlowCounts {
    return this.#counts;
  }

  /** What the socket below has done. */
  get socketCounts(): UdpCounts {
    return this.#socket().counts;
  }

  get isClosed(): boolean {
    return this.#socket().isClosed;
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /** Closes the socket and every flow (`onClose(null)`). Done when the port is free. May be called again. */
  close(): Promise<void> {
    return this.#socket().close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- datagrams ---------------------------------------------------------------------------------------------------------------

  #onDatagram(bytes: Uint8Array, peer: UdpAddress): void {
    const key = `${peer.host}|${peer.port}`;
    const known = this.#table.get(key);
    known?.count(bytes);
    const flow = known ?? this.#open(key, peer, bytes);
    // Refused at once.
    if (flow === null) return;
    if (flow.isClosed) {
      // `onFlow` had no use for the peer.
      this.#counts.closedDropped++;
      return;
    }
    if (!flow.take(bytes)) this.#counts.earlyDropped++;
    if (!flow.isClosed) this.#touch(flow);
  }

  #sendFor(flow: OpenUdpFlow, bytes: Uint8Array): boolean {
    const endpoint = this.#socket();
    if (flow.isClosed || endpoint.isClosed) {
      this.#counts.closedDropped++;
      return false;
    }
    // RFC 9000 §8.1 in general: an address that may be forged gets no more than it gave.
    if (!flow.isProven && flow.sentBytes + bytes.length > flow.receivedBytes * this.#maxAmplification) {
      this.#counts.amplificationDropped++;
      return false;
    }
    if (!endpoint.send(bytes, flow.peer)) return false;
    flow.sent++;
    flow.sentBytes += bytes.length;
    this.#touch(flow);
    return true;
  }

  #touch(flow: OpenUdpFlow): void {
    (flow.isProven ? this.#proven : this.#unproven).touch(flow);
    if (this.#idleTimeoutMs !== Infinity) flow.deadline?.arm(this.#idleTimeoutMs);
  }

  #onProven(flow: OpenUdpFlow): void {
    this.#unproven.remove(flow);
    this.#proven.add(flow);
  }

  #mayKeep(flow: OpenUdpFlow, bytes: Uint8Array): boolean {
    const cost = bytes.length + KEPT_DATAGRAM_BYTES;
    if (flow.keptCount >= this.#maxEarlyDatagrams || this.#earlyBytes + cost > this.#maxEarlyBytes) return false;
    this.#earlyBytes += cost;
    return true;
  }

  // ---- flows -------------------------------------------------------------------------------------------------------------------

  /** @param bytes the datagram that makes the flow @returns null if it is refused at once */
  #open(key: string, peer: UdpAddress, bytes: Uint8Array): OpenUdpFlow | null {
    const now = this.#deadlines.now();
    // Not asked at all: what it began could not be stopped.
    if (this.#filterSlots.isFull(now)) {
      this.#counts.refused++;
      this.#counts.filtersPending++;
      return null;
    }
    const flow = new OpenUdpFlow(this.#owner, key, peer, this.address, now);
    const answer = this.#ask(flow);
    if (answer === false) {
      this.#counts.refused++;
      return null;
    }
    this.#makeRoom();
    this.#table.set(key, flow);
    this.#unproven.add(flow);
    flow.deadline = this.#deadlines.deadline(() => this.#onIdle(flow));
    flow.count(bytes);
    if (answer === true) this.#accept(flow);
    else this.#await(flow, answer);
    return flow;
  }

  /** A promise is taken for the decision; of all else only `true` accepts. */
  #ask(flow: OpenUdpFlow): boolean | PromiseLike<unknown> {
    if (this.#filter === null) return true;
    try {
      const answer: unknown = this.#filter.shouldAccept(flow.peer, flow.info);
      return isThenable(answer) ? answer : answer === true;
    } catch (thrown) {
      this.#report(toWireError(thrown, 'FILTER_THREW'));
      return false;
    }
  }

  #await(flow: OpenUdpFlow, answer: PromiseLike<unknown>): void {
    const pending = new PendingFilter(flow);
    flow.pendingFilter = pending;
    this.#filterSlots.take();
    pending.deadline = this.#deadlines.after(this.#filterTimeoutMs, () => {
      this.#giveUp(pending);
      this.#refuse(flow);
      this.#report(timeoutError('FILTER_TIMEOUT', 'the filter did not decide in time', { fault: 'local' }));
    });
    // A thenable may throw from its `then`, or call back twice: `resolve` makes a promise of it.
    Promise.resolve(answer).then(
      (late) => this.#decided(pending, late === true),
      (thrown: unknown) => {
        if (pending.flow !== null) this.#report(toWireError(thrown, 'FILTER_THREW'));
        this.#decided(pending, false);
      },
    );
  }

  #decided(pending: PendingFilter, isAccepted: boolean): void {
    const flow = pending.takeFlow();
    this.#filterSlots.settle(pending, flow === null);
    // Too late, or the flow was shed: the filter has counted it, and must hear that it is over.
    if (flow === null) {
      if (isAccepted) this.#tellFilter(pending.peer, pending.info);
    } else if (isAccepted) this.#accept(flow);
    else this.#refuse(flow);
  }

  /** Nobody waits for what the filter will say: its time is over, or the flow is. */
  #giveUp(pending: PendingFilter): void {
    pending.takeFlow();
    this.#filterSlots.giveUp(pending, this.#deadlines.now());
    callUser(
      () => this.#filter?.onGivenUp?.(pending.peer, pending.info),
      (thrown) => this.#report(toWireError(thrown, 'FILTER_THREW')),
    );
  }

  #refuse(flow: OpenUdpFlow): void {
    if (flow.isClosed) return;
    this.#counts.refused++;
    flow.end(null);
  }

  #accept(flow: OpenUdpFlow): void {
    flow.isAccepted = true;
    this.#counts.opened++;
    callUser(
      () => this.#onFlow(flow),
      (thrown) => {
        const error = internalError('ON_FLOW_THREW', textOf(thrown), { cause: thrown });
        flow.end(error);
        this.#report(error);
      },
    );
    flow.flush();
  }

  #makeRoom(): void {
    if (this.#table.size < this.#maxFlows) return;
    const oldest = this.#unproven.oldest ?? this.#proven.oldest;
    if (oldest === null) return;
    this.#counts.shed++;
    oldest.end(limitError('UDP_FLOW_SHED', 'forgotten to make room for another peer'));
  }

  #onIdle(flow: OpenUdpFlow): void {
    this.#counts.idle++;
    flow.end(timeoutError('UDP_FLOW_IDLE', 'the peer and we were silent for too long'));
  }

  #onFlowClosed(flow: OpenUdpFlow): void {
    this.#table.delete(flow.key);
    (flow.isProven ? this.#proven : this.#unproven).remove(flow);
    if (flow.pendingFilter !== null) this.#giveUp(flow.pendingFilter);
    if (flow.isAccepted) this.#tellFilter(flow.peer, flow.info);
  }

  #tellFilter(peer: UdpAddress, info: StreamInfo): void {
    callUser(
      () => this.#filter?.onClosed?.(peer, info),
      (thrown) => this.#report(toWireError(thrown, 'FILTER_THREW')),
    );
  }

  #closeAll(error: WireError | null): void {
    for (const flow of this.#table.values()) flow.end(error);
    if (this.#ownsDeadlines) this.#deadlines.close();
  }

  #report(error: WireError): void {
    callUser(() => this.#onError?.(error), warn);
  }

  #socket(): UdpEndpoint {
    if (this.#endpoint === null) throw new TypeError('the socket is not open yet');
    return this.#endpoint;
  }
}
