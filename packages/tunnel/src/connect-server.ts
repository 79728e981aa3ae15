/**
 * An application that makes a stream of each CONNECT, over either version of HTTP: a forward proxy's front, or a listener inside HTTP.
 *
 * ```text
 *   CONNECT ──► decide ──┬─ true, 2xx ──► the stream ──► onTunnel, or whoever iterates
 *                        ├─ false, other ──► 403, or that answer
 *                        ├─ too slow, too many ──► 503
 *                        └─ throws ──► 500
 *   all else ──► fallback, or 405
 * ```
 * Rules of this file:
 * - It connects to nowhere: what becomes of a stream is the program's business (`relay` joins it to another).
 * - Every callback may throw, reject or never settle: that ends its own exchange and nothing else.
 */
import { internalError, limitError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import { type ResponseHead, responseHead } from '@ferrata/headers';
import { type HttpApplication, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { acceptConnect, ConnectRequest } from './accept-connect.ts';
import {
  type ConnectAnswer,
  type ConnectServerOptions,
  type ResolvedConnectServerOptions,
  resolveConnectServerOptions,
} from './connect-server-options.ts';

/** Nobody has anything to say to these. */
const SILENT: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** Makes a stream of each CONNECT; give it to an `HttpServer`. */
export class ConnectServer implements HttpApplication, AsyncIterable<L4Stream> {
  readonly #options: ResolvedConnectServerOptions;
  readonly #waiting: L4Stream[] = [];
  #pendingCount = 0;
  readonly #takers: ((result: IteratorResult<L4Stream>) => void)[] = [];
  #isClosed = false;

  /** @throws {RangeError} for a number out of range @throws {TypeError} without `decide` */
  constructor(options: ConnectServerOptions) {
    this.#options = resolveConnectServerOptions(options);
  }

  /** Decisions that are awaited. */
  get pendingCount(): number {
    return this.#pendingCount;
  }

  /** Tunnels that wait to be iterated over. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    const { request, protocol } = exchange;
    if (request.method !== 'CONNECT' || protocol !== null) return this.#fallBack(exchange);
    let asked: ConnectRequest;
    try {
      asked = new ConnectRequest(exchange);
    } catch {
      respond(exchange, 400, { body: 'CONNECT needs host:port\n' });
      return SILENT;
    }
    if (this.#isClosed || this.#pendingCount >= this.#options.maxPending) {
      respond(exchange, 503, { body: 'too many tunnels are waiting\n' });
      return SILENT;
    }
    const decision = new Decision(this, exchange, asked, this.#options);
    this.#pendingCount++;
    decision.begin();
    return decision;
  }

  /** Gives out each tunnel once, also to several who iterate. Ends with `close`. Leaving the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterator<L4Stream> {
    return {
      next: () => {
        const stream = this.#waiting.shift();
        if (stream !== undefined) return Promise.resolve({ done: false, value: stream });
        if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
        return new Promise((resolve) => this.#takers.push(resolve));
      },
    };
  }

  /** Makes no more tunnels (503), and ends the iteration; those that wait to be taken are reset. Tunnels that were taken go on. */
  close(): void {
    this.#isClosed = true;
    for (const take of this.#takers.splice(0)) take({ done: true, value: undefined });
    for (const stream of this.#waiting.splice(0)) stream.abort(internalError('TUNNEL_SERVER_CLOSED', 'nobody takes this tunnel any more'));
  }

  // ---- called by decisions -------------------------------------------------------------------------------------------------------

  /** @internal */
  decided(): void {
    this.#pendingCount--;
  }

  /** Whether a tunnel would be taken, now or soon. @internal */
  hasRoom(): boolean {
    return (
      !this.#isClosed && (this.#options.onTunnel !== null || this.#takers.length > 0 || this.#waiting.length < this.#options.maxWaiting)
    );
  }

  /** @internal */
  take(stream: L4Stream, request: ConnectRequest): void {
    const { onTunnel } = this.#options;
    if (onTunnel !== null) {
      try {
        onTunnel(stream, request);
      } catch (thrown) {
        const error = toWireError(thrown, 'TUNNEL_CALLBACK_THREW');
        stream.abort(error);
        this.report(error, request);
      }
      return;
    }
    const taker = this.#takers.shift();
    if (taker === undefined) this.#waiting.push(stream);
    else taker({ done: false, value: stream });
  }

  /** @internal */
  report(error: WireError, request: ConnectRequest): void {
    try {
      this.#options.onError?.(error, request.info);
    } catch {
      // There is nobody left to tell.
    }
  }

  #fallBack(exchange: ServerExchange): ServerExchangeHandler {
    const { fallback } = this.#options;
    if (fallback !== null) return fallback.onRequest(exchange);
    respond(exchange, 405, { headers: { Allow: 'CONNECT' }, body: 'only CONNECT to host:port is served here\n' });
    return SILENT;
  }
}

/** One CONNECT, from its head to its answer. */
class Decision implements ServerExchangeHandler {
  readonly #server: ConnectServer;
  readonly #exchange: ServerExchange;
  readonly #request: ConnectRequest;
  readonly #options: ResolvedConnectServerOptions;
  #deadline: Deadline | null = null;
  #isSettled = false;

  constructor(server: ConnectServer, exchange: ServerExchange, request: ConnectRequest, options: ResolvedConnectServerOptions) {
    this.#server = server;
    this.#exchange = exchange;
    this.#request = request;
    this.#options = options;
  }

  begin(): void {
    let answer: ConnectAnswer | Promise<ConnectAnswer>;
    try {
      answer = this.#options.decide(this.#request);
      if (typeof answer !== 'object' || !('then' in answer)) {
        this.#settle(answer);
        return;
      }
    } catch (thrown) {
      this.#fail(thrown);
      return;
    }
    const { environment, decideTimeoutMs } = this.#options;
    this.#deadline = environment.deadlines.after(decideTimeoutMs, () => this.#handleTimeout());
    answer.then(
      (settled) => this.#settle(settled),
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  onRequestData(): void {}
  onRequestEnd(): void {}
  onResponseDrain(): void {}

  /** The client has gone, or the tunnel is over. */
  onExchangeClose(): void {
    this.#leave();
  }

  #handleTimeout(): void {
    if (!this.#leave()) return;
    const message = `no decision within ${this.#options.decideTimeoutMs} ms`;
    const error = timeoutError('TUNNEL_DECISION_TIMEOUT', message, { wire: { status: 503 }, source: 'internal', fault: 'local' });
    this.#exchange.abort(error);
    this.#server.report(error, this.#request);
  }

  #settle(answer: ConnectAnswer): void {
    if (!this.#leave()) return;
    try {
      this.#answer(answer);
    } catch (thrown) {
      this.#failNow(thrown);
    }
  }

  #answer(answer: ConnectAnswer): void {
    if (answer === false) {
      respond(this.#exchange, 403, { body: 'no tunnel to there\n' });
      return;
    }
    const head = answer === true ? responseHead(200) : answer;
    if (!isHead(head)) throw new TypeError('decide must answer true, false or the head of a response');
    if (head.status < 200 || head.status > 299) {
      this.#exchange.sendHead(head, 0);
      this.#exchange.sendEnd();
      return;
    }
    if (!this.#server.hasRoom()) {
      this.#exchange.abort(
        limitError('TUNNEL_TOO_MANY_WAITING', 'too many tunnels wait to be taken', { wire: { status: 503 }, fault: 'local' }),
      );
      return;
    }
    this.#server.take(acceptConnect(this.#exchange, head), this.#request);
  }

  #fail(thrown: unknown): void {
    if (this.#leave()) this.#failNow(thrown);
  }

  #failNow(thrown: unknown): void {
    const error = internalError('TUNNEL_DECISION_FAILED', 'who decides about tunnels has failed', { cause: thrown, source: 'internal' });
    this.#exchange.abort(error);
    this.#server.report(error, this.#request);
  }

  /** @returns false if it was left before */
  #leave(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#deadline?.cancel();
    this.#server.decided();
    return true;
  }
}

/** For callers without types. */
function isHead(head: unknown): head is ResponseHead {
  return typeof head === 'object' && head !== null && 'status' in head && 'headers' in head;
}
