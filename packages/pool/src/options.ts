/** Options of an `IdlePool`, and their check. */
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { PoolEntry } from './pool-entry.ts';

/**
 * Why the pool gave an item up that its owner now has to close:
 *
 * - `idle`: its time was over · `keyLimit`, `totalLimit`: it was the oldest, and there was one too many
 * - `unusable`: `isUsable` said no when it was to be taken · `dirty`: what watches it has said so
 * - `asked`: by `evictKey` or `evictOldest` · `drain`: the pool drains
 */
export type EvictReason = 'idle' | 'keyLimit' | 'totalLimit' | 'unusable' | 'dirty' | 'asked' | 'drain';

/** Options of an `IdlePool`. */
export interface IdlePoolOptions<T extends object> {
  /** Where time and the deadlines of idle items come from. */
  readonly deadlines: DeadlineQueue;
  /** Most idle items of one key; default 128. 0 keeps none. Each one kept costs what the item holds, often a socket at both ends. */
  readonly maxIdlePerKey?: number;
  /** Most idle items in all; default 1024. 0 keeps none. Stay below the process's limit of file descriptors. */
  readonly maxIdle?: number;
  /**
   * Longest time that an item stays, in milliseconds; default 50 000, `Infinity` for no limit, 0 keeps none. Choose less than the peer
   * waits before it closes an idle connection (nginx and Node 65 and 5 s), or items die in the pool.
   */
  readonly idleTimeoutMs?: number;
  /**
   * Which item of a key is taken first; default `lifo`: the one put last, the least likely to be stale, while those not needed grow
   * old and leave. `fifo` uses them in turn.
   */
  readonly order?: 'lifo' | 'fifo';
  /**
   * With `fifo`: so many items of a key, those put last, are used in turn, and the others only when none of these is left. Default
   * `Infinity`, all of them; 1 or more. With all in turn none grows old while there is traffic, so the most that were ever needed at
   * once stay: a limit lets the surplus leave (16 is a good one).
   */
  readonly hotCount?: number;
  /**
   * A cheaper way to know the time than `deadlines.now()`, on the same clock and never ahead of it: one that was read in the same turn of
   * the event loop. Reading the clock is much of what `put` and `take` cost. By as much as it is behind, an item leaves early. One of
   * another clock (`Date.now`) makes `put` throw, if it is ahead.
   */
  readonly recentNow?: () => number;
  /**
   * Asked about each item that is about to be taken; one that isn't usable is evicted, and the next is tried. If it throws, the item is
   * evicted and the error thrown on. May call the pool, but not put this item.
   */
  readonly isUsable?: (item: T) => boolean;
  /**
   * Begins to watch an item that becomes idle, and returns what ends it. While the item is idle, `entry.leave('closed')` and
   * `entry.leave('dirty')` take it out. The function returned is called with the item, before anybody gets it, so one function can
   * serve all items. Both may call the pool, but not put this item.
   */
  readonly watch?: (item: T, entry: PoolEntry<T>) => (item: T) => void;
  /**
   * Called for each item that the pool gives up, after it has left the pool: close it here. May call the pool, but not put this item before
   * it returns.
   */
  readonly onEvict?: (item: T, reason: EvictReason) => void;
  /**
   * Called for each item that left because it has closed by itself (`entry.leave('closed')`). `onEvict` isn't called for it. May do what
   * `onEvict` may.
   */
  readonly onClosed?: (item: T) => void;
}

/** The options with their defaults filled in. Without a hook its place is null, and nothing is called. */
export interface IdlePoolConfig<T extends object> {
  readonly deadlines: DeadlineQueue;
  readonly maxIdlePerKey: number;
  readonly maxIdle: number;
  readonly idleTimeoutMs: number;
  /** Items of a key that are used in turn: 0 is LIFO. */
  readonly hotCount: number;
  readonly recentNow: () => number;
  /** False if `recentNow` is the clock itself. */
  readonly isRecentGiven: boolean;
  readonly isUsable: ((item: T) => boolean) | null;
  readonly watch: ((item: T, entry: PoolEntry<T>) => (item: T) => void) | null;
  readonly onEvict: (item: T, reason: EvictReason) => void;
  readonly onClosed: (item: T) => void;
}

/** Fills in the defaults. @throws {RangeError} when a value is out of its range */
export function resolveIdlePoolOptions<T extends object>(options: IdlePoolOptions<T>): IdlePoolConfig<T> {
  const { deadlines, maxIdlePerKey = 128, maxIdle = 1024, idleTimeoutMs = 50_000 } = options;
  checkIdleTimeout(idleTimeoutMs, deadlines);
  return Object.freeze({
    deadlines,
    maxIdlePerKey: checkWholeNumber('maxIdlePerKey', maxIdlePerKey, { max: Infinity }),
    maxIdle: checkWholeNumber('maxIdle', maxIdle, { max: Infinity }),
    idleTimeoutMs,
    hotCount: resolveHotCount(options.order, options.hotCount),
    recentNow: options.recentNow ?? ((): number => deadlines.now()),
    isRecentGiven: options.recentNow !== undefined,
    isUsable: options.isUsable ?? null,
    watch: options.watch ?? null,
    onEvict: options.onEvict ?? ignore,
    onClosed: options.onClosed ?? ignore,
  });
}

/** @throws {RangeError} when no deadline can be armed for that time */
export function checkIdleTimeout(idleTimeoutMs: number, deadlines: DeadlineQueue): void {
  if (idleTimeoutMs !== Infinity) checkNumber('idleTimeoutMs', idleTimeoutMs, { min: 0, max: deadlines.maxDelayMs });
}

/** LIFO is a hot queue without places, FIFO one without a limit. */
function resolveHotCount(order: string | undefined, hotCount: number | undefined): number {
  switch (order) {
    case 'fifo':
      return checkWholeNumber('hotCount', hotCount ?? Infinity, { min: 1, max: Infinity });
    case 'lifo':
    case undefined:
      if (hotCount !== undefined) throw new RangeError("hotCount needs the order 'fifo'");
      return 0;
    default:
      throw new RangeError(`order must be 'lifo' or 'fifo', not ${order}`);
  }
}

function ignore(): void {}
