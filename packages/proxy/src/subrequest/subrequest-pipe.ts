/**
 * A subrequest whose response becomes that of an exchange, the client's: each piece on its way may be changed or dropped.
 *
 * ```text
 *   client ── onRequestData ─► pipe ─► subrequest ─► application
 *     ▲                         │                        │
 *     └──── target ◄── filter ◄─┴────── sink ◄───────────┘
 * ```
 *
 * Rules of this file:
 * - The client's body stays where it is until the subrequest wants it, and for ever if that has a body of its own, or none.
 * - Each direction goes at the pace of its receiver.
 * - A subrequest that fails before anything of it has reached the target leaves the target alone: whoever made the pipe answers it, by another subrequest perhaps. Later
 *   the target is ended with the same error, as its response cannot be completed.
 */
import type { WireError } from '@ferrata/error';
import type { HeaderMap, ReadonlyRequestHead, ResponseHead } from '@ferrata/headers';
import type { ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { CollectedBody } from './collected-body.ts';
import type { Subrequest, SubrequestSink } from './subrequest.ts';
import { parentEnded } from './subrequest-errors.ts';

/** The exchange whose response a subrequest's becomes; any `ServerExchange` is one. */
export interface PipeTarget {
  readonly request: ReadonlyRequestHead;
  readonly requestBodyLength: number;
  readonly hasResponded: boolean;
  readonly isClosed: boolean;
  pauseRequest(): void;
  resumeRequest(): void;
  sendInterim(head: ResponseHead): void;
  sendHead(head: ResponseHead, bodyLength: number): void;
  sendData(chunk: Uint8Array): boolean;
  sendEnd(trailers?: HeaderMap | null): void;
  abort(error: WireError): void;
}

/** A piece of a response on its way to the target. */
export type PipeTask =
  | { readonly kind: 'interim'; readonly head: ResponseHead }
  | {
      readonly kind: 'head';
      readonly head: ResponseHead;
      /** Give `BodyLength.chunked` in its place if what follows is to have another length. */
      readonly bodyLength: number;
    }
  | { readonly kind: 'data'; readonly chunk: Uint8Array }
  | { readonly kind: 'end'; readonly trailers: HeaderMap | null };

/** What a pipe does beside piping. */
export interface PipeOptions {
  /**
   * Sees each piece of the response: what it returns goes to the target, in place of the piece; null: nothing does. Without a head, nothing of what follows can go there, unless the target
   * has one already. If the end is dropped, the target waits for whoever made the pipe. A throw cancels the subrequest.
   */
  filter?(task: PipeTask): PipeTask | null;
  /** How much of the client's body is kept for a later subrequest, at most. Default 0: nothing. */
  readonly saveBodyBytes?: number;
}

/** What became of a pipe. */
export interface PipeResult {
  /** The final status of the subrequest's response; 0: there was none. */
  readonly status: number;
  /** Null: all went well. */
  readonly error: WireError | null;
  /** The target has a whole response by this pipe. */
  readonly isAnswered: boolean;
  /** Bytes of the client's body that were taken; 0: another pipe may still have it. */
  readonly inheritedBytes: number;
  /** The whole body of the client, if it was inherited, has come to its end and is no more than `saveBodyBytes`; else null. */
  readonly savedBody: Uint8Array | null;
}

/** A pipe that is under way: the handler of the target, to which whoever has the target passes what that tells. */
export interface SubrequestPipe extends ServerExchangeHandler {
  /** Fulfilled at the end, never rejected. */
  readonly done: Promise<PipeResult>;
  /** Gives the subrequest up; the target is ended with it if it has got something of it. */
  cancel(error?: WireError): void;
}

/** Both the handler of the target and the sink of the subrequest. */
export class RunningPipe implements SubrequestPipe, SubrequestSink {
  readonly done: Promise<PipeResult>;
  readonly #settle: (result: PipeResult) => void;
  readonly #target: PipeTarget;
  readonly #options: PipeOptions;
  readonly #inherits: boolean;
  #subrequest: Subrequest | null = null;
  #inheritedBytes = 0;
  /** Null: not to be kept, or more than is kept. */
  #saved: CollectedBody | null;
  #isRequestWhole = false;
  /** Something of the response has reached the target. */
  #hasPassed = false;
  #isAnswered = false;
  #status = 0;

  constructor(target: PipeTarget, options: PipeOptions, inherits: boolean) {
    const { promise, resolve } = Promise.withResolvers<PipeResult>();
    this.done = promise;
    this.#settle = resolve;
    this.#target = target;
    this.#options = options;
    this.#inherits = inherits;
    const { saveBodyBytes = 0 } = options;
    this.#saved = inherits && saveBodyBytes > 0 ? new CollectedBody(saveBodyBytes) : null;
  }

  /** Takes the subrequest of which this is the sink, and which has told nothing yet. */
  begin(subrequest: Subrequest): void {
    this.#subrequest = subrequest;
    // Without a body there is nothing to hold back, and only what flows tells that the client is gone.
    if (this.#target.requestBodyLength !== 0) this.#target.pauseRequest();
    if (this.#target.isClosed) subrequest.cancel(parentEnded(null));
  }

  cancel(error?: WireError): void {
    this.#subrequest?.cancel(error);
  }

  // ---- the target's calls --------------------------------------------------------------------------------------------------------

  onRequestData(chunk: Uint8Array): void {
    if (!this.#inherits) return;
    this.#inheritedBytes += chunk.length;
    if (this.#saved?.add(chunk) === false) this.#saved = null;
    if (this.#subrequest?.sendData(chunk) !== true) this.#target.pauseRequest();
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    this.#isRequestWhole = true;
    if (this.#inherits) this.#subrequest?.sendEnd(trailers);
  }

  onResponseDrain(): void {
    this.#subrequest?.resume();
  }

  onExchangeClose(error: WireError | null): void {
    // Does nothing if that is the end which this response has made.
    this.#subrequest?.cancel(parentEnded(error));
  }

  // ---- the subrequest's calls ----------------------------------------------------------------------------------------------------

  onRequestDrain(): void {
    if (this.#inherits && !this.#target.isClosed) this.#target.resumeRequest();
  }

  onInterim(head: ResponseHead): void {
    const task = this.#filtered({ kind: 'interim', head });
    if (task !== null) this.#pass(task);
  }

  onResponse(head: ResponseHead, bodyLength: number): void {
    this.#status = head.status;
    // An answer to HEAD frames as one to GET would: by a Content-Length that it has, else as one of unknown length.
    const length = this.#target.request.method === 'HEAD' && bodyLength === 0 ? BodyLength.chunked : bodyLength;
    const task = this.#filtered({ kind: 'head', head, bodyLength: length });
    if (task !== null) this.#pass(task);
  }

  onData(chunk: Uint8Array): void {
    if (this.#options.filter === undefined) {
      this.#passData(chunk);
      return;
    }
    const task = this.#filtered({ kind: 'data', chunk });
    if (task !== null) this.#pass(task);
  }

  onEnd(trailers: HeaderMap | null): void {
    const task = this.#filtered({ kind: 'end', trailers });
    if (task !== null) this.#pass(task);
  }

  onClose(error: WireError | null): void {
    const target = this.#target;
    if (error !== null && this.#hasPassed && !this.#isAnswered && !target.isClosed) target.abort(error);
    const savedBody = this.#isRequestWhole && this.#saved !== null ? this.#saved.take() : null;
    this.#settle({ status: this.#status, error, isAnswered: this.#isAnswered, inheritedBytes: this.#inheritedBytes, savedBody });
  }

  #filtered(task: PipeTask): PipeTask | null {
    return this.#options.filter === undefined ? task : this.#options.filter(task);
  }

  #pass(task: PipeTask): void {
    const target = this.#target;
    if (target.isClosed) return;
    switch (task.kind) {
      case 'interim':
        target.sendInterim(task.head);
        break;
      case 'head':
        target.sendHead(task.head, task.bodyLength);
        this.#hasPassed = true;
        break;
      case 'data':
        this.#passData(task.chunk);
        break;
      case 'end':
        if (!target.hasResponded) break;
        target.sendEnd(task.trailers);
        this.#isAnswered = true;
        break;
    }
  }

  #passData(chunk: Uint8Array): void {
    const target = this.#target;
    if (target.isClosed || !target.hasResponded) return;
    this.#hasPassed = true;
    if (!target.sendData(chunk)) this.#subrequest?.pause();
  }
}
