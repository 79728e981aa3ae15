/**
 * What all worlds around the proxy have in common, whatever is spoken in them: how the proxy is put into a world, and how a world comes to its
 * end.
 */
import { isDeepStrictEqual } from 'node:util';
import { connectError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, type HttpServerOptions } from '@ferrata/http';
import { HttpProxy, type HttpProxyOptions, type ProxyHooks } from '@ferrata/proxy';
import type { L4Stream } from '@ferrata/stream';
import { drawFaultPlan, World } from '@ferrata/testkit';
import { UpstreamConnector } from '@ferrata/upstream';
import type { TellBreach } from './edge.ts';
import type { WorldPlan } from './plan.ts';

/** Faults planted into the proxy, to see that the invariants notice. */
export interface Planted<Context> {
  readonly clientSide?: (stream: L4Stream) => L4Stream;
  readonly originSide?: (stream: L4Stream) => L4Stream;
  readonly hooks?: (hooks: ProxyHooks<Context>, world: World) => ProxyHooks<Context>;
}

/** What a world makes of its proxy. */
export interface ProxySetup<Context> {
  readonly world: World;
  readonly hooks: ProxyHooks<Context>;
  readonly planted: Planted<Context>;
  /** `stream` with the world listening in, before anything is planted. */
  readonly wrap: (role: 'client' | 'origin', stream: L4Stream) => L4Stream;
  readonly server?: HttpServerOptions;
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

  constructor({ world, hooks, planted, wrap, server, onRefused = () => {} }: ProxySetup<Context>) {
    const environment = new HttpEnvironment({ clock: world.clock, deadlines: world.deadlines, random: world.random });
    this.#world = world;
    this.#environment = environment;
    this.connector = new UpstreamConnector({
      environment,
      connect: (to, signal) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(connectError('CONNECT_ABORTED', 'nobody waits for it')), { once: true });
          world.connect(to.address.kind === 'tcp' ? to.address.host : '', {
            onConnected: (stream) => {
              if (signal?.aborted) {
                stream.abort();
                return;
              }
              const edged = wrap('origin', stream);
              resolve(planted.originSide?.(edged) ?? edged);
            },
            onConnectFailed: reject,
          });
        }),
    });
    this.#proxy = new HttpProxy(planted.hooks?.(hooks, world) ?? hooks, { environment, connector: this.connector, onRefused });
    this.server = new HttpServer(this.#proxy, { ...server, environment });
    world.listen('proxy', (stream) => {
      const edged = wrap('client', stream);
      this.server.accept(planted.clientSide?.(edged) ?? edged);
    });
  }

  /**
   * I13: lets the world run until nothing happens any more, then ends it.
   *
   * @param actorsOf whoever is there by then, on both sides
   * @param heldOf names of the connections that the proxy has not let go
   */
  async runOut(tell: TellBreach, actorsOf: () => readonly { abort(): void }[], heldOf: () => Iterable<string>): Promise<void> {
    const { connector, server } = this;
    const world = this.#world;
    await world.run();
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
    };
    if (!isDeepStrictEqual(left, { deadlines: 0, sessions: 0, connections: 0, idle: 0, streams: 0, output: 0 }))
      tell('I13', `left over: ${JSON.stringify(left)}`);
  }
}
