/** Errors that sessions make alike, whatever version of HTTP they speak. */
import { internalError, ioError, limitError, timeoutError, toWireError, type WireError, withSource } from '@ferrata/error';
import { watchAnswer } from '@ferrata/stream';
import type { ClientExchange } from '../exchange.ts';

/** `error`, which arose at a peer: a bug of this program is never the peer's. @returns the same error */
export function withPeer(error: WireError, peer: 'upstream' | 'downstream'): WireError {
  return withSource(error, error.type === 'internal' ? 'internal' : peer);
}

/** The client has gone: nothing more can be told to it. */
export function clientClosed(message: string): WireError {
  return ioError('CLIENT_CLOSED', message, { wire: { status: 0 }, source: 'downstream' });
}

/** A client that reads nothing was given up: nothing more can be told to it. */
export function clientStalled(reason: string): WireError {
  return timeoutError(reason, 'the client reads nothing', { wire: { status: 0 }, source: 'downstream' });
}

/** Memory is running out, and this is what was given up for it. */
export function memoryPressure(message: string): WireError {
  return limitError('MEMORY_PRESSURE', message, { wire: { status: 503 }, source: 'internal', fault: 'local' });
}

/** A throw from the handler of a client exchange: a bug on our side, never the server's fault. */
export function handlerError(thrown: unknown): WireError {
  return withSource(toWireError(thrown, 'HANDLER_THREW'), 'internal');
}

/** Has a rejection of what the handler of a client exchange returned end that exchange, as a throw does. */
export function watchClientHandler(exchange: ClientExchange, answer: unknown): void {
  watchAnswer(answer, (thrown) => exchange.cancel(handlerError(thrown)));
}

/** A body was longer or shorter than announced: its peer must not take it for whole, nor the next message for the rest of it. */
export function bodyLengthWrong(thrown: RangeError): WireError {
  return internalError('BODY_LENGTH_WRONG', thrown.message, { cause: thrown, source: 'internal' });
}
