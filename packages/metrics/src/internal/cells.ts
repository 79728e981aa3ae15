/**
 * The numbers of all series: a stripe of cells for each writing thread, so that each cell has one writer.
 *
 * ```
 *              cell 0   cell 1   cell 2 …
 *  set            0        7        0      what gauges were set to; any thread writes, the last one wins
 *  writer 0      12        0        3      what writer 0 has added
 *  writer 1      30        2        1      what writer 1 has added
 *  ─────────────────────────────────────
 *  value         42        9        4
 * ```
 *
 * - Adding is a load, an addition and a store: with one writer, nothing can come between them that would be lost. It takes 2.7 ns,
 *   however many threads count the same thing; an atomic addition takes 9 to 11 ns, and 15 to 19 when two threads do it, a
 *   compare-and-swap of a double 28 and 46.
 * - Readers add up. Counts that happen meanwhile are seen or not; none is seen twice or half: aligned numbers of 64 bits are stored whole
 *   by all 64-bit processors and by V8 (the language itself promises it only for 32 bits).
 * - Doubles count exactly up to 2⁵³: a million a second for 285 years, for each writer.
 * - No cell that is added to leaves ±2⁹⁰⁰, so the sum of 1024 of them is finite, and so is its difference to any finite number: whatever was
 *   added, a value can be read, and set.
 *
 * A writer's word says who has its stripe. Each taking has a generation of its own, so that to release one that is over, a second time, cannot
 * touch the stripe's next owner:
 *
 * ```
 *  (generation, free) ──take──► (generation + 1, taken) ──release──► (generation + 1, releasing) ──► (generation + 1, free)
 *                                                                       gauges are cleared here, when nobody may take it
 * ```
 * A thread that is ended between the two steps of releasing leaves the place taken for good; nothing else comes of it.
 */
import { layoutWord, type MemoryLayout } from './memory-layout.ts';

/** How far from 0 a cell that is added to may go. */
export const maxSum: number = 2 ** 900;

/** The low bits of a writer's word; the generation is above them. */
const WriterState = { free: 0, taken: 1, releasing: 2 } as const;
const stateBits = 2;

/** Generations come round after a thousand million: by then nobody remembers the first. */
export const maxGeneration: number = 2 ** 30 - 1;

/** The cells as one writing thread sees them. */
export class Cells {
  /** Which stripe is this thread's. */
  readonly writer: number;
  /** Which taking of the stripe this is: 1 is the first. */
  readonly generation: number;
  /** What this thread adds up; nobody else writes here. */
  readonly own: Float64Array;
  readonly #all: Float64Array;
  readonly #stripeLength: number;
  readonly #words: Int32Array;
  readonly #firstWriterWord: number;

  /**
   * @param writer the stripe to take; default: the first that is free
   * @throws {RangeError} when it is taken, or none is free
   */
  constructor(layout: MemoryLayout, writer: number | undefined) {
    this.#all = layout.stripes;
    this.#stripeLength = layout.stripeLength;
    this.#words = layout.words;
    this.#firstWriterWord = layout.firstWriterWord;
    const taken = takeWriter(layout, writer);
    this.writer = taken.writer;
    this.generation = taken.generation;
    const first = (1 + this.writer) * this.#stripeLength;
    this.own = this.#all.subarray(first, first + this.#stripeLength);
  }

  /** What all writers have added to a cell. */
  added(cell: number): number {
    // Not an atomic load, which V8 does not inline (16 ns): a writer who joins now may be seen a moment later.
    const end = (1 + (this.#words[layoutWord.writersSeen] as number)) * this.#stripeLength;
    let sum = 0;
    for (let at = this.#stripeLength + cell; at < end; at += this.#stripeLength) sum += this.#all[at] as number;
    return sum;
  }

  /** What a gauge was set to, with what was added since. */
  value(cell: number): number {
    return (this.#all[cell] as number) + this.added(cell);
  }

  /**
   * Sets a gauge, whatever was added to it before. An addition by another thread counts as before or as after this, never as both or
   * neither: its cell is read once, and either has it already or adds it on top.
   */
  set(cell: number, value: number): void {
    this.#all[cell] = value - this.added(cell);
  }

  /** Takes back what a writer has added to some cells. Only for one whose thread has ended. */
  clear(writer: number, cell: number): void {
    this.#all[(1 + writer) * this.#stripeLength + cell] = 0;
  }

  /** Takes a stripe from its owner, for `endRelease`. @returns false if this owner hasn't got it any more */
  beginRelease(writer: number, generation: number): boolean {
    const taken = writerWord(generation, WriterState.taken);
    const at = this.#firstWriterWord + writer;
    return Atomics.compareExchange(this.#words, at, taken, writerWord(generation, WriterState.releasing)) === taken;
  }

  /** Lets another thread have a stripe, with the counts that are in it. */
  endRelease(writer: number, generation: number): void {
    Atomics.store(this.#words, this.#firstWriterWord + writer, writerWord(generation, WriterState.free));
  }
}

interface TakenWriter {
  readonly writer: number;
  readonly generation: number;
}

function takeWriter({ words, firstWriterWord, config: { maxWriters } }: MemoryLayout, wanted: number | undefined): TakenWriter {
  const first = wanted ?? 0;
  const end = wanted === undefined ? maxWriters : wanted + 1;
  for (let writer = first; writer < end; writer++) {
    const before = Atomics.load(words, firstWriterWord + writer);
    const generation = ((before >>> stateBits) + 1) & maxGeneration;
    const isFree = before === writerWord(before >>> stateBits, WriterState.free);
    const taken = writerWord(generation, WriterState.taken);
    if (!isFree || Atomics.compareExchange(words, firstWriterWord + writer, before, taken) !== before) continue;
    raise(words, layoutWord.writersSeen, writer + 1);
    return { writer, generation };
  }
  if (wanted !== undefined) throw new RangeError(`writer ${wanted} is taken: release it when its thread has ended`);
  throw new RangeError(`all ${maxWriters} writers are taken: raise maxWriters, or release those whose threads have ended`);
}

function writerWord(generation: number, state: number): number {
  return (generation << stateBits) | state;
}

function raise(words: Int32Array, at: number, to: number): void {
  for (let now = Atomics.load(words, at); now < to; now = Atomics.load(words, at)) Atomics.compareExchange(words, at, now, to);
}
