/** The errors that the proxy itself makes; all others come from below or from hooks. */
import { applicationError, internalError, ioError, protocolError, type WireError } from '@ferrata/error';

/** A client asked for a tunnel by CONNECT. */
export function connectNotAllowed(): WireError {
  return protocolError('CONNECT_NOT_ALLOWED', 'this proxy makes no tunnels', { wire: { status: 405 }, source: 'downstream' });
}

/** `requestFilter` said that it had answered, and had not. */
export function notAnswered(): WireError {
  return applicationError('NOT_ANSWERED', 'requestFilter returned true without an answer', { source: 'internal' });
}

/** A connection ended while a filter was waiting: nothing was sent, so the request may be tried again whatever it is. */
export function closedBeforeSent(): WireError {
  return ioError('UPSTREAM_CLOSED', 'the connection closed before the request was sent', { retry: 'always', source: 'upstream' });
}

/** Why an upstream exchange is given up when all went well. */
export function answeredWithoutUpstream(): WireError {
  return internalError('ANSWERED', 'the request was answered without the upstream');
}
