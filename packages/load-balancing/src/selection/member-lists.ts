/** Lists made of members: those that weigh something, and where those of one list stand in another. */
import type { Members } from './algorithm.ts';

/** About a millisecond. */
const membersPerStep = 4096;

/** @returns the members of positive weight, ascending */
export function* weightyMembers(members: Members): Generator<void, Int32Array, void> {
  const list = new Int32Array(members.count);
  let count = 0;
  for (let member = 0; member < members.count; member++) {
    if (members.weight(member) > 0) list[count++] = member;
    if (member % membersPerStep === membersPerStep - 1) yield;
  }
  return list.subarray(0, count);
}

/** Finds the members of one list in another by their names. @returns by member: its number in the other list, or −1 */
export function* matchMembers(members: Members, others: Members): Generator<void, Int32Array, void> {
  const places = new Int32Array(members.count).fill(-1);
  // Most lists that change are the same up to the change.
  let same = 0;
  while (same < members.count && same < others.count && members.name(same) === others.name(same)) {
    places[same] = same;
    same += 1;
    if (same % membersPerStep === 0) yield;
  }
  if (same === members.count) return places;
  const numbers = new Map<string, number>();
  for (let other = same; other < others.count; other++) {
    numbers.set(others.name(other), other);
    if (other % membersPerStep === 0) yield;
  }
  for (let member = same; member < members.count; member++) {
    places[member] = numbers.get(members.name(member)) ?? -1;
    if (member % membersPerStep === 0) yield;
  }
  return places;
}
