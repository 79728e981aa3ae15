/** A sink that writes down what it is told, lets a test wait for it, and reacts as the test says. */
import type { WireError } from '@ferrata/error';
import type { L4Sink } from '@ferrata/stream';

/** One thing that a sink was told. */
export type SinkEvent =
  | { readonly kind: 'data'; readonly chunk: Uint8Array }
  | { readonly kind: 'drain' }
  | { readonly kind: 'end' }
  | { readonly kind: 'close'; readonly error: WireError | null };

interface Waiter {
  readonly isMet: () => boolean;
  readonly resolve: () => void;
}

/** Records the calls of a stream; then calls the test's reaction, if there is one. */
export class RecordingSink implements L4Sink {
  readonly events: SinkEvent[] = [];
  readonly #reactions: Partial<L4Sink>;
  readonly #waiters = new Set<Waiter>();
  /** Kinds seen: asked after each event by those who wait, so it must not take a walk through all events. */
  readonly #seen = new Set<SinkEvent['kind']>();
  #byteLength = 0;
  #drainCount = 0;

  constructor(reactions: Partial<L4Sink> = {}) {
    this.#reactions = reactions;
  }

  /** Bytes received so far. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** How often the stream reported room. */
  get drainCount(): number {
    return this.#drainCount;
  }

  get hasEnded(): boolean {
    return this.has('end');
  }

  get isClosed(): boolean {
    return this.has('close');
  }

  /** What `onClose` said; undefined before it came. */
  get closeError(): WireError | null | undefined {
    return this.isClosed ? this.events.find((event) => event.kind === 'close')?.error : undefined;
  }

  has(kind: SinkEvent['kind']): boolean {
    return this.#seen.has(kind);
  }

  /** The chunks received, as they were cut. */
  chunks(): Uint8Array[] {
    return this.events.flatMap((event) => (event.kind === 'data' ? [event.chunk] : []));
  }

  /** All bytes received, as one. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.#byteLength);
    let at = 0;
    for (const chunk of this.chunks()) {
      all.set(chunk, at);
      at += chunk.byteLength;
    }
    return all;
  }

  /** All bytes received, one character a byte. */
  text(): string {
    let text = '';
    for (const byte of this.bytes()) text += String.fromCharCode(byte);
    return text;
  }

  /** The kinds of the events in order, runs of data as one. */
  kinds(): string[] {
    const kinds: string[] = [];
    for (const { kind } of this.events) if (kind !== 'data' || kinds.at(-1) !== 'data') kinds.push(kind);
    return kinds;
  }

  /** Resolves when `isMet` holds, at once or after a later event. Never rejects: the test's own time limit ends a wait in vain. */
  until(isMet: (sink: RecordingSink) => boolean): Promise<void> {
    if (isMet(this)) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add({ isMet: () => isMet(this), resolve }));
  }

  untilBytes(byteLength: number): Promise<void> {
    return this.until(() => this.#byteLength >= byteLength);
  }

  untilEnd(): Promise<void> {
    return this.until(() => this.hasEnded);
  }

  untilClose(): Promise<void> {
    return this.until(() => this.isClosed);
  }

  onData(chunk: Uint8Array): void {
    this.#byteLength += chunk.byteLength;
    this.#note({ kind: 'data', chunk });
    this.#reactions.onData?.(chunk);
  }

  onDrain(): void {
    this.#drainCount += 1;
    this.#note({ kind: 'drain' });
    this.#reactions.onDrain?.();
  }

  onEnd(): void {
    this.#note({ kind: 'end' });
    this.#reactions.onEnd?.();
  }

  onClose(error: WireError | null): void {
    this.#note({ kind: 'close', error });
    this.#reactions.onClose?.(error);
  }

  #note(event: SinkEvent): void {
    this.events.push(event);
    this.#seen.add(event.kind);
    for (const waiter of this.#waiters) {
      if (!waiter.isMet()) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}
