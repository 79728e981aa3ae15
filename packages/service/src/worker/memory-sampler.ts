/**
 * Measures the memory of this thread and of its process.
 *
 * The heap's size says little by itself, as V8 lets garbage lie until the heap comes near its limit. So when the heap has grown large, and only then, full
 * collections are listened for, and what each of them left is noted. (Listening costs something at each collection, so it is not done all the time.)
 */
import { totalmem } from 'node:os';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import process from 'node:process';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';
import type { Clock } from '@ferrata/clock';

/** What is in use, and what there is. Bytes; a limit of `Infinity`: there is none. */
export interface MemorySample {
  /** Of the heap of this thread; the room for what is new counts whole. */
  readonly heapUsedBytes: number;
  /** What the last full collection left of the heap; `Infinity` if none was seen since it grew large. */
  readonly heapSurvivedBytes: number;
  readonly heapLimitBytes: number;
  /** Of the whole process. */
  readonly residentBytes: number;
  readonly residentLimitBytes: number;
}

/** Parts of the heap that belong to all threads. */
const SHARED_SPACES: ReadonlySet<string> = new Set(['read_only_space', 'shared_space', 'shared_large_object_space']);

/** The part for what is new. */
const NEW_SPACE = 'new_space';

/** The process is asked no more often: the kernel counts for that, and files are read. */
const RESIDENT_EVERY_MS = 1_000;

/** This thread and its process. */
export class MemorySampler {
  readonly #clock: Clock;
  readonly #watchShare: number;
  #observer: PerformanceObserver | null = null;
  #survivedBytes = Number.POSITIVE_INFINITY;
  #residentAt = Number.NEGATIVE_INFINITY;
  #residentBytes = 0;
  #residentLimitBytes = Number.POSITIVE_INFINITY;

  /** @param watchShare the share of the heap in use from which collections are listened for */
  constructor(clock: Clock, watchShare: number) {
    this.#clock = clock;
    this.#watchShare = watchShare;
  }

  take(): MemorySample {
    const heapUsedBytes = heapUsed();
    const heapLimitBytes = heapLimit();
    this.#watchIf(heapUsedBytes >= heapLimitBytes * this.#watchShare);
    const now = this.#clock.now();
    if (now - this.#residentAt >= RESIDENT_EVERY_MS) {
      this.#residentAt = now;
      this.#residentBytes = process.memoryUsage.rss();
      this.#residentLimitBytes = residentLimit();
    }
    return {
      heapUsedBytes,
      heapSurvivedBytes: this.#survivedBytes,
      heapLimitBytes,
      residentBytes: this.#residentBytes,
      residentLimitBytes: this.#residentLimitBytes,
    };
  }

  close(): void {
    this.#watchIf(false);
  }

  #watchIf(isLarge: boolean): void {
    if (isLarge === (this.#observer !== null)) return;
    if (!isLarge) {
      this.#observer?.disconnect();
      this.#observer = null;
      this.#survivedBytes = Number.POSITIVE_INFINITY;
      return;
    }
    this.#observer = new PerformanceObserver((list) => {
      if (list.getEntries().some((entry) => isFullCollection(entry))) this.#survivedBytes = heapUsed();
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }
}

/**
 * What lives long, and all the room for what is new: V8 gives up (tried with Node 24) when it could not keep all of that if it had to.
 */
function heapUsed(): number {
  let used = 0;
  for (const { space_name, space_size, space_used_size } of getHeapSpaceStatistics()) {
    if (!SHARED_SPACES.has(space_name)) used += space_name === NEW_SPACE ? space_size : space_used_size;
  }
  return used;
}

/** A worker is told its limit; the main thread's, which includes the little that is for what is new, is V8's. */
function heapLimit(): number {
  const { maxOldGenerationSizeMb = 0 } = resourceLimits;
  return maxOldGenerationSizeMb > 0 ? maxOldGenerationSizeMb * 1_048_576 : getHeapStatistics().heap_size_limit;
}

function isFullCollection(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail?: unknown };
  return typeof detail === 'object' && detail !== null && 'kind' in detail && detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}

/** What the kernel lets this process have: its control group's limit (of either version), or all of the machine's memory. */
function residentLimit(): number {
  const constrained = process.constrainedMemory();
  // Where there is no limit, Node says 0, or a number larger than any memory.
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
