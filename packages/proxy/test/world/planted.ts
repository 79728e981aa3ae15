/** A stream that lies: between the proxy and what its edge sees, for faults that are planted to be found. */
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream, StreamInfo, StreamState } from '@ferrata/stream';

/** What is changed on the way. */
export interface Lies {
  /** What the proxy reads in place of what came. */
  readonly incoming?: (chunk: Uint8Array) => Uint8Array;
  /** What goes out in place of what the proxy wrote. */
  readonly outgoing?: (chunk: Uint8Array) => Uint8Array;
  /** Written before an end, or in place of an abort. */
  readonly lastWords?: () => Uint8Array | null;
  readonly hidesEnd?: boolean;
  readonly hidesDrain?: boolean;
  readonly hidesClose?: boolean;
  readonly ignoresAbort?: boolean;
  readonly alwaysHasRoom?: boolean;
}

export class LyingStream implements L4Stream {
  readonly #inner: L4Stream;
  readonly #lies: Lies;

  constructor(inner: L4Stream, lies: Lies) {
    this.#inner = inner;
    this.#lies = lies;
  }

  get id(): number {
    return this.#inner.id;
  }
  get info(): StreamInfo {
    return this.#inner.info;
  }
  get state(): StreamState {
    const { state } = this.#inner;
    return this.#lies.hidesEnd === true && state === 'peerEnded' ? 'open' : state;
  }
  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    const { incoming, hidesEnd, hidesDrain, hidesClose } = this.#lies;
    const lying: L4Sink = {
      onData: (chunk) => {
        const told = incoming?.(chunk) ?? chunk;
        if (told.length > 0) sink.onData(told);
      },
      onDrain: () => {
        if (hidesDrain !== true) sink.onDrain();
      },
      onEnd: () => {
        if (hidesEnd !== true) sink.onEnd();
      },
      onClose: (error) => {
        if (hidesClose !== true) sink.onClose(error);
      },
    };
    this.#inner.attach(lying, head);
  }

  write(chunk: Uint8Array): boolean {
    return this.writev([chunk]);
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    const { outgoing, alwaysHasRoom } = this.#lies;
    const hasRoom = this.#inner.writev(outgoing === undefined ? chunks : chunks.map(outgoing));
    return hasRoom || alwaysHasRoom === true;
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    const words = this.#lies.lastWords?.() ?? null;
    if (words !== null) this.#inner.write(words);
    this.#inner.end();
  }

  abort(error?: WireError): void {
    const words = this.#lies.lastWords?.() ?? null;
    if (words !== null && this.#inner.state === 'open') {
      this.#inner.write(words);
      this.#inner.end();
    } else if (this.#lies.ignoresAbort !== true) {
      this.#inner.abort(error);
    }
  }
}

/** A change of text, for bytes. */
export function edit(change: (text: string) => string): (chunk: Uint8Array) => Uint8Array {
  return (chunk) => Uint8Array.from(Buffer.from(change(Buffer.from(chunk).toString('latin1')), 'latin1'));
}
