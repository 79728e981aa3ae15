/**
 * What a deadline costs that never fires: armed and cancelled, or moved, once a message, among many others that are pending.
 * Baseline: the platform's own timer, made and cleared. Median of 5 rounds of user CPU time, all cases in turns.
 */
import { systemClock } from '@ferrata/clock';
import { DeadlineQueue } from '../src/index.ts';

const connections = 10_000;
const messages = 200_000;
const rounds = 5;
const delayMs = 30_000;

const deadlines = new DeadlineQueue({ clock: systemClock });
const pending = Array.from({ length: connections }, () => deadlines.after(delayMs, () => {}));
const timers = Array.from({ length: connections }, () => setTimeout(() => {}, delayMs).unref());
const ignore = (): void => {};

const cases: readonly { readonly name: string; readonly run: (message: number) => void }[] = [
  {
    name: 'setTimeout and clearTimeout',
    run(message) {
      const at = message % connections;
      clearTimeout(timers[at]);
      timers[at] = setTimeout(ignore, delayMs).unref();
    },
  },
  { name: 'timer.refresh()', run: (message) => void timers[message % connections]?.refresh() },
  {
    name: 'cancel and arm',
    run(message) {
      const deadline = pending[message % connections];
      deadline?.cancel();
      deadline?.arm(delayMs);
    },
  },
  { name: 'arm again', run: (message) => pending[message % connections]?.arm(delayMs) },
  { name: 'arm again, time known', run: (message) => pending[message % connections]?.arm(delayMs, 1000) },
  { name: 'after and cancel', run: () => deadlines.after(delayMs, ignore).cancel() },
  { name: 'only reading the clock', run: () => void systemClock.now() },
];

const samples = cases.map((): number[] => []);
for (let round = -2; round < rounds; round++) {
  for (const [index, one] of cases.entries()) {
    const start = process.cpuUsage().user;
    for (let message = 0; message < messages; message++) one.run(message);
    const ns = ((process.cpuUsage().user - start) * 1000) / messages;
    if (round >= 0) samples[index]?.push(ns);
  }
}

const medians = samples.map((one) => one.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN);
const baseline = medians[0] ?? Number.NaN;
console.log(`${connections} pending, ns an operation, ratio to the first`);
for (const [index, { name }] of cases.entries()) {
  const ns = medians[index] ?? Number.NaN;
  console.log(`${name.padEnd(30)} ${ns.toFixed(1).padStart(8)} ${(ns / baseline).toFixed(2).padStart(6)}`);
}
deadlines.close();
