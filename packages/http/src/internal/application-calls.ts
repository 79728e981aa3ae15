/**
 * The calls of an application that both kinds of server session make alike, and what follows when it throws.
 *
 * Rules of this file:
 * - What the application throws while an exchange runs ends that exchange. When there is none left to end, the session hears of the bug.
 * - Functions, once an exchange: the way of each piece of a body goes through the sessions themselves, where calls stay monomorphic.
 */
import { internalError, toWireError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import type { HttpApplication, ServerExchange, ServerExchangeHandler } from '../exchange.ts';
import { bodyLengthWrong } from './session-errors.ts';

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
export function beginExchange(caller: ApplicationCaller, application: HttpApplication, exchange: FollowedExchange): void {
  try {
    follow(caller, exchange, application.onRequest(exchange));
  } catch (thrown) {
    const error = toWireError(thrown, 'HANDLER_THREW');
    exchange.abort(error);
    tellRefused(caller, application, { error, status: exchange.status });
  }
}

/** Names the handler. An application may have answered before it returned one: it then hears of the end now. */
function follow(caller: ApplicationCaller, exchange: FollowedExchange, handler: ServerExchangeHandler): void {
  // Also for callers without types: without a handler nobody would ever end the exchange.
  if (typeof handler !== 'object' || handler === null) throw new TypeError('onRequest must return a ServerExchangeHandler');
  exchange.handler = handler;
  if (exchange.isClosed) tellClose(caller, handler, exchange.closeError);
}

/** Tells a handler that all is over. */
export function tellClose(caller: ApplicationCaller, handler: ServerExchangeHandler, error: WireError | null): void {
  try {
    handler.onExchangeClose(error);
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
    application.onRefused?.({ ...refusal, info: caller.stream.info });
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
