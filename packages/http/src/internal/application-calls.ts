/**
 * The calls of an application that both kinds of server session make alike, and what follows when it throws.
 *
 * Rules of this file:
 * - What the application throws while an exchange runs ends that exchange. When there is none left to end, the session hears of the bug.
 * - Callbacks are meant to return nothing, and an `async` one returns a promise all the same. What that rejects with ends the exchange as a throw does, if it
 *   still runs; when it is over, whoever uses the connection by then has nothing to do with it, and the rejection is dropped.
 * - Functions, once an exchange: the way of each piece of a body goes through the sessions themselves, where calls stay monomorphic.
 */
import { internalError, toWireError, type WireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import { isThenable, type L4Stream, watchAnswer } from '@ferrata/stream';
import type { HttpApplication, ServerExchange, ServerExchangeHandler } from '../exchange.ts';
import { respond } from '../respond.ts';
import type { MemoryPressure } from '../session.ts';
import { bodyLengthWrong, memoryPressure } from './session-errors.ts';

/** When a client may try again that was refused as memory is running out. */
const RETRY_AFTER_SECONDS = '5';

/** What calls: a session, to which the application's bugs go. */
export interface ApplicationCaller {
  readonly stream: L4Stream;
  /** A callback threw when there was nothing left to end. */
  endByBug(error: WireError): void;
}

/** An exchange, as its session has it. */
export interface FollowedExchange extends ServerExchange {
  /** Null until the application has returned one. */
  handler: ServerExchangeHandler | null;
  /** With what it was closed. */
  readonly closeError: WireError | null;
}

/** Asks the application who follows a new exchange; one that throws instead has refused the request. */
export function beginExchange(
  caller: ApplicationCaller,
  application: HttpApplication,
  exchange: FollowedExchange,
  pressure: MemoryPressure = 'none',
): void {
  if (pressure === 'critical') {
    refuseExchange(caller, application, exchange);
    return;
  }
  try {
    follow(caller, exchange, application.onRequest(exchange));
  } catch (thrown) {
    const error = toWireError(thrown, 'HANDLER_THREW');
    exchange.abort(error);
    tellRefused(caller, application, { error, status: exchange.status });
  }
}

/** Answers 503 in the place of an application that would need memory for it. */
function refuseExchange(caller: ApplicationCaller, application: HttpApplication, exchange: FollowedExchange): void {
  exchange.handler = ignoring;
  respond(exchange, 503, { headers: { 'Retry-After': RETRY_AFTER_SECONDS } });
  tellRefused(caller, application, { error: memoryPressure('there is no memory for another request'), status: 503 });
}

const ignoring: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** Names the handler. An application may have answered before it returned one: it then hears of the end now. */
function follow(caller: ApplicationCaller, exchange: FollowedExchange, handler: ServerExchangeHandler): void {
  // Also for callers without types: without a handler nobody would ever end the exchange.
  if (typeof handler !== 'object' || handler === null || isThenable(handler)) {
    watchAnswer(handler);
    throw new TypeError('onRequest must return a ServerExchangeHandler');
  }
  exchange.handler = handler;
  if (exchange.isClosed) tellClose(caller, handler, exchange.closeError);
}

/** Tells a handler that the request is whole. */
export function tellRequestEnd(exchange: ServerExchange, handler: ServerExchangeHandler, trailers: HeaderMap | null): void {
  try {
    const answer: unknown = handler.onRequestEnd(trailers);
    if (answer !== undefined) watchHandler(exchange, answer);
  } catch (thrown) {
    exchange.abort(toWireError(thrown, 'HANDLER_THREW'));
  }
}

/** Tells a handler that the client takes bytes again. */
export function tellDrain(exchange: ServerExchange, handler: ServerExchangeHandler): void {
  try {
    const answer: unknown = handler.onResponseDrain();
    if (answer !== undefined) watchHandler(exchange, answer);
  } catch (thrown) {
    exchange.abort(toWireError(thrown, 'HANDLER_THREW'));
  }
}

/** Has a rejection of what a handler returned end its exchange. */
export function watchHandler(exchange: ServerExchange, answer: unknown): void {
  watchAnswer(answer, (thrown) => exchange.abort(toWireError(thrown, 'HANDLER_THREW')));
}

/** Tells a handler that all is over. */
export function tellClose(caller: ApplicationCaller, handler: ServerExchangeHandler, error: WireError | null): void {
  try {
    const answer: unknown = handler.onExchangeClose(error);
    if (answer !== undefined) watchAnswer(answer);
  } catch (thrown) {
    caller.endByBug(internalError('HANDLER_THREW', 'onExchangeClose threw', { cause: thrown }));
  }
}

/** Tells an application of a request that never became an exchange. @param refusal.status what was sent; 0: nothing */
export function tellRefused(
  caller: ApplicationCaller,
  application: HttpApplication,
  refusal: { readonly error: WireError; readonly status: number },
): void {
  try {
    const answer: unknown = application.onRefused?.({ ...refusal, info: caller.stream.info });
    if (answer !== undefined) watchAnswer(answer);
  } catch (thrown) {
    caller.endByBug(internalError('HANDLER_THREW', 'onRefused threw', { cause: thrown }));
  }
}

/**
 * A body longer or shorter than announced ends the exchange, whether or not its caller looks at the throw: the client must not take it for whole, nor the
 * next answer for the rest of it.
 */
export function breakOff(exchange: ServerExchange, thrown: unknown): never {
  if (thrown instanceof RangeError) exchange.abort(bodyLengthWrong(thrown));
  throw thrown;
}
