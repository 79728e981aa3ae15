/** One try to start a generation, as the keeper knows it. */
import type { Wakeup } from '@ferrata/clock';
import type { Member } from './member.ts';

/** `replace`: nothing serves. All others but `first` have a generation that goes on if nothing comes of it. */
export type AttemptReason = 'first' | 'replace' | 'upgrade' | 'descriptors' | 'reload';

/** A generation that is being started, from the opening of its sockets on. */
export interface Attempt {
  readonly reason: AttemptReason;
  readonly changes: readonly string[];
  readonly deadline: Wakeup;
  member: Member | null;
  /** Of the process, also when that has ended already. */
  name: string;
  /** A reload had been waiting: if this comes to nothing, it is still to be done. */
  readonly isReload: boolean;
  rounds: number;
}
