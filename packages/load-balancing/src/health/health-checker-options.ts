/** Options of a `HealthChecker`, checked once. */
import { checkNumber, checkWholeNumber, type WireError } from '@ferrata/error';
import type { Backend } from '../backend.ts';
import { type FlapDampingConfig, type FlapDampingOptions, resolveFlapDampingOptions } from './flap-damping.ts';
import type { HealthChange, HealthCheck } from './health-check.ts';

/** What is thought of a backend. `suppressed`: it flaps, and is held back. */
export type HealthStatus = 'healthy' | 'unhealthy' | 'suppressed';

/** How what is thought of a backend has changed. */
export interface CheckedChange extends HealthChange {
  readonly status: HealthStatus;
  readonly before: HealthStatus;
}

/** What one check has found. */
export interface HealthResult {
  readonly check: string;
  /** Null: it is well. */
  readonly error: WireError | null;
  readonly durationMs: number;
}

/** Options of a `HealthChecker`. Times in milliseconds. */
export interface HealthCheckerOptions<Extension = unknown> {
  /** How to look. */
  readonly check: HealthCheck<Extension>;
  /** From the start of one check of a backend to that of the next, 10 to 86 400 000. Default 5 000. Raising it finds out later. */
  readonly intervalMs?: number;
  /** The same for a backend that is not well. Default `intervalMs`. Raising it spares what is gone, and delays its return. */
  readonly unhealthyIntervalMs?: number;
  /**
   * By which share of itself each interval is longer or shorter, at random, 0 to 1; new backends are checked within that share of an interval. Default 0.1. It spreads
   * the checks of many backends and of many processes. Where it is above 0 and there are more backends than `maxParallel`, the second check of each comes after any
   * part of its interval, so that those which began together don't stay so.
   */
  readonly jitter?: number;
  /** Time for one check, 1 to 86 400 000. Default 1 000. Raising it makes a backend that stalls hold its place for longer. */
  readonly timeoutMs?: number;
  /** Good checks in a row that make a backend healthy, 1 to 1 000. Default 1. */
  readonly healthyThreshold?: number;
  /** Bad checks in a row that make it unhealthy, 1 to 1 000. Default 1. */
  readonly unhealthyThreshold?: number;
  /** Checks that run at a time, 1 to 4 096. Default 16; 1: one after another. Raising it costs descriptors, and lets more that stall be found at once. */
  readonly maxParallel?: number;
  /** Holds backends back that flap. Default: no damping. */
  readonly flap?: FlapDampingOptions;
  /** What is thought of a backend has changed. */
  readonly onChange?: (backend: Backend<Extension>, isHealthy: boolean, change: CheckedChange) => void;
  /** A check has ended. */
  readonly onResult?: (backend: Backend<Extension>, result: HealthResult) => void;
}

/** `HealthCheckerOptions`, with every default filled in. */
export interface HealthCheckerConfig<Extension> {
  readonly check: HealthCheck<Extension>;
  readonly intervalMs: number;
  readonly unhealthyIntervalMs: number;
  readonly jitter: number;
  readonly timeoutMs: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly maxParallel: number;
  readonly flap: FlapDampingConfig | null;
  readonly onChange: NonNullable<HealthCheckerOptions<Extension>['onChange']> | null;
  readonly onResult: NonNullable<HealthCheckerOptions<Extension>['onResult']> | null;
}

const DAY_MS = 86_400_000;

/** @throws {RangeError} when a number is out of range @throws {TypeError} when the check is none, or a callback is no function */
export function resolveHealthCheckerOptions<Extension>(options: HealthCheckerOptions<Extension>): HealthCheckerConfig<Extension> {
  const { check, onChange = null, onResult = null, flap } = options;
  if (typeof check !== 'object' || check === null || typeof check.check !== 'function' || typeof check.name !== 'string')
    throw new TypeError('check must be an object with a name and a function check');
  if (onChange !== null && typeof onChange !== 'function') throw new TypeError('onChange must be a function');
  if (onResult !== null && typeof onResult !== 'function') throw new TypeError('onResult must be a function');
  const intervals = { min: 10, max: DAY_MS };
  const thresholds = { min: 1, max: 1_000 };
  const intervalMs = checkWholeNumber('intervalMs', options.intervalMs ?? 5_000, intervals);
  return Object.freeze({
    check,
    intervalMs,
    unhealthyIntervalMs: checkWholeNumber('unhealthyIntervalMs', options.unhealthyIntervalMs ?? intervalMs, intervals),
    jitter: checkNumber('jitter', options.jitter ?? 0.1, { min: 0, max: 1 }),
    timeoutMs: checkWholeNumber('timeoutMs', options.timeoutMs ?? 1_000, { min: 1, max: DAY_MS }),
    healthyThreshold: checkWholeNumber('healthyThreshold', options.healthyThreshold ?? 1, thresholds),
    unhealthyThreshold: checkWholeNumber('unhealthyThreshold', options.unhealthyThreshold ?? 1, thresholds),
    maxParallel: checkWholeNumber('maxParallel', options.maxParallel ?? 16, { min: 1, max: 4_096 }),
    flap: flap === undefined ? null : resolveFlapDampingOptions(flap),
    onChange,
    onResult,
  });
}
