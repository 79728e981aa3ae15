/**
 * A hierarchical timing wheel (Varghese and Lauck, 1987, scheme 7): entries filed by the tick they are due at.
 *
 * ```
 *   level 0   32 slots of 1 tick          |0|1|2|...|31|
 *   level 1   32 slots of 32 ticks        |0|1|2|...|31|      a slot is a ring of entries around a sentinel,
 *   level 2   32 slots of 1 024 ticks     |0|1|2|...|31|      a level is one 32-bit word with a bit for each slot in use
 *   ...
 *   level 6   4 slots of 2^30 ticks
 * ```
 * Written in base 32, a tick differs from `elapsed` first in some digit, counted from the left: that digit's place is its level, the
 * digit itself its slot. So all slots in use lie ahead of `elapsed` on their level, those of a lower level come before those of a
 * higher one, and the next slot is the lowest bit of the lowest level that has one. When time reaches a slot above level 0, its
 * entries move down, in their order. An entry moves at most six times in its life, and one that is unlinked before its time, as nearly
 * all are, usually never.
 *
 * The order is exact: entries come out by tick, and within a tick in the order of filing.
 *
 * Pure structure: no clock, no callbacks. Ticks are integers from 0 to 2^32 - 1; below 2^31 V8 keeps them unboxed.
 */

/** What the wheel needs of an entry; the fields are the wheel's own. An entry is in one slot, in the due list, or in none. */
export interface WheelEntry {
  next: WheelEntry;
  previous: WheelEntry;
  tick: number;
  /** Where it is: the index of a slot, or `due`; below 0 it is not in the wheel. */
  slot: number;
}

/** The entry is nowhere. Smaller numbers are for the entry's owner, and mean the same to the wheel. */
export const unfiled = -1;

const bitsPerLevel = 5;
const slotsPerLevel = 32;
const levels = 7;

/** The entry is in the due list. */
const due = levels * slotsPerLevel;

/** Entries by tick. */
export class TimerWheel<E extends WheelEntry> {
  /** Every entry filed has a tick at or after this one. */
  elapsed = 0;
  /** Entries in slots and in the due list. */
  size = 0;
  readonly #slots: E[] = [];
  readonly #occupied = new Int32Array(levels);
  readonly #due: E;

  /** @param makeSentinel makes the heads of the rings: of the entries' own class, so that all list code sees one object shape */
  constructor(makeSentinel: () => E) {
    for (let index = 0; index < levels * slotsPerLevel; index++) this.#slots.push(makeSentinel());
    this.#due = makeSentinel();
  }

  /** Files an entry that is nowhere, by its tick. @param entry its tick is at or after `elapsed` */
  file(entry: E): void {
    this.#place(entry);
    this.size++;
  }

  /** Takes an entry out of wherever it is. O(1). */
  unfile(entry: E): void {
    const { next, previous, slot } = entry;
    previous.next = next;
    next.previous = previous;
    // The two neighbours are the same only when the sentinel alone is left.
    if (next === previous && slot < due) this.#clearOccupied(slot);
    forget(entry);
    this.size--;
  }

  /** The earliest tick at which `advance` has something to do; `Infinity` if there is nothing. No entry is due before it. */
  nextTick(): number {
    for (let level = 0; level < levels; level++) {
      const occupied = this.#occupied[level] as number;
      if (occupied === 0) continue;
      const place = level * bitsPerLevel;
      const digit = 31 - Math.clz32(occupied & -occupied);
      // Digits left of the level are those of `elapsed`, digits right of it are zero. (A shift by 35 would be a shift by 3.)
      const above = level + 1 < levels ? ((this.elapsed >>> (place + bitsPerLevel)) << (place + bitsPerLevel)) >>> 0 : 0;
      return above + digit * 2 ** place;
    }
    return Infinity;
  }

  /** Moves time to `tick` (forward only) and all entries due by then, in order, to the due list. */
  advance(tick: number): void {
    for (let next = this.nextTick(); next <= tick; next = this.nextTick()) {
      this.elapsed = next;
      this.#emptySlot(next);
    }
    this.elapsed = tick;
  }

  /** The due list has entries. */
  get hasDue(): boolean {
    return this.#due.next !== this.#due;
  }

  /** Takes the first entry off the due list. @returns undefined when it is empty, or begins with an entry of a tick after `last` */
  takeDue(last = Infinity): E | undefined {
    const entry = this.#due.next as E;
    if (entry === this.#due || entry.tick > last) return undefined;
    this.unfile(entry);
    return entry;
  }

  /** Subtracts `ticks` from `elapsed` and from every entry's tick, so that numbers stay small. O(size). @param ticks at most `elapsed` */
  rebase(ticks: number): void {
    const entries = this.#entries();
    for (const entry of entries) {
      this.unfile(entry);
      entry.tick -= ticks;
    }
    this.elapsed -= ticks;
    for (const entry of entries) this.file(entry);
    for (let entry = this.#due.next; entry !== this.#due; entry = entry.next) entry.tick -= ticks;
  }

  /** Takes out everything. O(size). */
  clear(): void {
    for (const entry of this.#entries()) this.unfile(entry);
    while (this.takeDue() !== undefined);
  }

  /** Everything in slots, in an order that keeps the order within each tick. */
  #entries(): E[] {
    const entries: E[] = [];
    for (const sentinel of this.#slots) {
      for (let entry = sentinel.next; entry !== sentinel; entry = entry.next) entries.push(entry as E);
    }
    return entries;
  }

  #place(entry: E): void {
    const { tick } = entry;
    // Equal ticks have no differing digit: the slot of level 0 is right for them too.
    const level = Math.max(0, ((31 - Math.clz32(tick ^ this.elapsed)) / bitsPerLevel) | 0);
    const digit = (tick >>> (level * bitsPerLevel)) & (slotsPerLevel - 1);
    const slot = level * slotsPerLevel + digit;
    (this.#occupied[level] as number) |= 1 << digit;
    append(this.#slots[slot] as E, entry, slot);
  }

  /** Empties the slot at the front, which begins at `tick`: on level 0 into the due list, else into lower levels. */
  #emptySlot(tick: number): void {
    const level = this.#occupied.findIndex((occupied) => occupied !== 0);
    const digit = (tick >>> (level * bitsPerLevel)) & (slotsPerLevel - 1);
    const slot = level * slotsPerLevel + digit;
    this.#clearOccupied(slot);
    const sentinel = this.#slots[slot] as E;
    let entry = sentinel.next as E;
    sentinel.next = sentinel;
    sentinel.previous = sentinel;
    while (entry !== sentinel) {
      const next = entry.next as E;
      if (level === 0) append(this.#due, entry, due);
      else this.#place(entry);
      entry = next;
    }
  }

  #clearOccupied(slot: number): void {
    (this.#occupied[slot >>> bitsPerLevel] as number) &= ~(1 << (slot & (slotsPerLevel - 1)));
  }
}

function append(sentinel: WheelEntry, entry: WheelEntry, slot: number): void {
  const last = sentinel.previous;
  entry.previous = last;
  entry.next = sentinel;
  last.next = entry;
  sentinel.previous = entry;
  entry.slot = slot;
}

function forget(entry: WheelEntry): void {
  // An entry out of the wheel must not keep its former neighbours alive.
  entry.next = entry;
  entry.previous = entry;
  entry.slot = unfiled;
}
