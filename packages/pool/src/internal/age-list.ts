/**
 * Entries with the same idle time in the order of their putting, the oldest first: a doubly linked list through the entries' own fields.
 * The first to come is the first to go, so one deadline serves all of them.
 */
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { IdleEntry } from './idle-entry.ts';

export class AgeList<T extends object> {
  oldest: IdleEntry<T> | null = null;
  newest: IdleEntry<T> | null = null;
  /** NaN for entries that have a deadline each. */
  idleTimeoutMs: number;
  /** Lazy: putting and taking don't move it. It comes no later than the oldest entry's time is over. */
  readonly deadline: Deadline;

  constructor(idleTimeoutMs: number, deadlines: DeadlineQueue, onDeadline: (list: AgeList<T>) => void) {
    this.idleTimeoutMs = idleTimeoutMs;
    this.deadline = deadlines.deadline(() => onDeadline(this));
  }

  append(entry: IdleEntry<T>): void {
    entry.older = this.newest;
    if (this.newest === null) this.oldest = entry;
    else this.newest.newer = entry;
    this.newest = entry;
  }

  remove(entry: IdleEntry<T>): void {
    const { older, newer } = entry;
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.newest = older;
    else newer.older = older;
    entry.older = null;
    entry.newer = null;
  }
}
