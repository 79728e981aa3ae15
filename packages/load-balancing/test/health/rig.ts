/** What the tests of health share: backends, a target that remembers what it was told, and checks that answer when they are told to. */
import { ManualClock, seededRandom } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { type Backend, type BackendInit, checkBackend } from '../../src/backend.ts';
import type { HealthChange, HealthCheck, HealthCheckContext, HealthTarget } from '../../src/health/health-check.ts';
import { HealthChecker, type HealthCheckerOptions } from '../../src/health/health-checker.ts';
import { settle } from '../internal/http-rig.ts';

/** A backend as the balancer would make it. */
export function backendOf(init: BackendInit, slot = 0): Backend {
  const { given, ...checked } = checkBackend(init);
  return Object.freeze({ ...checked, extension: given, slot });
}

/** So many backends with names of their own. */
export function backendsOf(count: number): Backend[] {
  return Array.from({ length: count }, (_, index) => backendOf({ address: '127.0.0.1:9', name: `b${index}` }, index));
}

/** Remembers what it was told. */
export class RecordingTarget implements HealthTarget {
  backends: readonly Backend[];
  readonly sick = new Set<string>();
  readonly told: { readonly name: string; readonly isHealthy: boolean; readonly change: HealthChange }[] = [];

  constructor(backends: readonly Backend[]) {
    this.backends = backends;
  }

  isHealthy({ name }: Backend): boolean {
    return !this.sick.has(name);
  }

  setHealthy({ name }: Backend, isHealthy: boolean, change: HealthChange): void {
    if (isHealthy) this.sick.delete(name);
    else this.sick.add(name);
    this.told.push({ name, isHealthy, change });
  }
}

/** A check that takes as long as it is told, and finds who is down. */
export class ScriptedCheck implements HealthCheck {
  readonly name = 'scripted';
  readonly down = new Set<string>();
  /** Those that hang until they are given up. */
  readonly hanging = new Set<string>();
  /** Those that hang for ever. */
  readonly deaf = new Set<string>();
  /** When each check began. */
  readonly begun: { readonly name: string; readonly at: number; readonly backend: Backend }[] = [];
  readonly running = new Map<string, number>();
  most = 0;
  mostOfOne = 0;
  closed = 0;
  delayMs = 0;

  async check(backend: Backend, { environment, signal }: HealthCheckContext): Promise<void> {
    const { name } = backend;
    this.begun.push({ name, at: environment.clock.now(), backend });
    this.running.set(name, (this.running.get(name) ?? 0) + 1);
    this.most = Math.max(this.most, this.runningCount);
    this.mostOfOne = Math.max(this.mostOfOne, this.running.get(name) ?? 0);
    try {
      if (this.deaf.has(name)) await new Promise(() => {});
      if (this.hanging.has(name))
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      if (this.delayMs > 0) await new Promise<void>((resolve) => void environment.clock.schedule(this.delayMs, resolve));
      if (this.down.has(name)) throw new Error(`${name} is down`);
    } finally {
      this.running.set(name, (this.running.get(name) ?? 1) - 1);
    }
  }

  get runningCount(): number {
    let count = 0;
    for (const one of this.running.values()) count += one;
    return count;
  }

  /** When checks of one began. */
  timesOf(name: string): number[] {
    return this.begun.filter((one) => one.name === name).map(({ at }) => at);
  }

  close(): void {
    this.closed++;
  }
}

/** A checker over backends in memory, with time that stands still. */
export function checkerRig(backends: readonly Backend[], options: Partial<HealthCheckerOptions> = {}, seed = 1) {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock, random: seededRandom(seed) });
  const target = new RecordingTarget(backends);
  const check = new ScriptedCheck();
  const checker = new HealthChecker(target, environment, { check, jitter: 0, ...options });
  /** Lets time pass in small steps, with everything that follows from each. */
  const pass = async (ms: number, stepMs = 10): Promise<void> => {
    for (let left = ms; left > 0; left -= stepMs) {
      clock.advance(Math.min(stepMs, left));
      await settle();
    }
  };
  return { clock, environment, target, check, checker, pass };
}
