/**
 * The end of a generation, in order.
 *
 * ```
 *  terminate ─► gracefulTerminate ───────────┐ delay: still accepting
 *  superseded ► gracefulUpgradeCloseTimeout ─┤
 *                                            ▼              grace, or all is drained
 *  fast ──────────────────────────► shutdownStarted ─► shutdownGracePeriod ─► shutdownRuntimes ─► terminated
 *                                            └────────────── fast ────────────────┘
 * ```
 * Each further request hastens the end, and none ever puts it off.
 */
import type { Clock, Wakeup } from '@ferrata/clock';
import type { KeeperMessage } from '../keeper/generation-messages.ts';
import type { Phase } from '../phase.ts';

/** How to stop. */
export type StopRequest = Omit<Extract<KeeperMessage, { readonly kind: 'stop' }>, 'kind'>;

/** What is done on the way. None of it rejects. */
export interface ShutdownSteps {
  setPhase(phase: Phase): void;
  /** Nothing is accepted any more from here on. */
  stopAccepting(why: StopRequest['why']): void;
  /** Ends what runs, within `graceMs`; called again with less to hasten. Gives the connections cut. */
  drain(graceMs: number): Promise<number>;
  /** Everything is drained: ends the rest. */
  close(cut: number): Promise<void>;
}

/** One end. Begins with the first `request`. */
export class Shutdown {
  readonly #clock: Clock;
  readonly #steps: ShutdownSteps;
  readonly #done = Promise.withResolvers<number>();
  #stage: 'none' | 'delay' | 'drain' | 'close' = 'none';
  #why: StopRequest['why'] = 'terminate';
  #graceMs = Infinity;
  /** When the stage of now is over at the latest. */
  #endsAt = Infinity;
  #delay: Wakeup | null = null;

  constructor(clock: Clock, steps: ShutdownSteps) {
    this.#clock = clock;
    this.#steps = steps;
  }

  get hasBegun(): boolean {
    return this.#stage !== 'none';
  }

  /** Drains, or is past it. */
  get isDraining(): boolean {
    return this.#stage === 'drain' || this.#stage === 'close';
  }

  /** Resolves with the connections that were cut, when all is over. */
  get done(): Promise<number> {
    return this.#done.promise;
  }

  request({ why, graceMs, delayMs }: StopRequest): void {
    const now = this.#clock.now();
    switch (this.#stage) {
      case 'none':
        this.#stage = 'delay';
        this.#why = why;
        this.#graceMs = graceMs;
        if (why !== 'fast') this.#steps.setPhase(why === 'superseded' ? 'gracefulUpgradeCloseTimeout' : 'gracefulTerminate');
        this.#delayUntil(now + (why === 'fast' ? 0 : delayMs));
        break;
      case 'delay':
        if (why === 'fast') this.#why = why;
        this.#graceMs = Math.min(this.#graceMs, graceMs);
        this.#delayUntil(Math.min(this.#endsAt, now + (why === 'fast' ? 0 : delayMs)));
        break;
      case 'drain':
        if (now + graceMs >= this.#endsAt) break;
        this.#endsAt = now + graceMs;
        void this.#steps.drain(graceMs);
        break;
      case 'close':
        break;
    }
  }

  #delayUntil(time: number): void {
    this.#delay?.cancel();
    this.#endsAt = time;
    const delayMs = time - this.#clock.now();
    if (delayMs <= 0) void this.#drain();
    else this.#delay = this.#clock.schedule(delayMs, () => void this.#drain());
  }

  async #drain(): Promise<void> {
    this.#stage = 'drain';
    this.#endsAt = this.#clock.now() + this.#graceMs;
    this.#steps.setPhase('shutdownStarted');
    this.#steps.stopAccepting(this.#why);
    const drained = this.#steps.drain(this.#graceMs);
    if (this.#why !== 'fast') this.#steps.setPhase('shutdownGracePeriod');
    const cut = await drained;
    this.#stage = 'close';
    this.#steps.setPhase('shutdownRuntimes');
    await this.#steps.close(cut);
    this.#steps.setPhase('terminated');
    this.#done.resolve(cut);
  }
}
