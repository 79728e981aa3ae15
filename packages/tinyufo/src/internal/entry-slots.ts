/**
 * Where the entries are: each in a slot, a whole number, under which arrays hold its parts. The slots of a queue make a ring through its head.
 *
 * ```
 *   slot                 0       1       2    3    4    5
 *                        small   main    a    b    ·    c        the first two are heads: an empty queue's head is next to itself
 *   next                 2       1       5    4    0    0        small:  0 ⇄ 2 ⇄ 5 ⇄ 0     free:  3 ▶ …
 *   previous, hashes, weights, states, keys, values
 * ```
 * Rules:
 * - An entry keeps its slot until it leaves.
 * - A free slot has weight 0 and holds neither key nor value. Slots of entries are 2 or more, so 0 says "none" elsewhere.
 */

/** The queue of newcomers, by the slot of its head. */
export const smallQueue = 0;
/** The queue of entries that have proved useful, by the slot of its head. */
export const mainQueue = 1;
/** Most reads that an entry is credited with. */
export const highestUses = 3;

const firstSlot = 2;
/** Of the arrays of an empty cache, heads included. */
const initialLength = 16;
const usesMask = 0b011;
const mainBit = 0b100;

/** The slots of a cache. Its arrays are replaced when it grows or is cleared: read them from here each time. */
export class EntrySlots<K, V> {
  keys: (K | undefined)[] = [undefined, undefined];
  values: (V | undefined)[] = [undefined, undefined];
  hashes = new Int32Array(0);
  weights = new Uint16Array(0);
  #states = new Uint8Array(0);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #freeSlot = 0;
  readonly #maxLength: number;

  /** @param maxCount most entries that there will be at once */
  constructor(maxCount: number) {
    this.#maxLength = maxCount + firstSlot;
    this.clear();
  }

  /** All slots below this one are, or were, an entry's. */
  get end(): number {
    return this.keys.length;
  }

  /** The first slot that can hold an entry. */
  get start(): number {
    return firstSlot;
  }

  /** Puts an entry in a free slot, in no queue yet. @returns the slot */
  occupy(key: K, value: V, weight: number, hash: number): number {
    let slot = this.#freeSlot;
    if (slot === 0) {
      slot = this.keys.length;
      if (slot === this.hashes.length) this.#grow();
      this.keys.push(key);
      this.values.push(value);
    } else {
      this.#freeSlot = this.#next[slot] as number;
      this.keys[slot] = key;
      this.values[slot] = value;
    }
    this.hashes[slot] = hash;
    this.weights[slot] = weight;
    return slot;
  }

  /** Frees the slot of an entry, which is in no queue any more. */
  vacate(slot: number): void {
    // Or the collector would keep what nobody can reach.
    this.keys[slot] = undefined;
    this.values[slot] = undefined;
    this.weights[slot] = 0;
    this.#next[slot] = this.#freeSlot;
    this.#freeSlot = slot;
  }

  /** Frees all slots, and gives back the memory that they took. */
  clear(): void {
    const length = Math.min(initialLength, this.#maxLength);
    this.keys = [undefined, undefined];
    this.values = [undefined, undefined];
    this.hashes = new Int32Array(length);
    this.weights = new Uint16Array(length);
    this.#states = new Uint8Array(length);
    this.#next = new Int32Array(length);
    this.#previous = new Int32Array(length);
    this.#freeSlot = 0;
    for (const queue of [smallQueue, mainQueue]) {
      this.#next[queue] = queue;
      this.#previous[queue] = queue;
    }
  }

  /** The oldest of a queue; the queue's own number if there is none. */
  oldest(queue: number): number {
    return this.#next[queue] as number;
  }

  isEmpty(queue: number): boolean {
    return this.#next[queue] === queue;
  }

  /** Appends an entry that is in no queue, with the uses it has counted. */
  append(slot: number, queue: number, uses: number): void {
    const newest = this.#previous[queue] as number;
    this.#next[newest] = slot;
    this.#previous[slot] = newest;
    this.#next[slot] = queue;
    this.#previous[queue] = slot;
    this.#states[slot] = queue === mainQueue ? uses | mainBit : uses;
  }

  /** Takes an entry out of its queue. */
  unlink(slot: number): void {
    const next = this.#next[slot] as number;
    const previous = this.#previous[slot] as number;
    this.#next[previous] = next;
    this.#previous[next] = previous;
  }

  isInMain(slot: number): boolean {
    return (this.#states[slot] as number) >= mainBit;
  }

  /** How often an entry was used since it came, at most three; less what the main queue has taken off. */
  usesOf(slot: number): number {
    return (this.#states[slot] as number) & usesMask;
  }

  /** Counts a use. */
  use(slot: number): void {
    const state = this.#states[slot] as number;
    if ((state & usesMask) < highestUses) this.#states[slot] = state + 1;
  }

  #grow(): void {
    // By half: what is copied stays below three times what is held, and the last growth of a full cache goes exactly to its end.
    const length = Math.min(this.#maxLength, Math.ceil(this.hashes.length * 1.5));
    this.hashes = grown(this.hashes, new Int32Array(length));
    this.weights = grown(this.weights, new Uint16Array(length));
    this.#states = grown(this.#states, new Uint8Array(length));
    this.#next = grown(this.#next, new Int32Array(length));
    this.#previous = grown(this.#previous, new Int32Array(length));
  }
}

function grown<T extends Int32Array | Uint16Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
