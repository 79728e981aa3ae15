/** What a health check is: one look at one backend. */
import type { HttpEnvironment } from '@ferrata/http';
import type { Backend } from '../backend.ts';

/** What a check gets to work with. */
export interface HealthCheckContext {
  /** Clock and timers of the thread. */
  readonly environment: HttpEnvironment;
  /** Aborted when its time is up, or nobody wants to know any more. */
  readonly signal: AbortSignal;
}

/** Looks whether a backend is well. */
export interface HealthCheck<Extension = unknown> {
  /** What stands in notices and metrics: `tcp`, `http`. */
  readonly name: string;
  /** Looks once. Fulfilled: it is well. @throws {WireError} rejects with what is wrong */
  check(backend: Backend<Extension>, context: HealthCheckContext): Promise<void>;
  /** Lets go of what is kept between checks. */
  close?(): void;
}

/** Where the results of checks go, and whose backends are checked: the balancer. */
export interface HealthTarget<Extension = unknown> {
  /** The backends to check now; disabled ones are not checked. */
  readonly backends: readonly Backend<Extension>[];
  /** What was found last, by whichever thread; before any check true. */
  isHealthy(backend: Backend<Extension>): boolean;
  /** A check has changed it. */
  setHealthy(backend: Backend<Extension>, isHealthy: boolean, why: HealthChange): void;
}

/** How a backend's health has changed, for whoever is told. */
export interface HealthChange {
  readonly check: string;
  /** What was wrong; null: it is well again. */
  readonly error: Error | null;
}
