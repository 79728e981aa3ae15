/**
 * Buckets of many keys in a table that never grows: sets of 16 words, a key's set by one part of its hash, its word in the set by another
 * part, the tag.
 *
 * ```
 *                 ┌── announced ──────────┐   ┌─ 0 ──┬─ 1 ──┬─ …  ─┬─ 15 ─┐
 *   set           │ tag, way, 1, step     │   │ tag, arrival time  │      │
 *                 └───────────────────────┘   └──────┴──────┴──────┴──────┘
 *                   20    4    1  39            20    44 bits
 * ```
 * A bucket that is full again says no more than none at all, so its word is free for another key, and nothing is lost by that. Only
 * when all 16 words of a set hold buckets in use is there no room for a new key, which is then refused or let pass, as was chosen.
 *
 * No two words of a set may have the same tag, or a key would have its burst twice. So who brings in a key announces it first, by an atomic
 * change of the set's announcement that succeeds only if no other was made since the set was searched. Every thread that meets an
 * announcement carries it out and withdraws it, so none ever waits for another, not even for one that died.
 *
 * Carrying out replaces the announced word, if it is free, by a full bucket of the new tag, and goes on until the word isn't free. Why
 * helpers that come late do no harm, and an announcement that looks as it did is the same one:
 *
 * - Whether a word is free is asked of the step in the announcement, so all helpers agree.
 * - Arrival times only grow, so a word that isn't free at a step never is at that step again.
 * - Steps of a set only grow: who finds a later one in the last announcement takes it for its own. (So too a key that comes while the clock is
 *   back gets no new burst: it begins full at a time that is yet to come.)
 * - Hence a way is announced at most once in a step, and who carries out what has long been withdrawn finds nothing free.
 */
import { ArrivalWords, Taking, type TickPlan, taggedTimeBits } from './arrival-words.ts';
import { highHalf } from './halves.ts';
import { headerBytes } from './region.ts';

export const waysPerSet = 16;
/** A line of the processor's cache for the counts of the whole table. */
const stateBytes = 64;
const tagBits = 64 - taggedTimeBits;
/** What time an announcement has bits for: steps of 1/4 to 1/2 ms. */
const ticksPerStep = 32;
const stepBits = 39;
/** A set that has had no announcement is 0, and one at step 0 is not. */
const mark = 1n << 39n;
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
  readonly #sets: number;

  constructor(buffer: SharedArrayBuffer | ArrayBuffer, sets: number, plan: TickPlan) {
    const wordsFrom = headerBytes + stateBytes + sets * 8;
    this.#full = new Int32Array(buffer, headerBytes, 1);
    this.#announced = new BigUint64Array(buffer, headerBytes + stateBytes, sets);
    this.#words = new BigInt64Array(buffer, wordsFrom, sets * waysPerSet);
    this.#halves = new Int32Array(buffer, wordsFrom, sets * waysPerSet * 2);
    this.#arrivals = new ArrivalWords(this.#words, plan);
    this.#sets = sets;
  }

  /** How often a key found no room, modulo 2³². */
  get fullCount(): number {
    return Atomics.load(this.#full, 0) >>> 0;
  }

  /** Takes so many ticks from a key's bucket. @returns undefined if there is no room for the key */
  take(hash: number, cost: number, now: number): boolean | undefined {
    const ticks = this.#arrivals.ticksAt(now);
    const tag = tagOf(hash);
    const set = this.#setOf(hash);
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
    const set = this.#setOf(hash);
    const tag = tagOf(hash);
    for (let index = this.#find(set, tag); index >= 0; index = this.#find(set, tag)) {
      const word = Atomics.load(this.#words, index);
      // Else another key has taken its place since it was found.
      if (this.#arrivals.tagOf(word) === tag) return this.#arrivals.aheadOf(word, ticks);
    }
    const step = this.#stepFor(ticks, Atomics.load(this.#announced, set));
    return this.#freeWay(set, step) >= 0 ? this.#arrivals.ticksUntil(ticks, step) : undefined;
  }

  /** Ticks until there is room in a key's set, if nobody else takes anything. */
  roomInTicks(hash: number, now: number): number {
    const ticks = this.#arrivals.ticksAt(now);
    const set = this.#setOf(hash);
    let least = Infinity;
    for (let index = set * waysPerSet; index < (set + 1) * waysPerSet; index++) {
      least = Math.min(least, this.#arrivals.aheadOf(Atomics.load(this.#words, index), ticks));
    }
    return least + ticksPerStep;
  }

  /** Milliseconds from a time until so many ticks have passed. */
  waitMs(ticks: number, now: number): number {
    return this.#arrivals.waitMs(ticks, now);
  }

  #setOf(hash: number): number {
    return Math.floor((((hash | 0) >>> 0) * this.#sets) / 0x1_0000_0000);
  }

  /** @returns the index of the tag's word, which others may replace at any time; −1 if there is none */
  #find(set: number, tag: number): number {
    const halves = this.#halves;
    const end = (set + 1) * waysPerSet * 2;
    for (let half = set * waysPerSet * 2 + highHalf; half < end; half += 2) {
      if ((halves[half] as number) >>> (32 - tagBits) === tag) return half >>> 1;
    }
    return -1;
  }

  /** @returns the index of the tag's word; −1 if there is no room */
  #bringIn(set: number, tag: number, ticks: number): number {
    for (;;) {
      const announced = Atomics.load(this.#announced, set);
      if (announced >> tagAt !== 0n) {
        this.#carryOut(set, announced);
        continue;
      }
      const index = this.#find(set, tag);
      if (index >= 0) return index;
      const step = this.#stepFor(ticks, announced);
      const way = this.#freeWay(set, step);
      if (way < 0) return -1;
      const announcement = (BigInt(tag) << tagAt) | (BigInt(way) << wayAt) | mark | BigInt(step / ticksPerStep);
      if (Atomics.compareExchange(this.#announced, set, announced, announcement) === announced) this.#carryOut(set, announcement);
    }
  }

  #carryOut(set: number, announcement: bigint): void {
    const index = set * waysPerSet + Number((announcement >> wayAt) & 15n);
    const step = stepIn(announcement);
    const full = this.#arrivals.fullWord(Number(announcement >> tagAt), step);
    let word = Atomics.load(this.#words, index);
    // Again if a thread that is late has just taken from the bucket, which may be free all the same.
    while (this.#isFree(word, step)) {
      const found = Atomics.compareExchange(this.#words, index, word, full);
      if (found === word) break;
      word = found;
    }
    Atomics.compareExchange(this.#announced, set, announcement, BigInt.asUintN(Number(tagAt), announcement));
  }

  /** The step to bring in a key at: never one before that of the set's last announcement. */
  #stepFor(ticks: number, announced: bigint): number {
    const step = ticks - (ticks % ticksPerStep);
    return announced === 0n ? step : this.#arrivals.laterOf(step, stepIn(announced));
  }

  #freeWay(set: number, step: number): number {
    for (let way = 0; way < waysPerSet; way++) {
      if (this.#isFree(Atomics.load(this.#words, set * waysPerSet + way), step)) return way;
    }
    return -1;
  }

  /** Empty, or full since before a step began, so that what replaces it then has a later arrival. */
  #isFree(word: bigint, step: number): boolean {
    return word === 0n || this.#arrivals.aheadOf(word, step - 1) === 0;
  }
}

/** The step of an announcement, in ticks. */
function stepIn(announcement: bigint): number {
  return Number(BigInt.asUintN(stepBits, announcement)) * ticksPerStep;
}

/** The high bits of a hash, which the set doesn't depend on; 0 is the tag of empty words. */
function tagOf(hash: number): number {
  return Math.floor(hash / 0x1_0000_0000) % 2 ** tagBits || 1;
}
