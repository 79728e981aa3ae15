/**
 * What a server runs: services, each started in every thread that it belongs to.
 *
 * A program builds its services from the top of its module, in every thread and process in which the module runs; they begin to work only when `start` is called.
 */
import type { HttpEnvironment } from '@ferrata/http';
import type { AddressLike } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import type { Snapshot } from './snapshot.ts';

/** Where a service listens: plain data, the same from the same configuration in every thread. */
export interface ListenAddress {
  /** `127.0.0.1:8080`, `[::]:443`, `unix:/run/app.sock`; for UDP `127.0.0.1:53` with `transport: 'udp'`. */
  readonly address: AddressLike;
  /** Default `tcp` (or Unix, by the address). */
  readonly transport?: 'udp';
  /** Connections that the kernel keeps until they are accepted. Default 4 096. */
  readonly backlog?: number;
  /** On an IPv6 address, does not take IPv4 too. Default false. */
  readonly ipv6Only?: boolean;
  /** Permissions of a Unix socket's file, as for `chmod`. Default: what the umask leaves. */
  readonly mode?: number;
  /** Whatever the service itself wants to know of this listener (`tls`, say). Plain data; no part of where to listen. */
  readonly label?: string;
}

/** A socket that listens already and is to be accepted on. */
export interface ServiceSocket {
  readonly listen: ListenAddress;
  /** This thread's own descriptor of it; null where descriptors cannot be shared (Windows): then the thread listens at the address itself. */
  readonly fd: number | null;
  /** The address that it really has: for port 0, with the port that the kernel chose. */
  readonly address: StreamAddress;
}

/** Where a service runs. `oneWorker`: in one of the workers, in another one when that dies. */
export type Placement = 'workers' | 'oneWorker' | 'main';

/** Numbers of one running service in one thread. */
export interface ServiceCounts {
  /** Open connections (UDP: flows). */
  readonly connections: number;
  /** Connections accepted since the start (UDP: datagrams received). */
  readonly accepted: number;
  /** Connections closed at once because of a cap. */
  readonly shed: number;
}

/** Something worth telling the operator. */
export interface Notice {
  readonly severity: 'info' | 'warning' | 'error';
  /** A sentence without a full stop at the end. */
  readonly text: string;
  /** The service that it is about, if it is about one. */
  readonly service?: string;
  /** The worker that it comes from, 1 and up; 0 or absent: the main thread. */
  readonly worker?: number;
}

/** What a service gets to work with, in one thread. */
export interface ServiceContext<C> {
  /** The name of the service. */
  readonly name: string;
  /** The worker, 1 and up; 0 for the main thread. */
  readonly worker: number;
  /** How many workers there are. */
  readonly threads: number;
  /** The configuration in force. A request that wants to keep one reads it once, when it begins. */
  readonly snapshot: Snapshot<C>;
  /**
   * The sockets to accept on, in the order in which `listeners` named them. Empty for services that do not listen. Their descriptors belong to the service from `start`
   * on: one that fails to start closes them, or the kernel would go on taking connections for it.
   */
  readonly sockets: readonly ServiceSocket[];
  /**
   * Aborted when the server begins to stop: nothing new should be begun. For services without sockets, when those with sockets have drained. It lives as long as the
   * thread does, and so do its listeners: take away those of anything that ends earlier.
   */
  readonly stopping: AbortSignal;
  /** Timers and clock that all services of this thread share. */
  readonly environment: HttpEnvironment;
  /** Tells the operator. */
  notify(notice: Notice): void;
}

/** How near a thread is to the end of its memory, in order of how bad. `last`: told again four times a second while it lasts. */
export type MemoryPressure = 'none' | 'tight' | 'critical' | 'last';

/** A configuration that every thread has looked at, and that is put in force or given up. */
export interface PreparedUpdate {
  /** From now on new requests see the new configuration. Must not throw. */
  commit(): void;
  /** The reload was given up: let go of what was prepared. Must not throw. */
  discard(): void;
}

/** A service that has been started, in one thread. */
export interface RunningService<C> {
  /** Looks at a new configuration, makes whatever it needs, and changes nothing yet. @throws whatever says why it cannot be: the whole reload is refused */
  prepare?(next: Snapshot<C>): PreparedUpdate | Promise<PreparedUpdate>;
  readonly counts: ServiceCounts;
  /** The thread's memory is running out, or no longer is: hold less, drop what can be dropped. Must not throw. */
  onMemoryPressure?(pressure: MemoryPressure): void;
  /**
   * Stops accepting at once, lets what runs end, cuts what is left after `graceMs`. May be called again with a shorter time.
   *
   * @returns how many connections had to be cut
   */
  drain(graceMs: number): Promise<number>;
  /** Cuts everything at once. */
  close(): Promise<void> | void;
}

/** A service: what is served, and where. */
export interface Service<C> {
  /** Unique in a server: letters, digits, `-`, `_`, `.`. */
  readonly name: string;
  readonly placement: Placement;
  /** Where to listen with this configuration. Called in every thread; must say the same for the same configuration. */
  listeners(config: C): readonly ListenAddress[];
  /** Looks at a configuration before anything is done with it: at the start, at each reload, and with `--test`. @throws what is wrong with it */
  check?(config: C): void | Promise<void>;
  /** Starts in one thread. What it gives says that the service is ready there. */
  start(context: ServiceContext<C>): RunningService<C> | Promise<RunningService<C>>;
  /** Called in each thread before `start`, with the milliseconds that the service has waited for its dependencies (0 without any). May wait. */
  onStartupDelay?(waitedMs: number): void | Promise<void>;
}
