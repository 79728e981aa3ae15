/**
 * A cache that finds what it hasn't: the first who asks for a missing key makes the look-up, the others wait for it.
 *
 * Rules:
 * - While a look-up of a key is younger than `lockAgeMs` and its answer still counts, who wants the key waits for it; but for `getMany`, and
 *   for callers who have waited `lockTimeoutMs`.
 * - A look-up older than that may be stuck: one caller makes another, and all wait for either. (So does nginx with `proxy_cache_lock_age`;
 *   its `proxy_cache_lock_timeout` is our `lockTimeoutMs`.)
 * - Callers who have waited `lockTimeoutMs` share one look-up that began since they came; if there is none, the first of them makes it. They
 *   end as it does, or are rejected when it is late too. So the look-ups that callers of `get` begin while none ends are at least
 *   `lockAgeMs` or `lockTimeoutMs` apart, whichever is shorter.
 * - Never more than `maxPendingLookUps` look-ups of a key go on at once, whatever they began for.
 * - If a look-up fails, those get the error who made it and who share it, and the one who has been waiting longest makes the next.
 * - Of several look-ups of a key the one that began last counts: an older answer that comes later is stored no more, and nobody gets it who
 *   came after the newer one.
 * - `put`, `delete` and `clear` put an end to what went on before: a look-up that began earlier doesn't overwrite them, and who comes later
 *   doesn't wait for it. Who has been waiting keeps its place and its time.
 * - What is found goes to everybody who waits even if it isn't stored (`ttlMs` 0, too heavy, a `ttlMs` or weight out of range). What was
 *   wrong with it is told to the caller who made the look-up.
 *
 * A caller who waits settles within `lockTimeoutMs` and `lockAgeMs` together, whatever becomes of the look-ups. Who made a look-up waits for
 * that one or for any other's answer, and for ever if there is none. The state of one key is in `internal/lock.ts`.
 */

import { lockTimedOut, lookUpFailed, tooManyWaiters } from './errors.ts';
import { Caller, type FoundStatus, Lock, type LookUp } from './internal/lock.ts';
import { Pauses } from './internal/pauses.ts';
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
  /**
   * What follows when a stale value is handed out; default `return`: nothing. `update`: a look-up begins, unless a young one is going on, or
   * as many as may, or an update failed less than `updateRetryMs` ago.
   */
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
  /** Why keys are missing in `reads`, or their values couldn't be stored; of several errors the first. */
  readonly error: Error | null;
}

/** How often a hook has failed, and what it threw the last time. */
export interface HookErrors {
  readonly count: number;
  readonly last: unknown;
}

/** A cache with one look-up for each key. */
export class ReadThroughCache<K extends string | number, V, E = undefined> {
  /** Where the values are: for a look without a look-up, and at no promise's cost. */
  readonly cache: MemoryCache<K, V>;
  readonly #config: ReadThroughCacheConfig<K, V, E>;
  /** Keys about which something is going on. */
  readonly #locks = new Map<K, Lock<K, V, E>>();
  /** Keys whose update has just failed. */
  readonly #pauses: Pauses<K>;
  #hookErrors: HookErrors = Object.freeze({ count: 0, last: undefined });

  /** @throws {RangeError} when an option is out of its range */
  constructor(options: ReadThroughCacheOptions<K, V, E>) {
    this.#config = resolveReadThroughCacheOptions(options);
    this.#pauses = new Pauses(this.#config.updateRetryMs);
    this.cache = options.cache;
  }

  /** What `onUpdateError` itself has thrown or rejected with: nobody waits for it, and it must not end the program. */
  get hookErrors(): HookErrors {
    return this.#hookErrors;
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
   * @throws {WireError} `CACHE_LOOK_UP_FAILED` when the look-up of this call fails; `CACHE_TOO_MANY_WAITERS` when `maxWaiters` wait already;
   *   `CACHE_LOCK_TIMEOUT` when the look-ups of others take too long and no other may begin, or that takes too long as well
   * @throws {TypeError} when `lookUp` returns anything but `{ value, ttlMs? }`
   * @throws {RangeError} when an option, or a `ttlMs` or weight that the look-up led to, is out of its range
   */
  async read(key: K, options: ReadOptions<E> = noOptions): Promise<ReadThroughResult<V>> {
    const cached = this.#readCache(key, options);
    return isFound(cached) ? cached : await this.#ask(key, options, cached.status);
  }

  /**
   * Reads the values of many keys, those that the cache hasn't with one `lookUpMany`. It doesn't wait for look-ups of others, but for keys
   * of which `maxPendingLookUps` go on; others wait for it.
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
    const errors: Error[] = [];
    if (this.#config.lookUpMany === undefined) await this.#askEach(missing, options, reads, errors);
    else await this.#lookUpMany(missing, options, reads, errors);
    return { reads, error: errors[0] ?? null };
  }

  /**
   * Stores a value as `MemoryCache.put` does, and gives it to those who wait for it. Look-ups that began before won't replace it.
   *
   * @returns true if it is stored
   * @throws {RangeError} when `ttlMs` or the weight is out of its range
   */
  put(key: K, value: V, ttlMs?: number): boolean {
    const isStored = this.cache.put(key, value, ttlMs);
    this.#pauses.end(key);
    const lock = this.#locks.get(key);
    if (lock !== undefined) {
      lock.invalidate();
      lock.serve(value);
      lock.deadline?.cancel();
    }
    return isStored;
  }

  /** Takes a value out. Look-ups that began before won't bring it back. @returns true if there was one, fresh or not */
  delete(key: K): boolean {
    this.#pauses.end(key);
    this.#locks.get(key)?.invalidate();
    return this.cache.delete(key);
  }

  /** Takes all values out. Look-ups that began before won't bring any back. */
  clear(): void {
    this.#pauses.clear();
    for (const lock of this.#locks.values()) lock.invalidate();
    this.cache.clear();
  }

  #readCache(key: K, options: ReadOptions<E>): CacheRead<V> {
    const cached = this.cache.read(key, options.maxStaleMs);
    if (cached.status === 'stale' && options.whenStale === 'update') this.#update(key, options);
    return cached;
  }

  /** Begins a look-up that nobody waits for, unless one is going on, or as many as may, or one has just failed. */
  #update(key: K, { extra, ttlMs }: ReadOptions<E>): void {
    const now = this.#config.deadlines.now();
    const known = this.#locks.get(key);
    if ((known !== undefined && (known.isLedAt(now) || !known.hasRoom)) || this.#pauses.has(key, now)) return;
    const lock = known ?? this.#lockOf(key);
    const onError = (error: Error): void => this.#noteFailedUpdate(error, key);
    void this.#makeLookUp(lock, lock.begin(now, null), { extra, ttlMs, onError });
  }

  #noteFailedUpdate(error: Error, key: K): void {
    const { deadlines, onUpdateError } = this.#config;
    this.#pauses.begin(key, deadlines.now());
    const note = (thrown: unknown): void => {
      this.#hookErrors = Object.freeze({ count: this.#hookErrors.count + 1, last: thrown });
    };
    try {
      // An async function is a hook too.
      Promise.resolve(onUpdateError(error, key)).catch(note);
    } catch (thrown) {
      note(thrown);
    }
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
    lock.welcome(caller, now);
    if (!lock.isLedAt(now) && lock.hasRoom) {
      this.#lead(lock, caller, now);
    } else if (lock.waiterCount >= maxWaiters) {
      caller.reject(tooManyWaiters(maxWaiters));
    } else {
      lock.addWaiter(caller);
      this.#limitWait(lock, now);
    }
  }

  #lead(lock: Lock<K, V, E>, caller: Caller<K, V, E>, now: number): void {
    void this.#makeLookUp(lock, lock.begin(now, caller), caller);
  }

  /** Carries out a look-up that has begun. Never rejects: nothing in it throws but what is caught, `onError` included. */
  async #makeLookUp(lock: Lock<K, V, E>, lookUp: LookUp<K, V, E>, { extra, ttlMs, onError }: LookUpWish<E>): Promise<void> {
    try {
      const found = await this.#lookUp(lock.key, extra);
      this.#settle(lock, lookUp, found, ttlMs, onError);
    } catch (error) {
      lock.fail(lookUp, error as Error);
      onError?.(error as Error);
    }
    this.#end(lock, lookUp);
  }

  async #lookUp(key: K, extra: E | undefined): Promise<LookedUp<V>> {
    let found: LookedUp<V>;
    try {
      found = await this.#config.lookUp(key, extra);
    } catch (thrown) {
      throw lookUpFailed(thrown);
    }
    return checkLookedUp('lookUp', found);
  }

  /** Looks many keys up at once, but for those of which too many look-ups go on. */
  async #lookUpMany(
    missing: ReadonlyMap<K, 'miss' | 'expired'>,
    options: ReadOptions<E>,
    reads: Map<K, ReadThroughResult<V>>,
    errors: Error[],
  ): Promise<void> {
    const now = this.#config.deadlines.now();
    const begun: BegunLookUp<K, V, E>[] = [];
    const held = new Map<K, 'miss' | 'expired'>();
    for (const [key, status] of missing) {
      const lock = this.#lockOf(key);
      if (lock.hasRoom) begun.push({ lock, lookUp: lock.begin(now, null), status });
      else held.set(key, status);
    }
    await Promise.all([this.#settleMany(begun, options, reads, errors), this.#askEach(held, options, reads, errors)]);
  }

  async #settleMany(
    begun: readonly BegunLookUp<K, V, E>[],
    { extra, ttlMs }: ReadOptions<E>,
    reads: Map<K, ReadThroughResult<V>>,
    errors: Error[],
  ): Promise<void> {
    if (begun.length === 0) return;
    const keys = begun.map(({ lock }) => lock.key);
    let results: readonly LookedUp<V>[];
    try {
      results = await this.#callLookUpMany(keys, extra);
    } catch (error) {
      errors.push(error as Error);
      for (const { lock, lookUp } of begun) {
        lock.fail(lookUp, error as Error);
        this.#end(lock, lookUp);
      }
      return;
    }
    // Each by itself, so that what is wrong with one doesn't lose the others.
    for (const [index, { lock, lookUp, status }] of begun.entries()) {
      try {
        const found = checkLookedUp('lookUpMany', results[index]);
        this.#settle(lock, lookUp, found, ttlMs, (error) => void errors.push(error));
        reads.set(lock.key, { status, value: found.value, staleMs: 0 });
      } catch (error) {
        lock.fail(lookUp, error as Error);
        errors.push(error as Error);
      }
      this.#end(lock, lookUp);
    }
  }

  /** Looks keys up one by one, at the same time. */
  async #askEach(
    missing: ReadonlyMap<K, 'miss' | 'expired'>,
    options: ReadOptions<E>,
    reads: Map<K, ReadThroughResult<V>>,
    errors: Error[],
  ): Promise<void> {
    const askOne = async ([key, status]: [K, 'miss' | 'expired']): Promise<void> => {
      try {
        reads.set(key, await this.#ask(key, options, status));
      } catch (error) {
        errors.push(error as Error);
      }
    };
    await Promise.all(Array.from(missing, askOne));
  }

  async #callLookUpMany(keys: readonly K[], extra: E | undefined): Promise<readonly LookedUp<V>[]> {
    let results: readonly LookedUp<V>[] | undefined;
    try {
      results = await this.#config.lookUpMany?.(keys, extra);
    } catch (thrown) {
      throw lookUpFailed(thrown);
    }
    if (Array.isArray(results) && results.length === keys.length) return results as readonly LookedUp<V>[];
    throw new TypeError(`lookUpMany must return ${keys.length} results, one for each key`);
  }

  /**
   * Stores what a look-up has found, unless a later look-up, or `put`, `delete` or `clear`, came first, and gives it to all who may have it.
   *
   * @param onError told if it can't be stored, as the maker is; the others have what was found all the same
   */
  #settle(lock: Lock<K, V, E>, lookUp: LookUp<K, V, E>, found: LookedUp<V>, ttlMs: number | undefined, onError: OnError | undefined): void {
    const { value } = found;
    let failure: Error | null = null;
    if (lock.count(lookUp)) {
      try {
        // Forced: it was asked for just now, and admission would have those who ask next look it up again.
        this.cache.forcePut(lock.key, value, found.ttlMs ?? ttlMs);
        this.#pauses.end(lock.key);
      } catch (error) {
        failure = error as Error;
      }
    }
    const { maker } = lookUp;
    lookUp.maker = null;
    if (failure === null) maker?.resolve(value, maker.status);
    else maker?.reject(failure);
    lock.serve(value, lookUp.ticket);
    if (failure !== null) onError?.(failure);
  }

  /** After a look-up: if no other that counts is going on, one who still waits makes the next. */
  #end(lock: Lock<K, V, E>, lookUp: LookUp<K, V, E>): void {
    lock.end(lookUp);
    if (lock.waiterCount > 0) {
      const now = this.#config.deadlines.now();
      this.#passOn(lock, now);
      this.#limitWait(lock, now);
    } else {
      lock.deadline?.cancel();
      if (lock.isIdle) this.#locks.delete(lock.key);
    }
  }

  /** Lets the one who has been waiting longest make the next look-up, where that is wanted and allowed. */
  #passOn(lock: Lock<K, V, E>, now: number): void {
    const next = lock.needsLookUp(now) ? lock.takeWaiter() : undefined;
    if (next !== undefined) this.#lead(lock, next, now);
  }

  /** Arms the deadline for what comes first: the newest look-up is late, or somebody has waited long enough. */
  #limitWait(lock: Lock<K, V, E>, now: number): void {
    const { deadlines, lockTimeoutMs } = this.#config;
    const dueAt = lock.nextDueAt(lockTimeoutMs);
    const isArmed = lock.deadline?.isArmed === true;
    // An earlier time is left alone: to set it anew for each caller costs more than to be woken up in vain now and then.
    if (dueAt === Infinity || (isArmed && dueAt >= lock.dueAt)) return;
    lock.deadline ??= deadlines.deadline(() => this.#endWaits(lock));
    lock.dueAt = dueAt;
    lock.deadline.arm(Math.min(Math.max(0, dueAt - now), deadlines.maxDelayMs), now);
  }

  #endWaits(lock: Lock<K, V, E>): void {
    const { deadlines, lockTimeoutMs } = this.#config;
    const now = deadlines.now();
    // First, so that where both times are over together those who are overdue share what begins here.
    this.#passOn(lock, now);
    for (let caller = lock.takeOverdue(now, lockTimeoutMs); caller !== undefined; caller = lock.takeOverdue(now, lockTimeoutMs)) {
      if (lock.ride(caller, now)) continue;
      if (lock.hasRoom) this.#lead(lock, caller, now);
      else caller.reject(lockTimedOut());
    }
    lock.rejectLateRiders(now, lockTimedOut);
    this.#limitWait(lock, now);
  }

  #lockOf(key: K): Lock<K, V, E> {
    const known = this.#locks.get(key);
    if (known !== undefined) return known;
    const { lockAgeMs, maxPendingLookUps } = this.#config;
    const lock = new Lock<K, V, E>(key, lockAgeMs, maxPendingLookUps);
    this.#locks.set(key, lock);
    return lock;
  }
}

type OnError = (error: Error) => void;

/** What a look-up is made with; `onError` is told of what goes wrong, where that isn't the maker's affair. */
interface LookUpWish<E> {
  readonly extra: E | undefined;
  readonly ttlMs: number | undefined;
  readonly onError?: OnError;
}

/** One key's part in a look-up of many. */
interface BegunLookUp<K, V, E> {
  readonly lock: Lock<K, V, E>;
  readonly lookUp: LookUp<K, V, E>;
  readonly status: 'miss' | 'expired';
}

type FoundRead<V> = Extract<CacheRead<V>, { readonly status: 'hit' | 'stale' }>;

const noOptions: ReadOptions<never> = Object.freeze({});

function isFound<V>(read: CacheRead<V>): read is FoundRead<V> {
  return read.status === 'hit' || read.status === 'stale';
}

/** What untyped code may return by mistake would otherwise be stored as a value that is `undefined`. */
function checkLookedUp<V>(name: string, found: LookedUp<V> | null | undefined): LookedUp<V> {
  if (typeof found === 'object' && found !== null && 'value' in found) return found;
  throw new TypeError(`${name} must give { value, ttlMs? } for each key`);
}
