/**
 * The real proxy (HttpServer, HttpProxy, UpstreamConnector) in a world between planned clients and planned origins.
 *
 * ```text
 *   ClientActor ──world── Edge ─ HttpServer ─ HttpProxy ─ UpstreamConnector ─ Edge ──world── OriginActor
 * ```
 * The edges see exactly what the proxy is told and what it does, so what the network loses beyond them is nobody's fault. Everything comes from
 * the plan, and so happens again with the plan.
 */
import type { ProxyHooks, ProxySession } from '@ferrata/proxy';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import { type Peer, peer } from '@ferrata/upstream';
import { ClientActor } from './client-actor.ts';
import { type Breach, Edge, type TellBreach } from './edge.ts';
import { isForSecond, type LedgerRecord, ledgerHooks, pause } from './ledger.ts';
import { firstTokenOf, hasTunnels, plansByToken, type Token } from './messages.ts';
import { OriginActor } from './origin-actor.ts';
import type { RequestPlan, WorldPlan } from './plan.ts';
import { type Planted, ProxyUnderTest, worldOf } from './proxy-under-test.ts';

/** What one accepted request has come to. */
export interface ExchangeRecord extends LedgerRecord {
  readonly edge: Edge;
  /** Which request of its connection. */
  readonly index: number;
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

/** Lets a plan happen. */
export async function runWorld(plan: WorldPlan, planted: Planted<ExchangeRecord> = {}): Promise<WorldReport> {
  const world = worldOf(plan);
  const breaches: Breach[] = [];
  const tell: TellBreach = (invariant, what) => void breaches.push({ invariant, what });
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

  let refused = 0;
  const hooks = edgeHooks({ plan, world, exchanges, edgeOf, tell });
  const proxy = new ProxyUnderTest({ world, hooks, planted, wrap, tell, hasTunnels: hasTunnels(plan), onRefused: () => void refused++ });

  const plans = plansByToken(plan.clients);
  const attempts = new Map<Token, number>();
  const origins: OriginActor[] = [];
  const openOrigin = (stream: L4Stream): void =>
    void origins.push(new OriginActor(world, stream, { plans, attempts, reading: plan.originReading }));
  world.listen('first', openOrigin);
  if (plan.hasSecondOrigin) world.listen('second', openOrigin);
  const clients = plan.clients.map((client, i) => new ClientActor(world, client, firstTokenOf(i)));

  await proxy.runOut(
    () => [...clients, ...origins],
    () => edges.filter((edge) => !edge.isClosed && !edge.isAborted).map(({ name }) => name),
  );
  const { reused, dirty } = proxy.connector.counts;
  return {
    plan,
    hash: world.trace.hash,
    edges,
    exchanges,
    clients,
    attempts,
    plans,
    breaches,
    reused,
    dirty,
    refused,
    held,
    trace: world.trace.lines,
  };
}

interface EdgeHooksOptions {
  readonly plan: WorldPlan;
  readonly world: World;
  readonly exchanges: ExchangeRecord[];
  readonly edgeOf: ReadonlyMap<StreamInfo, Edge>;
  readonly tell: TellBreach;
}

/** Hooks that keep the books, and know the edge of each request. */
function edgeHooks({ plan, world, exchanges, edgeOf, tell }: EdgeHooksOptions): ProxyHooks<ExchangeRecord> {
  const first = peer({ host: 'first', port: 80 });
  const second = peer({ host: 'second', port: 80 });
  const choose = (session: ProxySession): Peer => (isForSecond(session) ? second : first);
  return ledgerHooks<ExchangeRecord>({
    world,
    filters: plan.hooks,
    tell,
    enter: (record, session) => {
      const edge = edgeOf.get(session.client) as Edge;
      const index = edge.exchangeCount++;
      // I4: what came before was read whole and answered whole.
      if (edge.responses.completeCount !== index) tell('I4', `${edge.name}: request ${index + 1} before response ${index} was whole`);
      if (edge.requests.completeCount < index) tell('I4', `${edge.name}: request ${index + 1} before request ${index} was whole`);
      const exchange: ExchangeRecord = { ...record, edge, index };
      exchanges.push(exchange);
      return exchange;
    },
    choose: plan.hooks !== 'slow' ? choose : (session) => pause(world).then(() => choose(session)),
  });
}
