/** Writes to a stream at a planned pace, in pieces, and never against back-pressure. */
import type { Clock } from '@ferrata/clock';
import type { L4Stream } from '@ferrata/stream';

/** How fast. */
export interface Pace {
  /** Bytes of one write; 0: all at once. */
  readonly pieceBytes: number;
  readonly pauseMs: number;
}

type Step =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'call'; readonly call: () => void };

/** A queue of things to do on one stream, one after the other. */
export class Pacer {
  readonly #stream: L4Stream;
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #steps: Step[] = [];
  #isBusy = false;
  #isFull = false;
  #isStopped = false;

  constructor(stream: L4Stream, clock: Clock, pace: Pace) {
    this.#stream = stream;
    this.#clock = clock;
    this.#pace = pace;
  }

  /** All is done. */
  get isIdle(): boolean {
    return !this.#isBusy && this.#steps.length === 0;
  }

  send(bytes: Uint8Array): void {
    const { pieceBytes } = this.#pace;
    // At most some sixty pieces: a world is to be short.
    const size = pieceBytes === 0 ? bytes.length : Math.max(pieceBytes, Math.ceil(bytes.length / 60));
    for (let at = 0; at < bytes.length; at += size) {
      if (at > 0) this.#steps.push({ kind: 'wait', ms: this.#pace.pauseMs });
      this.#steps.push({ kind: 'send', bytes: bytes.subarray(at, at + size) });
    }
    this.#run();
  }

  wait(ms: number): void {
    this.#steps.push({ kind: 'wait', ms });
    this.#run();
  }

  call(call: () => void): void {
    this.#steps.push({ kind: 'call', call });
    this.#run();
  }

  onDrain(): void {
    this.#isFull = false;
    this.#run();
  }

  /** Nothing more is done. */
  stop(): void {
    this.#isStopped = true;
    this.#steps.length = 0;
  }

  #run(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (;;) {
      const step = this.#isFull || this.#isStopped ? undefined : this.#steps.shift();
      if (step === undefined) break;
      if (step.kind === 'send') this.#isFull = !this.#stream.write(step.bytes) && this.#stream.state !== 'closed';
      else if (step.kind === 'call') step.call();
      else {
        this.#clock.schedule(step.ms, () => {
          this.#isBusy = false;
          this.#run();
        });
        return;
      }
    }
    this.#isBusy = false;
  }
}
