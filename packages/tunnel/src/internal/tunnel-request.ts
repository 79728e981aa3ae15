/**
 * One request for a tunnel, behind a promise: CONNECT, or a WebSocket handshake, over either version of HTTP.
 *
 * ```text
 *   asked ──► 2xx, 101 ──► accepted ──► resolved: the stream, parked
 *     │           └──────► a throw ───► rejected, the stream reset
 *     ├─────► other ──────────────────► rejected at once; what follows is dropped
 *     └─────► time, signal, close ────► rejected, the request taken back
 * ```
 * Rules of this file:
 * - Settled once; deadline, listener and exchange are let go then, whatever came first, also from inside a callback.
 * - A refusal on a shared connection ends by itself, as long as it is short: a reset would come when the server has said all, and servers count
 *   those against the connection, and so against all others who use it.
 * - A close by which the server says that it has not looked at the request (retry `always`; RFC 9113 §8.7) is told as such. No other may be retried
 *   blindly.
 */
import { connectError, ioError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import type { RequestHead, ResponseHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ClientSession, HttpEnvironment, RequestFraming, Tunnel } from '@ferrata/http';
import { type L4Stream, park } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';

/** What a refusal may say besides its head before it is cut off. Its connection's window for a stream is some 64 KiB. */
const MAX_REFUSAL_BYTES = 65_536;

/** What of a reason phrase goes into a message. */
const MAX_REASON_LENGTH = 128;

/** What is asked for, and the words for what becomes of it. */
export interface TunnelQuestion<T> {
  readonly head: RequestHead;
  readonly framing: RequestFraming;
  /** Why it cannot be asked now; null: it can. */
  readonly unavailable: string | null;
  /** Of the errors. */
  readonly reasons: {
    readonly noSession: string;
    readonly aborted: string;
    readonly timeout: string;
    readonly refused: string;
    readonly closed: string;
  };
  /** Who is asked: `the proxy`. */
  readonly asked: string;
  /** For what: `CONNECT`. */
  readonly subject: string;
  /** What goes into the refusal as its cause. */
  refusalOf(head: ResponseHead): Error;
  /** Looks at the head of an answer that makes a tunnel. What it throws refuses that. The stream is not to be used yet, but may be aborted later. */
  accept(head: ResponseHead, stream: L4Stream): T;
}

/** Where and how long. */
export interface TunnelRequestOptions {
  readonly environment: HttpEnvironment;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** What `accept` said, and the stream, paused until a sink is attached. */
export interface OpenedTunnel<T> {
  readonly stream: L4Stream;
  readonly accepted: T;
}

/** Asks. What `session.request` throws rejects the promise, too. */
export function askForTunnel<T>(
  session: ClientSession,
  question: TunnelQuestion<T>,
  options: TunnelRequestOptions,
): Promise<OpenedTunnel<T>> {
  return new Promise((resolve, reject) => {
    new TunnelRequest(session, question, options, resolve, reject).start();
  });
}

/** A status with its reason phrase, which may be as long as a head. */
export function statusText({ status, reason }: ResponseHead): string {
  return `${status} ${reason.slice(0, MAX_REASON_LENGTH)}`.trimEnd();
}

class TunnelRequest<T> implements ClientExchangeHandler {
  readonly #session: ClientSession;
  readonly #question: TunnelQuestion<T>;
  readonly #options: TunnelRequestOptions;
  readonly #resolve: (opened: OpenedTunnel<T>) => void;
  readonly #reject: (error: Error) => void;
  readonly #onAbort = (): void =>
    this.#giveUp(ioError(this.#question.reasons.aborted, 'the caller gave up', { retry: 'never', fault: 'local' }));
  #exchange: ClientExchange | null = null;
  #deadline: Deadline | null = null;
  #isSettled = false;
  /** Bytes of a refusal that were dropped. */
  #droppedBytes = 0;

  constructor(
    session: ClientSession,
    question: TunnelQuestion<T>,
    options: TunnelRequestOptions,
    resolve: (opened: OpenedTunnel<T>) => void,
    reject: (error: Error) => void,
  ) {
    this.#session = session;
    this.#question = question;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { head, framing, unavailable, reasons } = this.#question;
    const { environment, timeoutMs, signal } = this.#options;
    if (signal?.aborted === true) {
      this.#onAbort();
      return;
    }
    if (unavailable !== null) {
      this.#fail(connectError(reasons.noSession, unavailable, { retry: 'always', source: 'upstream' }));
      return;
    }
    this.#exchange = this.#session.request(head, framing, this);
    // A session may break while it sends.
    if (this.#isSettled) return;
    this.#deadline = environment.deadlines.after(timeoutMs, () => this.#handleTimeout());
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  #handleTimeout(): void {
    const { asked, subject, reasons } = this.#question;
    const message = `${asked} did not answer ${subject} within ${this.#options.timeoutMs} ms`;
    this.#giveUp(timeoutError(reasons.timeout, message, { retry: 'never', source: 'upstream' }));
  }

  // ---- the exchange's calls ------------------------------------------------------------------------------------------------------

  onInterim(): void {}

  onResponse(head: ResponseHead, bodyLength: number): void {
    const { asked, reasons } = this.#question;
    const cause = this.#question.refusalOf(head);
    const error = connectError(reasons.refused, `${asked} answered ${cause.message}`, { cause, retry: 'never', source: 'upstream' });
    this.#fail(error);
    if (!this.#session.isShared || bodyLength > MAX_REFUSAL_BYTES) this.#exchange?.cancel(error);
  }

  onTunnel(head: ResponseHead, { stream, remaining }: Tunnel): void {
    try {
      this.#failIfSettled();
      const accepted = this.#question.accept(head, stream);
      // The signal may have been given meanwhile.
      this.#failIfSettled();
      park(stream, remaining);
      this.#settle();
      this.#resolve({ stream, accepted });
    } catch (thrown) {
      const error = toWireError(thrown);
      stream.abort(error);
      this.#fail(error);
    }
  }

  onResponseData(chunk: Uint8Array): void {
    this.#droppedBytes += chunk.length;
    if (this.#droppedBytes <= MAX_REFUSAL_BYTES) return;
    this.#exchange?.cancel(ioError(this.#question.reasons.refused, 'a refusal of endless length', { retry: 'never' }));
  }

  onResponseEnd(): void {}
  onRequestDrain(): void {}

  onClientClose(cause: WireError | null): void {
    this.#exchange = null;
    const { asked, subject, reasons } = this.#question;
    const message = `${asked} closed the connection instead of answering ${subject}`;
    const retry = cause?.retry === 'always' ? 'always' : 'never';
    this.#fail(connectError(reasons.closed, message, { retry, source: 'upstream', ...(cause === null ? {} : { cause }) }));
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------------------

  /** Fails, and takes the request back. */
  #giveUp(error: WireError): void {
    this.#fail(error);
    this.#exchange?.cancel(error);
  }

  #fail(error: WireError): void {
    if (this.#isSettled) return;
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#isSettled = true;
    this.#deadline?.cancel();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }

  #failIfSettled(): void {
    if (this.#isSettled) throw ioError(this.#question.reasons.aborted, 'the answer came too late', { retry: 'never' });
  }
}
