/**
 * What all worlds around the proxy have in common, whatever is spoken in them: how the proxy is put into a world, and how a world comes to its
 * end.
 */
import { isDeepStrictEqual } from 'node:util';
import { connectError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, type HttpServerOptions } from '@ferrata/http';
import { HttpProxy, type HttpProxyOptions, type ProxyHooks } from '@ferrata/proxy';
import { type L4Stream, tapped } from '@ferrata/stream';
import { drawFaultPlan, World } from '@ferrata/testkit';
import { type Peer, UpstreamConnector } from '@ferrata/upstream';
import type { TellBreach } from './edge.ts';
import type { WorldPlan } from './plan.ts';

/** Options of a proxy that a world may set. */
export type WorldProxyOptions = Omit<HttpProxyOptions, 'environment' | 'connector' | 'onRefused'>;

/** Faults planted into the proxy, to see that the invariants notice. */
export interface Planted<Context> {
  readonly clientSide?: (stream: L4Stream) => L4Stream;
  readonly originSide?: (stream: L4Stream) => L4Stream;
  readonly hooks?: (hooks: ProxyHooks<Context>, world: World) => ProxyHooks<Context>;
  readonly options?: (options: WorldProxyOptions) => WorldProxyOptions;
}

/**
 * The virtual network drops what is on its way when a side closes, where a kernel would still deliver it: nobody who reads slowly may be closed on meanwhile.
 */
const LINGER_MS = 60_000;

/** What a world makes of its proxy. */
export interface ProxySetup<Context> {
  readonly world: World;
  readonly hooks: ProxyHooks<Context>;
  readonly planted: Planted<Context>;
  /** `stream` with the world listening in, before anything is planted; `to` is whom the proxy has connected to. */
  readonly wrap: (role: 'client' | 'origin', stream: L4Stream, to: Peer | null) => L4Stream;
  readonly tell: TellBreach;
  /** A tunnel counts as a connection of its client until its other side has ended, too. */
  readonly hasTunnels?: boolean;
  readonly server?: HttpServerOptions;
  readonly options?: WorldProxyOptions;
  readonly onRefused?: NonNullable<HttpProxyOptions['onRefused']>;
}

/** The network that a plan asks for. */
export function worldOf(plan: WorldPlan): World {
  return new World(plan.seed, {
    highWaterBytes: plan.highWaterBytes,
    faults: (random) => drawFaultPlan(random, { probability: plan.faultProbability }),
  });
}

/** Server, proxy and connector; they listen as `proxy`, and connect to origins by their host. */
export class ProxyUnderTest<Context> {
  readonly connector: UpstreamConnector;
  readonly server: HttpServer;
  readonly #world: World;
  readonly #environment: HttpEnvironment;
  readonly #proxy: HttpProxy<Context>;
  readonly #tell: TellBreach;
  readonly #hasTunnels: boolean;
  /** Connections of clients that were accepted, and that have closed. */
  #accepted = 0;
  #closed = 0;
  /** Connections that the proxy waits for. */
  #connecting = 0;

  constructor({ world, hooks, planted, wrap, tell, hasTunnels = false, server, options = {}, onRefused = () => {} }: ProxySetup<Context>) {
    const environment = new HttpEnvironment({ clock: world.clock, deadlines: world.deadlines, random: world.random });
    this.#world = world;
    this.#environment = environment;
    this.#tell = tell;
    this.#hasTunnels = hasTunnels;
    this.connector = new UpstreamConnector({
      environment,
      connect: (to, signal) => {
        this.#connecting++;
        const { promise, resolve, reject } = Promise.withResolvers<L4Stream>();
        signal?.addEventListener('abort', () => reject(connectError('CONNECT_ABORTED', 'nobody waits for it')), { once: true });
        world.connect(to.address.kind === 'tcp' ? to.address.host : '', {
          onConnected: (stream) => {
            if (signal?.aborted) {
              stream.abort();
              return;
            }
            const edged = wrap('origin', stream, to);
            resolve(planted.originSide?.(edged) ?? edged);
          },
          onConnectFailed: reject,
        });
        return promise.finally(() => void this.#connecting--);
      },
    });
    this.#proxy = new HttpProxy(planted.hooks?.(hooks, world) ?? hooks, {
      ...(planted.options?.(options) ?? options),
      environment,
      connector: this.connector,
      onRefused,
    });
    this.server = new HttpServer(this.#proxy, { lingerTimeoutMs: LINGER_MS, ...server, environment });
    world.listen('proxy', (stream) => {
      this.#accepted++;
      let isAttached = false;
      const edged = tapped(wrap('client', stream, null), {
        onAttach: () => void (isAttached = true),
        onClose: () => void this.#closed++,
        // One that is refused at once has nobody to be told of its end.
        onAbort: () => void (this.#closed += isAttached ? 0 : 1),
      });
      this.server.accept(planted.clientSide?.(edged) ?? edged);
    });
  }

  /** I12, at every step: what was accepted is open or closed. @returns false once it is not */
  #isCounted(): boolean {
    const open = this.#accepted - this.#closed;
    const { connectionCount } = this.server;
    if (connectionCount === open || (this.#hasTunnels && connectionCount > open)) return true;
    this.#tell('I12', `${open} connections of clients are open, and ${connectionCount} are counted`);
    return false;
  }

  /**
   * I13: lets the world run until nothing happens any more, then ends it.
   *
   * @param actorsOf whoever is there by then, on both sides
   * @param heldOf names of the connections that the proxy has not let go
   * @param census what is to hold at every step
   */
  async runOut(actorsOf: () => readonly { abort(): void }[], heldOf: () => Iterable<string>, census: () => void = () => {}): Promise<void> {
    const { connector, server } = this;
    const world = this.#world;
    const tell = this.#tell;
    let isCounted = true;
    const look = (): boolean => {
      isCounted &&= this.#isCounted();
      census();
      return false;
    };
    await world.run({ until: look });
    // First half: with nobody's help every connection has come to its end by its own time-outs.
    if (server.connectionCount > 0) tell('I13', `${server.connectionCount} connections of clients never ended`);
    if (connector.connectionCount > 0)
      tell('I13', `${connector.connectionCount} connections to origins never ended (${connector.idleCount} idle)`);
    for (const name of heldOf()) tell('I13', `${name} was never let go`);
    server.close();
    this.#proxy.close();
    for (const actor of actorsOf()) actor.abort();
    await world.run({ forMs: 1_000 });
    const left = {
      deadlines: world.deadlines.size,
      sessions: server.connectionCount,
      connections: connector.connectionCount,
      idle: connector.idleCount,
      streams: world.openStreamCount,
      output: this.#environment.writer.length,
      connecting: this.#connecting,
    };
    if (!isDeepStrictEqual(left, { deadlines: 0, sessions: 0, connections: 0, idle: 0, streams: 0, output: 0, connecting: 0 }))
      tell('I13', `left over: ${JSON.stringify(left)}`);
  }
}
