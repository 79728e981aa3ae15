/** A listener that writes down what a discovery says. */
import { setImmediate } from 'node:timers/promises';
import { ManualClock, type Random, seededRandom } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import type { PlainBackend } from '../../src/backend.ts';
import type { DiscoverySink } from '../../src/discovery/discovery.ts';

/** Long enough for a loaded machine, and never waited for when all is well. */
const PATIENCE_MS = 20_000;

export class Heard implements DiscoverySink {
  readonly sets: (readonly PlainBackend[])[] = [];
  readonly errors: WireError[] = [];
  /** Sets by their addresses, and failures by their reason, in the order in which they came. */
  readonly all: string[] = [];
  #changed = Promise.withResolvers<void>();

  onBackends(backends: readonly PlainBackend[]): void {
    this.sets.push(backends);
    this.#note(addressesOf(backends));
  }

  onFailed(error: WireError): void {
    this.errors.push(error);
    this.#note(error.reason);
  }

  /** Waits until so many sets and failures have come. */
  async count(count: number): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => reject(new Error(`waited in vain for ${count}: ${this.all.join(' | ')}`)));
    while (this.all.length < count) await Promise.race([this.#changed.promise, promise]);
    promise.catch(() => undefined);
  }

  #note(text: string): void {
    this.all.push(text);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

export function addressesOf(backends: readonly PlainBackend[]): string {
  return backends.map(({ address }) => address.replace('tcp://', '')).join(' ');
}

/** Lets everything run that waits for nothing but its turn. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await setImmediate();
}

/** A thread whose time is moved by hand. Chance is at its middle, so that of each back-off three quarters are waited. */
export function manual(): { readonly clock: ManualClock; readonly environment: HttpEnvironment } {
  const clock = new ManualClock();
  const random: Random = { ...seededRandom(1), next: () => 0.5 };
  return { clock, environment: new HttpEnvironment({ clock, random }) };
}
