/**
 * The field lines of a message: in wire order, in their original spelling, duplicates kept.
 *
 * Rules of this file:
 * - Three parallel arrays (name, number of the name, value) and a size; nothing is keyed by what a peer wrote, so `__proto__` and `42` are
 *   ordinary names, and no choice of names makes look-up slow.
 * - `#low` and `#high` hold one bit per well-known name that is present. "Is it there?" is one test, whatever the number of lines. The bit is
 *   exact: every removal takes away all lines of a name.
 * - Names and values are validated on the way in, once: by the methods here with a `TypeError`, by decoders before `appendTrusted`.
 *
 * Shape follows speed: arrays made with room for 16 lines and an own size cost 0.75 × as much to fill as three arrays that grow by `push`, and
 * removing is free of `length` assignments, each a call into the engine.
 *
 * Sources: RFC 9110 §5 (fields), §5.2 (combination), §5.3 (order); RFC 6265 §3 (why Set-Cookie is never combined).
 */
import { equalsAsciiIgnoreCase } from '@ferrata/bytes';
import { isFieldName, isFieldValue } from './byte-classes.ts';
import { canonicalName, KnownHeader, wellKnownId } from './known-header.ts';
import type { KnownHeaderSet } from './known-header-set.ts';

/** What a `HeaderMap` can be made from: pairs in order, or a record whose arrays become several lines. */
export type HeaderInit = Iterable<readonly [name: string, value: string]> | Readonly<Record<string, string | readonly string[]>>;

/** Lines for which room is made at once: an ordinary request of a browser has 9 to 16. */
const INITIAL_LINES = 16;

/** Lines for which a copy has room beside those that it begins with. */
const ROOM_IN_COPIES = 4;

/**
 * Up to this many lines a well-known name is found by looking at each line's number; beyond, by an index that is built when first needed. The
 * index costs 300 ns, as it lies outside the heap of the engine; looking at 64 numbers costs 40.
 */
const MAX_SCANNED_LINES = 64;

/**
 * Field lines in wire order.
 *
 * Names are compared without regard to case; their spelling is kept. Names given to the methods may be any string; the methods that insert
 * throw on what could not go to the wire.
 *
 * @example
 * const headers = HeaderMap.from([['Host', 'example.com'], ['Accept', 'text/html'], ['accept', 'image/png']]);
 * headers.get('ACCEPT'); // 'text/html'
 * headers.combined('accept'); // 'text/html, image/png'
 * headers.hasKnown(KnownHeader.contentLength); // false, by one bit
 */
export class HeaderMap implements Iterable<readonly [name: string, value: string]> {
  // Set in the constructor, always in this order: one hidden class for every map, so that call sites stay monomorphic.
  #names: string[];
  #ids: (KnownHeader | 0)[];
  #values: string[];
  #size: number;
  #low: number;
  #high: number;
  /**
   * Bit `id & 31` is set once a name has come twice: as long as it is not, counting needs no look at the lines. Two names share each bit, and
   * removing clears none, so a set bit only means "perhaps".
   */
  #repeated: number;
  /** 1 + the first line of each well-known name; null until a long map is asked, and again after lines have moved. */
  #firstLines: Int32Array | null;

  /**
   * Makes an empty map.
   *
   * @param room lines for which room is made at once; no limit, but a map that must grow costs more. For whoever knows how many will come.
   */
  constructor(room: number = INITIAL_LINES) {
    this.#names = new Array<string>(room);
    this.#ids = new Array<KnownHeader | 0>(room);
    this.#values = new Array<string>(room);
    this.#size = 0;
    this.#low = 0;
    this.#high = 0;
    this.#repeated = 0;
    this.#firstLines = null;
  }

  /**
   * Makes a map from pairs (an array, a `Map`, the web's `Headers`, another `HeaderMap`) or from a record.
   *
   * @throws {TypeError} if a name or value is not valid
   */
  static from(init: HeaderInit): HeaderMap {
    const headers = new HeaderMap();
    if (isIterable(init)) {
      for (const [name, value] of init) headers.append(name, value);
      return headers;
    }
    for (const [name, value] of Object.entries(init)) {
      if (typeof value === 'string') headers.append(name, value);
      else for (const one of value) headers.append(name, one);
    }
    return headers;
  }

  // Queries by name.

  /** The number of field lines; two lines of the same name count twice. */
  get size(): number {
    return this.#size;
  }

  /** The value of the first line of this name. */
  get(name: string): string | undefined {
    const line = this.#indexOf(name, 0);
    return line < 0 ? undefined : this.#values[line];
  }

  /** The values of all lines of this name, in order; empty if there is none. */
  getAll(name: string): readonly string[] {
    const found: string[] = [];
    for (let line = this.#indexOf(name, 0); line >= 0; line = this.#indexOf(name, line + 1)) found.push(this.#values[line] as string);
    return found;
  }

  /**
   * The values of all lines of this name as one, joined by a comma and a space.
   *
   * Only right for fields whose value is a list. `Set-Cookie` is none, and cannot be joined without changing its meaning: of several only the
   * first is returned; use `getAll`.
   *
   * @see RFC 9110 §5.2, §5.3
   */
  combined(name: string): string | undefined {
    const id = wellKnownId(name);
    if (id !== 0) return this.combinedKnown(id);
    const values = this.getAll(name);
    return values.length === 0 ? undefined : values.join(', ');
  }

  /** Whether there is a line of this name. */
  has(name: string): boolean {
    return this.#indexOf(name, 0) >= 0;
  }

  /** The number of lines of this name. */
  count(name: string): number {
    let count = 0;
    for (let line = this.#indexOf(name, 0); line >= 0; line = this.#indexOf(name, line + 1)) count++;
    return count;
  }

  // Queries by the number of a well-known name.

  /** Whether there is a line of this name: one bit. */
  hasKnown(id: KnownHeader): boolean {
    return (((id < 32 ? this.#low : this.#high) >>> id) & 1) !== 0;
  }

  /** Whether there is a line of any name of the set: two bit operations. */
  hasAnyOf(set: KnownHeaderSet): boolean {
    return ((this.#low & set.low) | (this.#high & set.high)) !== 0;
  }

  /** The value of the first line of this name. */
  getKnown(id: KnownHeader): string | undefined {
    const line = this.indexOfKnown(id, 0);
    return line < 0 ? undefined : this.#values[line];
  }

  /** Like `combined`. */
  combinedKnown(id: KnownHeader): string | undefined {
    let line = this.indexOfKnown(id, 0);
    if (line < 0) return undefined;
    let all = this.#values[line] as string;
    if (id === KnownHeader.setCookie) return all;
    if (((this.#repeated >>> id) & 1) === 0) return all;
    while ((line = this.indexOfKnown(id, line + 1)) >= 0) all += `, ${this.#values[line] as string}`;
    return all;
  }

  /** The number of lines of this name. */
  countKnown(id: KnownHeader): number {
    if (((this.#repeated >>> id) & 1) === 0) return this.hasKnown(id) ? 1 : 0;
    let count = 0;
    for (let line = this.indexOfKnown(id, 0); line >= 0; line = this.indexOfKnown(id, line + 1)) count++;
    return count;
  }

  /** The first line of this name at or after line `from` (default 0), −1 if there is none; to walk over duplicates without allocation. */
  indexOfKnown(id: KnownHeader, from = 0): number {
    if (!this.hasKnown(id)) return -1;
    if (from === 0 && this.#size > MAX_SCANNED_LINES) return this.#firstLineOf(id);
    const ids = this.#ids;
    const size = this.#size;
    for (let line = from; line < size; line++) if (ids[line] === id) return line;
    return -1;
  }

  // Queries by line, in wire order, without allocation. Lines move down when others before them are removed.

  /** The name on a line, as it is spelled. @throws {RangeError} if there is no such line */
  nameAt(line: number): string {
    this.#checkLine(line);
    return this.#names[line] as string;
  }

  /** The value on a line. @throws {RangeError} if there is no such line */
  valueAt(line: number): string {
    this.#checkLine(line);
    return this.#values[line] as string;
  }

  /** The number of the well-known name on a line, 0 if it is another name. @throws {RangeError} if there is no such line */
  idAt(line: number): KnownHeader | 0 {
    this.#checkLine(line);
    return this.#ids[line] as KnownHeader | 0;
  }

  /** Goes over the lines in wire order, each as a pair. Do not change the map meanwhile. */
  *[Symbol.iterator](): IterableIterator<readonly [name: string, value: string]> {
    for (let line = 0; line < this.#size; line++) yield [this.#names[line] as string, this.#values[line] as string];
  }

  // Commands.

  /**
   * Adds a line at the end.
   *
   * @throws {TypeError} if the name or the value is not valid
   */
  append(name: string, value: string): this {
    const id = checkedId(name);
    checkValue(name, value);
    this.appendTrusted(name, id, value);
    return this;
  }

  /** Adds a line at the end, the name in its usual spelling. @throws {TypeError} if the value is not valid */
  appendKnown(id: KnownHeader, value: string): this {
    const name = canonicalName(id);
    checkValue(name, value);
    this.appendTrusted(name, id, value);
    return this;
  }

  /**
   * Adds a line at the end without looking at it; for decoders, which have validated every byte.
   *
   * @param id what `wellKnownId(name)` gives; anything else makes the map lie
   */
  appendTrusted(name: string, id: KnownHeader | 0, value: string): void {
    const line = this.#size;
    this.#names[line] = name;
    this.#ids[line] = id;
    this.#values[line] = value;
    this.#size = line + 1;
    if (id === 0) return;
    const bit = 1 << id;
    if (id < 32) {
      this.#repeated |= this.#low & bit;
      this.#low |= bit;
    } else {
      this.#repeated |= this.#high & bit;
      this.#high |= bit;
    }
    if (this.#firstLines?.[id] === 0) this.#firstLines[id] = line + 1;
  }

  /**
   * Makes this the only line of its name: changes the first one where it stands and removes the others, or adds a line at the end.
   *
   * A line that is there keeps its spelling of the name.
   *
   * @throws {TypeError} if the name or the value is not valid
   */
  set(name: string, value: string): this {
    const id = checkedId(name);
    checkValue(name, value);
    const line = this.#indexOf(name, 0);
    if (line < 0) this.appendTrusted(name, id, value);
    else this.#replaceFrom(line, name, id, value);
    return this;
  }

  /** Like `set`; a line that is added spells its name in the usual way. @throws {TypeError} if the value is not valid */
  setKnown(id: KnownHeader, value: string): this {
    const name = canonicalName(id);
    checkValue(name, value);
    const line = this.indexOfKnown(id, 0);
    if (line < 0) this.appendTrusted(name, id, value);
    else this.#replaceFrom(line, name, id, value);
    return this;
  }

  /** Removes all lines of this name. @returns how many there were */
  delete(name: string): number {
    const id = wellKnownId(name);
    return id === 0 ? this.#removeNamed(name, this.#indexOf(name, 0)) : this.deleteKnown(id);
  }

  /** Removes all lines of this name. @returns how many there were */
  deleteKnown(id: KnownHeader): number {
    const line = this.indexOfKnown(id, 0);
    if (line < 0) return 0;
    if (id < 32) this.#low &= ~(1 << id);
    else this.#high &= ~(1 << id);
    return this.#removeNumbered(id, line);
  }

  /** Removes all lines whose name is in the set, in one pass; costs two bit operations if there is none. @returns how many there were */
  deleteAnyOf(set: KnownHeaderSet): number {
    if (!this.hasAnyOf(set)) return 0;
    const { low, high } = set;
    this.#low &= ~low;
    this.#high &= ~high;
    const names = this.#names;
    const ids = this.#ids;
    const values = this.#values;
    const size = this.#size;
    let kept = 0;
    for (let line = 0; line < size; line++) {
      const id = ids[line] as KnownHeader | 0;
      if ((((id < 32 ? low : high) >>> id) & 1) !== 0) continue;
      if (kept !== line) {
        names[kept] = names[line] as string;
        ids[kept] = id;
        values[kept] = values[line] as string;
      }
      kept++;
    }
    return this.#truncate(kept);
  }

  /**
   * Removes all lines of which `isGone` says so, in one pass.
   *
   * @param isGone must not change the map
   * @returns how many there were
   */
  deleteWhere(isGone: (name: string, value: string, id: KnownHeader | 0) => boolean): number {
    let kept = 0;
    let low = 0;
    let high = 0;
    for (let line = 0; line < this.#size; line++) {
      const id = this.#ids[line] as KnownHeader | 0;
      if (isGone(this.#names[line] as string, this.#values[line] as string, id)) continue;
      if (kept !== line) this.#move(line, kept);
      kept++;
      if (id < 32) low |= 1 << id;
      else high |= 1 << id;
    }
    // Bit 0 stands for the names without a number, and is never asked for.
    this.#low = low & ~1;
    this.#high = high;
    return this.#truncate(kept);
  }

  /** Removes all lines. */
  clear(): void {
    this.#truncate(0);
    this.#low = 0;
    this.#high = 0;
    this.#repeated = 0;
  }

  // Copies.

  /** A map of its own with the same lines. */
  clone(): HeaderMap {
    // Whoever copies a map adds to it: a proxy its X-Forwarded-For, -Proto and -Host.
    const copy = new HeaderMap(this.#size + ROOM_IN_COPIES);
    for (let line = 0; line < this.#size; line++) {
      copy.#names[line] = this.#names[line] as string;
      copy.#ids[line] = this.#ids[line] as KnownHeader | 0;
      copy.#values[line] = this.#values[line] as string;
    }
    copy.#size = this.#size;
    copy.#low = this.#low;
    copy.#high = this.#high;
    copy.#repeated = this.#repeated;
    return copy;
  }

  /** The lines as pairs, in order; an object would lose order, case and duplicates. Values are shown as they are, secrets too. */
  toJSON(): (readonly [name: string, value: string])[] {
    return [...this];
  }

  /** What `console.log` of Node shows: the lines as they would stand on the wire. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const lines = this.toJSON().map(([name, value]) => `\n  ${name}: ${value}`);
    return `HeaderMap(${this.#size}) {${lines.join('')}${lines.length === 0 ? '' : '\n'}}`;
  }

  // Lines.

  #checkLine(line: number): void {
    // The shift makes every negative number and every fraction differ from `line` or exceed the size.
    if (line >>> 0 !== line || line >= this.#size) throw new RangeError(`there is no field line ${line}; the map has ${this.#size}`);
  }

  #indexOf(name: string, from: number): number {
    const id = wellKnownId(name);
    if (id !== 0) return this.indexOfKnown(id, from);
    for (let line = from; line < this.#size; line++) {
      if (this.#ids[line] === 0 && equalsAsciiIgnoreCase(this.#names[line] as string, name)) return line;
    }
    return -1;
  }

  #firstLineOf(id: KnownHeader): number {
    let first = this.#firstLines;
    if (first === null) {
      first = new Int32Array(64);
      for (let line = this.#size - 1; line >= 0; line--) first[this.#ids[line] as number] = line + 1;
      // Other names share the number 0, which nobody looks up.
      this.#firstLines = first;
    }
    return (first[id] as number) - 1;
  }

  #replaceFrom(line: number, name: string, id: KnownHeader | 0, value: string): void {
    this.#values[line] = value;
    if (id === 0) this.#removeNamed(name, this.#indexOf(name, line + 1));
    else this.#removeNumbered(id, this.indexOfKnown(id, line + 1));
  }

  #removeNumbered(id: KnownHeader, first: number): number {
    if (first < 0) return 0;
    const names = this.#names;
    const ids = this.#ids;
    const values = this.#values;
    const size = this.#size;
    let kept = first;
    for (let line = first + 1; line < size; line++) {
      const other = ids[line] as KnownHeader | 0;
      if (other === id) continue;
      names[kept] = names[line] as string;
      ids[kept] = other;
      values[kept] = values[line] as string;
      kept++;
    }
    return this.#truncate(kept);
  }

  #removeNamed(name: string, first: number): number {
    if (first < 0) return 0;
    let kept = first;
    for (let line = first + 1; line < this.#size; line++) {
      if (this.#ids[line] !== 0 || !equalsAsciiIgnoreCase(this.#names[line] as string, name)) this.#move(line, kept++);
    }
    return this.#truncate(kept);
  }

  #move(from: number, to: number): void {
    this.#names[to] = this.#names[from] as string;
    this.#ids[to] = this.#ids[from] as KnownHeader | 0;
    this.#values[to] = this.#values[from] as string;
  }

  /** Keeps the first lines only; the others are overwritten, so that the map does not hold on to their strings. */
  #truncate(kept: number): number {
    const removed = this.#size - kept;
    for (let line = kept; line < this.#size; line++) {
      this.#names[line] = '';
      this.#ids[line] = 0;
      this.#values[line] = '';
    }
    this.#size = kept;
    if (removed > 0) this.#firstLines = null;
    return removed;
  }
}

function isIterable(init: HeaderInit): init is Iterable<readonly [name: string, value: string]> {
  return Symbol.iterator in init;
}

/** A well-known name needs no further look; others are checked character by character. */
function checkedId(name: string): KnownHeader | 0 {
  const id = typeof name === 'string' ? wellKnownId(name) : 0;
  if (id === 0 && (typeof name !== 'string' || !isFieldName(name))) throw new TypeError(`invalid field name: ${quoted(name)}`);
  return id;
}

/** The message names the field but not the value: it may be a secret. */
function checkValue(name: string, value: string): void {
  if (typeof value !== 'string') throw new TypeError(`the value of field ${quoted(name)} is not a string`);
  if (!isFieldValue(value))
    throw new TypeError(`invalid value of field ${quoted(name)}: a control, a character over 0xff, or a blank at an end`);
}

function quoted(name: unknown): string {
  return JSON.stringify(String(name).slice(0, 80));
}
