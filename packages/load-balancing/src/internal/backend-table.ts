/**
 * What the threads of a process know of backends, in one memory.
 *
 * Rules:
 * - Nothing is locked. What all may write is one word, changed by an atomic operation; numbers that are added up (what is under way) are each thread's own, and readers add
 *   them: what a thread that dies had under way goes with it, and nobody else's. What only grows stays.
 * - A backend has the slot that its name was given by whoever asked first. It keeps it as long as the set of any thread has it, or any has something under way at it.
 * - A thread has a place. One that stops beating for so long that it must be dead is evicted by another; if it comes back all the same, it sees that its
 *   place is not its own any more, writes nothing there, and takes another one.
 */
import { checkWholeNumber } from '@ferrata/error';
import { crc32, TextHasher } from '@ferrata/hash';
import {
  HEADER_WORDS,
  HeaderWord,
  LAYOUT_VERSION,
  MARK,
  SLOT_WORDS,
  SlotWord,
  STRIPES,
  Stripe,
  THREAD_WORDS,
  ThreadWord,
  tableOffsets,
} from './table-layout.ts';

/** Most bytes that a published set may have; its memory grows as it is needed. */
const MAX_SET_BYTES = 256 * 2 ** 20;

/** Slots that are looked at for one name before the table counts as full. */
const MAX_PROBES = 4_096;

/** The same in all threads, and no secret: names of backends are the operator's. */
const hasher = new TextHasher({ k0: 0x4c6f_6164, k1: 0x4261_6c61 });

const NEVER_USED = 0n;
const BEING_PREPARED = -1n;

/** The owner of a place that is just being taken, or cleared by whoever evicts first. */
const BEING_TAKEN = -1;

/** What only grows: it stays when a thread goes, so that two looks at it can be compared. */
const TOTALS = [Stripe.succeeded, Stripe.failed, Stripe.latencySum] as const;
const PAST_WORD = {
  [Stripe.succeeded]: SlotWord.pastSucceeded,
  [Stripe.failed]: SlotWord.pastFailed,
  [Stripe.latencySum]: SlotWord.pastLatencySum,
} as const;

/** How large a table is. */
export interface TableSize {
  /** Backends that may be known at once, those included that were taken away and still have something under way. */
  readonly maxBackends: number;
  /** Threads that may have a place at once. */
  readonly maxThreads: number;
}

/** Makes the memory. @throws {RangeError} when a number is out of its range */
export function makeTableMemory({ maxBackends, maxThreads }: TableSize): SharedArrayBuffer {
  checkWholeNumber('maxBackends', maxBackends, { min: 1, max: 2 ** 20 });
  checkWholeNumber('maxThreads', maxThreads, { min: 1, max: 256 });
  // Some to spare: names are spread by chance, and a slot may be somebody's last.
  const capacity = 2 ** Math.ceil(Math.log2(maxBackends * 1.5 + 8));
  const { set } = tableOffsets(capacity, maxThreads);
  if (set > 2 ** 31) throw new RangeError(`maxBackends and maxThreads together ask for ${Math.ceil(set / 2 ** 20)} MiB: at most 2048 MiB`);
  const memory = new SharedArrayBuffer(set, { maxByteLength: set + MAX_SET_BYTES });
  const words = new Int32Array(memory, 0, HEADER_WORDS);
  words[HeaderWord.mark] = MARK;
  words[HeaderWord.version] = LAYOUT_VERSION;
  words[HeaderWord.capacity] = capacity;
  words[HeaderWord.threads] = maxThreads;
  words[HeaderWord.maxBackends] = maxBackends;
  return memory;
}

/** A slot that is held. */
export interface Claim {
  readonly slot: number;
  /** No thread knew the backend. */
  readonly isNew: boolean;
}

/** One thread's view of the memory. */
export class BackendTable {
  readonly memory: SharedArrayBuffer;
  /** Slots. */
  readonly capacity: number;
  /** As it was asked for. */
  readonly maxBackends: number;
  readonly maxThreads: number;
  /** The place of this thread, and when it was taken. */
  #place = -1;
  #generation = 0;
  readonly #header: Int32Array;
  readonly #threads: Int32Array;
  readonly #tags: BigInt64Array;
  readonly #slots: Int32Array;
  readonly #stripes: Int32Array;
  /** What this thread has written into its stripes: true whatever becomes of its place. */
  readonly #own: Int32Array;
  /** One more than the highest slot that this thread has used. */
  #usedSlots = 0;
  #ownRetries = 0;

  /** @throws {TypeError} when the memory is not that of a table @throws {RangeError} when all places are taken */
  constructor(memory: SharedArrayBuffer) {
    const header =
      memory instanceof SharedArrayBuffer && memory.byteLength >= HEADER_WORDS * 4 ? new Int32Array(memory, 0, HEADER_WORDS) : null;
    if (header === null || header[HeaderWord.mark] !== MARK || header[HeaderWord.version] !== LAYOUT_VERSION)
      throw new TypeError('memory must be what balancerMemory() of this version has made');
    this.memory = memory;
    this.#header = header;
    this.capacity = header[HeaderWord.capacity] as number;
    this.maxThreads = header[HeaderWord.threads] as number;
    this.maxBackends = header[HeaderWord.maxBackends] as number;
    const at = tableOffsets(this.capacity, this.maxThreads);
    this.#threads = new Int32Array(memory, at.threads, this.maxThreads * THREAD_WORDS);
    this.#tags = new BigInt64Array(memory, at.tags, this.capacity);
    this.#slots = new Int32Array(memory, at.slots, this.capacity * SLOT_WORDS);
    this.#stripes = new Int32Array(memory, at.stripes, this.capacity * STRIPES * this.maxThreads);
    this.#own = new Int32Array(this.capacity * STRIPES);
    this.#takePlace();
  }

  // ---- what has changed ----------------------------------------------------------------------------------------------------------

  get epoch(): number {
    return Atomics.load(this.#header, HeaderWord.epoch);
  }

  /** What is ready has changed. */
  bumpEpoch(): void {
    Atomics.add(this.#header, HeaderWord.epoch, 1);
  }

  // ---- slots ---------------------------------------------------------------------------------------------------------------------

  /** The slot of a name, which this thread holds until `release`. @returns null: the table is full */
  claim(name: string): Claim | null {
    const tag = tagOf(name);
    const first = Number(BigInt.asUintN(32, tag ^ (tag >> 24n))) % this.capacity;
    // Another thread may be at the same: a few rounds are enough for all but a thread that died in the middle, which costs a slot.
    for (let round = 0; round < 8; round++) {
      let free = -1;
      let isUncertain = false;
      for (let probe = 0; probe < Math.min(MAX_PROBES, this.capacity); probe++) {
        const slot = (first + probe) % this.capacity;
        const found = Atomics.load(this.#tags, slot);
        if (found === tag) {
          // Nobody has had it for a while: what is left there is of the past.
          if (this.#isIdle(slot) && this.#prepare(slot, tag)) return { slot, isNew: true };
          if (this.#hold(slot, tag)) return { slot, isNew: false };
          isUncertain = true;
          break;
        } else if (found === NEVER_USED) {
          if (free === -1) free = slot;
          break;
        } else if (free === -1 && found !== BEING_PREPARED && this.#isIdle(slot)) free = slot;
      }
      if (isUncertain) continue;
      if (free === -1) return null;
      if (this.#prepare(free, tag)) return { slot: free, isNew: true };
    }
    return null;
  }

  /** Takes one claim back. The slot becomes free when no thread has a claim, and nothing is under way there. */
  release(slot: number): void {
    this.addOwn(slot, Stripe.member, -1);
  }

  /** Marks the slot as held. @returns false: somebody else is about to take it */
  #hold(slot: number, tag: bigint): boolean {
    this.#usedSlots = Math.max(this.#usedSlots, slot + 1);
    this.addOwn(slot, Stripe.member, 1);
    for (let round = 0; round < 8; round++) {
      // Whoever prepares it looks at the marks once more after he has said so, and we look at that after our mark: one of us sees the other.
      if (Atomics.load(this.#tags, slot) !== tag) break;
      if (this.#readBack(slot)) return true;
    }
    this.addOwn(slot, Stripe.member, -1);
    return false;
  }

  /** Others may have cleared the slot since this thread had it, or just now. @returns false: our mark was cleared too, and is set again */
  #readBack(slot: number): boolean {
    if (!this.#hasPlace) return true;
    const first = slot * STRIPES * this.maxThreads + this.#place;
    const marks = this.own(slot, Stripe.member);
    if (Atomics.load(this.#stripes, first + Stripe.member * this.maxThreads) !== marks) {
      this.setOwn(slot, Stripe.member, marks);
      return false;
    }
    for (let stripe = 0; stripe < STRIPES; stripe++)
      this.#own[slot * STRIPES + stripe] = Atomics.load(this.#stripes, first + stripe * this.maxThreads);
    return true;
  }

  /** Gives a slot that nobody holds to another name. @returns false: somebody was faster */
  #prepare(slot: number, tag: bigint): boolean {
    const before = Atomics.load(this.#tags, slot);
    if (before === BEING_PREPARED || Atomics.compareExchange(this.#tags, slot, before, BEING_PREPARED) !== before) return false;
    if (!this.#isIdle(slot)) {
      Atomics.store(this.#tags, slot, before);
      return false;
    }
    if (before !== NEVER_USED) this.#clearSlot(slot);
    this.#usedSlots = Math.max(this.#usedSlots, slot + 1);
    this.setOwn(slot, Stripe.member, 1);
    Atomics.store(this.#tags, slot, tag);
    return true;
  }

  #clearSlot(slot: number): void {
    for (let word = 0; word < SLOT_WORDS; word++) Atomics.store(this.#slots, slot * SLOT_WORDS + word, 0);
    const stripes = slot * STRIPES * this.maxThreads;
    for (let cell = 0; cell < STRIPES * this.maxThreads; cell++) Atomics.store(this.#stripes, stripes + cell, 0);
    this.#own.fill(0, slot * STRIPES, (slot + 1) * STRIPES);
  }

  /** No thread's set has it, and nothing is under way there. */
  #isIdle(slot: number): boolean {
    return this.sum(slot, Stripe.member) === 0 && this.sum(slot, Stripe.inflight) <= 0 && this.sum(slot, Stripe.connections) <= 0;
  }

  // ---- words that any thread may write ------------------------------------------------------------------------------------------

  word(slot: number, word: number): number {
    return Atomics.load(this.#slots, slot * SLOT_WORDS + word);
  }

  setWord(slot: number, word: number, value: number): void {
    Atomics.store(this.#slots, slot * SLOT_WORDS + word, value);
  }

  /** @returns the value before */
  addWord(slot: number, word: number, by: number): number {
    return Atomics.add(this.#slots, slot * SLOT_WORDS + word, by);
  }

  /** Sets bits. @returns those that the word had before */
  setBits(slot: number, word: number, bits: number): number {
    return Atomics.or(this.#slots, slot * SLOT_WORDS + word, bits);
  }

  /** Clears bits. @returns those that the word had before */
  clearBits(slot: number, word: number, bits: number): number {
    return Atomics.and(this.#slots, slot * SLOT_WORDS + word, ~bits);
  }

  /** Sets a word if it has the value that is expected. */
  swapWord(slot: number, word: number, expected: number, value: number): boolean {
    return Atomics.compareExchange(this.#slots, slot * SLOT_WORDS + word, expected, value) === expected;
  }

  // ---- numbers of each thread's own ---------------------------------------------------------------------------------------------

  /** The sum of a number over all threads. */
  sum(slot: number, stripe: number): number {
    const { maxThreads } = this;
    const stripes = this.#stripes;
    const first = (slot * STRIPES + stripe) * maxThreads;
    if (maxThreads === 1) return Atomics.load(stripes, first);
    const places = Atomics.load(this.#header, HeaderWord.places);
    let sum = 0;
    for (let place = 0; place < places; place++) sum = (sum + Atomics.load(stripes, first + place)) | 0;
    return sum;
  }

  /** The sum of a number that only grows, with what threads have counted that are gone; modulo 2³². */
  total(slot: number, stripe: (typeof TOTALS)[number]): number {
    return (this.sum(slot, stripe) + this.word(slot, PAST_WORD[stripe])) | 0;
  }

  own(slot: number, stripe: number): number {
    return this.#own[slot * STRIPES + stripe] as number;
  }

  addOwn(slot: number, stripe: number, by: number): void {
    this.setOwn(slot, stripe, ((this.#own[slot * STRIPES + stripe] as number) + by) | 0);
  }

  setOwn(slot: number, stripe: number, value: number): void {
    this.#own[slot * STRIPES + stripe] = value;
    if (this.#hasPlace) Atomics.store(this.#stripes, (slot * STRIPES + stripe) * this.maxThreads + this.#place, value);
  }

  /** Retries under way, in all threads. */
  get retries(): number {
    let sum = 0;
    for (let place = 0; place < this.maxThreads; place++) sum += Atomics.load(this.#threads, place * THREAD_WORDS + ThreadWord.retries);
    return sum;
  }

  addRetries(by: number): void {
    this.#ownRetries = Math.max(0, this.#ownRetries + by);
    if (this.#hasPlace) Atomics.store(this.#threads, this.#place * THREAD_WORDS + ThreadWord.retries, this.#ownRetries);
  }

  // ---- threads -------------------------------------------------------------------------------------------------------------------

  get #hasPlace(): boolean {
    return this.#place !== -1 && Atomics.load(this.#threads, this.#place * THREAD_WORDS + ThreadWord.owner) === this.#generation;
  }

  get place(): number {
    return this.#place;
  }

  /** This thread lives. If its place was given away meanwhile, it takes another one, if there is one. @returns whether it has one */
  beat(): boolean {
    if (!this.#hasPlace && !this.#tryTakePlace()) return false;
    Atomics.add(this.#threads, this.#place * THREAD_WORDS + ThreadWord.beat, 1);
    return true;
  }

  /** Who has a place, and how often it has beaten. @returns 0 for a free place */
  ownerOf(place: number): number {
    return Atomics.load(this.#threads, place * THREAD_WORDS + ThreadWord.owner);
  }

  beatsOf(place: number): number {
    return Atomics.load(this.#threads, place * THREAD_WORDS + ThreadWord.beat);
  }

  /**
   * Takes the place of a thread that must be dead, and what it has under way.
   *
   * @param owner negative: it has died while it took the place, or cleared it
   * @returns false: it is free already, or somebody else's
   */
  evict(place: number, owner: number): boolean {
    const at = place * THREAD_WORDS + ThreadWord.owner;
    // A number of its own for each who clears: of several that find the same one dead, one does it.
    const clearing = owner < 0 ? owner - 1 : BEING_TAKEN;
    if (owner === 0 || Atomics.compareExchange(this.#threads, at, owner, clearing) !== owner) return false;
    Atomics.compareExchange(this.#header, HeaderWord.leader, leaderMark(place, owner), 0);
    this.#clearPlace(place);
    Atomics.compareExchange(this.#threads, at, clearing, 0);
    return true;
  }

  /** Gives the place back, with all that was counted in it. */
  leave(): void {
    if (this.#hasPlace) this.evict(this.#place, this.#generation);
    this.#place = -1;
  }

  get isLeader(): boolean {
    return this.#hasPlace && Atomics.load(this.#header, HeaderWord.leader) === leaderMark(this.#place, this.#generation);
  }

  /** The place of the leader; −1: there is none. */
  get leaderPlace(): number {
    return this.#leaderOf(Atomics.load(this.#header, HeaderWord.leader));
  }

  /** A mark of somebody whose place is not his any more is nobody's: he may have set it just as he was evicted. */
  #leaderOf(mark: number): number {
    const place = mark & 0xff;
    const owner = mark === 0 ? 0 : this.ownerOf(place);
    return owner > 0 && mark === leaderMark(place, owner) ? place : -1;
  }

  /** Becomes the one who does what is to be done once, if nobody is, or the one at `instead` is. */
  lead(instead: number): boolean {
    if (!this.#hasPlace) return false;
    const mark = Atomics.load(this.#header, HeaderWord.leader);
    const leader = this.#leaderOf(mark);
    if (leader !== -1 && leader !== instead) return false;
    return Atomics.compareExchange(this.#header, HeaderWord.leader, mark, leaderMark(this.#place, this.#generation)) === mark;
  }

  /** Leads no more, and keeps its place. */
  resign(): void {
    if (this.#place === -1) return;
    Atomics.compareExchange(this.#header, HeaderWord.leader, leaderMark(this.#place, this.#generation), 0);
  }

  #takePlace(): void {
    if (!this.#tryTakePlace()) throw new RangeError(`all ${this.maxThreads} places for threads are taken (maxThreads)`);
  }

  #tryTakePlace(): boolean {
    for (let place = 0; place < this.maxThreads; place++) {
      const owner = place * THREAD_WORDS + ThreadWord.owner;
      if (Atomics.load(this.#threads, owner) !== 0) continue;
      const generation = (Atomics.add(this.#header, HeaderWord.generations, 1) & 0x3fff_ffff) + 1;
      if (Atomics.compareExchange(this.#threads, owner, 0, BEING_TAKEN) !== 0) continue;
      this.#place = place;
      this.#generation = generation;
      this.#raisePlaces(place + 1);
      this.#restore(place);
      // Unless that took so long that it was taken for dead.
      if (Atomics.compareExchange(this.#threads, owner, BEING_TAKEN, generation) === BEING_TAKEN) return true;
    }
    this.#place = -1;
    return false;
  }

  #raisePlaces(places: number): void {
    for (;;) {
      const before = Atomics.load(this.#header, HeaderWord.places);
      if (before >= places || Atomics.compareExchange(this.#header, HeaderWord.places, before, places) === before) return;
    }
  }

  /** What this thread knows of itself, written where it stands now. */
  #restore(place: number): void {
    for (let slot = 0; slot < this.#usedSlots; slot++) {
      // They were added to those of the past when it was evicted.
      for (const stripe of TOTALS) this.#own[slot * STRIPES + stripe] = 0;
      for (let stripe = 0; stripe < STRIPES; stripe++)
        Atomics.store(this.#stripes, (slot * STRIPES + stripe) * this.maxThreads + place, this.#own[slot * STRIPES + stripe] as number);
    }
    Atomics.store(this.#threads, place * THREAD_WORDS + ThreadWord.retries, this.#ownRetries);
    Atomics.store(this.#threads, place * THREAD_WORDS + ThreadWord.beat, 0);
  }

  #clearPlace(place: number): void {
    for (let slot = 0; slot < this.capacity; slot++) {
      if (Atomics.load(this.#tags, slot) === NEVER_USED) continue;
      for (const stripe of TOTALS) {
        const counted = Atomics.exchange(this.#stripes, (slot * STRIPES + stripe) * this.maxThreads + place, 0);
        if (counted !== 0) this.addWord(slot, PAST_WORD[stripe], counted);
      }
      // The claims last: as long as they stand, the slot is nobody else's.
      for (let stripe = Stripe.connections; stripe >= Stripe.member; stripe--)
        Atomics.store(this.#stripes, (slot * STRIPES + stripe) * this.maxThreads + place, 0);
    }
    Atomics.store(this.#threads, place * THREAD_WORDS + ThreadWord.retries, 0);
  }

  // ---- the published set --------------------------------------------------------------------------------------------------------

  /** Changes with each set that is published; 0: none was. Odd: one is just being published. */
  get setVersion(): number {
    return Atomics.load(this.#header, HeaderWord.setVersion);
  }

  /**
   * Publishes a set for all threads. Only for the leader.
   *
   * @throws {RangeError} when it is too large
   */
  publish(text: string): void {
    const bytes = new TextEncoder().encode(text);
    const { set } = tableOffsets(this.capacity, this.maxThreads);
    const offset = Atomics.load(this.#header, HeaderWord.setOffset);
    const length = Atomics.load(this.#header, HeaderWord.setBytes);
    // Beside the one that is being read, before it if there is room.
    const start = offset === 0 || set + bytes.length <= offset ? set : offset + length;
    const end = start + bytes.length;
    if (end > this.memory.maxByteLength) throw new RangeError(`a set of ${bytes.length} bytes is too large to be published`);
    if (end > this.memory.byteLength) this.memory.grow(end);
    new Uint8Array(this.memory, start, bytes.length).set(bytes);
    // A leader that died in here has left an odd number.
    const version = this.setVersion | 1;
    Atomics.store(this.#header, HeaderWord.setVersion, version);
    Atomics.store(this.#header, HeaderWord.setOffset, start);
    Atomics.store(this.#header, HeaderWord.setBytes, bytes.length);
    Atomics.store(this.#header, HeaderWord.setCheck, crc32(bytes) | 0);
    Atomics.store(this.#header, HeaderWord.setVersion, (version + 1) | 0);
  }

  /** The set that was published last, and its version; null: none was, or another one is just being published. */
  readSet(): { readonly version: number; readonly text: string } | null {
    const version = this.setVersion;
    if (version === 0 || version % 2 !== 0) return null;
    const offset = Atomics.load(this.#header, HeaderWord.setOffset);
    const length = Atomics.load(this.#header, HeaderWord.setBytes);
    const check = Atomics.load(this.#header, HeaderWord.setCheck);
    if (this.setVersion !== version || offset + length > this.memory.byteLength) return null;
    const bytes = new Uint8Array(length);
    bytes.set(new Uint8Array(this.memory, offset, length));
    // Whoever has published twice meanwhile has written over it.
    if (this.setVersion !== version || (crc32(bytes) | 0) !== check) return null;
    return { version, text: new TextDecoder().decode(bytes) };
  }
}

/** Never one that is special. */
function tagOf(name: string): bigint {
  return BigInt(hasher.hash53(name)) + 1n;
}

/** A place and a generation in one word; never 0. */
function leaderMark(place: number, generation: number): number {
  return (1 << 30) | ((generation & 0x3f_ffff) << 8) | place;
}
