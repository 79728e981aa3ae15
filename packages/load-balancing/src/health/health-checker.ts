/**
 * Active health: looks at every backend again and again, and tells the target what it found.
 *
 * Rules of this file:
 * - Every backend has one place in one schedule, and the checker one timer. What is due goes into a line, of which `maxParallel` are checked at a time.
 * - Never two checks of one backend at once. One that is out of time has failed, and its place is free; if it does not come back, each further one that is due
 *   counts as failed, and none is begun.
 * - Results flip a backend as `FlipCounter` says; `FlapDamping` may hold it back all the same. Before its first flip it is what the target says.
 * - A backend is known by its name. A new one is checked at once; one that is gone, or disabled, is forgotten, and its check given up.
 * - What a check, a callback or the target throws ends nothing but itself.
 *
 * ```text
 *   schedule ── due ──► line ── a place is free ──► check ── result, time-out ──► judged ──► told, if it has changed
 *       ▲                                                                           │
 *       └───────────────────────────── interval ± jitter ───────────────────────────┘
 * ```
 */
import { internalError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { callUser } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import type { Backend } from '../backend.ts';
import { CheckSchedule } from './check-schedule.ts';
import { CheckedBackend, type CheckRun, isSamePlace } from './checked-backend.ts';
import type { HealthTarget } from './health-check.ts';
import {
  type HealthCheckerConfig,
  type HealthCheckerOptions,
  type HealthStatus,
  resolveHealthCheckerOptions,
} from './health-checker-options.ts';

export type { CheckedChange, HealthCheckerOptions, HealthResult, HealthStatus } from './health-checker-options.ts';

/** What has happened since the start. */
export interface HealthCounts {
  /** Checks begun. */
  checks: number;
  /** Checks that found something wrong, those out of time among them. */
  failures: number;
  /** Checks that were out of time. */
  timeouts: number;
  /** Times that what is thought of a backend has changed. */
  changes: number;
}

/** How often it is looked whether the target has other backends, at the least. */
const LOOK_MS = 1_000;

/** Checks the backends of a target. */
export class HealthChecker<Extension = unknown> implements Disposable {
  readonly counts: HealthCounts = { checks: 0, failures: 0, timeouts: 0, changes: 0 };
  readonly #target: HealthTarget<Extension>;
  readonly #environment: HttpEnvironment;
  readonly #config: HealthCheckerConfig<Extension>;
  readonly #timer: Deadline;
  readonly #known = new Map<string, CheckedBackend<Extension>>();
  readonly #schedule = new CheckSchedule<CheckedBackend<Extension>>();
  /** Those that are due, the first at `#lineHead`. */
  #line: CheckedBackend<Extension>[] = [];
  #lineHead = 0;
  #runningCount = 0;
  #seen: readonly Backend<Extension>[] | null = null;
  #lookAt = Infinity;
  #isStarted = false;
  #isClosed = false;

  /** @throws {RangeError} when an option is out of range @throws {TypeError} when one is of the wrong kind */
  constructor(target: HealthTarget<Extension>, environment: HttpEnvironment, options: HealthCheckerOptions<Extension>) {
    this.#target = target;
    this.#environment = environment;
    this.#config = resolveHealthCheckerOptions(options);
    this.#timer = environment.deadlines.deadline(() => this.#wake());
  }

  /** Checks that run now. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Begins to check, and goes on until it is closed. @throws {TypeError} when it is closed */
  start(): void {
    if (this.#isClosed) throw new TypeError('the health checker is closed');
    if (this.#isStarted) return;
    this.#isStarted = true;
    const now = this.#environment.now();
    for (const known of this.#known.values()) if (!known.isGone) this.#scheduleFirst(known, now);
    this.#look(now);
    this.#arm(now);
  }

  /** The target has other backends: it is looked at now, and not at the next wake-up. */
  refresh(): void {
    if (this.#isClosed) return;
    const now = this.#environment.now();
    this.#look(now);
    this.#arm(now);
  }

  /**
   * Checks every backend once, also where nothing was started, `maxParallel` at a time. A check under way does not count: it may have begun before whatever the caller
   * has done.
   *
   * @returns fulfilled when all have a result, or the checker is closed; it never rejects
   */
  async checkNow(): Promise<void> {
    if (this.#isClosed) return;
    this.#look(this.#environment.now());
    const results: Promise<void>[] = [];
    for (const known of this.#known.values()) {
      if (known.isGone) continue;
      results.push(new Promise((resolve) => void known.waiting.push(resolve)));
      if (known.run === null) this.#enqueue(known);
      else if (known.run.isOver) this.#allowToComeBack(known.run);
    }
    this.#pump();
    await Promise.all(results);
  }

  /** What is thought of a backend: `healthy` if it is not known. */
  statusOf({ name }: Backend<Extension>): HealthStatus {
    return this.#known.get(name)?.status ?? 'healthy';
  }

  /** Gives up every check, and lets go of what checks keep. Nothing is told any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.cancel();
    const reason = internalError('HEALTH_CHECKER_CLOSED', 'the health checker was closed', { source: 'internal' });
    for (const known of this.#known.values()) this.#forget(known, reason);
    this.#known.clear();
    this.#line = [];
    this.#schedule.keep(() => false);
    callUser(() => this.#config.check.close?.());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ---- what is there, and when it is due -----------------------------------------------------------------------------------------

  #wake(): void {
    if (this.#isClosed) return;
    const now = this.#environment.now();
    this.#look(now);
    for (let known = this.#schedule.takeDue(now); known !== null; known = this.#schedule.takeDue(now)) {
      known.isScheduled = false;
      this.#handleDue(known, now);
    }
    this.#pump();
    this.#arm(now);
  }

  #arm(now: number): void {
    if (this.#isClosed || !this.#isStarted) return;
    const next = Math.min(this.#schedule.nextAt, this.#lookAt);
    if (this.#timer.isArmed && this.#timer.expiresAt <= next) return;
    this.#timer.arm(Math.min(Math.max(0, next - now), this.#environment.deadlines.maxDelayMs), now);
  }

  /** Takes in who came, and who went. */
  #look(now: number): void {
    this.#lookAt = now + Math.min(LOOK_MS, this.#config.intervalMs);
    const { backends } = this.#target;
    if (backends === this.#seen) return;
    this.#seen = backends;
    const present = new Set<string>();
    for (const backend of backends) {
      if (!backend.isEnabled) continue;
      present.add(backend.name);
      this.#takeIn(backend, now);
    }
    const gone = timeoutError('HEALTH_FORGOTTEN', 'the backend is there no more', { source: 'internal', fault: 'local' });
    for (const [name, known] of this.#known) {
      if (present.has(name)) continue;
      this.#forget(known, gone);
      if (known.run === null) this.#known.delete(name);
    }
    this.#schedule.keep((known) => known.isScheduled);
  }

  #takeIn(backend: Backend<Extension>, now: number): void {
    const known = this.#known.get(backend.name);
    if (known !== undefined && !known.isGone) {
      const isMoved = !isSamePlace(known.backend, backend);
      known.backend = backend;
      if (isMoved && known.run !== null && !known.run.isOver) this.#giveUp(known, known.run);
      return;
    }
    const taken = new CheckedBackend(backend, this.#config, this.#target.isHealthy(backend));
    this.#known.set(backend.name, taken);
    const run = known?.run ?? null;
    if (run !== null) {
      // A check of the one before has not come back: none is begun beside it.
      taken.run = run;
      this.#scheduleAfter(taken, run, now);
    } else if (this.#isStarted) {
      this.#scheduleFirst(taken, now);
    }
  }

  #scheduleFirst(known: CheckedBackend<Extension>, now: number): void {
    const { intervalMs, jitter } = this.#config;
    this.#scheduleAt(known, now + this.#environment.random.next() * jitter * intervalMs);
  }

  #scheduleNext(known: CheckedBackend<Extension>, startedAt: number): void {
    const { intervalMs, unhealthyIntervalMs, jitter, maxParallel } = this.#config;
    const { random } = this.#environment;
    const interval = known.status === 'healthy' ? intervalMs : unhealthyIntervalMs;
    // All have begun together: where they are many, their second checks are spread over the interval, and stay so.
    const isSpread = known.checkCount === 1 && jitter > 0 && this.#known.size > maxParallel;
    const share = isSpread ? random.next() : 1 + jitter * (2 * random.next() - 1);
    this.#scheduleAt(known, startedAt + interval * share);
  }

  #scheduleAt(known: CheckedBackend<Extension>, at: number): void {
    if (known.isScheduled) return;
    known.dueAt = at;
    known.isScheduled = true;
    this.#schedule.add(known);
  }

  /** As soon as the run has come back; if it does not, this counts as failed. */
  #scheduleAfter(known: CheckedBackend<Extension>, run: CheckRun<Extension>, now: number): void {
    run.isFollowed = this.#isStarted;
    if (this.#isStarted) this.#scheduleAt(known, now + this.#config.timeoutMs);
  }

  #forget(known: CheckedBackend<Extension>, reason: WireError): void {
    known.isGone = true;
    known.isScheduled = false;
    const { run } = known;
    if (run !== null && !run.isOver) {
      this.#end(run, reason);
      settle(run.waiting);
    }
    settle(known.takeWaiting());
  }

  // ---- the line ------------------------------------------------------------------------------------------------------------------

  #handleDue(known: CheckedBackend<Extension>, now: number): void {
    const { run } = known;
    if (run === null) return this.#enqueue(known);
    // One that was asked for by hand: its end brings the next.
    if (!run.isOver) return;
    this.#failStuck(known);
    this.#scheduleNext(known, now);
  }

  #enqueue(known: CheckedBackend<Extension>): void {
    if (known.isQueued) return;
    known.isQueued = true;
    this.#line.push(known);
  }

  #nextInLine(): CheckedBackend<Extension> | null {
    const first = this.#line[this.#lineHead];
    if (first === undefined) return null;
    this.#lineHead++;
    // What was taken is let go of in long stretches: each is moved once.
    if (this.#lineHead * 2 >= this.#line.length) {
      this.#line = this.#line.slice(this.#lineHead);
      this.#lineHead = 0;
    }
    first.isQueued = false;
    return first;
  }

  #pump(): void {
    while (!this.#isClosed && this.#runningCount < this.#config.maxParallel) {
      const known = this.#nextInLine();
      if (known === null) return;
      if (!known.isGone && known.run === null) this.#begin(known);
    }
  }

  // ---- a check -------------------------------------------------------------------------------------------------------------------

  #begin(known: CheckedBackend<Extension>): void {
    const { timeoutMs, check } = this.#config;
    const environment = this.#environment;
    const now = environment.now();
    const { backend } = known;
    const run: CheckRun<Extension> = {
      backend,
      abort: new AbortController(),
      deadline: environment.deadlines.deadline(() => this.#handleTimeout(known, run)),
      startedAt: now,
      waiting: known.takeWaiting(),
      isOver: false,
      isFollowed: false,
    };
    known.run = run;
    known.checkCount++;
    this.counts.checks++;
    this.#runningCount++;
    run.deadline.arm(Math.min(timeoutMs, environment.deadlines.maxDelayMs), now);
    // An async function turns a throw into a rejection.
    const checked = async (): Promise<void> => check.check(backend, { environment, signal: run.abort.signal });
    checked().then(
      () => this.#handleBack(known, run, null),
      (thrown: unknown) => this.#handleBack(known, run, toWireError(thrown, 'HEALTH_CHECK_THREW')),
    );
  }

  /** The check has come back. */
  #handleBack(known: CheckedBackend<Extension>, run: CheckRun<Extension>, error: WireError | null): void {
    // Who came again in the meantime has taken the run over.
    const holder = this.#known.get(run.backend.name) ?? known;
    if (holder.run === run) holder.run = null;
    run.deadline.cancel();
    if (!run.isOver) {
      this.#end(run, null);
      this.#conclude(known, run, error);
    } else if (holder.isGone) {
      this.#known.delete(run.backend.name);
    } else if (run.isFollowed || holder.waiting.length > 0) {
      // A check that could not begin beside this one.
      this.#enqueue(holder);
    }
    this.#pump();
  }

  #handleTimeout(known: CheckedBackend<Extension>, run: CheckRun<Extension>): void {
    if (run.isOver) {
      const holder = this.#known.get(run.backend.name);
      if (holder !== undefined && holder.waiting.length > 0) this.#failStuck(holder);
      return;
    }
    const message = `the check had no result within ${this.#config.timeoutMs} ms`;
    const error = timeoutError('HEALTH_CHECK_TIMEOUT', message, { source: 'upstream', context: known.backend.name });
    this.counts.timeouts++;
    this.#end(run, error);
    this.#conclude(known, run, error);
    if (known.waiting.length > 0) this.#allowToComeBack(run);
    this.#pump();
  }

  /** It is checked somewhere else from now on. */
  #giveUp(known: CheckedBackend<Extension>, run: CheckRun<Extension>): void {
    const reason = timeoutError('HEALTH_FORGOTTEN', 'the backend stands elsewhere now', { source: 'internal', fault: 'local' });
    known.waiting.push(...run.waiting);
    this.#end(run, reason);
    this.#scheduleAfter(known, run, this.#environment.now());
    if (known.waiting.length > 0) this.#allowToComeBack(run);
  }

  /** Somebody waits for the next check, which does not begin before this one has come back: it has as long again to do that. */
  #allowToComeBack(run: CheckRun<Extension>): void {
    run.deadline.arm(Math.min(this.#config.timeoutMs, this.#environment.deadlines.maxDelayMs));
  }

  /** From here on the run has no place, no time and no result any more. */
  #end(run: CheckRun<Extension>, reason: WireError | null): void {
    run.isOver = true;
    run.deadline.cancel();
    this.#runningCount--;
    if (reason !== null) run.abort.abort(reason);
  }

  #conclude(known: CheckedBackend<Extension>, run: CheckRun<Extension>, error: WireError | null): void {
    const now = this.#environment.now();
    this.#judge(known, error, now - run.startedAt);
    settle(run.waiting);
    if (this.#isClosed || known.isGone) return;
    if (this.#isStarted) {
      this.#scheduleNext(known, run.startedAt);
      this.#arm(now);
    }
    if (known.waiting.length > 0 && known.run === null) this.#enqueue(known);
  }

  /** The check before has not come back. */
  #failStuck(known: CheckedBackend<Extension>): void {
    const message = 'the check before has been given up, and has not come back';
    const error = timeoutError('HEALTH_CHECK_STUCK', message, { source: 'upstream', context: known.backend.name });
    this.#judge(known, error, 0);
    settle(known.takeWaiting());
  }

  // ---- the result ----------------------------------------------------------------------------------------------------------------

  #judge(known: CheckedBackend<Extension>, error: WireError | null, durationMs: number): void {
    const { check, onChange, onResult } = this.#config;
    const { name } = check;
    const { backend } = known;
    if (error !== null) this.counts.failures++;
    callUser(() => {
      known.believe(this.#target.isHealthy(backend));
    });
    const before = known.judge(error, this.#environment.recentNow);
    const { status } = known;
    if (onResult !== null) callUser(() => onResult(backend, { check: name, error, durationMs }));
    if (status === before) return;
    this.counts.changes++;
    const isHealthy = status === 'healthy';
    const why = status === 'suppressed' ? (error ?? suppressed(backend)) : error;
    const change = { check: name, error: why, status, before };
    // Between unhealthy and suppressed nothing changes for whoever chooses backends.
    if (isHealthy !== (before === 'healthy')) callUser(() => this.#target.setHealthy(backend, isHealthy, { check: name, error: why }));
    if (onChange !== null && !this.#isClosed) callUser(() => onChange(backend, isHealthy, change));
  }
}

function suppressed({ name }: Backend): WireError {
  return timeoutError('HEALTH_SUPPRESSED', 'it has come and gone too often, and is held back', { source: 'upstream', context: name });
}

function settle(waiting: readonly (() => void)[]): void {
  for (const tell of waiting) tell();
}
