/**
 * Entries of one key in the order of their putting: the same list as `AgeList`, through the entries' other two fields.
 *
 * ```
 *   oldest ⇄ … ⇄ ┊ hot ⇄ … ⇄ newest          the hot ones are the end of the list, at most `hotCount`
 *           cold ┊ used in turn
 * ```
 * The oldest of the hot is used first, and when none is hot, the newest. So a hot queue without places is LIFO, and one without a
 * limit is FIFO. A put pushes the oldest of too many hot ones out into the cold; nothing warms it again but being used.
 */
import type { IdleEntry } from './idle-entry.ts';

export class KeyList<T extends object> {
  readonly key: string;
  oldest: IdleEntry<T> | null = null;
  newest: IdleEntry<T> | null = null;
  length = 0;
  /** False from the moment the index forgets the list. */
  isListed = true;
  readonly #hotCount: number;
  #hot: IdleEntry<T> | null = null;
  #hotLength = 0;

  /** @param hotCount how many are used in turn, from 0 to `Infinity` */
  constructor(key: string, hotCount: number) {
    this.key = key;
    this.#hotCount = hotCount;
  }

  /** The entry to be used first; null if the list is empty. */
  get first(): IdleEntry<T> | null {
    return this.#hot ?? this.newest;
  }

  append(entry: IdleEntry<T>): void {
    entry.olderOfKey = this.newest;
    if (this.newest === null) this.oldest = entry;
    else this.newest.newerOfKey = entry;
    this.newest = entry;
    this.length++;

    if (this.#hotCount === 0) return;
    this.#hot ??= entry;
    if (this.#hotLength < this.#hotCount) this.#hotLength++;
    else this.#hot = this.#hot.newerOfKey;
  }

  remove(entry: IdleEntry<T>): void {
    if (this.#hot !== null && entry.order >= this.#hot.order) {
      if (entry === this.#hot) this.#hot = entry.newerOfKey;
      this.#hotLength--;
    }
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
