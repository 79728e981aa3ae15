/**
 * What a pool keeps of one item: its times, its places in two lists, and what watches it.
 *
 * ```
 *               put                                 take, remove, evict
 *   away ──────────────► [starting] ──────► idle ──────────────────────► [leaving] ──────► away
 *                        watch runs                                       its end runs, isUsable
 * ```
 * In the two states in brackets a user's function is running (leaving: `onEvict` and `onClosed` too), and the item is nobody's: it can be
 * neither taken nor put, and what it says of itself is noted in `departure`. Made once for an item and used again for each stay, so a steady pool allocates nothing.
 */
import type { Deadline } from '@ferrata/timeout';
import type { LeaveReason, PoolEntry } from '../pool-entry.ts';
import type { AgeList } from './age-list.ts';
import type { KeyList } from './key-list.ts';

/** Where an item is. */
export const State = { away: 0, starting: 1, idle: 2, leaving: 3 } as const;
export type State = (typeof State)[keyof typeof State];

/** What an entry needs of its pool. */
export interface EntryOwner<T extends object> {
  /** The item of an idle entry has to leave. */
  evict(entry: IdleEntry<T>, reason: LeaveReason): void;
}

/**
 * All fields are set here and keep their types: putting and taking happens once a request.
 *
 * A user holds this very object, by the type `PoolEntry`, which shows three things of it. One made to hide the rest would take 32 bytes an
 * item (measured), a seventh of all that an idle item costs, and protect the pool only from a program that goes round the types.
 */
export class IdleEntry<T extends object> implements PoolEntry<T> {
  readonly item: T;
  readonly owner: EntryOwner<T>;
  key = '';
  state: State = State.away;
  /** What the item said of itself while a user's function ran. */
  departure: LeaveReason | null = null;
  /** Ends the watching. */
  stop: ((item: T) => void) | null = null;
  /** The number of this put among all of the pool. */
  order = 0;
  /** When its idle time is over, on the queue's clock. Never a small integer first, which V8 would keep in another way. */
  expiresAt = Infinity;
  /** Only for an idle time of its own, and kept for the next: the others share the pool's deadline. */
  deadline: Deadline | null = null;
  /** The list of its key, of this stay or the last. */
  siblings: KeyList<T> | null = null;
  /** The list it grows old in, of this stay or the last. */
  ages: AgeList<T> | null = null;
  older: IdleEntry<T> | null = null;
  newer: IdleEntry<T> | null = null;
  olderOfKey: IdleEntry<T> | null = null;
  newerOfKey: IdleEntry<T> | null = null;

  constructor(item: T, owner: EntryOwner<T>) {
    this.item = item;
    this.owner = owner;
  }

  get isIdle(): boolean {
    return this.state === State.idle;
  }

  leave(reason: LeaveReason): void {
    if (reason !== 'closed' && reason !== 'dirty') throw new TypeError(`leave needs 'closed' or 'dirty', not ${String(reason)}`);
    if (this.state === State.idle) this.owner.evict(this, reason);
    else if (this.state !== State.away) this.departure ??= reason;
  }
}
