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
 */
import { layoutWord, type MemoryLayout } from './memory-layout.ts';

/** The cells as one writing thread sees them. */
export class Cells {
  /** Which stripe is this thread's. */
  readonly writer: number;
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
    this.writer = takeWriter(layout, writer);
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

  /** Lets another thread have a stripe, with the counts that are in it. @returns false if it was free */
  release(writer: number): boolean {
    return Atomics.exchange(this.#words, this.#firstWriterWord + writer, 0) === 1;
  }

  /** Whether somebody writes to a stripe. */
  isTaken(writer: number): boolean {
    return Atomics.load(this.#words, this.#firstWriterWord + writer) === 1;
  }
}

function takeWriter({ words, firstWriterWord, config: { maxWriters } }: MemoryLayout, wanted: number | undefined): number {
  const first = wanted ?? 0;
  const end = wanted === undefined ? maxWriters : wanted + 1;
  for (let writer = first; writer < end; writer++) {
    if (Atomics.compareExchange(words, firstWriterWord + writer, 0, 1) !== 0) continue;
    raise(words, layoutWord.writersSeen, writer + 1);
    return writer;
  }
  if (wanted !== undefined) throw new RangeError(`writer ${wanted} is taken: release it when its thread has ended`);
  throw new RangeError(`all ${maxWriters} writers are taken: raise maxWriters, or release those whose threads have ended`);
}

function raise(words: Int32Array, at: number, to: number): void {
  for (let now = Atomics.load(words, at); now < to; now = Atomics.load(words, at)) Atomics.compareExchange(words, at, now, to);
}
