/**
 * A stream that has something to say first, and says it together with the first bytes of whoever gets the stream: a PROXY header and a request leave in one write, and come in
 * one packet. Who says nothing for a turn of the event loop does not hold the header up.
 *
 * What is read passes this file by; a write costs one call more.
 */
import type { WireError } from '@ferrata/error';
import type { HttpEnvironment, TurnTask } from '@ferrata/http';
import { callUser, type L4Sink, type L4Stream, type StreamInfo, type StreamState } from '@ferrata/stream';
import { dropStream, toConnectError } from './open-stream.ts';

/** `stream`, with `head` in front of what is written. From now on only the result may be used. @param head belongs to the stream */
export function headed(stream: L4Stream, head: Uint8Array, environment: HttpEnvironment): L4Stream {
  return new HeadedStream(stream, head, environment);
}

class HeadedStream implements L4Stream, TurnTask {
  readonly #inner: L4Stream;
  readonly #environment: HttpEnvironment;
  /** Null: it was said. */
  #head: Uint8Array | null;
  #isLate = false;

  constructor(inner: L4Stream, head: Uint8Array, environment: HttpEnvironment) {
    this.#inner = inner;
    this.#head = head;
    this.#environment = environment;
    environment.atEndOfTurn(this);
  }

  get id(): number {
    return this.#inner.id;
  }
  get info(): StreamInfo {
    return this.#inner.info;
  }
  get state(): StreamState {
    return this.#inner.state;
  }
  get bufferedBytes(): number {
    return this.#inner.bufferedBytes + (this.#head === null ? 0 : this.#head.length);
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inner.attach(sink, head);
  }

  write(chunk: Uint8Array): boolean {
    const head = this.#takeHead();
    return head === null ? this.#inner.write(chunk) : this.#inner.writev([head, chunk]);
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    const head = this.#takeHead();
    return this.#inner.writev(head === null ? chunks : [head, ...chunks]);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#say();
    this.#inner.end();
  }

  abort(error?: WireError): void {
    this.#head = null;
    this.#inner.abort(error);
  }

  /** Sessions of HTTP/2 write at the end of a turn, too, and may have been told of the connection behind this stream: they come first. */
  runAtEndOfTurn(): void {
    if (this.#head === null) return;
    if (this.#isLate) {
      callUser(
        () => this.#say(),
        (thrown) => dropStream(this.#inner, toConnectError(thrown)),
      );
      return;
    }
    this.#isLate = true;
    this.#environment.atEndOfTurn(this);
  }

  #say(): void {
    const head = this.#takeHead();
    if (head !== null) this.#inner.write(head);
  }

  #takeHead(): Uint8Array | null {
    const head = this.#head;
    this.#head = null;
    return head;
  }
}
