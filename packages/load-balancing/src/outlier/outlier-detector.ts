/**
 * Passive health: puts backends out for a while that requests fail at.
 *
 * - Failures in a row are counted over all threads, and whichever thread counts the last one puts the backend out at once.
 * - Shares of errors and mean times are looked at by one thread, once an interval, from the numbers of all.
 * - Each further time a backend is out for longer; a good interval takes one time off. At most a share of the set is ever out.
 *
 * After Envoy's outlier detection, whose figures most of the defaults are.
 */
import type { Backend } from '../backend.ts';
import type { BackendStates } from '../internal/backend-states.ts';
import { SlotFlag, SlotWord, Stripe } from '../internal/table-layout.ts';
import type { ResolvedOutlierOptions } from './outlier-options.ts';

/** Why a backend was put out. */
export interface Ejection {
  readonly cause: 'consecutiveFailures' | 'errorShare' | 'latency';
  /** What was counted: failures in a row, the share of failures, or the mean in ms. */
  readonly value: number;
  readonly forMs: number;
}

/** Who is told. */
export interface OutlierListener {
  onEjected(backend: Backend, ejection: Ejection): void;
  onReturned(backend: Backend): void;
}

/** What a backend had counted when an interval began. */
interface Baseline {
  /** Whose numbers these are: a slot may have been given to another. */
  readonly name: string;
  succeeded: number;
  failed: number;
  latencySum: number;
}

/** What it did within one. */
interface Interval {
  readonly backend: Backend;
  readonly requests: number;
  readonly failed: number;
  /** Mean of those that ended well, ms; NaN: too few. */
  readonly meanMs: number;
}

/** The detector of one thread; all of them work on the same numbers. */
export class OutlierDetector {
  readonly #options: ResolvedOutlierOptions;
  readonly #states: BackendStates;
  readonly #listener: OutlierListener;
  readonly #baselines = new Map<number, Baseline>();
  #nextIntervalAt = Number.NaN;

  constructor(options: ResolvedOutlierOptions, states: BackendStates, listener: OutlierListener) {
    this.#options = options;
    this.#states = states;
    this.#listener = listener;
  }

  handleSuccess(slot: number): void {
    const { table } = this.#states;
    if (table.word(slot, SlotWord.failuresInRow) !== 0) table.setWord(slot, SlotWord.failuresInRow, 0);
  }

  /** @param backends the set of which the backend is one */
  handleFailure(backend: Backend, backends: readonly Backend[]): void {
    const { consecutiveFailures } = this.#options;
    const failures = this.#states.table.addWord(backend.slot, SlotWord.failuresInRow, 1) + 1;
    if (failures >= consecutiveFailures) this.#eject(backend, backends, 'consecutiveFailures', failures);
  }

  /** For the leader, several times a second: who has served his time comes back, and once an interval all are looked at. */
  sweep(backends: readonly Backend[], now: number): void {
    for (const backend of backends) if (this.#states.returnIfDue(backend.slot)) this.#listener.onReturned(backend);
    // Whoever has just become the leader knows no beginning of this interval.
    if (Number.isNaN(this.#nextIntervalAt)) this.#begin(backends, now);
    if (now < this.#nextIntervalAt) return;
    this.#judge(backends);
    this.#begin(backends, now);
  }

  #begin(backends: readonly Backend[], now: number): void {
    this.#nextIntervalAt = now + this.#options.intervalMs;
    this.#baselines.clear();
    for (const { slot, name } of backends) this.#baselines.set(slot, this.#read(slot, name));
  }

  #read(slot: number, name: string): Baseline {
    const { table } = this.#states;
    return {
      name,
      succeeded: table.total(slot, Stripe.succeeded),
      failed: table.total(slot, Stripe.failed),
      latencySum: table.total(slot, Stripe.latencySum),
    };
  }

  #judge(backends: readonly Backend[]): void {
    const { minRequests, maxErrorShare } = this.#options;
    const intervals = backends.map((backend) => this.#intervalOf(backend));
    for (const { backend, requests, failed } of intervals) {
      const share = failed / requests;
      if (requests >= minRequests && share > maxErrorShare) this.#eject(backend, backends, 'errorShare', share);
    }
    this.#judgeTimes(intervals, backends);
    for (const { backend } of intervals) this.#forgive(backend);
  }

  #intervalOf(backend: Backend): Interval {
    const before = this.#baselines.get(backend.slot);
    const none = { backend, requests: 0, failed: 0, meanMs: Number.NaN };
    if (before?.name !== backend.name) return none;
    const now = this.#read(backend.slot, backend.name);
    const succeeded = (now.succeeded - before.succeeded) | 0;
    const failed = (now.failed - before.failed) | 0;
    const sum = (now.latencySum - before.latencySum) >>> 0;
    // It was forgotten and came back meanwhile: its numbers began anew.
    if (succeeded < 0 || failed < 0) return none;
    const meanMs = succeeded < this.#options.minRequests ? Number.NaN : sum / 16 / succeeded;
    return { backend, requests: succeeded + failed, failed, meanMs };
  }

  #judgeTimes(intervals: readonly Interval[], backends: readonly Backend[]): void {
    const { maxLatencyFactor, minLatencyGapMs } = this.#options;
    if (maxLatencyFactor === Infinity) return;
    const means = intervals.map(({ meanMs }) => meanMs).filter((mean) => !Number.isNaN(mean));
    // Of two nobody can say which is the odd one out.
    if (means.length < 3) return;
    const median = medianOf(means);
    for (const { backend, meanMs } of intervals)
      if (meanMs > median * maxLatencyFactor && meanMs - median > minLatencyGapMs) this.#eject(backend, backends, 'latency', meanMs);
  }

  /** An interval that a backend was in for takes one of its times off. */
  #forgive({ slot }: Backend): void {
    const { table } = this.#states;
    const ejections = table.word(slot, SlotWord.ejections);
    if (ejections > 0 && !this.#states.has(slot, SlotFlag.ejected)) table.swapWord(slot, SlotWord.ejections, ejections, ejections - 1);
  }

  #eject(backend: Backend, backends: readonly Backend[], cause: Ejection['cause'], value: number): void {
    const { table } = this.#states;
    const { slot } = backend;
    if (this.#states.has(slot, SlotFlag.ejected) || !this.#mayEject(backends, 1)) return;
    const times = table.addWord(slot, SlotWord.ejections, 1) + 1;
    const forMs = Math.min(this.#options.maxEjectionMs, this.#options.baseEjectionMs * times);
    if (!this.#states.eject(slot, forMs)) {
      table.addWord(slot, SlotWord.ejections, -1);
      return;
    }
    // Two threads that put two out at once may each have seen room for one.
    if (this.#mayEject(backends, 0)) this.#listener.onEjected(backend, { cause, value, forMs });
    else this.#states.takeBackEjection(slot);
  }

  /** @param more how many beyond those that are out */
  #mayEject(backends: readonly Backend[], more: number): boolean {
    const { maxEjectedShare } = this.#options;
    let total = 0;
    let ejected = 0;
    for (const { slot, weight, isEnabled } of backends) {
      if (weight === 0 || !isEnabled) continue;
      total++;
      if (this.#states.has(slot, SlotFlag.ejected)) ejected++;
    }
    return total >= 2 && ejected + more <= Math.max(1, Math.floor(total * maxEjectedShare));
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
