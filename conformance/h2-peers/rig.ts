/** All that runs for the suite, and the routes through it. */
import type { PeerProgram } from '@ferrata/tools/peers';
import { CURL } from '../http1-peers/curl-client.ts';
import type { Ledger } from '../http1-peers/ledger.ts';
import { type PlanServer, startNodeServer } from '../http1-peers/node-server.ts';
import { startOurServer } from '../http1-peers/our-server.ts';
import { startFerrata } from '../rig/ferrata-command.ts';
import type { Outcome } from '../runner.ts';
import { type ActClient, NodeHttp1ActClient, NodeHttp2ActClient, OurActClient } from './act-clients.ts';
import { startNodeHttp1Acts, startNodeHttp2Acts, startOurActs } from './act-servers.ts';
import { HAPROXY, haproxyCarries, type Intermediary, NGHTTPX, nghttpxCarries, startHaproxy, startNghttpx } from './intermediaries.ts';
import { startNodeHttp2Server } from './node-server.ts';
import type { ProgramTarget } from './programs.ts';
import { PYTHON_H2, startPythonServer } from './python.ts';
import type { ActRoute } from './resets.ts';
import {
  type ClientKind,
  carriesAll,
  curlClient,
  nodeCarries,
  nodeClient,
  nodeHttp1Carries,
  nodeHttp1Client,
  ourClient,
  pythonCarries,
  pythonClient,
  type Route,
} from './routes.ts';
import { urlOf, type Where } from './where.ts';

/** Something that was started. @returns a problem, or null */
type Stop = () => Promise<string | null>;

/** Servers and proxies that run. */
export interface Rig {
  readonly routes: readonly Route[];
  readonly actRoutes: readonly ActRoute[];
  readonly programTargets: readonly ProgramTarget[];
  /** Ends all of them; an outcome for each process that did not end in order. */
  close(): Promise<Outcome[]>;
}

/** Starts what is there. @param has whether a program of others is there */
export async function startRig(ledger: Ledger, has: (program: PeerProgram) => boolean): Promise<Rig> {
  const stops = new Map<string, Stop>();
  const keep = <Running extends PlanServer | Intermediary>(name: string, running: Running): Running => {
    stops.set(name, async () => {
      await running.close();
      return null;
    });
    return running;
  };
  const reverse = async (name: string, scheme: 'http' | 'h2c', to: Where): Promise<{ readonly port: number }> => {
    const proxy = await startFerrata(urlOf(scheme, to));
    stops.set(`reverse of ${name}`, () => proxy.stop());
    return { port: proxy.port };
  };
  const [node, node1, ferrata, acts, acts1, ourActs] = await Promise.all([
    startNodeHttp2Server(ledger),
    startNodeServer(ledger),
    startOurServer(ledger),
    startNodeHttp2Acts(),
    startNodeHttp1Acts(),
    startOurActs(),
  ]);
  for (const [name, server] of Object.entries({ node, node1, ferrata, acts, acts1, ourActs })) keep(name, server);
  const [toNode, toNode1, toFerrata, toActs, toActs1] = await Promise.all([
    reverse('node', 'h2c', node),
    reverse('node1', 'http', node1),
    reverse('ferrata', 'h2c', ferrata),
    reverse('acts', 'h2c', acts),
    reverse('acts1', 'http', acts1),
  ]);
  const routes: Route[] = [];
  const add = (name: string, client: ClientKind, where: Where, canCarry: Route['canCarry'] = carriesAll, isSteady = true): void => {
    routes.push({ name, client, where, canCarry, isSteady });
  };
  add('node-ferrata', nodeClient, ferrata);
  add('ferrata-node', ourClient, node, nodeCarries);
  add('ferrata-ferrata', ourClient, ferrata);
  add('node-reverse-node', nodeClient, toNode, nodeCarries);
  add('node-reverse-node1', nodeClient, toNode1, nodeHttp1Carries);
  add('node1-reverse-node', nodeHttp1Client, toNode, nodeCarries);
  // No stranger in it: for the statuses that Node's server does not send.
  add('ferrata-reverse-ferrata', ourClient, toFerrata);
  if (has(CURL)) {
    add('curl-ferrata', curlClient, ferrata);
    add('curl-reverse-node', curlClient, toNode, nodeCarries);
  }
  if (has(PYTHON_H2)) {
    const python = keep('python', await startPythonServer(ledger));
    add('python-ferrata', pythonClient, ferrata);
    add('ferrata-python', ourClient, python, pythonCarries);
  }
  if (has(HAPROXY)) {
    const haproxy = await startHaproxy([
      { name: 'node', port: node.port, protocol: 'h2' },
      { name: 'ferrata', port: ferrata.port, protocol: 'h2' },
    ]);
    const [inFrontOfNode, inFrontOfOurs] = [keep('haproxy', haproxy).where.get('node'), haproxy.where.get('ferrata')];
    if (inFrontOfNode === undefined || inFrontOfOurs === undefined) throw new Error('haproxy has no sockets');
    add('node-haproxy-ferrata', nodeClient, inFrontOfOurs, haproxyCarries, false);
    const carries: Route['canCarry'] = (one) => nodeCarries(one) && haproxyCarries(one);
    add('ferrata-haproxy-node', ourClient, inFrontOfNode, carries, false);
    const toHaproxy = await reverse('haproxy', 'h2c', inFrontOfNode);
    add('node-reverse-haproxy-node', nodeClient, toHaproxy, carries, false);
  }
  if (has(NGHTTPX)) {
    const nghttpx = keep('nghttpx', await startNghttpx({ name: 'ferrata', port: ferrata.port, protocol: 'h2' }));
    const forNode = keep('nghttpx of node', await startNghttpx({ name: 'node', port: node.port, protocol: 'h2' }));
    add('node-nghttpx-ferrata', nodeClient, nghttpx.where.get('ferrata') ?? ferrata, nghttpxCarries);
    add('ferrata-nghttpx-node', ourClient, forNode.where.get('node') ?? node, (one) => nodeCarries(one) && nghttpxCarries(one));
  }
  const [openNode, openNode1, openOurs] = [
    (where: Where): ActClient => new NodeHttp2ActClient(where),
    (where: Where): ActClient => new NodeHttp1ActClient(where),
    (where: Where): ActClient => new OurActClient(where),
  ];
  return {
    routes,
    actRoutes: [
      { name: 'node-ferrata', open: openNode, where: ourActs, endings: ourActs.endings, asksAgain: false },
      { name: 'ferrata-node', open: openOurs, where: acts, endings: acts.endings, asksAgain: false },
      { name: 'node-reverse-node', open: openNode, where: toActs, endings: acts.endings, asksAgain: true },
      { name: 'node-reverse-node1', open: openNode, where: toActs1, endings: acts1.endings, asksAgain: false },
      { name: 'node1-reverse-node', open: openNode1, where: toActs, endings: acts.endings, asksAgain: true },
    ],
    programTargets: [
      { name: 'ferrata', port: ourActs.port, endings: ourActs.endings },
      { name: 'reverse-node', port: toActs.port, endings: acts.endings },
      { name: 'reverse-node1', port: toActs1.port, endings: acts1.endings },
    ],
    close: async () => {
      const outcomes: Outcome[] = [];
      for (const [name, stop] of [...stops].toReversed()) outcomes.push({ id: `end/${name}`, problem: await stop() });
      return outcomes;
    },
  };
}
