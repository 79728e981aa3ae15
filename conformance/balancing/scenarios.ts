/** What the simulated worlds are: how many requests to which backends, what goes wrong when, and who chooses. */
import { boundedLoad, ketama, leastRequests, peakEwma, powerOfTwo, roundRobin, type SelectionAlgorithm } from '@ferrata/load-balancing';
import { type BackendSize, type Behaviour, WELL } from './backends-model.ts';

/** From a time on a backend is otherwise. */
export interface Turn {
  readonly atMs: number;
  /** By its place in the list. */
  readonly place: number;
  readonly behaviour: Behaviour;
}

/** A world. */
export interface Scenario {
  readonly id: string;
  /** For people. */
  readonly title: string;
  readonly sizes: readonly BackendSize[];
  /** In the order of time. */
  readonly turns: readonly Turn[];
  /** Who chooses; by `ALGORITHMS`. */
  readonly algorithms: readonly AlgorithmId[];
  /** Requests have keys: of this many, the k-th in proportion to 1 ÷ k. 0: none. */
  readonly keys: number;
}

/** Who can choose, for legends. */
export const ALGORITHMS = {
  roundRobin: { title: 'round robin', make: (): SelectionAlgorithm => roundRobin() },
  leastRequests: { title: 'least requests', make: (): SelectionAlgorithm => leastRequests() },
  powerOfTwo: { title: 'power of two', make: (): SelectionAlgorithm => powerOfTwo() },
  peakEwma: { title: 'peak EWMA', make: (): SelectionAlgorithm => peakEwma() },
  ketama: { title: 'ketama', make: (): SelectionAlgorithm => ketama() },
  boundedLoad: { title: 'ketama, bounded', make: (): SelectionAlgorithm => boundedLoad() },
} as const;
export type AlgorithmId = keyof typeof ALGORITHMS;

/** What holds in all worlds. */
export const WORLD = {
  backends: 10,
  /** A second, at times drawn as by a Poisson process: whether answers come or not. */
  requestsPerSecond: 1_000,
  seconds: 60,
  /** What goes wrong does so from here … */
  faultFromMs: 10_000,
  /** … to here. */
  faultToMs: 50_000,
  /** Until a try without an answer is given up. */
  timeoutMs: 1_000,
  /** The share of requests that may be sent again after they may have been acted upon. */
  repeatableShare: 0.8,
  checkIntervalMs: 1_000,
  checkJitter: 0.1,
  slowStartMs: 5_000,
  outliers: { intervalMs: 5_000, baseEjectionMs: 10_000, maxLatencyFactor: 5, maxEjectedShare: 0.5 },
} as const;

const USUAL: BackendSize = { servers: 2, meanMs: 10, maxWaiting: 100 };
const KEYLESS: readonly AlgorithmId[] = ['roundRobin', 'leastRequests', 'powerOfTwo', 'peakEwma'];
const KEYED: readonly AlgorithmId[] = ['ketama', 'boundedLoad'];

/** The backend that things happen to. */
export const VICTIM = 3;

/** In (d) it is gone for so long. */
export const GONE_MS = 25_000;

const alike = (size: BackendSize): readonly BackendSize[] => Array.from({ length: WORLD.backends }, () => size);

/** From one time to another. */
function during(fault: Partial<Behaviour>, fromMs: number = WORLD.faultFromMs, toMs: number = WORLD.faultToMs): readonly Turn[] {
  return [
    { atMs: fromMs, place: VICTIM, behaviour: { ...WELL, ...fault } },
    { atMs: toMs, place: VICTIM, behaviour: WELL },
  ];
}

function flapping(everyMs: number): readonly Turn[] {
  const turns: Turn[] = [];
  for (let atMs: number = WORLD.faultFromMs; atMs < WORLD.faultToMs; atMs += 2 * everyMs)
    turns.push(...during({ refuses: true }, atMs, atMs + everyMs));
  return turns;
}

const usual = { sizes: alike(USUAL), turns: [], algorithms: KEYLESS, keys: 0 } as const;

/** The worlds. */
export const SCENARIOS: readonly Scenario[] = [
  { ...usual, id: 'well', title: 'all well' },
  { ...usual, id: 'slow', title: 'one is 10× slower', turns: during({ slowness: 10 }) },
  { ...usual, id: 'errors', title: 'one answers errors at once', turns: during({ fails: true }) },
  {
    ...usual,
    id: 'gone',
    title: 'one is gone, and returns',
    turns: during({ refuses: true }, WORLD.faultFromMs, WORLD.faultFromMs + GONE_MS),
  },
  { ...usual, id: 'flapping', title: 'one comes and goes every 5 s', turns: flapping(5_000) },
  {
    ...usual,
    id: 'unequal',
    title: 'half of them are 2× faster',
    // As much as the others together: 1 000 ÷ 16 + 1 000 ÷ 8 is 1.9 times 1 000 ÷ 10.
    sizes: Array.from({ length: WORLD.backends }, (_, place) => ({ ...USUAL, meanMs: place % 2 === 0 ? 16 : 8 })),
  },
  { ...usual, id: 'keyed', title: 'a few keys are wanted by all', algorithms: KEYED, keys: 1_000 },
];
