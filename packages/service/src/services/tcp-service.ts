/**
 * Any protocol on threads: a handler for each connection, of TCP, TLS or a Unix socket.
 *
 * - The handler gets the stream unread and attached to nobody. One that returns a promise is done when that settles: a stream that is still open then is closed in
 *   order, or, if it rejected, aborted. One that returns nothing (a sink was attached) leaves the stream to its sink.
 * - Draining: no new connection, `connection.stopping` is aborted, streams have the time that is left, and are cut then. It is over as soon as the last stream is;
 *   what has not come through its PROXY header or handshake within 3 s of it is waited for no longer, and not counted as cut.
 * - Nothing is wrapped around a stream: the way of its bytes is that of `@ferrata/net`. So a handler that puts TLS on its stream, which takes the socket over, has to
 *   end that by itself when `stopping` says so: at the deadline it is counted, but ends only with the thread.
 */
import { internalError, textOf } from '@ferrata/error';
import { isThenable, type L4Stream, type StreamAddress } from '@ferrata/stream';
import type { ListenAddress, Placement, RunningService, Service, ServiceContext, ServiceCounts } from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { closeInOrder } from './close-in-order.ts';
import { DrainDeadline } from './drain-deadline.ts';
import { FailureNotices } from './failure-notices.ts';
import { onOwnDescriptors } from './own-descriptors.ts';
import { checkCallback, checkDefinition, checkFunction, checkListening, type ListeningDefinition, placesOf } from './service-definition.ts';
import { type AcceptFor, ServiceListeners } from './service-listeners.ts';

/** What a handler knows beside the stream. */
export interface TcpConnection<C> {
  /** The configuration in force when the connection came; it keeps it. */
  readonly snapshot: Snapshot<C>;
  readonly context: ServiceContext<C>;
  /** Aborted when the server begins to stop: say goodbye, as the protocol does. It is this connection's own, and forgotten with it. Listeners of it must not throw. */
  readonly stopping: AbortSignal;
}

/** Serves one connection. */
export type TcpHandler<C> = (stream: L4Stream, connection: TcpConnection<C>) => void | Promise<void>;

/** Options of a `TcpService`. */
export interface TcpServiceOptions<C> extends ListeningDefinition<C> {
  readonly handle: TcpHandler<C>;
  /** TLS, filter, PROXY header, caps. Default: none of these, and the thread's share of the descriptors as cap. */
  readonly accept?: AcceptFor<C>;
}

/** A TCP service that runs in a thread. */
export interface RunningTcpService<C> extends RunningService<C> {
  /** Where it listens, in the order of the sockets. */
  readonly addresses: readonly StreamAddress[];
}

/** Serves connections in every worker. */
export class TcpService<C = undefined> implements Service<C> {
  readonly name: string;
  readonly placement: Placement;
  readonly #options: TcpServiceOptions<C>;

  /** @throws {TypeError} @throws {RangeError} for options that make no sense */
  constructor(options: TcpServiceOptions<C>) {
    checkDefinition('TcpService', options, ['listen', 'placement', 'handle', 'accept']);
    const { name, handle, accept } = options;
    checkFunction(`handle of ${name}`, handle);
    checkCallback(`accept of ${name}`, accept);
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

  async start(context: ServiceContext<C>): Promise<RunningTcpService<C>> {
    return serveStreams(this.#options, context);
  }
}

/** How connections are served, in one thread. */
export interface StreamServing<C> extends Pick<TcpServiceOptions<C>, 'handle' | 'accept'> {
  /** How many of those that the handler has are not served yet: a drain waits for them no longer than for those in their handshake, and does not count them as cut. */
  readonly undecidedCount?: () => number;
}

/** Serves what comes to the sockets of a context. @throws whatever there is against listening; then nothing is left of it */
export async function serveStreams<C>(serving: StreamServing<C>, context: ServiceContext<C>): Promise<RunningTcpService<C>> {
  return onOwnDescriptors(context.sockets, () => Running.open(serving, context));
}

/** One connection, as its handler sees it. */
class Connection<C> implements TcpConnection<C> {
  readonly snapshot: Snapshot<C>;
  readonly context: ServiceContext<C>;
  /** Made when it is asked for. Not the thread's own signal: that would keep the listeners of every connection there ever was. */
  #stopping: AbortController | null = null;

  constructor(context: ServiceContext<C>) {
    this.snapshot = context.snapshot;
    this.context = context;
  }

  get stopping(): AbortSignal {
    if (this.#stopping === null) {
      this.#stopping = new AbortController();
      if (this.context.stopping.aborted) this.#stopping.abort();
    }
    return this.#stopping.signal;
  }

  stop(): void {
    this.#stopping?.abort();
  }
}

class Running<C> implements RunningTcpService<C> {
  readonly #handle: TcpHandler<C>;
  readonly #undecidedCount: () => number;
  readonly #context: ServiceContext<C>;
  readonly #failures: FailureNotices;
  readonly #deadline: DrainDeadline;
  /** Those handed over; closed ones stay until the next sweep. */
  readonly #streams = new Map<L4Stream, Connection<C>>();
  /** Connections that came since the last sweep. */
  #unsweptCount = 0;
  #listeners: ServiceListeners | null = null;
  #draining: Promise<number> | null = null;
  #isCut = false;

  private constructor({ handle, undecidedCount = () => 0 }: StreamServing<C>, context: ServiceContext<C>) {
    this.#handle = handle;
    this.#undecidedCount = undecidedCount;
    this.#context = context;
    this.#failures = new FailureNotices(context, 'the handler of a connection failed');
    this.#deadline = new DrainDeadline(context.environment);
  }

  static async open<C>(serving: StreamServing<C>, context: ServiceContext<C>): Promise<Running<C>> {
    const running = new Running(serving, context);
    try {
      running.#listeners = await ServiceListeners.open(context, serving.accept, (stream) => running.#serve(stream));
    } catch (error) {
      // The first sockets may have brought connections before the next one failed.
      running.#cut();
      throw error;
    }
    return running;
  }

  get addresses(): readonly StreamAddress[] {
    return this.#listeners?.addresses ?? [];
  }

  get counts(): ServiceCounts {
    const listeners = this.#listeners;
    return {
      connections: listeners?.connectionCount ?? 0,
      accepted: listeners?.acceptedCount ?? 0,
      shed: listeners?.shedCount ?? 0,
    };
  }

  async drain(graceMs: number): Promise<number> {
    this.#deadline.hasten(graceMs);
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async close(): Promise<void> {
    await this.drain(0);
  }

  async #drain(): Promise<number> {
    const closing = this.#listeners?.stop();
    for (const connection of this.#streams.values()) connection.stop();
    const listeners = this.#listeners;
    const cut = await this.#deadline.untilServed(
      // One that has closed may still be taken for undecided, for a moment.
      () => Math.max(0, (listeners?.servedCount ?? 0) - this.#undecidedCount()),
      () => (listeners?.pendingCount ?? 0) + this.#undecidedCount(),
    );
    this.#cut();
    await closing;
    return cut;
  }

  #cut(): void {
    this.#isCut = true;
    for (const stream of this.#streams.keys()) stream.abort(stopped());
    this.#streams.clear();
  }

  #serve(stream: L4Stream): void {
    if (this.#isCut) {
      stream.abort(stopped());
      return;
    }
    this.#sweep();
    const context = this.#context;
    const connection = new Connection(context);
    this.#streams.set(stream, connection);
    let answer: unknown;
    try {
      answer = this.#handle(stream, connection);
    } catch (thrown) {
      this.#fail(stream, thrown);
      return;
    }
    if (!isThenable(answer)) return;
    Promise.resolve(answer).then(
      () => closeInOrder(stream, context.environment),
      (thrown: unknown) => this.#fail(stream, thrown),
    );
  }

  #fail(stream: L4Stream, thrown: unknown): void {
    stream.abort(internalError('HANDLER_THREW', textOf(thrown), { cause: thrown }));
    this.#failures.add(thrown);
  }

  /** Forgets closed streams, each time that as many have come as are open: for each connection, a small constant amount of work. */
  #sweep(): void {
    if (++this.#unsweptCount < Math.max(64, this.#listeners?.connectionCount ?? 0)) return;
    this.#unsweptCount = 0;
    for (const stream of this.#streams.keys()) if (stream.state === 'closed' && stream.bufferedBytes === 0) this.#streams.delete(stream);
  }
}

function stopped(): ReturnType<typeof internalError> {
  return internalError('SERVER_CLOSED', 'the server is closing');
}
