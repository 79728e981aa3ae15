/**
 * What every discovery over HTTP does: look, tell, and look again, until it is closed.
 *
 * ```text
 *   watch ──► round ── ends ──► pause, so that rounds begin minIntervalMs apart ──► round …
 *               │
 *               └── fails ──► told ──► pause of the back-off ──► round …            close ──► nothing any more
 * ```
 *
 * Rules:
 * - A round is whatever a protocol does at a stretch: one long poll, or a list and the stream of changes behind it. What must outlive it the protocol keeps.
 * - The back-off begins anew when a round ends in order, or fails after it has gone well for as long as the last pause: a registry that answers and breaks off at
 *   once is not asked at full speed.
 * - An equal set is not told again, nor the same complaint about entries. Failures are told each time: the back-off makes them rare.
 * - A sink that throws has a bug: the error goes to the clock, as that of a timer would, and the discovery goes on.
 */
import { toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { Deadline } from '@ferrata/timeout';
import { HttpClient } from '../../internal/http-client.ts';
import type { DiscoverySink, DiscoveryWatch } from '../discovery.ts';
import type { HttpDiscoveryConfig } from '../http-discovery-options.ts';
import { BackOff } from './back-off.ts';
import type { BackendSet } from './backend-set.ts';

/** One look. It may reject; `run.signal` is aborted when nobody wants to know any more. */
export type DiscoveryRound = (run: DiscoveryRun) => Promise<void>;

/** What a run works with. */
export interface DiscoveryRunParts {
  readonly sink: DiscoverySink;
  readonly environment: HttpEnvironment;
  readonly config: HttpDiscoveryConfig;
  readonly round: DiscoveryRound;
}

/** Begins to look, a microtask later. */
export function startDiscovery(parts: DiscoveryRunParts): DiscoveryWatch {
  const run = new DiscoveryRun(parts);
  queueMicrotask(() => void run.loop());
  return { close: () => run.close() };
}

/** A discovery under way. */
export class DiscoveryRun {
  readonly environment: HttpEnvironment;
  readonly client: HttpClient;
  readonly #abort = new AbortController();
  readonly #parts: DiscoveryRunParts;
  readonly #backOff: BackOff;
  readonly #settling: Deadline;
  #snapshot: (() => BackendSet) | null = null;
  /** What was told last, as text; null: nothing yet. */
  #told: string | null = null;
  #complained = '';
  /** When the present round first had something to tell; null: not yet. */
  #wellSince: number | null = null;

  constructor(parts: DiscoveryRunParts) {
    const { environment, config } = parts;
    this.environment = environment;
    this.client = new HttpClient({ environment, keepConnection: true });
    this.#parts = parts;
    this.#backOff = new BackOff(config, environment.random);
    this.#settling = environment.deadlines.deadline(() => {
      try {
        this.flush();
      } catch (thrown) {
        // A set that is too large: the round goes on, as a later change may make it smaller.
        this.#fail(toWireError(thrown));
      }
    });
  }

  /** Aborted by `close`. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  close(): void {
    if (this.isClosed) return;
    this.#settling.cancel();
    this.#snapshot = null;
    this.#abort.abort();
    this.client.close();
  }

  /** Rounds and pauses, until it is closed. Never rejects. */
  async loop(): Promise<void> {
    const { clock } = this.environment;
    const { round, config } = this.#parts;
    while (!this.isClosed) {
      const startedAt = clock.now();
      this.#wellSince = null;
      try {
        await round(this);
        this.flush();
        this.#backOff.reset();
        await this.wait(Math.max(0, startedAt + config.minIntervalMs - clock.now()));
      } catch (thrown) {
        if (!this.isClosed) await this.#recover(thrown);
      }
    }
  }

  /** Waits, or until it is closed. */
  wait(delayMs: number): Promise<void> {
    const { signal } = this;
    if (signal.aborted || delayMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        deadline.cancel();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const deadline = this.environment.deadlines.after(delayMs, finish);
      signal.addEventListener('abort', finish);
    });
  }

  /** The registry is well, though there may be nothing new to tell. */
  isWell(): void {
    this.#wellSince ??= this.environment.clock.now();
  }

  /** Says what there is now, unless that was said last. */
  tell(set: BackendSet): void {
    this.isWell();
    const { complaint, backends } = set;
    this.#complain(complaint);
    const text = JSON.stringify(backends);
    if (this.isClosed || text === this.#told) return;
    this.#told = text;
    this.#call(() => this.#parts.sink.onBackends(backends));
  }

  /** Something has changed: `snapshot` is asked what there is when the changes have settled. */
  tellSoon(snapshot: () => BackendSet): void {
    this.#snapshot = snapshot;
    if (!this.#settling.isArmed && !this.isClosed) this.#settling.arm(this.#parts.config.settleMs);
  }

  /** Tells what waits to settle, now. */
  flush(): void {
    const snapshot = this.#snapshot;
    this.#snapshot = null;
    this.#settling.cancel();
    if (snapshot !== null && !this.isClosed) this.tell(snapshot());
  }

  async #recover(thrown: unknown): Promise<void> {
    const now = this.environment.clock.now();
    try {
      this.flush();
    } catch {
      // Too many: what the round has failed by is told below, and the next one will find out again.
    }
    if (this.#wellSince !== null && now - this.#wellSince >= this.#backOff.lastMs) this.#backOff.reset();
    this.#fail(toWireError(thrown));
    await this.wait(this.#backOff.next());
  }

  #complain(complaint: WireError | null): void {
    const text = complaint?.message ?? '';
    if (complaint !== null && text !== this.#complained) this.#fail(complaint);
    this.#complained = text;
  }

  #fail(error: WireError): void {
    if (!this.isClosed) this.#call(() => this.#parts.sink.onFailed(error));
  }

  #call(tell: () => void): void {
    try {
      tell();
    } catch (thrown) {
      this.environment.clock.schedule(0, () => {
        throw thrown;
      });
    }
  }
}
