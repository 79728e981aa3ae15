/** What must hold of every world with hooks: all that holds of mixed worlds, and what hooks, modules and connections tell. */
import type { Breach } from '../world/edge.ts';
import { kindMixedBreachesOf, mixedBreachesOf } from '../world-http2/mixed-invariants.ts';
import type { PhaseReport } from './phase-world.ts';

/** All breaches of a world. */
export function phaseBreachesOf(report: PhaseReport): Breach[] {
  return [...report.phaseBreaches, ...mixedBreachesOf(report)];
}

/** The same where everybody keeps to the rules. */
export function kindPhaseBreachesOf(report: PhaseReport): Breach[] {
  return [...report.phaseBreaches, ...kindMixedBreachesOf(report)];
}
