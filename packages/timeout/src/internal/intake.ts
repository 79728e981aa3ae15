/**
 * Where armings wait until their ticks are worked out, many at a time.
 *
 * ```
 *   entries   | a  | b  | a  | c   | mark | d  | . |    in the order of arming; a was armed twice, so its first place is stale
 *   times     | 30 | 60 | 30 | 705 | 702  | 30 | . |    of c the time is known (700 + 5), of the others the delay
 * ```
 * A mark holds a reading of the clock: what stands before it was armed by then, so a and b are due at 732 and 762, however much later
 * the intake is emptied.
 *
 * An entry knows its place, and a place counts only while its entry agrees: adding is one store in each column, and taking out is one in
 * the entry, wherever it is. (A linked list writes to both neighbours each time, and the garbage collector hears of every such write.) The
 * last place is given back, so that what is armed and cancelled at once leaves nothing to look through.
 *
 * Pure structure: no clock, no callbacks.
 */

/** What the intake needs of an entry. */
export interface IntakeEntry {
  /** `placeOf(index)` while it waits here, something else otherwise. */
  slot: number;
  /** While it waits here: `isDelay` or `isTime`. */
  tick: number;
}

/** `tick` of an entry that counts from the next mark, or from when the intake is emptied. */
const isDelay = 0;
/** `tick` of an entry that came with the time at which it is due. */
const isTime = 1;

/** Enough that many share one reading of the clock, few enough to stay in the processor's cache: 16 KiB. */
export const intakeCapacity = 1024;

/**
 * Places of the intake from one reading of the clock to the next. As many as make armings frequent, so that what waits is not stamped more
 * coarsely than about a millisecond of a program that arms evenly; a reading for so many costs each 1 to 2 ns.
 */
export const markEvery = 32;

/** Entries with their delays, in the order of arming. */
export class Intake<E extends IntakeEntry> {
  /** Places in use, stale ones included. */
  count = 0;
  /** Entries that gave their place back since whoever counts them set this to 0. */
  withdrawn = 0;
  /** No time that came with an entry, and no mark, since the intake was last emptied is earlier. */
  earliest = Infinity;
  /** The places of the marks. */
  readonly #marks = new Int32Array(intakeCapacity / markEvery);
  #markCount = 0;
  readonly #entries: E[] = [];
  readonly #times = new Float64Array(intakeCapacity);
  readonly #none: E;

  /** @param none what unused places hold: of the entries' own class, so that the list has one kind of element; never added itself */
  constructor(none: E) {
    this.#none = none;
    for (let index = 0; index < intakeCapacity; index++) this.#entries.push(none);
  }

  /** Entries that wait. O(`count`): few ask, and counting would cost every arming. */
  get size(): number {
    let size = 0;
    for (let index = 0; index < this.count; index++) if ((this.#entries[index] as E).slot === placeOf(index)) size++;
    return size;
  }

  /** Adds an entry that is due `delayMs` after the next mark, or after the intake is emptied. An entry that waits already moves to the end. Not when full. */
  addDelay(entry: E, delayMs: number): void {
    entry.tick = isDelay;
    this.#add(entry, delayMs);
  }

  /** Adds an entry that is due at `time`, as `addDelay` does. */
  addTime(entry: E, time: number): void {
    entry.tick = isTime;
    if (time < this.earliest) this.earliest = time;
    this.#add(entry, time);
  }

  /** Takes out an entry that waits, whose `slot` the caller sets. */
  withdraw(entry: E): void {
    if (entry.slot !== placeOf(this.count - 1)) return;
    this.count--;
    this.withdrawn++;
  }

  /**
   * Notes that it is `now`, for the entries that are here. Takes a place, which keeps those before it from being given back. `markEvery`
   * places after the last one at least, and not when full.
   */
  mark(now: number): void {
    const index = this.count;
    this.#entries[index] = this.#none;
    this.#times[index] = now;
    this.#marks[this.#markCount++] = index;
    this.count = index + 1;
    if (now < this.earliest) this.earliest = now;
  }

  #add(entry: E, time: number): void {
    const index = this.count;
    this.#entries[index] = entry;
    this.#times[index] = time;
    entry.slot = placeOf(index);
    this.count = index + 1;
  }

  /**
   * Hands over what waits, in the order of arming, and forgets all.
   *
   * @param now when the delays begin of those without a mark behind them
   * @param take sets the entry's `slot`, and adds nothing here
   */
  empty(now: number, take: (entry: E, time: number) => void): void {
    let begin = 0;
    for (let mark = 0; mark < this.#markCount; mark++) {
      const end = this.#marks[mark] as number;
      this.#handOver(begin, end, this.#times[end] as number, take);
      begin = end;
    }
    this.#handOver(begin, this.count, now, take);
    this.#entries.fill(this.#none, 0, this.count);
    this.count = 0;
    this.#markCount = 0;
    this.earliest = Infinity;
  }

  #handOver(begin: number, end: number, now: number, take: (entry: E, time: number) => void): void {
    for (let index = begin; index < end; index++) {
      const entry = this.#entries[index] as E;
      if (entry.slot !== placeOf(index)) continue;
      const time = this.#times[index] as number;
      take(entry, entry.tick === isTime ? time : now + time);
    }
  }
}

/** Below all values that the wheel gives to `slot`, so that one comparison tells where an entry is. */
function placeOf(index: number): number {
  return -2 - index;
}
