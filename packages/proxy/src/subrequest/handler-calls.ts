/**
 * The calls of an application that answers a subrequest: the same as those of the sessions of `@ferrata/http`, but for what is left when nothing is to be ended.
 *
 * What it throws while the exchange runs ends that exchange, and so does what an `async` callback rejects with. What it throws about the end is dropped: no connection
 * can be closed for it, and the request on whose behalf the subrequest was made has nothing to do with it.
 */
import { toWireError } from '@ferrata/error';
import type { HttpApplication, ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import { callUser, isThenable, watchAnswer } from '@ferrata/stream';

/** Asks an application who follows an exchange. @returns null: it has thrown, and the exchange was ended for it */
export function callApplication(application: HttpApplication, exchange: ServerExchange): ServerExchangeHandler | null {
  try {
    const handler: unknown = application.onRequest(exchange);
    // Also for callers without types: without a handler nobody would ever end the exchange.
    if (typeof handler === 'object' && handler !== null && !isThenable(handler)) return handler as ServerExchangeHandler;
    watchAnswer(handler);
    throw new TypeError('onRequest must return a ServerExchangeHandler');
  } catch (thrown) {
    const error = toWireError(thrown, 'HANDLER_THREW');
    exchange.abort(error);
    callUser(() => application.onRefused?.({ error, status: exchange.status, info: exchange.info }));
    return null;
  }
}

/** Has what a handler threw end its exchange. */
export function endByThrow(exchange: ServerExchange, thrown: unknown): void {
  exchange.abort(toWireError(thrown, 'HANDLER_THREW'));
}

/** Has a rejection of what a handler returned end its exchange. */
export function watchHandler(exchange: ServerExchange, answer: unknown): void {
  if (answer !== undefined) watchAnswer(answer, (thrown) => endByThrow(exchange, thrown));
}
