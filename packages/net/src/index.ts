/**
 * @ferrata/net: Node's sockets as L4 streams: TCP, Unix and TLS listeners and connectors, connection filters, PROXY headers, UDP, and bindings to Node's
 * and the web's streams.
 */
export { type AcceptOptions } from './accept/accept-options.ts';
export { CidrSet } from './accept/cidr-set.ts';
export { type CapWaiter, ConnectionCap, type DescriptorShare } from './accept/connection-cap.ts';
export { allowOnly, type ConnectionFilter, everyFilter, refuse } from './accept/connection-filter.ts';
export { type DescriptorDescription, describeDescriptor } from './accept/describe-descriptor.ts';
export { descriptorLimit } from './accept/descriptor-limit.ts';
export { FilterSlots } from './accept/filter-slots.ts';
export { type HeldSocket, holdSockets } from './accept/held-sockets.ts';
export { type ListenOptions } from './accept/listen-options.ts';
export { type CloseOptions, type Listener, listen } from './accept/listener.ts';
export { type ProxyHeaderSink, readProxyHeader } from './accept/proxy-header-reader.ts';
export { type AcceptProxyConfig, type AcceptProxyOptions, resolveAcceptProxyOptions } from './accept/proxy-options.ts';
export { type SocketToHold } from './accept/socket-to-hold.ts';
export { perSource, type SourceLimitMemory, type SourceLimitOptions, type SourceLimits } from './accept/source-limits.ts';
export { listenTo, MemoryListener, type MemoryListenerOptions } from './accept/virtual-listener.ts';
export { type AddressLike, formatNetAddress, type NetAddress, parseAddress, toNetAddress } from './address.ts';
export { type ConnectSink, connect, connectWith, type PendingConnect } from './connect/connect.ts';
export { type ConnectOptions, checkLocalAddress, usualTotalTimeoutMs } from './connect/connect-options.ts';
export type { DnsAnswer } from './dns/dns-name.ts';
export type { DnsAddress, DnsQueries, DnsRecord, DnsResolverOptions } from './dns/dns-options.ts';
export { type DnsCounts, DnsResolver } from './dns/dns-resolver.ts';
export { identityOf } from './identity.ts';
export { fromDuplex } from './socket/from-duplex.ts';
export { toDuplex } from './socket/to-duplex.ts';
export { toWeb, type WebStreams } from './socket/to-web.ts';
export { type AlpnChoice, alpnProtocols } from './tls/alpn.ts';
export { readPlainFile } from './tls/certificate-files.ts';
export { type LoadedCertificate, loadCertificate } from './tls/certificate-load.ts';
export {
  type CertificateInFiles,
  type CertificateInMemory,
  type CertificateSource,
  type OcspResponseSource,
} from './tls/certificate-source.ts';
export { type CertificateReload, CertificateStore, type CertificateStoreOptions, type ReloadReport } from './tls/certificate-store.ts';
export { type HandshakeExtension, handshakeExtension, type ReadHandshake } from './tls/handshake-extension.ts';
export { type PeekClientHelloOptions, type PeekedHello, peekClientHello } from './tls/peek-client-hello.ts';
export { createPeerCertificate } from './tls/peer-certificate.ts';
export { type Pem } from './tls/pem.ts';
export { TicketKeys, type TicketKeysOptions } from './tls/ticket-keys.ts';
export { connectTls, TlsClient, type TlsConnectOptions } from './tls/tls-client.ts';
export type { TlsConnectSink } from './tls/tls-client-handshake.ts';
export { type ClientHandshakeComplete, type TlsClientOptions, type TlsClientVersion } from './tls/tls-client-options.ts';
export type { TlsAcceptSink } from './tls/tls-handshake.ts';
export { type TlsProfile, type TlsProfileName, type TlsVersion, tlsProfiles } from './tls/tls-profiles.ts';
export { acceptTls, type HandshakeCounts, TlsServer } from './tls/tls-server.ts';
export { type ClientCertificateOptions, type TlsServerOptions } from './tls/tls-server-options.ts';
export {
  bindUdp,
  connectUdp,
  MAX_DATAGRAM_BYTES,
  type UdpCounts,
  type UdpDropCounts,
  type UdpEndpoint,
  type UdpSink,
} from './udp/udp-endpoint.ts';
export { type UdpFlow, type UdpFlowSink } from './udp/udp-flow.ts';
export { listenUdp, type UdpFlowCounts, type UdpFlows, type UdpFlowsOptions } from './udp/udp-flows.ts';
export { type UdpAddress, type UdpBindOptions, type UdpConnectOptions, type UdpSocketOptions } from './udp/udp-options.ts';
