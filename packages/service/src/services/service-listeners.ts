/**
 * The listeners of one service in one thread: opened together, counted together, closed together.
 *
 * Rules:
 * - A descriptor that the thread was given is its own: closing the listener closes it, and no other thread notices.
 * - All or nothing: if one socket cannot be listened on, those opened before it are closed.
 * - Stopping closes the listening sockets at once; connections that were accepted and have not come through the filter, the PROXY header or the handshake go on,
 *   and are still handed over.
 */
import type { WireError } from '@ferrata/error';
import { type CertificateReload, type Listener, type ListenOptions, listen, type TlsServerOptions } from '@ferrata/net';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import type { ListenAddress, ServiceContext, ServiceSocket } from '../service.ts';
import { FailureNotices } from './failure-notices.ts';
import { givenOptions } from './service-definition.ts';
import { threadCap } from './thread-cap.ts';

/** Options of `listen` that say where: these are the server's business. */
const placeOptions = ['kind', 'address', 'host', 'port', 'path', 'fd', 'backlog', 'reusePort', 'ipv6Only', 'mode'] as const;

/** What becomes of connections before they reach the service: TLS, filter, PROXY header, caps; as for `listen` of `@ferrata/net`. */
export type AcceptSettings = Omit<ListenOptions, (typeof placeOptions)[number]>;

/**
 * Says how connections of one listener are accepted. Called once for each listener in each thread, at the start; what it gives holds until the listener closes,
 * over reloads too: settings that follow the configuration read `context.snapshot` when they are used (`TlsServerOptions.certificateFor`, a filter).
 *
 * What becomes of certificates is told as a notice, by each thread, unless `tls` is a `TlsServer`, or has an `onReload` of its own.
 */
export type AcceptFor<C> = (listen: ListenAddress, context: ServiceContext<C>) => AcceptSettings;

/** Several listeners as one. */
export class ServiceListeners {
  readonly #listeners: readonly Listener[];

  private constructor(listeners: readonly Listener[]) {
    this.#listeners = listeners;
  }

  /**
   * Listens on every socket of a context.
   *
   * @throws {WireError} as `listen`, or of the certificates @throws {TypeError} @throws {RangeError} for options that make no sense
   */
  static async open<C>(
    context: ServiceContext<C>,
    accept: AcceptFor<C> | undefined,
    onStream: (stream: L4Stream) => void,
  ): Promise<ServiceListeners> {
    const failures = new FailureNotices(context, 'a listener failed');
    const opened: Listener[] = [];
    try {
      for (const socket of context.sockets) {
        const settings = accept === undefined ? {} : accept(socket.listen, context);
        opened.push(await listen(optionsFor(socket, settings, context, failures), onStream));
      }
    } catch (error) {
      await Promise.all(opened.map((listener) => listener.close()));
      throw error;
    }
    return new ServiceListeners(opened);
  }

  /** Where it listens, in the order of the sockets. */
  get addresses(): readonly StreamAddress[] {
    return this.#listeners.map((listener) => listener.address);
  }

  /** Open connections that have a place under the caps, pending ones among them. */
  get connectionCount(): number {
    return sum(this.#listeners, (listener) => listener.connectionCount);
  }

  /** Connections handed over since the start. */
  get acceptedCount(): number {
    return sum(this.#listeners, (listener) => listener.acceptedCount);
  }

  get shedCount(): number {
    return sum(this.#listeners, (listener) => listener.shedCount);
  }

  /** Open connections that have been handed over. */
  get servedCount(): number {
    return sum(this.#listeners, (listener) => listener.connectionCount - listener.pendingCount);
  }

  /** Connections on their way between the accept and the service. */
  get pendingCount(): number {
    return sum(this.#listeners, (listener) => listener.pendingCount + listener.waitingCount);
  }

  /** Closes the sockets. Done within the call, but for files of Unix sockets. Never rejects. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#listeners.map((listener) => listener.close()));
  }
}

function optionsFor(
  { listen: place, fd }: ServiceSocket,
  settings: AcceptSettings,
  context: ServiceContext<unknown>,
  failures: FailureNotices,
): ListenOptions {
  givenOptions(`accept of ${context.name}`, settings);
  for (const name of placeOptions) {
    if (Object.hasOwn(settings, name)) throw new TypeError(`${context.name}: accept cannot say ${name}: that is said by listen`);
  }
  const { environment } = context;
  const { tls } = settings;
  return {
    clock: environment.clock,
    onError: (error: WireError) => failures.add(error),
    ...settings,
    // What is no object is refused by `listen`; a server has its own settings, and may be of another copy of the package.
    ...(typeof tls !== 'object' || tls === null || 'accept' in tls ? {} : { tls: withNotices(tls, context, failures) }),
    // Its own count, or that of the thread: never both, or a service with a higher limit could not have it.
    ...(settings.connectionCap === undefined ? { connectionCap: threadCap(context) } : {}),
    ...(place.backlog === undefined ? {} : { backlog: place.backlog }),
    ...(fd === null ? whereToListen(place) : { fd }),
  };
}

/** A certificate that has run out is served all the same: somebody must hear of it. */
function withNotices(tls: TlsServerOptions, context: ServiceContext<unknown>, failures: FailureNotices): TlsServerOptions {
  const tell = ({ label, error, concern, isReplaced }: CertificateReload): void => {
    const trouble = error ?? concern;
    if (trouble !== null) context.notify({ severity: 'warning', text: trouble.message });
    else if (isReplaced) context.notify({ severity: 'info', text: `${label}: new connections get the new certificate` });
  };
  const { clock = context.environment.clock, onError = (error: WireError) => failures.add(error), onReload = tell } = tls;
  // Before the rest, which is not copied: it may be that of a class.
  return Object.create(tls, Object.getOwnPropertyDescriptors({ clock, onError, onReload })) as TlsServerOptions;
}

function whereToListen({ address, ipv6Only, mode }: ListenAddress): ListenOptions {
  return { address, ...(ipv6Only === undefined ? {} : { ipv6Only }), ...(mode === undefined ? {} : { mode }) };
}

function sum(listeners: readonly Listener[], count: (listener: Listener) => number): number {
  let total = 0;
  for (const listener of listeners) total += count(listener);
  return total;
}
