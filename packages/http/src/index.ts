/** @ferrata/http: one session shape for HTTP, server and client, on any L4 stream. */
export type {
  ClientExchange,
  ClientExchangeHandler,
  HttpApplication,
  Refusal,
  ServerExchange,
  ServerExchangeHandler,
  Tunnel,
} from './exchange.ts';
export { HttpEnvironment, type HttpEnvironmentOptions } from './http-environment.ts';
export { HttpServer, type HttpServerOptions } from './http-server.ts';
export { type ClientSessionOwner, Http1ClientSession } from './http1-client-session.ts';
export { Http1ServerSession, type ServerSessionOwner } from './http1-server-session.ts';
export {
  type Http1ClientOptions,
  type Http1ServerOptions,
  type ResolvedHttp1ClientOptions,
  type ResolvedHttp1ServerOptions,
  resolveHttp1ClientOptions,
  resolveHttp1ServerOptions,
} from './options.ts';
export { type ResponseInit, respond } from './respond.ts';
