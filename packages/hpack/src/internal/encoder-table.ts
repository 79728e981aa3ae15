/**
 * The dynamic table of an encoder (RFC 7541 §2.3.2), found by name and then by value:
 *
 * ```
 *   names: Map  "cookie" → NameEntry { place in the static table, newest id here }
 *                                                          |
 *   ring:  … | id 7 | id 8 | id 9 | …     the newest id of all has index 62
 *               ^--------------+          each entry says how far before it the last one of its name lies
 * ```
 * Rules:
 * - Most names have one value at a time, few have more than a handful: those are walked through, which needs no hash of the value. From
 *   {@link MAX_WALK} on the name has a map of its values, so that a look-up is bounded however many entries share a name.
 * - Strings are looked up as they come, so that V8 computes their hashes once in the life of the string, and joins nothing.
 * - A name that is in neither table any more is forgotten, so names that a peer makes up hold no memory beyond the table's size.
 */
import { Indexing } from '../indexing.ts';
import { ENTRY_OVERHEAD, STATIC_NAMES, STATIC_TABLE_LENGTH, STATIC_VALUES } from '../static-table.ts';
import { policyOf } from './name-policy.ts';

/** Entries of one name that are compared one by one: with 8, keeping the maps of `date` and its like cost 5 to 8 % of all encoding. */
const MAX_WALK = 16;

const NO_NUMBERS = new Int32Array(0);

/** What an encoder knows of a name. */
export class NameEntry {
  readonly name: string;
  /** Index of the name's first entry in the static table; 0 if it is not there. */
  readonly staticIndex: number;
  /** Index behind its last one: the entries of a name stand together. */
  readonly staticEnd: number;
  readonly policy: Indexing;
  /** Id of its newest entry in the dynamic table; 0 if there is none. */
  newestId = 0;
  /** How many there are. */
  count = 0;
  /** All of them by value, once there have been more than {@link MAX_WALK}. */
  ids: Map<string, number> | null = null;

  constructor(name: string, staticIndex: number, staticEnd: number, policy: Indexing) {
    this.name = name;
    this.staticIndex = staticIndex;
    this.staticEnd = staticEnd;
    this.policy = policy;
  }
}

/** What an encoder begins to know of a name of the static table, by the name. */
interface StaticName {
  readonly name: string;
  readonly index: number;
  readonly end: number;
  readonly policy: Indexing;
}

const staticNames: ReadonlyMap<string, StaticName> = makeStaticNames();

/** Entries of an encoder's dynamic table. */
export class EncoderTable {
  capacity: number;
  size = 0;
  count = 0;
  readonly #names = new Map<string, NameEntry>();
  /** Ids count up from 1; the ring's slot is the id's lowest bits. */
  #newestId = 0;
  #entries: (NameEntry | null)[] = [];
  #values: string[] = [];
  /** Two a slot: the entry's size, and how many ids before it the last one of its name is, 0 for none. One array is made faster than two. */
  #numbers: Int32Array = NO_NUMBERS;
  #mask = -1;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** @returns null if the name is in neither table */
  find(name: string): NameEntry | null {
    return this.#names.get(name) ?? this.#findStatic(name);
  }

  /** @returns index of the field in both tables; 0 if it is in none */
  indexOf(entry: NameEntry, value: string): number {
    for (let index = entry.staticIndex; index < entry.staticEnd; index++) if (STATIC_VALUES[index] === value) return index;
    if (entry.count === 0) return 0;
    if (entry.ids !== null) {
      const id = entry.ids.get(value);
      return id === undefined ? 0 : this.#indexOfId(id);
    }
    let id = entry.newestId;
    for (let left = entry.count; left > 0; left--) {
      const slot = id & this.#mask;
      if (this.#values[slot] === value) return this.#indexOfId(id);
      id -= this.#numbers[2 * slot + 1] as number;
    }
    return 0;
  }

  /** @returns an index whose entry has this name */
  nameIndexOf(entry: NameEntry): number {
    return entry.staticIndex === 0 ? this.#indexOfId(entry.newestId) : entry.staticIndex;
  }

  /**
   * Adds a field that fits in (RFC 7541 §4.4). Its strings are kept.
   *
   * @param known what `find` said before
   * @param name not needed if an index was found for it
   */
  add(known: NameEntry | null, name: string, value: string, size: number): void {
    this.#evictTo(this.capacity - size);
    const entry = known ?? new NameEntry(name, 0, 0, Indexing.incremental);
    // Where it is new, or the eviction has taken the last entry with this name along, and the name with it.
    if (entry.staticIndex === 0 && entry.count === 0) this.#names.set(entry.name, entry);
    if (this.count > this.#mask) this.#grow();
    const id = ++this.#newestId;
    const slot = id & this.#mask;
    this.#entries[slot] = entry;
    this.#values[slot] = value;
    this.#numbers[2 * slot] = size;
    this.#numbers[2 * slot + 1] = entry.count === 0 ? 0 : id - entry.newestId;
    this.count += 1;
    this.size += size;
    entry.count += 1;
    entry.newestId = id;
    if (entry.ids !== null) entry.ids.set(value, id);
    else if (entry.count > MAX_WALK) this.#mapValues(entry);
  }

  /** Evicts what no longer fits in (RFC 7541 §4.3). */
  resize(capacity: number): void {
    this.capacity = capacity;
    this.#evictTo(capacity);
  }

  /** The fields, the newest first. */
  fields(): readonly (readonly [name: string, value: string])[] {
    return Array.from({ length: this.count }, (_, offset) => {
      const slot = (this.#newestId - offset) & this.#mask;
      return [(this.#entries[slot] as NameEntry).name, this.#values[slot] as string] as const;
    });
  }

  #indexOfId(id: number): number {
    return STATIC_TABLE_LENGTH + 1 + this.#newestId - id;
  }

  #findStatic(name: string): NameEntry | null {
    const known = staticNames.get(name);
    if (known === undefined) return null;
    const entry = new NameEntry(known.name, known.index, known.end, known.policy);
    this.#names.set(known.name, entry);
    return entry;
  }

  #mapValues(entry: NameEntry): void {
    entry.ids = new Map();
    let id = entry.newestId;
    for (let left = entry.count; left > 0; left--) {
      const slot = id & this.#mask;
      const value = this.#values[slot] as string;
      // From the newest on: if a value stands there twice, its newest entry lives longer.
      if (!entry.ids.has(value)) entry.ids.set(value, id);
      id -= this.#numbers[2 * slot + 1] as number;
    }
  }

  #evictTo(size: number): void {
    while (this.size > size && this.count > 0) {
      const id = this.#newestId - this.count + 1;
      const slot = id & this.#mask;
      const entry = this.#entries[slot] as NameEntry;
      this.size -= this.#numbers[2 * slot] as number;
      this.count -= 1;
      entry.count -= 1;
      if (entry.ids !== null) {
        const value = this.#values[slot] as string;
        if (entry.ids.get(value) === id) entry.ids.delete(value);
        if (entry.count === 0) entry.ids = null;
      }
      this.#entries[slot] = null;
      this.#values[slot] = '';
      if (entry.count === 0 && entry.staticIndex === 0) this.#names.delete(entry.name);
    }
  }

  /** In few steps: with the default table there are two. */
  #grow(): void {
    const length = Math.max(32, 4 * (this.#mask + 1));
    const entries = new Array<NameEntry | null>(length).fill(null);
    const values = new Array<string>(length).fill('');
    const numbers = new Int32Array(2 * length);
    for (let offset = 0; offset < this.count; offset++) {
      const id = this.#newestId - offset;
      const from = id & this.#mask;
      const to = id & (length - 1);
      entries[to] = this.#entries[from] as NameEntry;
      values[to] = this.#values[from] as string;
      numbers[2 * to] = this.#numbers[2 * from] as number;
      numbers[2 * to + 1] = this.#numbers[2 * from + 1] as number;
    }
    this.#entries = entries;
    this.#values = values;
    this.#numbers = numbers;
    this.#mask = length - 1;
  }
}

/** Size of a field as RFC 7541 §4.1 counts it. */
export function sizeOf(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

function makeStaticNames(): ReadonlyMap<string, StaticName> {
  const names = new Map<string, StaticName>();
  for (let index = 1; index <= STATIC_TABLE_LENGTH; index++) {
    const name = STATIC_NAMES[index] as string;
    if (!names.has(name)) names.set(name, { name, index, end: STATIC_NAMES.lastIndexOf(name) + 1, policy: policyOf(name) });
  }
  return names;
}
