/** The suite at work: servers and proxies running, plans acted out on a route. */
import type { Outcome } from '../runner.ts';
import { actInTurn, actOut } from './acting.ts';
import type { PlanClient } from './client.ts';
import { compareRequest, compareResponse } from './compare.ts';
import { Ledger } from './ledger.ts';
import { type PlanServer, startNodeServer } from './node-server.ts';
import { startOurServer } from './our-server.ts';
import { type Plan, plan } from './plan.ts';
import {
  canTravel,
  curlClient,
  isReusable,
  nodeClient,
  nodeServer,
  ourClient,
  ourServer,
  type Route,
  rawClient,
  startProxy,
  undiciClient,
} from './routes.ts';

/** Asked after each exchange: its answer must be its own, and shows whether the connection was used again. */
const probe: Plan = plan('probe', { target: '/probe' });

/** Servers, proxies and what is under way. */
export class Suite {
  readonly ledger: Ledger;
  readonly routes: readonly Route[];
  readonly #running: readonly PlanServer[];
  #tokens = 0;

  private constructor(ledger: Ledger, routes: readonly Route[], running: readonly PlanServer[]) {
    this.ledger = ledger;
    this.routes = routes;
    this.#running = running;
  }

  static async start(isCurlThere: boolean): Promise<Suite> {
    const ledger = new Ledger();
    const node = await startNodeServer(ledger);
    const ours = await startOurServer(ledger);
    const proxy = await startProxy(node.port);
    const proxyOfOurs = await startProxy(ours.port);
    const routes: Route[] = [];
    for (const client of [nodeClient, undiciClient, rawClient, ...(isCurlThere ? [curlClient] : [])]) {
      const { hasUtf8Reasons, name } = client;
      routes.push({ name: `${name}-ferrata`, client, server: ourServer, port: ours.port, isProxied: false, hasUtf8Reasons });
      routes.push({ name: `${name}-proxy-node`, client, server: nodeServer, port: proxy.port, isProxied: true, hasUtf8Reasons });
    }
    const own = { client: ourClient, hasUtf8Reasons: false };
    routes.push({ ...own, name: 'ferrata-node', server: nodeServer, port: node.port, isProxied: false });
    // No stranger in it: for the methods that Node's server does not know.
    routes.push({ ...own, name: 'ferrata-proxy-ferrata', server: ourServer, port: proxyOfOurs.port, isProxied: true });
    return new Suite(ledger, routes, [proxy, proxyOfOurs, node, ours]);
  }

  async close(): Promise<void> {
    for (const server of this.#running) await server.close();
  }

  /** A token nobody had before. */
  token(): string {
    return `t${++this.#tokens}`;
  }

  /** Acts each plan out that can travel a route, one after the other with one client; a failure gets the next plan a client of its own. */
  async runRoute(route: Route, plans: readonly Plan[], isWanted: (id: string) => boolean): Promise<Outcome[]> {
    return await actInTurn({
      name: route.name,
      plans: plans.filter((one) => canTravel(route, one) && isWanted(`${route.name}/${one.id}`)),
      open: () => route.client.open(route.port),
      act: (client, one) => this.#act(route, client, one),
    });
  }

  /** One exchange, and the probe behind it. */
  async #act(route: Route, client: PlanClient, one: Plan): Promise<string | null> {
    const first = await this.exchange(route, client, one);
    const problems = [...first.problems];
    if (!route.client.isOneShot) {
      const second = await this.exchange(route, client, probe).catch((error: unknown) => ({
        problems: [error instanceof Error ? error.message : String(error)],
        connection: first.connection,
      }));
      problems.push(...second.problems.map((problem) => `the request behind it: ${problem}`));
      const isReused = first.connection === second.connection;
      const expected = isReusable(route, one);
      if (expected !== null && expected !== isReused) problems.push(`the connection was ${isReused ? '' : 'not '}used again`);
    }
    problems.push(...this.ledger.takeFaults());
    return problems.length === 0 ? null : problems.join('; ');
  }

  /** One exchange. @throws {Error} when an end did not see it whole */
  async exchange(
    route: Route,
    client: PlanClient,
    one: Plan,
  ): Promise<{ readonly problems: readonly string[]; readonly connection: number }> {
    const token = this.token();
    const { request, response } = await actOut(this.ledger, client, one, token);
    const problems = [...compareRequest(one, token, request, route), ...compareResponse(one, token, response, route)];
    return { problems, connection: response.connection };
  }
}
