/**
 * A discovery that asks again and again: when its answer has grown old, or, after a failure, with a back-off that doubles and is spread by chance.
 *
 * ```text
 *   looking ── found ──► waiting until it is old ──► looking
 *      └── failed ──► waiting: retryMinMs, twice as much, … retryMaxMs, each between half and the whole of it ──► looking
 * ```
 * Rules: one look at a time. A look that has found something, but not everything, says why not: that is told once, before the set, and asked again as after a failure.
 */
import type { Wakeup } from '@ferrata/clock';
import { toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { PlainBackend } from '../backend.ts';
import type { DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { WatchedSink } from './watched-sink.ts';

/** What a look has found. */
export interface Look {
  readonly backends: readonly PlainBackend[];
  /** So long it holds. */
  readonly holdsMs: number;
  /** What was found is not all: why. Null: it is. */
  readonly notice: WireError | null;
  /** Whether more may be found soon, so that it is asked for again before `holdsMs` is over. */
  readonly isPartial: boolean;
}

/** Who looks. */
export interface Looker {
  /** Rejects with why nothing was found. */
  look(): Promise<Look>;
  /** Gives up what is under way. */
  cancel(): void;
}

/** How long to wait after failures, ms. */
export interface RetryTimes {
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** Looks until it is closed. */
export class PollWatch implements DiscoveryWatch {
  readonly #sink: WatchedSink;
  readonly #environment: HttpEnvironment;
  readonly #looker: Looker;
  readonly #times: RetryTimes;
  #wakeup: Wakeup | null = null;
  #failures = 0;
  /** What was told last of what was missing. */
  #notice = '';

  constructor(sink: DiscoverySink, environment: HttpEnvironment, { looker, times }: { looker: Looker; times: RetryTimes }) {
    this.#sink = new WatchedSink(sink);
    this.#environment = environment;
    this.#looker = looker;
    this.#times = times;
    void this.#look();
  }

  close(): void {
    if (this.#sink.isClosed) return;
    this.#sink.close();
    this.#wakeup?.cancel();
    this.#wakeup = null;
    this.#looker.cancel();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    let waitMs: number;
    try {
      const look = await this.#looker.look();
      waitMs = this.#take(look);
    } catch (thrown) {
      this.#notice = '';
      this.#failures++;
      this.#sink.onFailed(toWireError(thrown, 'DISCOVERY_FAILED'));
      waitMs = this.#backOffMs();
    }
    if (this.#sink.isClosed) return;
    this.#wakeup = this.#environment.clock.schedule(waitMs, () => void this.#look());
  }

  #take({ backends, holdsMs, notice, isPartial }: Look): number {
    const text = notice?.message ?? '';
    if (notice !== null && text !== this.#notice) this.#sink.onFailed(notice);
    this.#notice = text;
    this.#failures = isPartial ? this.#failures + 1 : 0;
    this.#sink.onBackends(backends);
    return isPartial ? Math.min(holdsMs, this.#backOffMs()) : holdsMs;
  }

  #backOffMs(): number {
    const { retryMinMs, retryMaxMs } = this.#times;
    // Beyond 2³⁰ times the least there is nothing left to double.
    const whole = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(this.#failures - 1, 30));
    // Half of it at least: many that failed at once must not all come back at once, nor at once again.
    return whole * (0.5 + this.#environment.random.next() / 2);
  }
}
