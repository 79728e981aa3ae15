/** One try of a request at a backend, from its choice to its end, as the balancer counts it. */
import type { Backend } from './backend.ts';

/** What has become of a try. */
export const Outcome = {
  /** The backend has answered as it should. */
  success: 'success',
  /** It could not be connected to, has not answered in time, or with an error of its own. */
  failure: 'failure',
  /** Nobody can say: the client has gone, or another try was faster. */
  unknown: 'unknown',
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Where a flight is counted. */
export interface FlightCounts<Extension> {
  begin(backend: Backend<Extension>): void;
  connected(backend: Backend<Extension>): void;
  end(backend: Backend<Extension>, isConnected: boolean): void;
  report(backend: Backend<Extension>, outcome: Outcome, latencyMs?: number): void;
}

/** A try that is counted. Say `end` when it is over, however it was; a second time does nothing. */
export class Flight<Extension = unknown> implements Disposable {
  readonly backend: Backend<Extension>;
  readonly #counts: FlightCounts<Extension>;
  #isConnected = false;
  #isReported = false;
  #hasEnded = false;

  /** Made by `LoadBalancer.begin`. @internal */
  constructor(backend: Backend<Extension>, counts: FlightCounts<Extension>) {
    this.backend = backend;
    this.#counts = counts;
    counts.begin(backend);
  }

  /** It has a connection: it is no longer among those that `maxPending` bounds. */
  connected(): void {
    if (this.#isConnected || this.#hasEnded) return;
    this.#isConnected = true;
    this.#counts.connected(this.backend);
  }

  /**
   * Says what has become of it; once, before or with the end.
   *
   * @param latencyMs until the answer began; only of those that ended well it is remembered
   */
  report(outcome: Outcome, latencyMs?: number): void {
    if (this.#isReported || this.#hasEnded) return;
    this.#isReported = true;
    this.#counts.report(this.backend, outcome, latencyMs);
  }

  /** It is over. */
  end(outcome?: Outcome, latencyMs?: number): void {
    if (this.#hasEnded) return;
    if (outcome !== undefined) this.report(outcome, latencyMs);
    this.#hasEnded = true;
    this.#counts.end(this.backend, this.#isConnected);
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
