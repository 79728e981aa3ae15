/**
 * @ferrata/net: Node's sockets as L4 streams: TCP, Unix and TLS listeners and connectors, connection filters, PROXY headers, UDP, and bindings to Node's
 * and the web's streams.
 */
export { type AcceptOptions } from './accept-options.ts';
export { type AddressLike, formatNetAddress, type NetAddress, parseAddress, toNetAddress } from './address.ts';
export { CidrSet } from './cidr-set.ts';
export { type ConnectSink, connect, connectWith, type PendingConnect } from './connect.ts';
export { type ConnectOptions, checkLocalAddress, usualTotalTimeoutMs } from './connect-options.ts';
export { type CapWaiter, ConnectionCap, type DescriptorShare } from './connection-cap.ts';
export { allowOnly, type ConnectionFilter, everyFilter, refuse } from './connection-filter.ts';
export { descriptorLimit } from './descriptor-limit.ts';
export { FilterSlots } from './filter-slots.ts';
export { fromDuplex } from './from-duplex.ts';
export { identityOf } from './identity.ts';
export { type ListenOptions } from './listen-options.ts';
export { type CloseOptions, type Listener, listen } from './listener.ts';
export { type ProxyHeaderSink, readProxyHeader } from './proxy-header-reader.ts';
export { type AcceptProxyConfig, type AcceptProxyOptions, resolveAcceptProxyOptions } from './proxy-options.ts';
export { perSource, type SourceLimitMemory, type SourceLimitOptions, type SourceLimits } from './source-limits.ts';
export { type AlpnChoice, alpnProtocols } from './tls/alpn.ts';
export { type LoadedCertificate, loadCertificate } from './tls/certificate-load.ts';
export {
  type CertificateInFiles,
  type CertificateInMemory,
  type CertificateSource,
  type OcspResponseSource,
} from './tls/certificate-source.ts';
export { type CertificateReload, CertificateStore, type CertificateStoreOptions, type ReloadReport } from './tls/certificate-store.ts';
export { type HandshakeExtension, handshakeExtension, type ReadHandshake } from './tls/handshake-extension.ts';
export { createPeerCertificate } from './tls/peer-certificate.ts';
export { type Pem } from './tls/pem.ts';
export { TicketKeys, type TicketKeysOptions } from './tls/ticket-keys.ts';
export { connectTls, TlsClient, type TlsConnectOptions, type TlsConnectSink } from './tls/tls-client.ts';
export { type ClientHandshakeComplete, type TlsClientOptions, type TlsClientVersion } from './tls/tls-client-options.ts';
export { type TlsProfile, type TlsProfileName, type TlsVersion, tlsProfiles } from './tls/tls-profiles.ts';
export { acceptTls, type HandshakeCounts, type TlsAcceptSink, TlsServer } from './tls/tls-server.ts';
export { type ClientCertificateOptions, type TlsServerOptions } from './tls/tls-server-options.ts';
export { toDuplex } from './to-duplex.ts';
export { toWeb, type WebStreams } from './to-web.ts';
export {
  bindUdp,
  connectUdp,
  MAX_DATAGRAM_BYTES,
  type UdpCounts,
  type UdpDropCounts,
  type UdpEndpoint,
  type UdpSink,
} from './udp-endpoint.ts';
export { type UdpFlow, type UdpFlowSink } from './udp-flow.ts';
export { listenUdp, type UdpFlowCounts, type UdpFlows, type UdpFlowsOptions } from './udp-flows.ts';
export { type UdpAddress, type UdpBindOptions, type UdpConnectOptions, type UdpSocketOptions } from './udp-options.ts';
export { listenTo, MemoryListener, type MemoryListenerOptions } from './virtual-listener.ts';
