/**
 * The lists of a pool by key.
 *
 * A key's list is kept when it runs empty: most often it held the only connection to a place, which comes back after one request, and
 * setting and deleting an entry of a map costs more than all the rest. But keys may be made up by peers, so empty ones are swept out
 * when there are more of them than of the others.
 */
import { KeyList } from './key-list.ts';

/** So many empty lists are always kept. */
const sparedEmpties = 16;

export class KeyIndex<T extends object> {
  readonly #lists = new Map<string, KeyList<T>>();
  readonly #hotCount: number;
  #emptyCount = 0;

  /** @param hotCount of each list */
  constructor(hotCount: number) {
    this.#hotCount = hotCount;
  }

  /** Keys that have a list, be it an empty one: at most twice the keys in use and a few. */
  get size(): number {
    return this.#lists.size;
  }

  /** @returns undefined if the key has no list; a list may be empty */
  find(key: string): KeyList<T> | undefined {
    return this.#lists.get(key);
  }

  /**
   * The list of `key`, to which the caller now appends.
   *
   * @param last the list that the entry was in before: mostly the same again, and asking the map is a fifth of a put and a take
   */
  forAppend(key: string, last: KeyList<T> | null): KeyList<T> {
    const found = last !== null && last.isListed && last.key === key ? last : this.#lists.get(key);
    if (found !== undefined) {
      if (found.length === 0) this.#emptyCount--;
      return found;
    }
    const list = new KeyList<T>(key, this.#hotCount);
    this.#lists.set(key, list);
    return list;
  }

  /** To be called when the caller has removed the last entry of a list. O(1), amortised: a sweep removes half of what it visits. */
  noteEmptied(): void {
    this.#emptyCount++;
    const inUse = this.#lists.size - this.#emptyCount;
    if (this.#emptyCount <= sparedEmpties + inUse) return;
    for (const [key, list] of this.#lists) {
      if (list.length > 0) continue;
      list.isListed = false;
      this.#lists.delete(key);
    }
    this.#emptyCount = 0;
  }
}
