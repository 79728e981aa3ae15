/**
 * A module: a filter of HTTP messages that knows nothing of who runs it: a proxy, or a server of one's own.
 *
 * Rules:
 * - One instance serves one request and its response. Its kind makes it, or null where it has nothing to do, which then costs nothing more.
 * - Modules stand in a chain, in the order of their kinds (`order`, larger first; among equals as they were given). Requests and responses go through it in the same order.
 * - A callback may return a promise; one that doesn't is not awaited. What is absent costs nothing. A throw or a rejection ends the exchange.
 * - A module that edits bodies says so after it has seen the head (`editsResponseBody`); the body of others keeps its length, and passes them by.
 * - An answer that a module gives goes through the modules in front of it and behind it, and not through itself. Those behind it have not seen the request in
 *   `requestFilter`: a module must be ready for a response alone, for which it has `exchange.request`.
 * - What a failure is answered with (the status of an error that was thrown) goes through none of them.
 * - After the end of the exchange, and after its failure, no callback but `close` is called, and `close` exactly once.
 *
 * ```text
 *   create → requestFilter → (requestBodyFilter+ → requestBodyFlush)* → requestBodyFilter(null)
 *          → responseFilter → (responseBodyFilter+ → responseBodyFlush)* → responseTrailerFilter → responseBodyFilter(null)      → close
 * ```
 */
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import type { ResponseInit } from '@ferrata/http';
import type { StreamInfo } from '@ferrata/stream';

/** A value, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>;

/** What a body filter gives back: bytes to pass on, or null for none. */
export type ModulePiece = Uint8Array | null;

/** What a module may know and do beside its callbacks' arguments. */
export interface ModuleExchange {
  /** The request. To be changed in `requestFilter` only: later it has been sent on. */
  readonly request: RequestHead;
  /** Facts about the client's connection. */
  readonly client: StreamInfo;
  /** The request has a body, of whatever length. */
  readonly hasRequestBody: boolean;
  /** A final response has begun. */
  readonly hasResponded: boolean;
  /**
   * Answers in place of whoever would: in `requestFilter`, and the request goes no further. The answer goes through all other modules.
   * @throws {TypeError} if a response has begun, or no `requestFilter` runs
   */
  respond(status: number, init?: ResponseInit): void;
}

/** What a module knows of a response beside its head. */
export interface ResponseBodyInfo {
  /**
   * ≥ 0, or -1 (`BodyLength.chunked`) if only the end of the body will tell, behind the modules in front. Of an answer to HEAD, 204 and 304 it is 0; the
   * length that GET would have met stands in the head's Content-Length then, if it is known.
   */
  readonly bodyLength: number;
}

/** A filter of one request and its response. */
export interface HttpModule {
  /** Sees the request before anybody else does; may edit it, or answer it by `exchange.respond`. */
  requestFilter?(request: RequestHead, exchange: ModuleExchange): Awaitable<void>;
  /** Whether the body of the request goes through `requestBodyFilter`; read once, behind `requestFilter`. Default: if there is one. */
  readonly editsRequestBody?: boolean;
  /** Each piece of the request's body, and null once at its end, when bytes may still be added. */
  requestBodyFilter?(chunk: Uint8Array | null): Awaitable<ModulePiece>;
  /** Nothing more of the request's body is at hand, and its end has not come: as `responseBodyFlush`. */
  requestBodyFlush?(): Awaitable<ModulePiece>;
  /** Edits the head of the final response before it is sent. Not called for interim ones and 101. */
  responseFilter?(response: ResponseHead, body: ResponseBodyInfo, exchange: ModuleExchange): Awaitable<void>;
  /** Whether the body of the response goes through `responseBodyFilter`; read once, behind `responseFilter`. Default: if there is one. */
  readonly editsResponseBody?: boolean;
  /**
   * The exact length of the body behind this module, ≥ 0; read once, with `editsResponseBody`, if that is true. Absent: only its end will tell, and Content-Length is
   * removed. 0 for a module that drops the body.
   */
  readonly responseBodyLength?: number;
  /**
   * Each piece of the response's body, and null once at its end, when bytes may still be added. Never called for a response without a body: an answer to HEAD, 204,
   * 304. One of no bytes has an end.
   */
  responseBodyFilter?(chunk: Uint8Array | null): Awaitable<ModulePiece>;
  /**
   * Nothing more of the response's body is at hand, and its end has not come: gives what `responseBodyFilter` holds back for company, or null. Called behind the last piece of
   * what was sent in one tick, when the modules in front have nothing left either; never behind the end. Who holds nothing back, or needs the whole, has none.
   */
  responseBodyFlush?(): Awaitable<ModulePiece>;
  /**
   * Edits the trailers of a response that has a body and goes through `responseBodyFilter`, before its end is told there. Null: it has none. A module without a
   * `responseBodyFilter` edits those of every response with a body.
   * @returns the trailers to send, itself edited, new or null
   */
  responseTrailerFilter?(trailers: HeaderMap | null): HeaderMap | null;
  /** The exchange is over, whatever became of it: what was taken is given back. */
  close?(): void;
}

/** A kind of module: makes one for each request, and is the key by which a request's own is found. */
export interface HttpModuleKind<Module extends HttpModule = HttpModule> {
  /** For messages. */
  readonly name: string;
  /** Where it stands in the chain: larger runs first. Default 0. */
  readonly order?: number;
  /** Makes the module of one request, or null if this request is none of its business. */
  create(exchange: ModuleExchange): Module | null;
}
