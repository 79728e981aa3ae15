/**
 * Fills the table of Maglev hashing, in steps.
 *
 * ```
 *   turns    a heap of members, by the round of their next turn, in a round by the hash of their names
 *   a turn   the member's next entry that is free becomes its own; its next round is the one in which its weight has come to another turn
 * ```
 * The order in which members are listed has no part in it, so programs that know the same members have the same table.
 *
 * Sources: as of `maglev.ts`; the heap stands for Envoy's loop over all members in each round, which takes long where one member weighs much more than thousands of others.
 */
import { crc32Text, mix32 } from '@ferrata/hash';
import type { Members } from './algorithm.ts';
import { fnv1a32 } from './key-hash.ts';
import { weightyMembers } from './member-lists.ts';

/** One to three milliseconds, by how much of the table the processor's caches hold. */
const probesPerStep = 32_768;
const membersPerStep = 4096;

/** Places in the order of turns, and members, are kept beside a greater number in one double. */
const placeRange = 2 ** 20;

/** The members that have turns, by their place in the order. */
interface Turns {
  readonly members: Int32Array;
  readonly weights: Int32Array;
  readonly maxWeight: number;
  /** By place: the entry that is preferred next, and how far it is to the one after it. */
  readonly entries: Int32Array;
  readonly skips: Int32Array;
}

/**
 * Makes the table.
 *
 * @param size a prime
 * @returns by entry: the member; empty if none has a weight
 * @throws {RangeError} when there are more members than entries
 */
export function* makeMaglevTable(members: Members, size: number): Generator<void, Int32Array, void> {
  const turns = yield* takePlaces(members, size);
  const count = turns.members.length;
  const table = new Int32Array(count === 0 ? 0 : size).fill(-1);
  // By place in the heap: the round of the next turn, and the place in the order. Ascending at first, which is a heap.
  const heap = Float64Array.from({ length: count }, (_, place) => placeRange + place);
  const taken = new Int32Array(count);
  let probes = 0;
  for (let filled = 0; filled < table.length; filled++) {
    const head = heap[0] as number;
    const place = head % placeRange;
    probes += takeEntry(table, turns, place);
    const turnCount = (taken[place] as number) + 1;
    taken[place] = turnCount;
    const round = Math.max(Math.floor(head / placeRange) + 1, Math.ceil((turnCount * turns.maxWeight) / (turns.weights[place] as number)));
    replaceHead(heap, round * placeRange + place);
    if (probes < probesPerStep) continue;
    probes = 0;
    yield;
  }
  return table;
}

/** Puts the members of positive weight in order. */
function* takePlaces(members: Members, size: number): Generator<void, Turns, void> {
  const listed = yield* weightyMembers(members);
  const count = listed.length;
  const most = Math.min(size, placeRange);
  if (count > most) throw new RangeError(`a Maglev table of ${size} entries is for at most ${most} backends, not ${count}`);
  const order = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    order[index] = fnv1a32(members.name(listed[index] as number)) * placeRange + index;
    if (index % membersPerStep === membersPerStep - 1) yield;
  }
  const sorted = order.toSorted();
  yield;
  const turns = {
    members: new Int32Array(count),
    weights: new Int32Array(count),
    entries: new Int32Array(count),
    skips: new Int32Array(count),
  };
  let maxWeight = 0;
  for (let place = 0; place < count; place++) {
    const key = sorted[place] as number;
    const member = listed[key % placeRange] as number;
    const weight = members.weight(member);
    maxWeight = Math.max(maxWeight, weight);
    turns.members[place] = member;
    turns.weights[place] = weight;
    turns.entries[place] = mix32(Math.floor(key / placeRange)) % size;
    turns.skips[place] = (mix32(crc32Text(members.name(member))) % (size - 1)) + 1;
    if (place % membersPerStep === membersPerStep - 1) yield;
  }
  return { ...turns, maxWeight };
}

/** Gives a member the entry that it prefers of those free. @returns how many it looked at */
function takeEntry(table: Int32Array, turns: Turns, place: number): number {
  const size = table.length;
  const skip = turns.skips[place] as number;
  let entry = turns.entries[place] as number;
  let probes = 1;
  while (table[entry] !== -1) {
    entry += skip;
    if (entry >= size) entry -= size;
    probes += 1;
  }
  table[entry] = turns.members[place] as number;
  turns.entries[place] = entry;
  return probes;
}

/** Puts another in the place of the heap's head. */
function replaceHead(heap: Float64Array, value: number): void {
  const end = heap.length;
  let place = 0;
  for (;;) {
    let child = 2 * place + 1;
    if (child >= end) break;
    if (child + 1 < end && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
    const least = heap[child] as number;
    if (least >= value) break;
    heap[place] = least;
    place = child;
  }
  heap[place] = value;
}
