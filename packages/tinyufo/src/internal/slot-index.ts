/** From a key to its entry's slot: a `Map`, or a table of integers that needs a fifth of its memory. */
import type { EntrySlots } from './entry-slots.ts';

const initialPlaces = 16;

/** No slot: entries have other numbers. */
export const noSlot = 0;

/** Finds entries by their keys. A `hash` is always the key's. */
export interface SlotIndex<K> {
  /** @returns the slot, or `noSlot`, as for whatever is neither text nor a number */
  find(key: K): number;
  /** As `find`, for those who have hashed the key. @returns the slot, or `noSlot` */
  findHashed(key: K, hash: number): number;
  /** Adds the entry of a slot, whose key isn't there. */
  add(key: K, hash: number, slot: number): void;
  /** Takes out the entry of a slot, while the slot still holds it. */
  delete(key: K, hash: number, slot: number): void;
  /** Takes out all, and gives back the memory that they took. */
  clear(): void;
}

/** On a `Map`: V8 keeps the hash of each string in the string, so looking up costs little however long the key. */
export class MapIndex<K> implements SlotIndex<K> {
  readonly #slots = new Map<K, number>();

  find(key: K): number {
    return this.#slots.get(key) ?? noSlot;
  }

  findHashed(key: K, _hash: number): number {
    return this.#slots.get(key) ?? noSlot;
  }

  add(key: K, _hash: number, slot: number): void {
    this.#slots.set(key, slot);
  }

  delete(key: K, _hash: number, _slot: number): void {
    this.#slots.delete(key);
  }

  clear(): void {
    this.#slots.clear();
  }
}

/**
 * A hash table with linear probing: each place holds a slot, at or after the place that the hash of its key names, with no hole
 * between. Deleting moves the followers back (Knuth, TAOCP 6.4, algorithm R), so that nothing but entries is ever in it.
 */
export class CompactIndex<K> implements SlotIndex<K> {
  readonly #entries: EntrySlots<K, unknown>;
  readonly #hashOf: (key: K) => number;
  #places: Int32Array;
  #mask: number;
  #count = 0;

  constructor(entries: EntrySlots<K, unknown>, hashOf: (key: K) => number) {
    this.#entries = entries;
    this.#hashOf = hashOf;
    this.#places = new Int32Array(initialPlaces);
    this.#mask = initialPlaces - 1;
  }

  find(key: K): number {
    // Programs without types pass others too: a hash may not take them, and none of them is ever there.
    if (!isKey(key)) return noSlot;
    return this.findHashed(key, this.#hashOf(key) | 0);
  }

  findHashed(key: K, hash: number): number {
    const places = this.#places;
    const mask = this.#mask;
    const { hashes, keys } = this.#entries;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const slot = places[place] as number;
      if (slot === noSlot || (hashes[slot] === hash && isSameKey(keys[slot], key))) return slot;
    }
  }

  add(_key: K, hash: number, slot: number): void {
    // At most three quarters full: a miss then looks at 8.5 places on average, a hit at 2.5 (Knuth, TAOCP 6.4).
    if (this.#count >= this.#places.length * 0.75) this.#grow();
    this.#count++;
    this.#place(hash, slot);
  }

  delete(_key: K, hash: number, slot: number): void {
    const places = this.#places;
    const mask = this.#mask;
    const { hashes } = this.#entries;
    let hole = hash & mask;
    while (places[hole] !== slot) hole = (hole + 1) & mask;
    this.#count--;
    for (let place = (hole + 1) & mask; ; place = (place + 1) & mask) {
      const follower = places[place] as number;
      if (follower === noSlot) break;
      // Stays where it is if its own place lies after the hole; distances are taken backwards from `place`, around the end.
      const distance = (place - (hashes[follower] as number)) & mask;
      if (distance < ((place - hole) & mask)) continue;
      places[hole] = follower;
      hole = place;
    }
    places[hole] = noSlot;
  }

  clear(): void {
    this.#places = new Int32Array(initialPlaces);
    this.#mask = initialPlaces - 1;
    this.#count = 0;
  }

  #place(hash: number, slot: number): void {
    const places = this.#places;
    const mask = this.#mask;
    let place = hash & mask;
    while (places[place] !== noSlot) place = (place + 1) & mask;
    places[place] = slot;
  }

  #grow(): void {
    const old = this.#places;
    this.#places = new Int32Array(old.length * 2);
    this.#mask = this.#places.length - 1;
    const { hashes } = this.#entries;
    for (const slot of old) if (slot !== noSlot) this.#place(hashes[slot] as number, slot);
  }
}

/** Whether a cache takes it for a key. */
export function isKey(key: unknown): key is string | number {
  return typeof key === 'string' || typeof key === 'number';
}

/** Equality as a `Map` sees it: NaN is NaN, and 0 is −0. */
function isSameKey(a: unknown, b: unknown): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}
