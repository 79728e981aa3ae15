/** @ferrata/http: one session shape for HTTP, server and client, on any L4 stream. */
export type {
  ClientExchange,
  ClientExchangeHandler,
  HttpApplication,
  Refusal,
  ServerConnectionState,
  ServerExchange,
  ServerExchangeHandler,
  Tunnel,
} from './exchange.ts';
export { checkExchangeSettings, type ExchangeSettings } from './exchange-settings.ts';
export { HttpEnvironment, type HttpEnvironmentOptions, type TurnTask } from './http-environment.ts';
export { HttpServer, type HttpServerOptions } from './http-server.ts';
export { Http1ClientSession } from './http1-client-session.ts';
export { Http1ServerSession } from './http1-server-session.ts';
export { Http2ClientSession } from './http2-client-session.ts';
export {
  type Http2ClientOptions,
  type Http2ServerOptions,
  type ResolvedHttp2ClientOptions,
  type ResolvedHttp2ServerOptions,
  resolveHttp2ClientOptions,
  resolveHttp2ServerOptions,
} from './http2-options.ts';
export { Http2ServerSession } from './http2-server-session.ts';
export {
  type Http1ClientOptions,
  type Http1ServerOptions,
  type ResolvedHttp1ClientOptions,
  type ResolvedHttp1ServerOptions,
  resolveHttp1ClientOptions,
  resolveHttp1ServerOptions,
} from './options.ts';
export { type ResponseInit, respond } from './respond.ts';
export type { ClientSession, ClientSessionOwner, MemoryPressure, RequestFraming, ServerSession, ServerSessionOwner } from './session.ts';
