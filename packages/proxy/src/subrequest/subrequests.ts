/**
 * Requests of one's own, made in the course of another one, through the whole pipeline of an application and without a socket.
 *
 * Rules of this file:
 * - Whatever becomes of a subrequest, the request on whose behalf it runs does not notice, unless somebody tells it: failures are results, never throws. What is thrown at once is misuse
 *   (`TypeError`, `RangeError`).
 * - How deep they nest, and how many run at once for one request, is bounded: one too many is refused, as waiting for a place could be waiting for oneself.
 * - When the request ends, what runs for its answer is given up; what runs in the background goes on, for as long as its own time lasts.
 */
import { checkNumber, checkWholeNumber, type WireError } from '@ferrata/error';
import type { ReadonlyRequestHead } from '@ferrata/headers';
import type { HttpApplication, HttpEnvironment } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import type { StreamInfo } from '@ferrata/stream';
import { MAX_COLLECTED_BYTES } from './collected-body.ts';
import { type CollectedResponse, CollectingSink, DiscardingSink, type SubrequestResult } from './result-sinks.ts';
import { RunningSubrequest } from './running-subrequest.ts';
import type { Subrequest, SubrequestSink } from './subrequest.ts';
import { parentEnded, tooDeep, tooMany } from './subrequest-errors.ts';
import { SubrequestInfo } from './subrequest-info.ts';
import { type PreparedBody, prepareRequest, type SubrequestInit } from './subrequest-init.ts';
import { type PipeOptions, type PipeTarget, RunningPipe, type SubrequestPipe } from './subrequest-pipe.ts';

/** How long a subrequest in the background may take. */
const BACKGROUND_TIMEOUT_MS = 60_000;
const MAX_DEPTH = 8;
const MAX_CONCURRENT = 16;

/** What the subrequests of one request need. */
export interface SubrequestsOptions {
  /** Who answers them. */
  readonly application: HttpApplication;
  readonly environment: HttpEnvironment;
  /** On whose behalf they are made. */
  readonly parent: SubrequestParent;
  /** How deep they may be nested; default 8. A loop costs as many requests, and more if each makes several. */
  readonly maxDepth?: number;
  /** How many may run at once for this request; default 16. Each holds up to 64 KiB each way, and whatever its application does. */
  readonly maxConcurrent?: number;
}

/** The request on whose behalf subrequests are made. */
export interface SubrequestParent {
  readonly request: ReadonlyRequestHead;
  /** Facts about the client's connection. */
  readonly client: StreamInfo;
  /** 0 for a client's request; what `subrequestOf` says for a subrequest. */
  readonly depth: number;
}

/** A subrequest whose body, if it has one, is at hand. */
export interface WholeSubrequestInit extends SubrequestInit {
  /** Default: none; the fields that speak of one (Content-Length, Transfer-Encoding, Expect, Trailer) are removed. */
  readonly body?: 'none' | Uint8Array;
}

/** A subrequest whose response is collected. */
export interface CollectInit extends WholeSubrequestInit {
  /** How large the body of the response may be; what is larger is given up, and the result says so. */
  readonly maxBodyBytes: number;
}

/** A subrequest whose body may be streamed. */
export interface OpenInit extends SubrequestInit {
  /** Default: none, as in `WholeSubrequestInit`. `stream`: `sendData` and `sendEnd` send it. */
  readonly body?: 'none' | 'stream' | Uint8Array;
  /** How long a streamed body is; default: `BodyLength.chunked`, only its end will tell. */
  readonly bodyLength?: number;
}

/** A subrequest that answers another exchange. */
export interface PipeInit extends SubrequestInit {
  /** Default: none, as in `WholeSubrequestInit`. `inherit`: the target's. */
  readonly body?: 'none' | 'inherit' | Uint8Array;
}

/** What may be made on behalf of one request. */
export class Subrequests {
  readonly #application: HttpApplication;
  readonly #environment: HttpEnvironment;
  readonly #parent: SubrequestParent;
  readonly #maxDepth: number;
  readonly #maxConcurrent: number;
  /** Those that end with the parent. */
  readonly #bound = new Set<RunningSubrequest>();
  #backgroundCount = 0;
  /** Null while the parent runs. */
  #end: WireError | null = null;

  /** @throws {RangeError} when a bound makes no sense */
  constructor(options: SubrequestsOptions) {
    this.#application = options.application;
    this.#environment = options.environment;
    this.#parent = options.parent;
    this.#maxDepth = checkWholeNumber('maxDepth', options.maxDepth ?? MAX_DEPTH);
    this.#maxConcurrent = checkWholeNumber('maxConcurrent', options.maxConcurrent ?? MAX_CONCURRENT, { max: Number.POSITIVE_INFINITY });
  }

  /** How many are under way, those in the background too. */
  get size(): number {
    return this.#bound.size + this.#backgroundCount;
  }

  /** Makes a request whose response nobody wants; it goes on when the parent has ended. The promise is never rejected. @throws as `open` */
  background(init: WholeSubrequestInit = {}): Promise<SubrequestResult> {
    const { promise, resolve } = Promise.withResolvers<SubrequestResult>();
    this.#start(
      { ...init, timeoutMs: init.timeoutMs ?? BACKGROUND_TIMEOUT_MS },
      { body: init.body ?? 'none', isBackground: true },
      new DiscardingSink(resolve),
    );
    return promise;
  }

  /** Makes a request and collects the response. The promise is never rejected: see `error` of the result. @throws as `open` */
  collect(init: CollectInit): Promise<CollectedResponse> {
    const maxBodyBytes = checkWholeNumber('maxBodyBytes', init.maxBodyBytes, { max: MAX_COLLECTED_BYTES });
    const { promise, resolve } = Promise.withResolvers<CollectedResponse>();
    const sink = new CollectingSink(maxBodyBytes, resolve);
    sink.subrequest = this.#start(init, { body: init.body ?? 'none' }, sink);
    return promise;
  }

  /**
   * Makes a request; its response is told to `sink`, later, and so is that it was refused: `SUBREQUEST_DEPTH`, `SUBREQUEST_COUNT`, or `SUBREQUEST_PARENT_ENDED`.
   *
   * @throws {TypeError} when method, target or a field is invalid, or the method is CONNECT
   * @throws {RangeError} when a time, a length or a depth makes no sense
   */
  open(init: OpenInit, sink: SubrequestSink): Subrequest {
    const { body = 'none', bodyLength = BodyLength.chunked } = init;
    return this.#start(init, { body: body === 'stream' ? { bodyLength } : body }, sink);
  }

  /**
   * Makes a request whose response becomes that of `target`.
   *
   * @returns the handler for what `target` tells from now on; for `onRequest` to return, or to be called by who follows the target
   * @throws as `open`; the target is untouched then
   */
  pipe(init: PipeInit, target: PipeTarget, options: PipeOptions = {}): SubrequestPipe {
    const { body = 'none' } = init;
    const { saveBodyBytes } = options;
    if (saveBodyBytes !== undefined) checkWholeNumber('saveBodyBytes', saveBodyBytes, { max: MAX_COLLECTED_BYTES });
    const inherits = body === 'inherit' && target.requestBodyLength !== 0;
    const pipe = new RunningPipe(target, options, inherits);
    const prepared = body === 'inherit' ? inheritedBody(target) : body;
    pipe.begin(this.#start(init, { body: prepared }, pipe));
    return pipe;
  }

  /** For whoever runs the parent: it has ended. What runs for its answer is given up, and nothing of the kind begins any more. */
  handleParentEnd(error: WireError | null): void {
    this.#end ??= parentEnded(error);
    for (const subrequest of this.#bound) subrequest.cancel(this.#end);
  }

  #start(
    init: SubrequestInit,
    how: { readonly body: PreparedBody; readonly isBackground?: boolean },
    sink: SubrequestSink,
  ): RunningSubrequest {
    const { body, isBackground = false } = how;
    const { timeoutMs = Number.POSITIVE_INFINITY, maxDepth = this.#maxDepth } = init;
    checkNumber('timeoutMs', timeoutMs, { above: 0 });
    checkWholeNumber('maxDepth', maxDepth);
    const { head, bodyLength } = prepareRequest(this.#parent.request, init.request, body);
    const refusal = this.#refusal(maxDepth, isBackground);
    const subrequest = new RunningSubrequest({
      application: init.application ?? this.#application,
      environment: this.#environment,
      request: head,
      bodyLength,
      info: new SubrequestInfo(this.#parent.client, this.#environment.now()),
      context: init.context,
      peer: init.peer ?? null,
      depth: this.#parent.depth + 1,
      sink,
      body: body instanceof Uint8Array ? body : null,
      isStreamed: body !== 'none' && !(body instanceof Uint8Array),
      timeoutMs,
      onOver: (over) => this.#forget(over, isBackground),
    });
    if (isBackground) this.#backgroundCount++;
    else this.#bound.add(subrequest);
    if (refusal !== null) subrequest.cancel(refusal);
    return subrequest;
  }

  #refusal(maxDepth: number, isBackground: boolean): WireError | null {
    if (this.#parent.depth >= maxDepth) return tooDeep(maxDepth);
    if (this.#end !== null && !isBackground) return this.#end;
    return this.size >= this.#maxConcurrent ? tooMany(this.#maxConcurrent) : null;
  }

  #forget(subrequest: RunningSubrequest, isBackground: boolean): void {
    if (isBackground) this.#backgroundCount--;
    else this.#bound.delete(subrequest);
  }
}

function inheritedBody({ requestBodyLength }: PipeTarget): PreparedBody {
  return requestBodyLength === 0 ? 'none' : { bodyLength: requestBodyLength };
}
