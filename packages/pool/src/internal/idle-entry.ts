/** What a pool keeps of one idle item: the item, its times, and its places in two lists. */
import type { Deadline } from '@ferrata/timeout';
import type { PoolEntry } from '../idle-pool.ts';
import type { AgeList } from './age-list.ts';
import type { KeyList } from './key-list.ts';

export class IdleEntry<T> implements PoolEntry<T> {
  readonly key: string;
  readonly item: T;
  /** The number of this put among all of the pool. */
  readonly order: number;
  /** When its idle time is over, on the queue's clock. */
  readonly expiresAt: number;
  /** The list of its key while it is idle; null ever after. */
  siblings: KeyList<T> | null;
  /** The list it grows old in. */
  readonly ages: AgeList<T>;
  /** Only for an idle time of its own: the others share the pool's deadline. */
  deadline: Deadline | null = null;
  older: IdleEntry<T> | null = null;
  newer: IdleEntry<T> | null = null;
  olderOfKey: IdleEntry<T> | null = null;
  newerOfKey: IdleEntry<T> | null = null;

  constructor(init: IdleEntryInit<T>) {
    this.key = init.key;
    this.item = init.item;
    this.order = init.order;
    this.expiresAt = init.expiresAt;
    this.siblings = init.siblings;
    this.ages = init.ages;
  }

  get isIdle(): boolean {
    return this.siblings !== null;
  }
}

interface IdleEntryInit<T> {
  readonly key: string;
  readonly item: T;
  readonly order: number;
  readonly expiresAt: number;
  readonly siblings: KeyList<T>;
  readonly ages: AgeList<T>;
}
