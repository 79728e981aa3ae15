/**
 * Connections that were accepted above a cap, and wait, unread, for a place.
 *
 * It is bounded in number and time. Places go to those who have waited longest, over all listeners that share a cap; a connection that comes
 * meanwhile waits behind them. Who is refused by the filter meanwhile leaves.
 */
import type { L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { AcceptPipeline } from './accept-pipeline.ts';
import type { CapWaiter, ConnectionCap } from './connection-cap.ts';
import type { ListenConfig } from './listen-options.ts';

/** A connection that waits. */
export interface Waiting {
  readonly stream: L4Stream;
  /** It has got its place. */
  handlePlace(): void;
  /** It has waited too long. */
  shed(): void;
}

interface Ticket {
  readonly number: number;
  readonly deadline: Deadline;
}

/** A queue of connections, in the order in which they came. */
export class WaitingRoom implements CapWaiter {
  readonly #pipeline: AcceptPipeline;
  readonly #onPlace: (stream: L4Stream) => void;
  readonly #maxWaiting: number;
  readonly #waitTimeoutMs: number;
  readonly #ownCap: ConnectionCap;
  /** The cap whose order counts. */
  readonly #cap: ConnectionCap;
  /** Of the own cap, if there is another whose order counts: it tells that one. */
  readonly #relay: CapWaiter | null;
  // A map keeps the order of insertion, and any one can leave.
  readonly #tickets = new Map<Waiting, Ticket>();

  /** @param onPlace called with each stream that has got a place, which it gives back from then on */
  constructor(pipeline: AcceptPipeline, config: ListenConfig, onPlace: (stream: L4Stream) => void) {
    const { ownCap, sharedCap } = pipeline.config;
    this.#pipeline = pipeline;
    this.#onPlace = onPlace;
    this.#maxWaiting = config.maxWaiting;
    this.#waitTimeoutMs = config.waitTimeoutMs;
    this.#ownCap = ownCap;
    this.#cap = sharedCap ?? ownCap;
    this.#relay = sharedCap === null ? null : new Relay(this, sharedCap);
  }

  get isFull(): boolean {
    return this.#tickets.size >= this.#maxWaiting;
  }

  add(waiting: Waiting): void {
    if (this.#tickets.size === 0) {
      this.#cap.waitForPlace(this);
      if (this.#relay !== null) this.#ownCap.waitForPlace(this.#relay);
    }
    const deadline = this.#pipeline.deadlines.after(this.#waitTimeoutMs, () => {
      this.remove(waiting);
      waiting.shed();
    });
    this.#tickets.set(waiting, { number: this.#cap.drawTicket(), deadline });
  }

  remove(waiting: Waiting): void {
    const ticket = this.#tickets.get(waiting);
    if (ticket === undefined) return;
    ticket.deadline.cancel();
    this.#tickets.delete(waiting);
    if (this.#tickets.size > 0) return;
    this.#cap.stopWaiting(this);
    if (this.#relay !== null) this.#ownCap.stopWaiting(this.#relay);
  }

  firstTicket(): number {
    if (!this.#ownCap.hasPlace()) return Infinity;
    const [first] = this.#tickets.values();
    return first?.number ?? Infinity;
  }

  serveFirst(): boolean {
    const [first] = this.#tickets.keys();
    if (first === undefined || !this.#pipeline.tryTakeTurn()) return false;
    this.remove(first);
    this.#onPlace(first.stream);
    first.handlePlace();
    return true;
  }
}

/** A place under the cap of one listener only became free: whose turn it is, the shared cap knows. */
export class Relay implements CapWaiter {
  readonly #waiter: CapWaiter;
  readonly #sharedCap: ConnectionCap;

  constructor(waiter: CapWaiter, sharedCap: ConnectionCap) {
    this.#waiter = waiter;
    this.#sharedCap = sharedCap;
  }

  firstTicket(): number {
    return this.#waiter.firstTicket();
  }

  serveFirst(): boolean {
    this.#sharedCap.serveWaiters();
    return false;
  }
}
