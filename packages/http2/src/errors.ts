/**
 * The errors of connections and streams, each made in one place, so that a reason always carries the same code, status and retry class.
 *
 * Rules of this file:
 * - `wire.http2Code` is the code of the GOAWAY or RST_STREAM that tells the peer, or that the peer told us (RFC 9113 §7).
 * - `wire.status` is what an HTTP peer on the other side of a proxy may be told. On the server's side it is 0: a stream that is reset gets no
 *   answer.
 * - The retry class of a lost request: `always` if the peer says that it has processed nothing of it (REFUSED_STREAM, above the last stream of a
 *   GOAWAY; RFC 9113 §8.7), `ifReused` if nothing of a response has come, `never` otherwise. What has come of a response speaks louder than either.
 */
import { ioError, limitError, protocolError, type Retry, timeoutError, WireError } from '@ferrata/error';
import { Http2ErrorCode, http2ErrorName } from '@ferrata/http2-framing';

/** The peer broke a rule of RFC 9113 on the connection or on a stream. */
export function violation(reason: string, http2Code: number, message: string, status = 0): WireError {
  return protocolError(reason, message, { wire: { http2Code, status } });
}

/** The peer asked for more work than it may: the connection ends with ENHANCE_YOUR_CALM. */
export function flood(reason: string): WireError {
  return limitError(reason, 'the peer asks for more work than it may', { wire: { http2Code: Http2ErrorCode.enhanceYourCalm, status: 0 } });
}

/** A stream beyond those that may be open: nothing was done for it, so it may be tried again (RFC 9113 §8.7). */
export function refusedStream(): WireError {
  return limitError('H2_STREAMS_TOO_MANY', 'more streams than may be open', {
    retry: 'always',
    wire: { http2Code: Http2ErrorCode.refusedStream, status: 0 },
  });
}

/** Time-outs of streams and connections. */
export function tooSlow(reason: string, http2Code: number, message: string, status: number, retry: Retry = 'never'): WireError {
  return timeoutError(reason, message, { retry, wire: { http2Code, status } });
}

/** The peer has reset the stream. */
export function streamReset(http2Code: number, status: number, retry: Retry): WireError {
  // RFC 9113 §7: HTTP_1_1_REQUIRED asks for the same request over another protocol, which only the caller can decide.
  if (http2Code === Http2ErrorCode.http11Required) {
    return protocolError('H2_HTTP11_REQUIRED', 'the peer wants HTTP/1.1 for this request', { retry, wire: { http2Code, status } });
  }
  return ioError('H2_STREAM_RESET', `the peer reset the stream: ${http2ErrorName(http2Code)}`, { retry, wire: { http2Code, status } });
}

/** The peer has said goodbye. `wire.http2Code` is its code. */
export function goneAway(http2Code: number, lastStreamId: number, debugText: string, retry: Retry = 'always'): WireError {
  const text = debugText === '' ? '' : `, ${JSON.stringify(debugText)}`;
  return ioError('H2_GOAWAY', `the peer goes away: ${http2ErrorName(http2Code)}, last stream ${lastStreamId}${text}`, {
    retry,
    wire: { http2Code, status: 502 },
  });
}

/** The same error with another status. */
export function withStatus(error: WireError, status: number): WireError {
  const { type, reason, message, context, source, retry, fault, wire, cause } = error;
  // The message of an error begins with its type and reason, and ends with its context: the copy says them itself.
  const tail = context === undefined ? 0 : context.length + 3;
  const text = message.slice(`${type} ${reason}: `.length, message.length - tail);
  return new WireError(type, reason, { message: text, context, source, retry, fault, cause, wire: { ...wire, status } });
}

/** The connection ended before the message of a stream was whole. */
export function closedEarly(status: number, retry: Retry): WireError {
  return ioError('H2_CLOSED_EARLY', 'the connection ended before the message was whole', {
    retry,
    wire: { http2Code: Http2ErrorCode.cancel, status },
  });
}
