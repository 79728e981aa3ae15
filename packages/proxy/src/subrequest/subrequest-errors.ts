/** The errors that subrequests make by themselves; all others come from the application that answers them. */
import { internalError, ioError, limitError, timeoutError, type WireError } from '@ferrata/error';

/** A subrequest of a subrequest of …: most likely a loop. */
export function tooDeep(maxDepth: number): WireError {
  const message = `subrequests are nested more than ${maxDepth} deep`;
  return limitError('SUBREQUEST_DEPTH', message, { wire: { status: 508 }, source: 'internal', fault: 'local' });
}

/** One request has as many subrequests under way as it may have. */
export function tooMany(maxConcurrent: number): WireError {
  const message = `the request has ${maxConcurrent} subrequests under way`;
  return limitError('SUBREQUEST_COUNT', message, { wire: { status: 503 }, source: 'internal', fault: 'local' });
}

/** The request on whose behalf it ran is over. */
export function parentEnded(cause: WireError | null): WireError {
  const message = 'the request on whose behalf it was made has ended';
  return ioError('SUBREQUEST_PARENT_ENDED', message, {
    wire: { status: 0 },
    source: 'downstream',
    retry: 'never',
    cause: cause ?? undefined,
  });
}

/** Its maker has given it up. */
export function subrequestCancelled(): WireError {
  return ioError('SUBREQUEST_CANCELLED', 'the subrequest was cancelled', { wire: { status: 0 }, source: 'downstream', fault: 'local' });
}

/** It was not over in the time that its maker allows. */
export function subrequestTooSlow(timeoutMs: number): WireError {
  return timeoutError('SUBREQUEST_TIMEOUT', `the subrequest was not over within ${timeoutMs} ms`, { source: 'downstream', fault: 'local' });
}

/** The application ended it and said nothing. Whoever waits for an answer can make none of that, so it is a 502 for them. */
export function noResponse(cause: WireError): WireError {
  return ioError('SUBREQUEST_NO_RESPONSE', 'the subrequest ended without a response', { cause, source: 'internal', retry: 'never' });
}

/** The body was larger than its collector takes. */
export function bodyTooLarge(maxBodyBytes: number): WireError {
  const message = `the response to the subrequest is larger than ${maxBodyBytes} bytes`;
  return limitError('SUBREQUEST_BODY_TOO_LARGE', message, { wire: { status: 502 }, source: 'internal' });
}

/** One side did not care that the other one is slow. */
export function heldTooMuch(side: 'request' | 'response'): WireError {
  const message = `the body of the ${side} was not held back`;
  return limitError('SUBREQUEST_OVERFLOW', message, { wire: { status: 500 }, source: 'internal', fault: 'local' });
}

/** The maker of a subrequest sends nothing of the body that is waited for. */
export function bodyStalled(): WireError {
  return timeoutError('SUBREQUEST_BODY_TIMEOUT', 'the request body stalled', { wire: { status: 408 }, source: 'downstream' });
}

/** Whoever gets the response takes nothing of it: nothing more can be told there. */
export function sinkStalled(): WireError {
  return timeoutError('SUBREQUEST_WRITE_STALLED', 'the response is not taken', { wire: { status: 0 }, source: 'downstream' });
}

/** A body was longer or shorter than announced: nobody must take it for whole. */
export function bodyLengthWrong(thrown: RangeError): WireError {
  return internalError('BODY_LENGTH_WRONG', thrown.message, { cause: thrown, source: 'internal' });
}
