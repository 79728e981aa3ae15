/** @ferrata/upstream: from a peer to a usable connection. */

export { type ClientPeers, type ProxyHeaderVersion, peerForClient } from './client-peers.ts';
export type { OpenStream } from './open-stream.ts';
export { ConnectProxyRefusal, ProxyDigest, proxyDigestOf } from './open-via.ts';
export { type OriginUrl, OriginUrlError, type OriginUrlFault, parseOriginUrl, peerFromUrl } from './origin-url.ts';
export { type Peer, type PeerOptions, peer } from './peer.ts';
export type { OpenSession, PeerTls, TlsConnectDetails, TlsConnector, UpstreamProtocol } from './peer-tls.ts';
export type { PeerVia, PeerViaOptions } from './peer-via.ts';
export type { ConnectionTracer, NameResolver } from './stream-opener.ts';
export { UpstreamConnector, type UpstreamConnectorOptions, type UpstreamCounts } from './upstream-connector.ts';
