/** Sinks that make one result of a whole response. */
import type { WireError } from '@ferrata/error';
import { HeaderMap, type ResponseHead } from '@ferrata/headers';
import { CollectedBody } from './collected-body.ts';
import type { Subrequest, SubrequestSink } from './subrequest.ts';
import { bodyTooLarge } from './subrequest-errors.ts';

/** What became of a subrequest whose output nobody wants. */
export interface SubrequestResult {
  /** The final status of the response; 0: there was none. */
  readonly status: number;
  /** Null: all went well. Otherwise the response, if there is one, may be whole and tell of it, or be cut short. */
  readonly error: WireError | null;
  /** Bytes of the response's body. */
  readonly responseBytes: number;
}

/** A response that was collected. */
export interface CollectedResponse {
  /** 0: there was no response. */
  readonly status: number;
  /** Empty if there was no response. */
  readonly headers: HeaderMap;
  /** All of it if `error` is null; else what came until then. */
  readonly body: Uint8Array;
  readonly trailers: HeaderMap | null;
  readonly error: WireError | null;
}

/** Drops a response. */
export class DiscardingSink implements SubrequestSink {
  readonly #onResult: (result: SubrequestResult) => void;
  #status = 0;
  #responseBytes = 0;

  constructor(onResult: (result: SubrequestResult) => void) {
    this.#onResult = onResult;
  }

  onResponse(head: ResponseHead): void {
    this.#status = head.status;
  }
  onData(chunk: Uint8Array): void {
    this.#responseBytes += chunk.length;
  }
  onEnd(): void {}
  onClose(error: WireError | null): void {
    this.#onResult({ status: this.#status, error, responseBytes: this.#responseBytes });
  }
}

/** Collects a response whose body is not too large. */
export class CollectingSink implements SubrequestSink {
  readonly #maxBodyBytes: number;
  readonly #onResult: (result: CollectedResponse) => void;
  /** Set once there is one: nothing is told before. */
  subrequest: Subrequest | null = null;
  #status = 0;
  #headers: HeaderMap | null = null;
  readonly #body: CollectedBody;
  #trailers: HeaderMap | null = null;

  constructor(maxBodyBytes: number, onResult: (result: CollectedResponse) => void) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#body = new CollectedBody(maxBodyBytes);
    this.#onResult = onResult;
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    this.#status = head.status;
    this.#headers = head.headers;
    // What announces too much is not read at all.
    if (bodyLength > this.#maxBodyBytes) this.subrequest?.cancel(bodyTooLarge(this.#maxBodyBytes));
  }
  onData(chunk: Uint8Array): void {
    if (!this.#body.add(chunk)) this.subrequest?.cancel(bodyTooLarge(this.#maxBodyBytes));
  }
  onEnd(trailers: HeaderMap | null): void {
    this.#trailers = trailers;
  }
  onClose(error: WireError | null): void {
    const headers = this.#headers ?? new HeaderMap();
    this.#onResult({ status: this.#status, headers, body: this.#body.take(), trailers: this.#trailers, error });
  }
}
