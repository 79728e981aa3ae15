/** What sessions say by themselves when an exchange fails: the small answer of an application that has not answered, the code of a reset; and what an exchange hears of one. */
import { latin1Encode } from '@ferrata/bytes';
import { ioError, type WireError } from '@ferrata/error';
import { HeaderMap, type ResponseHead, reasonPhrase, responseHead } from '@ferrata/headers';
import { Http2ErrorCode, http2ErrorName } from '@ferrata/http2-framing';
import { withPeer } from './session-errors.ts';

/** Whether an error can be told by a status. */
export function isAnswerable(error: WireError): boolean {
  const { status } = error;
  return Number.isInteger(status) && status >= 400 && status <= 599;
}

/** The body that says what the status says: the same text as over HTTP/1. */
export function refusalBody(status: number): Uint8Array {
  return latin1Encode(`${status} ${reasonPhrase(status)}\n`);
}

export function refusalHead(status: number): ResponseHead {
  return responseHead(status, { headers: HeaderMap.from({ 'Content-Type': 'text/plain', 'Cache-Control': 'private, no-store' }) });
}

/**
 * With what to reset a stream of which the rest cannot come: the code of the error itself if it arose here, or if it is the one that an upstream's
 * reset may pass on, else the one that is wanted, else INTERNAL_ERROR for faults of this side and of what lies behind it, CANCEL for all others. Never
 * NO_ERROR: a cut message must not look complete.
 */
export function resetCode(error: WireError, wanted?: number): number {
  const code = error.wire.http2Code ?? Http2ErrorCode.noError;
  const isUpstream = error.source === 'upstream';
  if (isUpstream ? isPassedOn(error, code) : code !== Http2ErrorCode.noError) return code;
  return wanted ?? (isUpstream || error.fault === 'local' ? Http2ErrorCode.internalError : Http2ErrorCode.cancel);
}

/**
 * Whether a code that an upstream has said of its stream may be said of the client's. Others speak of the connection between; or would have the client send the
 * request again, by REFUSED_STREAM whatever it was, by HTTP_1_1_REQUIRED on another connection (RFC 9113 §7, §8.7); or, as CANCEL to clients on `node:http2`,
 * have it take what was cut for whole.
 */
function isPassedOn({ reason }: WireError, code: number): boolean {
  return reason === 'H2_STREAM_RESET' && code === Http2ErrorCode.enhanceYourCalm;
}

/** What an exchange in the server's role is told when its stream was reset: by the client, or by the machine, which then says why. */
export function resetError(error: WireError): WireError {
  if (error.reason !== 'H2_STREAM_RESET') return withPeer(error, 'downstream');
  const http2Code = error.wire.http2Code ?? Http2ErrorCode.noError;
  const message = `the client gave the request up: ${http2ErrorName(http2Code)}`;
  return ioError('CLIENT_RESET', message, { cause: error, retry: 'never', wire: { http2Code, status: 0 }, source: 'downstream' });
}
