/**
 * A cache that finds what it hasn't: the first who asks for a missing key makes the look-up, the others wait for it.
 *
 * Rules:
 * - While a look-up for a key is younger than `lockAgeMs`, no other begins for that key; but for callers who have waited `lockTimeoutMs`
 *   and make one for themselves, which isn't stored, and `getMany`, which never waits for others.
 * - A look-up older than that may be stuck: one caller takes its place, and the others wait for either. (So does nginx with
 *   `proxy_cache_lock_age`; its `proxy_cache_lock_timeout` is our `lockTimeoutMs`.) However slow a source is, it sees no more look-ups of a
 *   key than fit into its answering time, not one for each caller.
 * - If a look-up fails, the caller that made it gets the error, and the one who has been waiting longest makes the next: a source that is
 *   down sees one look-up at a time for a key.
 * - Of several look-ups of a key the one that began last counts: an older answer that comes later is given to its caller only.
 * - `put`, `delete` and `clear` put an end to what went on before: a look-up that began earlier doesn't overwrite them.
 * - What is found goes to everybody who waits even if it isn't stored (`ttlMs` 0, too heavy).
 *
 * Every call settles if the look-ups do, and at most `lockTimeoutMs` and a look-up later; a look-up that never settles concerns its own
 * caller only. The state of one key is in `internal/lock.ts`.
 */

import { lookUpFailed, tooManyWaiters } from './errors.ts';
import { Caller, type FoundStatus, Lock } from './internal/lock.ts';
import type { CacheRead, MemoryCache } from './memory-cache.ts';
import { type LookedUp, type ReadThroughCacheConfig, type ReadThroughCacheOptions, resolveReadThroughCacheOptions } from './options.ts';

/** Options of one `get`, `read`, `getMany` or `readMany`. */
export interface ReadOptions<E = undefined> {
  /** Passed along to the look-up. */
  readonly extra?: E | undefined;
  /** Time to live of what this call's look-up finds, if the look-up doesn't say; default: the cache's. */
  readonly ttlMs?: number | undefined;
  /** How long ago a value may have expired that is handed out at once; default 0: none. */
  readonly maxStaleMs?: number | undefined;
  /** What follows when a stale value is handed out; default `return`: nothing. `update`: one look-up begins, unless one is going on. */
  readonly whenStale?: 'return' | 'update' | undefined;
}

/**
 * A value, and where it comes from: the cache (`hit`; `stale`, expired `staleMs` ago), another caller's look-up (`lockHit`), or a look-up
 * of this call's own, since the cache had nothing (`miss`) or nothing young enough (`expired`).
 */
export interface ReadThroughResult<V> {
  readonly status: 'hit' | 'stale' | 'lockHit' | 'miss' | 'expired';
  readonly value: V;
  readonly staleMs: number;
}

/** What `readMany` came by. */
export interface ManyReads<K, V> {
  /** By key, in the order of asking but for those looked up, which come last. Without `error`: all keys. */
  readonly reads: ReadonlyMap<K, ReadThroughResult<V>>;
  /** Why keys are missing in `reads`; of several errors the first. */
  readonly error: Error | null;
}

/** A cache with one look-up for each key. */
export class ReadThroughCache<K extends string | number, V, E = undefined> {
  /** Where the values are: for a look without a look-up, and at no promise's cost. */
  readonly cache: MemoryCache<K, V>;
  readonly #config: ReadThroughCacheConfig<K, V, E>;
  /** Keys about which something is going on. */
  readonly #locks = new Map<K, Lock<K, V, E>>();

  /** @throws {RangeError} when an option is out of its range */
  constructor(options: ReadThroughCacheOptions<K, V, E>) {
    this.#config = resolveReadThroughCacheOptions(options);
    this.cache = options.cache;
  }

  /** Keys about which something is going on: looked up, or waited for. */
  get pendingCount(): number {
    return this.#locks.size;
  }

  /**
   * Reads a value from the cache, else looks it up or waits for another's look-up.
   *
   * @throws as `read` does
   */
  get(key: K, options: ReadOptions<E> = noOptions): Promise<V> {
    // Not async: a promise that follows another costs those who wait about as much again.
    let cached: CacheRead<V>;
    try {
      cached = this.#readCache(key, options);
    } catch (error) {
      return Promise.reject(error);
    }
    if (isFound(cached)) return Promise.resolve(cached.value) as Promise<V>;
    const { extra, ttlMs } = options;
    const { status } = cached;
    return new Promise((resolve, reject) => {
      this.#leadOrWait(new Caller({ key, extra, ttlMs, status, resolve, reject }));
    });
  }

  /**
   * Reads a value as `get` does, and says where it comes from.
   *
   * @throws {WireError} `CACHE_LOOK_UP_FAILED` when the look-up of this call fails; `CACHE_TOO_MANY_WAITERS` when `maxWaiters` wait already
   * @throws {TypeError} when `lookUp` returns anything but `{ value, ttlMs? }`
   * @throws {RangeError} when an option, or a `ttlMs` or weight that the look-up led to, is out of its range
   */
  async read(key: K, options: ReadOptions<E> = noOptions): Promise<ReadThroughResult<V>> {
    const cached = this.#readCache(key, options);
    return isFound(cached) ? cached : await this.#ask(key, options, cached.status);
  }

  /**
   * Reads the values of many keys, those that the cache hasn't with one `lookUpMany`. It doesn't wait for look-ups of others; others wait for it.
   *
   * @throws what `readMany` gives as `error`; call that to have what was found all the same
   */
  async getMany(keys: Iterable<K>, options: ReadOptions<E> = noOptions): Promise<Map<K, V>> {
    const { reads, error } = await this.readMany(keys, options);
    if (error !== null) throw error;
    return new Map(Array.from(reads, ([key, { value }]) => [key, value]));
  }

  /** Reads the values of many keys as `getMany` does, and says where they come from. What was found is not lost with what failed. */
  async readMany(keys: Iterable<K>, options: ReadOptions<E> = noOptions): Promise<ManyReads<K, V>> {
    const reads = new Map<K, ReadThroughResult<V>>();
    const missing = new Map<K, 'miss' | 'expired'>();
    for (const key of keys) {
      if (reads.has(key) || missing.has(key)) continue;
      const cached = this.#readCache(key, options);
      if (isFound(cached)) reads.set(key, cached);
      else missing.set(key, cached.status);
    }
    if (missing.size === 0) return { reads, error: null };
    const error =
      this.#config.lookUpMany === undefined
        ? await this.#askEach(missing, options, reads)
        : await this.#lookUpMany(missing, options, reads);
    return { reads, error };
  }

  /**
   * Stores a value as `MemoryCache.put` does, and gives it to those who wait for it. Look-ups that began before won't replace it.
   *
   * @returns true if it is stored
   * @throws {RangeError} when `ttlMs` or the weight is out of its range
   */
  put(key: K, value: V, ttlMs?: number): boolean {
    const isStored = this.cache.put(key, value, ttlMs);
    const lock = this.#locks.get(key);
    if (lock !== undefined) {
      this.#locks.delete(key);
      giveToWaiters(lock, value);
    }
    return isStored;
  }

  /** Takes a value out. Look-ups that began before won't bring it back. @returns true if there was one, fresh or not */
  delete(key: K): boolean {
    this.#locks.delete(key);
    return this.cache.delete(key);
  }

  /** Takes all values out. Look-ups that began before won't bring any back. */
  clear(): void {
    this.#locks.clear();
    this.cache.clear();
  }

  #readCache(key: K, options: ReadOptions<E>): CacheRead<V> {
    const cached = this.cache.read(key, options.maxStaleMs);
    if (cached.status === 'stale' && options.whenStale === 'update') this.#update(key, options);
    return cached;
  }

  /** Begins a look-up that nobody waits for, unless one is going on. */
  #update(key: K, { extra, ttlMs }: ReadOptions<E>): void {
    const { deadlines, onUpdateError } = this.#config;
    const lock = this.#lockOf(key);
    const now = deadlines.now();
    if (lock.isLedAt(now)) return;
    const reject = (error: Error): void => onUpdateError(error, key);
    void this.#lead(lock, new Caller({ key, extra, ttlMs, status: 'expired', resolve: ignore, reject }), now);
  }

  #ask(key: K, { extra, ttlMs }: ReadOptions<E>, status: 'miss' | 'expired'): Promise<ReadThroughResult<V>> {
    return new Promise((settle, reject) => {
      const resolve = (value: V, status: FoundStatus): void => settle({ status, value, staleMs: 0 });
      this.#leadOrWait(new Caller({ key, extra, ttlMs, status, resolve, reject }));
    });
  }

  #leadOrWait(caller: Caller<K, V, E>): void {
    const { deadlines, maxWaiters } = this.#config;
    const lock = this.#lockOf(caller.key);
    const now = deadlines.now();
    if (!lock.isLedAt(now)) {
      void this.#lead(lock, caller, now);
    } else if (lock.waiterCount >= maxWaiters) {
      caller.reject(tooManyWaiters(maxWaiters));
    } else {
      lock.addWaiter(caller, now);
      this.#limitWait(lock, now);
    }
  }

  /** Makes a look-up that others may wait for. Never rejects. */
  async #lead(lock: Lock<K, V, E>, caller: Caller<K, V, E>, now: number): Promise<void> {
    const ticket = lock.begin(now);
    try {
      const found = await this.#lookUp(caller);
      this.#settle(lock, ticket, found, caller.ttlMs);
      caller.resolve(found.value, caller.status);
    } catch (error) {
      caller.reject(error as Error);
    } finally {
      this.#end(lock, ticket);
    }
  }

  /** Makes a look-up for one caller, who has waited long enough for others. Never rejects. */
  async #lookUpAlone(caller: Caller<K, V, E>): Promise<void> {
    try {
      const { value } = await this.#lookUp(caller);
      caller.resolve(value, caller.status);
    } catch (error) {
      caller.reject(error as Error);
    }
  }

  async #lookUp({ key, extra }: Caller<K, V, E>): Promise<LookedUp<V>> {
    let found: LookedUp<V>;
    try {
      found = await this.#config.lookUp(key, extra);
    } catch (thrown) {
      throw lookUpFailed(thrown);
    }
    return checkLookedUp('lookUp', found);
  }

  /** Looks many keys up at once. @returns the error, if there is one */
  async #lookUpMany(
    missing: ReadonlyMap<K, 'miss' | 'expired'>,
    options: ReadOptions<E>,
    reads: Map<K, ReadThroughResult<V>>,
  ): Promise<Error | null> {
    const { extra, ttlMs } = options;
    const now = this.#config.deadlines.now();
    const lookUps = Array.from(missing, ([key, status]) => {
      const lock = this.#lockOf(key);
      return { lock, ticket: lock.begin(now), status };
    });
    try {
      const results = await this.#callLookUpMany([...missing.keys()], extra);
      for (const [index, { lock, ticket, status }] of lookUps.entries()) {
        const found = results[index] as LookedUp<V>;
        this.#settle(lock, ticket, found, ttlMs);
        reads.set(lock.key, { status, value: found.value, staleMs: 0 });
      }
      return null;
    } catch (error) {
      return error as Error;
    } finally {
      for (const { lock, ticket } of lookUps) this.#end(lock, ticket);
    }
  }

  /** Looks keys up one by one, at the same time. @returns the first error, if there is one */
  async #askEach(
    missing: ReadonlyMap<K, 'miss' | 'expired'>,
    options: ReadOptions<E>,
    reads: Map<K, ReadThroughResult<V>>,
  ): Promise<Error | null> {
    const errors: Error[] = [];
    const askOne = async ([key, status]: [K, 'miss' | 'expired']): Promise<void> => {
      try {
        reads.set(key, await this.#ask(key, options, status));
      } catch (error) {
        errors.push(error as Error);
      }
    };
    await Promise.all(Array.from(missing, askOne));
    return errors[0] ?? null;
  }

  async #callLookUpMany(keys: readonly K[], extra: E | undefined): Promise<readonly LookedUp<V>[]> {
    let results: readonly LookedUp<V>[] | undefined;
    try {
      results = await this.#config.lookUpMany?.(keys, extra);
    } catch (thrown) {
      throw lookUpFailed(thrown);
    }
    if (!Array.isArray(results) || results.length !== keys.length) {
      throw new TypeError(`lookUpMany must return ${keys.length} results, one for each key`);
    }
    for (const found of results as readonly LookedUp<V>[]) checkLookedUp('lookUpMany', found);
    return results as readonly LookedUp<V>[];
  }

  /** Stores what a look-up has found, and gives it to those who wait; unless a later look-up, or `put`, `delete` or `clear`, came first. */
  #settle(lock: Lock<K, V, E>, ticket: number, found: LookedUp<V>, ttlMs: number | undefined): void {
    if (!lock.isNews(ticket)) return;
    // Forced: it was asked for just now, and admission would have those who ask next look it up again.
    if (this.#isCurrent(lock)) this.cache.forcePut(lock.key, found.value, found.ttlMs ?? ttlMs);
    lock.count(ticket);
    giveToWaiters(lock, found.value);
  }

  /** After a look-up: if nobody else's goes on, one who still waits makes the next. */
  #end(lock: Lock<K, V, E>, ticket: number): void {
    lock.end(ticket);
    if (!lock.isLed) this.#passOn(lock);
    if (lock.waiterCount === 0) lock.deadline?.cancel();
    if (lock.isIdle && this.#isCurrent(lock)) this.#locks.delete(lock.key);
  }

  /** Lets the one who has been waiting longest make the next look-up. */
  #passOn(lock: Lock<K, V, E>): void {
    if (this.#isCurrent(lock)) {
      const next = lock.takeWaiter();
      if (next !== undefined) void this.#lead(lock, next, this.#config.deadlines.now());
      return;
    }
    // Since `delete` or `clear` the key has another lock, and what is looked up under this one is not stored.
    for (let caller = lock.takeWaiter(); caller !== undefined; caller = lock.takeWaiter()) this.#leadOrWait(caller);
  }

  /** Arms the deadline for what comes first: the leader is late, or the first waiter has waited long enough. */
  #limitWait(lock: Lock<K, V, E>, now: number): void {
    if (lock.waiterCount === 0) return;
    const { deadlines, lockTimeoutMs } = this.#config;
    const dueAt = Math.min(lock.lateAt, lock.waitingSince + lockTimeoutMs);
    if (dueAt === Infinity) return;
    lock.deadline ??= deadlines.deadline(() => this.#endWaits(lock));
    // An armed one is early enough: both times only move on.
    if (!lock.deadline.isArmed) lock.deadline.arm(Math.min(Math.max(0, dueAt - now), deadlines.maxDelayMs), now);
  }

  #endWaits(lock: Lock<K, V, E>): void {
    const { deadlines, lockTimeoutMs } = this.#config;
    const now = deadlines.now();
    // First, so that where both times are over together one of the waiters makes a look-up that is stored.
    if (!lock.isLedAt(now)) this.#passOn(lock);
    while (lock.waitingSince + lockTimeoutMs <= now) {
      const caller = lock.takeWaiter();
      if (caller !== undefined) void this.#lookUpAlone(caller);
    }
    this.#limitWait(lock, now);
  }

  #lockOf(key: K): Lock<K, V, E> {
    const known = this.#locks.get(key);
    if (known !== undefined) return known;
    const lock = new Lock<K, V, E>(key, this.#config.lockAgeMs);
    this.#locks.set(key, lock);
    return lock;
  }

  /** False since `put`, `delete` or `clear`. */
  #isCurrent(lock: Lock<K, V, E>): boolean {
    return this.#locks.get(lock.key) === lock;
  }
}

type FoundRead<V> = Extract<CacheRead<V>, { readonly status: 'hit' | 'stale' }>;

const noOptions: ReadOptions<never> = Object.freeze({});

function isFound<V>(read: CacheRead<V>): read is FoundRead<V> {
  return read.status === 'hit' || read.status === 'stale';
}

function giveToWaiters<K, V, E>(lock: Lock<K, V, E>, value: V): void {
  for (let caller = lock.takeWaiter(); caller !== undefined; caller = lock.takeWaiter()) {
    caller.resolve(value, 'lockHit');
  }
}

/** What untyped code may return by mistake would otherwise be stored as a value that is `undefined`. */
function checkLookedUp<V>(name: string, found: LookedUp<V> | null | undefined): LookedUp<V> {
  if (typeof found === 'object' && found !== null && 'value' in found) return found;
  throw new TypeError(`${name} must give { value, ttlMs? } for each key`);
}

function ignore(): void {}
