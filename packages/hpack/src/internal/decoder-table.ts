/**
 * The dynamic table of a decoder (RFC 7541 §2.3.2): a ring whose newest entry has index 62.
 *
 * ```
 *   slots:   [ . | old | … | … | new | . | . | . ]        index 62 = newest, 62 + count - 1 = oldest
 *                  ^ newest - count + 1   ^ newest
 * ```
 * Sizes and tags lie in typed arrays; the ring grows by doubling up to one slot for every 32 bytes, as no entry counts less (§4.1).
 */
import { ENTRY_OVERHEAD } from '../static-table.ts';

const NO_NUMBERS = new Int32Array(0);

/** Entries of a decoder's dynamic table. The arrays are read directly by slot: see `slotOf`. */
export class DecoderTable {
  names: string[] = [];
  values: string[] = [];
  tags: Int32Array = NO_NUMBERS;
  sizes: Int32Array = NO_NUMBERS;
  count = 0;
  /** Sum of the entries' sizes: never above `capacity`. */
  size = 0;
  capacity: number;
  /** Entries evicted so far, in all. */
  evictionCount = 0;
  #mask = -1;
  #newest = -1;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** @param offset 0 for the newest entry, below `count` */
  slotOf(offset: number): number {
    return (this.#newest - offset) & this.#mask;
  }

  /** Adds a field after making room for it; one that is larger than the table empties it and is not added (RFC 7541 §4.4). */
  add(name: string, value: string, size: number, tag: number): void {
    this.#evictTo(this.capacity - size);
    if (size > this.capacity) return;
    if (this.count > this.#mask) this.#grow();
    const slot = (this.#newest + 1) & this.#mask;
    this.#newest = slot;
    this.names[slot] = name;
    this.values[slot] = value;
    this.sizes[slot] = size;
    this.tags[slot] = tag;
    this.count += 1;
    this.size += size;
  }

  /** A table size update (RFC 7541 §4.3). */
  resize(capacity: number): void {
    this.capacity = capacity;
    this.#evictTo(capacity);
    if (capacity >= ENTRY_OVERHEAD) return;
    this.names = [];
    this.values = [];
    this.sizes = NO_NUMBERS;
    this.tags = NO_NUMBERS;
    this.#mask = -1;
    this.#newest = -1;
  }

  /** Evicts the oldest entries until at most `size` bytes are left; a negative one empties the table. */
  #evictTo(size: number): void {
    while (this.size > size && this.count > 0) {
      this.count -= 1;
      this.evictionCount += 1;
      const slot = this.slotOf(this.count);
      this.size -= this.sizes[slot] as number;
      // Nothing else may keep them alive.
      this.names[slot] = '';
      this.values[slot] = '';
    }
  }

  #grow(): void {
    const length = Math.max(16, 2 * (this.#mask + 1));
    const names = new Array<string>(length).fill('');
    const values = new Array<string>(length).fill('');
    const sizes = new Int32Array(length);
    const tags = new Int32Array(length);
    for (let i = 0; i < this.count; i++) {
      const from = this.slotOf(this.count - 1 - i);
      names[i] = this.names[from] as string;
      values[i] = this.values[from] as string;
      sizes[i] = this.sizes[from] as number;
      tags[i] = this.tags[from] as number;
    }
    this.names = names;
    this.values = values;
    this.sizes = sizes;
    this.tags = tags;
    this.#newest = this.count - 1;
    this.#mask = length - 1;
  }
}
