/** @ferrata/upstream: from a peer to a usable connection. */
export { peer, type Peer, type PeerOptions } from './peer.ts';
export type { OpenStream } from './open-stream.ts';
export { UpstreamConnector, type UpstreamConnectorOptions, type UpstreamCounts } from './upstream-connector.ts';
