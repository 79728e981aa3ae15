/**
 * The real proxy (HttpServer, HttpProxy, UpstreamConnector) in a world between planned clients and planned origins.
 *
 * ```text
 *   ClientActor ──world── Edge ─ HttpServer ─ HttpProxy ─ UpstreamConnector ─ Edge ──world── OriginActor
 * ```
 * The edges see exactly what the proxy is told and what it does, so what the network loses beyond them is nobody's fault. Everything comes from
 * the plan, and so happens again with the plan.
 */
import { isDeepStrictEqual } from 'node:util';
import { connectError, type WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy, type ProxyHooks, type ProxySession } from '@ferrata/proxy';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import { drawFaultPlan, World } from '@ferrata/testkit';
import { type Peer, peer, UpstreamConnector } from '@ferrata/upstream';
import { ClientActor } from './client-actor.ts';
import { Edge } from './edge.ts';
import type { Token } from './messages.ts';
import { OriginActor } from './origin-actor.ts';
import type { RequestPlan, WorldPlan } from './plan.ts';

/** What one accepted request has come to. */
export interface ExchangeRecord {
  readonly edge: Edge;
  /** Which request of its connection. */
  readonly index: number;
  readonly token: Token;
  readonly session: ProxySession;
  logged: number;
  error: WireError | null;
  status: number;
  attempts: number;
}

/** A breach of an invariant. */
export interface Breach {
  readonly invariant: string;
  readonly what: string;
}

/** Faults planted into the proxy, to see that the invariants notice. */
export interface Planted {
  readonly clientSide?: (stream: L4Stream) => L4Stream;
  readonly originSide?: (stream: L4Stream) => L4Stream;
  readonly hooks?: (hooks: ProxyHooks<ExchangeRecord>, world: World) => ProxyHooks<ExchangeRecord>;
}

/** The most bytes that had come in on one side and not gone out on the other. Says something where there is one exchange only. */
export interface Held {
  download: number;
  upload: number;
}

/** What is left of a world. */
export interface WorldReport {
  readonly plan: WorldPlan;
  readonly hash: string;
  readonly edges: readonly Edge[];
  readonly exchanges: readonly ExchangeRecord[];
  readonly clients: readonly ClientActor[];
  readonly attempts: ReadonlyMap<Token, number>;
  readonly plans: ReadonlyMap<Token, RequestPlan>;
  /** Breaches seen while it happened. */
  readonly breaches: readonly Breach[];
  readonly reused: number;
  readonly dirty: number;
  readonly refused: number;
  readonly held: Held;
  readonly trace: readonly string[];
}

/** Tokens of one client: this times its index, and one more for each request. */
const TOKENS_PER_CLIENT = 8;

/** Lets a plan happen. */
export async function runWorld(plan: WorldPlan, planted: Planted = {}): Promise<WorldReport> {
  const world = new World(plan.seed, {
    highWaterBytes: plan.highWaterBytes,
    faults: (random) => drawFaultPlan(random, { probability: plan.faultProbability }),
  });
  const breaches: Breach[] = [];
  const tell = (invariant: string, what: string): void => void breaches.push({ invariant, what });
  const edges: Edge[] = [];
  const edgeOf = new Map<StreamInfo, Edge>();
  const exchanges: ExchangeRecord[] = [];
  const held: Held = { download: 0, upload: 0 };
  const weigh = (): void => {
    // What comes after the end of the exchange is read and dropped.
    if (exchanges.some(({ logged }) => logged > 0)) return;
    let [download, upload] = [0, 0];
    for (const edge of edges) {
      const through = edge.inBytes;
      if (edge.role === 'client') [download, upload] = [download - edge.outBytes, upload + through];
      else [download, upload] = [download + through, upload - edge.outBytes];
    }
    held.download = Math.max(held.download, download);
    held.upload = Math.max(held.upload, upload);
  };
  const wrap = (role: Edge['role'], stream: L4Stream): L4Stream => {
    const edge = new Edge(role, `${role} ${edges.length}`, tell, weigh);
    edges.push(edge);
    edgeOf.set(stream.info, edge);
    return edge.wrap(stream);
  };

  const environment = new HttpEnvironment({ clock: world.clock, deadlines: world.deadlines, random: world.random });
  const connector = new UpstreamConnector({
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
  const hooks = ledgerHooks({ plan, world, exchanges, edgeOf, tell });
  let refused = 0;
  const proxy = new HttpProxy(planted.hooks?.(hooks, world) ?? hooks, { environment, connector, onRefused: () => void refused++ });
  const server = new HttpServer(proxy, { environment });
  world.listen('proxy', (stream) => {
    const edged = wrap('client', stream);
    server.accept(planted.clientSide?.(edged) ?? edged);
  });

  const plans = new Map<Token, RequestPlan>();
  const attempts = new Map<Token, number>();
  const origins: OriginActor[] = [];
  const openOrigin = (stream: L4Stream): void =>
    void origins.push(new OriginActor(world, stream, { plans, attempts, reading: plan.originReading }));
  world.listen('first', openOrigin);
  if (plan.hasSecondOrigin) world.listen('second', openOrigin);
  const clients = plan.clients.map((client, i) => {
    const firstToken = 1 + i * TOKENS_PER_CLIENT;
    for (const [j, request] of client.requests.entries()) plans.set(firstToken + j, request);
    return new ClientActor(world, client, firstToken);
  });

  await world.run();
  // I13, first half: with nobody's help every connection has come to its end by its own time-outs.
  if (server.connectionCount > 0) tell('I13', `${server.connectionCount} connections of clients never ended`);
  if (connector.connectionCount > 0)
    tell('I13', `${connector.connectionCount} connections to origins never ended (${connector.idleCount} idle)`);
  for (const edge of edges) if (!edge.isClosed && !edge.isAborted) tell('I13', `${edge.name} was never let go`);
  server.close();
  proxy.close();
  for (const actor of [...clients, ...origins]) actor.abort();
  await world.run({ forMs: 1_000 });
  const left = {
    deadlines: world.deadlines.size,
    sessions: server.connectionCount,
    connections: connector.connectionCount,
    idle: connector.idleCount,
    streams: world.openStreamCount,
    output: environment.writer.length,
  };
  if (!isDeepStrictEqual(left, { deadlines: 0, sessions: 0, connections: 0, idle: 0, streams: 0, output: 0 }))
    tell('I13', `left over: ${JSON.stringify(left)}`);

  return {
    plan,
    hash: world.trace.hash,
    edges,
    exchanges,
    clients,
    attempts,
    plans,
    breaches,
    reused: connector.counts.reused,
    dirty: connector.counts.dirty,
    refused,
    held,
    trace: world.trace.lines,
  };
}

interface LedgerOptions {
  readonly plan: WorldPlan;
  readonly world: World;
  readonly exchanges: ExchangeRecord[];
  readonly edgeOf: ReadonlyMap<StreamInfo, Edge>;
  readonly tell: (invariant: string, what: string) => void;
}

/** Hooks that keep the books, with the filters that the plan asks for. */
function ledgerHooks(options: LedgerOptions): ProxyHooks<ExchangeRecord> {
  const { plan, world, exchanges, edgeOf, tell } = options;
  const first = peer({ host: 'first', port: 80 });
  const second = peer({ host: 'second', port: 80 });
  const pause = (): Promise<void> => new Promise((resolve) => void world.clock.schedule(world.random.below(50), resolve));
  const choose = (session: ProxySession): Peer => (session.request.headers.get('host')?.startsWith('second') === true ? second : first);
  const alive = (record: ExchangeRecord, phase: string): void => {
    if (record.logged > 0) tell('I15', `${phase} of t${record.token} after its end`);
  };
  const base: ProxyHooks<ExchangeRecord> = {
    newContext: (session) => {
      const edge = edgeOf.get(session.client) as Edge;
      const index = edge.exchangeCount++;
      // I4: what came before was read whole and answered whole.
      if (edge.responses.completeCount !== index) tell('I4', `${edge.name}: request ${index + 1} before response ${index} was whole`);
      if (edge.requests.completeCount < index) tell('I4', `${edge.name}: request ${index + 1} before request ${index} was whole`);
      const token = Number(/^t(\d+)$/.exec(session.request.headers.get('x-token') ?? '')?.[1] ?? 0);
      const record: ExchangeRecord = { edge, index, token, session, logged: 0, error: null, status: 0, attempts: 0 };
      exchanges.push(record);
      return record;
    },
    upstreamPeer: (session, record) => {
      alive(record, 'upstreamPeer');
      return choose(session);
    },
    responseFilter: (_session, _response, record) => alive(record, 'responseFilter'),
    logging: (session, error, record) => {
      record.logged++;
      record.error = error;
      record.status = session.status;
      record.attempts = session.attempt;
      world.note(
        `log t${record.token} ${session.status} ${error?.reason ?? 'whole'} ${session.requestBytes} ${session.responseBytes} ${session.attempt}`,
      );
    },
  };
  const bodies: Pick<ProxyHooks<ExchangeRecord>, 'requestBodyFilter' | 'responseBodyFilter'> = {
    requestBodyFilter: (_session, chunk) => chunk,
    responseBodyFilter: (_session, chunk) => chunk,
  };
  const slowBodies: typeof bodies = {
    requestBodyFilter: (_session, chunk) => pause().then(() => chunk),
    responseBodyFilter: (_session, chunk) => pause().then(() => chunk),
  };
  switch (plan.hooks) {
    case 'none':
      return base;
    case 'bodies':
      return { ...base, ...bodies };
    case 'slowBodies':
      return { ...base, ...slowBodies };
    case 'slow':
      return {
        ...base,
        earlyRequestFilter: pause,
        requestFilter: () => pause().then(() => false),
        upstreamPeer: async (session, record) => {
          alive(record, 'upstreamPeer');
          await pause();
          return choose(session);
        },
        upstreamRequestFilter: pause,
        responseFilter: pause,
      };
  }
}
