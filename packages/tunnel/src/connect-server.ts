/**
 * An application that makes a stream of each CONNECT, over either version of HTTP: a forward proxy's front, or a listener inside HTTP.
 *
 * ```text
 *   CONNECT ──► decide ──┬─ true, 2xx ──► the stream ──► onTunnel, or whoever iterates
 *                        ├─ false, other ──► 403, or that answer
 *                        ├─ too slow, too many, closed ──► 503
 *                        └─ throws ──► 500
 *   all else ──► fallback, or 405
 * ```
 * Rules of this file:
 * - It connects to nowhere: what becomes of a stream is the program's business (`relay` joins it to another).
 * - Every callback may throw, reject or never settle: that ends its own exchange and nothing else.
 */
import { internalError, isWireError, limitError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import { type ResponseHead, responseHead } from '@ferrata/headers';
import { type HttpApplication, type Refusal, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { FilterSlots } from '@ferrata/net';
import { callUser, isThenable, type L4Stream } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { acceptConnect, ConnectRequest } from './accept-connect.ts';
import {
  type ConnectAnswer,
  type ConnectServerOptions,
  type ResolvedConnectServerOptions,
  resolveConnectServerOptions,
} from './connect-server-options.ts';
import { TunnelQueue } from './internal/tunnel-queue.ts';

/** Nobody has anything to say to these. */
const SILENT: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** Makes a stream of each CONNECT; give it to an `HttpServer`. */
export class ConnectServer implements HttpApplication, AsyncIterable<L4Stream>, AsyncDisposable {
  readonly #options: ResolvedConnectServerOptions;
  readonly #waiting: TunnelQueue;
  /** One for each promise of `decide`: what it waits for goes on when the client has long gone, who may come again at once. */
  readonly #slots: FilterSlots<object>;
  #isClosed = false;

  /** @throws {RangeError} for a number out of range @throws {TypeError} without `decide` */
  constructor(options: ConnectServerOptions) {
    this.#options = resolveConnectServerOptions(options);
    const { maxPending, decideTimeoutMs, maxWaiting } = this.#options;
    this.#slots = new FilterSlots(maxPending, decideTimeoutMs);
    this.#waiting = new TunnelQueue(maxWaiting);
  }

  /** Promises of `decide` that have not settled, also where nobody waits for them any more. */
  get pendingCount(): number {
    return this.#slots.count;
  }

  /** Tunnels that wait to be iterated over. */
  get waitingCount(): number {
    return this.#waiting.size;
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
    if (this.#isClosed) {
      respond(exchange, 503, { body: 'no tunnels are made here any more\n' });
      return SILENT;
    }
    if (this.#slots.isFull(this.#options.environment.deadlines.now())) {
      this.report(
        limitError('TUNNEL_TOO_MANY_PENDING', 'too many decisions are pending', { wire: { status: 503 }, fault: 'local' }),
        asked,
      );
      respond(exchange, 503, { body: 'too many tunnels are waiting\n' });
      return SILENT;
    }
    const decision = new Decision(this, exchange, asked, this.#options, this.#slots);
    decision.begin();
    return decision;
  }

  /** What was no request at all is the fallback's to hear of, as it would be without this server. */
  onRefused(refusal: Refusal): void {
    this.#options.fallback?.onRefused?.(refusal);
  }

  /**
   * Gives out each tunnel once, also to several who iterate; one that closes while it waits is not given out. Ends with `close`. Leaving the loop
   * closes nothing: what waits is for the next one who iterates.
   */
  [Symbol.asyncIterator](): AsyncIterator<L4Stream, undefined> {
    return this.#waiting.iterate();
  }

  /** Makes no more tunnels (503), and ends the iteration; those that wait to be taken are reset. Tunnels that were taken go on. */
  close(): void {
    this.#isClosed = true;
    for (const stream of this.#waiting.close()) stream.abort(internalError('TUNNEL_SERVER_CLOSED', 'nobody takes this tunnel any more'));
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  // ---- called by decisions -------------------------------------------------------------------------------------------------------

  /** Why a tunnel would not be taken, now or soon; null if it would. @internal */
  refusal(): WireError | null {
    const details = { wire: { status: 503 }, fault: 'local' } as const;
    if (this.#isClosed) return internalError('TUNNEL_SERVER_CLOSED', 'no tunnels are made any more', details);
    if (this.#options.onTunnel !== null || this.#waiting.hasRoom) return null;
    return limitError('TUNNEL_TOO_MANY_WAITING', 'too many tunnels wait to be taken', details);
  }

  /** @internal */
  take(stream: L4Stream, request: ConnectRequest): void {
    const { onTunnel } = this.#options;
    if (onTunnel === null) {
      this.#waiting.put(stream);
      return;
    }
    callUser(
      () => onTunnel(stream, request),
      (thrown) => {
        const error = toWireError(thrown, 'TUNNEL_CALLBACK_THREW');
        stream.abort(error);
        this.report(error, request);
      },
    );
  }

  /** The tunnel is over. @internal */
  forget(stream: L4Stream): void {
    this.#waiting.remove(stream);
  }

  /** @internal */
  report(error: WireError, request: ConnectRequest): void {
    callUser(() => this.#options.onError?.(error, request.info));
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
  readonly #slots: FilterSlots<object>;
  #deadline: Deadline | null = null;
  #stream: L4Stream | null = null;
  /** Decided, or nobody waits for it any more. */
  #isOver = false;

  constructor(
    server: ConnectServer,
    exchange: ServerExchange,
    request: ConnectRequest,
    options: ResolvedConnectServerOptions,
    slots: FilterSlots<object>,
  ) {
    this.#server = server;
    this.#exchange = exchange;
    this.#request = request;
    this.#options = options;
    this.#slots = slots;
  }

  begin(): void {
    const { environment, decide, decideTimeoutMs } = this.#options;
    this.#slots.take();
    let answer: ConnectAnswer | Promise<ConnectAnswer>;
    try {
      answer = decide(this.#request);
      if (!isThenable(answer)) {
        this.#settle(answer);
        return;
      }
    } catch (thrown) {
      this.#fail(thrown);
      return;
    }
    this.#deadline = environment.deadlines.after(decideTimeoutMs, () => this.#handleTimeout());
    Promise.resolve(answer).then(
      (settled) => this.#settle(settled),
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  onRequestData(): void {}
  onRequestEnd(): void {}
  onResponseDrain(): void {}

  /** The client has gone, or the tunnel is over. */
  onExchangeClose(): void {
    this.#giveUp();
    if (this.#stream !== null) this.#server.forget(this.#stream);
  }

  #handleTimeout(): void {
    this.#giveUp();
    const message = `no decision within ${this.#options.decideTimeoutMs} ms`;
    const error = timeoutError('TUNNEL_DECISION_TIMEOUT', message, { wire: { status: 503 }, source: 'internal', fault: 'local' });
    this.#exchange.abort(error);
    this.#server.report(error, this.#request);
  }

  #settle(answer: ConnectAnswer): void {
    if (!this.#takeDecision()) return;
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
    const refusal = this.#server.refusal();
    if (refusal !== null) {
      this.#exchange.abort(refusal);
      if (refusal.type === 'limit') this.#server.report(refusal, this.#request);
      return;
    }
    try {
      this.#stream = acceptConnect(this.#exchange, head);
    } catch (thrown) {
      if (!isWireError(thrown)) throw thrown;
      // The client takes no head of that size, by which the exchange has ended already.
      this.#exchange.abort(thrown);
      this.#server.report(thrown, this.#request);
      return;
    }
    this.#server.take(this.#stream, this.#request);
  }

  #fail(thrown: unknown): void {
    if (this.#takeDecision()) this.#failNow(thrown);
  }

  #failNow(thrown: unknown): void {
    const error = internalError('TUNNEL_DECISION_FAILED', 'who decides about tunnels has failed', { cause: thrown, source: 'internal' });
    this.#exchange.abort(error);
    this.#server.report(error, this.#request);
  }

  /** @returns false if nobody waits for it any more */
  #takeDecision(): boolean {
    const isLate = this.#isOver;
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#slots.settle(this, isLate);
    return !isLate;
  }

  /** Nobody waits any more for the decision. */
  #giveUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#slots.giveUp(this, this.#options.environment.deadlines.now());
  }
}

/** For callers without types. */
function isHead(head: unknown): head is ResponseHead {
  return typeof head === 'object' && head !== null && 'status' in head && 'headers' in head;
}
