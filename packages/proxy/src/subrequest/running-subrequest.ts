/**
 * Joins the two sides of a subrequest: takes what each has said to the other, once a turn.
 *
 * Why at the end of a turn and not in microtasks: an application that makes bytes as fast as its sink takes them would never let the event loop read a socket. So a subrequest
 * moves at most what its queues hold, 64 KiB each way and some more, in each turn.
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import type { HttpEnvironment, TurnTask } from '@ferrata/http';
import { callUser, watchAnswer } from '@ferrata/stream';
import { ResponseQueue } from './response-queue.ts';
import type { Subrequest, SubrequestSink } from './subrequest.ts';
import { bodyLengthWrong, heldTooMuch, subrequestCancelled, subrequestTooSlow } from './subrequest-errors.ts';
import { SubrequestExchange, type SubrequestExchangeInit } from './subrequest-exchange.ts';

/** What a subrequest is made from, beside what its exchange is. */
export interface RunningSubrequestInit extends Omit<SubrequestExchangeInit, 'response' | 'schedule'> {
  readonly sink: SubrequestSink;
  /** The whole body; null: there is none, or it is streamed. */
  readonly body: Uint8Array | null;
  readonly isStreamed: boolean;
  /** `Infinity`: no limit. */
  readonly timeoutMs: number;
  /** It is over; called before the sink hears of it. */
  readonly onOver: (subrequest: RunningSubrequest) => void;
}

/** A subrequest and its two sides. */
export class RunningSubrequest implements Subrequest, TurnTask {
  readonly #environment: HttpEnvironment;
  readonly #sink: SubrequestSink;
  readonly #exchange: SubrequestExchange;
  readonly #response = new ResponseQueue();
  readonly #isStreamed: boolean;
  readonly #onOver: (subrequest: RunningSubrequest) => void;
  readonly #deadline: { cancel(): void } | null;
  #isScheduled = false;
  #isPaused = false;
  #isCancelled = false;
  #isOver = false;

  constructor(init: RunningSubrequestInit) {
    const { environment, body, timeoutMs } = init;
    this.#environment = environment;
    this.#sink = init.sink;
    this.#onOver = init.onOver;
    this.#exchange = new SubrequestExchange({ ...init, response: this.#response, schedule: () => this.#schedule() });
    this.#isStreamed = init.isStreamed;
    if (body !== null) {
      this.#exchange.feed(body);
      this.#exchange.feedEnd(null);
    }
    const { deadlines } = environment;
    const isTimed = timeoutMs !== Number.POSITIVE_INFINITY;
    this.#deadline = isTimed
      ? deadlines.after(Math.min(timeoutMs, deadlines.maxDelayMs), () => this.cancel(subrequestTooSlow(timeoutMs)))
      : null;
    this.#schedule();
  }

  get status(): number {
    return this.#exchange.status;
  }
  get responseBytes(): number {
    return this.#exchange.responseBytes;
  }
  get isClosed(): boolean {
    return this.#isCancelled || this.#isOver;
  }

  sendData(chunk: Uint8Array): boolean {
    this.#requireStreamed();
    if (this.isClosed) return false;
    if (this.#exchange.isOverfed) {
      this.cancel(heldTooMuch('request'));
      return false;
    }
    try {
      return this.#exchange.feed(chunk);
    } catch (thrown) {
      this.#breakOff(thrown);
    }
  }

  sendEnd(trailers: HeaderMap | null = null): void {
    this.#requireStreamed();
    if (this.isClosed) return;
    try {
      this.#exchange.feedEnd(trailers);
    } catch (thrown) {
      this.#breakOff(thrown);
    }
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#schedule();
  }

  cancel(error: WireError = subrequestCancelled()): void {
    // A whole response often ends the request for whose answer it was made, and with that all its subrequests.
    if (!this.#response.isTold) this.#giveUp(error);
  }

  #giveUp(error: WireError): void {
    if (this.isClosed) return;
    this.#isCancelled = true;
    this.#response.drop(error);
    this.#exchange.lose(error);
    this.#schedule();
  }

  #requireStreamed(): void {
    if (!this.#isStreamed) throw new TypeError('this subrequest was made without a streamed body');
  }

  #breakOff(thrown: unknown): never {
    if (thrown instanceof RangeError) this.cancel(bodyLengthWrong(thrown));
    throw thrown;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    this.#environment.atEndOfTurn(this);
  }

  // ---- turns ---------------------------------------------------------------------------------------------------------------------

  /** Called by the environment. */
  runAtEndOfTurn(): void {
    this.#isScheduled = false;
    this.#exchange.runRequest();
    this.#tellResponse();
    this.#exchange.runResponse();
    if (this.#exchange.takeRequestDrain() && !this.isClosed) this.#tell((sink) => sink.onRequestDrain?.());
    this.#tellClose();
  }

  #tellResponse(): void {
    const sink = this.#sink;
    while (!this.#isPaused && this.#response.hasNews) {
      try {
        const answer: unknown = this.#response.tellNext(sink);
        if (answer !== undefined) watchAnswer(answer, this.#cancelByThrow);
      } catch (thrown) {
        this.#cancelByThrow(thrown);
      }
    }
  }

  #tell(call: (sink: SubrequestSink) => unknown): void {
    callUser(() => call(this.#sink), this.#cancelByThrow);
  }

  readonly #cancelByThrow = (thrown: unknown): void => {
    this.#giveUp(withSource(toWireError(thrown, 'SINK_THREW'), 'internal'));
  };

  #tellClose(): void {
    if (this.#isOver || !this.#response.isAtClose(this.#isPaused)) return;
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#onOver(this);
    // Nothing is left that could be ended for what this throws, and nobody to tell.
    callUser(() => this.#sink.onClose(this.#response.closeError));
  }
}
