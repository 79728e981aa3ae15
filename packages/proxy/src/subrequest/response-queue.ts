/**
 * A response on its way to the sink of a subrequest: what the application has said, and the sink has not heard.
 *
 * ```text
 *   interim* ─► head ─► data* ─► end ─► close      in this order, while the sink is not paused
 *              cut(error) ──────────► close      behind what came before; of a paused sink's response the rest is dropped
 *              drop(error) ─────────► close      at once
 * ```
 */
import type { WireError } from '@ferrata/error';
import type { HeaderMap, ResponseHead } from '@ferrata/headers';
import { BodyQueue } from './body-queue.ts';

/** What hears a response, piece by piece. */
export interface ResponseListener {
  onInterim?(head: ResponseHead): void;
  onResponse(head: ResponseHead, bodyLength: number): void;
  onData(chunk: Uint8Array): void;
  onEnd(trailers: HeaderMap | null): void;
}

/** The events of one response. */
export class ResponseQueue {
  readonly body = new BodyQueue();
  #interims: ResponseHead[] = [];
  #head: ResponseHead | null = null;
  #bodyLength = 0;
  #hasEnd = false;
  #trailers: HeaderMap | null = null;
  /** Whole, cut or dropped. */
  #isOver = false;
  #isCut = false;
  /** What the sink is to hear at the close. */
  closeError: WireError | null = null;

  interim(head: ResponseHead): void {
    this.#interims.push(head);
  }

  head(head: ResponseHead, bodyLength: number): void {
    this.#head = head;
    this.#bodyLength = bodyLength;
  }

  /** The response is whole; nothing comes behind it. @param error what has led to it, if it is one that tells of a failure */
  end(trailers: HeaderMap | null, error: WireError | null): void {
    this.#hasEnd = true;
    this.#trailers = trailers;
    this.#isOver = true;
    this.closeError = error;
  }

  /** The rest will not come. */
  cut(error: WireError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isCut = true;
    this.closeError = error;
  }

  /** The sink wants to hear no more. Overrides an end that it has not heard of. */
  drop(error: WireError): void {
    this.#isOver = true;
    this.#isCut = true;
    this.closeError = error;
    this.#dropAll();
  }

  /** There is something to tell before the close. */
  get hasNews(): boolean {
    return this.#interims.length > 0 || this.#head !== null || this.body.byteLength > 0 || this.#hasEnd;
  }

  /** The whole response was told: nothing can be lost of it any more. */
  get isTold(): boolean {
    return this.#isOver && !this.#isCut && !this.hasNews;
  }

  /** Tells one thing. @returns what the listener has returned */
  tellNext(listener: ResponseListener): unknown {
    const interim = this.#interims.shift();
    if (interim !== undefined) return listener.onInterim?.(interim);
    const head = this.#head;
    if (head !== null) {
      this.#head = null;
      return listener.onResponse(head, this.#bodyLength);
    }
    const chunk = this.body.take();
    if (chunk !== undefined) return listener.onData(chunk);
    this.#hasEnd = false;
    return listener.onEnd(this.#trailers);
  }

  /** @returns true: nothing but the close is left to tell */
  isAtClose(isPaused: boolean): boolean {
    // A sink that waits for something else must still hear that this has failed.
    if (this.#isCut && isPaused) this.#dropAll();
    return this.#isOver && !this.hasNews;
  }

  #dropAll(): void {
    this.#interims = [];
    this.#head = null;
    this.#hasEnd = false;
    this.body.clear();
  }
}
