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
import { type L4Stream, type StreamInfo, tapped } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import { type Peer, type PeerOptions, peer } from '@ferrata/upstream';
import { ClientActor } from '../world/client-actor.ts';
import { type Breach, Edge, type TellBreach } from '../world/edge.ts';
import { isForSecond, type LedgerRecord, ledgerHooks } from '../world/ledger.ts';
import { firstTokenOf, hasTunnels, plansByToken, type Token } from '../world/messages.ts';
import { OriginActor } from '../world/origin-actor.ts';
import type { RequestPlan } from '../world/plan.ts';
import { type Planted, ProxyUnderTest, type WorldProxyOptions, worldOf } from '../world/proxy-under-test.ts';
import { Http2Audit } from './http2-audit.ts';
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
  readonly setup: MixedSetup;
  readonly trace: readonly string[];
}

/** What else a world makes of its proxy. */
export interface MixedSetup {
  readonly options: WorldProxyOptions;
  /** Of both origins. */
  readonly peer: PeerOptions;
  /** Hooks around those that keep the books. */
  readonly hooks: (hooks: ProxyHooks<LedgerRecord>, world: World, tell: TellBreach) => ProxyHooks<LedgerRecord>;
  /** Requests that the proxy makes by itself. */
  readonly ownPlans: ReadonlyMap<Token, RequestPlan>;
  /** What a filter sends in place of trailers; empty: they are sent. */
  readonly lastBytes: string;
  /** An edge of the proxy and what it is for, before it carries anything. */
  readonly onEdge: (info: StreamInfo, to: Peer | null, world: World) => void;
}

const PLAIN_SETUP: MixedSetup = {
  options: {},
  peer: {},
  hooks: (hooks) => hooks,
  ownPlans: new Map(),
  lastBytes: '',
  onEdge: () => {},
};

/**
 * The most that the proxy may hold for a stream that nobody reads: one window of it, what a stream of the other side may queue, a chunk on its way
 * through, and what the streams below hold.
 */
export const MAX_HELD_BYTES: number = 65_535 + 65_536 + 65_536 + 65_536;

/** What may be sent to a client that has sent no whole request: preface and settings, or one refusal; and an answer to each frame or so. */
const MAX_UNASKED_BYTES = 512;
const MAX_UNASKED_FACTOR = 4;

/** Deadlines for each connection and each request at most. */
const DEADLINES_OF_EACH = 8;

/** Lets a plan happen. */
export async function runMixedWorld(
  plan: MixedPlan,
  planted: Planted<LedgerRecord> = {},
  setup: MixedSetup = PLAIN_SETUP,
): Promise<MixedReport> {
  const world = worldOf(plan);
  const breaches: Breach[] = [];
  const tell: TellBreach = (invariant, what) => void breaches.push({ invariant, what });
  const records: LedgerRecord[] = [];
  const edges: Edge[] = [];
  const open = new Map<L4Stream, string>();
  const scales = new Scales();
  const wrap = (role: 'client' | 'origin', stream: L4Stream, to: Peer | null): L4Stream => {
    const name = `${role} ${stream.id}`;
    open.set(stream, name);
    setup.onEdge(stream.info, to, world);
    const begin = (): Http2Audit | null => (to?.protocol === 'http1' ? null : new Http2Audit(name, role === 'origin', tell));
    let audit = begin();
    const begun = records.length;
    let [inBytes, outBytes] = [0, 0];
    const told = tapped(stream, {
      // Whoever has seen the preface hands it on to the one who reads the rest: it is told once more.
      onAttach: (head) => {
        if (head === undefined) return;
        audit = begin();
        inBytes -= head.length;
        scales.in(role, -head.length);
      },
      onData: (chunk) => {
        inBytes += chunk.length;
        scales.in(role, chunk.length);
        audit?.read(chunk);
      },
      onWrite: (chunk) => {
        outBytes += chunk.length;
        scales.out(role, chunk.length);
        audit?.wrote(chunk);
        // I18: whoever has asked for nothing yet is not sent much.
        if (role === 'client' && records.length === begun && outBytes > MAX_UNASKED_BYTES + MAX_UNASKED_FACTOR * inBytes)
          tell('I18', `${name}: ${outBytes} bytes for ${inBytes}, and no request`);
      },
      onClose: () => void open.delete(stream),
      onAbort: () => void open.delete(stream),
    });
    // I8, I9: of an origin of HTTP/1 it can be seen what is on the connection.
    if (to?.protocol !== 'http1') return told;
    return new Edge('origin', name, tell, () => {}).wrap(told);
  };

  const hooks = setup.hooks(mixedHooks({ plan, world, records, tell, peer: setup.peer }), world, tell);
  const { options } = setup;
  const server = { http2: { connection: { maxWindowBytes: 65_535 } } };
  const proxy = new ProxyUnderTest({ world, hooks, planted, wrap, tell, hasTunnels: hasTunnels(plan), server, options });

  const plans = new Map([...plansByToken(plan.clients), ...setup.ownPlans]);
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
    () => [...clients, ...origins],
    () => open.values(),
    () => {
      // I16, I13: objects are bounded too, not only bytes.
      const active = records.filter(({ logged }) => logged === 0).length;
      const most = DEADLINES_OF_EACH * (1 + open.size + active);
      if (world.deadlines.size > most) tell('I16', `${world.deadlines.size} deadlines for ${open.size} connections, ${active} requests`);
    },
  );
  for (const actor of [...clients, ...origins]) {
    // I17: windows, streams and the tables of HPACK, as the machines of the others have them.
    const problem = actor instanceof Http2ClientActor || actor instanceof Http2OriginActor ? actor.problem : null;
    if (problem !== null) tell('I17', `the proxy has broken the protocol: ${problem}`);
  }
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
    setup,
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
  readonly peer: PeerOptions;
}

/** Hooks that keep the books, and choose among origins of either version. */
function mixedHooks({ plan, world, records, tell, peer: more }: MixedHooksOptions): ProxyHooks<LedgerRecord> {
  const { maxConnections } = plan;
  const peers = (['first', 'second'] as const).map((host, i) =>
    plan.originProtocols[i] === 'http2'
      ? peer(
          { host, port: 80 },
          { protocol: 'http2', maxConnections, pendingTimeoutMs: 60_000, http2: { connection: { maxWindowBytes: 65_535 } }, ...more },
        )
      : peer({ host, port: 80 }, more),
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
