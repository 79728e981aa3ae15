/**
 * A lock-free, append-only list of texts in shared memory: every thread reads the same texts in the same order.
 *
 * ```
 *  root ──► record ──► record ──► record ──► 0          record: [next][length][UTF-16 … , padded to a word]
 * ```
 *
 * Whoever appends takes free space, writes a record where nobody looks, and then sets the `next` of the last record by compare-and-swap.
 * That succeeds only for a writer who has read everything before it, so what he decided in the light of it ("this series does not exist
 * yet", "there is room for one more") holds at the very place where his record stands. The order of the list is thus the only truth, and
 * threads that derive their state from it agree without locks.
 *
 * A thread that is ended while it writes leaves a few bytes that nobody can reach, and nothing locked.
 *
 * @see Maged M. Michael, Michael L. Scott: Simple, Fast, and Practical Non-Blocking and Blocking Concurrent Queue Algorithms (1996),
 * whose queue appends in the same way.
 */
import { layoutWord, type MemoryLayout } from './memory-layout.ts';

/** Words of a record before its text: next, length. */
const recordHead = 2;

/** Characters that `String.fromCharCode` is given at once: arguments stand on the stack. */
const sliceLength = 4096;

/** What is thrown when memory does not hold what this package has written there: somebody else has written into it. */
export function damagedLog(what: string, cause?: unknown): TypeError {
  return new TypeError(`memory is damaged: in its log of metrics, ${what}`, { cause });
}

/** One thread's view of the list: a place up to which it has read. */
export class DefinitionLog {
  readonly #words: Int32Array;
  readonly #characters: Uint16Array;
  readonly #firstWord: number;
  readonly #endWord: number;
  /** The word that points to the next record to read: at the end of the list it is 0, and where the next record is hung. */
  #nextWord: number;

  constructor({ words, characters, firstLogWord, endOfLog }: MemoryLayout) {
    this.#words = words;
    this.#characters = characters;
    this.#firstWord = firstLogWord;
    this.#endWord = endOfLog;
    this.#nextWord = layoutWord.logRoot;
  }

  /** Reads on. @returns the next text, or null at the end of the list @throws {TypeError} when the list is damaged */
  next(): string | null {
    const record = Atomics.load(this.#words, this.#nextWord);
    if (record === 0) return null;
    const text = this.#textOf(record);
    this.#nextWord = record;
    return text;
  }

  /** Whether a text of so many units has room before a word: for now, since others take space too. */
  hasRoom(length: number, endWord: number): boolean {
    return this.#firstWord + Atomics.load(this.#words, layoutWord.logUsed) + wordsOf(length) <= endWord;
  }

  /**
   * Writes a text where nobody sees it yet.
   *
   * @param endWord where the room for such texts ends; default: where the log does
   * @returns the record, for `publish` or `discard`; 0 if there is no room for it
   */
  write(text: string, endWord: number = this.#endWord): number {
    const record = this.#takeSpace(wordsOf(text.length), endWord);
    if (record === 0) return 0;
    this.#words[record] = 0;
    this.#words[record + 1] = text.length;
    const first = (record + recordHead) * 2;
    for (let at = 0; at < text.length; at++) this.#characters[first + at] = text.charCodeAt(at);
    return record;
  }

  /** Appends a written record. @returns false if another thread has appended something since this view read last: read on, and think again */
  publish(record: number): boolean {
    return Atomics.compareExchange(this.#words, this.#nextWord, 0, record) === 0;
  }

  /** Gives the space of a record back that was not published; it is lost if another thread has taken space since. */
  discard(record: number): void {
    const end = record + wordsOf(this.#words[record + 1] as number);
    Atomics.compareExchange(this.#words, layoutWord.logUsed, end - this.#firstWord, record - this.#firstWord);
  }

  #takeSpace(length: number, endWord: number): number {
    for (;;) {
      const used = Atomics.load(this.#words, layoutWord.logUsed);
      const record = this.#firstWord + used;
      if (record + length > endWord) return 0;
      // Fails only when another thread got its space, so some thread always gets on.
      if (Atomics.compareExchange(this.#words, layoutWord.logUsed, used, used + length) === used) return record;
    }
  }

  #textOf(record: number): string {
    const lastHead = this.#endWord - recordHead;
    if (record < this.#firstWord || record > lastHead) throw damagedLog('a record lies outside');
    const length = this.#words[record + 1] as number;
    if (record + wordsOf(length) > this.#endWord) throw damagedLog('a record has no length that is possible');
    const first = (record + recordHead) * 2;
    const end = first + length;
    let text = '';
    for (let at = first; at < end; at += sliceLength) {
      text += String.fromCharCode(...this.#characters.subarray(at, Math.min(end, at + sliceLength)));
    }
    return text;
  }
}

/** Words of a record with so many units of text. */
function wordsOf(length: number): number {
  return recordHead + Math.ceil(length / 2);
}
