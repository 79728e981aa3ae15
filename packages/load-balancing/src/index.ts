/** @ferrata/load-balancing: backends, selection, health checks, ejection of bad backends, discovery; one truth for all threads of a process. */
export { type Backend, type BackendFacts, type BackendInit, type OpenBackend, type PlainBackend } from './backend.ts';
export { BalancerSpace, type BalancerSpaceOptions, balancerMemory } from './balancer-space.ts';
export { type BackendFileFormat } from './discovery/backend-file.ts';
export { filterDiscovery, mapDiscovery, mergeDiscoveries } from './discovery/combined-discovery.ts';
export { type ConsulDiscoveryOptions, consulDiscovery } from './discovery/consul.ts';
export type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery/discovery.ts';
export { DiscoveryFollower, type DiscoveryFollowerOptions, type DiscoveryStatus } from './discovery/discovery-follower.ts';
export { dnsDiscovery } from './discovery/dns-discovery.ts';
export type {
  DnsDiscoveryOptions,
  DnsTimingOptions,
  SrvDiscoveryOptions,
  SrvQueries,
  SrvRecord,
} from './discovery/dns-discovery-options.ts';
export { type DockerDiscoveryOptions, dockerDiscovery } from './discovery/docker.ts';
export { type EtcdDiscoveryOptions, etcdDiscovery } from './discovery/etcd.ts';
export { type FileDiscoveryOptions, fileDiscovery } from './discovery/file-discovery.ts';
export type { HttpDiscoveryOptions } from './discovery/http-discovery-options.ts';
export { type InClusterOptions, inClusterOptions, type KubernetesDiscoveryOptions, kubernetesDiscovery } from './discovery/kubernetes.ts';
export { srvDiscovery } from './discovery/srv-discovery.ts';
export { staticDiscovery } from './discovery/static-discovery.ts';
export { Flight, Outcome } from './flight.ts';
export { customCheck } from './health/custom-check.ts';
export type { FlapDampingOptions } from './health/flap-damping.ts';
export { type GrpcCheckOptions, grpcCheck } from './health/grpc-check.ts';
export type { HealthChange, HealthCheck, HealthCheckContext, HealthTarget } from './health/health-check.ts';
export {
  type CheckedChange,
  HealthChecker,
  type HealthCheckerOptions,
  type HealthCounts,
  type HealthResult,
  type HealthStatus,
} from './health/health-checker.ts';
export { type HttpCheckAnswer, type HttpCheckOptions, httpCheck } from './health/http-check.ts';
export type { ProbeOptions } from './health/probe.ts';
export { type TcpCheckOptions, tcpCheck } from './health/tcp-check.ts';
export type { BackendState } from './internal/backend-states.ts';
export type { Accept } from './internal/level.ts';
export type { Distress } from './internal/levels.ts';
export {
  cookieKey,
  firstKey,
  headerKey,
  joinKeys,
  type KeySource,
  pathKey,
  type QueryKeyOptions,
  queryKey,
  type RequestKey,
  type SourceIpKeyOptions,
  sourceIpKey,
  uriKey,
} from './keys.ts';
export { type BalancerStatus, LoadBalancer, type SelectOptions } from './load-balancer.ts';
export {
  type BalancerObserver,
  type BreakerOptions,
  type LoadBalancerConfig,
  type LoadBalancerOptions,
  type SetUpdate,
} from './options.ts';
export type { Ejection } from './outlier/outlier-detector.ts';
export type { OutlierOptions } from './outlier/outlier-options.ts';
export type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './selection/algorithm.ts';
export { type BoundedLoadOptions, boundedLoad } from './selection/bounded-load.ts';
export { type HashedOptions, hashed, type KeyHash } from './selection/hashed.ts';
export { type KetamaOptions, ketama } from './selection/ketama.ts';
export { leastRequests } from './selection/least-requests.ts';
export { type MaglevOptions, maglev } from './selection/maglev.ts';
export { type PeakEwmaOptions, peakEwma } from './selection/peak-ewma.ts';
export { type PowerOfTwoOptions, powerOfTwo } from './selection/power-of-two.ts';
export { type RoundRobinOptions, roundRobin } from './selection/round-robin.ts';
export { smoothWeighted } from './selection/smooth-weighted.ts';
export { weightedRandom } from './selection/weighted-random.ts';
export { type StickyClaim, StickyCookie, type StickyCookieOptions } from './sticky-cookie.ts';
