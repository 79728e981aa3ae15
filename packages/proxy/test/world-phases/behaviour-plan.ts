/** What the user of a proxy makes of it in a world: its hooks, its options, its modules. On top of the plans of worlds in which both versions of HTTP meet. */
import type { ProxyHooks } from '@ferrata/proxy';
import fc from 'fast-check';
import type { RequestPlan } from '../world/plan.ts';
import { kindMixedWorlds, type MixedPlan, rudeMixedWorlds } from '../world-http2/mixed-plan.ts';

/** A phase. */
export type Phase = keyof ProxyHooks<unknown>;

/** How a hook behaves: there is none; gives at once; gives after a while; what else it does is said by `HOSTILE` in `behaviour-hooks.ts`. */
export type Manner = 'absent' | 'sync' | 'async' | 'hostile';

/** Hooks that may be there or not. `newContext`, `upstreamPeer` and `logging` always are. */
export const PHASES = [
  'onConnectionReuse',
  'earlyRequestFilter',
  'allowSpawningSubrequest',
  'requestFilter',
  'proxyUpstreamFilter',
  'failToConnect',
  'connectedToUpstream',
  'upstreamRequestFilter',
  'requestBodyFilter',
  'errorWhileProxy',
  'adjustUpstreamModules',
  'upstreamResponseFilter',
  'upstreamResponseBodyFilter',
  'upstreamResponseTrailerFilter',
  'responseFilter',
  'responseBodyFilter',
  'responseTrailerFilter',
  'failToProxy',
  'suppressErrorLog',
  'requestSummary',
  'persistConnectionContext',
] as const satisfies readonly Phase[];

export type PlannedPhase = (typeof PHASES)[number];

/** What modules do: there are none; look on; edit bodies; answer some requests; throw. */
export type ModuleManner = 'none' | 'idle' | 'edits' | 'answers' | 'throws';

/** What the proxy asks for by itself, in `requestFilter`: nothing; another thing beside each request; its own request over again, for the answer. */
export type SubrequestManner = 'none' | 'collect' | 'respondBy';

export interface BehaviourPlan {
  readonly manners: Readonly<Record<PlannedPhase, Manner>>;
  /** Pieces of bodies are given back by `delayed`, so late; 0: at once. */
  readonly delayMs: number;
  /** Trailers become bytes. */
  readonly trailersBecomeBytes: boolean;
  readonly modules: ModuleManner;
  readonly upstreamModules: ModuleManner;
  readonly subrequests: SubrequestManner;
  /** What a subrequest may take that a hook waits for; -1: the hook does not say, and its own time-out ends the wait, with a 500. */
  readonly subrequestTimeoutMs: number;
  /** -1: for ever. */
  readonly perTryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly hedgeAfterMs: number;
  readonly maxRetries: number;
  readonly maxReplayBytes: number;
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionAgeMs: number;
  /** Every other request has connections of its own group. */
  readonly hasGroups: boolean;
}

export interface PhasePlan extends MixedPlan {
  readonly behaviour: BehaviourPlan;
}

/** The plainest, for plans written by hand. */
export const PLAIN_BEHAVIOUR: BehaviourPlan = {
  manners: Object.fromEntries(PHASES.map((phase) => [phase, 'absent'])) as Record<PlannedPhase, Manner>,
  delayMs: 0,
  trailersBecomeBytes: false,
  modules: 'none',
  upstreamModules: 'none',
  subrequests: 'none',
  subrequestTimeoutMs: -1,
  perTryTimeoutMs: -1,
  requestTimeoutMs: -1,
  hedgeAfterMs: -1,
  maxRetries: 1,
  maxReplayBytes: 65_536,
  maxConnections: 64,
  maxPending: 1_024,
  idleTimeoutMs: 50_000,
  maxConnectionAgeMs: 3_600_000,
  hasGroups: false,
};

function manners(all: readonly Manner[]): fc.Arbitrary<Readonly<Record<PlannedPhase, Manner>>> {
  return fc
    .array(fc.constantFrom(...all), { minLength: PHASES.length, maxLength: PHASES.length })
    .map((drawn) => Object.fromEntries(PHASES.map((phase, i) => [phase, drawn[i]])) as Record<PlannedPhase, Manner>);
}

const oneIn = (count: number): fc.Arbitrary<boolean> => fc.integer({ min: 0, max: count - 1 }).map((n) => n === count - 1);

const rudeBehaviours: fc.Arbitrary<BehaviourPlan> = fc.record({
  // Few are hostile at once, or no request comes far.
  manners: fc.oneof(
    { weight: 2, arbitrary: manners(['absent', 'sync', 'async']) },
    { weight: 3, arbitrary: manners(['absent', 'absent', 'sync', 'sync', 'async', 'async', 'hostile']) },
  ),
  delayMs: fc.constantFrom(0, 0, 7),
  trailersBecomeBytes: oneIn(3),
  modules: fc.constantFrom<ModuleManner>('none', 'none', 'idle', 'edits', 'answers', 'throws'),
  upstreamModules: fc.constantFrom<ModuleManner>('none', 'none', 'idle', 'edits', 'throws'),
  subrequests: fc.constantFrom<SubrequestManner>('none', 'none', 'collect', 'respondBy'),
  subrequestTimeoutMs: fc.constant(-1),
  perTryTimeoutMs: fc.constantFrom(-1, -1, -1, -1, 60, 2_000),
  requestTimeoutMs: fc.constantFrom(-1, -1, -1, -1, 150, 5_000),
  hedgeAfterMs: fc.constantFrom(-1, -1, 30, 300),
  maxRetries: fc.constantFrom(1, 0, 3),
  maxReplayBytes: fc.constantFrom(65_536, 100),
  maxConnections: fc.constantFrom(64, 1, 1, 2),
  // Few connections and a short line are what most often leaves a request without one.
  maxPending: fc.constantFrom(1_024, 0, 0, 1),
  idleTimeoutMs: fc.constantFrom(50_000, 60),
  maxConnectionAgeMs: fc.constantFrom(3_600_000, 200),
  hasGroups: oneIn(3),
});

/** Nothing that may fail a request. */
const kindBehaviours: fc.Arbitrary<BehaviourPlan> = fc.record({
  manners: manners(['absent', 'sync', 'async']),
  delayMs: fc.constantFrom(0, 0, 7),
  trailersBecomeBytes: oneIn(3),
  modules: fc.constantFrom<ModuleManner>('none', 'idle', 'edits'),
  upstreamModules: fc.constantFrom<ModuleManner>('none', 'idle', 'edits'),
  subrequests: fc.constantFrom<SubrequestManner>('none', 'none', 'collect', 'respondBy'),
  // It may stand in line behind bodies that last longer than a hook may be waited for: who waits for it says when to give it up.
  subrequestTimeoutMs: fc.constant(2_000),
  perTryTimeoutMs: fc.constant(-1),
  requestTimeoutMs: fc.constant(-1),
  hedgeAfterMs: fc.constantFrom(-1, 30, 300),
  maxRetries: fc.constantFrom(1, 3),
  maxReplayBytes: fc.constant(65_536),
  maxConnections: fc.constant(64),
  maxPending: fc.constant(1_024),
  idleTimeoutMs: fc.constant(50_000),
  maxConnectionAgeMs: fc.constant(3_600_000),
  hasGroups: oneIn(3),
});

function behaving(worlds: fc.Arbitrary<MixedPlan>, behaviours: fc.Arbitrary<BehaviourPlan>): fc.Arbitrary<PhasePlan> {
  return fc.record({ world: worlds, behaviour: behaviours }).map(({ world, behaviour }) => ({ ...world, hooks: 'none', behaviour }));
}

/** Worlds in which anything may go wrong, hooks included. */
export const rudePhaseWorlds: fc.Arbitrary<PhasePlan> = behaving(rudeMixedWorlds, rudeBehaviours);

/** Worlds in which everybody keeps to the rules. */
export const kindPhaseWorlds: fc.Arbitrary<PhasePlan> = behaving(kindMixedWorlds, kindBehaviours).map((plan) => {
  // Which of two tries answers first is a matter of chance: both answer the same.
  const once = (request: RequestPlan): RequestPlan => ({ ...request, answers: request.answers.slice(0, 1) });
  return { ...plan, clients: plan.clients.map((client) => ({ ...client, requests: client.requests.map(once) })) };
});
