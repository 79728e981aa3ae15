/**
 * TLS that is not ended here: looks at the name that the client asks for, and joins the connection to whoever has the certificate. Not a byte is changed.
 *
 * ```
 *   accepted ── ClientHello ──► routing ── address ──► connecting ──► relaying ──► done
 *      └─ no TLS: reset            ├─ null: alert unrecognized_name      └─ idle for too long: both reset
 *                                  └─ failed: alert internal_error ◄─ failed
 * ```
 * A drain waits for a ClientHello 3 s at most, and counts nobody as cut who has sent none; from there on a connection has the whole time.
 *
 * @see RFC 6066 §3 (server names) · RFC 8446 §6 (alerts)
 */
import { checkWholeNumber, isWireError, timeoutError, toWireError, type WireError } from '@ferrata/error';
import {
  type AddressLike,
  type ConnectOptions,
  connect,
  type NetAddress,
  type PeekedHello,
  parseAddress,
  peekClientHello,
  toNetAddress,
} from '@ferrata/net';
import { callUser, isThenable, type L4Stream, relayed, type StreamInfo } from '@ferrata/stream';
import type { ListenAddress, Placement, Service, ServiceContext } from '../service.ts';
import { FailureNotices } from './failure-notices.ts';
import {
  checkCallback,
  checkDefinition,
  checkFunction,
  checkListening,
  givenOptions,
  type ListeningDefinition,
  placesOf,
} from './service-definition.ts';
import type { AcceptFor, AcceptSettings } from './service-listeners.ts';
import { type RunningTcpService, type StreamServing, serveStreams, type TcpConnection } from './tcp-service.ts';
import { threadCap } from './thread-cap.ts';

/** How connections to the chosen servers are made. */
export type PassthroughConnectOptions = Omit<ConnectOptions, 'tls' | 'signal' | 'totalTimeoutMs'>;

/** What became of one connection. */
export interface PassthroughReport {
  /** The client's connection. */
  readonly info: StreamInfo;
  /** Null if the client has sent none. */
  readonly hello: PeekedHello | null;
  /** Null if none was chosen. */
  readonly address: NetAddress | null;
  readonly outcome: 'relayed' | 'refused' | 'helloFailed' | 'routeFailed' | 'connectFailed';
  /** Relayed bytes, the ClientHello included. */
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  /** Null if all ended in order. */
  readonly error: WireError | null;
}

/** Options of a `TlsPassthroughService`. Times in milliseconds. */
export interface TlsPassthroughServiceOptions<C> extends ListeningDefinition<C> {
  /** Says to whom a connection goes; null: refused, with the alert `unrecognized_name`. A throw, a rejection, or what is no address: the alert `internal_error`. */
  readonly route: (hello: PeekedHello, connection: TcpConnection<C>) => AddressLike | null | Promise<AddressLike | null>;
  /** Filter, PROXY header, caps; not TLS, which goes through. Default: none of these; as cap half of the thread's share of the descriptors, which all listeners share in equal parts. */
  readonly accept?: AcceptFor<C>;
  readonly connect?: PassthroughConnectOptions;
  /** How long the ClientHello may take, 1 to 600 000. Default 5 000. */
  readonly helloTimeoutMs?: number;
  /** Bytes of the ClientHello, 1 024 to 1 048 576. Default 32 768. */
  readonly maxHelloBytes?: number;
  /** How long `route` may take, 1 to 600 000. Default 5 000. */
  readonly routeTimeoutMs?: number;
  /** Silence in both directions after which both connections are dropped, 1 to 604 800 000. Default 3 600 000: whoever is quiet for longer has gone. */
  readonly idleTimeoutMs?: number;
  /** Called once for each connection that has come so far as to be asked for its hello, when it is over. Default: nothing. */
  readonly onDone?: (report: PassthroughReport, connection: TcpConnection<C>) => void;
}

/** Connections by what became of them. The numbers are live. */
export type PassthroughCounts = Readonly<Record<PassthroughReport['outcome'], number>>;

/** A TLS pass-through that runs in a thread. */
export interface RunningTlsPassthroughService<C> extends RunningTcpService<C> {
  readonly outcomes: PassthroughCounts;
}

interface Limits {
  readonly helloTimeoutMs: number;
  readonly maxHelloBytes: number;
  readonly routeTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

const optionNames = [
  'listen',
  'placement',
  'route',
  'accept',
  'connect',
  'helloTimeoutMs',
  'maxHelloBytes',
  'routeTimeoutMs',
  'idleTimeoutMs',
  'onDone',
] as const;

/** Passes TLS through in every worker. */
export class TlsPassthroughService<C = undefined> implements Service<C> {
  readonly name: string;
  readonly placement: Placement;
  readonly #options: TlsPassthroughServiceOptions<C>;
  readonly #limits: Limits;

  /** @throws {TypeError} @throws {RangeError} for options that make no sense */
  constructor(options: TlsPassthroughServiceOptions<C>) {
    checkDefinition('TlsPassthroughService', options, optionNames);
    const { name, route, accept, onDone, connect: connecting } = options;
    checkFunction(`route of ${name}`, route);
    checkCallback(`accept of ${name}`, accept);
    checkCallback(`onDone of ${name}`, onDone);
    for (const option of ['tls', 'signal', 'totalTimeoutMs']) {
      if (connecting !== undefined && Object.hasOwn(connecting, option)) throw new TypeError(`connect of ${name} cannot take ${option}`);
    }
    this.name = name;
    this.placement = checkListening(options, 'stream');
    this.#options = options;
    this.#limits = Object.freeze({
      helloTimeoutMs: checkWholeNumber('helloTimeoutMs', options.helloTimeoutMs ?? 5_000, { min: 1, max: 600_000 }),
      maxHelloBytes: checkWholeNumber('maxHelloBytes', options.maxHelloBytes ?? 32_768, { min: 1_024, max: 0x10_0000 }),
      routeTimeoutMs: checkWholeNumber('routeTimeoutMs', options.routeTimeoutMs ?? 5_000, { min: 1, max: 600_000 }),
      idleTimeoutMs: checkWholeNumber('idleTimeoutMs', options.idleTimeoutMs ?? 3_600_000, { min: 1, max: 604_800_000 }),
    });
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

  async start(context: ServiceContext<C>): Promise<RunningTlsPassthroughService<C>> {
    const joints = new Joints(this.#options, this.#limits, context);
    const serving: StreamServing<C> = {
      handle: (stream, connection) => joints.serve(stream, connection),
      undecidedCount: () => joints.silentCount,
      accept: (place) => acceptSettings(this.#options, place, context),
    };
    return Object.assign(await serveStreams(serving, context), { outcomes: joints.outcomes });
  }
}

/** A connection under way, as its report will have it. */
type Draft = { -readonly [K in keyof PassthroughReport]: PassthroughReport[K] };

/** Joins clients to servers, in one thread. */
class Joints<C> {
  readonly outcomes: Record<PassthroughReport['outcome'], number> = {
    relayed: 0,
    refused: 0,
    helloFailed: 0,
    routeFailed: 0,
    connectFailed: 0,
  };
  /** Those that have not sent their hello yet. */
  silentCount = 0;
  readonly #options: TlsPassthroughServiceOptions<C>;
  readonly #limits: Limits;
  readonly #context: ServiceContext<C>;
  readonly #routeFailures: FailureNotices;
  readonly #connectFailures: FailureNotices;
  readonly #reportFailures: FailureNotices;

  constructor(options: TlsPassthroughServiceOptions<C>, limits: Limits, context: ServiceContext<C>) {
    this.#options = options;
    this.#limits = limits;
    this.#context = context;
    this.#routeFailures = new FailureNotices(context, 'route failed');
    this.#connectFailures = new FailureNotices(context, 'connecting failed');
    this.#reportFailures = new FailureNotices(context, 'onDone failed');
  }

  /** Never rejects: its end is the end of the connection. */
  async serve(stream: L4Stream, connection: TcpConnection<C>): Promise<void> {
    const draft: Draft = {
      info: stream.info,
      hello: null,
      address: null,
      outcome: 'helloFailed',
      bytesFromClient: 0,
      bytesToClient: 0,
      error: null,
    };
    await this.#join(stream, connection, draft);
    this.outcomes[draft.outcome]++;
    callUser(
      () => this.#options.onDone?.(draft, connection),
      (thrown) => this.#reportFailures.add(thrown),
    );
  }

  async #join(stream: L4Stream, connection: TcpConnection<C>, draft: Draft): Promise<void> {
    const hello = await this.#readHello(stream, draft);
    if (hello === null) return;
    const address = await this.#route(hello, connection, draft);
    if (address === null) {
      this.#refuse(stream, draft.outcome === 'refused' ? Alert.unrecognizedName : Alert.internalError);
      return;
    }
    const server = await this.#connect(address, draft);
    if (server === null) {
      this.#refuse(stream, Alert.internalError);
      return;
    }
    draft.outcome = 'relayed';
    const idle = { timeoutMs: this.#limits.idleTimeoutMs, deadlines: this.#context.environment.deadlines };
    const { bytesAToB, bytesBToA, error } = await relayed(stream, server, { idle });
    draft.bytesFromClient = bytesAToB;
    draft.bytesToClient = bytesBToA;
    draft.error = error;
  }

  async #readHello(stream: L4Stream, draft: Draft): Promise<PeekedHello | null> {
    const { helloTimeoutMs, maxHelloBytes } = this.#limits;
    const { deadlines } = this.#context.environment;
    this.silentCount++;
    try {
      return (draft.hello = await peekClientHello(stream, { timeoutMs: helloTimeoutMs, maxBytes: maxHelloBytes, deadlines }));
    } catch (thrown) {
      draft.error = toWireError(thrown);
      stream.abort(draft.error);
      return null;
    } finally {
      this.silentCount--;
    }
  }

  async #route(hello: PeekedHello, connection: TcpConnection<C>, draft: Draft): Promise<NetAddress | null> {
    try {
      const answer: unknown = this.#options.route(hello, connection);
      const address = (isThenable(answer) ? await this.#inTime(answer) : answer) as AddressLike | null;
      draft.outcome = 'refused';
      if (address === null) return null;
      draft.outcome = 'routeFailed';
      return (draft.address = typeof address === 'string' ? parseAddress(address) : toNetAddress(address));
    } catch (thrown) {
      draft.outcome = 'routeFailed';
      draft.error = toWireError(thrown, 'ROUTE_THREW');
      this.#routeFailures.add(thrown);
      return null;
    }
  }

  async #inTime(answer: PromiseLike<unknown>): Promise<unknown> {
    const { routeTimeoutMs } = this.#limits;
    const late = (): WireError => timeoutError('ROUTE_TIMEOUT', `route has not answered within ${routeTimeoutMs} ms`, { fault: 'local' });
    // A thenable may throw from its `then`, or call back twice: `resolve` makes a promise of it.
    return this.#context.environment.deadlines.withTimeout(Promise.resolve(answer), routeTimeoutMs, late);
  }

  async #connect(address: NetAddress, draft: Draft): Promise<L4Stream | null> {
    const { clock, deadlines } = this.#context.environment;
    draft.outcome = 'connectFailed';
    try {
      // A connection to a server takes a descriptor as one from a client does.
      return await connect(address, { clock, deadlines, connectionCap: threadCap(this.#context), ...this.#options.connect });
    } catch (thrown) {
      draft.error = toWireError(thrown);
      // Not the server's doing: options that make no sense, so that every connection fails.
      if (!isWireError(thrown)) this.#connectFailures.add(thrown);
      return null;
    }
  }

  /** The stream is closed in order as soon as `serve` is done. */
  #refuse(stream: L4Stream, description: number): void {
    // A fatal alert in a record of its own, with the version that every client reads (RFC 8446 §5.1).
    stream.write(Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description));
  }
}

const Alert = { internalError: 0x50, unrecognizedName: 0x70 } as const;

/**
 * Half of the thread's places, in equal parts for its listeners, unless it is said otherwise: each connection to a server takes one, too, and clients that had taken
 * them all could none of them be passed through.
 */
function acceptSettings<C>(
  { name, accept }: TlsPassthroughServiceOptions<C>,
  place: ListenAddress,
  context: ServiceContext<C>,
): AcceptSettings {
  const settings = accept === undefined ? {} : givenOptions(`accept of ${name}`, accept(place, context));
  if (settings.tls !== undefined) {
    throw new TypeError(`accept of ${name} must not say tls: it would be ended here, and there would be nothing left to look at`);
  }
  if (settings.connectionCap !== undefined) return settings;
  return { maxConnections: Math.max(1, Math.floor(threadCap(context).max / 2 / context.sockets.length)), ...settings };
}
