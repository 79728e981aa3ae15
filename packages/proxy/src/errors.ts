/** The errors that the proxy itself makes; all others come from below or from hooks. */
import { applicationError, internalError, ioError, protocolError, timeoutError, type WireError } from '@ferrata/error';

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

/** Why an upstream exchange is given up when all went well: a hook has answered, or another try was answered first. */
export function notNeeded(): WireError {
  return internalError('ANSWERED', 'the request was answered without this upstream');
}

/** An extended CONNECT, or an upgrade, for a protocol that nobody here speaks (RFC 8441 §4, RFC 9298 §3.1). */
export function connectProtocolUnknown(protocol: string): WireError {
  return protocolError('CONNECT_PROTOCOL_UNKNOWN', `no tunnels for ${JSON.stringify(protocol)}`, {
    wire: { status: 501 },
    source: 'downstream',
  });
}

/** `proxyUpstreamFilter` said that the request goes nowhere, and nobody has answered it. */
export function notProxied(): WireError {
  return applicationError('NOT_PROXIED', 'the request was not to go upstream', {
    wire: { status: 502 },
    source: 'internal',
    fault: 'local',
  });
}

/** A WebSocket was asked for over HTTP/2, and the upstream's HTTP/2 has none (RFC 8441 §3). */
export function noWebSocketUpstream(): WireError {
  return protocolError('UPSTREAM_NO_WEBSOCKET', 'the upstream takes no WebSockets over HTTP/2', {
    wire: { status: 502 },
    source: 'upstream',
  });
}

/** The upstream has switched without having read the key (RFC 6455 §4.1). */
export function webSocketAcceptWrong(): WireError {
  return protocolError('WEBSOCKET_ACCEPT_WRONG', 'the upstream answered 101 without the right Sec-WebSocket-Accept', {
    wire: { status: 502 },
    source: 'upstream',
  });
}

/** The upstream answered a request for a WebSocket by an ordinary response of success. */
export function switchRefused(status: number): WireError {
  return protocolError('UPSTREAM_NO_SWITCH', `the upstream answered ${status} to a request for a tunnel`, {
    wire: { status: 502 },
    source: 'upstream',
  });
}

/** One try has taken longer than `perTryTimeoutMs`. @param isConnected false: there was no connection, so nothing was sent, whatever the method */
export function tryTimeout(timeoutMs: number, isConnected: boolean): WireError {
  return timeoutError('UPSTREAM_TRY_TIMEOUT', `no ${isConnected ? 'answer' : 'connection'} within ${timeoutMs} ms`, {
    retry: isConnected ? 'ifReused' : 'always',
    wire: { status: 504 },
    source: 'upstream',
  });
}

/** The whole request has taken longer than `requestTimeoutMs`. */
export function requestTimeout(timeoutMs: number): WireError {
  return timeoutError('REQUEST_TIMEOUT', `not answered within ${timeoutMs} ms`, { wire: { status: 504 }, source: 'upstream' });
}

/** The upstream's HTTP/2 connection stands, and has not said what it takes. */
export function settingsTimeout(): WireError {
  return timeoutError('UPSTREAM_NO_SETTINGS', 'the SETTINGS of the upstream did not come in time', {
    wire: { status: 504 },
    source: 'upstream',
  });
}

/** `failToProxy` said that this failure is not to be answered. */
export function leftUnanswered(cause: WireError): WireError {
  return applicationError('LEFT_UNANSWERED', 'the connection ends without an answer', { cause, wire: { status: 0 }, source: 'internal' });
}
