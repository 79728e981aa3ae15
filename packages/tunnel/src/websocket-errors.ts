/** Errors of sessions and streams over WebSocket; those of its frames are made by @ferrata/websocket. */
import { protocolError, type WireError } from '@ferrata/error';
import { CloseCode } from '@ferrata/websocket';

/** Nobody takes messages of this kind (RFC 6455 §7.4.1, 1003). */
export function unsupportedKind(kind: 'text' | 'binary'): WireError {
  return protocolError('WS_KIND_UNSUPPORTED', `nobody takes ${kind} messages here`, {
    wire: { closeCode: CloseCode.unsupportedData, status: 0 },
  });
}
