/** The kinds of worlds that the suite runs: what is drawn, what happens, and what must hold. */
import fc from 'fast-check';
import type { Breach } from '../world/edge.ts';
import { breachesOf, kindBreachesOf } from '../world/invariants.ts';
import { type ClientPlan, kindWorlds, rudeWorlds } from '../world/plan.ts';
import { runWorld } from '../world/proxy-world.ts';
import { kindMixedBreachesOf, mixedBreachesOf } from '../world-http2/mixed-invariants.ts';
import { kindMixedWorlds, rudeMixedWorlds } from '../world-http2/mixed-plan.ts';
import { runMixedWorld } from '../world-http2/mixed-world.ts';
import { kindPhaseWorlds, rudePhaseWorlds } from '../world-phases/behaviour-plan.ts';
import { kindPhaseBreachesOf, phaseBreachesOf } from '../world-phases/phase-invariants.ts';
import { runPhaseWorld } from '../world-phases/phase-world.ts';
import { kindTunnelWorlds, rudeTunnelWorlds } from '../world-tunnels/tunnel-plan.ts';
import { kindTunnelBreachesOf, runTunnelWorld, tunnelBreachesOf } from '../world-tunnels/tunnel-world.ts';

/** What one world has come to. */
export interface WorldVerdict {
  readonly breaches: readonly Breach[];
  /** The last of its events, for reading. */
  readonly trace: readonly string[];
  /** Requests that the proxy accepted. */
  readonly requestCount: number;
}

/** One kind of worlds. */
export interface Family {
  readonly name: string;
  /** Its share of all worlds, in parts of one hundred. */
  readonly share: number;
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

export const FAMILIES: readonly Family[] = [
  family('http1', 36, rudeWorlds, async (plan) => {
    const report = await runWorld(plan);
    return { breaches: breachesOf(report), trace: report.trace, requestCount: report.exchanges.length };
  }),
  family('http1-kind', 12, kindWorlds, async (plan) => {
    const report = await runWorld(plan);
    return { breaches: kindBreachesOf(report), trace: report.trace, requestCount: report.exchanges.length };
  }),
  family('mixed', 14, rudeMixedWorlds, async (plan) => {
    const report = await runMixedWorld(plan);
    return { breaches: mixedBreachesOf(report), trace: report.trace, requestCount: report.records.length };
  }),
  family('mixed-kind', 6, kindMixedWorlds, async (plan) => {
    const report = await runMixedWorld(plan);
    return { breaches: kindMixedBreachesOf(report), trace: report.trace, requestCount: report.records.length };
  }),
  family('phases', 22, rudePhaseWorlds, async (plan) => {
    const report = await runPhaseWorld(plan);
    return { breaches: phaseBreachesOf(report), trace: report.trace, requestCount: report.records.length };
  }),
  family('phases-kind', 6, kindPhaseWorlds, async (plan) => {
    const report = await runPhaseWorld(plan);
    return { breaches: kindPhaseBreachesOf(report), trace: report.trace, requestCount: report.records.length };
  }),
  family('tunnels', 3, rudeTunnelWorlds, async (plan) => {
    const report = await runTunnelWorld(plan);
    return { breaches: tunnelBreachesOf(report), trace: report.trace, requestCount: report.records.length };
  }),
  family('tunnels-kind', 1, kindTunnelWorlds, async (plan) => {
    const report = await runTunnelWorld(plan);
    return { breaches: kindTunnelBreachesOf(report), trace: report.trace, requestCount: report.records.length };
  }),
];

/** Whatever the plans of all families have. */
interface AnyPlan {
  readonly seed: number;
  readonly clients?: readonly ClientPlan[];
}

function family<Plan extends AnyPlan>(
  name: string,
  share: number,
  plans: fc.Arbitrary<Plan>,
  run: (plan: Plan) => Promise<WorldVerdict>,
): Family {
  const short = plans.map(shortened);
  return {
    name,
    share,
    check: async ({ seed, worlds, only, isShort, onWorld }) => {
      const property = fc.asyncProperty(isShort ? short : plans, async (plan) => {
        const verdict = await run(plan);
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

/** Fewer clients with fewer requests: most faults need no more, and many short worlds see more of them than a few long ones. */
function shortened<Plan extends AnyPlan>(plan: Plan): Plan {
  const { clients, seed } = plan;
  if (clients === undefined) return plan;
  const clientCount = seed % 4 === 0 ? 2 : 1;
  const requestCount = seed % 3 === 0 ? 2 : 1;
  const shorten = (client: ClientPlan): ClientPlan => ({ ...client, requests: client.requests.slice(0, requestCount) });
  return { ...plan, clients: clients.slice(0, clientCount).map(shorten) };
}
