/** Entries of a pool in the order of their putting, the oldest first: a doubly linked list through the entries' own fields. */
import type { IdleEntry } from './idle-entry.ts';

export class AgeList<T> {
  oldest: IdleEntry<T> | null = null;
  newest: IdleEntry<T> | null = null;

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
