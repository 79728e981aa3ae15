/**
 * What is due when: a binary heap, so that ten thousand backends cost one timer.
 *
 * Of equal times the one that was put in first comes first, so that a run can be repeated.
 */

/** Something that is due. */
export interface Scheduled {
  dueAt: number;
  /** Set by the schedule. */
  order: number;
}

/** Things in the order of their times. Each may be in it once. */
export class CheckSchedule<Item extends Scheduled> {
  readonly #heap: Item[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the first is due; `Infinity` if there is none. */
  get nextAt(): number {
    return this.#heap[0]?.dueAt ?? Infinity;
  }

  add(item: Item): void {
    item.order = this.#order++;
    this.#heap.push(item);
    this.#rise(this.#heap.length - 1);
  }

  /** Takes the first, if it is due; null: nothing is. */
  takeDue(now: number): Item | null {
    const first = this.#heap[0];
    if (first === undefined || first.dueAt > now) return null;
    const last = this.#heap.pop() as Item;
    if (last !== first) {
      this.#heap[0] = last;
      this.#sink(0);
    }
    return first;
  }

  /** Keeps those of which `isWanted` says so. Takes time in proportion to all. */
  keep(isWanted: (item: Item) => boolean): void {
    const heap = this.#heap;
    let kept = 0;
    for (const item of heap) if (isWanted(item)) heap[kept++] = item;
    heap.length = kept;
    for (let index = (kept >>> 1) - 1; index >= 0; index--) this.#sink(index);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const item = heap[from] as Item;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >>> 1;
      const other = heap[above] as Item;
      if (!isBefore(item, other)) break;
      heap[index] = other;
      index = above;
    }
    heap[index] = item;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const item = heap[from] as Item;
    let index = from;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Item, heap[below] as Item)) below++;
      const other = heap[below] as Item;
      if (!isBefore(other, item)) break;
      heap[index] = other;
      index = below;
    }
    heap[index] = item;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);
}
