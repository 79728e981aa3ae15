/**
 * What making an error costs; nearly all of it is the stack trace of `Error`. Median of 5 rounds of user CPU time, all cases in turns after two warm-up
 * rounds.
 */
import { fromNodeError, isWireError, mayRetry, protocolError } from '../src/index.ts';

const calls = 20_000;
const rounds = 5;
const thrown = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
const made = protocolError('H1_BAD_VERSION');
let kept: unknown;

interface Case {
  readonly name: string;
  readonly baseline: string;
  run(call: number): void;
}

const cases: readonly Case[] = [
  { name: 'new Error', baseline: 'new Error', run: () => void (kept = new Error('protocol H1_BAD_VERSION')) },
  { name: 'protocolError', baseline: 'new Error', run: () => void (kept = protocolError('H1_BAD_VERSION')) },
  { name: 'fromNodeError', baseline: 'new Error', run: () => void (kept = fromNodeError(thrown)) },
  { name: 'isWireError and mayRetry', baseline: 'new Error', run: () => void (kept = isWireError(made) && mayRetry(made, true)) },
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
if (kept === calls) console.log(kept);
