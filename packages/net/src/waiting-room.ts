/**
 * Connections that were accepted above a cap, and wait, unread, for a place.
 *
 * It is bounded in number and time. Places go to those who have waited longest, over all listeners that share a cap; a connection that comes
 * meanwhile waits behind them. Who is refused by the filter meanwhile leaves.
 */
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { Admission } from './admission.ts';
import type { CapWaiter, ConnectionCap } from './connection-cap.ts';
import type { ListenConfig } from './listen-options.ts';

/** Whose connections wait. */
export interface WaitingRoomOwner {
  /** Takes a place under all caps, whoever waits. @returns false if there is none */
  tryTakeTurn(): boolean;
  /** A place was taken for this connection. */
  serveWaiting(admission: Admission): void;
}

interface Ticket {
  readonly number: number;
  readonly deadline: Deadline;
}

/** A queue of connections, in the order in which they came. */
export class WaitingRoom implements CapWaiter {
  readonly #owner: WaitingRoomOwner;
  readonly #deadlines: DeadlineQueue;
  readonly #maxWaiting: number;
  readonly #waitTimeoutMs: number;
  readonly #ownCap: ConnectionCap;
  /** The cap whose order counts. */
  readonly #cap: ConnectionCap;
  /** Of the own cap, if there is another whose order counts: it tells that one. */
  readonly #relay: CapWaiter | null;
  // A map keeps the order of insertion, and any one can leave.
  readonly #tickets = new Map<Admission, Ticket>();

  constructor(owner: WaitingRoomOwner, config: ListenConfig, deadlines: DeadlineQueue) {
    const { ownCap, sharedCap } = config.accept;
    this.#owner = owner;
    this.#deadlines = deadlines;
    this.#maxWaiting = config.maxWaiting;
    this.#waitTimeoutMs = config.waitTimeoutMs;
    this.#ownCap = ownCap;
    this.#cap = sharedCap ?? ownCap;
    this.#relay = sharedCap === null ? null : new Relay(this, sharedCap);
  }

  get isFull(): boolean {
    return this.#tickets.size >= this.#maxWaiting;
  }

  add(admission: Admission): void {
    if (this.#tickets.size === 0) {
      this.#cap.waitForPlace(this);
      if (this.#relay !== null) this.#ownCap.waitForPlace(this.#relay);
    }
    const deadline = this.#deadlines.after(this.#waitTimeoutMs, () => {
      this.remove(admission);
      admission.shed();
    });
    this.#tickets.set(admission, { number: this.#cap.drawTicket(), deadline });
  }

  remove(admission: Admission): void {
    const ticket = this.#tickets.get(admission);
    if (ticket === undefined) return;
    ticket.deadline.cancel();
    this.#tickets.delete(admission);
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
    if (first === undefined || !this.#owner.tryTakeTurn()) return false;
    this.remove(first);
    this.#owner.serveWaiting(first);
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
