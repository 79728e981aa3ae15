/** Who hears of sets, and waits for one. */
import type { WireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import type { Discovery, DiscoveryWatch, PlainBackend } from '@ferrata/load-balancing';

const TIMEOUT_MS = 8_000;

/** A discovery that is followed. */
export class Follower {
  readonly failures: WireError[] = [];
  readonly #watch: DiscoveryWatch;
  #last = 'nothing';
  #wake: (() => void) | null = null;

  constructor(discovery: Discovery) {
    this.#watch = discovery.watch(
      {
        onBackends: (backends) => this.#heard(backends),
        onFailed: (error) => {
          this.failures.push(error);
          this.#wake?.();
        },
      },
      new HttpEnvironment(),
    );
  }

  /** Waits until the set is these addresses. @returns a problem; null: it came */
  async until(...addresses: readonly string[]): Promise<string | null> {
    return await this.#wait(() => this.#last === addresses.join(' '), `awaited [${addresses.join(' ')}]`);
  }

  /** Waits for a failure with a reason that matches, as many as are there now do not count. @returns a problem; null: it came */
  async untilFailure(reason: RegExp): Promise<string | null> {
    const from = this.failures.length;
    return await this.#wait(
      () => this.failures.slice(from).some((error) => reason.test(error.reason)),
      `awaited a failure ${reason.source}`,
    );
  }

  close(): void {
    this.#watch.close();
  }

  #heard(backends: readonly PlainBackend[]): void {
    this.#last = backends.map(({ address }) => address).join(' ');
    this.#wake?.();
  }

  async #wait(isThere: () => boolean, what: string): Promise<string | null> {
    const until = performance.now() + TIMEOUT_MS;
    while (!isThere()) {
      const restMs = until - performance.now();
      if (restMs <= 0) return `${what}, and there is [${this.#last}]; failures: ${this.failures.map(({ message }) => message).join(' | ')}`;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, restMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return null;
  }
}
