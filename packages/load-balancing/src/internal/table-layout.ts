/**
 * The memory that the balancers of several threads share: what they know of each backend, who they are, and the set that one of them has discovered.
 *
 * ```text
 *   header (64 words of 32 bits)   mark · version · capacity · threads · epoch · leader · highest place · set version · set place · set bytes …
 *   for each thread                owner (a generation; 0: free; negative: being taken or cleared) · beat · retries under way
 *   for each slot                  tag (64 bits: 0 never used, −1 being prepared, else the name's) · 16 words (`SlotWord`)
 *   for each slot, stripe, thread  one word each (`Stripe`), written by its thread alone
 *   the published set              text, at the end of a memory that can grow
 * ```
 */

/** "FeLb", and the layout that this file describes: change the version with it. */
export const MARK = 0x4665_4c62;
export const LAYOUT_VERSION = 2;

export const HEADER_WORDS = 64;

/** Words of the header. */
export const HeaderWord = {
  mark: 0,
  version: 1,
  capacity: 2,
  threads: 3,
  /** Counts up with everything that changes which backends are ready, or with which weight. */
  epoch: 4,
  /** Which thread does what is to be done once: bit 30, its generation, and its place, packed. 0, or a generation that the place is not of any more: nobody. */
  leader: 5,
  /** One more than the highest place that was ever taken. */
  places: 6,
  /** Changes with each published set; 0: none was; odd: one is just being published. */
  setVersion: 7,
  setOffset: 8,
  setBytes: 9,
  setCheck: 10,
  /** Generations of owners, counted up. */
  generations: 11,
  maxBackends: 12,
} as const;

/** Words of a thread. */
export const ThreadWord = { owner: 0, beat: 1, retries: 2 } as const;
export const THREAD_WORDS = 4;

/** Words of a slot, which any thread may write. Times are in ms, modulo 2³²; 0 means none. */
export const SlotWord = {
  /** Bits of `SlotFlag`. */
  flags: 0,
  failuresInRow: 1,
  /** How often it was ejected, less what good times have taken off. */
  ejections: 2,
  ejectedUntil: 3,
  warmSince: 4,
  latencyMicros: 5,
  latencyAt: 6,
  /** What threads that have gone had counted in `Stripe`. */
  pastSucceeded: 7,
  pastFailed: 8,
  pastLatencySum: 9,
} as const;
export const SLOT_WORDS = 16;

/** What keeps a backend from being ready, and what is going on with it. */
export const SlotFlag = {
  /** An active check has found that it is not well. */
  unhealthy: 1,
  /** It was put out for a while because of what became of requests. */
  ejected: 2,
  /** It comes back, and warms up. */
  warming: 4,
  /** An operator has taken it out of service. */
  drained: 8,
} as const;

/** Numbers of a slot of which each thread has its own. */
export const Stripe = {
  /** Claims of its sets: while there is one, the slot is not given to another backend. */
  member: 0,
  inflight: 1,
  /** Tries that have no connection yet. */
  pending: 2,
  connections: 3,
  /** Tries that ended well, and badly, and from here on numbers that only grow; modulo 2³². */
  succeeded: 4,
  failed: 5,
  /** Of those that ended well: how long they took, in sixteenths of a millisecond; modulo 2³². */
  latencySum: 6,
} as const;
export const STRIPES = 7;

/** Where everything lies, in bytes from the beginning. */
export interface TableOffsets {
  readonly threads: number;
  readonly tags: number;
  readonly slots: number;
  readonly stripes: number;
  readonly set: number;
}

export function tableOffsets(capacity: number, threads: number): TableOffsets {
  const afterHeader = HEADER_WORDS * 4;
  const tags = align(afterHeader + threads * THREAD_WORDS * 4);
  const slots = tags + capacity * 8;
  const stripes = slots + capacity * SLOT_WORDS * 4;
  return { threads: afterHeader, tags, slots, stripes, set: align(stripes + capacity * STRIPES * threads * 4) };
}

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
