/** The keys of a server's file: those of Pingora where the meaning is equal, ours, and those that have no meaning here, with the reason. */
import type { ServerOptions, serverRanges, WorkerOptions } from './server-options.ts';

/** What a file can say. The rest of `ServerOptions` are functions, and `test`, which is for the command line. */
export type ServerFileOptions = Omit<ServerOptions, 'config' | 'test' | 'onReady' | 'onNotice'>;

/** A key, what its value must be, and the option that it sets. */
export type ConfigKey<Option extends string> =
  /** Seconds, also with a fraction. `never`: that word means Infinity. */
  | { readonly kind: 'seconds'; readonly option: Option & keyof typeof serverRanges; readonly never?: true }
  | { readonly kind: 'count'; readonly option: Option & keyof typeof serverRanges }
  | { readonly kind: 'text'; readonly option: Option }
  /** A name or a number. */
  | { readonly kind: 'account'; readonly option: Option }
  | { readonly kind: 'choice'; readonly option: Option; readonly choices: readonly string[] };

/** Keys at the top, beside `version`, `daemon` and `workers`. */
export const serverKeys: ReadonlyMap<string, ConfigKey<keyof ServerFileOptions>> = new Map<string, ConfigKey<keyof ServerFileOptions>>([
  ['name', { kind: 'text', option: 'name' }],
  ['threads', { kind: 'count', option: 'threads' }],
  ['pid_file', { kind: 'text', option: 'pidFile' }],
  ['user', { kind: 'account', option: 'user' }],
  ['group', { kind: 'account', option: 'group' }],
  ['working_directory', { kind: 'text', option: 'workingDirectory' }],
  ['grace_period_seconds', { kind: 'seconds', option: 'graceMs' }],
  ['pre_stop_delay_seconds', { kind: 'seconds', option: 'preStopDelayMs' }],
  ['upgrade_grace_seconds', { kind: 'seconds', option: 'upgradeGraceMs' }],
  ['upgrade_overlap_seconds', { kind: 'seconds', option: 'upgradeOverlapMs' }],
  ['ready_timeout_seconds', { kind: 'seconds', option: 'readyTimeoutMs' }],
  ['admin', { kind: 'text', option: 'admin' }],
]);

/** Keys of `workers`. */
export const workerKeys: ReadonlyMap<string, ConfigKey<keyof WorkerOptions>> = new Map<string, ConfigKey<keyof WorkerOptions>>([
  ['max_old_generation_mb', { kind: 'count', option: 'maxOldGenerationMb' }],
  ['max_young_generation_mb', { kind: 'count', option: 'maxYoungGenerationMb' }],
  ['blocked_warning_seconds', { kind: 'seconds', option: 'blockedWarningMs' }],
  ['blocked_limit_seconds', { kind: 'seconds', option: 'blockedLimitMs', never: true }],
  ['restart_delay_seconds', { kind: 'seconds', option: 'restartDelayMs' }],
  ['max_restart_delay_seconds', { kind: 'seconds', option: 'maxRestartDelayMs' }],
  ['uncaught', { kind: 'choice', option: 'uncaught', choices: ['replace', 'report'] }],
]);

const inherited = 'is not needed: a new process inherits the sockets, and nothing is handed over by a socket of its own';
const noDaemon =
  'has no meaning: the server does not put itself into the background; under systemd, Type=notify waits until it is ready (see docs/operations.md)';
const upstream = 'belongs to connections to origins, which are the proxy’s: give it where the program makes its upstreams';
const threadPool = 'has no meaning: Node’s own thread pool is set by the environment variable UV_THREADPOOL_SIZE when the process starts';

/** Keys that Pingora has and this server has not. The sentence goes on after the key. */
export const foreignKeys: ReadonlyMap<string, string> = new Map([
  [
    'error_log',
    'has no meaning: notices go to standard error; let systemd (StandardError=append:FILE), the container or a shell write them to a file',
  ],
  ['upgrade_sock', inherited],
  ['upgrade_sock_connect_accept_max_retries', inherited],
  ['listener_tasks_per_fd', 'has no meaning: every worker thread accepts from every socket; threads says how many there are'],
  ['work_stealing', 'has no meaning: each worker thread has an event loop of its own, and all accept from one queue'],
  ['s2n_config_cache_size', 'has no meaning: TLS is OpenSSL’s, as Node brings it; s2n is not used'],
  ['graceful_shutdown_timeout_seconds', 'has no meaning: what is left after grace_period_seconds is cut at once; add it to that'],
  ['max_blocking_threads', threadPool],
  ['blocking_threads_ttl_seconds', threadPool],
  ['daemon_wait_for_ready', noDaemon],
  ['daemon_ready_timeout_seconds', `${noDaemon}; ready_timeout_seconds bounds how long a start may take`],
  ['daemon_notify_timeout_seconds', noDaemon],
  ['ca_file', upstream],
  ['client_bind_to_ipv4', upstream],
  ['client_bind_to_ipv6', upstream],
  ['upstream_keepalive_pool_size', upstream],
  ['upstream_connect_offload_threadpools', upstream],
  ['upstream_connect_offload_thread_per_pool', upstream],
  ['upstream_debug_ssl_keylog', upstream],
  ['max_retries', upstream],
  ['tcp_fastopen', 'has no meaning: Node cannot set it'],
  ['test', 'is for the command line: --test looks at everything and serves nothing'],
]);

/** Why the server does not put itself into the background. */
export const DAEMON_REFUSED =
  'the server does not put itself into the background, as a process of threads cannot be forked: run it under systemd or in a container; see docs/operations.md';
