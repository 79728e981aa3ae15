/**
 * How many connections a peer may have that carry one request at a time, and who waits until one of them is free.
 *
 * Rules of this file:
 * - A place is taken before connecting begins, and given back when the connection is gone: connections in the making count, idle ones too.
 * - Who finds no place waits in order, and nobody overtakes: as long as somebody waits, a connection that falls idle goes to the first in line, and a place that
 *   becomes free is taken for the first in line before anybody else can see it.
 * - A hit in the pool comes nowhere near this file.
 *
 * ```text
 *   tryTake ──► connecting ──► busy ⇄ idle ──► gone: leave ─┐
 *      │ full                    │ offer                    │
 *      └──► waiting ◄────────────┴── first in line ─────────┘
 *              └── given up, too late: out of the line at once
 * ```
 */
import type { ClientSession } from '@ferrata/http';
import type { DeadlineQueue } from '@ferrata/timeout';
import { givenUp } from './open-stream.ts';
import { noConnection, tooManyPending } from './shared-errors.ts';
import { type Waiter, WaitingLine } from './waiting-line.ts';

/** Bounds of the connections of one peer. */
export interface PlaceLimits {
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly pendingTimeoutMs: number;
  /** The address, for messages. */
  readonly place: string;
}

/** The connections to one peer that carry one request at a time, by number. */
export class ConnectionPlaces {
  readonly #limits: PlaceLimits;
  readonly #waiters: WaitingLine<ClientSession>;
  readonly #onEmpty: () => void;
  /** Connections that stand, and those in the making. */
  #count = 0;

  /** @param onEmpty nothing is left here: no connection, nobody who waits */
  constructor(deadlines: DeadlineQueue, limits: PlaceLimits, onEmpty: () => void) {
    this.#limits = limits;
    this.#onEmpty = onEmpty;
    this.#waiters = new WaitingLine(deadlines, () => this.#checkEmpty());
  }

  /** Requests that wait. */
  get pendingCount(): number {
    return this.#waiters.size;
  }
  /** More connections stand than may: one came unasked. */
  get isOverfull(): boolean {
    return this.#count > this.#limits.maxConnections;
  }

  /** Takes a place, to connect. @returns false: wait */
  tryTake(): boolean {
    if (this.#count >= this.#limits.maxConnections) return false;
    this.#count++;
    return true;
  }

  /** A connection came unasked, and stands whatever the bound says. */
  add(): void {
    this.#count++;
  }

  /** A connection is gone, or was not made: its place goes to the first who waits. */
  leave(): void {
    const { first } = this.#waiters;
    if (first !== undefined && !this.isOverfull) return this.#waiters.serve(first, null);
    this.#count--;
    this.#checkEmpty();
  }

  /** A connection is free. @returns false if nobody waits for one */
  offer(session: ClientSession): boolean {
    if (this.#waiters.size === 0) return false;
    const first = this.#waiters.first as Waiter<ClientSession>;
    this.#waiters.serve(first, session);
    return true;
  }

  /**
   * Waits for a connection.
   *
   * @returns one that is free, or null: a place was taken for the caller, who is to connect
   * @throws {WireError} rejects with `limit UPSTREAM_TOO_MANY_PENDING`, `timeout UPSTREAM_NO_CONNECTION` or `connect CONNECT_ABORTED`
   */
  wait(signal: AbortSignal | undefined): Promise<ClientSession | null> {
    if (signal?.aborted === true) return Promise.reject(givenUp());
    const limits = this.#limits;
    if (this.#waiters.size >= limits.maxPending) return Promise.reject(tooManyPending(limits));
    return this.#waiters.wait({ except: null, signal, delayMs: limits.pendingTimeoutMs, lateError: () => noConnection(limits) });
  }

  #checkEmpty(): void {
    if (this.#count === 0 && this.#waiters.size === 0) this.#onEmpty();
  }
}
