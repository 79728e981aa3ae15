/**
 * The dynamic table of an encoder (RFC 7541 §2.3.2), found by name and length of the value:
 *
 * ```
 *   heads:   … | name 31, 24 octets | …
 *                       |
 *   entries: id 7  <--  id 9 … id 12       each knows the one before in its chain, and the one that came next into the table
 *              |                           the newest id of all has index 62
 *   ring:    … text/html; charset=utf-8 … Mon, 21 Oct 2013 20:13:21 GMT …      the octets of values
 * ```
 * Rules:
 * - Most names have one value of a length at a time, and that is compared at once. Where there are more, four characters of each tell them apart.
 * - Bounded work for each look-up, however many entries share a name, a length and those characters: {@link MAX_STEPS}, {@link MAX_COMPARED}. What lies behind is not
 *   found, which costs bytes on the connection of whoever made it so, and nobody time.
 * - Nothing is unlinked on eviction: an id that is older than the table ends its chain.
 * - A value enters as octets, and becomes a string, one of its own, when it is first looked for: most are evicted before that, and making the string costs
 *   more than all the rest of an insertion. The caller's string is kept only where it cannot be part of a larger one.
 * - A name that is in neither table any more is forgotten, so names that a peer makes up hold no memory beyond the table's size.
 */
import { latin1Decode } from '@ferrata/bytes';
import { ENTRY_OVERHEAD, STATIC_TABLE_LENGTH, STATIC_VALUES } from '../static-table.ts';
import { NameEntry, placedNameOf, staticNameOf } from './encoder-names.ts';
import { ValueRing } from './value-ring.ts';

/** Entries that agree with a value in name, length and print, and are compared with it. */
const MAX_COMPARED = 16;

/** Entries of a chain that are looked at, a nanosecond or two each; the default table has hardly more of all kinds. */
const MAX_STEPS = 128;

/** In place of a print that has not been asked for. */
const UNKNOWN = -1;

/** V8 cuts a string of so many characters and more out of another one by pointing into it, and joins two of them by pointing at both. */
export const MIN_SHARED_LENGTH = 13;

/** Ids have 30 bits: no engine needs a box for such a number, and a connection may go round. */
const BITS = 0x3fff_ffff;

const NO_HEADS: (Entry | null)[] = [];

/** An object each: a new connection pays for the entries that it has. Typed arrays for what it may have some day cost it a microsecond each. */
class Entry {
  readonly name: NameEntry;
  /** Empty where the value stands in the ring of values alone. */
  value: string;
  /** See `printOf`. */
  readonly print: number;
  /** As RFC 7541 §4.1 counts it. */
  readonly size: number;
  /** Where the value lies in the ring of values; −1 if it never did. */
  at: number;
  readonly id: number;
  /** The one before in the chain: older, or no longer there. */
  previous: Entry | null;
  /** The one that came next into the table. */
  newer: Entry | null = null;

  constructor(name: NameEntry, value: string, print: number, size: number, at: number, id: number, previous: Entry | null) {
    this.name = name;
    this.value = value;
    this.print = print;
    this.size = size;
    this.at = at;
    this.id = id;
    this.previous = previous;
  }
}

/** Chains that a table begins with; there are never fewer of them than entries. */
const FIRST_HEADS: readonly null[] = new Array<null>(64).fill(null);

/** Entries of an encoder's dynamic table. */
export class EncoderTable {
  capacity: number;
  size = 0;
  count = 0;
  /** Names that are not in the static table. */
  #names: Map<string, NameEntry> | null = null;
  #nameCount = 0;
  /** Ids count up from 1, and from 0 again behind 2^30. */
  #newestId = 0;
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  /** The newest entry of each chain; it may have been evicted. */
  #heads: (Entry | null)[] = NO_HEADS;
  readonly #ring = new ValueRing();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** @returns null if the name is in neither table */
  find(name: string): NameEntry | null {
    const placed = placedNameOf(name);
    if (placed !== null) return placed;
    return this.#names?.get(name) ?? staticNameOf(name);
  }

  /** @returns index of the field in both tables; 0 if it is in none */
  indexOf(entry: NameEntry, value: string): number {
    if (value.length === 0 && entry.staticIndex !== 0 && entry.valuesStart === entry.valuesEnd) return entry.staticIndex;
    for (let index = entry.valuesStart; index < entry.valuesEnd; index++) if (STATIC_VALUES[index] === value) return index;
    const { count } = this;
    if (count === 0) return 0;
    const { length } = value;
    const heads = this.#heads;
    const newest = this.#newestId;
    const size = entry.size + length;
    let found = heads[headOf(entry, length) & (heads.length - 1)] as Entry | null;
    let print = UNKNOWN;
    let compared = 0;
    for (let steps = MAX_STEPS; found !== null && steps > 0; steps--) {
      const age = (newest - found.id) & BITS;
      if (age >= count) return 0;
      if (found.size === size && found.name === entry) {
        if (print === UNKNOWN) {
          // Nearly always the first one of a length is it, and needs no print.
          if (found.value === value) return STATIC_TABLE_LENGTH + 1 + age;
          print = printOf(value);
        }
        if (found.print === print) {
          if (this.#valueOf(found) === value) return STATIC_TABLE_LENGTH + 1 + age;
          if (++compared === MAX_COMPARED) return 0;
        }
      }
      found = found.previous;
    }
    return 0;
  }

  /** @returns an index whose entry has this name */
  nameIndexOf(entry: NameEntry): number {
    return entry.staticIndex === 0 ? STATIC_TABLE_LENGTH + 1 + ((this.#newestId - entry.newestId) & BITS) : entry.staticIndex;
  }

  /** Where values are kept; another array after each `roomForValue`. */
  valueBytes(): Uint8Array {
    return this.#ring.bytes;
  }

  /**
   * Makes room for a value that may be added next. Changes nothing else.
   *
   * @returns where in `valueBytes()` its octets can be written
   */
  roomForValue(length: number): number {
    const at = this.#ring.roomFor(length);
    return at === -1 ? this.#growRing(length) : at;
  }

  /**
   * Adds a field that fits in (RFC 7541 §4.4).
   *
   * @param known what `find` said before
   * @param name kept; not needed if an index was found for it
   * @param value kept if `at` is −1
   * @param at what `roomForValue` said; the octets have been written there
   */
  add(known: NameEntry | null, name: string, value: string, at: number, size: number): void {
    if (this.size + size > this.capacity) this.#evictTo(this.capacity - size);
    let entry = known;
    if (entry === null) {
      this.#nameCount = (this.#nameCount + 1) & BITS;
      entry = new NameEntry(name, 0, 0, STATIC_TABLE_LENGTH + this.#nameCount);
    }
    if (this.count >= this.#heads.length) this.#makeHeads();
    const id = (this.#newestId + 1) & BITS;
    this.#newestId = id;
    if (entry.staticIndex === 0) {
      // Where it is new, or the eviction has taken the last entry with this name along, and the name with it.
      if (entry.isForgotten) {
        entry.isForgotten = false;
        (this.#names ??= new Map()).set(entry.name, entry);
      }
      entry.newestId = id;
    }
    const { length } = value;
    const heads = this.#heads;
    const head = headOf(entry, length) & (heads.length - 1);
    const added = new Entry(entry, at === -1 ? value : '', printOf(value), size, at, id, heads[head] as Entry | null);
    heads[head] = added;
    if (at !== -1) this.#ring.push(at + length);
    if (this.#newest === null) this.#oldest = added;
    else this.#newest.newer = added;
    this.#newest = added;
    this.count += 1;
    this.size += size;
  }

  /** Evicts what no longer fits in (RFC 7541 §4.3). */
  resize(capacity: number): void {
    this.capacity = capacity;
    this.#evictTo(capacity);
    if (this.count === 0) this.#ring.drop();
  }

  /** The fields, the newest first. */
  fields(): readonly (readonly [name: string, value: string])[] {
    const fields: (readonly [name: string, value: string])[] = [];
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) fields.push([entry.name.name, this.#valueOf(entry)]);
    return fields.toReversed();
  }

  /** Makes the string if there is none yet. */
  #valueOf(entry: Entry): string {
    if (entry.value !== '' || entry.at === -1) return entry.value;
    const value = latin1Decode(this.#ring.bytes, entry.at, entry.at + lengthOf(entry));
    entry.value = value;
    return value;
  }

  #evictTo(size: number): void {
    while (this.size > size && this.#oldest !== null) {
      const evicted = this.#oldest;
      this.#oldest = evicted.newer;
      if (evicted.at !== -1) this.#ring.shift(evicted.at + lengthOf(evicted));
      this.size -= evicted.size;
      this.count -= 1;
      const { name } = evicted;
      if (name.staticIndex === 0 && name.newestId === evicted.id) {
        this.#names?.delete(name.name);
        name.isForgotten = true;
      }
      // A chain, or the entry behind it, may hold it for a while yet, and must not hold all that came before.
      evicted.value = '';
      evicted.previous = null;
      evicted.newer = null;
    }
    if (this.#oldest === null) this.#newest = null;
  }

  #growRing(length: number): number {
    let kept = 0;
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) if (entry.at !== -1) kept += lengthOf(entry);
    const before = this.#ring.restart(kept + length);
    const { bytes } = this.#ring;
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) {
      if (entry.at === -1) continue;
      const own = lengthOf(entry);
      const at = this.#ring.roomFor(own);
      bytes.set(before.subarray(entry.at, entry.at + own), at);
      entry.at = at;
      this.#ring.push(at + own);
    }
    return this.#ring.roomFor(length);
  }

  /** Makes the first chains, or twice as many as there are. */
  #makeHeads(): void {
    const heads: (Entry | null)[] =
      this.#heads.length === 0 ? FIRST_HEADS.slice() : new Array<Entry | null>(2 * this.#heads.length).fill(null);
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) {
      const head = headOf(entry.name, lengthOf(entry)) & (heads.length - 1);
      entry.previous = heads[head] as Entry | null;
      heads[head] = entry;
    }
    this.#heads = heads;
  }
}

function lengthOf(entry: Entry): number {
  return entry.size - entry.name.size;
}

/** Size of a field as RFC 7541 §4.1 counts it. */
export function sizeOf(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

/** Where a chain begins: by the name and by how long the value is, which costs nothing to ask. */
function headOf(entry: NameEntry, length: number): number {
  return 37 * entry.salt + length;
}

/**
 * Four of a value's last characters, in which ids, numbers and times differ (`…:45 GMT`): tells values of one length apart without reading them. Below 2^24.
 */
function printOf(value: string): number {
  const { length } = value;
  if (length < 6) return length === 0 ? 0 : value.charCodeAt(length - 1);
  const last = value.charCodeAt(length - 1) * 31 + value.charCodeAt(length - 2);
  return (last * 31 + value.charCodeAt(length - 5)) * 31 + value.charCodeAt(length - 6);
}
