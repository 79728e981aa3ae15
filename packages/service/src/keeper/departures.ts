/** Generations on their way out: told to stop, or not wanted any more, and killed if they do not end in their time. */
import type { Clock } from '@ferrata/clock';
import { MAX_TIME_MS } from '../server-options.ts';
import type { KeeperMessage } from './generation-messages.ts';
import type { Member } from './member.ts';
import { nameOf } from './notice-text.ts';

/** How long a generation that has nothing left to do may take to end. */
export const KILL_MARGIN_MS = 5_000;

/** Those that are leaving, until they have ended. */
export class Departures {
  readonly #clock: Clock;
  readonly #warn: (text: string) => void;
  readonly #members = new Set<Member>();

  constructor(clock: Clock, warn: (text: string) => void) {
    this.#clock = clock;
    this.#warn = warn;
  }

  get members(): ReadonlySet<Member> {
    return this.#members;
  }

  /** Tells a generation to stop, and sees to it that it does. Told again, it may only become sooner. */
  leave(member: Member, stop: Extract<KeeperMessage, { kind: 'stop' }>, marginMs = KILL_MARGIN_MS): void {
    this.#members.add(member);
    member.isLeaving = true;
    member.mayDrain = stop.graceMs > 0;
    member.process.send(stop);
    this.#killIn(member, stop.graceMs + stop.delayMs + marginMs);
  }

  /** Of one that never served: it is leaving by itself, or not wanted any more. Without patience it is killed at once. */
  dismiss(member: Member, patienceMs: number): void {
    this.#members.add(member);
    member.isLeaving = true;
    member.endIsNoNews = true;
    if (patienceMs === 0) this.kill(member);
    else this.#killIn(member, patienceMs);
  }

  /** It says that it has stopped, and need only end; also one that nobody has told to. */
  handleStopped(member: Member, cut: number): void {
    // Its sockets are the next one's if nobody has told it to.
    if (member.isLeaving) member.keys = new Set();
    this.#killIn(member, KILL_MARGIN_MS);
    // Told to stop fast, it was to cut them.
    if (cut > 0 && member.mayDrain) this.#warn(`${nameOf(member)}: ${connections(cut)} still busy after the grace and had to be cut`);
  }

  kill(member: Member): void {
    member.endIsNoNews = true;
    member.process.kill();
  }

  /** It has ended. */
  forget(member: Member): void {
    member.killer?.cancel();
    member.keys = new Set();
    this.#members.delete(member);
  }

  #killIn(member: Member, ms: number): void {
    const delayMs = Math.min(ms, MAX_TIME_MS);
    const at = this.#clock.now() + delayMs;
    if (member.killAt !== null && member.killAt <= at) return;
    member.killAt = at;
    member.killer?.cancel();
    member.killer = this.#clock.schedule(delayMs, () => {
      this.#warn(`${nameOf(member)} has not ended in its time, and is killed`);
      this.kill(member);
    });
  }
}

function connections(count: number): string {
  return count === 1 ? '1 connection was' : `${count} connections were`;
}
