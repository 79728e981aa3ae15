/**
 * The lists in which a pool's items grow old: one for its own idle time, a few for other times in use, one for all times beyond those.
 *
 * Other times are mostly those that peers announce (`Keep-Alive: timeout=5`), so there are few different ones, and a list for each makes
 * an item with a time of its own cost no more than any other. But as peers choose them there may be any number: so the lists are few,
 * and an entry that finds none free gets a deadline of its own.
 */
import type { DeadlineQueue } from '@ferrata/timeout';
import { AgeList } from './age-list.ts';
import type { IdleEntry } from './idle-entry.ts';

/** So many different idle times share a deadline each. They are searched in turn: more would cost each put that has a time of its own. */
export const maxSharedTimes = 8;

export class AgeLists<T extends object> {
  /** Entries with the pool's idle time. */
  readonly usual: AgeList<T>;
  /** The first is `usual`, the second `single`. */
  readonly #lists: AgeList<T>[];
  /** Entries that have a deadline each. */
  readonly #single: AgeList<T>;
  readonly #deadlines: DeadlineQueue;
  readonly #onDeadline: (list: AgeList<T>) => void;

  constructor(idleTimeoutMs: number, deadlines: DeadlineQueue, onDeadline: (list: AgeList<T>) => void) {
    this.#deadlines = deadlines;
    this.#onDeadline = onDeadline;
    this.usual = new AgeList(idleTimeoutMs, deadlines, onDeadline);
    this.#single = new AgeList(Number.NaN, deadlines, onDeadline);
    this.#lists = [this.usual, this.#single];
  }

  /** The list for entries with that idle time, which the caller now appends to. */
  forAppend(idleTimeoutMs: number): AgeList<T> {
    let free: AgeList<T> | null = null;
    for (const list of this.#lists) {
      if (list.idleTimeoutMs === idleTimeoutMs) return list;
      if (list.oldest === null && list !== this.usual && list !== this.#single) free ??= list;
    }
    if (free !== null) {
      free.deadline.cancel();
      free.idleTimeoutMs = idleTimeoutMs;
      return free;
    }
    if (this.#lists.length > maxSharedTimes) return this.#single;
    const list = new AgeList(idleTimeoutMs, this.#deadlines, this.#onDeadline);
    this.#lists.push(list);
    return list;
  }

  /** Whether a deadline is pending that serves entries with that idle time, so that none has to be armed for one more. */
  isDeadlineArmed(idleTimeoutMs: number): boolean {
    if (this.usual.idleTimeoutMs === idleTimeoutMs) return this.usual.deadline.isArmed;
    for (const list of this.#lists) if (list.idleTimeoutMs === idleTimeoutMs) return list.deadline.isArmed;
    return false;
  }

  /** The oldest of all: each list is in order, so it is at the front of one of them. */
  get oldest(): IdleEntry<T> | null {
    let oldest: IdleEntry<T> | null = null;
    for (const list of this.#lists) {
      if (list.oldest !== null && (oldest === null || list.oldest.order < oldest.order)) oldest = list.oldest;
    }
    return oldest;
  }

  cancelDeadlines(): void {
    for (const list of this.#lists) list.deadline.cancel();
  }
}
