/** Entries of one key in the order of their putting: the same list as `AgeList`, through the entries' other two fields. */
import type { IdleEntry } from './idle-entry.ts';

export class KeyList<T> {
  oldest: IdleEntry<T> | null = null;
  newest: IdleEntry<T> | null = null;
  length = 0;

  append(entry: IdleEntry<T>): void {
    entry.olderOfKey = this.newest;
    if (this.newest === null) this.oldest = entry;
    else this.newest.newerOfKey = entry;
    this.newest = entry;
    this.length++;
  }

  remove(entry: IdleEntry<T>): void {
    const { olderOfKey, newerOfKey } = entry;
    if (olderOfKey === null) this.oldest = newerOfKey;
    else olderOfKey.newerOfKey = newerOfKey;
    if (newerOfKey === null) this.newest = olderOfKey;
    else newerOfKey.olderOfKey = olderOfKey;
    entry.olderOfKey = null;
    entry.newerOfKey = null;
    this.length--;
  }
}
