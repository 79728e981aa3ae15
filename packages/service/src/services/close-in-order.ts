/** Ends a stream that its handler is done with: what was written goes out, what still comes is dropped, and neither may take for ever. */
import type { WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { L4Sink, L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';

/** How long the peer's bytes are dropped, once ours are out, until it ends its side. */
const LINGER_MS = 2_000;
/** How long a peer may take none of our bytes. */
const STALL_MS = 30_000;

/** Ends our side, and drops the stream when the peer has ended its own, or does not. Does nothing to one that has closed. */
export function closeInOrder(stream: L4Stream, environment: HttpEnvironment): void {
  if (stream.state === 'closed') return;
  stream.end();
  stream.attach(new Lingering(stream, environment));
}

class Lingering implements L4Sink {
  readonly #stream: L4Stream;
  readonly #deadline: Deadline;
  #bufferedBytes: number;
  #stalledMs = 0;

  constructor(stream: L4Stream, environment: HttpEnvironment) {
    this.#stream = stream;
    this.#bufferedBytes = stream.bufferedBytes;
    this.#deadline = environment.deadlines.after(LINGER_MS, () => this.#onDeadline());
  }

  #onDeadline(): void {
    const { bufferedBytes } = this.#stream;
    this.#stalledMs = bufferedBytes < this.#bufferedBytes ? 0 : this.#stalledMs + LINGER_MS;
    const wasSending = this.#bufferedBytes > 0;
    this.#bufferedBytes = bufferedBytes;
    // The peer's time begins when ours is out.
    if (wasSending && this.#stalledMs < STALL_MS) this.#deadline.arm(LINGER_MS);
    else this.#stream.abort();
  }

  onData(): void {}

  onDrain(): void {}

  onEnd(): void {}

  onClose(_error: WireError | null): void {
    this.#deadline.cancel();
  }
}
