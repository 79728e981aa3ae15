/**
 * Buckets of many keys in a table that never grows: sets of 16 words, a key's set by one part of its hash, its word in the set by another
 * part, the tag.
 *
 * ```
 *                 ┌── announced ──────────┐   ┌─ 0 ──┬─ 1 ──┬─ …  ─┬─ 15 ─┐
 *   set           │ tag, way, turn, since │   │ tag, arrival time  │      │
 *                 └───────────────────────┘   └──────┴──────┴──────┴──────┘
 *                   20    4    4     36         20    44 bits
 * ```
 * A bucket that is full again says no more than none at all, so its word is free for another key, and nothing is lost by that. Only
 * when all 16 words of a set hold buckets in use is there no room for a new key, which is then refused or let pass, as was chosen.
 *
 * No two words of a set may have the same tag, or a key would have its burst twice. So who brings in a key announces it first, by an atomic
 * change of the set's announcement that succeeds only if no other was made since the set was searched. Every thread that meets an
 * announcement carries it out and withdraws it, so none ever waits for another, not even for one that died.
 *
 * Carrying out replaces the announced word, if it is free, by a full bucket of the new tag. Helpers that come late can do no harm: whether
 * a word is free is asked of the time in the announcement, so all of them agree, and the word that a late one compares with is gone for
 * good, as arrival times only grow.
 */
import { ArrivalWords, Taking, type TickPlan, taggedTimeBits } from './arrival-words.ts';
import { headerBytes } from './region.ts';

export const waysPerSet = 16;
/** A line of the processor's cache for the counts of the whole table. */
const stateBytes = 64;
const tagBits = 64 - taggedTimeBits;
/** Announcements count time in steps of 2 to 4 ms: that leaves 4 bits to tell those of one step apart. */
const ticksPerStep = 256;
const stepBits = 36n;
const wayAt = 40n;
const tagAt = 44n;

/** Bytes of a table of so many sets. */
export function bucketTableBytes(sets: number): number {
  return stateBytes + sets * (waysPerSet + 1) * 8;
}

/** Buckets by the hash of their keys. */
export class BucketTable {
  readonly #full: Int32Array;
  readonly #announced: BigUint64Array;
  readonly #words: BigInt64Array;
  /** The same words, for searching: reading halves makes no `bigint`s. */
  readonly #halves: Int32Array;
  readonly #arrivals: ArrivalWords;
  readonly #setMask: number;

  /** @param sets a power of two */
  constructor(buffer: SharedArrayBuffer | ArrayBuffer, sets: number, plan: TickPlan) {
    const wordsFrom = headerBytes + stateBytes + sets * 8;
    this.#full = new Int32Array(buffer, headerBytes, 1);
    this.#announced = new BigUint64Array(buffer, headerBytes + stateBytes, sets);
    this.#words = new BigInt64Array(buffer, wordsFrom, sets * waysPerSet);
    this.#halves = new Int32Array(buffer, wordsFrom, sets * waysPerSet * 2);
    this.#arrivals = new ArrivalWords(this.#words, plan);
    this.#setMask = sets - 1;
  }

  /** How often a key found no room, modulo 2³². */
  get fullCount(): number {
    return Atomics.load(this.#full, 0) >>> 0;
  }

  /** Takes so many ticks from a key's bucket. @returns undefined if there is no room for the key */
  take(hash: number, cost: number, now: number): boolean | undefined {
    const ticks = this.#arrivals.ticksAt(now);
    const tag = tagOf(hash);
    const set = hash & this.#setMask;
    for (;;) {
      const index = this.#find(set, tag);
      const place = index >= 0 ? index : this.#bringIn(set, tag, ticks);
      if (place < 0) {
        Atomics.add(this.#full, 0, 1);
        return undefined;
      }
      const taking = this.#arrivals.take(place, tag, cost, ticks);
      if (taking !== Taking.otherTag) return taking === Taking.admitted;
    }
  }

  /** Ticks until a key's bucket is full; undefined if it has none and there is no room for one. */
  ahead(hash: number, now: number): number | undefined {
    const ticks = this.#arrivals.ticksAt(now);
    const set = hash & this.#setMask;
    const index = this.#find(set, tagOf(hash));
    if (index >= 0) return this.#arrivals.aheadOf(Atomics.load(this.#words, index), ticks);
    return this.#freeWay(set, stepOf(ticks)) >= 0 ? 0 : undefined;
  }

  /** Ticks until there is room in a key's set, if nobody else takes anything. */
  roomInTicks(hash: number, now: number): number {
    const ticks = this.#arrivals.ticksAt(now);
    const set = hash & this.#setMask;
    let least = Infinity;
    for (let index = set * waysPerSet; index < (set + 1) * waysPerSet; index++) {
      least = Math.min(least, this.#arrivals.aheadOf(Atomics.load(this.#words, index), ticks));
    }
    return least + ticksPerStep;
  }

  /** A number of ticks in milliseconds. */
  msOf(ticks: number): number {
    return this.#arrivals.msOf(ticks);
  }

  /** @returns the index of the tag's word, which others may replace at any time; −1 if there is none */
  #find(set: number, tag: number): number {
    const halves = this.#halves;
    const end = (set + 1) * waysPerSet * 2;
    for (let half = set * waysPerSet * 2 + this.#arrivals.highHalf; half < end; half += 2) {
      if ((halves[half] as number) >>> (32 - tagBits) === tag) return half >>> 1;
    }
    return -1;
  }

  /** @returns the index of the tag's word; −1 if there is no room */
  #bringIn(set: number, tag: number, ticks: number): number {
    const step = stepOf(ticks);
    for (;;) {
      const announced = Atomics.load(this.#announced, set);
      if (announced >> tagAt !== 0n) {
        this.#carryOut(set, announced);
        continue;
      }
      const index = this.#find(set, tag);
      if (index >= 0) return index;
      const way = this.#freeWay(set, step);
      if (way < 0) return -1;
      const turn = ((announced >> stepBits) + 1n) & 15n;
      const announcement = (BigInt(tag) << tagAt) | (BigInt(way) << wayAt) | (turn << stepBits) | BigInt(step / ticksPerStep);
      if (Atomics.compareExchange(this.#announced, set, announced, announcement) === announced) this.#carryOut(set, announcement);
    }
  }

  #carryOut(set: number, announcement: bigint): void {
    const index = set * waysPerSet + Number((announcement >> wayAt) & 15n);
    const step = Number(BigInt.asUintN(Number(stepBits), announcement)) * ticksPerStep;
    const word = Atomics.load(this.#words, index);
    // In this order: if the announcement still stands after the word was read, the word is the one to replace.
    if (Atomics.load(this.#announced, set) !== announcement) return;
    if (this.#isFree(word, step)) {
      Atomics.compareExchange(this.#words, index, word, this.#arrivals.fullWord(Number(announcement >> tagAt), step));
    }
    Atomics.compareExchange(this.#announced, set, announcement, BigInt.asUintN(Number(tagAt), announcement));
  }

  #freeWay(set: number, step: number): number {
    for (let way = 0; way < waysPerSet; way++) {
      if (this.#isFree(Atomics.load(this.#words, set * waysPerSet + way), step)) return way;
    }
    return -1;
  }

  /** Empty, or full since before a step began, so that what replaces it then has a later arrival for sure. */
  #isFree(word: bigint, step: number): boolean {
    return word === 0n || this.#arrivals.aheadOf(word, step - 1) === 0;
  }
}

function stepOf(ticks: number): number {
  return ticks - (ticks % ticksPerStep);
}

/** The high bits of a hash, which the set doesn't depend on; 0 is the tag of empty words. */
function tagOf(hash: number): number {
  return Math.floor(hash / 0x1_0000_0000) % 2 ** tagBits || 1;
}
