/**
 * Follows a discovery: keeps the last good set, and what has gone wrong since.
 *
 * ```text
 *                 onBackends                        onFailed
 *   nothing yet ─────────────► holds ◄──────────► failing ──► stale, once it has failed for longer than one bears
 *        └── onFailed ──► failing, without a set
 * ```
 * Rules: a failure takes nothing away. A set that its receiver refuses (by throwing) is a failure, and the one before stays. After `close` nobody is told anything.
 */
import { toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { callUser } from '@ferrata/stream';
import type { PlainBackend } from '../backend.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';

/** Whom a follower tells. */
export interface DiscoveryFollowerOptions {
  /** A set has come. What this throws makes it one that was refused. Default: nothing. */
  readonly onBackends?: (backends: readonly PlainBackend[]) => void;
  /** It could not be found out, or was refused. What this throws is dropped. Default: nothing. */
  readonly onFailed?: (error: WireError) => void;
  /** Monotonic milliseconds. Default: the clock of the environment. */
  readonly now?: () => number;
}

/** How a discovery stands. */
export interface DiscoveryStatus {
  /** The discovery's. */
  readonly name: string;
  /** The last good set; null: there was none yet. */
  readonly backends: readonly PlainBackend[] | null;
  /** When it came, in monotonic ms; NaN: none did. A set that has not changed is not said again, so this may be long ago without anything being wrong. */
  readonly updatedAt: number;
  /** The last failure; null: a set has come since, or there was none. */
  readonly lastError: WireError | null;
  /** Failures since the last good set. */
  readonly failures: number;
}

/** Follows a discovery. */
export class DiscoveryFollower implements DiscoveryStatus, Disposable {
  readonly #discovery: Discovery;
  readonly #environment: HttpEnvironment;
  readonly #onBackends: (backends: readonly PlainBackend[]) => void;
  readonly #onFailed: (error: WireError) => void;
  readonly #now: () => number;
  #backends: readonly PlainBackend[] | null = null;
  #updatedAt = Number.NaN;
  #failingSince = Number.NaN;
  #lastError: WireError | null = null;
  #failures = 0;
  #watch: DiscoveryWatch | null = null;
  #isClosed = false;

  constructor(discovery: Discovery, environment: HttpEnvironment, options: DiscoveryFollowerOptions = {}) {
    this.#discovery = discovery;
    this.#environment = environment;
    this.#onBackends = options.onBackends ?? nothing;
    this.#onFailed = options.onFailed ?? nothing;
    this.#now = options.now ?? ((): number => environment.clock.now());
  }

  get name(): string {
    return this.#discovery.name;
  }

  get backends(): readonly PlainBackend[] | null {
    return this.#backends;
  }

  get updatedAt(): number {
    return this.#updatedAt;
  }

  get lastError(): WireError | null {
    return this.#lastError;
  }

  get failures(): number {
    return this.#failures;
  }

  /**
   * Whether the set is not to be relied on any more: there is none, or it is longer than `maxAgeMs` since a failure came that no set has followed. Up to the first
   * failure a discovery vouches for what it has said by its silence.
   *
   * @param now monotonic ms
   */
  isStale(now: number, maxAgeMs: number): boolean {
    if (this.#backends === null) return true;
    return this.#lastError !== null && now - this.#failingSince > maxAgeMs;
  }

  /** Begins; does nothing if it has begun, or is closed. Throws what `watch` of the discovery throws. */
  start(): void {
    if (this.#isClosed || this.#watch !== null) return;
    const sink: DiscoverySink = {
      onBackends: (backends) => this.#take(backends),
      onFailed: (error) => this.#fail(error),
    };
    this.#watch = this.#discovery.watch(sink, this.#environment);
  }

  /** Ends. The last good set stays. */
  close(): void {
    this.#isClosed = true;
    const watch = this.#watch;
    this.#watch = null;
    watch?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #take(backends: readonly PlainBackend[]): void {
    if (this.#isClosed) return;
    const before = { backends: this.#backends, updatedAt: this.#updatedAt, lastError: this.#lastError, failures: this.#failures };
    this.#backends = backends;
    this.#updatedAt = this.#now();
    this.#lastError = null;
    this.#failures = 0;
    callUser(
      () => this.#onBackends(backends),
      (thrown) => {
        // A rejection comes later: there may be another set by then.
        if (this.#backends === backends) {
          this.#backends = before.backends;
          this.#updatedAt = before.updatedAt;
          this.#lastError = before.lastError;
          this.#failures = before.failures;
        }
        this.#fail(toWireError(thrown, 'DISCOVERY_SET_REFUSED'));
      },
    );
  }

  #fail(error: WireError): void {
    if (this.#isClosed) return;
    if (this.#lastError === null) this.#failingSince = this.#now();
    this.#lastError = error;
    this.#failures++;
    callUser(() => this.#onFailed(error));
  }
}

function nothing(): void {
  // Nobody wants to know.
}
