/**
 * Members that come and go with every request, or every connection, in the order in which they came.
 *
 * V8 gives a `Set` or a `Map` a new table after every few changes, and the table before goes on pointing to it, for iterators that stand there. Once
 * one of these tables has come into the old generation, all that follow it, and every member that stood in one of them when it was replaced, outlive the
 * collections of the young generation, though nobody can reach them: dead exchanges pile up, and are copied, until everything is collected. Here
 * members are linked to each other, and who leaves keeps no link.
 */

/** What can be in one roster at a time. The links belong to the roster. */
export interface RosterMember {
  rosterBefore: RosterMember | null;
  rosterBehind: RosterMember | null;
}

/** Adding and deleting cost a few writes, and nothing is made for it. */
export class Roster<Member extends RosterMember> {
  #size = 0;
  #first: Member | null = null;
  #last: Member | null = null;

  get size(): number {
    return this.#size;
  }

  /** The one that has been here longest. */
  get first(): Member | null {
    return this.#first;
  }

  /** To the end. @param member of no roster */
  add(member: Member): void {
    this.#size++;
    member.rosterBefore = this.#last;
    if (this.#last === null) this.#first = member;
    else this.#last.rosterBehind = member;
    this.#last = member;
  }

  /** @returns false: it was no member */
  delete(member: Member): boolean {
    const { rosterBefore: before, rosterBehind: behind } = member;
    if (before === null && this.#first !== member) return false;
    this.#size--;
    if (before === null) this.#first = behind as Member | null;
    else before.rosterBehind = behind;
    if (behind === null) this.#last = before as Member | null;
    else behind.rosterBefore = before;
    member.rosterBefore = null;
    member.rosterBehind = null;
    return true;
  }

  /** The members of now, whatever becomes of them meanwhile. */
  toArray(): Member[] {
    const members: Member[] = [];
    for (let member = this.#first; member !== null; member = member.rosterBehind as Member | null) members.push(member);
    return members;
  }

  /** The members of now, but for those that have left by their turn. */
  *[Symbol.iterator](): Generator<Member, void> {
    for (const member of this.toArray()) if (member.rosterBefore !== null || member === this.#first) yield member;
  }
}
