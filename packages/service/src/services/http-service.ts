/**
 * HTTP/1 and HTTP/2 on threads: an application for each snapshot of the configuration, connections that outlive reloads, and an orderly end.
 *
 * - `prepare` makes the application of the next snapshot; `commit` swaps it in. Exchanges that have begun keep theirs, on connections that stay open.
 * - Draining: no new connection; running exchanges end, answers say `Connection: close` (HTTP/2: GOAWAY); WebSockets and tunnels have the whole time. It is over as
 *   soon as the last connection is; what has not come through its PROXY header or handshake within 3 s of it is waited for no longer, and not counted as cut.
 * - A throw or a rejection of the application ends its own exchange.
 */
import { internalError } from '@ferrata/error';
import { type HttpApplication, HttpServer, type HttpServerOptions } from '@ferrata/http';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import type {
  ListenAddress,
  MemoryPressure,
  Placement,
  PreparedUpdate,
  RunningService,
  Service,
  ServiceContext,
  ServiceCounts,
} from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { ApplicationSlot, CurrentApplication, type Retire } from './application-slot.ts';
import { DrainDeadline } from './drain-deadline.ts';
import { FailureNotices } from './failure-notices.ts';
import { onOwnDescriptors } from './own-descriptors.ts';
import {
  checkCallback,
  checkDefinition,
  checkFunction,
  checkListening,
  givenOptions,
  type ListeningDefinition,
  placesOf,
} from './service-definition.ts';
import { type AcceptFor, ServiceListeners } from './service-listeners.ts';
import { threadCap } from './thread-cap.ts';

/** Options of an `HttpService`. */
export interface HttpServiceOptions<C> extends ListeningDefinition<C> {
  /**
   * Makes what answers requests, for one snapshot: at the start, and at each reload before it is put in force. What it has made before will do, too, unless it was
   * retired. A throw or rejection refuses the reload, with its text.
   */
  readonly application: (context: ServiceContext<C>, snapshot: Snapshot<C>) => HttpApplication | Promise<HttpApplication>;
  /**
   * Options of the connections. Read once, at the start. Default: those of `HttpServer`, with `maxConnections` just below the thread's share of the descriptors, so that
   * idle connections are closed for new ones before new ones are refused.
   */
  readonly http?: HttpServerOptions | ((context: ServiceContext<C>) => HttpServerOptions);
  /** TLS (with `alpn: ['h2', 'http/1.1']` for HTTP/2), filter, PROXY header, caps. Default: none of these. */
  readonly accept?: AcceptFor<C>;
  /**
   * Called once with each application that nothing uses any more: it was replaced and its last exchange has ended, it was prepared for a reload that was given up, or
   * the service is at its end. For giving back what it holds. Default: nothing, and exchanges are not counted.
   */
  readonly retire?: (application: HttpApplication) => void | Promise<void>;
}

/** An HTTP service that runs in a thread. */
export interface RunningHttpService<C> extends RunningService<C> {
  /** Where it listens, in the order of the sockets. */
  readonly addresses: readonly StreamAddress[];
}

/** Serves HTTP in every worker. */
export class HttpService<C = undefined> implements Service<C> {
  readonly name: string;
  readonly placement: Placement;
  readonly #options: HttpServiceOptions<C>;

  /** @throws {TypeError} @throws {RangeError} for options that make no sense */
  constructor(options: HttpServiceOptions<C>) {
    checkDefinition('HttpService', options, ['listen', 'placement', 'application', 'http', 'accept', 'retire']);
    const { name, application, accept, retire, http } = options;
    checkFunction(`application of ${name}`, application);
    checkCallback(`accept of ${name}`, accept);
    checkCallback(`retire of ${name}`, retire);
    if (http !== undefined && typeof http !== 'function' && (typeof http !== 'object' || http === null)) {
      throw new TypeError(`http of ${name} must be options, or a function that gives them`);
    }
    this.name = name;
    this.placement = checkListening(options, 'stream');
    this.#options = options;
  }

  listeners(config: C): readonly ListenAddress[] {
    return placesOf(this.name, this.#options.listen, config, 'stream');
  }

  async check(config: C): Promise<void> {
    await this.#options.check?.(config);
  }

  async onStartupDelay(waitedMs: number): Promise<void> {
    await this.#options.onStartupDelay?.(waitedMs);
  }

  async start(context: ServiceContext<C>): Promise<RunningHttpService<C>> {
    return onOwnDescriptors(context.sockets, async () => {
      const running = new Running(this.#options, context, await makeApplication(this.#options, context, context.snapshot));
      await running.open();
      return running;
    });
  }
}

class Running<C> implements RunningHttpService<C> {
  readonly #options: HttpServiceOptions<C>;
  readonly #context: ServiceContext<C>;
  readonly #slots = new WeakMap<HttpApplication, ApplicationSlot>();
  readonly #application: CurrentApplication;
  readonly #httpOptions: HttpServerOptions;
  readonly #server: HttpServer;
  /** Connections that came through their handshake when the server had already been drained: one each. */
  readonly #late = new Set<HttpServer>();
  readonly #retireFailures: FailureNotices;
  readonly #deadline: DrainDeadline;
  #listeners: ServiceListeners | null = null;
  #pressure: HttpServer['pressure'] = 'none';
  #draining: Promise<number> | null = null;
  #isOver = false;

  constructor(options: HttpServiceOptions<C>, context: ServiceContext<C>, application: HttpApplication) {
    this.#options = options;
    this.#context = context;
    this.#retireFailures = new FailureNotices(context, 'retire failed');
    this.#deadline = new DrainDeadline(context.environment);
    this.#application = new CurrentApplication(this.#slotFor(application));
    try {
      this.#httpOptions = httpOptions(options, context);
      this.#server = new HttpServer(this.#application, this.#httpOptions);
    } catch (error) {
      this.#application.slot.release();
      throw error;
    }
  }

  async open(): Promise<void> {
    try {
      this.#listeners = await ServiceListeners.open(this.#context, this.#options.accept, (stream) => this.#accept(stream));
    } catch (error) {
      this.#server.close();
      this.#application.slot.release();
      throw error;
    }
  }

  get addresses(): readonly StreamAddress[] {
    return this.#listeners?.addresses ?? [];
  }

  get counts(): ServiceCounts {
    const listeners = this.#listeners;
    return {
      connections: listeners?.connectionCount ?? 0,
      accepted: listeners?.acceptedCount ?? 0,
      shed: (listeners?.shedCount ?? 0) + this.#server.shedCount,
    };
  }

  async prepare(next: Snapshot<C>): Promise<PreparedUpdate> {
    const slot = this.#slotFor(await makeApplication(this.#options, this.#context, next));
    return {
      commit: () => {
        const replaced = this.#application.slot;
        this.#application.slot = slot;
        replaced.release();
      },
      discard: () => slot.release(),
    };
  }

  onMemoryPressure(pressure: MemoryPressure): void {
    this.#pressure = pressure === 'last' ? 'critical' : pressure;
    this.#server.pressure = this.#pressure;
    for (const server of this.#late) server.pressure = this.#pressure;
    if (pressure === 'last') this.#server.abortHeaviest();
  }

  async drain(graceMs: number): Promise<number> {
    this.#deadline.hasten(graceMs);
    this.#draining ??= this.#drain();
    for (const server of [this.#server, ...this.#late]) void this.#drainServer(server);
    return this.#draining;
  }

  async close(): Promise<void> {
    await this.drain(0);
  }

  async #drain(): Promise<number> {
    const closing = this.#listeners?.stop();
    await this.#deadline.untilServed(
      () => this.#servedCount(),
      () => this.#listeners?.pendingCount ?? 0,
    );
    this.#isOver = true;
    let cut = this.#server.busyCount;
    for (const server of this.#late) cut += server.busyCount;
    this.#server.close();
    for (const server of this.#late) server.close();
    await closing;
    await this.#untilTold();
    this.#application.slot.release();
    return cut;
  }

  /** What was cut is told a moment later; whoever retires an application wants to have heard of all its exchanges. */
  async #untilTold(): Promise<void> {
    const soon = new DrainDeadline(this.#context.environment);
    soon.hasten(200);
    await soon.until(() => this.#servedCount() === 0);
  }

  #servedCount(): number {
    let count = this.#server.connectionCount;
    for (const server of this.#late) count += server.connectionCount;
    return count;
  }

  #accept(stream: L4Stream): void {
    if (this.#isOver) {
      stream.abort(internalError('SERVER_CLOSED', 'the server is closing'));
      return;
    }
    // A server that drains is done with its last connection, and takes no other from then on.
    const isServerDone = this.#draining !== null && this.#server.connectionCount === 0;
    if (isServerDone) this.#acceptLate(stream);
    else this.#server.accept(stream);
  }

  /** It was accepted before the end began, so its request is answered as those of the others are. */
  #acceptLate(stream: L4Stream): void {
    const server = new HttpServer(this.#application, this.#httpOptions);
    server.pressure = this.#pressure;
    this.#late.add(server);
    server.accept(stream);
    void this.#drainServer(server).then(() => this.#late.delete(server));
  }

  /** Its own deadline is not used: ours may be brought forward, covers what is still in its handshake, and counts what it cuts. */
  async #drainServer(server: HttpServer): Promise<void> {
    await server.drain(this.#context.environment.deadlines.maxDelayMs, this.#deadline.leftMs / 2);
  }

  /** For one more snapshot, which releases it. */
  #slotFor(application: HttpApplication): ApplicationSlot {
    // The user's own type of application is what the user's own factory made.
    const retire = this.#options.retire as Retire | undefined;
    const slot =
      this.#slots.get(application) ?? new ApplicationSlot(application, retire ?? null, (thrown) => this.#retireFailures.add(thrown));
    this.#slots.set(application, slot);
    slot.use();
    return slot;
  }
}

async function makeApplication<C>(
  { name, application }: HttpServiceOptions<C>,
  context: ServiceContext<C>,
  snapshot: Snapshot<C>,
): Promise<HttpApplication> {
  const made: unknown = await application(context, snapshot);
  if (!isApplication(made)) throw new TypeError(`application of ${name} must give an object with a method onRequest`);
  return made;
}

function isApplication(made: unknown): made is HttpApplication {
  return typeof made === 'object' && made !== null && 'onRequest' in made && typeof made.onRequest === 'function';
}

function httpOptions<C>({ name, http }: HttpServiceOptions<C>, context: ServiceContext<C>): HttpServerOptions {
  const given = typeof http === 'function' ? givenOptions(`http of ${name}`, http(context)) : (http ?? {});
  const { max } = threadCap(context);
  // A little below the cap: the connection for which an idle one is closed must have come through it.
  const maxConnections = max === Infinity ? Infinity : Math.max(1, max - Math.ceil(Math.min(64, max / 8)));
  return { environment: context.environment, maxConnections, ...given };
}
