/**
 * Connections that were accepted above a cap, and wait, unread, for a place.
 *
 * It is bounded in number and time. Places go to those who have waited longest; a connection that comes meanwhile waits behind them.
 */
import type { Socket } from 'node:net';
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { CapWaiter, ConnectionCap } from './connection-cap.ts';
import type { ListenConfig } from './listen-options.ts';

/** Whose connections wait. */
export interface WaitingRoomOwner {
  /** Takes a place under all caps. @returns false if there is none */
  tryTakePlace(): boolean;
  /** A place was taken for this socket. */
  serveWaiting(socket: Socket): void;
  /** It has waited too long. */
  shedWaiting(socket: Socket): void;
}

/** A queue of sockets, in the order in which they came. */
export class WaitingRoom implements CapWaiter {
  readonly #owner: WaitingRoomOwner;
  readonly #deadlines: DeadlineQueue;
  readonly #maxWaiting: number;
  readonly #waitTimeoutMs: number;
  readonly #caps: readonly ConnectionCap[];
  // A map keeps the order of insertion, and any one can leave.
  readonly #sockets = new Map<Socket, Deadline>();
  #isServing = false;

  constructor(owner: WaitingRoomOwner, config: ListenConfig, deadlines: DeadlineQueue) {
    const { ownCap, sharedCap } = config.accept;
    this.#owner = owner;
    this.#deadlines = deadlines;
    this.#maxWaiting = config.maxWaiting;
    this.#waitTimeoutMs = config.waitTimeoutMs;
    this.#caps = sharedCap === null ? [ownCap] : [ownCap, sharedCap];
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** @returns false if the room is full */
  tryAdd(socket: Socket): boolean {
    if (this.#sockets.size >= this.#maxWaiting) return false;
    if (this.#sockets.size === 0) for (const cap of this.#caps) cap.waitForPlace(this);
    this.#sockets.set(
      socket,
      this.#deadlines.after(this.#waitTimeoutMs, () => {
        this.#remove(socket);
        this.#owner.shedWaiting(socket);
      }),
    );
    return true;
  }

  /** Serves later: a place is given back from inside the closing of a stream, whose sink has not been told yet. */
  handlePlaceFree(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    process.nextTick(WaitingRoom.#serve, this);
  }

  static #serve(room: WaitingRoom): void {
    room.#isServing = false;
    for (const socket of room.#sockets.keys()) {
      if (!room.#owner.tryTakePlace()) return;
      room.#remove(socket);
      room.#owner.serveWaiting(socket);
    }
  }

  #remove(socket: Socket): void {
    this.#sockets.get(socket)?.cancel();
    this.#sockets.delete(socket);
    if (this.#sockets.size === 0) for (const cap of this.#caps) cap.stopWaiting(this);
  }
}
