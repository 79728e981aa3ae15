/**
 * Datagrams on threads: either all of them to one sink, or each peer as a flow.
 *
 * - Each socket is read by one thread; the kernel spreads peers over the sockets of a port, and a peer stays with its thread.
 * - A throw or a rejection of a sink is told, and costs that datagram; one of a flow ends that flow (`@ferrata/net`).
 * - Draining stops reading at once, since what this thread read would be lost to a successor that reads the same socket; flows hear that they are closed. UDP has no
 *   end that could be waited for, so none of them counts as cut.
 */
import type { WireError } from '@ferrata/error';
import {
  bindUdp,
  listenUdp,
  type UdpAddress,
  type UdpBindOptions,
  type UdpEndpoint,
  type UdpFlow,
  type UdpFlows,
  type UdpFlowsOptions,
  type UdpSink,
} from '@ferrata/net';
import { callUser, type StreamAddress, watchAnswer } from '@ferrata/stream';
import type {
  ListenAddress,
  Placement,
  PreparedUpdate,
  RunningService,
  Service,
  ServiceContext,
  ServiceCounts,
  ServiceSocket,
} from '../service.ts';
import type { Snapshot } from '../snapshot.ts';
import { FailureNotices } from './failure-notices.ts';
import { onOwnDescriptors } from './own-descriptors.ts';
import { checkCallback, checkDefinition, checkListening, givenOptions, type ListeningDefinition, placesOf } from './service-definition.ts';

/** Options of `listenUdp` and `bindUdp` that say where. */
const placeOptions = ['address', 'host', 'port', 'fd', 'reusePort', 'reuseAddr', 'ipv6Only'] as const;
type PlaceOption = Exclude<(typeof placeOptions)[number], 'fd'>;

/** How a socket is used, and how flows live; as for `listenUdp` of `@ferrata/net`. Without `flows` only what `bindUdp` knows. */
export type UdpSettings = Omit<UdpFlowsOptions, PlaceOption | 'fd'>;

/** What the receiver of a flow knows beside it. */
export interface UdpFlowContext<C> {
  /** The configuration in force when the flow began; it keeps it. */
  readonly snapshot: Snapshot<C>;
  readonly context: ServiceContext<C>;
}

/** Options of a `UdpService`: exactly one of `sink` and `flows`. */
export interface UdpServiceOptions<C> extends ListeningDefinition<C> {
  /**
   * Makes the receiver of one socket: at the start, and anew for each snapshot, in `prepare` (a throw refuses the reload; the sink must begin nothing before its
   * first datagram, as it may be given up without a word). A replaced one hears `onClose(null)`.
   */
  readonly sink?: (context: ServiceContext<C>, snapshot: Snapshot<C>, endpoint: UdpEndpoint) => UdpSink;
  /** Takes each new peer, and should attach a sink to it at once. */
  readonly flows?: (flow: UdpFlow, connection: UdpFlowContext<C>) => void;
  /** Limits, filter, buffers. Called once for each socket, at the start. Default: all defaults. */
  readonly udp?: (listen: ListenAddress, context: ServiceContext<C>) => UdpSettings;
}

/** A UDP service that runs in a thread. */
export interface RunningUdpService<C> extends RunningService<C> {
  /** Where it receives, in the order of the sockets. */
  readonly addresses: readonly StreamAddress[];
}

/** Receives datagrams in every worker. */
export class UdpService<C = undefined> implements Service<C> {
  readonly name: string;
  readonly placement: Placement;
  readonly #options: UdpServiceOptions<C>;

  /** @throws {TypeError} @throws {RangeError} for options that make no sense */
  constructor(options: UdpServiceOptions<C>) {
    checkDefinition('UdpService', options, ['listen', 'placement', 'sink', 'flows', 'udp']);
    const { name, sink, flows, udp } = options;
    checkCallback(`sink of ${name}`, sink);
    checkCallback(`flows of ${name}`, flows);
    checkCallback(`udp of ${name}`, udp);
    if ((sink === undefined) === (flows === undefined)) throw new TypeError(`UdpService ${name} needs exactly one of sink and flows`);
    this.name = name;
    this.placement = checkListening(options, 'udp');
    this.#options = options;
  }

  listeners(config: C): readonly ListenAddress[] {
    return placesOf(this.name, this.#options.listen, config, 'udp');
  }

  async check(config: C): Promise<void> {
    await this.#options.check?.(config);
  }

  async onStartupDelay(waitedMs: number): Promise<void> {
    await this.#options.onStartupDelay?.(waitedMs);
  }

  async start(context: ServiceContext<C>): Promise<RunningUdpService<C>> {
    return onOwnDescriptors(context.sockets, () => Running.open(this.#options, context));
  }
}

class Running<C> implements RunningUdpService<C> {
  readonly #options: UdpServiceOptions<C>;
  readonly #context: ServiceContext<C>;
  readonly #failures: FailureNotices;
  readonly #endpoints: SinkEndpoint[] = [];
  readonly #flows: UdpFlows[] = [];

  private constructor(options: UdpServiceOptions<C>, context: ServiceContext<C>) {
    this.#options = options;
    this.#context = context;
    this.#failures = new FailureNotices(context, 'receiving datagrams failed');
  }

  static async open<C>(options: UdpServiceOptions<C>, context: ServiceContext<C>): Promise<Running<C>> {
    const running = new Running(options, context);
    try {
      for (const socket of context.sockets) await running.#open(socket);
    } catch (error) {
      await running.close();
      throw error;
    }
    return running;
  }

  get addresses(): readonly StreamAddress[] {
    return [...this.#endpoints.map(({ endpoint }) => endpoint.address), ...this.#flows.map((flows) => flows.address)];
  }

  get counts(): ServiceCounts {
    let connections = 0;
    let accepted = 0;
    let shed = 0;
    for (const { endpoint } of this.#endpoints) accepted += endpoint.counts.received;
    for (const flows of this.#flows) {
      connections += flows.flowCount;
      accepted += flows.socketCounts.received;
      shed += flows.counts.shed;
    }
    return { connections, accepted, shed };
  }

  prepare(next: Snapshot<C>): PreparedUpdate {
    const made = this.#endpoints.map((front) => ({ front, sink: this.#makeSink(next, front.endpoint) }));
    return {
      commit: () => {
        for (const { front, sink } of made) front.replace(sink);
      },
      discard: () => undefined,
    };
  }

  async drain(): Promise<number> {
    await this.close();
    return 0;
  }

  async close(): Promise<void> {
    const closing = [...this.#endpoints.map(({ endpoint }) => endpoint.close()), ...this.#flows.map((flows) => flows.close())];
    await Promise.allSettled(closing);
  }

  async #open(socket: ServiceSocket): Promise<void> {
    const context = this.#context;
    const { udp } = this.#options;
    const settings = udp === undefined ? {} : givenOptions(`udp of ${context.name}`, udp(socket.listen, context));
    for (const name of placeOptions) {
      if (Object.hasOwn(settings, name)) throw new TypeError(`${context.name}: udp cannot say ${name}: that is said by listen`);
    }
    if (this.#options.flows === undefined) await this.#openEndpoint(socket, settings);
    else await this.#openFlows(socket, settings, this.#options.flows);
  }

  async #openEndpoint(socket: ServiceSocket, settings: UdpBindOptions): Promise<void> {
    const front = new SinkFront(this.#failures);
    const { clock } = this.#context.environment;
    const endpoint = await bindUdp({ clock, ...settings, ...placeOf(socket) }, front);
    this.#endpoints.push({ endpoint, replace: (sink) => front.replace(sink) });
    front.replace(this.#makeSink(this.#context.snapshot, endpoint));
  }

  async #openFlows(socket: ServiceSocket, settings: UdpSettings, onFlow: NonNullable<UdpServiceOptions<C>['flows']>): Promise<void> {
    const context = this.#context;
    const { clock, deadlines } = context.environment;
    const onError = (error: WireError): void => this.#failures.add(error);
    const options: UdpFlowsOptions = { clock, deadlines, onError, ...settings, ...placeOf(socket) };
    // Its answer is handed on: a promise that rejects is the flow's.
    this.#flows.push(await listenUdp(options, (flow) => onFlow(flow, { snapshot: context.snapshot, context })));
  }

  #makeSink(snapshot: Snapshot<C>, endpoint: UdpEndpoint): UdpSink {
    const sink: unknown = this.#options.sink?.(this.#context, snapshot, endpoint);
    if (isSink(sink)) return sink;
    // A promise's rejection would be nobody's.
    watchAnswer(sink);
    throw new TypeError(`sink of ${this.#context.name} must give an object with methods onDatagram and onClose`);
  }
}

/** A socket whose sink may be replaced. */
interface SinkEndpoint {
  readonly endpoint: UdpEndpoint;
  replace(sink: UdpSink): void;
}

/** Hands on to whichever sink is in force; what that throws ends nothing: a socket that closed would serve nobody any more. */
class SinkFront implements UdpSink {
  readonly #failures: FailureNotices;
  readonly #onThrown: (thrown: unknown) => void;
  #sink: UdpSink | null = null;

  constructor(failures: FailureNotices) {
    this.#failures = failures;
    this.#onThrown = (thrown) => this.#failures.add(thrown);
  }

  replace(sink: UdpSink): void {
    const replaced = this.#sink;
    this.#sink = sink;
    if (replaced !== null && replaced !== sink) callUser(() => replaced.onClose(null), this.#onThrown);
  }

  onDatagram(bytes: Uint8Array, peer: UdpAddress): void {
    try {
      // Meant to return nothing; an `async` one returns a promise all the same. Not `callUser`, whose closure each datagram would pay for.
      watchAnswer(this.#sink?.onDatagram(bytes, peer), this.#onThrown);
    } catch (thrown) {
      this.#failures.add(thrown);
    }
  }

  onError(error: WireError): void {
    const sink = this.#sink;
    if (sink?.onError !== undefined) callUser(() => sink.onError?.(error), this.#onThrown);
  }

  onClose(error: WireError | null): void {
    const sink = this.#sink;
    if (sink !== null) callUser(() => sink.onClose(error), this.#onThrown);
  }
}

function placeOf({ listen, fd }: ServiceSocket): UdpBindOptions {
  if (fd !== null) return { fd };
  const { address, ipv6Only } = listen;
  return { address, ...(ipv6Only === undefined ? {} : { ipv6Only }) };
}

function isSink(sink: unknown): sink is UdpSink {
  if (typeof sink !== 'object' || sink === null) return false;
  return 'onDatagram' in sink && typeof sink.onDatagram === 'function' && 'onClose' in sink && typeof sink.onClose === 'function';
}
