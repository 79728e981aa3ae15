/**
 * The response of an upstream on its way to the client: through the hooks that see it, at the pace of the slower side.
 *
 * ```text
 *   head      upstreamResponseFilter ──► responseFilter ──► client
 *   body      upstreamResponseBodyFilter ──► responseBodyFilter ──► client      (null: the end)
 *   trailers  upstreamResponseTrailerFilter ──► responseTrailerFilter ──► client, or bytes in their place
 * ```
 *
 * The upstream is held while a hook is waited for, while a piece is delayed, and while the client is full; when the last of these reasons is gone,
 * it goes on.
 *
 * @see RFC 9110 §7.6, §6.5.1
 */
import { type HeaderMap, HttpVersion, KnownHeader, type ResponseHead } from '@ferrata/headers';
import type { ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { giveAway } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { leaveConnection, removeVainTrailer, responseLength } from './downstream-response.ts';
import { type BodyFilter, type BodyFilterHost, FilteredBody, type FilteredBodyTarget } from './filtered-body.ts';
import { checkSync, checkTrailerBytes, isPromise } from './hook-result.ts';
import type { HooksOf } from './proxy-hooks.ts';
import type { AnswerableSession } from './proxy-session.ts';
import { removeNominatedTrailers } from './trailers.ts';

/** The request that is answered. */
export interface ResponseHost<Context> extends BodyFilterHost {
  readonly hooks: HooksOf<Context>;
  readonly context: Context;
  readonly session: AnswerableSession;
  readonly exchange: ServerExchange;
  /** Others than the client get pieces of the body as they are, and may keep them. */
  readonly isResponseShared: boolean;
}

/** Where the response comes from. */
export interface ResponseSource {
  pauseResponse(): void;
  resumeResponse(): void;
}

/**
 * How long the end of an HTTP/2 response is waited for whose length is complete. It mostly comes with the last bytes; an upstream that forgets it must not keep an
 * HTTP/1 client, who has its whole response, from its next request.
 */
const END_GRACE_MS = 1_000;

/** One response that goes to the client. */
export class ResponseSide<Context> implements FilteredBodyTarget {
  readonly #host: ResponseHost<Context>;
  readonly #exchange: ServerExchange;
  #source: ResponseSource | null = null;
  /** Null: nothing edits it, or there is none. */
  #body: FilteredBodyTarget | null = null;
  #filters: FilteredBody[] | null = null;
  #isClientFull = false;
  readonly #isShared: boolean;
  /** Hooks that are waited for, and pieces that are delayed. */
  #workCount = 0;
  /** What the response said of its connection: its trailers may be nominated there. */
  #connection: string | undefined = undefined;
  /** Bytes that are to come of a known length, where nothing but the end can follow them; -1 elsewhere. */
  #left = -1;
  #endDeadline: Deadline | null = null;

  constructor(host: ResponseHost<Context>) {
    this.#host = host;
    this.#exchange = host.exchange;
    this.#isShared = host.isResponseShared;
  }

  /** The final head has come. @throws what hooks throw */
  takeHead(head: ResponseHead, bodyLength: number, source: ResponseSource): void {
    this.#source = source;
    this.#connection = leaveConnection(head);
    const { hooks, session, context } = this.#host;
    const edited = hooks.upstreamResponseFilter?.(session, head, context);
    if (isPromise(edited)) this.#waitFor(edited, () => this.#filterHead(head, bodyLength));
    else this.#filterHead(head, bodyLength);
  }

  /** @throws what hooks throw */
  takeData(chunk: Uint8Array): void {
    if (this.#body !== null) {
      this.#body.pass(chunk);
      return;
    }
    // Nobody else has seen it: its memory may go as soon as the client's socket has the bytes.
    if (!this.#isShared) giveAway(chunk);
    this.pass(chunk);
  }

  /** @throws what hooks throw */
  takeEnd(trailers: HeaderMap | null): void {
    removeNominatedTrailers(trailers, this.#connection);
    if (this.#body !== null) {
      this.#body.end(trailers);
      return;
    }
    // Behind a body of no bytes, which no filter sees, HTTP/2 may have some all the same.
    if (trailers !== null) this.#editUpstreamTrailers(trailers);
    this.end(trailers);
  }

  /** The client takes bytes again. */
  handleDrain(): void {
    this.#isClientFull = false;
    this.#resume();
  }

  /** There is nothing to come any more, or nobody to take it. */
  stop(): void {
    this.#source = null;
    this.#endDeadline?.cancel();
    if (this.#filters !== null) for (const filter of this.#filters) filter.stop();
  }

  // ---- as the last target of the filters

  pass(piece: Uint8Array): void {
    if (!this.#exchange.sendData(piece)) {
      this.#isClientFull = true;
      this.#source?.pauseResponse();
    }
    if (this.#left > 0 && (this.#left -= piece.length) <= 0)
      this.#endDeadline = this.#host.after(END_GRACE_MS, () => this.#exchange.sendEnd(null));
  }

  end(trailers: HeaderMap | null): void {
    this.#endDeadline?.cancel();
    const { hooks, session, context } = this.#host;
    if (trailers === null || hooks.responseTrailerFilter === undefined) {
      this.#exchange.sendEnd(trailers);
      return;
    }
    const given = hooks.responseTrailerFilter(session, trailers, context);
    if (isPromise(given)) this.#waitFor(given, (value) => this.#sendTrailers(trailers, value));
    else this.#sendTrailers(trailers, given);
  }

  /** @param given what the hook has given in their place, unchecked */
  #sendTrailers(trailers: HeaderMap, given: Uint8Array | null | void): void {
    if (this.#host.isOver()) return;
    const bytes = checkTrailerBytes(given);
    if (bytes !== null && bytes.length > 0) this.pass(bytes);
    this.#exchange.sendEnd(bytes === null ? trailers : null);
  }

  beginWork(): void {
    this.#workCount++;
    this.#source?.pauseResponse();
  }

  endWork(): void {
    this.#workCount--;
    this.#resume();
  }

  #filterHead(head: ResponseHead, bodyLength: number): void {
    if (this.#host.isOver()) return;
    const { hooks, session, context } = this.#host;
    const edited = hooks.responseFilter?.(session, head, context);
    if (isPromise(edited)) this.#waitFor(edited, () => this.#sendHead(head, bodyLength));
    else this.#sendHead(head, bodyLength);
  }

  #sendHead(head: ResponseHead, bodyLength: number): void {
    if (this.#host.isOver()) return;
    const { hooks, session } = this.#host;
    const { request } = session;
    if (bodyLength !== 0) this.#body = this.#stages();
    // Where a filter may change its length, even an answer to HEAD has none, as nobody knows what it would be.
    const isOpen =
      hooks.responseBodyFilter !== undefined ||
      hooks.upstreamResponseBodyFilter !== undefined ||
      // Bytes in the place of trailers, which behind a body of known length only HTTP/2 has.
      (hooks.responseTrailerFilter !== undefined && head.version === HttpVersion.http2);
    // One of no bytes may have trailers over HTTP/2; without a length, an end with the head is all that it is.
    const hasBody = bodyLength !== 0 || (head.headers.hasKnown(KnownHeader.contentLength) && head.status !== 204 && head.status !== 304);
    if (isOpen) head.headers.deleteKnown(KnownHeader.contentLength);
    const length = isOpen && hasBody ? BodyLength.chunked : responseLength(request.method, bodyLength);
    // HTTP/1 has no trailers behind a known length (RFC 9112 §7.1.2), so for its client the response is whole then.
    if (length > 0 && length === bodyLength && head.version === HttpVersion.http2 && request.version !== HttpVersion.http2)
      this.#left = length;
    removeVainTrailer(head, length, request);
    this.#exchange.sendHead(head, length);
  }

  /** What the body goes through, from the upstream's end; null for nothing. */
  #stages(): FilteredBodyTarget | null {
    const { hooks, session, context } = this.#host;
    let first: FilteredBodyTarget | null = null;
    if (hooks.responseBodyFilter !== undefined)
      first = this.#filtered((chunk) => hooks.responseBodyFilter?.(session, chunk, context), this);
    if (hooks.upstreamResponseTrailerFilter !== undefined)
      first = new TrailerStage(first ?? this, (trailers) => this.#editUpstreamTrailers(trailers));
    if (hooks.upstreamResponseBodyFilter !== undefined)
      first = this.#filtered((chunk) => hooks.upstreamResponseBodyFilter?.(session, chunk, context), first ?? this);
    return first;
  }

  #filtered(filter: BodyFilter, target: FilteredBodyTarget): FilteredBody {
    const filtered = new FilteredBody(this.#host, filter, target);
    (this.#filters ??= []).push(filtered);
    return filtered;
  }

  #editUpstreamTrailers(trailers: HeaderMap): void {
    const { hooks, session, context } = this.#host;
    checkSync('upstreamResponseTrailerFilter', hooks.upstreamResponseTrailerFilter?.(session, trailers, context));
  }

  /** Goes on when the promise of a hook is fulfilled, until which the upstream is held. */
  #waitFor<T>(promise: PromiseLike<T>, next: (value: T) => void): void {
    this.beginWork();
    this.#host.waitFor(promise, (value) => {
      next(value);
      this.endWork();
    });
  }

  #resume(): void {
    if (!this.#isClientFull && this.#workCount === 0) this.#source?.resumeResponse();
  }
}

/** Where the trailers of the upstream are edited, between two filters of the body. */
class TrailerStage implements FilteredBodyTarget {
  readonly #target: FilteredBodyTarget;
  readonly #edit: (trailers: HeaderMap) => void;

  constructor(target: FilteredBodyTarget, edit: (trailers: HeaderMap) => void) {
    this.#target = target;
    this.#edit = edit;
  }

  pass(piece: Uint8Array): void {
    this.#target.pass(piece);
  }
  end(trailers: HeaderMap | null): void {
    if (trailers !== null) this.#edit(trailers);
    this.#target.end(trailers);
  }
  beginWork(): void {
    this.#target.beginWork();
  }
  endWork(): void {
    this.#target.endWork();
  }
}
