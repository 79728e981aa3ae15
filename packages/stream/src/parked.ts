/** What a stream is given to while it waits for whoever will read it: nothing is lost, whatever happens before the first `attach`. */
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from './l4-stream.ts';

/**
 * Puts bytes back in front of what comes next, and pauses the stream until its next sink is attached.
 *
 * It works on any stream, as a head survives a pause and a change of sinks (lines 2 and 4 of the stream contract).
 *
 * @param unread bytes that were read beyond what the former sink used
 * @param onClose called if the stream closes before the next sink is attached, which hears of it again
 */
export function park(stream: L4Stream, unread: Uint8Array, onClose: (error: WireError | null) => void = ignore): void {
  stream.attach(new ParkingSink(stream, onClose), unread);
  stream.pause();
}

class ParkingSink implements L4Sink {
  readonly #stream: L4Stream;
  readonly #onClose: (error: WireError | null) => void;

  constructor(stream: L4Stream, onClose: (error: WireError | null) => void) {
    this.#stream = stream;
    this.#onClose = onClose;
  }

  /** Somebody has resumed the stream before attaching a sink: back with it. */
  onData(chunk: Uint8Array): void {
    this.#stream.attach(this, chunk);
    this.#stream.pause();
  }

  onDrain(): void {}

  /** Whoever attaches is told again. */
  onEnd(): void {}

  onClose(error: WireError | null): void {
    this.#onClose(error);
  }
}

function ignore(): void {}
