/** One backend in the eyes of a checker: what is thought of it, and where it stands in the round of checks. */
import type { WireError } from '@ferrata/error';
import type { Deadline } from '@ferrata/timeout';
import type { Backend } from '../backend.ts';
import type { Scheduled } from './check-schedule.ts';
import { FlapDamping } from './flap-damping.ts';
import { FlipCounter } from './flip-counter.ts';
import type { HealthCheckerConfig, HealthStatus } from './health-checker-options.ts';

/** A check under way. */
export interface CheckRun<Extension> {
  /** As it was when the check began. */
  readonly backend: Backend<Extension>;
  readonly abort: AbortController;
  readonly deadline: Deadline;
  readonly startedAt: number;
  /** Who waits for its result. */
  readonly waiting: readonly (() => void)[];
  /** Its result is known, or wanted no more; the check itself has not come back. */
  isOver: boolean;
  /** The next check begins as soon as it has come back. */
  isFollowed: boolean;
}

/** What a checker knows of one backend. */
export class CheckedBackend<Extension> implements Scheduled {
  backend: Backend<Extension>;
  dueAt = 0;
  order = 0;
  /** It stands among those that are due. */
  isQueued = false;
  /** It is in the schedule. */
  isScheduled = false;
  /** No backend of the target any more; remembered only as long as a check of it has not come back. */
  isGone = false;
  checkCount = 0;
  run: CheckRun<Extension> | null = null;
  /** Who waits for a check that has not begun yet. */
  waiting: (() => void)[] = [];
  status: HealthStatus;
  readonly #flips: FlipCounter;
  readonly #damping: FlapDamping | null;

  constructor(backend: Backend<Extension>, config: HealthCheckerConfig<Extension>, isHealthy: boolean) {
    this.backend = backend;
    this.status = isHealthy ? 'healthy' : 'unhealthy';
    this.#flips = new FlipCounter(config, isHealthy);
    this.#damping = config.flap === null ? null : new FlapDamping(config.flap);
  }

  /** Somebody else has said otherwise: that holds, and what was counted does not. */
  believe(isHealthy: boolean): void {
    if (isHealthy === (this.status === 'healthy')) return;
    this.#flips.reset(isHealthy);
    this.status = isHealthy ? 'healthy' : 'unhealthy';
  }

  /** Takes the result of a check. @returns what was thought of it before */
  judge(error: WireError | null, now: number): HealthStatus {
    const before = this.status;
    if (this.#flips.add(error === null)) this.#damping?.flip(now);
    if (this.#damping?.isSuppressedAt(now) === true) this.status = 'suppressed';
    else this.status = this.#flips.isHealthy ? 'healthy' : 'unhealthy';
    return before;
  }

  /** Takes over who waits. */
  takeWaiting(): readonly (() => void)[] {
    const { waiting } = this;
    this.waiting = [];
    return waiting;
  }
}

/** What a check asks of a backend is where it stands: the result for another place says nothing. */
export function isSamePlace(a: Backend, b: Backend): boolean {
  return a === b || (a.healthPort === b.healthPort && a.connect === b.connect && isSameAddress(a, b));
}

function isSameAddress({ address: a }: Backend, { address: b }: Backend): boolean {
  if (a.kind === 'unix') return b.kind === 'unix' && a.path === b.path;
  return b.kind === 'tcp' && a.host === b.host && a.port === b.port;
}
