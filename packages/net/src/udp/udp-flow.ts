/**
 * One peer of a UDP socket as an object: what a datagram service sees instead of addresses.
 *
 * ```text
 *              filter accepts          attach
 *   deciding ─────────────────► open ─────────► open, delivering
 *      │                          │                  │
 *      └── refused: forgotten     └── close, idle, shed, socket closed ──► closed: onClose once
 * ```
 * A flow is *proven* when its protocol says so (`prove`): a cookie has come back, a handshake is over. That something came after we had sent something proves
 * nothing: whoever forges a source address blindly can send twice. It is taken for proof with `provesByAnswer` only.
 */
import { internalError, textOf, type WireError } from '@ferrata/error';
import { callUser, nextStreamId, type StreamAddress, type StreamInfo, type StreamTiming, watchAnswer } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { warn } from '../warn.ts';
import type { UdpAddress } from './udp-options.ts';

/** The receiver of a flow. */
export interface UdpFlowSink {
  /** A datagram of the peer; the bytes are yours, and may be none at all. */
  onDatagram(bytes: Uint8Array): void;
  /**
   * Once and last. `null`: closed by us; else `UDP_FLOW_IDLE`, `UDP_FLOW_SHED`, `SINK_THREW`, or why the socket closed. The peer isn't told: UDP
   * has no end. What it sends from then on begins a new flow.
   */
  onClose(error: WireError | null): void;
}

/** One peer of a UDP socket. */
export interface UdpFlow {
  /** Unique among the flows and streams of this thread. */
  readonly id: number;
  /** Kind `udp`; addresses of both ends; whatever a filter left in `extension`. */
  readonly info: StreamInfo;
  readonly peer: UdpAddress;
  readonly isClosed: boolean;
  /** True once `prove` has been called, or, with `provesByAnswer`, the peer has answered: `maxAmplification` no longer holds, and it is shed after all that aren't. */
  readonly isProven: boolean;
  readonly received: number;
  readonly receivedBytes: number;
  /** Datagrams given to the socket. */
  readonly sent: number;
  readonly sentBytes: number;
  /** Makes `sink` the receiver, in place of a former one. What came before the first one follows, as far as it was kept. */
  attach(sink: UdpFlowSink): void;
  /**
   * Sends a datagram to the peer, and counts as use of the flow.
   *
   * @returns false if it was dropped, which is counted: the flow is closed, `maxAmplification` forbids it, or the socket's queue is full
   */
  send(bytes: Uint8Array): boolean;
  /** The peer has shown that it receives at its address: it has sent something that only our datagrams could tell it, such as a cookie. */
  prove(): void;
  /** Forgets the peer. `onClose` follows; a second call does nothing. */
  close(): void;
}

/** Whom a flow belongs to. */
export interface UdpFlowOwner {
  readonly provesByAnswer: boolean;
  /** @returns false if it was dropped */
  sendFor(flow: OpenUdpFlow, bytes: Uint8Array): boolean;
  onProven(flow: OpenUdpFlow): void;
  /** @returns false if there is no room to keep it */
  mayKeep(flow: OpenUdpFlow, bytes: Uint8Array): boolean;
  /** A datagram is kept no longer. */
  onKeptGone(bytes: Uint8Array): void;
  /** A datagram was dropped with its flow. */
  onDroppedClosed(): void;
  onFlowClosed(flow: OpenUdpFlow): void;
}

/** What is known of a flow. */
class UdpFlowInfo implements StreamInfo {
  readonly kind: string = 'udp';
  readonly localAddress: StreamAddress;
  readonly remoteAddress: StreamAddress;
  readonly tls = null;
  readonly proxyHeader = null;
  readonly timing: StreamTiming;
  readonly below = null;
  extension: unknown = undefined;

  constructor(localAddress: StreamAddress, remoteAddress: StreamAddress, now: number) {
    this.localAddress = localAddress;
    this.remoteAddress = remoteAddress;
    this.timing = { startedAt: now, establishedAt: now };
  }
}

/** The flow behind the interface. Only `UdpFlows` makes it. */
export class OpenUdpFlow implements UdpFlow {
  readonly id: number = nextStreamId();
  readonly info: StreamInfo;
  readonly peer: UdpAddress;
  readonly key: string;
  received = 0;
  receivedBytes = 0;
  sent = 0;
  sentBytes = 0;
  isProven = false;
  isClosed = false;
  /** The filter has said yes, or there is none. */
  isAccepted = false;
  /** Neighbours in the list of its kind, the less recently used one first. */
  older: OpenUdpFlow | null = null;
  newer: OpenUdpFlow | null = null;
  deadline: Deadline | null = null;
  pendingFilter: PendingFilter | null = null;
  readonly #owner: UdpFlowOwner;
  #sink: UdpFlowSink | null = null;
  /** What came before a sink did. */
  #kept: Uint8Array[] = [];
  #isFlushing = false;
  #error: WireError | null = null;
  #hasTold = false;

  constructor(owner: UdpFlowOwner, key: string, peer: UdpAddress, localAddress: StreamAddress, now: number) {
    this.#owner = owner;
    this.key = key;
    this.peer = peer;
    this.info = new UdpFlowInfo(localAddress, peer, now);
  }

  get keptCount(): number {
    return this.#kept.length;
  }

  attach(sink: UdpFlowSink): void {
    this.#sink = sink;
    if (this.isClosed) {
      // The new sink is told as well that it is over.
      this.#hasTold = false;
      queueMicrotask(() => this.#tellClose());
    } else this.flush();
  }

  send(bytes: Uint8Array): boolean {
    return this.#owner.sendFor(this, bytes);
  }

  prove(): void {
    if (this.isProven || this.isClosed) return;
    this.isProven = true;
    this.#owner.onProven(this);
  }

  close(): void {
    this.end(null);
  }

  // ---- for the owner -------------------------------------------------------------------------------------------------------------

  /** A datagram has come. Counted before anybody hears of it, so that it may be answered from inside `onFlow`. */
  count(bytes: Uint8Array): void {
    this.received++;
    this.receivedBytes += bytes.length;
    if (this.sent > 0 && this.#owner.provesByAnswer) this.prove();
  }

  /** Hands a datagram on, or keeps it until there is a sink. @returns false if it had to be dropped */
  take(bytes: Uint8Array): boolean {
    if (this.#sink !== null && this.isAccepted && this.#kept.length === 0) {
      this.#deliver(this.#sink, bytes);
      return true;
    }
    if (!this.#owner.mayKeep(this, bytes)) return false;
    this.#kept.push(bytes);
    return true;
  }

  /** Delivers what was kept, from a microtask: this is called from inside the user's own calls. */
  flush(): void {
    if (this.#kept.length === 0 || this.#isFlushing || !this.isAccepted || this.#sink === null) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      const kept = this.#kept;
      this.#kept = [];
      for (const bytes of kept) {
        this.#owner.onKeptGone(bytes);
        if (!this.isClosed && this.#sink !== null) this.#deliver(this.#sink, bytes);
        else this.#owner.onDroppedClosed();
      }
    });
  }

  end(error: WireError | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#error = error;
    this.deadline?.cancel();
    if (!this.#isFlushing) {
      for (const bytes of this.#kept) {
        this.#owner.onKeptGone(bytes);
        this.#owner.onDroppedClosed();
      }
      this.#kept = [];
    }
    this.#owner.onFlowClosed(this);
    queueMicrotask(() => this.#tellClose());
  }

  #deliver(sink: UdpFlowSink, bytes: Uint8Array): void {
    try {
      // Meant to return nothing; an `async` one returns a promise all the same.
      const answer: unknown = sink.onDatagram(bytes);
      if (answer !== undefined) watchAnswer(answer, (thrown) => this.#sinkThrew(thrown));
    } catch (thrown) {
      this.#sinkThrew(thrown);
    }
  }

  #sinkThrew(thrown: unknown): void {
    this.end(internalError('SINK_THREW', textOf(thrown), { cause: thrown }));
  }

  #tellClose(): void {
    const sink = this.#sink;
    if (this.#hasTold || sink === null) return;
    this.#hasTold = true;
    callUser(() => sink.onClose(this.#error), warn);
  }
}

/** A promise of the filter that is not settled yet. The flow is let go of as soon as it ends, however long the promise lives. */
export class PendingFilter {
  readonly peer: UdpAddress;
  readonly info: StreamInfo;
  /** Null as soon as nobody waits for the promise. */
  flow: OpenUdpFlow | null;
  deadline: Deadline | null = null;

  constructor(flow: OpenUdpFlow) {
    this.flow = flow;
    this.peer = flow.peer;
    this.info = flow.info;
  }

  /** Nobody waits any more. @returns null if the flow has ended, or was taken before */
  takeFlow(): OpenUdpFlow | null {
    const { flow } = this;
    this.flow = null;
    this.deadline?.cancel();
    if (flow !== null) flow.pendingFilter = null;
    return flow;
  }
}

/** Flows in the order of their last use. All steps are O(1), and nothing is allocated for a datagram. */
export class UdpFlowList {
  #oldest: OpenUdpFlow | null = null;
  #newest: OpenUdpFlow | null = null;

  get oldest(): OpenUdpFlow | null {
    return this.#oldest;
  }

  add(flow: OpenUdpFlow): void {
    flow.older = this.#newest;
    flow.newer = null;
    if (this.#newest === null) this.#oldest = flow;
    else this.#newest.newer = flow;
    this.#newest = flow;
  }

  remove(flow: OpenUdpFlow): void {
    if (flow.older === null) this.#oldest = flow.newer;
    else flow.older.newer = flow.newer;
    if (flow.newer === null) this.#newest = flow.older;
    else flow.newer.older = flow.older;
    flow.older = null;
    flow.newer = null;
  }

  touch(flow: OpenUdpFlow): void {
    if (this.#newest === flow) return;
    this.remove(flow);
    this.add(flow);
  }
}
