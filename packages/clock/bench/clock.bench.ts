/**
 * What the injected clock and chance cost over the platform's own. Median of 5 rounds of user CPU time, all cases in turns after two warm-up rounds.
 */
import { ManualClock, seededRandom, systemClock, systemRandom } from '../src/index.ts';

const calls = 200_000;
const rounds = 5;
const manual = new ManualClock();
const seeded = seededRandom(1);
const ignore = (): void => {};
let sum = 0;

interface Case {
  readonly name: string;
  readonly baseline: string;
  run(call: number): void;
}

const cases: readonly Case[] = [
  { name: 'performance.now()', baseline: 'performance.now()', run: () => void (sum += performance.now()) },
  { name: 'systemClock.now()', baseline: 'performance.now()', run: () => void (sum += systemClock.now()) },
  { name: 'ManualClock.now()', baseline: 'performance.now()', run: () => void (sum += manual.now()) },
  {
    name: 'setTimeout and clearTimeout',
    baseline: 'setTimeout and clearTimeout',
    run: () => clearTimeout(setTimeout(ignore, 1000).unref()),
  },
  {
    name: 'systemClock.schedule and cancel',
    baseline: 'setTimeout and clearTimeout',
    run: () => systemClock.schedule(1000, ignore).cancel(),
  },
  { name: 'ManualClock.schedule and cancel', baseline: 'setTimeout and clearTimeout', run: () => manual.schedule(1000, ignore).cancel() },
  { name: 'Math.random()', baseline: 'Math.random()', run: () => void (sum += Math.random()) },
  { name: 'seededRandom next', baseline: 'Math.random()', run: () => void (sum += seeded.next()) },
  { name: 'seededRandom below(6)', baseline: 'Math.random()', run: () => void (sum += seeded.below(6)) },
  { name: 'systemRandom next', baseline: 'Math.random()', run: () => void (sum += systemRandom.next()) },
  { name: 'systemRandom uint32', baseline: 'Math.random()', run: () => void (sum += systemRandom.uint32()) },
];

const samples = cases.map((): number[] => []);
for (let round = -2; round < rounds; round++) {
  for (const [index, one] of cases.entries()) {
    const start = process.cpuUsage().user;
    for (let call = 0; call < calls; call++) one.run(call);
    const ns = ((process.cpuUsage().user - start) * 1000) / calls;
    if (round >= 0) samples[index]?.push(ns);
  }
}

const medians = samples.map((one) => one.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN);
for (const [index, { name, baseline }] of cases.entries()) {
  const ns = medians[index] ?? Number.NaN;
  const ratio = ns / (medians[cases.findIndex((one) => one.name === baseline)] ?? Number.NaN);
  console.log(`${name.padEnd(44)} ${ns.toFixed(1).padStart(9)} ns ${ratio.toFixed(2).padStart(7)} x ${baseline}`);
}
if (Number.isNaN(sum)) console.log(sum);
