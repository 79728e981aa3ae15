/**
 * A cache that forgets what has been used least recently: bounded by the weight of its entries, by their number, or both.
 *
 * The entries are spread over shards by their keys, each with an order of its own; there is one shard unless asked for more. The limits are
 * those of all shards together.
 *
 * Rules:
 * - `set` and `load` keep the limits: `set` evicts what is too much, `load` adds only what there is room for. `admit`, `insertTail` and
 *   `incrementWeight` do not: they are the parts for a caller who has to know what leaves, and calls `evictToLimit` when he can deal with
 *   it. In between the limits may be exceeded.
 * - A shard has a maximum of its own, 2²³ entries. A full one is a limit too: `set` evicts its least recently used entry before it adds
 *   one, and `load` has no room for it. `admit` and `insertTail`, which never evict, throw.
 * - `get`, `set`, `admit`, `promote` and `promoteTopN` count as use; `peek`, `has`, `insertTail`, `incrementWeight` and iterating don't.
 * - Every operation on a key is O(1), but for `promoteTopN`, which looks at up to n entries.
 * - An iteration visits what a shard holds when its turn comes, the most recently used first, each entry that is still there when it is
 *   reached exactly once, whatever is used, added, replaced, removed or evicted meanwhile. A key removed and admitted again is another
 *   entry.
 * - No operation is ever seen half done: `shardOf` is asked before anything changes, and nothing else calls back but the visitor of
 *   `forEach`.
 *
 * After the LRU of Cloudflare's Pingora (`pingora-lru`).
 */
import { checkWholeNumber } from '@ferrata/error';
import { checkTotalWeight, checkWeight } from './internal/check-weight.ts';
import { interleave } from './internal/interleave.ts';
import type { Shard } from './internal/shard.ts';
import { ShardTable } from './internal/shard-table.ts';
import { Tally } from './internal/tally.ts';
import type { LruEntry } from './lru-entry.ts';
import { type LruOptions, resolveLruOptions } from './options.ts';

/**
 * A weighted, sharded LRU cache. Keys are compared as those of a `Map`.
 *
 * @example
 * ```ts
 * const cache = new Lru<string, Uint8Array>({ maxWeight: 64 * 1024 * 1024 });
 * cache.set('/logo.svg', bytes, bytes.length);
 * cache.get('/logo.svg');
 * ```
 */
export class Lru<K, V> implements Iterable<LruEntry<K, V>> {
  readonly #tally: Tally;
  readonly #table: ShardTable<K, V>;

  /** @throws {RangeError} when an option is out of its range, or neither limit is given */
  constructor(options: LruOptions<K>) {
    const config = resolveLruOptions(options);
    this.#tally = new Tally(config.maxWeight, config.maxCount);
    this.#table = new ShardTable(config, this.#tally);
  }

  /** Entries in all shards. */
  get size(): number {
    return this.#tally.size;
  }

  /** The weight of all entries. */
  get weight(): number {
    return this.#tally.weight;
  }

  get maxCount(): number {
    return this.#tally.maxCount;
  }

  get maxWeight(): number {
    return this.#tally.maxWeight;
  }

  get shardCount(): number {
    return this.#table.all.length;
  }

  /** How many entries have been evicted so far, by whatever method. What was removed or replaced doesn't count. */
  get evictedCount(): number {
    return this.#tally.evictedCount;
  }

  /** The weight of all that has been evicted so far; exact up to 2⁵³. */
  get evictedWeight(): number {
    return this.#tally.evictedWeight;
  }

  /** Entries in a shard. @throws {RangeError} when there is no such shard */
  sizeOf(shard: number): number {
    return this.#shardAt(shard).size;
  }

  /** The weight of the entries in a shard. @throws {RangeError} when there is no such shard */
  weightOf(shard: number): number {
    return this.#shardAt(shard).weight;
  }

  /** The value of a key, without counting it as used. @returns undefined if the key isn't there */
  peek(key: K): V | undefined {
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    return slot === 0 ? undefined : shard.valueAt(slot);
  }

  /** The weight of a key's entry, without counting it as used. @returns 0 if the key isn't there */
  peekWeight(key: K): number {
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    return slot === 0 ? 0 : shard.weightAt(slot);
  }

  /** The least recently used entry of a shard: the one that `evictShard` would take. @throws {RangeError} when there is no such shard */
  peekLru(shard = 0): LruEntry<K, V> | undefined {
    const from = this.#shardAt(shard);
    return from.size === 0 ? undefined : from.entryAt(from.oldest);
  }

  /** Whether the key is there, without counting it as used. */
  has(key: K): boolean {
    return this.#table.of(key).find(key) !== 0;
  }

  /** The value of a key, which becomes the most recently used of its shard. @returns undefined if the key isn't there */
  get(key: K): V | undefined {
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    if (slot === 0) return undefined;
    shard.promote(slot);
    return shard.valueAt(slot);
  }

  /**
   * Holds a value under a key as the most recently used, and evicts what is then too much. What is evicted is forgotten: a caller who has
   * to close or delete it takes `admit` and `evictToLimit`.
   *
   * @returns false if the entry alone is heavier than `maxWeight`: then it isn't held, nothing is evicted for it, and what was there under
   *   the key is removed
   * @throws {RangeError} when `weight` is no whole number of 1 or more, or would leave the sum of all no longer exact; the cache is as it
   *   was
   */
  set(key: K, value: V, weight = 1): boolean {
    checkWeight(weight);
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    const isHeld = weight <= this.#tally.maxWeight;
    if (isHeld) {
      if (slot === 0 && shard.isFull) {
        checkTotalWeight(this.#tally.weight + weight);
        shard.evict();
      }
      admitTo(shard, slot, key, value, weight);
    } else if (slot !== 0) {
      shard.release(slot);
    }
    while (this.#tally.isOverLimit) this.#table.toEvictFrom().evict();
    return isHeld;
  }

  /**
   * Holds a value under a key as the most recently used, and evicts nothing. Value and weight of a key that is there are replaced.
   *
   * @returns the key's shard
   * @throws {RangeError} when `weight` is no whole number of 1 or more, or would leave the sum of all no longer exact, or the key is new
   *   and its shard is full; the cache is as it was
   */
  admit(key: K, value: V, weight = 1): number {
    checkWeight(weight);
    const index = this.#table.indexOf(key);
    const shard = this.#table.all[index] as Shard<K, V>;
    admitTo(shard, shard.find(key), key, value, weight);
    return index;
  }

  /**
   * Holds a value under a new key as the least recently used of its shard, and evicts nothing: for entries that come from the most to the
   * least recently used.
   *
   * @returns false if the key is there; then nothing changes
   * @throws {RangeError} as `admit` does
   */
  insertTail(key: K, value: V, weight = 1): boolean {
    checkWeight(weight);
    const shard = this.#table.of(key);
    if (shard.find(key) !== 0) return false;
    shard.addLast(key, value, weight);
    return true;
  }

  /** Makes a key the most recently used of its shard. @returns false if the key isn't there */
  promote(key: K): boolean {
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    if (slot === 0) return false;
    shard.promote(slot);
    return true;
  }

  /**
   * Makes a key the most recently used of its shard, unless it is among the first `n` already: for a caller who wants the
   * order to change less. It isn't faster: looking costs more than moving does.
   *
   * @returns false if the key isn't there
   * @throws {RangeError} when `n` is no whole number of 0 or more
   */
  promoteTopN(key: K, n: number): boolean {
    checkWholeNumber('n', n);
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    if (slot === 0) return false;
    if (!shard.isWithinFirst(slot, n)) shard.promote(slot);
    return true;
  }

  /**
   * Makes a key's entry heavier, which is no use of it, and evicts nothing.
   *
   * @param max the entry's weight doesn't grow beyond it; one that is heavier already stays so
   * @returns the new weight; 0 if the key isn't there
   * @throws {RangeError} when `delta` or `max` is no whole number of 0 or more; the cache is as it was
   */
  incrementWeight(key: K, delta: number, max = Infinity): number {
    checkWholeNumber('delta', delta);
    checkWholeNumber('max', max, { max: Infinity });
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    if (slot === 0) return 0;
    const old = shard.weightAt(slot);
    const weight = Math.max(old, Math.min(old + delta, max));
    shard.setWeight(slot, weight);
    return weight;
  }

  /** Takes a key out. @returns its entry; undefined if the key isn't there */
  remove(key: K): LruEntry<K, V> | undefined {
    const shard = this.#table.of(key);
    const slot = shard.find(key);
    if (slot === 0) return undefined;
    const entry = shard.entryAt(slot);
    shard.release(slot);
    return entry;
  }

  /** Removes everything; the counts of what has been evicted stay. */
  clear(): void {
    for (const shard of this.#table.all) shard.clear();
  }

  /** Evicts the least recently used entry of a shard. @returns undefined if it is empty @throws {RangeError} when there is no such shard */
  evictShard(shard = 0): LruEntry<K, V> | undefined {
    const from = this.#shardAt(shard);
    if (from.size === 0) return undefined;
    const entry = from.entryAt(from.oldest);
    from.evict();
    return entry;
  }

  /**
   * Evicts until the cache is within its limits: each time the least recently used entry of the longer of two shards drawn by lot.
   *
   * @returns what has left, in that order
   */
  evictToLimit(): LruEntry<K, V>[] {
    const evicted: LruEntry<K, V>[] = [];
    while (this.#tally.isOverLimit) {
      const shard = this.#table.toEvictFrom();
      evicted.push(shard.entryAt(shard.oldest));
      shard.evict();
    }
    return evicted;
  }

  /** Iterates over the entries, shard by shard, by the rules above. `for (const { key, value } of cache)` does the same. */
  [Symbol.iterator](): IterableIterator<LruEntry<K, V>> {
    return this.entries();
  }

  /**
   * Iterates over the entries of a shard, or of all of them one after the other. Each shard's turn begins with a list of its slots: 4 bytes
   * an entry, until the turn ends.
   *
   * @throws {RangeError} when there is no such shard
   */
  entries(shard?: number): IterableIterator<LruEntry<K, V>> {
    return entriesOf(this.#chosen(shard));
  }

  /**
   * Calls `visit` for each entry that `entries` would give, without making an object of it.
   *
   * @throws {RangeError} when there is no such shard
   */
  forEach(visit: (value: V, key: K, weight: number) => void, shard?: number): void {
    for (const chosen of this.#chosen(shard)) {
      const { slots, epoch } = chosen.snapshot();
      for (const slot of slots) {
        if (chosen.isStill(slot, epoch)) visit(chosen.valueAt(slot), chosen.keyAt(slot), chosen.weightAt(slot));
      }
    }
  }

  /**
   * Lists all entries of a shard, or of all of them, as `load` takes them: from the most to the least recently used.
   *
   * Which of two entries in different shards was used later isn't known. All shards are merged by how far down its own shard an entry is,
   * which comes near it, as keys are spread evenly. A big cache is better saved shard by shard, with other work in between.
   *
   * @throws {RangeError} when there is no such shard
   */
  save(shard?: number): LruEntry<K, V>[] {
    return interleave(this.#chosen(shard).map((chosen) => chosen.list()));
  }

  /**
   * Adds entries that `save` has listed, each behind all that its shard holds, as long as there is room. Nothing is evicted for them.
   * How many shards there were when they were saved doesn't matter.
   *
   * It ends with the first entry for which there is no room, as all that follow have been used less recently still: because the limits
   * are reached, or its shard is full. Entries that are heavier than `maxWeight`, and keys that are there already, are passed over; a
   * source that gives nothing else must end by itself.
   *
   * @param lists one, which is read as far as there is room; or several, such as those of each shard, which are first read to their ends
   *   and merged as `save` does: a call for each would put all of one before the next. (A cache in several
   *   shards is iterated one after the other, so give `cache.save()`, not the cache.)
   * @throws {RangeError} when a weight is no whole number of 1 or more, or would leave the sum of all no longer exact; the entries before
   *   it are loaded
   */
  load(...lists: readonly Iterable<LruEntry<K, V>>[]): void {
    const [only] = lists;
    const entries = lists.length === 1 && only !== undefined ? only : interleave(lists.map((list) => [...list]));
    const tally = this.#tally;
    if (tally.isAtLimit) return;
    for (const { key, value, weight } of entries) {
      checkWeight(weight);
      if (weight > tally.maxWeight) continue;
      const shard = this.#table.of(key);
      if (shard.find(key) !== 0) continue;
      if (weight > tally.maxWeight - tally.weight || shard.isFull) return;
      shard.addLast(key, value, weight);
      if (tally.isAtLimit) return;
    }
  }

  #shardAt(shard: number): Shard<K, V> {
    checkWholeNumber('shard', shard, { max: this.shardCount - 1 });
    return this.#table.all[shard] as Shard<K, V>;
  }

  #chosen(shard: number | undefined): readonly Shard<K, V>[] {
    return shard === undefined ? this.#table.all : [this.#shardAt(shard)];
  }
}

/** @param slot the key's; 0 if the shard doesn't have it */
function admitTo<K, V>(shard: Shard<K, V>, slot: number, key: K, value: V, weight: number): void {
  if (slot === 0) {
    shard.addFirst(key, value, weight);
  } else {
    shard.replace(slot, value, weight);
    shard.promote(slot);
  }
}

function* entriesOf<K, V>(shards: readonly Shard<K, V>[]): Generator<LruEntry<K, V>, undefined> {
  for (const shard of shards) {
    const { slots, epoch } = shard.snapshot();
    for (const slot of slots) if (shard.isStill(slot, epoch)) yield shard.entryAt(slot);
  }
}
