/**
 * The real proxy in a world between clients and origins of both versions of HTTP.
 *
 * ```text
 *   ClientActor (1.1) ──┐                                                  ┌── OriginActor (1.1)
 *                       ├─world─ HttpServer ─ HttpProxy ─ UpstreamConnector ─world─┤
 *   Http2ClientActor  ──┘                                                  └── Http2OriginActor
 * ```
 * Nothing listens in on frames: what clients and origins have seen is compared, and what the proxy holds is weighed at its edges. Everything
 * comes from the plan, and so happens again with the plan.
 */
import type { ProxyHooks, ProxySession } from '@ferrata/proxy';
import { type L4Stream, tapped } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import { type Peer, peer } from '@ferrata/upstream';
import { ClientActor } from '../world/client-actor.ts';
import { type Breach, Edge, type TellBreach } from '../world/edge.ts';
import { isForSecond, type LedgerRecord, ledgerHooks } from '../world/ledger.ts';
import { firstTokenOf, plansByToken, type Token } from '../world/messages.ts';
import { OriginActor } from '../world/origin-actor.ts';
import type { RequestPlan } from '../world/plan.ts';
import { type Planted, ProxyUnderTest, worldOf } from '../world/proxy-under-test.ts';
import { Http2ClientActor } from './http2-client-actor.ts';
import { Http2OriginActor } from './http2-origin-actor.ts';
import type { MixedPlan } from './mixed-plan.ts';
import { type Received, receivedOf } from './records.ts';

/** What is left of a world. */
export interface MixedReport {
  readonly plan: MixedPlan;
  readonly hash: string;
  readonly records: readonly LedgerRecord[];
  readonly plans: ReadonlyMap<Token, RequestPlan>;
  readonly clients: readonly (ClientActor | Http2ClientActor)[];
  /** All requests that reached an origin. */
  readonly served: readonly Received[];
  /** Most streams that were open at an origin. */
  readonly maxOpenCount: number;
  readonly breaches: readonly Breach[];
  /** The most bytes that had come in on one side and not gone out on the other, while no exchange was over. */
  readonly heldBytes: number;
  readonly trace: readonly string[];
}

/**
 * The most that the proxy may hold for a stream that nobody reads: one window of it, what a stream of the other side may queue, a chunk on its way
 * through, and what the streams below hold.
 */
export const MAX_HELD_BYTES: number = 65_535 + 65_536 + 65_536 + 65_536;

/** Lets a plan happen. */
export async function runMixedWorld(plan: MixedPlan, planted: Planted<LedgerRecord> = {}): Promise<MixedReport> {
  const world = worldOf(plan);
  const breaches: Breach[] = [];
  const tell: TellBreach = (invariant, what) => void breaches.push({ invariant, what });
  const records: LedgerRecord[] = [];
  const edges: Edge[] = [];
  const open = new Map<L4Stream, string>();
  const scales = new Scales();
  const wrap = (role: 'client' | 'origin', stream: L4Stream): L4Stream => {
    const name = `${role} ${stream.id}`;
    open.set(stream, name);
    return tapped(stream, {
      onData: (chunk) => scales.in(role, chunk.length),
      onWrite: (chunk) => scales.out(role, chunk.length),
      onClose: () => void open.delete(stream),
      onAbort: () => void open.delete(stream),
    });
  };

  const hooks = mixedHooks({ plan, world, records, tell });
  const proxy = new ProxyUnderTest({ world, hooks, planted, wrap, server: { http2: { connection: { maxWindowBytes: 65_535 } } } });

  const plans = plansByToken(plan.clients);
  const attempts = new Map<Token, number>();
  const ledger = { plans, attempts, reading: plan.originReading };
  const origins: (OriginActor | Http2OriginActor)[] = [];
  for (const [i, name] of (['first', 'second'] as const).entries()) {
    if (i === 1 && !plan.hasSecondOrigin) continue;
    world.listen(name, (stream) => {
      if (plan.originProtocols[i] === 'http2') {
        origins.push(new Http2OriginActor(world, stream, ledger, { maxStreams: plan.maxStreams, stallsFirst: plan.stalls === 'upload' }));
        return;
      }
      const edge = new Edge(
        'client',
        `${name} ${stream.id}`,
        () => {},
        () => {},
      );
      edges.push(edge);
      origins.push(new OriginActor(world, edge.wrap(stream), ledger));
    });
  }
  const clients = plan.clients.map((client, i) =>
    plan.clientProtocols[i] === 'http2'
      ? new Http2ClientActor(world, client, firstTokenOf(i), plan.stalls === 'download')
      : new ClientActor(world, client, firstTokenOf(i)),
  );
  if (plan.drainAtMs >= 0) world.clock.schedule(plan.drainAtMs, () => void proxy.server.drain(60_000));

  await proxy.runOut(
    tell,
    () => [...clients, ...origins],
    () => open.values(),
  );
  const http2Origins = origins.filter((origin) => origin instanceof Http2OriginActor);
  return {
    plan,
    hash: world.trace.hash,
    records,
    plans,
    clients,
    served: [
      ...http2Origins.flatMap(({ requests }) => requests),
      ...edges.flatMap(({ requests }) => requests.messages.map((message) => receivedOf(message, 'request'))),
    ],
    maxOpenCount: Math.max(0, ...http2Origins.map(({ maxOpenCount }) => maxOpenCount)),
    breaches,
    heldBytes: scales.heldBytes,
    trace: world.trace.lines,
  };
}

/** Weighs what the proxy holds of bodies, by what passes at its edges. Heads and frames make a small difference. */
class Scales {
  heldBytes = 0;
  #download = 0;
  #upload = 0;

  in(role: 'client' | 'origin', bytes: number): void {
    if (role === 'client') this.#upload += bytes;
    else this.#download += bytes;
    this.heldBytes = Math.max(this.heldBytes, this.#download, this.#upload);
  }

  out(role: 'client' | 'origin', bytes: number): void {
    if (role === 'client') this.#download -= bytes;
    else this.#upload -= bytes;
  }
}

interface MixedHooksOptions {
  readonly plan: MixedPlan;
  readonly world: World;
  readonly records: LedgerRecord[];
  readonly tell: TellBreach;
}

/** Hooks that keep the books, and choose among origins of either version. */
function mixedHooks({ plan, world, records, tell }: MixedHooksOptions): ProxyHooks<LedgerRecord> {
  const { maxConnections } = plan;
  const peers = (['first', 'second'] as const).map((host, i) =>
    plan.originProtocols[i] === 'http2'
      ? peer(
          { host, port: 80 },
          { protocol: 'http2', maxConnections, pendingTimeoutMs: 60_000, http2: { connection: { maxWindowBytes: 65_535 } } },
        )
      : peer({ host, port: 80 }),
  );
  return ledgerHooks<LedgerRecord>({
    world,
    filters: plan.hooks,
    tell,
    enter: (record) => {
      records.push(record);
      return record;
    },
    choose: (session: ProxySession) => peers[isForSecond(session) ? 1 : 0] as Peer,
  });
}
