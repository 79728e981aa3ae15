/** The kinds of worlds that the suite runs: what is drawn, what happens, what must hold, and what must have come to pass. */
import fc from 'fast-check';
import type { Breach } from '../world/edge.ts';
import { breachesOf, kindBreachesOf } from '../world/invariants.ts';
import type { LedgerRecord } from '../world/ledger.ts';
import { type ClientPlan, kindWorlds, rudeWorlds, type WorldPlan } from '../world/plan.ts';
import { runWorld, type WorldReport } from '../world/proxy-world.ts';
import type { Tally } from '../world/replay.ts';
import { Http2ClientActor } from '../world-http2/http2-client-actor.ts';
import { kindMixedBreachesOf, mixedBreachesOf } from '../world-http2/mixed-invariants.ts';
import { kindMixedWorlds, type MixedPlan, rudeMixedWorlds } from '../world-http2/mixed-plan.ts';
import { type MixedReport, runMixedWorld } from '../world-http2/mixed-world.ts';
import { kindPhaseWorlds, PHASES, type Phase, type PhasePlan, rudePhaseWorlds } from '../world-phases/behaviour-plan.ts';
import { kindPhaseBreachesOf, phaseBreachesOf } from '../world-phases/phase-invariants.ts';
import { type PhaseReport, runPhaseWorld } from '../world-phases/phase-world.ts';
import { kindTunnelWorlds, rudeTunnelWorlds, type TunnelWorldPlan } from '../world-tunnels/tunnel-plan.ts';
import { kindTunnelBreachesOf, runTunnelWorld, type TunnelReport, tunnelBreachesOf } from '../world-tunnels/tunnel-world.ts';
import { comingsOf, countAnswers, countClients, countNetwork, networkFaults, RUDE_HAPPENINGS } from './happenings.ts';

/** What one world has come to. */
export interface WorldVerdict {
  readonly breaches: readonly Breach[];
  /** The last of its events, for reading. */
  readonly trace: readonly string[];
  /** Of all of its events: two worlds of one hash are the same. */
  readonly hash: string;
  /** Requests that the proxy accepted. */
  readonly requestCount: number;
}

/** One kind of worlds. */
export interface Family {
  readonly name: string;
  /** Its share of all worlds, in parts of one hundred. */
  readonly share: number;
  /** What must come to pass in some of them, by the names that are counted. */
  readonly expected: readonly string[];
  /** The same, of which it takes more worlds to see one. */
  readonly rare: readonly string[];
  /** Checks worlds of one seed, beginning at `path`; stops at the first that fails. */
  readonly check: (search: WorldSearch) => Promise<WorldFailure | null>;
}

export interface WorldSearch {
  readonly seed: number;
  /** How many. */
  readonly worlds: number;
  /** The number of the only world to run; null: all. */
  readonly only: string | null;
  readonly isShort: boolean;
  /** Whether a smaller plan that fails, too, is looked for. */
  readonly shrinks: boolean;
  /** Counts what comes to pass. */
  readonly tally: Tally;
  readonly onWorld: (verdict: WorldVerdict) => void;
}

/** A world that has failed. */
export interface WorldFailure {
  /** Which of its seed, for `--replay`. */
  readonly path: string;
  readonly why: string;
  /** The smallest plan that was found to fail. */
  readonly plan: string;
}

/** How long the smallest failing plan is looked for. */
const MAX_SHRINK_MS = 15_000;

/** Some hundred times as long as a world takes. */
const MAX_WORLD_MS = 200;

const CONNECTIONS = ['reused connections', 'dirty connections', 'refused requests'];
const STREAM_ENDS = ['whole', 'reset', 'lost', 'cancelled'].map((outcome) => `stream ${outcome}`);
const HOOKS = [...PHASES, 'modules', 'subrequests'];
const HOSTILE = PHASES.map((phase) => `hostile ${phase}`);
/** Few requests come as far as these. */
const RARE: ReadonlySet<string> = new Set(
  ['onConnectionReuse', 'failToConnect', 'upstreamResponseTrailerFilter', 'responseTrailerFilter', 'persistConnectionContext'].map(
    (phase) => `hostile ${phase}`,
  ),
);
/** Nobody fails where everybody keeps to the rules. */
const OF_FAILURES: ReadonlySet<string> = new Set<Phase>([
  'failToConnect',
  'errorWhileProxy',
  'failToProxy',
  'suppressErrorLog',
  'requestSummary',
]);
const TUNNELS = ['websocket', 'connect'].flatMap((wish) =>
  ['http1 to http1', 'http1 to http2', 'http2 to http1', 'http2 to http2'].map((way) => `${wish} ${way} made`),
);

export const FAMILIES: readonly Family[] = [
  family('http1', 36, {
    plans: rudeWorlds,
    expected: [...RUDE_HAPPENINGS, ...CONNECTIONS],
    run: async (plan, tally) => await http1World(plan, tally, breachesOf),
  }),
  family('http1-kind', 12, {
    plans: kindWorlds,
    expected: ['whole', 'reused connections'],
    run: async (plan, tally) => await http1World(plan, tally, kindBreachesOf),
  }),
  family('mixed', 14, {
    plans: rudeMixedWorlds,
    expected: [...RUDE_HAPPENINGS, ...STREAM_ENDS],
    run: async (plan, tally) => {
      const report = await runMixedWorld(plan);
      countMixed(tally, plan, report);
      return verdictOf(report, mixedBreachesOf(report));
    },
  }),
  family('mixed-kind', 6, {
    plans: kindMixedWorlds,
    expected: ['whole'],
    run: async (plan, tally) => {
      const report = await runMixedWorld(plan);
      countMixed(tally, plan, report);
      return verdictOf(report, kindMixedBreachesOf(report));
    },
  }),
  family('phases', 22, {
    plans: rudePhaseWorlds,
    expected: [...RUDE_HAPPENINGS, ...STREAM_ENDS, ...HOOKS, ...HOSTILE.filter((what) => !RARE.has(what))],
    rare: [...RARE],
    run: async (plan, tally) => {
      const report = await runPhaseWorld(plan);
      countPhases(tally, plan, report);
      return verdictOf(report, phaseBreachesOf(report));
    },
  }),
  family('phases-kind', 6, {
    plans: kindPhaseWorlds,
    expected: ['whole', ...HOOKS.filter((hook) => !OF_FAILURES.has(hook))],
    run: async (plan, tally) => {
      const report = await runPhaseWorld(plan);
      countPhases(tally, plan, report);
      return verdictOf(report, kindPhaseBreachesOf(report));
    },
  }),
  family('tunnels', 3, {
    plans: rudeTunnelWorlds,
    expected: [...TUNNELS, ...TUNNELS.map((way) => way.replace('made', 'refused')), ...networkFaults()],
    run: async (plan, tally) => {
      const report = await runTunnelWorld(plan);
      countTunnels(tally, plan, report);
      return verdictOf(report, tunnelBreachesOf(report));
    },
  }),
  family('tunnels-kind', 1, {
    plans: kindTunnelWorlds,
    expected: TUNNELS,
    run: async (plan, tally) => {
      const report = await runTunnelWorld(plan);
      countTunnels(tally, plan, report);
      return verdictOf(report, kindTunnelBreachesOf(report));
    },
  }),
];

/** How many of so many worlds in all are of a kind. */
export function worldsOf({ share }: Pick<Family, 'share'>, worlds: number): number {
  return Math.ceil((worlds * share) / 100);
}

/** What all reports have. */
interface AnyReport {
  readonly hash: string;
  readonly trace: readonly string[];
}

function verdictOf(report: AnyReport & { readonly records: readonly LedgerRecord[] }, breaches: readonly Breach[]): WorldVerdict {
  const { hash, trace, records } = report;
  return { breaches, trace, hash, requestCount: records.length };
}

async function http1World(plan: WorldPlan, tally: Tally, judge: (report: WorldReport) => readonly Breach[]): Promise<WorldVerdict> {
  const report = await runWorld(plan);
  const { trace, hash, exchanges, reused, dirty, refused } = report;
  countClients(tally, plan.clients);
  countAnswers(tally, report.plans, report.attempts);
  if (plan.faultProbability > 0) countNetwork(tally, trace);
  for (const exchange of exchanges) tally.countEnd(exchange);
  for (const [what, count] of Object.entries({ reused, dirty })) if (count > 0) tally.count(`${what} connections`, count);
  if (refused > 0) tally.count('refused requests', refused);
  return { breaches: judge(report), trace, hash, requestCount: exchanges.length };
}

function countMixed(tally: Tally, plan: MixedPlan, { trace, records, clients, plans, served }: MixedReport): void {
  countClients(tally, plan.clients);
  countAnswers(tally, plans, comingsOf(plans, served));
  if (plan.faultProbability > 0) countNetwork(tally, trace);
  for (const record of records) tally.countEnd(record);
  for (const client of clients)
    if (client instanceof Http2ClientActor) for (const { outcome } of client.requests) tally.count(`stream ${outcome}`);
}

function countPhases(tally: Tally, plan: PhasePlan, report: PhaseReport): void {
  countMixed(tally, plan, report);
  for (const [what, count] of report.books.seen) tally.count(what, count);
  if (report.moduleCount > 0) tally.count('modules', report.moduleCount);
  for (const { isSubrequest } of report.records) if (isSubrequest) tally.count('subrequests');
}

function countTunnels(tally: Tally, plan: TunnelWorldPlan, { trace, tunnels }: TunnelReport): void {
  if (plan.faultProbability > 0) countNetwork(tally, trace);
  for (const [i, { client }] of tunnels.entries())
    tally.count(`${plan.tunnels[i]?.wish} ${plan.client} to ${plan.origin} ${client === null ? 'refused' : 'made'}`);
}

/** Whatever the plans of all families have. */
interface AnyPlan {
  readonly seed: number;
  readonly clients?: readonly ClientPlan[];
}

interface FamilyParts<Plan extends AnyPlan> {
  readonly plans: fc.Arbitrary<Plan>;
  readonly expected: readonly string[];
  readonly rare?: readonly string[];
  readonly run: (plan: Plan, tally: Tally) => Promise<WorldVerdict>;
}

function family<Plan extends AnyPlan>(name: string, share: number, { plans, expected, rare = [], run }: FamilyParts<Plan>): Family {
  const short = plans.map(shortened);
  return {
    name,
    share,
    expected,
    rare,
    check: async ({ seed, worlds, only, isShort, shrinks, tally, onWorld }) => {
      const property = fc.asyncProperty(isShort ? short : plans, async (plan) => {
        const verdict = await run(plan, tally);
        onWorld(verdict);
        const { breaches, trace } = verdict;
        if (breaches.length === 0) return;
        const lines = breaches.slice(0, 5).map(({ invariant, what }) => `${invariant}: ${what.slice(0, 400)}`);
        throw new Error(`${lines.join('\n  ')}\n    ${trace.slice(-12).join('\n    ')}`);
      });
      const from = only === null ? { numRuns: worlds } : { numRuns: 1, path: only };
      const startedAt = performance.now();
      // The time is for shrinking: a batch that holds is far from it.
      const details = await fc.check(property, {
        seed,
        ...from,
        endOnFailure: !shrinks,
        plugins: [fc.interruptAfterTimeLimit(MAX_SHRINK_MS + MAX_WORLD_MS * worlds)],
      });
      if (!details.failed) {
        if (details.interrupted) throw new Error(`${details.numRuns} worlds took ${Math.round(performance.now() - startedAt)} ms`);
        return null;
      }
      const { counterexample, counterexamplePath, errorInstance } = details;
      return {
        path: counterexamplePath?.split(':')[0] ?? '0',
        why: errorInstance instanceof Error ? errorInstance.message : String(errorInstance),
        plan: JSON.stringify((counterexample as readonly unknown[] | null)?.[0]),
      };
    },
  };
}

/**
 * Fewer clients with fewer requests: most faults need no more, and many short worlds see more of them than a few long ones. A few have four requests of a client: what
 * a connection remembers is for those behind the first.
 */
function shortened<Plan extends AnyPlan>(plan: Plan): Plan {
  const { clients, seed } = plan;
  if (clients === undefined) return plan;
  const clientCount = seed % 4 === 0 ? 2 : 1;
  const requestCount = seed % 6 === 5 ? 4 : seed % 3 === 0 ? 2 : 1;
  const shorten = (client: ClientPlan): ClientPlan => ({ ...client, requests: client.requests.slice(0, requestCount) });
  return { ...plan, clients: clients.slice(0, clientCount).map(shorten) };
}
