/**
 * The consistent-hash ring of nginx: each key has a member, and when one comes or goes only its own share of the keys moves.
 *
 * A key whose member is not open goes to the next on the ring, where nginx sends it and where it would be if that member were gone. Members that are down stay on the ring: a health check moves no
 * key but those of the member it concerns. Weights are points, so a member that warms up has all its keys at once.
 *
 * A ring takes over the points of the one before, and is built in steps of a few milliseconds: of 10 000 members that one changes takes some 25 ms in all, where a new ring takes 120.
 *
 * Source: nginx, `ngx_http_upstream_hash_module.c`, by way of `@ferrata/ketama`.
 */
import { KetamaRing, type KetamaRingOptions, type RingWalk } from '@ferrata/ketama';
import type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { firstOpenFrom } from './first-open.ts';
import { weightyMembers } from './member-lists.ts';
import { WeightedSampler } from './weighted-sampler.ts';

/** Options of `ketama`. */
export interface KetamaOptions {
  /** Points for each unit of weight, 1 to 65 536. Default 160, as in nginx. More spread the keys more evenly, at about 10 bytes and 70 ns of building each. */
  readonly pointsPerWeight?: number;
  /** The most points that a ring may have, 1 to 2²⁶. Default 2²¹, 13 107 units of weight: an update that needs more is refused. About 20 bytes a point while building, 10 afterwards. */
  readonly maxPoints?: number;
}

/**
 * Gives each key the member that nginx's `hash KEY consistent` gives it. Without a key it picks at random by weight.
 *
 * Members whose weights come to more points than `maxPoints`, or that are more than 65 536, are refused when it is built for them.
 *
 * @throws {RangeError} when an option is out of its range
 */
export function ketama(options: KetamaOptions = {}): SelectionAlgorithm {
  const { pointsPerWeight, maxPoints } = options;
  const ringOptions: KetamaRingOptions = {
    ...(pointsPerWeight === undefined ? {} : { pointsPerWeight }),
    ...(maxPoints === undefined ? {} : { maxPoints }),
  };
  // Options are looked at once, here.
  void new KetamaRing([], ringOptions);
  return Object.freeze({
    name: 'ketama',
    *build(members: Members, { random, previous }: PickerTools): Generator<void, Picker, void> {
      const onRing = yield* weightyMembers(members);
      const before = previous instanceof KetamaPicker ? { previous: previous.ring } : {};
      const ring = yield* KetamaRing.inSteps(nodesOf(members, onRing), { ...ringOptions, ...before });
      return new KetamaPicker(ring, onRing, new WeightedSampler(random));
    },
  });
}

/** Those of weight 0 have no points. */
function* nodesOf(members: Members, onRing: Int32Array): Generator<{ readonly address: string; readonly weight: number }, void, void> {
  for (const member of onRing) yield { address: members.name(member), weight: members.weight(member) };
}

class KetamaPicker implements Picker {
  readonly ring: KetamaRing;
  /** By node of the ring: the member. Names are unique, so the ring's nodes are in the order given. */
  readonly #members: Int32Array;
  readonly #walk: RingWalk;
  readonly #sampler: WeightedSampler;

  constructor(ring: KetamaRing, members: Int32Array, sampler: WeightedSampler) {
    this.ring = ring;
    this.#members = members;
    this.#walk = ring.nodesFromHash(0);
    this.#sampler = sampler;
  }

  refresh(): void {
    this.#sampler.refresh();
  }

  pick(key: SelectionKey | null, candidates: Candidates): number {
    if (key === null) return this.#sampler.drawOpen(candidates);
    if (candidates.readyCount === 0) return -1;
    const first = this.#members[this.ring.nodeIndex(key)] as number;
    if (candidates.isOpen(first)) return first;
    const walk = this.#walk;
    walk.restartFrom(key);
    for (let node = walk.nextIndex(); node !== -1; node = walk.nextIndex()) {
      const member = this.#members[node] as number;
      if (candidates.isOpen(member)) return member;
    }
    // A node whose points all belong to others, as those of `host` and `host:` do, is never met on the ring.
    return firstOpenFrom(0, candidates);
  }
}
