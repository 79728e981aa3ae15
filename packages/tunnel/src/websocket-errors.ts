/** Errors of sessions and streams over WebSocket; those of its frames are made by @ferrata/websocket. */
import { protocolError, toWireError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { CloseCode } from '@ferrata/websocket';

/** Nobody takes messages of this kind (RFC 6455 §7.4.1, 1003). */
export function unsupportedKind(kind: 'text' | 'binary'): WireError {
  return protocolError('WS_KIND_UNSUPPORTED', `nobody takes ${kind} messages here`, {
    wire: { closeCode: CloseCode.unsupportedData, status: 0 },
  });
}

/**
 * Makes something of a stream that the program has not got yet: where that throws, as a `compression` of the program may, nobody else would end it.
 *
 * @throws {WireError} `internal COMPRESSION_THREW`
 */
export function madeOf<T>(stream: L4Stream, make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    const error = toWireError(thrown, 'COMPRESSION_THREW');
    stream.abort(error);
    throw error;
  }
}
