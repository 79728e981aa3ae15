/** @ferrata/tunnel: L4 streams carried by other protocols: CONNECT over HTTP/1 and HTTP/2, WebSocket, PROXY headers. */

// CONNECT, the server's side
export { acceptConnect, ConnectRequest, connectRequestOf } from './accept-connect.ts';
export { ConnectServer } from './connect-server.ts';
export {
  type ConnectAnswer,
  type ConnectServerOptions,
  type ResolvedConnectServerOptions,
  resolveConnectServerOptions,
} from './connect-server-options.ts';
// CONNECT, the client's side
export { ConnectRefusal, type ConnectThroughOptions, connectThrough } from './connect-through.ts';

// PROXY headers
export { acceptProxyPrefixed, proxyPrefixed } from './proxy-prefixed.ts';

// WebSocket
export { type ConnectWebSocketOptions, connectWebSocket, connectWebSocketStream, WebSocketRefusal } from './websocket-client.ts';
export { type ZlibCompressionOptions, zlibCompression } from './websocket-compression.ts';
export {
  acceptKey,
  answerFields,
  offerFields,
  readAnswer,
  type WebSocketAgreement,
  type WebSocketAnswer,
  type WebSocketChoice,
  type WebSocketHandshake,
  type WebSocketOffer,
} from './websocket-handshake.ts';
export type { WebSocketSessionOptions } from './websocket-options.ts';
export { type AcceptWebSocketOptions, acceptWebSocket, acceptWebSocketStream, isWebSocketRequest } from './websocket-server.ts';
export { type WebSocketClose, type WebSocketHandler, WebSocketSession } from './websocket-session.ts';
export { webSocketStream } from './websocket-stream.ts';
