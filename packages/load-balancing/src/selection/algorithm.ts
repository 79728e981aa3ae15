/**
 * What an algorithm of selection is: it builds a picker for a list of members, and the picker gives one of them for each request.
 *
 * Members are numbered 0, 1, 2 … in the order of the list, which does not change as long as the picker lives; which of them are ready, and with which weight, does.
 * The balancer keeps those in dense arrays that it rewrites when something has changed, and tells the picker by `refresh`.
 */
import type { Random } from '@ferrata/clock';

/** What a request is to be sent by, where the algorithm asks for it: the same key, the same backend. Text counts as its UTF-8 bytes. */
export type SelectionKey = string | Uint8Array;

/** The members for which a picker is built. */
export interface Members {
  readonly count: number;
  /** What the member is called; unique. */
  name(member: number): string;
  /** As it was configured: a whole number from 0. */
  weight(member: number): number;
}

/** Those among which one is to be picked, now, for this request. The same object each time, with other contents. */
export interface Candidates {
  readonly memberCount: number;
  /** The members that are ready, ascending; `readyCount` of them count. Never one of weight 0. */
  readonly ready: Int32Array;
  readonly readyCount: number;
  /** By member: the weight in force, a fraction of the configured one while it warms up; 0 for those that are not ready. */
  readonly weights: Float64Array;
  /** The sum of `weights`. */
  readonly totalWeight: number;
  /** Nothing is excluded for this request: every ready member is open, and `isOpen` need not be asked. */
  readonly isPlain: boolean;
  /** The request has been at a member before, which is excluded now. Turns of such requests are counted apart, or they would decide who has the first ones. Default false. */
  readonly isRetry?: boolean;
  /** The member is ready, and this request may go to it: neither tried before, nor full, nor refused by the program. */
  isOpen(member: number): boolean;
  /** Requests under way at the member, in all threads. */
  inflight(member: number): number;
  /** What an answer of the member has taken lately, in ms: a moving average that decays towards 0 in silence, and rises at once (peak EWMA). 0: not known. */
  latencyMs(member: number): number;
}

/** What builders get. */
export interface PickerTools {
  readonly random: Random;
  /** The picker of the set before, of the same algorithm; null at first. Where it has taken turns, say, a new one may go on. */
  readonly previous: Picker | null;
}

/** Picks. */
export interface Picker {
  /** What is ready has changed, or weights have. Called before the first `pick`, and between picks; never within one. */
  refresh?(candidates: Candidates): void;
  /**
   * Picks one.
   *
   * @param key null where the request has none
   * @returns the number of an open member; −1: there is none
   */
  pick(key: SelectionKey | null, candidates: Candidates): number;
}

/** An algorithm. */
export interface SelectionAlgorithm {
  readonly name: string;
  /**
   * Builds a picker. A builder that takes more than a millisecond or so for thousands of members is a generator that yields now and then: other work of the thread is
   * done in between, and requests go by the picker before.
   *
   * @throws {RangeError} when it cannot be built for these members: the update is refused, and the set before stays
   */
  build(members: Members, tools: PickerTools): Picker | Generator<void, Picker, void>;
}
