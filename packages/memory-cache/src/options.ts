/** Options of a `ReadThroughCache`, and their check. */
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import type { MemoryCache } from './memory-cache.ts';

const dayMs = 86_400_000;

/** What a look-up has found. */
export interface LookedUp<V> {
  readonly value: V;
  /**
   * How long it is fresh, in milliseconds; 0: it isn't stored, and only goes to those who wait for it. Default: the `ttlMs` of the call
   * that made the look-up, else the cache's default.
   */
  readonly ttlMs?: number | undefined;
}

/** Options of a `ReadThroughCache`. */
export interface ReadThroughCacheOptions<K extends string | number, V, E = undefined> {
  /** Where values are kept. Others may read it; who changes it does so through the read-through cache, whose look-ups then know of it. */
  readonly cache: MemoryCache<K, V>;
  /** Where the time limits of those who wait come from; on the same clock as `cache`. */
  readonly deadlines: DeadlineQueue;
  /**
   * Finds the value of a key that the cache hasn't. May throw or reject. Its own time limit is its own business.
   *
   * @param extra whatever the caller of `get` passed along. Others who want the same key get the same result: it must not decide what
   *   the value is.
   */
  readonly lookUp: (key: K, extra: E | undefined) => LookedUp<V> | PromiseLike<LookedUp<V>>;
  /** Finds the values of many keys for `getMany`: as many results as keys, in the same order. Default: a `lookUp` for each key. */
  readonly lookUpMany?: (keys: readonly K[], extra: E | undefined) => readonly LookedUp<V>[] | PromiseLike<readonly LookedUp<V>[]>;
  /**
   * How long others wait for one look-up alone, in milliseconds, before one of them makes a second; default 5000, above 0. Smaller: a slow
   * source is asked more often for the same key. `Infinity`: a look-up that never settles holds its key until `lockTimeoutMs`.
   */
  readonly lockAgeMs?: number;
  /**
   * How long one caller waits for look-ups that began before it came, in milliseconds; default 10 000, at least 0. All whose time is over
   * then share one look-up that has begun since, or begins now; if `maxPendingLookUps` forbids it, or that look-up takes longer than
   * `lockAgeMs`, they are rejected with `CACHE_LOCK_TIMEOUT`. Smaller: a slow source is asked more often. `Infinity`: no limit.
   */
  readonly lockTimeoutMs?: number;
  /**
   * Most look-ups of one key that go on at once, whatever they began for; default 4, at least 1. Whoever would begin one more waits until one
   * ends. Larger: a stuck source is asked more often. Look-ups that never settle hold their key once there are so many of them.
   */
  readonly maxPendingLookUps?: number;
  /** Most callers that wait for one key; default 10 000, at least 0. One more is refused with `CACHE_TOO_MANY_WAITERS`. Each costs some 300 bytes. */
  readonly maxWaiters?: number;
  /**
   * How long after a failed update of a stale value no other update of that key begins, in milliseconds; default 1000, 0 to a day. Smaller:
   * a source that is down is asked more often.
   */
  readonly updateRetryMs?: number;
  /**
   * Told when a look-up fails that nobody waits for, one for a stale value; the stale value stays. Default: nobody is told. What it throws,
   * or rejects with, is kept in `hookErrors` and goes nowhere else.
   */
  readonly onUpdateError?: (error: Error, key: K) => unknown;
}

/** The options with their defaults filled in, but for the cache. */
export type ReadThroughCacheConfig<K extends string | number, V, E> = Readonly<
  Required<Omit<ReadThroughCacheOptions<K, V, E>, 'cache' | 'lookUpMany'>>
> & { readonly lookUpMany: ReadThroughCacheOptions<K, V, E>['lookUpMany'] | undefined };

/** Fills in the defaults. @throws {RangeError} when a value is out of its range */
export function resolveReadThroughCacheOptions<K extends string | number, V, E>(
  options: ReadThroughCacheOptions<K, V, E>,
): ReadThroughCacheConfig<K, V, E> {
  // One by one: the methods of a class would be lost in a copy.
  const { deadlines, lookUp, lookUpMany, lockAgeMs = 5000, lockTimeoutMs = 10_000, onUpdateError = ignore } = options;
  const { maxPendingLookUps = 4, maxWaiters = 10_000, updateRetryMs = 1000 } = options;
  return Object.freeze({
    deadlines,
    lookUp,
    lookUpMany,
    lockAgeMs: checkNumber('lockAgeMs', lockAgeMs, { above: 0 }),
    lockTimeoutMs: checkNumber('lockTimeoutMs', lockTimeoutMs, { min: 0 }),
    maxPendingLookUps: checkWholeNumber('maxPendingLookUps', maxPendingLookUps, { min: 1, max: Infinity }),
    maxWaiters: checkWholeNumber('maxWaiters', maxWaiters, { max: Infinity }),
    updateRetryMs: checkNumber('updateRetryMs', updateRetryMs, { min: 0, max: dayMs }),
    onUpdateError,
  });
}

function ignore(): void {}
