/**
 * What it costs to leave a connection in the pool and take it again, among others that are idle.
 * Baseline: a map of arrays with a platform timer for each item, the usual way. Median of 5 rounds of user CPU time, all cases in turns after two
 * warm-up rounds.
 */
import { systemClock } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';
import { IdlePool } from '../src/index.ts';

const calls = 100_000;
const rounds = 5;
const keyCount = 100;
const idleTimeoutMs = 50_000;

interface Connection {
  timer: NodeJS.Timeout | null;
}

const keys = Array.from({ length: keyCount }, (_, i) => `10.0.0.${i}:8080`);
const connections = Array.from({ length: 500 }, (): Connection => ({ timer: null }));
const deadlines = new DeadlineQueue({ clock: systemClock });
const pool = new IdlePool<Connection>({ deadlines, idleTimeoutMs });
const loner = new IdlePool<Connection>({ deadlines, idleTimeoutMs });
const arrays = new Map<string, Connection[]>();
const ignore = (): void => {};

function putIntoArrays(key: string, connection: Connection): void {
  const list = arrays.get(key);
  if (list === undefined) arrays.set(key, [connection]);
  else list.push(connection);
  connection.timer = setTimeout(ignore, idleTimeoutMs).unref();
}

function takeFromArrays(key: string): Connection | undefined {
  const connection = arrays.get(key)?.pop();
  if (connection?.timer) clearTimeout(connection.timer);
  return connection;
}

for (const [i, connection] of connections.entries()) {
  const key = keys[i % keyCount] ?? '';
  pool.put(key, connection);
  putIntoArrays(key, connection);
}
loner.put('k', { timer: null });

interface Case {
  readonly name: string;
  readonly baseline: string;
  run(call: number): void;
}

const baseline = 'map of arrays, a timer each';
const cases: readonly Case[] = [
  {
    name: baseline,
    baseline,
    run(call) {
      const key = keys[call % keyCount] ?? '';
      const connection = takeFromArrays(key);
      if (connection !== undefined) putIntoArrays(key, connection);
    },
  },
  {
    name: 'IdlePool, 5 idle a key',
    baseline,
    run(call) {
      const key = keys[call % keyCount] ?? '';
      const connection = pool.take(key);
      if (connection !== undefined) pool.put(key, connection);
    },
  },
  {
    name: 'IdlePool, the only one of its key',
    baseline,
    run() {
      const connection = loner.take('k');
      if (connection !== undefined) loner.put('k', connection);
    },
  },
  {
    name: 'IdlePool, an idle time of its own',
    baseline,
    run(call) {
      const key = keys[call % keyCount] ?? '';
      const connection = pool.take(key);
      if (connection !== undefined) pool.put(key, connection, { idleTimeoutMs: 5000 });
    },
  },
  {
    name: 'IdlePool, put and remove',
    baseline,
    run() {
      const entry = loner.put('k', { timer: null });
      if (entry !== null) loner.remove(entry);
    },
  },
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
deadlines.close();
