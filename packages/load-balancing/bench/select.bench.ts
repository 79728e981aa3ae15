/**
 * What one pick costs, by algorithm and number of members, and what an update of one member among ten thousand costs.
 *
 * Prints ns a pick of CPU time, the median of seven rounds taken in turns, and its ratio to a baseline of the same round: a counter modulo an array, the least that a program could do. Keys are
 * paths of 19 characters, many of them, so that no cache of keys helps. `1 down` has one member excluded, `uneven` weights of 1 to 5. Peers are measured where they are installed: `hashring`
 * (a ring of MD5) beside `ketama`, the picker of undici's `BalancedPool` (round robin by weight) beside `round-robin`.
 *
 * `pnpm bench load-balancing`
 */
import { createRequire } from 'node:module';
import { seededRandom } from '@ferrata/clock';
import type { Candidates, Members, Picker, SelectionAlgorithm } from '../src/selection/algorithm.ts';
import { boundedLoad } from '../src/selection/bounded-load.ts';
import { hashed } from '../src/selection/hashed.ts';
import { ketama } from '../src/selection/ketama.ts';
import { leastRequests } from '../src/selection/least-requests.ts';
import { maglev } from '../src/selection/maglev.ts';
import { peakEwma } from '../src/selection/peak-ewma.ts';
import { powerOfTwo } from '../src/selection/power-of-two.ts';
import { roundRobin } from '../src/selection/round-robin.ts';
import { smoothWeighted } from '../src/selection/smooth-weighted.ts';
import { weightedRandom } from '../src/selection/weighted-random.ts';

const ROUNDS = 7;
const WARM_UPS = 2;
const ROUND_MS = 20;
const SIZES = [3, 100, 10_000] as const;
const KEYS = Array.from({ length: 65_536 }, (_, index) => `/objects/${Math.imul(index, 0x9e37_79b1) >>> 0}`);

/** One line of a table: does as many picks as it is told, and returns something of them. */
interface Case {
  readonly name: string;
  run(picks: number): number;
}

/** Members of which all are ready, with figures in dense arrays as a balancer keeps them. */
class BenchCandidates implements Candidates {
  readonly members: Members;
  readonly memberCount: number;
  readonly ready: Int32Array;
  readonly readyCount: number;
  readonly weights: Float64Array;
  readonly totalWeight: number;
  isPlain = true;
  readonly #underWay: Int32Array;
  readonly #latencies: Float64Array;
  #excluded = -1;

  constructor(count: number, weightOf: (member: number) => number, changed = -1) {
    this.memberCount = count;
    this.readyCount = count;
    this.ready = Int32Array.from({ length: count }, (_, member) => member);
    this.weights = Float64Array.from({ length: count }, (_, member) => weightOf(member));
    this.totalWeight = this.weights.reduce((sum, weight) => sum + weight, 0);
    this.members = { count, name: (member) => (member === changed ? '192.0.2.1:80' : nameOf(member)), weight: weightOf };
    this.#underWay = Int32Array.from({ length: count }, (_, member) => (member * 7919) % 5);
    this.#latencies = Float64Array.from({ length: count }, (_, member) => 1 + ((member * 104_729) % 20));
  }

  exclude(member: number): void {
    this.#excluded = member;
    this.isPlain = false;
  }

  isOpen(member: number): boolean {
    return member !== this.#excluded;
  }

  inflight(member: number): number {
    return this.#underWay[member] as number;
  }

  latencyMs(member: number): number {
    return this.#latencies[member] as number;
  }
}

function nameOf(member: number): string {
  return `10.${member >> 16}.${(member >> 8) & 0xff}.${member & 0xff}:8080`;
}

function built(algorithm: SelectionAlgorithm, candidates: BenchCandidates, previous: Picker | null = null): Picker {
  const steps = algorithm.build(candidates.members, { random: seededRandom(1), previous });
  let picker: Picker;
  if ('pick' in steps) picker = steps;
  else {
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    picker = step.value;
  }
  picker.refresh?.(candidates);
  return picker;
}

/** Those that go by keys; the others are asked without one. */
const KEYED = /^(?:ketama|maglev|hashed|bounded-load)/;

function caseOf(algorithm: SelectionAlgorithm, count: number, kind: 'even' | 'uneven' | '1 down'): Case {
  const isKeyed = KEYED.test(algorithm.name);
  const candidates = new BenchCandidates(count, kind === 'uneven' ? (member) => 1 + (member % 5) : () => 1);
  if (kind === '1 down') candidates.exclude(1);
  const picker = built(algorithm, candidates);
  let position = 0;
  return {
    name: kind === 'even' ? algorithm.name : `${algorithm.name}, ${kind}`,
    run(picks) {
      let sum = 0;
      for (let pick = 0; pick < picks; pick++) {
        sum += picker.pick(isKeyed ? (KEYS[position] as string) : null, candidates);
        position = (position + 1) & 0xffff;
      }
      return sum;
    },
  };
}

function counter(count: number): Case {
  const names = Array.from({ length: count }, (_, member) => nameOf(member));
  let next = 0;
  return {
    name: 'a counter modulo an array',
    run(picks) {
      let length = 0;
      for (let pick = 0; pick < picks; pick++) length += (names[next++ % names.length] as string).length;
      return length;
    },
  };
}

const require = createRequire(import.meta.url);

/** Loads a package that may not be installed. */
function ifInstalled<Module>(name: string, load: () => Module): Module | null {
  try {
    return load();
  } catch {
    console.log(`(${name} is not installed: left out)`);
    return null;
  }
}

/** What we use of `hashring`, which has no types. */
type HashRing = new (addresses: readonly string[]) => { get(key: string): string };

function hashringCases(HashRing: HashRing | null, count: number): readonly Case[] {
  // Its constructor takes seconds beyond.
  if (HashRing === null || count > 1000) return [];
  const ring = new HashRing(Array.from({ length: count }, (_, member) => nameOf(member)));
  let position = 0;
  return [
    {
      name: 'hashring',
      run(picks) {
        let length = 0;
        for (let pick = 0; pick < picks; pick++) {
          length += ring.get(KEYS[position] as string).length;
          position = (position + 1) & 0xffff;
        }
        return length;
      },
    },
  ];
}

interface Undici {
  readonly BalancedPool: new (upstreams: readonly string[], options: { factory(origin: string): object }) => Record<symbol, () => unknown>;
}

/** The picker alone, with pools that do nothing. */
function undiciCases(undici: Undici | null, count: number): readonly Case[] {
  // Adding one looks at all others.
  if (undici === null || count > 1000) return [];
  const idle = { closed: false, destroyed: false, stats: {}, on: (): object => idle };
  const pool = new undici.BalancedPool(
    Array.from({ length: count }, (_, member) => `http://${nameOf(member)}`),
    { factory: (origin) => ({ ...idle, [urlSymbol(undici)]: new URL(origin) }) },
  );
  const pick = Object.getOwnPropertySymbols(undici.BalancedPool.prototype).find(({ description }) => description === 'get dispatcher');
  if (pick === undefined) return [];
  return [
    {
      name: 'undici BalancedPool',
      run(picks) {
        let found = 0;
        for (let done = 0; done < picks; done++) if (pool[pick]?.() !== undefined) found += 1;
        return found;
      },
    },
  ];
}

/** The symbol under which undici's pools keep their origin. */
function urlSymbol(undici: Undici): symbol {
  const { Pool } = undici as unknown as { readonly Pool: new (origin: string) => object };
  return Object.getOwnPropertySymbols(new Pool('http://127.0.0.1:1')).find(({ description }) => description === 'url') ?? Symbol('url');
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** As many picks as fill a round. */
function calibrate(one: Case): number {
  for (let picks = 16; ; picks *= 2) {
    const before = cpuMs();
    sink += one.run(picks);
    if (cpuMs() - before > ROUND_MS / 2) return picks * 2;
  }
}

let sink = 0;

function compare(title: string, cases: readonly Case[]): void {
  const picks = cases.map((one) => calibrate(one));
  const figures = cases.map((): number[] => []);
  for (let round = -WARM_UPS; round < ROUNDS; round++) {
    for (const [at, one] of cases.entries()) {
      const before = cpuMs();
      sink += one.run(picks[at] as number);
      if (round >= 0) figures[at]?.push(((cpuMs() - before) * 1e6) / (picks[at] as number));
    }
  }
  console.log(`\n${title}`);
  for (const [at, { name }] of cases.entries()) {
    const own = figures[at] as number[];
    const ratio = median(own.map((value, round) => value / (figures[0]?.[round] as number)));
    console.log(`${name.padEnd(30)} ${median(own).toFixed(1).padStart(10)} ns ${`×${ratio.toFixed(1)}`.padStart(10)}`);
  }
}

/** A new set in which one member is another: all steps, and the longest. */
function updates(): void {
  console.log('\none of 10 000 members changed, median of seven: all steps, the longest step, the same without what was there before');
  const before = new BenchCandidates(10_000, () => 1);
  const after = new BenchCandidates(10_000, () => 1, 5000);
  for (const algorithm of [ketama(), maglev(), hashed(), smoothWeighted(), roundRobin()]) {
    const previous = built(algorithm, before);
    const figures = [previous, null].map((one) => Array.from({ length: ROUNDS }, () => timeSteps(algorithm, after, one)));
    const [changed, fresh] = figures.map((rounds) => ({
      all: median(rounds.map(({ all }) => all)),
      longest: median(rounds.map(({ longest }) => longest)),
    }));
    console.log(
      `${algorithm.name.padEnd(30)} ${(changed?.all ?? 0).toFixed(1).padStart(8)} ms ${(changed?.longest ?? 0).toFixed(1).padStart(6)} ms ${(fresh?.all ?? 0).toFixed(1).padStart(8)} ms`,
    );
  }
}

function timeSteps(
  algorithm: SelectionAlgorithm,
  candidates: BenchCandidates,
  previous: Picker | null,
): { readonly all: number; readonly longest: number } {
  const started = performance.now();
  const steps = algorithm.build(candidates.members, { random: seededRandom(1), previous });
  let longest = 0;
  if (!('pick' in steps)) {
    let step: IteratorResult<void, Picker>;
    do {
      const before = performance.now();
      step = steps.next();
      longest = Math.max(longest, performance.now() - before);
    } while (step.done !== true);
  }
  return { all: performance.now() - started, longest };
}

const hashRing = ifInstalled('hashring', () => require('hashring') as HashRing);
const undici = ifInstalled('undici', () => require('undici') as Undici);
for (const count of SIZES) {
  compare(`${count} members`, [
    counter(count),
    caseOf(roundRobin(), count, 'even'),
    caseOf(roundRobin(), count, 'uneven'),
    caseOf(roundRobin(), count, '1 down'),
    ...undiciCases(undici, count),
    caseOf(smoothWeighted(), count, 'even'),
    caseOf(smoothWeighted(), count, 'uneven'),
    caseOf(smoothWeighted(), count, '1 down'),
    caseOf(weightedRandom(), count, 'even'),
    caseOf(weightedRandom(), count, 'uneven'),
    caseOf(leastRequests(), count, 'even'),
    caseOf(powerOfTwo(), count, 'even'),
    caseOf(powerOfTwo(), count, 'uneven'),
    caseOf(peakEwma(), count, 'even'),
    caseOf(ketama(), count, 'even'),
    caseOf(ketama(), count, '1 down'),
    ...hashringCases(hashRing, count),
    caseOf(maglev(), count, 'even'),
    caseOf(maglev(), count, '1 down'),
    caseOf(hashed(), count, 'even'),
    caseOf(hashed({ hash: 'fnv1a32' }), count, 'uneven'),
    caseOf(boundedLoad(), count, 'even'),
  ]);
}
updates();
if (Number.isNaN(sink)) console.log(sink);
