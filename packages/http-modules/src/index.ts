/** @ferrata/http-modules: filters of HTTP messages, for proxies and servers. */

export {
  type BodyTransform,
  type PieceTransform,
  type RewriteBodyOptions,
  type RewrittenMessage,
  rewriteBody,
  type WholeBodyOptions,
  wholeBody,
} from './body-rewrite.ts';
export { type CompressionModule, compression } from './compression/compression.ts';
export type { CompressionLevels, CompressionOptions, CompressionSettings } from './compression/compression-options.ts';
export { type CompressionCoding, type DecodableCoding, isZstdDictionarySupported, isZstdSupported } from './compression/content-coding.ts';
export { USUAL_EXCEPT_TYPES, USUAL_TYPES } from './compression/content-types.ts';
export type { InflateLimits } from './compression/inflate-limits.ts';
export { type RequestDecompressionOptions, requestDecompression } from './compression/request-decompression.ts';
// Modules at hand
export { type ConditionalsOptions, conditionals } from './conditionals.ts';
export { type CorsOptions, cors } from './cors.ts';
export { type GrpcWebOptions, grpcWeb } from './grpc-web/grpc-web.ts';
// Modules, and what runs them
export type {
  Awaitable,
  HttpModule,
  HttpModuleKind,
  ModuleExchange,
  ModulePiece,
  ResponseBodyInfo,
} from './http-module.ts';
export { ModuleChain, type UpstreamRequest } from './module-chain.ts';
export type { ModuleClientHandler } from './module-client-handler.ts';
export type { BeforeResponse, ModuleOptions, ModuleOverrides, OnModuleFailed } from './module-options.ts';
export type { ModuleServerExchange } from './module-server-exchange.ts';
export { type RangesOptions, ranges } from './ranges/ranges.ts';
export { replaceBytes } from './replace-bytes.ts';
export { withModules } from './with-modules.ts';
