/** All scenarios, in the order in which they run. */
import type { Scenario } from './scenario.ts';
import { accessLog } from './scenarios/access-log.ts';
import { badConfigurations } from './scenarios/bad-configurations.ts';
import { badSuccessors } from './scenarios/bad-successors.ts';
import { clockJumps } from './scenarios/clock-jumps.ts';
import { growthScenario } from './scenarios/growth.ts';
import { hooks } from './scenarios/hooks.ts';
import { reloads } from './scenarios/reloads.ts';
import { scarcity } from './scenarios/scarcity.ts';
import { standstill } from './scenarios/standstill.ts';
import { stops } from './scenarios/stops.ts';
import { supervisors } from './scenarios/supervisors.ts';
import { systemFaults } from './scenarios/system-faults.ts';
import { upgrades } from './scenarios/upgrades.ts';
import { workerDeaths } from './scenarios/worker-deaths.ts';

export const SCENARIOS: readonly Scenario[] = [
  growthScenario,
  ...badSuccessors,
  ...stops,
  ...standstill,
  clockJumps,
  ...badConfigurations,
  ...scarcity,
  hooks,
  accessLog,
  ...supervisors,
  systemFaults,
  upgrades,
  reloads,
  workerDeaths,
];
