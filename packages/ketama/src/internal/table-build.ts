/**
 * Builds a point table in steps: new points are sorted, merged with those that another table has sorted already, and indexed.
 *
 * ```
 *   new points ──three passes, a digit each──▶ sorted ──┐
 *                                                       ├── merge, of equal hashes one stays ──▶ points, hidden ──▶ starts
 *   another table's, its owners renumbered or gone ─────┘
 * ```
 * Each step handles at most `pointsPerStep` points, so that whoever builds a ring of millions of points can do other things between.
 */
import { bucketBits, PointTable } from './point-table.ts';
import type { Points } from './points.ts';

/** About a millisecond of sorting, which is the dearest pass. */
const pointsPerStep = 131_072;

/** A table whose points are taken over. */
export interface TakenOver {
  readonly table: PointTable;
  /** By owner there: the owner here, or `gone`. */
  readonly owners: Int32Array;
}

/** The owner takes no part in the new table. */
export const gone = -1;

/**
 * Builds the table.
 *
 * @param fresh in the order in which they were made: of equal hashes the first stays. Where points are taken over, the one of the lowest owner does.
 */
export function* buildTable(fresh: Points, taken: TakenOver | null): Generator<void, PointTable, void> {
  const sorted = yield* sortPoints(taken === null ? fresh : withHidden(fresh, taken));
  const merge = new Merge(sorted, taken);
  while (merge.step()) yield;
  const { points, hidden } = merge.end();
  yield;
  const starts = yield* startsOf(points.hashes);
  return new PointTable({ points, hidden, starts });
}

/** Points that were hidden may be found once those that hid them are gone: they enter the merge anew. */
function withHidden(fresh: Points, { table, owners }: TakenOver): Points {
  const { hidden } = table;
  const count = fresh.hashes.length;
  const hashes = new Uint32Array(count + hidden.hashes.length);
  const newOwners = new Uint16Array(hashes.length);
  hashes.set(fresh.hashes);
  newOwners.set(fresh.owners);
  let end = count;
  for (let index = 0; index < hidden.hashes.length; index++) {
    const owner = owners[hidden.owners[index] as number] as number;
    if (owner === gone) continue;
    hashes[end] = hidden.hashes[index] as number;
    newOwners[end] = owner;
    end += 1;
  }
  return { hashes: hashes.subarray(0, end), owners: newOwners.subarray(0, end) };
}

/** Bits of a digit in sorting: three digits cover a hash, and 2048 counters stay in the nearest cache. */
const digitBits = 11;
const digitMask = 2 ** digitBits - 1;

/** Sorts by hash, digit by digit from the low end: linear, and stable, which is what decides between equal hashes. */
function* sortPoints(points: Points): Generator<void, Points, void> {
  const count = points.hashes.length;
  let from = points;
  let to: Points = { hashes: new Uint32Array(count), owners: new Uint16Array(count) };
  for (let shift = 0; shift < 32; shift += digitBits) {
    const places = new Uint32Array(digitMask + 2);
    for (let start = 0; start < count; start += pointsPerStep) {
      countDigits(from.hashes, places, shift, start, Math.min(count, start + pointsPerStep));
      if (count > pointsPerStep) yield;
    }
    for (let digit = 1; digit < places.length; digit++) places[digit] = (places[digit] as number) + (places[digit - 1] as number);
    for (let start = 0; start < count; start += pointsPerStep) {
      moveByDigit(from, to, places, shift, start);
      if (count > pointsPerStep) yield;
    }
    [from, to] = [to, from];
  }
  return from;
}

function countDigits(hashes: Uint32Array, places: Uint32Array, shift: number, start: number, end: number): void {
  for (let index = start; index < end; index++) {
    const digit = ((hashes[index] as number) >>> shift) & digitMask;
    places[digit + 1] = (places[digit + 1] as number) + 1;
  }
}

function moveByDigit(from: Points, to: Points, places: Uint32Array, shift: number, start: number): void {
  const { hashes, owners } = from;
  const { hashes: newHashes, owners: newOwners } = to;
  const end = Math.min(hashes.length, start + pointsPerStep);
  for (let index = start; index < end; index++) {
    const hash = hashes[index] as number;
    const digit = (hash >>> shift) & digitMask;
    const place = places[digit] as number;
    places[digit] = place + 1;
    newHashes[place] = hash;
    newOwners[place] = owners[index] as number;
  }
}

/** Stands behind the last hash. */
const noHash = 2 ** 32;

const noPoints: Points = { hashes: new Uint32Array(0), owners: new Uint16Array(0) };

/** Merges sorted points with those of a table. */
class Merge {
  readonly #fresh: Points;
  readonly #old: Points;
  /** By owner in the table. */
  readonly #owners: Int32Array;
  readonly #hashes: Uint32Array;
  readonly #newOwners: Uint16Array;
  readonly #hiddenHashes: number[] = [];
  readonly #hiddenOwners: number[] = [];
  readonly #lowestOwnerStays: boolean;
  #freshAt = 0;
  #oldAt = 0;
  #count = 0;

  constructor(fresh: Points, taken: TakenOver | null) {
    this.#fresh = fresh;
    this.#old = taken === null ? noPoints : { hashes: taken.table.hashes, owners: taken.table.owners };
    this.#owners = taken === null ? new Int32Array(0) : taken.owners;
    this.#lowestOwnerStays = taken !== null;
    const most = fresh.hashes.length + this.#old.hashes.length;
    this.#hashes = new Uint32Array(most);
    this.#newOwners = new Uint16Array(most);
  }

  /** @returns whether there is more to merge */
  step(): boolean {
    const { hashes } = this.#fresh;
    let budget = pointsPerStep;
    while (budget > 0 && this.#freshAt < hashes.length) {
      const before = this.#oldAt + this.#freshAt;
      const hash = hashes[this.#freshAt] as number;
      // Until this hash is the next one, the budget may run out.
      if (this.#takeOld(hash, budget)) this.#takeFresh(hash);
      budget -= this.#oldAt + this.#freshAt - before;
    }
    if (budget > 0) this.#takeOld(noHash, budget);
    return this.#freshAt < hashes.length || this.#oldAt < this.#old.hashes.length;
  }

  end(): { readonly points: Points; readonly hidden: Points } {
    const count = this.#count;
    return {
      points: { hashes: this.#hashes.slice(0, count), owners: this.#newOwners.slice(0, count) },
      hidden: { hashes: Uint32Array.from(this.#hiddenHashes), owners: Uint16Array.from(this.#hiddenOwners) },
    };
  }

  /** Takes the table's points below a hash. @returns whether there are none left below it */
  #takeOld(hash: number, budget: number): boolean {
    const { hashes, owners } = this.#old;
    const map = this.#owners;
    const newHashes = this.#hashes;
    const newOwners = this.#newOwners;
    const end = Math.min(hashes.length, this.#oldAt + budget);
    let count = this.#count;
    let at = this.#oldAt;
    for (; at < end; at++) {
      const next = hashes[at] as number;
      if (next >= hash) break;
      const owner = map[owners[at] as number] as number;
      if (owner === gone) continue;
      newHashes[count] = next;
      newOwners[count] = owner;
      count += 1;
    }
    this.#count = count;
    this.#oldAt = at;
    return at === hashes.length || (hashes[at] as number) >= hash;
  }

  /** Takes all points of one hash: one stays, the others are hidden. */
  #takeFresh(hash: number): void {
    const { hashes, owners } = this.#fresh;
    let owner = owners[this.#freshAt] as number;
    this.#freshAt += 1;
    while (this.#freshAt < hashes.length && hashes[this.#freshAt] === hash) {
      owner = this.#hide(hash, owner, owners[this.#freshAt] as number);
      this.#freshAt += 1;
    }
    if (this.#oldAt < this.#old.hashes.length && this.#old.hashes[this.#oldAt] === hash) {
      const other = this.#owners[this.#old.owners[this.#oldAt] as number] as number;
      this.#oldAt += 1;
      if (other !== gone) owner = this.#hide(hash, owner, other);
    }
    this.#hashes[this.#count] = hash;
    this.#newOwners[this.#count] = owner;
    this.#count += 1;
  }

  /** Of two owners of a hash hides one. @returns the other */
  #hide(hash: number, first: number, second: number): number {
    const stays = this.#lowestOwnerStays && second < first ? second : first;
    this.#hiddenHashes.push(hash);
    this.#hiddenOwners.push(stays === first ? second : first);
    return stays;
  }
}

/**
 * By each value of the leading bits: the place of the first point that has it or a greater one; at the end the number of points.
 *
 * Each point writes the place behind it at the bucket behind its own, so that the last point of a bucket prevails; then buckets without points get what stands before them.
 */
function* startsOf(hashes: Uint32Array): Generator<void, Uint32Array, void> {
  const bits = bucketBits(hashes.length);
  const starts = new Uint32Array(2 ** bits + 1);
  for (let start = 0; start < hashes.length; start += pointsPerStep) {
    if (start > 0) yield;
    markEnds(hashes, starts, 32 - bits, start);
  }
  for (let start = 1; start < starts.length; start += pointsPerStep) {
    if (start > 1) yield;
    fillGaps(starts, start);
  }
  return starts;
}

function markEnds(hashes: Uint32Array, starts: Uint32Array, shift: number, start: number): void {
  const end = Math.min(hashes.length, start + pointsPerStep);
  for (let place = start; place < end; place++) starts[((hashes[place] as number) >>> shift) + 1] = place + 1;
}

function fillGaps(starts: Uint32Array, start: number): void {
  const end = Math.min(starts.length, start + pointsPerStep);
  let before = starts[start - 1] as number;
  for (let bucket = start; bucket < end; bucket++) {
    before = Math.max(before, starts[bucket] as number);
    starts[bucket] = before;
  }
}
