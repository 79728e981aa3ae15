/** What a user sees of an item's place in a pool. */

/** Why an item that is watched leaves the pool: it has closed by itself, or something came that nobody had asked for. */
export type LeaveReason = 'closed' | 'dirty';

/** An item's place in a pool: one object for all stays of that item, so it may be kept beside it. */
export interface PoolEntry<T extends object> {
  /** The key of the present stay, or of the last. */
  readonly key: string;
  readonly item: T;
  /** True from `put` until the item is taken, removed or evicted, and again with the next `put`. */
  readonly isIdle: boolean;
  /**
   * Takes the item out because of what it did while it was idle. `closed`: it has ended by itself, and `onClosed` is called. `dirty`: it
   * got bytes that belong to nothing, and can't be used any more; `onEvict` is called, to close it.
   *
   * While the item isn't idle nothing happens: then its events are its holder's. But inside `watch` and `isUsable` it counts, and the item
   * goes as soon as they return.
   *
   * @throws {TypeError} when `reason` is neither
   */
  leave(reason: LeaveReason): void;
}
