/**
 * Heart-beats of workers in shared memory: how the main thread knows that an event loop stands still, without a message that would have to be answered.
 *
 * ```
 *  Int32Array: [worker 1, worker 2, …]     each counts up in its worker every 250 ms, and turns round after 2³¹ beats
 * ```
 * A beat is a count and not a time, so nobody compares clocks of two threads: the main thread looks when a count was last another one.
 */
import type { Clock, Wakeup } from '@ferrata/clock';

/** Between two beats, and between two looks at them. */
export const BEAT_INTERVAL_MS = 250;

/** A look that comes so much later than it should: this process stood still as a whole (stopped, or a machine asleep), and blames no worker for it. */
const LATE_LOOK_MS = 750;

/** Makes the memory for the beats of `threads` workers. */
export function heartbeatMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Beats from now on, in a worker; does not keep the thread alive.
 *
 * @param worker its number, 1 and up
 * @returns ends it
 */
export function startBeating(memory: SharedArrayBuffer, worker: number): () => void {
  const beats = new Int32Array(memory);
  const beat = (): void => void Atomics.add(beats, worker - 1, 1);
  beat();
  const timer = setInterval(beat, BEAT_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** What a `HeartbeatMonitor` tells. */
export interface HeartbeatSink {
  /** The loop of a worker has stood still for `blockedMs`, which is over the warning limit; once for each time that it stands still. */
  onBlocked(worker: number, blockedMs: number): void;
  /** It runs again, after a warning. */
  onUnblocked(worker: number, blockedMs: number): void;
  /** It has stood still for longer than the limit; once. The worker is no longer watched. */
  onLimit(worker: number, blockedMs: number): void;
}

interface Watched {
  beat: number;
  /** When the beat was last another one; or since when it is counted. */
  since: number;
  warned: boolean;
}

/** Looks at the beats of the workers that it is told to watch. */
export class HeartbeatMonitor {
  readonly #beats: Int32Array;
  readonly #clock: Clock;
  readonly #warningMs: number;
  readonly #limitMs: number;
  readonly #sink: HeartbeatSink;
  readonly #watched = new Map<number, Watched>();
  #lastLook = 0;
  #wakeup: Wakeup | null = null;

  constructor(
    memory: SharedArrayBuffer,
    clock: Clock,
    limits: { readonly warningMs: number; readonly limitMs: number },
    sink: HeartbeatSink,
  ) {
    this.#beats = new Int32Array(memory);
    this.#clock = clock;
    this.#warningMs = limits.warningMs;
    this.#limitMs = limits.limitMs;
    this.#sink = sink;
  }

  /** Counts from now on: the worker says that its loop runs. */
  watch(worker: number): void {
    this.#watched.set(worker, { beat: this.#beat(worker), since: this.#clock.now(), warned: false });
    if (this.#wakeup === null) {
      this.#lastLook = this.#clock.now();
      this.#arm();
    }
  }

  /** Takes no more notice of a worker. */
  unwatch(worker: number): void {
    this.#watched.delete(worker);
  }

  /** How long the loop of a worker has stood still, as far as is known: 0 while it beats in time. */
  blockedMs(worker: number): number {
    const watched = this.#watched.get(worker);
    if (watched === undefined || this.#beat(worker) !== watched.beat) return 0;
    const silentMs = this.#clock.now() - watched.since;
    return silentMs > 2 * BEAT_INTERVAL_MS ? silentMs : 0;
  }

  close(): void {
    this.#wakeup?.cancel();
    this.#wakeup = null;
    this.#watched.clear();
  }

  #arm(): void {
    this.#wakeup = this.#clock.schedule(BEAT_INTERVAL_MS, () => {
      this.#wakeup = null;
      this.#look();
      if (this.#watched.size > 0) this.#arm();
    });
  }

  #look(): void {
    const now = this.#clock.now();
    const isLate = now - this.#lastLook > BEAT_INTERVAL_MS + LATE_LOOK_MS;
    this.#lastLook = now;
    for (const [worker, watched] of this.#watched) {
      const beat = this.#beat(worker);
      const silentMs = now - watched.since;
      if (beat !== watched.beat) {
        watched.beat = beat;
        watched.since = now;
        if (watched.warned) this.#sink.onUnblocked(worker, silentMs);
        watched.warned = false;
      } else if (isLate) {
        watched.since = now;
      } else if (silentMs >= this.#limitMs) {
        this.#watched.delete(worker);
        this.#sink.onLimit(worker, silentMs);
      } else if (silentMs >= this.#warningMs && !watched.warned) {
        watched.warned = true;
        this.#sink.onBlocked(worker, silentMs);
      }
    }
  }

  #beat(worker: number): number {
    return Atomics.load(this.#beats, worker - 1);
  }
}
