/**
 * A cache in memory: S3-FIFO decides what leaves, TinyLFU whether a newcomer is worth it.
 *
 * ```
 *                       used twice or more              used: once less, back to the end
 *   newcomer ──▶ small ─────────────────────▶ main ◀─────┐
 *              (a tenth)                        │────────┘
 *                  │ used less                  │ not used
 *                  ▼                            ▼
 *               victim ◀────────────────────────┘     the newcomer comes in, unless the victim was written more often of late
 * ```
 * Rules:
 * - Reading counts a use, three at most, and moves nothing: that is why it is cheap.
 * - A victim comes from the small queue while that has its share or more, or there is no other; else from the main queue.
 * - If exactly one victim makes enough room, and its key was written more often of late than the newcomer's, it goes back to the small
 *   queue, with no uses, and the newcomer is refused.
 * - Only writes are counted in the sketch: what is read often is in the cache, and need not be told from what isn't.
 * - The entries never weigh more than `maxWeight` together, and are never more than `maxCount`.
 *
 * Sources: Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023); Einziger et al., "TinyLFU" (2017), which stands
 * in for S3-FIFO's ghost queue, as in Cloudflare's TinyUFO.
 */
import { checkWholeNumber } from '@ferrata/error';
import { EntrySlots, mainQueue, smallQueue } from './internal/entry-slots.ts';
import { FrequencySketch } from './internal/frequency-sketch.ts';
import { CompactIndex, isKey, MapIndex, noSlot, type SlotIndex } from './internal/slot-index.ts';
import { resolveTinyUfoOptions, type TinyUfoOptions } from './options.ts';

/** What a cache held, or holds, under a key. */
export interface TinyUfoEntry<K extends string | number, V> {
  readonly key: K;
  readonly value: V;
  readonly weight: number;
}

/**
 * Counters of the sketch for each entry expected. Measured over Zipf 0.9 to 1.5 and caches of 0.5 to 25 % of the items: with 16 no hit ratio is
 * more than 0.2 points below Pingora's, with 4 none more than 0.9; Pingora's own compact form, with 0.2 and less, is up to 1.4 below.
 */
const countersPerEntry = 16;
const compactCountersPerEntry = 4;
/** Increments between two halvings: as TinyUFO's. */
const incrementsPerEntryAndAge = 8;
const weightRange = { min: 1, max: 0xffff } as const;
const nothing: readonly never[] = Object.freeze([]);

/**
 * A cache of values under keys that are texts or numbers, bounded in weight. Keys are equal as in a `Map`. Nothing is ever found under what is
 * neither text nor a number, and nothing can be put there.
 */
export class TinyUfo<K extends string | number, V> {
  readonly #maxWeight: number;
  readonly #maxCount: number;
  readonly #maxSmallWeight: number;
  readonly #maxSmallCount: number;
  readonly #hashOf: (key: K) => number;
  readonly #sketch: FrequencySketch;
  readonly #slots: EntrySlots<K, V>;
  readonly #index: SlotIndex<K>;
  #count = 0;
  #weight = 0;
  #smallCount = 0;
  #smallWeight = 0;

  /** @throws {RangeError} when an option is out of its range */
  constructor(options: TinyUfoOptions<K>) {
    const { maxWeight, maxCount, expectedCount, isCompact, hashOf } = resolveTinyUfoOptions(options);
    this.#maxWeight = maxWeight;
    this.#maxCount = maxCount;
    this.#maxSmallWeight = Math.floor(maxWeight / 10) + 1;
    this.#maxSmallCount = Math.floor(maxCount / 10) + 1;
    this.#hashOf = hashOf;
    this.#sketch = new FrequencySketch(
      expectedCount * (isCompact ? compactCountersPerEntry : countersPerEntry),
      expectedCount * incrementsPerEntryAndAge,
    );
    this.#slots = new EntrySlots(Math.min(maxWeight, maxCount));
    this.#index = isCompact ? new CompactIndex(this.#slots, hashOf) : new MapIndex();
  }

  /** How many entries there are. */
  get size(): number {
    return this.#count;
  }

  /** What the entries weigh together. */
  get weight(): number {
    return this.#weight;
  }

  /** Most that they may weigh. */
  get maxWeight(): number {
    return this.#maxWeight;
  }

  /** Whether there is an entry; counts no use. */
  has(key: K): boolean {
    return this.#index.find(key) !== noSlot;
  }

  /** Reads a value without counting a use. @returns undefined if there is no entry */
  peek(key: K): V | undefined {
    // Slot 0, which says that there is none, has no value.
    return this.#slots.values[this.#index.find(key)];
  }

  /** Reads a value, and counts a use of its entry. @returns undefined if there is no entry */
  get(key: K): V | undefined {
    const slot = this.#index.find(key);
    if (slot === noSlot) return undefined;
    this.#slots.use(slot);
    return this.#slots.values[slot];
  }

  /**
   * Visits all entries, in no particular order. The cache may change meanwhile: an entry that is there from this call until it is reached is
   * visited exactly once, one that has left is not, and one that came meanwhile may be. However many come, it ends: it visits no more
   * than the most that there had been at once before this call.
   */
  entries(): IterableIterator<TinyUfoEntry<K, V>> {
    return this.#entriesBefore(this.#slots.end);
  }

  /**
   * Visits the entries in a number of places, for a walk in steps that each take bounded time: places without an entry count too.
   *
   * @param from the place to begin at, 0 or what the last step returned
   * @param maxPlaces most places to look at; a step that returns less than `from + maxPlaces` has come to the end
   * @param visit called for each entry, in no particular order; it may change the cache
   * @returns the place after the last one looked at
   * @throws {RangeError} when `from` is not a whole number, 0 or more, or `maxPlaces` neither that nor `Infinity`
   */
  visit(from: number, maxPlaces: number, visit: (key: K, value: V, weight: number) => void): number {
    checkWholeNumber('from', from);
    checkWholeNumber('maxPlaces', maxPlaces, { max: Infinity });
    const slots = this.#slots;
    const { start } = slots;
    let slot = start + from;
    // The end is where it is now: a visitor that adds entries doesn't put it off. It may also clear the cache.
    for (const end = Math.min(slot + maxPlaces, slots.end); slot < end && slot < slots.end; slot++) {
      const weight = slots.weights[slot] as number;
      if (weight !== 0) visit(slots.keys[slot] as K, slots.values[slot] as V, weight);
    }
    return slot - start;
  }

  /**
   * Writes a value: in place of the key's old one, as a use of it, or as a newcomer, which is refused if the entry that would have to
   * leave was written more often of late.
   *
   * @param weight a whole number from 1 to 65 535; default 1
   * @returns what left for it, the newcomer itself if it was refused; not the value that was replaced. A value that is
   * heavier than the one it replaces may be what leaves. A refused or evicted key has no entry: no old value outlives a new one.
   * @throws {RangeError} when `weight` is out of its range
   * @throws {TypeError} when the key is neither text nor a number; with either, the cache is as it was
   */
  put(key: K, value: V, weight = 1): readonly TinyUfoEntry<K, V>[] {
    return this.#write(key, value, weight, false);
  }

  /**
   * Writes a value as `put` does, but refuses only what weighs more than the whole cache may, and then the key has that value: for
   * one that others are waiting to read from here. Used for everything it costs up to 1.5 points of hit ratio.
   *
   * @param weight a whole number from 1 to 65 535; default 1
   * @returns what left for it
   * @throws {RangeError} when `weight` is out of its range
   * @throws {TypeError} when the key is neither text nor a number; with either, the cache is as it was
   */
  forcePut(key: K, value: V, weight = 1): readonly TinyUfoEntry<K, V>[] {
    return this.#write(key, value, weight, true);
  }

  /** Removes an entry. @returns its value; undefined if there is none */
  remove(key: K): V | undefined {
    const slot = this.#index.find(key);
    if (slot === noSlot) return undefined;
    const value = this.#slots.values[slot];
    this.#erase(this.#detach(slot));
    return value;
  }

  /** Removes all entries, gives back the memory that they took, and forgets what it knows about frequencies. The sketch of those keeps its size. */
  clear(): void {
    this.#index.clear();
    this.#slots.clear();
    this.#sketch.clear();
    this.#count = 0;
    this.#weight = 0;
    this.#smallCount = 0;
    this.#smallWeight = 0;
  }

  #write(key: K, value: V, weight: number, isForced: boolean): readonly TinyUfoEntry<K, V>[] {
    // The check itself takes longer than these comparisons.
    if (!((weight | 0) === weight && weight >= weightRange.min && weight <= weightRange.max))
      checkWholeNumber('weight', weight, weightRange);
    // Here and not in the hash, which may be the caller's own and take anything.
    if (!isKey(key)) throw new TypeError(`a key must be a string or a number, not ${typeof key}`);
    const hash = this.#hashOf(key) | 0;
    const frequency = this.#sketch.increment(hash);
    const slot = this.#index.findHashed(key, hash);
    if (slot !== noSlot) return this.#rewrite(slot, value, weight, isForced);
    if (weight > this.#maxWeight) return [{ key, value, weight }];

    let evicted = nothing as readonly TinyUfoEntry<K, V>[];
    if (!this.#hasRoom(weight, 1)) {
      const victim = this.#detachVictim();
      if (!isForced && this.#hasRoom(weight, 1) && this.#sketch.estimate(this.#slots.hashes[victim] as number) > frequency) {
        this.#attach(victim);
        return [{ key, value, weight }];
      }
      evicted = this.#evict(victim, weight, 1);
    }
    const newcomer = this.#slots.occupy(key, value, weight, hash);
    this.#index.add(key, hash, newcomer);
    this.#attach(newcomer);
    return evicted;
  }

  #rewrite(slot: number, value: V, weight: number, isForced: boolean): readonly TinyUfoEntry<K, V>[] {
    const slots = this.#slots;
    slots.values[slot] = value;
    slots.use(slot);
    const more = weight - (slots.weights[slot] as number);
    if (more === 0) return nothing;
    slots.weights[slot] = weight;
    this.#weight += more;
    if (!slots.isInMain(slot)) this.#smallWeight += more;
    // What can't fit is first to go: to throw others out for it would be in vain.
    if (weight > this.#maxWeight) {
      const entry = this.#entryIn(slot);
      this.#erase(this.#detach(slot));
      return [entry];
    }
    if (this.#hasRoom(0, 0)) return nothing;
    if (!isForced) return this.#evict(this.#detachVictim(), 0, 0);
    // A value forced in must not fall victim to its own weight: it stands aside, and comes back as new.
    this.#detach(slot);
    const evicted = this.#evict(this.#detachVictim(), weight, 1);
    this.#attach(slot);
    return evicted;
  }

  #hasRoom(weight: number, count: number): boolean {
    return this.#weight + weight <= this.#maxWeight && this.#count + count <= this.#maxCount;
  }

  /** Erases a victim, and as many more as it takes until there is room. */
  #evict(victim: number, weight: number, count: number): readonly TinyUfoEntry<K, V>[] {
    const evicted = [this.#entryIn(victim)];
    this.#erase(victim);
    while (!this.#hasRoom(weight, count)) {
      const next = this.#detachVictim();
      evicted.push(this.#entryIn(next));
      this.#erase(next);
    }
    return evicted;
  }

  /** Takes the entry that is least worth keeping out of its queue. There must be one. */
  #detachVictim(): number {
    const slots = this.#slots;
    if (this.#smallWeight >= this.#maxSmallWeight || this.#smallCount >= this.#maxSmallCount || slots.isEmpty(mainQueue)) {
      while (!slots.isEmpty(smallQueue)) {
        const slot = slots.oldest(smallQueue);
        if (slots.usesOf(slot) <= 1) return this.#detach(slot);
        this.#promote(slot);
      }
    }
    // Each turn takes off a use, which somebody has paid for: so it ends, and costs no more than the uses did.
    for (;;) {
      const slot = slots.oldest(mainQueue);
      const uses = slots.usesOf(slot);
      if (uses === 0) return this.#detach(slot);
      slots.unlink(slot);
      slots.append(slot, mainQueue, uses - 1);
    }
  }

  #promote(slot: number): void {
    const slots = this.#slots;
    slots.unlink(slot);
    slots.append(slot, mainQueue, slots.usesOf(slot));
    this.#smallCount--;
    this.#smallWeight -= slots.weights[slot] as number;
  }

  /** Puts an entry in the small queue, as new. */
  #attach(slot: number): void {
    const weight = this.#slots.weights[slot] as number;
    this.#slots.append(slot, smallQueue, 0);
    this.#count++;
    this.#weight += weight;
    this.#smallCount++;
    this.#smallWeight += weight;
  }

  /** Takes an entry out of its queue. @returns its slot */
  #detach(slot: number): number {
    const weight = this.#slots.weights[slot] as number;
    this.#slots.unlink(slot);
    this.#count--;
    this.#weight -= weight;
    if (!this.#slots.isInMain(slot)) {
      this.#smallCount--;
      this.#smallWeight -= weight;
    }
    return slot;
  }

  /** Ends the stay of an entry that is in no queue any more. */
  #erase(slot: number): void {
    const key = this.#slots.keys[slot] as K;
    this.#index.delete(key, this.#slots.hashes[slot] as number, slot);
    this.#slots.vacate(slot);
  }

  *#entriesBefore(end: number): Generator<TinyUfoEntry<K, V>, undefined> {
    // The slots may end earlier than they did: the cache may have been cleared.
    for (let slot = this.#slots.start; slot < end && slot < this.#slots.end; slot++) {
      if (this.#slots.weights[slot] !== 0) yield this.#entryIn(slot);
    }
  }

  #entryIn(slot: number): TinyUfoEntry<K, V> {
    const { keys, values, weights } = this.#slots;
    return { key: keys[slot] as K, value: values[slot] as V, weight: weights[slot] as number };
  }
}
