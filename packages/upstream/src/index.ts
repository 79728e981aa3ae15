/** @ferrata/upstream: from a peer to a usable connection. */

export type { OpenStream } from './open-stream.ts';
export { type Peer, type PeerOptions, peer, type UpstreamProtocol } from './peer.ts';
export { UpstreamConnector, type UpstreamConnectorOptions, type UpstreamCounts } from './upstream-connector.ts';
