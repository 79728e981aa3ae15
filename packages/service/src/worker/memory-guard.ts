/**
 * Watches the memory of one thread and of its process, and says in stages how near they are to their limits.
 *
 * ```
 *            85 %          92 %           97 %
 *    none ────────► tight ───────► critical ──────► last
 *      ◄── below 80 % ◄── below 87 % ◄─── below 92 %
 * ```
 * Two things can run out, and the worse of them counts: the heap of this thread, beyond which the thread dies, and the memory of the process (buffers, which
 * are no part of a heap, included), beyond which the kernel kills it.
 *
 * Rules of this file:
 * - Up at once, by as many stages as it takes; down only when `hysteresis` below the stage's share, so that the stage does not flicker.
 * - A heap also holds what nobody needs any more: V8 collects that when it comes near the limit, not before. So beyond `tight` only what the last full
 *   collection left counts; one that was not collected since it grew is tight at most.
 * - What the process has set free stays with its allocator, which gives it out again and hardly ever back to the kernel (tried: of 400 MB of chunks, as sockets read them,
 *   all). So beyond `tight` the process counts only while it grows: for ten seconds after it was larger than ever since it was last out of `tight`, or gave back
 *   `hysteresis`. Otherwise one moment of many slow readers would have all requests refused for ever after.
 * - A sample costs some microseconds, and nothing is done per request or connection.
 */
import { type Clock, systemClock, type Wakeup } from '@ferrata/clock';
import { checkNumber } from '@ferrata/error';
import { callUser } from '@ferrata/stream';
import type { MemoryPressure } from '../service.ts';
import { type MemorySample, MemorySampler } from './memory-sampler.ts';

/** Options of a `MemoryGuard`. */
export interface MemoryGuardOptions {
  /**
   * Called at each change of the stage, and again at each sample while it is `last`. What it throws, or rejects with, is dropped.
   *
   * @param share how much of its limit is in use of what is worse off, 0 to 1 (and more)
   */
  readonly onPressure: (stage: MemoryPressure, share: number) => void;
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Default: this thread's heap and this process. One that throws is asked again next time. */
  readonly sample?: () => MemorySample;
  /** Milliseconds between two samples; default 250, 10 to 60 000. */
  readonly intervalMs?: number;
  /** Shares of a limit from which a stage begins; default 0.85, 0.92 and 0.97. Above 0, and each at least the one before. */
  readonly tightShare?: number;
  readonly criticalShare?: number;
  readonly lastShare?: number;
  /** How far below its share a stage ends; default 0.05, 0 to half of `tightShare`. */
  readonly hysteresis?: number;
}

/** `tight`: what memory is at most of which nobody knows how much is still needed. */
const UNSURE_LEVEL = 1;

/** How long a process that has grown is taken for one that grows. */
const GROWTH_MS = 10_000;

/** By so much of its limit, at least, it must have grown. */
const GROWTH_SHARE = 0.001;

const STAGES = ['none', 'tight', 'critical', 'last'] as const;

/** The memory of one thread, and of the process around it. */
export class MemoryGuard implements Disposable {
  readonly #onPressure: (stage: MemoryPressure, share: number) => void;
  readonly #clock: Clock;
  readonly #sample: () => MemorySample;
  readonly #sampler: MemorySampler | null;
  readonly #intervalMs: number;
  /** From which share each stage begins. */
  readonly #shares: readonly [number, number, number, number];
  readonly #hysteresis: number;
  #level = 0;
  /** The largest share of the process since it was last out of `tight` or gave back much, and when it last grew beyond that. */
  #residentPeak = 0;
  #hasGrownAt = Number.NEGATIVE_INFINITY;
  #wakeup: Wakeup | null = null;

  /** Looks at nothing until `start`. @throws {RangeError | TypeError} when an option makes no sense */
  constructor(options: MemoryGuardOptions) {
    const { onPressure, clock = systemClock, sample, intervalMs = 250, hysteresis = 0.05 } = options;
    if (typeof onPressure !== 'function') throw new TypeError('onPressure must be a function');
    if (sample !== undefined && typeof sample !== 'function') throw new TypeError('sample must be a function');
    this.#intervalMs = checkNumber('intervalMs', intervalMs, { min: 10, max: 60_000 });
    const tight = checkNumber('tightShare', options.tightShare ?? 0.85, { above: 0, max: 1 });
    const critical = checkNumber('criticalShare', options.criticalShare ?? Math.max(0.92, tight), { min: tight, max: 1 });
    const last = checkNumber('lastShare', options.lastShare ?? Math.max(0.97, critical), { min: critical, max: 1 });
    this.#shares = [0, tight, critical, last];
    this.#hysteresis = checkNumber('hysteresis', hysteresis, { min: 0, max: tight / 2 });
    this.#onPressure = onPressure;
    this.#clock = clock;
    this.#sampler = sample === undefined ? new MemorySampler(clock, tight - this.#hysteresis) : null;
    this.#sample = sample ?? ((): MemorySample => (this.#sampler as MemorySampler).take());
  }

  /** The stage as of the last sample; `none` before the first. */
  get stage(): MemoryPressure {
    return STAGES[this.#level] as MemoryPressure;
  }

  /** Takes a sample now, and from now on one each interval. Does not keep a process alive. */
  start(): void {
    if (this.#wakeup === null) this.#look();
  }

  /** Looks no more; the stage stays as it is. */
  close(): void {
    this.#wakeup?.cancel();
    this.#wakeup = null;
    this.#sampler?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #look(): void {
    // First, so that whatever the callback does, `close` included, is done to a guard that goes on.
    this.#wakeup = this.#clock.schedule(this.#intervalMs, () => this.#look());
    let sample: MemorySample;
    try {
      sample = this.#sample();
    } catch {
      return;
    }
    const resident = shareOf(sample.residentBytes, sample.residentLimitBytes);
    const heap = shareOf(sample.heapUsedBytes, sample.heapLimitBytes);
    const survived = shareOf(Math.min(sample.heapUsedBytes, sample.heapSurvivedBytes), sample.heapLimitBytes);
    const isCollected = sample.heapSurvivedBytes < Number.POSITIVE_INFINITY;
    const byHeap = isCollected ? this.#levelOf(survived) : Math.min(this.#levelOf(heap), UNSURE_LEVEL);
    const byProcess = this.#isGrowing(resident) ? this.#levelOf(resident) : Math.min(this.#levelOf(resident), UNSURE_LEVEL);
    const level = Math.max(byProcess, byHeap);
    const hasChanged = level !== this.#level;
    this.#level = level;
    const stage = this.stage;
    if (hasChanged || stage === 'last') callUser(() => this.#onPressure(stage, Math.max(resident, isCollected ? survived : heap)));
  }

  #isGrowing(resident: number): boolean {
    const now = this.#clock.now();
    if (resident < Math.max(this.#shares[1], this.#residentPeak) - this.#hysteresis) {
      this.#residentPeak = resident;
    } else if (resident >= this.#residentPeak + GROWTH_SHARE) {
      this.#residentPeak = resident;
      this.#hasGrownAt = now;
    }
    return now - this.#hasGrownAt < GROWTH_MS;
  }

  /** The stage for a share, given the one in force: going down takes more than going up. */
  #levelOf(share: number): number {
    let level = 0;
    for (let candidate = 1; candidate < STAGES.length; candidate++) {
      const from = (this.#shares[candidate] as number) - (candidate <= this.#level ? this.#hysteresis : 0);
      if (share >= from) level = candidate;
    }
    return level;
  }
}

/** What makes no number, in use or as a limit, says nothing of pressure. */
function shareOf(used: number, limit: number): number {
  const share = used / limit;
  return share > 0 && share < Number.POSITIVE_INFINITY ? share : 0;
}
