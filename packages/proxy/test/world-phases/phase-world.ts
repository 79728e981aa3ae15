/**
 * A world in which both versions of HTTP meet, around a proxy that is made use of in full: every hook, modules, subrequests, tries with time-outs
 * and side by side, connections that are few, short-lived and of several identities.
 */
import type { WireError } from '@ferrata/error';
import type { ProxyHooks } from '@ferrata/proxy';
import type { StreamInfo } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import { type Peer, type PeerOptions, peer } from '@ferrata/upstream';
import type { Breach, TellBreach } from '../world/edge.ts';
import { isForSecond, type LedgerRecord } from '../world/ledger.ts';
import { plansByToken } from '../world/messages.ts';
import { hasStrays } from '../world/plan.ts';
import type { Planted } from '../world/proxy-under-test.ts';
import { type MixedReport, type MixedSetup, runMixedWorld } from '../world-http2/mixed-world.ts';
import { behaviourHooks, PhaseBooks, type PhaseRecord } from './behaviour-hooks.ts';
import { ModuleBook } from './behaviour-modules.ts';
import type { BehaviourPlan, PhasePlan } from './behaviour-plan.ts';
import { LAST_BYTES, ownPlansOf } from './own-requests.ts';

export interface PhaseReport extends MixedReport {
  readonly books: PhaseBooks;
  /** Breaches that only hooks, modules and connections can tell of. */
  readonly phaseBreaches: readonly Breach[];
  readonly moduleCount: number;
}

/** Hooks may not be waited for longer. */
const HOOK_TIMEOUT_MS = 3_000;

/** The share of requests that may be retries, and how many always may: the defaults. */
const RETRY_SHARE = 0.2;
const LEAST_RETRIES = 3;

/** Lets a plan happen. */
export async function runPhaseWorld(plan: PhasePlan, planted: Planted<LedgerRecord> = {}): Promise<PhaseReport> {
  const { behaviour } = plan;
  const breaches: Breach[] = [];
  const tell: TellBreach = (invariant, what) => void breaches.push({ invariant, what });
  const books = new PhaseBooks();
  const modules = new ModuleBook(tell);
  const connections = new Connections(tell, behaviour);
  const plans = plansByToken(plan.clients);
  const setup: MixedSetup = {
    options: {
      hookTimeoutMs: HOOK_TIMEOUT_MS,
      maxRetries: behaviour.maxRetries,
      maxReplayBytes: behaviour.maxReplayBytes,
      retryShare: RETRY_SHARE,
      modules: modules.kinds(behaviour.modules, 'module'),
      upstreamModules: modules.kinds(behaviour.upstreamModules, 'upstream module'),
      onError: (_summary, error) => {
        books.note('onError');
        if (error.source === 'downstream') tell('I12', `a fault of a client is called an error of ours: ${error.message}`);
      },
      onHookFailed: () => books.note('onHookFailed'),
      ...timesOf(behaviour),
    },
    peer: connections.peerOptions,
    hooks: (base, world) => {
      const grouped = { ...base, upstreamPeer: chooser(plan, connections.peerOptions, base) };
      const strays = hasStrays(plans.values());
      const hooks = behaviourHooks(grouped, { world, plan: behaviour, books, hasStrays: strays, tell });
      return watched(hooks, { world, books, connections, tell });
    },
    ownPlans: ownPlansOf(plans.keys()),
    lastBytes:
      behaviour.trailersBecomeBytes && behaviour.manners.responseTrailerFilter !== 'absent'
        ? Buffer.from(LAST_BYTES).toString('latin1')
        : '',
    onEdge: (info, to, world) => connections.open(info, to, world.clock.now()),
  };
  const report = await runMixedWorld(plan, planted, setup);
  modules.settle();
  connections.settle();
  for (const [record, known] of books.records) checkEnd(record, known, behaviour, tell);
  return { ...report, books, phaseBreaches: breaches, moduleCount: modules.count };
}

function timesOf({ perTryTimeoutMs, requestTimeoutMs, hedgeAfterMs }: BehaviourPlan): MixedSetup['options'] {
  const given = Object.entries({ perTryTimeoutMs, requestTimeoutMs, hedgeAfterMs }).filter(([, ms]) => ms >= 0);
  return Object.fromEntries(given) as MixedSetup['options'];
}

/** Of each origin there are two peers that share nothing, if the plan says so. */
function chooser(plan: PhasePlan, more: PeerOptions, base: ProxyHooks<LedgerRecord>): ProxyHooks<LedgerRecord>['upstreamPeer'] {
  if (!plan.behaviour.hasGroups) return base.upstreamPeer;
  const peers = (['first', 'second'] as const).map((host, i) =>
    ['one', 'other'].map((group) => peer({ host, port: 80 }, { ...more, group, protocol: plan.originProtocols[i] as 'http1' | 'http2' })),
  );
  return (session, record) => peers[isForSecond(session) ? 1 : 0]?.[record.token % 2] as Peer;
}

interface Watching {
  readonly world: World;
  readonly books: PhaseBooks;
  readonly connections: Connections;
  readonly tell: TellBreach;
}

/** I8, I14: around the hooks, whatever they are. */
function watched(hooks: ProxyHooks<LedgerRecord>, { world, books, connections, tell }: Watching): ProxyHooks<LedgerRecord> {
  const retrying = new Set<LedgerRecord>();
  return {
    ...hooks,
    upstreamPeer: (session, record) => {
      const { unreachable } = books.records.get(record) as PhaseRecord;
      const isRetry = session.attempt - 1 - session.refusedCount - unreachable > 0;
      if (isRetry && !retrying.has(record)) {
        const active = [...books.records.keys()].filter(({ logged }) => logged === 0).length;
        const held = [...retrying].filter(({ logged }) => logged === 0).length;
        // I14: retries are a small share of what is active.
        if (held >= Math.max(LEAST_RETRIES, active * RETRY_SHARE))
          tell('I14', `t${record.token} is the ${held + 1}. retry of ${active} requests`);
        retrying.add(record);
      }
      return hooks.upstreamPeer(session, record);
    },
    failToConnect: (session, to, error, record) => {
      if (hooks.failToConnect !== undefined) return hooks.failToConnect(session, to, error, record);
      (books.records.get(record) as PhaseRecord).unreachable++;
      return undefined;
    },
    connectedToUpstream: (session, connection, record) => {
      connections.use(connection.info, session.peer, connection.isReused, world.clock.now());
      return hooks.connectedToUpstream?.(session, connection, record);
    },
  };
}

interface KnownConnection {
  readonly to: Peer;
  readonly openedAt: number;
  uses: number;
  /** When it was last seen to be used. */
  usedAt: number;
  opened: number;
  closed: number;
}

/** I8, I12: connections to origins: whose they are, how old, and that each has one beginning and one end. */
class Connections {
  readonly peerOptions: PeerOptions;
  readonly #tell: TellBreach;
  readonly #plan: BehaviourPlan;
  readonly #known = new Map<StreamInfo, KnownConnection>();

  constructor(tell: TellBreach, plan: BehaviourPlan) {
    this.#tell = tell;
    this.#plan = plan;
    const { maxConnections, maxPending, idleTimeoutMs, maxConnectionAgeMs } = plan;
    this.peerOptions = {
      ...(maxConnections === 64 ? {} : { maxConnections }),
      maxPending,
      idleTimeoutMs,
      maxConnectionAgeMs,
      pendingTimeoutMs: 60_000,
      http2: { connection: { maxWindowBytes: 65_535 } },
      tracer: {
        onConnected: (info) => this.#count(info, 'opened'),
        onDisconnected: (info: StreamInfo, _error: WireError | null) => this.#count(info, 'closed'),
      },
    };
  }

  open(info: StreamInfo, to: Peer | null, now: number): void {
    if (to !== null) this.#known.set(info, { to, openedAt: now, uses: 0, usedAt: now, opened: 0, closed: 0 });
  }

  use(info: StreamInfo, to: Peer | null, isReused: boolean, now: number): void {
    const known = this.#known.get(info);
    if (known === undefined) {
      this.#tell('I8', 'a connection is used that nobody has made');
      return;
    }
    if (known.to.key !== to?.key) this.#tell('I8', `a connection to ${known.to.key} is used for ${to?.key}`);
    if (!isReused && known.uses > 0 && known.to.protocol === 'http1') known.uses = 0;
    if (isReused && known.closed > 0) this.#tell('I8', 'a connection is used that has ended');
    // Ages are spread a little (10 %) beyond what is said.
    const age = now - known.openedAt;
    if (isReused && age > 1.1 * this.#plan.maxConnectionAgeMs + SLACK_MS) this.#tell('I8', `a connection is used at the age of ${age} ms`);
    known.uses++;
    known.usedAt = now;
  }

  settle(): void {
    // One that stands when nobody wants it any more is dropped before anybody is told.
    for (const { to, opened, closed } of this.#known.values())
      if (opened > 1 || closed !== opened) this.#tell('I12', `a connection to ${to.key} began ${opened} times, and ended ${closed} times`);
  }

  #count(info: StreamInfo, what: 'opened' | 'closed'): void {
    const known = this.#known.get(info);
    if (known === undefined) this.#tell('I12', `a connection is ${what} that nobody has made`);
    else known[what]++;
  }
}

/** Deadlines are kept in ticks. */
const SLACK_MS = 60;

/** I19: a request has its answer, or its failure, in the time that it has. */
function checkEnd(record: LedgerRecord, { session, startedAt, failedAt }: PhaseRecord, plan: BehaviourPlan, tell: TellBreach): void {
  const { requestTimeoutMs } = plan;
  if (requestTimeoutMs < 0 || record.error === null || Number.isNaN(failedAt) || !Number.isNaN(session.timing.respondedAt)) return;
  const ms = failedAt - startedAt;
  if (ms > requestTimeoutMs + SLACK_MS) tell('I19', `t${record.token} failed after ${ms} ms, and had ${requestTimeoutMs}`);
}
