/**
 * A pool of idle things under keys: what a connection pool is once opening, checking and counting connections in use are left to
 * those who know how.
 *
 * ```
 *   byKey:     key ──▶ oldest ⇄ … ⇄ newest      taken from one end, the key limit evicts at the other
 *   ages:      time ─▶ oldest ⇄ … ⇄ newest      items with the same idle time: one deadline, for the oldest
 *   entries:   item ─▶ entry                    weak: an item's entry lives as long as the item
 * ```
 * Rules:
 * - Each put ends once: the item is taken, removed, evicted or has closed. One that has left by one way can't leave by another.
 * - An item is handed out only if its time isn't over (be its deadline late: a blocked event loop runs on with what had come before
 *   it gets to its timers), nothing has been heard of it while it was idle, and `isUsable` says yes.
 * - An item that is in the pool can't be put: it would be handed out twice.
 * - Every operation is O(1), amortised (maps that grow), but for those that evict several items, which are O(1) an item. A round of
 *   evictions ends: what is put during the round isn't part of it.
 * - The deadlines are lazy: putting and taking don't touch them. When one comes, what has been idle too long is evicted, and it is
 *   armed for the oldest that is left.
 * - `onEvict` and `onClosed` are called last, when the pool is consistent again: they may put other items, take and drain. The item they
 *   are told about can't be put before they return: where it was the one too many, that would go on for ever.
 * - If a callback throws, the others are called all the same, for this item and for the rest of the round, and then the error is thrown on.
 * - A clock that goes back makes nothing leave early; items put before it did may make those put after wait for them.
 */
import { checkWholeNumber, throwCollected } from '@ferrata/error';
import type { Deadline } from '@ferrata/timeout';
import type { AgeList } from './internal/age-list.ts';
import { AgeLists } from './internal/age-lists.ts';
import { IdleEntry, State } from './internal/idle-entry.ts';
import { KeyIndex } from './internal/key-index.ts';
import { checkIdleTimeout, type EvictReason, type IdlePoolConfig, type IdlePoolOptions, resolveIdlePoolOptions } from './options.ts';
import type { LeaveReason, PoolEntry } from './pool-entry.ts';

/** Options of one `put`. */
export interface PutOptions {
  /** Longest stay of this item, in milliseconds, in place of the pool's: for a peer that has announced its own (`Keep-Alive: timeout=5`). */
  readonly idleTimeoutMs?: number;
}

type Departure = EvictReason | LeaveReason;

/** A keyed pool of idle items: objects of any kind. */
export class IdlePool<T extends object> implements Disposable {
  readonly #config: IdlePoolConfig<T>;
  readonly #byKey: KeyIndex<T>;
  readonly #entries = new WeakMap<T, IdleEntry<T>>();
  readonly #ages: AgeLists<T>;
  /** The entries' way back: they call this and not the pool, whose public methods are its user's. */
  readonly #owner = { evict: (entry: IdleEntry<T>, reason: LeaveReason): void => this.#evict(entry, reason) };
  #size = 0;
  #nextOrder = 0;
  #isDraining = false;

  /** @throws {RangeError} when an option is out of its range */
  constructor(options: IdlePoolOptions<T>) {
    this.#config = resolveIdlePoolOptions(options);
    const { hotCount, idleTimeoutMs, deadlines } = this.#config;
    this.#byKey = new KeyIndex(hotCount);
    this.#ages = new AgeLists(idleTimeoutMs, deadlines, (list) => this.#evictExpired(list));
  }

  /** Idle items in all. */
  get size(): number {
    return this.#size;
  }

  /** True since `drain`. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Idle items under `key`. */
  sizeOf(key: string): number {
    return this.#byKey.find(key)?.length ?? 0;
  }

  /** The place of an item that is idle; null if it isn't. */
  entryOf(item: T): PoolEntry<T> | null {
    const entry = this.#entries.get(item);
    return entry?.isIdle === true ? entry : null;
  }

  /**
   * Gives an item to the pool. When that makes too many, the oldest is evicted: of the key, else of the whole pool.
   *
   * @returns the item's entry, for `remove`; null if the item has left already: the pool drains, a limit is 0, what watches it found it
   *   closed or dirty, or `onEvict` of another item took it
   * @throws {TypeError} when the item is in the pool already, or one of its callbacks is running, or it isn't an object
   * @throws {RangeError} when `idleTimeoutMs` is out of its range, or `recentNow` tells no time of the clock; the item is not in the pool
   *   then
   * @throws whatever `watch` throws; the item is not in the pool then
   * @throws whatever `onEvict` throws; the item is in the pool all the same
   */
  put(key: string, item: T, options?: PutOptions): PoolEntry<T> | null {
    const { deadlines, maxIdlePerKey, maxIdle, watch, recentNow, isRecentGiven } = this.#config;
    const idleTimeoutMs = options?.idleTimeoutMs ?? this.#config.idleTimeoutMs;
    if (options !== undefined) checkIdleTimeout(idleTimeoutMs, deadlines);
    const entry = this.#entries.get(item) ?? this.#newEntry(item);
    if (entry.state !== State.away) throw new TypeError(refusalToPut(entry.state));
    const refusal = this.#refusal(idleTimeoutMs);
    if (refusal !== null) {
      this.#tell(entry, refusal, []);
      return null;
    }
    const now = recentNow();
    if (isRecentGiven) this.#checkRecent(now, idleTimeoutMs);
    entry.key = key;
    entry.departure = null;
    if (watch !== null && !this.#isWatched(entry, watch)) return null;

    const siblings = this.#byKey.forAppend(key, entry.siblings);
    const ages = options === undefined ? this.#ages.usual : this.#ages.forAppend(idleTimeoutMs);
    entry.state = State.idle;
    entry.order = this.#nextOrder++;
    entry.expiresAt = now + idleTimeoutMs;
    entry.siblings = siblings;
    entry.ages = ages;
    siblings.append(entry);
    ages.append(entry);
    this.#size++;
    const deadline = ages.idleTimeoutMs === idleTimeoutMs ? ages.deadline : this.#ownDeadline(entry);
    if (!deadline.isArmed && idleTimeoutMs < Infinity) deadline.arm(idleTimeoutMs, now);

    if (siblings.length > maxIdlePerKey) this.#evict(siblings.oldest, 'keyLimit');
    else if (this.#size > maxIdle) this.#evict(this.#ages.oldest, 'totalLimit');
    else return entry;
    return entry.isIdle ? entry : null;
  }

  /**
   * Takes an item of `key`: the newest, or in turn, as the pool's order says.
   *
   * @returns undefined if there is none that can be used
   * @throws whatever `isUsable`, `onEvict`, `onClosed` and the end of `watch` throw; the item in question is evicted then
   */
  take(key: string): T | undefined {
    const { isUsable, watch, recentNow } = this.#config;
    const siblings = this.#byKey.find(key);
    if (siblings === undefined) return undefined;
    // As many as there are now, whatever the callbacks put meanwhile; they may also have taken the rest.
    for (let tries = siblings.length; tries > 0; tries--) {
      const entry = siblings.first;
      if (entry === null) return undefined;
      // So put that a time that is no number hands nothing out.
      if (entry.expiresAt < Infinity && !(recentNow() < entry.expiresAt)) {
        this.#evict(entry, 'idle');
      } else {
        this.#unlink(entry);
        if (isUsable === null && watch === null) {
          entry.state = State.away;
          return entry.item;
        }
        if (this.#isFitForUse(entry)) return entry.item;
      }
    }
    return undefined;
  }

  /**
   * Takes one particular item out. Nobody is told.
   *
   * @returns false if the item isn't in the pool (any more)
   * @throws {TypeError} when `entry` is not from this pool's `put`
   * @throws whatever the end of `watch` throws; the item has left all the same
   */
  remove(entry: PoolEntry<T>): boolean {
    if (!(entry instanceof IdleEntry) || entry.owner !== this.#owner) throw new TypeError('remove needs an entry that this pool has made');
    const own = entry as IdleEntry<T>;
    if (own.state !== State.idle) return false;
    this.#unlink(own);
    this.#stopWatching(own);
    return true;
  }

  /** Evicts the items of a key, the oldest first: its endpoint has gone. The key can be used again. @returns how many */
  evictKey(key: string): number {
    return this.#evictRound('asked', Infinity, () => this.#byKey.find(key)?.oldest ?? null);
  }

  /**
   * Evicts the oldest items of all, at most `count`: descriptors run short.
   *
   * @returns how many
   * @throws {RangeError} when `count` is not a whole number from 0 on, or `Infinity`
   */
  evictOldest(count: number): number {
    return this.#evictRound('asked', checkWholeNumber('count', count, { max: Infinity }), () => this.#ages.oldest);
  }

  /** Evicts all items, the oldest first, and from now on every item at its `put`. */
  drain(): void {
    this.#isDraining = true;
    this.#ages.cancelDeadlines();
    this.#evictRound('drain', Infinity, () => this.#ages.oldest);
  }

  [Symbol.dispose](): void {
    this.drain();
  }

  #newEntry(item: T): IdleEntry<T> {
    // Only what has an identity can be known again; a WeakMap would refuse it too, but not say where the fault is.
    const isObject = (typeof item === 'object' && item !== null) || typeof item === 'function';
    if (!isObject) throw new TypeError(`put needs an object, not ${String(item)}`);
    const entry = new IdleEntry(item, this.#owner);
    this.#entries.set(item, entry);
    return entry;
  }

  /**
   * An idle time counted from a time ahead of the clock (of another clock, `Date.now`) would hardly ever be over. So whenever a deadline is
   * about to be armed by it, which is seldom, it is held against the clock.
   */
  #checkRecent(now: number, idleTimeoutMs: number): void {
    if (!Number.isFinite(now)) throw new RangeError(`recentNow must return a finite number of milliseconds, not ${String(now)}`);
    if (this.#ages.isDeadlineArmed(idleTimeoutMs) || idleTimeoutMs === Infinity) return;
    const actual = this.#config.deadlines.now();
    if (now > actual) throw new RangeError(`recentNow must not be ahead of the clock, which is ${actual}, and returned ${now}`);
  }

  #refusal(idleTimeoutMs: number): EvictReason | null {
    if (this.#isDraining) return 'drain';
    if (this.#config.maxIdlePerKey === 0) return 'keyLimit';
    if (this.#config.maxIdle === 0) return 'totalLimit';
    return idleTimeoutMs === 0 ? 'idle' : null;
  }

  /** Made for an item once: a peer that announces its time announces it in every answer. */
  #ownDeadline(entry: IdleEntry<T>): Deadline {
    return (entry.deadline ??= this.#config.deadlines.deadline(() => this.#evict(entry, 'idle')));
  }

  /** Begins to watch an item that is about to be idle. @returns false if the item has gone over it */
  #isWatched(entry: IdleEntry<T>, watch: NonNullable<IdlePoolConfig<T>['watch']>): boolean {
    entry.state = State.starting;
    try {
      entry.stop = watch(entry.item, entry);
    } catch (error) {
      entry.state = State.away;
      throw error;
    }
    const reason = entry.departure ?? (this.#isDraining ? 'drain' : null);
    if (reason === null) return true;
    this.#letGo(entry, reason);
    return false;
  }

  /** Asks whether an item that is being taken can be used; if not, or if one of the callbacks throws, the item is evicted. */
  #isFitForUse(entry: IdleEntry<T>): boolean {
    const { isUsable } = this.#config;
    let isFit = false;
    let thrown: unknown[] | null = null;
    try {
      entry.stop?.(entry.item);
      isFit = (isUsable === null || isUsable(entry.item)) && entry.departure === null;
    } catch (error) {
      thrown = [error];
    }
    if (!isFit) {
      this.#tell(entry, entry.departure ?? 'unusable', thrown ?? []);
      return false;
    }
    entry.stop = null;
    entry.state = State.away;
    return true;
  }

  #evictExpired(ages: AgeList<T>): void {
    const { deadlines } = this.#config;
    const now = deadlines.now();
    try {
      this.#evictRound('idle', Infinity, () => {
        const { oldest } = ages;
        return oldest !== null && oldest.expiresAt <= now ? oldest : null;
      });
    } finally {
      const { oldest } = ages;
      // A put from `onEvict` may have armed it for later than the oldest that is left. Nothing waits longer than its idle time from now, be
      // the clock or `recentNow` as it may.
      if (oldest !== null && oldest.expiresAt < Infinity) {
        ages.deadline.arm(Math.min(Math.max(0, oldest.expiresAt - now), ages.idleTimeoutMs), now);
      }
    }
  }

  /**
   * Evicts what `next` names until it names nothing, at most `count` and only what was there before; then throws what callbacks threw.
   *
   * @returns how many
   */
  #evictRound(reason: EvictReason, count: number, next: () => IdleEntry<T> | null): number {
    const end = this.#nextOrder;
    const thrown: unknown[] = [];
    let evicted = 0;
    for (let entry = next(); entry !== null && entry.order < end && evicted < count; entry = next()) {
      evicted++;
      try {
        this.#evict(entry, reason);
      } catch (error) {
        thrown.push(error);
      }
    }
    throwCollected(thrown, `callbacks threw for ${thrown.length} items`);
    return evicted;
  }

  #evict(entry: IdleEntry<T> | null, reason: Departure): void {
    if (entry === null) return;
    this.#unlink(entry);
    this.#letGo(entry, reason);
  }

  /** Ends the watching of an item that is in no list, and tells. */
  #letGo(entry: IdleEntry<T>, reason: Departure): void {
    const thrown: unknown[] = [];
    try {
      this.#stopWatching(entry);
    } catch (error) {
      thrown.push(error);
    }
    this.#tell(entry, reason, thrown);
  }

  #stopWatching(entry: IdleEntry<T>): void {
    entry.state = State.leaving;
    try {
      entry.stop?.(entry.item);
    } finally {
      entry.stop = null;
      entry.state = State.away;
    }
  }

  /** Tells that an item has left; then throws what its callbacks have thrown. The item is nobody's until they have returned. */
  #tell(entry: IdleEntry<T>, reason: Departure, thrown: unknown[]): void {
    entry.stop = null;
    entry.state = State.leaving;
    try {
      if (reason === 'closed') this.#config.onClosed(entry.item);
      else this.#config.onEvict(entry.item, reason);
    } catch (error) {
      thrown.push(error);
    }
    entry.state = State.away;
    throwCollected(thrown, `${thrown.length} callbacks of an item threw`);
  }

  /** Takes an idle entry out of both lists; from here on nobody can find it. */
  #unlink(entry: IdleEntry<T>): void {
    const { siblings, ages } = entry;
    entry.state = State.leaving;
    if (siblings !== null) {
      siblings.remove(entry);
      if (siblings.length === 0) this.#byKey.noteEmptied();
    }
    ages?.remove(entry);
    if (entry.deadline !== null) entry.deadline.cancel();
    this.#size--;
  }
}

function refusalToPut(state: State): string {
  return state === State.idle
    ? 'put was given an item that is in the pool already'
    : 'put was given an item while a callback of the pool runs for it';
}
