/**
 * A pool of idle things under keys: what a connection pool is once opening, checking and counting connections in use are left to
 * those who know how.
 *
 * ```
 *   byKey:     key ──▶ oldest ⇄ … ⇄ newest      take from one end, the key limit evicts at the other
 *   shared:            oldest ⇄ … ⇄ newest      items with the pool's idle time: one deadline, for the oldest
 *   ownTimes:          oldest ⇄ … ⇄ newest      items with an idle time of their own: a deadline each
 * ```
 * Rules:
 * - Each put is taken, removed or evicted exactly once. An item that has left by one way can't leave by another.
 * - Every operation is O(1), but for `drain` and a round of idle items, which are O(1) an item.
 * - The shared deadline is lazy: putting and taking don't touch it. When it comes, what has been idle too long is evicted, and it is
 *   armed for the oldest that is left.
 * - `onEvict` is called last, when the pool is consistent again: it may put, take and drain. If it throws, the other items of the same
 *   round are still told, and then the error is thrown on.
 */
import type { Deadline } from '@ferrata/timeout';
import { AgeList } from './internal/age-list.ts';
import { IdleEntry } from './internal/idle-entry.ts';
import { KeyIndex } from './internal/key-index.ts';
import { checkIdleTimeout, type EvictReason, type IdlePoolConfig, type IdlePoolOptions, resolveIdlePoolOptions } from './options.ts';

/** An item's stay in a pool, from `put` until it is taken, removed or evicted. */
export interface PoolEntry<T> {
  readonly key: string;
  readonly item: T;
  /** False from the moment the item left the pool. */
  readonly isIdle: boolean;
}

/** Options of one `put`. */
export interface PutOptions {
  /** Longest stay of this item, in milliseconds, in place of the pool's: for a peer that has announced its own (`Keep-Alive: timeout=5`). */
  readonly idleTimeoutMs?: number;
}

/** A keyed pool of idle items of any kind. */
export class IdlePool<T> {
  readonly #config: IdlePoolConfig<T>;
  readonly #byKey = new KeyIndex<T>();
  readonly #shared = new AgeList<T>();
  readonly #ownTimes = new AgeList<T>();
  readonly #deadline: Deadline;
  #size = 0;
  #nextOrder = 0;
  #isDraining = false;

  /** @throws {RangeError} when an option is out of its range */
  constructor(options: IdlePoolOptions<T>) {
    this.#config = resolveIdlePoolOptions(options);
    this.#deadline = this.#config.deadlines.deadline(() => this.#evictExpired());
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

  /**
   * Gives an item to the pool. When that makes too many, the oldest is evicted: of the key, else of the whole pool.
   *
   * @param item not in the pool already: put twice, it would be handed out twice
   * @returns the item's entry, for `remove`; null if the item was evicted at once, because the pool drains or a limit is 0
   * @throws {RangeError} when `idleTimeoutMs` is out of its range
   * @throws whatever `onEvict` throws; the item is in the pool all the same
   */
  put(key: string, item: T, options?: PutOptions): PoolEntry<T> | null {
    const { deadlines, maxIdlePerKey, maxIdle, onEvict } = this.#config;
    const idleTimeoutMs = options?.idleTimeoutMs ?? this.#config.idleTimeoutMs;
    checkIdleTimeout(idleTimeoutMs, deadlines);
    const refusal = this.#refusal(idleTimeoutMs);
    if (refusal !== null) {
      onEvict(item, refusal);
      return null;
    }

    const now = deadlines.now();
    const siblings = this.#byKey.forAppend(key);
    const ages = idleTimeoutMs === this.#config.idleTimeoutMs ? this.#shared : this.#ownTimes;
    const entry = new IdleEntry({ key, item, order: this.#nextOrder++, expiresAt: now + idleTimeoutMs, siblings, ages });
    siblings.append(entry);
    ages.append(entry);
    this.#size++;
    if (idleTimeoutMs < Infinity) this.#limitStay(entry, idleTimeoutMs, now);

    if (siblings.length > maxIdlePerKey) this.#evict(siblings.oldest, 'keyLimit');
    else if (this.#size > maxIdle) this.#evict(this.#oldest(), 'totalLimit');
    return entry;
  }

  /** Takes an item of `key`, the newest or the oldest by the pool's order. @returns undefined if there is none */
  take(key: string): T | undefined {
    const siblings = this.#byKey.find(key);
    const entry = this.#config.order === 'lifo' ? siblings?.newest : siblings?.oldest;
    if (entry === undefined || entry === null) return undefined;
    this.#unlink(entry);
    return entry.item;
  }

  /**
   * Takes one particular item out: it was closed by its peer, or sent bytes that nobody asked for. `onEvict` isn't called.
   *
   * @returns false if the item had left the pool before
   * @throws {TypeError} when `entry` is not from this pool's `put`
   */
  remove(entry: PoolEntry<T>): boolean {
    if (!(entry instanceof IdleEntry) || (entry.ages !== this.#shared && entry.ages !== this.#ownTimes)) {
      throw new TypeError('remove needs an entry that this pool has made');
    }
    return this.#unlink(entry as IdleEntry<T>);
  }

  /** Evicts all items, the oldest first, and from now on every item at its `put`. */
  drain(): void {
    this.#isDraining = true;
    this.#deadline.cancel();
    this.#evictWhile(() => this.#oldest(), 'drain');
  }

  #refusal(idleTimeoutMs: number): EvictReason | null {
    if (this.#isDraining) return 'drain';
    if (this.#config.maxIdlePerKey === 0) return 'keyLimit';
    if (this.#config.maxIdle === 0) return 'totalLimit';
    return idleTimeoutMs === 0 ? 'idle' : null;
  }

  #limitStay(entry: IdleEntry<T>, idleTimeoutMs: number, now: number): void {
    if (entry.ages === this.#ownTimes) entry.deadline = this.#config.deadlines.deadline(() => this.#evict(entry, 'idle'));
    const deadline = entry.deadline ?? this.#deadline;
    if (!deadline.isArmed) deadline.arm(idleTimeoutMs, now);
  }

  /** The oldest of all: the two lists are each in order, so it is at the front of one of them. */
  #oldest(): IdleEntry<T> | null {
    const a = this.#shared.oldest;
    const b = this.#ownTimes.oldest;
    if (a === null || b === null) return a ?? b;
    return a.order < b.order ? a : b;
  }

  #evictExpired(): void {
    const { deadlines } = this.#config;
    const now = deadlines.now();
    try {
      this.#evictWhile(() => {
        const { oldest } = this.#shared;
        return oldest !== null && oldest.expiresAt <= now ? oldest : null;
      }, 'idle');
    } finally {
      const { oldest } = this.#shared;
      // A put from `onEvict` may have armed it for later than the oldest that is left.
      if (oldest !== null) this.#deadline.arm(oldest.expiresAt - now, now);
    }
  }

  /** Evicts what `next` names until it names nothing; then throws what `onEvict` threw. */
  #evictWhile(next: () => IdleEntry<T> | null, reason: EvictReason): void {
    const thrown: unknown[] = [];
    for (let entry = next(); entry !== null; entry = next()) {
      try {
        this.#evict(entry, reason);
      } catch (error) {
        thrown.push(error);
      }
    }
    if (thrown.length === 1) throw thrown[0];
    if (thrown.length > 1) throw new AggregateError(thrown, `onEvict threw for ${thrown.length} items`);
  }

  #evict(entry: IdleEntry<T> | null, reason: EvictReason): void {
    if (entry !== null && this.#unlink(entry)) this.#config.onEvict(entry.item, reason);
  }

  /** @returns false if the entry had left the pool before */
  #unlink(entry: IdleEntry<T>): boolean {
    const { siblings } = entry;
    if (siblings === null) return false;
    siblings.remove(entry);
    if (siblings.length === 0) this.#byKey.noteEmptied();
    entry.siblings = null;
    entry.ages.remove(entry);
    entry.deadline?.cancel();
    this.#size--;
    return true;
  }
}
