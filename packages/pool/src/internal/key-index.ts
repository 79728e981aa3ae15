/**
 * The lists of a pool by key.
 *
 * A key's list is kept when it runs empty: most often it held the only connection to a place, which comes back after one request, and
 * setting and deleting an entry of a map costs more than all the rest. But keys may be made up by peers, so empty ones are swept out
 * when there are more of them than of the others: a few lists each time, or one `take` in many would wait for all of them.
 */
import { KeyList } from './key-list.ts';

/** So many empty lists are always kept. */
const sparedEmpties = 16;
/** Lists visited each time that one has run empty while there are too many: more than come in meanwhile, few enough to go unnoticed. */
const visitedAtOnce = 8;

export class KeyIndex<T extends object> {
  readonly #lists = new Map<string, KeyList<T>>();
  readonly #hotCount: number;
  #emptyCount = 0;
  /** Where the sweep has come to. A map's iterator goes on rightly whatever is set and deleted meanwhile. */
  #sweep: MapIterator<KeyList<T>> = this.#lists.values();

  /** @param hotCount of each list */
  constructor(hotCount: number) {
    this.#hotCount = hotCount;
  }

  /** Keys that have a list, be it an empty one: about twice the keys in use and a few. */
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

  /** To be called when the caller has removed the last entry of a list. */
  noteEmptied(): void {
    this.#emptyCount++;
    for (let visits = visitedAtOnce; visits > 0 && this.#emptyCount > sparedEmpties + (this.#lists.size - this.#emptyCount); visits--) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = this.#lists.values();
      } else if (next.value.length === 0) {
        next.value.isListed = false;
        this.#lists.delete(next.value.key);
        this.#emptyCount--;
      }
    }
  }
}
