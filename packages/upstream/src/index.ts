/** @ferrata/upstream: from a peer to a usable connection. */

export type { OpenStream } from './open-stream.ts';
export { type Peer, type PeerOptions, peer } from './peer.ts';
export type { OpenSession, PeerTls, TlsConnectDetails, TlsConnector, UpstreamProtocol } from './peer-tls.ts';
export { UpstreamConnector, type UpstreamConnectorOptions, type UpstreamCounts } from './upstream-connector.ts';
