/**
 * What the threads know of each backend, by name and with its rules: flags, latency, ejection, warming up.
 *
 * Times are stored as milliseconds modulo 2³², of a clock that all threads read alike; two of them are compared by their difference, which is right for 48 days: a time that lies ahead is never more
 * than a day away.
 */
import type { BackendTable } from './backend-table.ts';
import { SlotFlag, SlotWord, Stripe } from './table-layout.ts';

/** How a backend comes back. */
export interface SlowStartRules {
  /** 0: at once. */
  readonly slowStartMs: number;
  readonly slowStartAggression: number;
  readonly slowStartMinShare: number;
}

/** The state of one backend, for people and metrics. */
export interface BackendState {
  /** No active check says otherwise. */
  readonly isHealthy: boolean;
  /** It is out for a while because of what became of requests. */
  readonly isEjected: boolean;
  /** It gets less than its weight as yet. */
  readonly isWarming: boolean;
  /** It was taken out of service by `drain`. */
  readonly isDrained: boolean;
  /** In all threads. */
  readonly inflight: number;
  readonly pending: number;
  readonly connections: number;
  /** What its answers have taken lately, ms; 0: not known. */
  readonly latencyMs: number;
  /** Tries that ended well, and badly, since it is known; modulo 2³². */
  readonly succeeded: number;
  readonly failed: number;
}

/** States. */
export class BackendStates {
  readonly table: BackendTable;
  readonly #now: () => number;
  readonly #slow: SlowStartRules;
  readonly #latencyWindowMs: number;

  constructor(table: BackendTable, now: () => number, options: SlowStartRules & { readonly latencyWindowMs: number }) {
    this.table = table;
    this.#now = now;
    this.#slow = options;
    this.#latencyWindowMs = options.latencyWindowMs;
  }

  describe(slot: number): BackendState {
    const { table } = this;
    const flags = table.word(slot, SlotWord.flags);
    return {
      isHealthy: (flags & SlotFlag.unhealthy) === 0,
      isEjected: (flags & SlotFlag.ejected) !== 0,
      isWarming: (flags & SlotFlag.warming) !== 0,
      isDrained: (flags & SlotFlag.drained) !== 0,
      inflight: table.sum(slot, Stripe.inflight),
      pending: table.sum(slot, Stripe.pending),
      connections: table.sum(slot, Stripe.connections),
      latencyMs: this.latencyMs(slot),
      succeeded: table.total(slot, Stripe.succeeded) >>> 0,
      failed: table.total(slot, Stripe.failed) >>> 0,
    };
  }

  has(slot: number, flag: number): boolean {
    return (this.table.word(slot, SlotWord.flags) & flag) !== 0;
  }

  /** @returns whether it was otherwise before */
  setUnhealthy(slot: number, isUnhealthy: boolean): boolean {
    if (isUnhealthy) return this.#raise(slot, SlotFlag.unhealthy);
    return this.#comeBack(slot, SlotFlag.unhealthy);
  }

  /** @returns whether it was otherwise before */
  setDrained(slot: number, isDrained: boolean): boolean {
    return isDrained ? this.#raise(slot, SlotFlag.drained) : this.#comeBack(slot, SlotFlag.drained);
  }

  // ---- ejection ------------------------------------------------------------------------------------------------------------------

  /** Puts it out until a time. @returns false: it is out already */
  eject(slot: number, forMs: number): boolean {
    const { table } = this;
    if (this.has(slot, SlotFlag.ejected)) return false;
    // Before the flag: whoever sees it must find its time.
    table.setWord(slot, SlotWord.ejectedUntil, stampOf(this.#now() + forMs));
    return this.#raise(slot, SlotFlag.ejected);
  }

  /** Lets it back in if its time has come. */
  returnIfDue(slot: number): boolean {
    const { table } = this;
    if (!this.has(slot, SlotFlag.ejected) || sinceMs(table.word(slot, SlotWord.ejectedUntil), this.#now()) < 0) return false;
    return this.#comeBack(slot, SlotFlag.ejected);
  }

  /** It should not have been put out. */
  takeBackEjection(slot: number): void {
    this.table.addWord(slot, SlotWord.ejections, -1);
    this.#lower(slot, SlotFlag.ejected);
  }

  // ---- latency -------------------------------------------------------------------------------------------------------------------

  /** Peak EWMA: decays towards 0 while nothing is heard, and is at once as high as the slowest (Finagle's `PeakEwma`). */
  latencyMs(slot: number): number {
    const { table } = this;
    const micros = table.word(slot, SlotWord.latencyMicros);
    if (micros === 0) return 0;
    const silentMs = Math.max(0, sinceMs(table.word(slot, SlotWord.latencyAt), this.#now()));
    return (micros / 1_000) * Math.exp(-silentMs / this.#latencyWindowMs);
  }

  /** Two threads at once may lose one of two observations. */
  observeLatency(slot: number, latencyMs: number): void {
    const { table } = this;
    const now = this.#now();
    const before = table.word(slot, SlotWord.latencyMicros) / 1_000;
    let next = latencyMs;
    if (before > latencyMs) {
      const share = Math.exp(-Math.max(0, sinceMs(table.word(slot, SlotWord.latencyAt), now)) / this.#latencyWindowMs);
      next = before * share + latencyMs * (1 - share);
    }
    table.setWord(slot, SlotWord.latencyMicros, Math.max(1, Math.min(0x7fff_ffff, Math.round(next * 1_000))));
    table.setWord(slot, SlotWord.latencyAt, stampOf(now));
  }

  // ---- warming up ----------------------------------------------------------------------------------------------------------------

  /** The share of its weight that a backend has which came back at that time: `(elapsed ÷ slowStartMs) ^ (1 ÷ aggression)`, as Envoy has it. */
  warmth(warmSince: number): number {
    const { slowStartMs, slowStartAggression, slowStartMinShare } = this.#slow;
    const share = Math.max(0, sinceMs(warmSince, this.#now())) / slowStartMs;
    return share >= 1 ? 1 : Math.max(slowStartMinShare, share ** (1 / slowStartAggression));
  }

  /** @returns whether it has less than its weight, or had until just now: weights have changed */
  isStillWarming(slot: number): boolean {
    const { table } = this;
    if (!this.has(slot, SlotFlag.warming)) return false;
    if (this.warmth(table.word(slot, SlotWord.warmSince)) >= 1) table.clearBits(slot, SlotWord.flags, SlotFlag.warming);
    return true;
  }

  /** A backend that is new, or comes back, begins slowly. */
  warmUp(slot: number): void {
    if (this.#slow.slowStartMs === 0) return;
    this.table.setWord(slot, SlotWord.warmSince, stampOf(this.#now()));
    this.table.setBits(slot, SlotWord.flags, SlotFlag.warming);
    this.table.bumpEpoch();
  }

  /** Without a past, and slowly. */
  #comeBack(slot: number, flag: number): boolean {
    if (!this.has(slot, flag)) return false;
    this.table.setWord(slot, SlotWord.failuresInRow, 0);
    // Before the flag: nobody is to see it with its whole weight.
    this.warmUp(slot);
    return this.#lower(slot, flag);
  }

  #raise(slot: number, flag: number): boolean {
    if ((this.table.setBits(slot, SlotWord.flags, flag) & flag) !== 0) return false;
    this.table.bumpEpoch();
    return true;
  }

  #lower(slot: number, flag: number): boolean {
    if ((this.table.clearBits(slot, SlotWord.flags, flag) & flag) === 0) return false;
    this.table.bumpEpoch();
    return true;
  }
}

/** Never 0, which is "none". */
function stampOf(now: number): number {
  return Math.floor(now) | 0 || 1;
}

/** Nothing lies further ahead than this: times to come are a day away at the most. */
const MAX_AHEAD_MS = 2 ** 27;

/** Negative: the time lies ahead. */
function sinceMs(stamp: number, now: number): number {
  return ((stampOf(now) - stamp + MAX_AHEAD_MS) >>> 0) - MAX_AHEAD_MS;
}
