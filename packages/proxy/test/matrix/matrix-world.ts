/** One proxy in the middle of one cell, with as many clients and origins as there are cases: they run side by side, and each is judged for itself. */
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, type HttpServerOptions, type Refusal } from '@ferrata/http';
import { HttpProxy, type HttpProxyOptions, type Outcome, outcomeOf, type ProxyHooks } from '@ferrata/proxy';
import type { L4Stream } from '@ferrata/stream';
import { type Peer, type PeerOptions, peer, type UpstreamConnectorOptions } from '@ferrata/upstream';
import type { H2WireOptions } from '../h2-wire.ts';
import { type CarrierOptions, Carriers, type Wanted } from './carriers.ts';
import { type ClientEnd, clientEnd } from './client-end.ts';
import type { Cell, End } from './ends.ts';
import { type OriginEnd, type OriginRequest, originEnd } from './origin-end.ts';

/** One call of `logging`. */
export interface LogLine {
  readonly outcome: Outcome;
  readonly status: number;
  readonly source: string;
  readonly reason: string;
  readonly attempts: number;
}

/** What is put between the proxy and the world, where faults are planted to be found. */
export interface Plant {
  /** In place of the stream of a client's connection, at the proxy's end. */
  readonly clientSide?: (stream: L4Stream) => L4Stream;
  /** The same of a connection to an origin. */
  readonly originSide?: (stream: L4Stream) => L4Stream;
  readonly hooks?: (hooks: ProxyHooks<object>, environment: HttpEnvironment) => ProxyHooks<object>;
}

export interface MatrixOptions {
  readonly plant?: Plant;
  readonly hooks?: Partial<ProxyHooks<object>>;
  readonly proxy?: Omit<HttpProxyOptions, 'environment' | 'upstream' | 'connector'>;
  readonly server?: Omit<HttpServerOptions, 'environment'>;
  readonly upstream?: Omit<UpstreamConnectorOptions, 'environment'>;
  readonly carriers?: CarrierOptions;
  /** Default: its own. */
  readonly clock?: ManualClock;
}

/** How the proxy comes to an origin. */
export interface OriginOptions {
  /** In place of a connection in memory. */
  readonly connect?: NonNullable<PeerOptions['connect']>;
  /** In place of the proxy's end of the connection, below TLS. */
  readonly line?: (stream: L4Stream) => L4Stream;
  /** It speaks both, as TLS agrees. */
  readonly isAuto?: true;
  /** Called with each connection, before anything is read from it. */
  readonly onConnection?: (connection: OriginEnd) => void;
  /** How an HTTP/2 origin begins. */
  readonly h2?: H2WireOptions;
  /** What else is said of it as a peer. */
  readonly peer?: Omit<PeerOptions, 'protocol' | 'tls' | 'connect'>;
}

/** An origin of its own: where requests for some targets go, and every connection that was made to it. */
export interface Origin {
  readonly peer: Peer;
  readonly connections: OriginEnd[];
}

export class MatrixWorld {
  readonly cell: Cell;
  readonly clock: ManualClock;
  readonly environment: HttpEnvironment;
  readonly carriers: Carriers;
  readonly refused: Refusal[] = [];
  /** What hooks that nobody waits for have thrown. */
  readonly hookFailures: WireError[] = [];
  readonly clients: ClientEnd[] = [];
  readonly origins: Origin[] = [];
  readonly proxy: HttpProxy<object>;
  readonly server: HttpServer;
  /** `logging`, by target of the request. */
  readonly #logs = new Map<string, LogLine[]>();
  readonly #peers = new Map<string, Peer>();
  readonly #plant: Plant;
  #begun = 0;

  constructor(
    cell: Cell,
    { plant = {}, hooks = {}, proxy = {}, server = {}, upstream, carriers = {}, clock = new ManualClock() }: MatrixOptions = {},
  ) {
    this.cell = cell;
    this.clock = clock;
    this.environment = new HttpEnvironment({ clock });
    this.carriers = new Carriers(this.clock, carriers);
    this.#plant = plant;
    const all: ProxyHooks<object> = {
      upstreamPeer: ({ request }) => this.peerOf(request.target),
      newContext: () => ({}),
      ...hooks,
      logging: (session, error, context) => {
        this.#note(session.request.target, {
          outcome: outcomeOf(error),
          status: session.status,
          source: error?.source ?? '',
          reason: error?.reason ?? '',
          attempts: session.attempt,
        });
        return hooks.logging?.(session, error, context);
      },
    };
    const planted = plant.hooks?.(all, this.environment) ?? all;
    this.proxy = new HttpProxy<object>(
      {
        ...planted,
        newContext: (session) => {
          const context = planted.newContext(session);
          // A promise is garbage, and refused: the request does not begin.
          if (!(context instanceof Promise)) this.#begun++;
          return context;
        },
      },
      // Many cases fail at once here, and each may try again.
      {
        retryShare: 1,
        onRefused: (refusal) => void this.refused.push(refusal),
        onHookFailed: (error) => void this.hookFailures.push(error),
        ...proxy,
        ...(upstream === undefined ? {} : { upstream }),
        environment: this.environment,
      },
    );
    this.server = new HttpServer(this.proxy, { ...server, environment: this.environment });
  }

  /** A client's connection. */
  async connect(): Promise<ClientEnd> {
    const { carrier, protocol } = this.cell.down;
    const outer = await this.carriers.toProxy(carrier, protocol, (stream) => {
      this.server.accept(this.#plant.clientSide?.(stream) ?? stream);
    });
    const client = clientEnd(protocol, outer);
    this.clients.push(client);
    return client;
  }

  /** An origin for `targets`. */
  origin(end: End, targets: readonly string[], onRequest: (request: OriginRequest) => void, options: OriginOptions = {}): Origin {
    const connections: OriginEnd[] = [];
    const number = this.origins.length + 1;
    const wanted: Wanted = options.isAuto === true ? 'auto' : end.protocol;
    const made = peer(`10.0.${number >> 8}.${number & 255}:80`, {
      ...options.peer,
      protocol: wanted,
      ...(end.carrier === 'tls' ? { tls: this.carriers.client(wanted) } : {}),
      connect: async () => {
        const stream = this.carriers.toOrigin(end.carrier, wanted, (outer) => {
          const agreed = outer.stream.info.tls?.alpn === 'h2' ? 'http2' : 'http1';
          const connection = originEnd(wanted === 'auto' ? agreed : wanted, outer, onRequest, options.h2);
          connections.push(connection);
          options.onConnection?.(connection);
        });
        const line = options.line?.(stream) ?? stream;
        return this.#plant.originSide?.(line) ?? line;
      },
      ...(options.connect === undefined ? {} : { connect: options.connect }),
    });
    const origin: Origin = { peer: made, connections };
    this.origins.push(origin);
    for (const target of targets) this.#peers.set(target, made);
    return origin;
  }

  /** Where requests for a target go from now on. */
  route(target: string, to: Peer): void {
    this.#peers.set(target, to);
  }

  /** Where requests for a target go. */
  peerOf(target: string): Peer {
    const found = this.#peers.get(target);
    if (found === undefined) throw new Error(`no origin for ${target}`);
    return found;
  }

  logsOf(target: string): readonly LogLine[] {
    return this.#logs.get(target) ?? [];
  }

  get logCount(): number {
    let count = 0;
    for (const lines of this.#logs.values()) count += lines.length;
    return count;
  }

  /** Lets everything happen that can happen now: until nothing moves on any wire. */
  async settle(): Promise<void> {
    let before: number;
    let rounds = 0;
    do {
      before = this.carriers.activity;
      for (let turn = 0; turn < 4; turn++) await new Promise<void>((resolve) => void setImmediate(resolve));
    } while (this.carriers.activity !== before && ++rounds < 1_000);
  }

  /** Lets time pass, in steps, so that whatever is armed meanwhile comes too. */
  async pass(ms: number, stepMs = 1_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(left, stepMs));
      for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    await this.settle();
  }

  /** Ends the world. @param mayFail whether handshakes of origins are to fail @returns what must hold then and does not */
  async finish(mayFail = false): Promise<string[]> {
    const breaches: string[] = [];
    const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
    for (const client of this.clients) client.reset();
    await this.settle();
    const { connector } = this.proxy;
    check(this.logCount === this.#begun, `${this.#begun} requests have begun, and ${this.logCount} were logged`);
    check(this.server.connectionCount === 0, `${this.server.connectionCount} connections of clients are left`);
    const busy = connector.connectionCount - connector.idleCount;
    check(busy === 0, `${busy} busy connections to origins are left`);
    this.proxy.close();
    await this.settle();
    check(connector.connectionCount === 0, 'connections to origins outlive the proxy');
    const open = this.origins.flatMap(({ connections }) => connections).filter(({ isOver }) => !isOver);
    check(open.length === 0, `${open.length} origins do not see the end of their connections`);
    this.clock.advance(400_000);
    check(this.environment.deadlines.size === 0, `${this.environment.deadlines.size} deadlines are left`);
    if (!mayFail) for (const failure of this.carriers.failures) check(false, `a handshake failed: ${failure.reason}`);
    this.carriers.close();
    return breaches;
  }

  #note(target: string, line: LogLine): void {
    const lines = this.#logs.get(target) ?? [];
    lines.push(line);
    this.#logs.set(target, lines);
  }
}
