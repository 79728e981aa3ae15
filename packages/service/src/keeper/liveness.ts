/** Whether the main thread of the generation that serves still turns: a ping a second, and the watchdog of the service manager behind it. */
import type { Clock, Wakeup } from '@ferrata/clock';

/** What `Liveness` works with. Times in milliseconds. */
export interface LivenessOptions {
  readonly clock: Clock;
  readonly pingIntervalMs: number;
  /** A ping that is unanswered for so long is told of. */
  readonly silenceLimitMs: number;
  readonly watchdogMs: number | null;
  /** Sends a ping to whoever serves. @returns false if nobody does now */
  ping(id: number): boolean;
  feedWatchdog(): void;
  /** It has not answered for so long. Once for each silence. */
  onSilence(silentMs: number): void;
  /** It answers again after such a silence. */
  onAnswer(silentMs: number): void;
}

/** Pings and feeds from `start` to `stop`. */
export class Liveness {
  readonly #options: LivenessOptions;
  #lastId = 0;
  /** The ping that is unanswered, and since when. */
  #open: { readonly id: number; since: number; isTold: boolean } | null = null;
  #pinging: Wakeup | null = null;
  #feeding: Wakeup | null = null;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  start(): void {
    this.#tick(this.#options.clock.now());
    if (this.#options.watchdogMs !== null) this.#feed(this.#options.watchdogMs);
  }

  stop(): void {
    this.#pinging?.cancel();
    this.#feeding?.cancel();
    this.#open = null;
  }

  /** Somebody else serves now, or nobody: what was asked of the one before counts no more. */
  forget(): void {
    this.#open = null;
  }

  /** An answer from whoever serves. */
  answer(id: number): void {
    if (this.#open?.id !== id) return;
    const { since, isTold } = this.#open;
    this.#open = null;
    if (isTold) this.#options.onAnswer(this.#options.clock.now() - since);
  }

  #tick(dueAt: number): void {
    const { clock, pingIntervalMs, silenceLimitMs } = this.#options;
    const now = clock.now();
    const open = this.#open;
    if (open === null) {
      const id = ++this.#lastId;
      if (this.#options.ping(id)) this.#open = { id, since: now, isTold: false };
      // This process itself has stood still (SIGSTOP, a machine that slept): the answer may be waiting to be read.
    } else if (now - dueAt > pingIntervalMs) {
      open.since = now;
    } else if (now - open.since >= silenceLimitMs && !open.isTold) {
      open.isTold = true;
      this.#options.onSilence(now - open.since);
    }
    this.#pinging = clock.schedule(pingIntervalMs, () => this.#tick(now + pingIntervalMs));
  }

  /** Twice as often as is asked for, as sd_watchdog_enabled(3) says. */
  #feed(watchdogMs: number): void {
    const { clock, silenceLimitMs } = this.#options;
    const silentMs = this.#open === null ? 0 : clock.now() - this.#open.since;
    if (silentMs < Math.min(silenceLimitMs, watchdogMs / 2)) this.#options.feedWatchdog();
    this.#feeding = clock.schedule(watchdogMs / 2, () => this.#feed(watchdogMs));
  }
}
