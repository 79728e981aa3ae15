/**
 * What a whole balancer costs: a choice with all that is around it, and another set of 10 000 backends while requests go on.
 *
 * A choice is `select`, and `begin` and `end` with it, in ns of CPU, beside the picker of `round-robin` alone. An update is timed at once (`update`, from the call to its end) and in slices
 * (`updateInSlices`: until the set is in force, and the longest time in which nothing else ran), the median of seven; meanwhile a timer selects.
 *
 * `pnpm bench load-balancing`
 */
import {
  type BackendInit,
  BalancerSpace,
  balancerMemory,
  ketama,
  LoadBalancer,
  maglev,
  Outcome,
  powerOfTwo,
  roundRobin,
  smoothWeighted,
} from '@ferrata/load-balancing';

const ROUNDS = 7;
const CHOICES = 200_000;

function backends(count: number, changed = -1): BackendInit<undefined>[] {
  return Array.from({ length: count }, (_, index) => ({ address: `10.${index === changed ? 9 : 0}.${index >> 8}.${index & 255}:80` }));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

function nsOf(run: () => void): number {
  const rounds: number[] = [];
  for (let round = -2; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let count = 0; count < CHOICES; count++) run();
    const { user, system } = process.cpuUsage(before);
    if (round >= 0) rounds.push(((user + system) * 1_000) / CHOICES);
  }
  return median(rounds);
}

function choices(): void {
  console.log('\na choice of a whole balancer, ns: select | select, begin, end | the same on memory for 8 threads, 4 of them there');
  for (const [algorithm, count] of [
    [roundRobin(), 3],
    [roundRobin(), 100],
    [roundRobin(), 10_000],
    [powerOfTwo(), 100],
    [ketama(), 100],
    [maglev(), 100],
  ] as const) {
    const alone = new LoadBalancer({ algorithm, backends: backends(count), maxBackends: 10_000, outliers: true });
    const memory = balancerMemory({ maxBackends: 10_000, maxThreads: 8 });
    const spaces = Array.from({ length: 4 }, () => new BalancerSpace({ memory }));
    const shared = new LoadBalancer({ space: spaces[0] as BalancerSpace, algorithm, backends: backends(count), outliers: true });
    let key = 0;
    const select = nsOf(() => void alone.select(`/path/of/some/${key++ & 1023}`));
    const flight = (balancer: LoadBalancer) => (): void => {
      const backend = balancer.select(`/path/of/some/${key++ & 1023}`);
      if (backend !== null) balancer.begin(backend).end(Outcome.success, 1);
    };
    const figures = [select, nsOf(flight(alone)), nsOf(flight(shared))].map((ns) => ns.toFixed(0).padStart(6));
    console.log(`${`${algorithm.name}, ${count}`.padEnd(24)} ${figures.join(' ns ')} ns`);
    for (const space of spaces) space.close();
  }
}

async function updates(): Promise<void> {
  console.log(
    '\nanother set of 10 000 backends: one changed, at once | in slices, longest slice | all 10 000 new, in slices, longest slice',
  );
  for (const algorithm of [roundRobin(), smoothWeighted(), powerOfTwo(), maglev(), ketama()]) {
    const balancer = new LoadBalancer({ algorithm, backends: backends(10_000), maxBackends: 30_000 });
    const atOnce: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const next = backends(10_000, round);
      const before = performance.now();
      balancer.update(next);
      atOnce.push(performance.now() - before);
    }
    const one = await sliced(balancer, (round) => backends(10_000, 100 + round));
    const all = await sliced(balancer, (round) =>
      backends(10_000).map((_, index) => ({ address: `10.${20 + round}.${index >> 8}.${index & 255}:80` })),
    );
    console.log(
      `${algorithm.name.padEnd(18)} ${ms(median(atOnce))} | ${ms(one.total)} ${ms(one.longest)} | ${ms(all.total)} ${ms(all.longest)}   ${one.selected + all.selected} choices meanwhile, ${one.failed + all.failed} without a backend`,
    );
    balancer.close();
  }
}

interface Sliced {
  readonly total: number;
  readonly longest: number;
  readonly selected: number;
  readonly failed: number;
}

async function sliced(balancer: LoadBalancer, setOf: (round: number) => BackendInit<undefined>[]): Promise<Sliced> {
  const totals: number[] = [];
  const longests: number[] = [];
  let selected = 0;
  let failed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const next = setOf(round);
    let longest = 0;
    let last = performance.now();
    let isDone = false;
    const traffic = (): void => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      for (let count = 0; count < 10; count++) {
        if (balancer.select(`key ${selected}`) === null) failed++;
        selected++;
      }
      last = performance.now();
      if (!isDone) setImmediate(traffic);
    };
    setImmediate(traffic);
    const before = performance.now();
    await balancer.updateInSlices(next);
    totals.push(performance.now() - before);
    isDone = true;
    await new Promise(setImmediate);
    longests.push(longest);
  }
  return { total: median(totals), longest: median(longests), selected, failed };
}

function ms(value: number): string {
  return `${value.toFixed(1).padStart(6)} ms`;
}

choices();
await updates();
