/**
 * One shard: a map from keys to slots, and the slots' fields side by side in arrays. No object is made for an entry, so the collector has
 * nothing to follow but keys and values.
 *
 * ```
 *   slotOf:   key ──▶ slot
 *   links:    slot 0 ⇄ most recent ⇄ … ⇄ least recent ⇄ slot 0      slot 0 is no entry: the ring's beginning and end
 *             [2 × slot] the next less recent, [2 × slot + 1] the next more recent
 *   freed:    slot ──▶ slot ──▶ … ──▶ 0                             through [2 × slot] of `links`
 * ```
 * Rules:
 * - A slot is an entry's for all its stay. One that was given back is used again before a new one.
 * - `births` says in which epoch a slot's entry came, and `snapshot` begins a new epoch: one comparison tells whoever holds a snapshot
 *   whether the entry it means is still there, or its slot has been given back, or given to another.
 * - Who doesn't use it doesn't pay for it: `births` is made by the first snapshot, `weights` by the first weight that isn't 1.
 * - An operation that throws, because a weight is too much or memory is out, has changed nothing.
 * - The arrays are replaced when they grow, and shrink only when all is cleared.
 *
 * The methods are not private ones, even where only this class calls them: V8 doesn't inline those.
 */
import type { LruEntry } from '../lru-entry.ts';
import { checkTotalWeight } from './check-weight.ts';
import { nextCapacity } from './next-capacity.ts';
import type { Tally } from './tally.ts';

/** What a shard held at one moment. */
export interface Snapshot {
  /** From the most to the least recently used. */
  readonly slots: Int32Array;
  readonly epoch: number;
}

/** The birth in a slot that was given back: later than every epoch. */
const unborn = Infinity;

export class Shard<K, V> {
  size = 0;
  weight = 0;
  readonly #tally: Tally;
  readonly #maxSize: number;
  readonly #expectedSize: number;
  readonly #slotOf = new Map<K, number>();
  #links = new Int32Array(2);
  #keys: (K | undefined)[] = [];
  #values: (V | undefined)[] = [];
  /** Null while every entry weighs 1. */
  #weights: Float64Array | null = null;
  /** Null until there has been a snapshot. */
  #births: Float64Array | null = null;
  /** Begun by each snapshot; counts beyond the 32-bit integers, and will not come round. */
  #epoch = 0;
  /** Slots from here on have never been used. */
  #unused = 1;
  /** The slot given back last; 0 if there is none. */
  #freed = 0;

  /**
   * @param tally where the shard's size and weight are counted too
   * @param maxSize most entries that it can hold
   * @param expectedSize most entries that the shard is expected to hold, for arrays of the right length; not a limit
   */
  constructor(tally: Tally, maxSize: number, expectedSize: number) {
    this.#tally = tally;
    this.#maxSize = maxSize;
    this.#expectedSize = expectedSize;
  }

  /** The key's slot; 0 if the shard doesn't have the key. */
  find(key: K): number {
    return this.#slotOf.get(key) ?? 0;
  }

  /** Whether an entry has to leave before another one can come. */
  get isFull(): boolean {
    return this.size >= this.#maxSize;
  }

  /** The slot of the least recently used entry; 0 if there is none. */
  get oldest(): number {
    return this.#links[1] as number;
  }

  keyAt(slot: number): K {
    return this.#keys[slot] as K;
  }

  valueAt(slot: number): V {
    return this.#values[slot] as V;
  }

  weightAt(slot: number): number {
    return this.#weights === null ? 1 : (this.#weights[slot] as number);
  }

  entryAt(slot: number): LruEntry<K, V> {
    return { key: this.keyAt(slot), value: this.valueAt(slot), weight: this.weightAt(slot) };
  }

  /** Whether the slot's entry is one of the first `count` in the order of use, the most recent first. */
  isWithinFirst(slot: number, count: number): boolean {
    const links = this.#links;
    let at = links[0] as number;
    for (let seen = 0; seen < count && at !== 0; seen++) {
      if (at === slot) return true;
      at = links[2 * at] as number;
    }
    return false;
  }

  /** Lists what the shard holds now, for `isStill` to compare with later. */
  snapshot(): Snapshot {
    const slots = new Int32Array(this.size);
    let at = this.#links[0] as number;
    for (let index = 0; index < slots.length; index++) {
      slots[index] = at;
      at = this.#links[2 * at] as number;
    }
    // Nobody knows in which epoch they came. It must not be an earlier one: there may be snapshots from before a `clear`.
    this.#births ??= new Float64Array(this.#links.length / 2).fill(this.#epoch);
    return { slots, epoch: this.#epoch++ };
  }

  /** Lists all entries as they are now, from the most to the least recently used. */
  list(): LruEntry<K, V>[] {
    const entries: LruEntry<K, V>[] = [];
    for (let at = this.#links[0] as number; at !== 0; at = this.#links[2 * at] as number) entries.push(this.entryAt(at));
    return entries;
  }

  /** Whether a slot of a snapshot still holds the entry it held then. */
  isStill(slot: number, epoch: number): boolean {
    return this.#births !== null && (this.#births[slot] as number) <= epoch;
  }

  /** Makes the slot's entry the most recently used. */
  promote(slot: number): void {
    const links = this.#links;
    if (links[0] === slot) return;
    unlink(links, slot);
    linkBetween(links, 0, slot, links[0] as number);
  }

  /** @throws {RangeError} when the cache's weight would no longer be exact */
  replace(slot: number, value: V, weight: number): void {
    this.setWeight(slot, weight);
    this.#values[slot] = value;
  }

  /** @throws {RangeError} when the cache's weight would no longer be exact */
  setWeight(slot: number, weight: number): void {
    const change = weight - this.weightAt(slot);
    checkTotalWeight(this.#tally.weight + change);
    this.writeWeight(slot, weight);
    this.weight += change;
    this.#tally.weight += change;
  }

  /**
   * Adds an entry under a key that the shard doesn't have, as the most recently used.
   *
   * @throws {RangeError} when the cache's weight would no longer be exact, or the shard is full
   */
  addFirst(key: K, value: V, weight: number): void {
    const slot = this.occupy(key, value, weight);
    const links = this.#links;
    linkBetween(links, 0, slot, links[0] as number);
  }

  /** The same as the least recently used. */
  addLast(key: K, value: V, weight: number): void {
    const slot = this.occupy(key, value, weight);
    const links = this.#links;
    linkBetween(links, links[1] as number, slot, 0);
  }

  /** Gives a slot back. */
  release(slot: number): void {
    const weight = this.weightAt(slot);
    this.#slotOf.delete(this.#keys[slot] as K);
    // Or the collector would keep what nobody can reach.
    this.#keys[slot] = undefined;
    this.#values[slot] = undefined;
    if (this.#births !== null) this.#births[slot] = unborn;
    const links = this.#links;
    unlink(links, slot);
    links[2 * slot] = this.#freed;
    this.#freed = slot;
    this.size--;
    this.weight -= weight;
    this.#tally.size--;
    this.#tally.weight -= weight;
  }

  /** Gives the slot of the least recently used entry back, and counts it as evicted. There must be one. */
  evict(): void {
    const slot = this.oldest;
    this.#tally.evictedCount++;
    this.#tally.evictedWeight += this.weightAt(slot);
    this.release(slot);
  }

  /** Gives all slots back, and the memory they took. The epoch goes on, so that snapshots know. */
  clear(): void {
    this.#tally.size -= this.size;
    this.#tally.weight -= this.weight;
    this.size = 0;
    this.weight = 0;
    this.#slotOf.clear();
    this.#links = new Int32Array(2);
    this.#keys = [];
    this.#values = [];
    this.#weights = null;
    this.#births = null;
    this.#unused = 1;
    this.#freed = 0;
  }

  /** Gives a free slot to an entry; it is not in the ring yet. */
  occupy(key: K, value: V, weight: number): number {
    checkTotalWeight(this.#tally.weight + weight);
    if (this.isFull) throw new RangeError(`shards must be more: one shard holds ${this.#maxSize} entries at most`);
    const isUnused = this.#freed === 0;
    const slot = isUnused ? this.#unused : this.#freed;
    if (2 * slot >= this.#links.length) this.grow();
    this.writeWeight(slot, weight);
    this.#slotOf.set(key, slot);
    // Nothing throws from here on.
    if (isUnused) this.#unused++;
    else this.#freed = this.#links[2 * slot] as number;
    this.#keys[slot] = key;
    this.#values[slot] = value;
    if (this.#births !== null) this.#births[slot] = this.#epoch;
    this.size++;
    this.weight += weight;
    this.#tally.size++;
    this.#tally.weight += weight;
    return slot;
  }

  writeWeight(slot: number, weight: number): void {
    if (this.#weights === null) {
      if (weight === 1) return;
      this.#weights = new Float64Array(this.#links.length / 2).fill(1);
    }
    this.#weights[slot] = weight;
  }

  grow(): void {
    // One more for slot 0, and one for the entry that is too much until another is evicted for it.
    const capacity = nextCapacity(this.#links.length / 2, this.#expectedSize + 2);
    const links = new Int32Array(2 * capacity);
    links.set(this.#links);
    const keys = grown(this.#keys, capacity);
    const values = grown(this.#values, capacity);
    const weights = this.#weights === null ? null : longer(this.#weights, capacity);
    const births = this.#births === null ? null : longer(this.#births, capacity);
    this.#links = links;
    this.#keys = keys;
    this.#values = values;
    this.#weights = weights;
    this.#births = births;
  }
}

function unlink(links: Int32Array, slot: number): void {
  const older = links[2 * slot] as number;
  const newer = links[2 * slot + 1] as number;
  links[2 * newer] = older;
  links[2 * older + 1] = newer;
}

function linkBetween(links: Int32Array, newer: number, slot: number, older: number): void {
  links[2 * slot] = older;
  links[2 * slot + 1] = newer;
  links[2 * newer] = slot;
  links[2 * older + 1] = slot;
}

function longer(numbers: Float64Array, capacity: number): Float64Array {
  const copy = new Float64Array(capacity);
  copy.set(numbers);
  return copy;
}

/** A copy with room for so many, and of exactly that length: an array that grows by itself takes half as much again. */
function grown<T>(items: readonly T[], capacity: number): (T | undefined)[] {
  // Filled from the start, its elements are of the one kind that never changes, whatever keys and values come.
  const copy = new Array<T | undefined>(capacity).fill(undefined);
  for (let index = 0; index < items.length; index++) copy[index] = items[index];
  return copy;
}
