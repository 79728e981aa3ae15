/**
 * A sink between a discovery and whoever listens: silent after the end, says a set only when it is another one, and bears a listener that throws.
 *
 * Rules: a set is said when it differs from the one that was said last, and after a failure also when it does not, so that the listener knows that all is well again. A set that
 * the listener refuses by throwing becomes a failure.
 */
import { toWireError, type WireError } from '@ferrata/error';
import { callUser } from '@ferrata/stream';
import type { PlainBackend } from '../backend.ts';
import type { DiscoverySink } from './discovery.ts';

/** Tells a listener what a discovery has found. */
export class WatchedSink implements DiscoverySink {
  readonly #sink: DiscoverySink;
  /** The set that was said last, as text; null: none, or a failure came after it. */
  #said: string | null = null;
  #isClosed = false;

  constructor(sink: DiscoverySink) {
    this.#sink = sink;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  onBackends(backends: readonly PlainBackend[]): void {
    if (this.#isClosed) return;
    const text = JSON.stringify(backends);
    if (text === this.#said) return;
    this.#said = text;
    callUser(
      () => this.#sink.onBackends(backends),
      (thrown) => this.onFailed(toWireError(thrown, 'DISCOVERY_SET_REFUSED')),
    );
  }

  onFailed(error: WireError): void {
    if (this.#isClosed) return;
    this.#said = null;
    callUser(() => this.#sink.onFailed(error));
  }

  close(): void {
    this.#isClosed = true;
    this.#said = null;
  }
}
