/**
 * The levels of a set, or of a subset of it, from the most wanted to the least: by priority, and within one the near ones before the others.
 *
 * How much of the traffic a level gets follows from how much of it is ready, as Envoy does it: of a level of which the share `r` is ready, `overprovisioning × r` can be carried
 * (at most all), the rest goes on to the next level. With 1.4 a level may lose 28 % of its weight before any request goes elsewhere. With a key, the key
 * decides, not chance: the same key goes to the same level as long as nothing changes.
 */
import type { Random } from '@ferrata/clock';
import { crc32, crc32Text, mix32 } from '@ferrata/hash';
import type { Backend } from '../backend.ts';
import type { SelectionKey } from '../selection/algorithm.ts';
import type { Accept, Leniency, Level } from './level.ts';

/** What is to be known for choosing a level. */
export interface LevelOptions {
  readonly overprovisioning: number;
  readonly panicThreshold: number;
  readonly random: Random;
}

/** What keeps a set from working as it should. */
export type Distress = 'none' | 'panic' | 'lastResort' | 'nothingReady';

/** Levels. */
export class Levels<Extension> {
  readonly list: readonly Level<Extension>[];
  readonly #options: LevelOptions;
  /** By level: up to which share of all requests it gets them. */
  readonly #shares: Float64Array;
  /** How it stands. */
  distress: Distress = 'none';
  #epoch = Number.NaN;
  /** Choices under way: `accept` may ask for another within one. */
  #picks = 0;

  constructor(list: readonly Level<Extension>[], options: LevelOptions) {
    this.list = list;
    this.#options = options;
    this.#shares = new Float64Array(list.length);
  }

  /** Looks again who is ready, if anything has changed since. */
  refresh(epoch: number): void {
    if (epoch === this.#epoch || this.#picks > 0) return;
    this.#epoch = epoch;
    this.#refreshAll('none');
    const ready = this.#sum('readyWeight');
    const configured = this.#sum('configuredWeight');
    this.distress = 'none';
    if (configured > 0 && ready < this.#options.panicThreshold * configured) {
      // So many cannot be bad: either the checks are wrong, or the few that are left would fall over next.
      this.#refreshAll('unhealthy');
      this.distress = 'panic';
    } else if (ready === 0) {
      // Being put out is a guess from what became of requests. When nobody else is left, even a bad one is better than none.
      this.#refreshAll('ejected');
      this.distress = this.#sum('readyWeight') > 0 ? 'lastResort' : 'nothingReady';
    }
    this.#share();
  }

  get readyCount(): number {
    let count = 0;
    for (const { readyCount } of this.list) count += readyCount;
    return count;
  }

  get memberCount(): number {
    let count = 0;
    for (const { memberCount } of this.list) count += memberCount;
    return count;
  }

  pick(key: SelectionKey | null, excluded: readonly Backend<Extension>[], accept: Accept<Extension> | null): Backend<Extension> | null {
    if (accept === null) return this.#pick(key, excluded, null);
    this.#picks++;
    try {
      return this.#pick(key, excluded, accept);
    } finally {
      this.#picks--;
    }
  }

  #pick(key: SelectionKey | null, excluded: readonly Backend<Extension>[], accept: Accept<Extension> | null): Backend<Extension> | null {
    const { list } = this;
    const chosen = list.length === 1 ? 0 : this.#choose(key);
    if (chosen === -1) return accept === null ? null : this.#pickUnready(excluded, accept);
    const found = (list[chosen] as Level<Extension>).pick(key, excluded, accept);
    if (found !== null) return found;
    for (let level = 0; level < list.length; level++) {
      const other = level === chosen ? null : (list[level] as Level<Extension>).pick(key, excluded, accept);
      if (other !== null) return other;
    }
    return accept === null ? null : this.#pickUnready(excluded, accept);
  }

  #pickUnready(excluded: readonly Backend<Extension>[], accept: Accept<Extension>): Backend<Extension> | null {
    for (const level of this.list) {
      const found = level.pickUnready(excluded, accept);
      if (found !== null) return found;
    }
    return null;
  }

  #choose(key: SelectionKey | null): number {
    const shares = this.#shares;
    const last = shares.length - 1;
    if (last < 0) return -1;
    if (shares[0] === 1) return 0;
    const at = key === null ? this.#options.random.next() : hashOf(key) / 2 ** 32;
    for (let level = 0; level < last; level++) if (at < (shares[level] as number)) return level;
    return last;
  }

  /** Shares the traffic out among the levels. */
  #share(): void {
    const { list } = this;
    const shares = this.#shares;
    let left = 1;
    for (let index = 0; index < list.length; index++) {
      const { readyWeight, configuredWeight } = list[index] as Level<Extension>;
      const part = readyWeight === 0 ? 0 : Math.min(left, (this.#options.overprovisioning * readyWeight) / configuredWeight);
      left -= part;
      shares[index] = 1 - left;
    }
    const whole = 1 - left;
    for (let index = 0; index < list.length; index++) shares[index] = whole <= 0 ? 0 : Math.min(1, (shares[index] as number) / whole);
  }

  #refreshAll(leniency: Leniency): void {
    for (const level of this.list) level.refresh(leniency);
  }

  #sum(what: 'readyWeight' | 'configuredWeight'): number {
    let sum = 0;
    for (const level of this.list) sum += level[what];
    return sum;
  }
}

/** Not the hash that rings use: which level a key goes to must say nothing about its place in it. */
function hashOf(key: SelectionKey): number {
  return mix32((typeof key === 'string' ? crc32Text(key) : crc32(key)) ^ 0x6c65_7665);
}
