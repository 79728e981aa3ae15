/**
 * Starts services in the order of their dependencies: each as soon as all that it depends on are ready, independent ones side by side.
 *
 * ```
 *  waiting ──all that it depends on are ready──► begun ──handleReady──► ready
 * ```
 */
import type { Clock } from '@ferrata/clock';

/** One start of a set of services. Knows nothing of threads: `begin` starts a service, and `handleReady` is told when it is ready. */
export class StartSequence {
  readonly #clock: Clock;
  readonly #dependencies: ReadonlyMap<string, readonly string[]>;
  readonly #begin: (name: string, waitedMs: number) => void;
  readonly #waiting: Set<string>;
  readonly #unready: Set<string>;
  #startedAt = 0;

  /**
   * @param names the services to start; what a service depends on besides these counts as ready
   * @param begin called once for each service, with how long it has waited for others: 0 if it depends on none
   */
  constructor(
    names: readonly string[],
    dependencies: ReadonlyMap<string, readonly string[]>,
    clock: Clock,
    begin: (name: string, waitedMs: number) => void,
  ) {
    this.#clock = clock;
    this.#dependencies = dependencies;
    this.#begin = begin;
    this.#waiting = new Set(names);
    this.#unready = new Set(names);
  }

  /** All services are ready. */
  get isComplete(): boolean {
    return this.#unready.size === 0;
  }

  /** Begins with those that depend on nothing. */
  start(): void {
    this.#startedAt = this.#clock.now();
    this.#beginFree();
  }

  /** A service is ready: begins those that have waited for it last. Told twice, it is no news. */
  handleReady(name: string): void {
    if (this.#unready.delete(name)) this.#beginFree();
  }

  #beginFree(): void {
    // `begin` may answer at once, and so come back to here: each is taken out before it is begun.
    for (const name of this.#waiting) {
      if (!this.#waiting.has(name) || !this.#needs(name).every((other) => !this.#unready.has(other))) continue;
      this.#waiting.delete(name);
      const waitedMs = this.#needs(name).length === 0 ? 0 : this.#clock.now() - this.#startedAt;
      this.#begin(name, waitedMs);
    }
  }

  #needs(name: string): readonly string[] {
    return this.#dependencies.get(name) ?? [];
  }
}
