/**
 * @ferrata/service: a server on threads, behind listening sockets that outlive whatever serves them: services, graceful stop, reload, and upgrade without losing
 * a connection.
 */
export { type Phase, type PhaseWatcher } from './phase.ts';
export { Server, type ServiceHandle } from './server.ts';
export { commandLineOptions, joinServerOptions, SERVER_HELP, type ServerArguments, serverArguments } from './server-arguments.ts';
export { parseServerConfig, readServerConfig } from './server-config-file.ts';
export { type ServerFileOptions } from './server-config-keys.ts';
export { withServerFile } from './server-file.ts';
export { type ConfigSource, type ReadyListener, type ServerOptions, type WorkerOptions } from './server-options.ts';
export {
  type ListenAddress,
  type MemoryPressure,
  type Notice,
  type Placement,
  type PreparedUpdate,
  type RunningService,
  type Service,
  type ServiceContext,
  type ServiceCounts,
  type ServiceSocket,
} from './service.ts';
export { BackgroundService, type BackgroundServiceOptions } from './services/background-service.ts';
export { HttpService, type HttpServiceOptions, type RunningHttpService } from './services/http-service.ts';
export { type ListeningDefinition, type ListenPlaces, type ServiceDefinition } from './services/service-definition.ts';
export { type AcceptFor, type AcceptSettings } from './services/service-listeners.ts';
export { sharedTicketKeys } from './services/shared-ticket-keys.ts';
export { type RunningTcpService, type TcpConnection, type TcpHandler, TcpService, type TcpServiceOptions } from './services/tcp-service.ts';
export {
  type PassthroughConnectOptions,
  type PassthroughCounts,
  type PassthroughReport,
  type RunningTlsPassthroughService,
  TlsPassthroughService,
  type TlsPassthroughServiceOptions,
} from './services/tls-passthrough-service.ts';
export {
  type RunningUdpService,
  type UdpFlowContext,
  UdpService,
  type UdpServiceOptions,
  type UdpSettings,
} from './services/udp-service.ts';
export { SetupError } from './setup-error.ts';
export { type Snapshot } from './snapshot.ts';
export { type SharedSpec } from './supervisor/shared-registry.ts';
