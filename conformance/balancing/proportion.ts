/** Whoever is ready gets requests in proportion to his weight, and who is not gets none: each algorithm that goes by no key, without a world around it. */
import type { Random } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import {
  LoadBalancer,
  leastRequests,
  peakEwma,
  powerOfTwo,
  roundRobin,
  type SelectionAlgorithm,
  smoothWeighted,
  weightedRandom,
} from '@ferrata/load-balancing';
import { type Outcome, outcomeOf } from '../runner.ts';

const BACKENDS = 12;
const SELECTIONS = 300_000;
const MAX_ERROR = 0.05;

const ALGORITHMS: readonly SelectionAlgorithm[] = [
  roundRobin(),
  smoothWeighted(),
  weightedRandom(),
  leastRequests(),
  powerOfTwo(),
  peakEwma(),
];

/** Selects many times with each, all backends idle. */
export async function checkProportions(random: Random): Promise<readonly Outcome[]> {
  const isSick = Array.from({ length: BACKENDS }, (_, place) => place !== 0 && random.below(3) === 0);
  const weights = Array.from({ length: BACKENDS }, () => 1 + random.below(4));
  const checks = ALGORITHMS.flatMap((algorithm) => [
    outcomeOf(`proportion/${algorithm.name}`, () =>
      problemOf(countBy(algorithm, { weights, isSick, panicThreshold: 0, random }), weights, isSick),
    ),
    // All but the first are unwell: that is not believed.
    outcomeOf(`proportion/${algorithm.name}/panic`, () =>
      problemOf(
        countBy(algorithm, { weights, isSick: weights.map((_, place) => place !== 0), panicThreshold: 0.9, random }),
        weights,
        weights.map(() => false),
      ),
    ),
  ]);
  return await Promise.all(checks);
}

interface Trial {
  readonly weights: readonly number[];
  readonly isSick: readonly boolean[];
  readonly panicThreshold: number;
  readonly random: Random;
}

function countBy(algorithm: SelectionAlgorithm, { weights, isSick, panicThreshold, random }: Trial): readonly number[] {
  using balancer = new LoadBalancer<number>({
    environment: new HttpEnvironment({ random }),
    algorithm,
    panicThreshold,
    backends: weights.map((weight, place) => ({ address: `192.0.2.${place + 1}:80`, weight, extension: place })),
  });
  for (const backend of balancer.backends)
    if (isSick[backend.extension] === true) balancer.setHealthy(backend, false, { check: 'by hand', error: new Error('unwell') });
  const counts = weights.map(() => 0);
  for (let count = 0; count < SELECTIONS; count++) {
    const chosen = balancer.select();
    if (chosen !== null) counts[chosen.extension] = (counts[chosen.extension] ?? 0) + 1;
  }
  return counts;
}

function problemOf(counts: readonly number[], weights: readonly number[], isSick: readonly boolean[]): string | null {
  const total = weights.reduce((sum, weight, place) => sum + (isSick[place] === true ? 0 : weight), 0);
  const wrong = counts.flatMap((count, place) => {
    const due = isSick[place] === true ? 0 : (SELECTIONS * (weights[place] ?? 0)) / total;
    return Math.abs(count - due) <= MAX_ERROR * due
      ? []
      : [`backend ${place} had ${count} of ${SELECTIONS}, where ${Math.round(due)} were due`];
  });
  return wrong.length === 0 ? null : wrong.join('; ');
}
