/** @ferrata/proxy-protocol: the PROXY protocol, versions 1 and 2: what a proxy says of a connection before its first byte. */

export { createProxyHeader, type ProxyHeaderFields } from './create-proxy-header.ts';
export { PROXY_HEADER_REASONS, type ProxyHeaderReason, proxyHeaderError } from './errors.ts';
export { type ProxyHeaderDecoderOptions, type ResolvedProxyHeaderDecoderOptions, resolveProxyHeaderDecoderOptions } from './options.ts';
export type { ProxyAddress, ProxyHeader, ProxyTlv } from './proxy-header.ts';
export { ProxyHeaderDecoder } from './proxy-header-decoder.ts';
export { type WriteProxyHeaderOptions, writeProxyHeader } from './proxy-header-writer.ts';
export { type ProxySignatureMatch, proxySignatureMatch } from './signature.ts';
export { decodeSslTlv, encodeSslTlv, type SslTlv, type SslTlvFields } from './ssl-tlv.ts';
export { findTlv, SslTlvType, TlvType } from './tlv.ts';
