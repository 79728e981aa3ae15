/** Eight threads on the same memory: no count is lost, and no limit is passed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { Estimator, Gcra, Inflight, KeyedGcra, Rate, TokenBucket } from '../src/index.ts';
import {
  churnBurst,
  churnKeys,
  churnRounds,
  type HammerData,
  type HammerResult,
  inflightMax,
  inflightRounds,
  intervalMs,
  tries,
} from './fixtures/hammer-plan.ts';

const threads = 8;
const random = seededRandom(1);
const clock = new ManualClock();
const estimator = new Estimator({ slots: 1024, random });
const inflight = new Inflight({ random });
const rate = new Rate({ intervalMs, slots: 64, clock, random });
const tokenBucket = new TokenBucket({ tokensPerSecond: 10, burst: 4000, clock });
const gcra = new Gcra({ intervalMs: 100, toleranceMs: 199_900, clock });
const keyed = new KeyedGcra({ tokensPerSecond: 10, burst: 50, maxKeys: 8, clock, random });
const churn = new KeyedGcra({ tokensPerSecond: 1000, burst: churnBurst, maxKeys: 8, clock, random });
const sync = new SharedArrayBuffer(8);
const held = new SharedArrayBuffer(inflightRounds * 4);
const taken = new SharedArrayBuffer(churnRounds * churnKeys * 4);
let results: readonly HammerResult[] = [];

before(async () => {
  const shared: Omit<HammerData, 'index'> = {
    threads,
    sync,
    held,
    taken,
    estimator: estimator.memory,
    inflight: inflight.memory,
    rate: rate.memory,
    tokenBucket: tokenBucket.memory,
    gcra: gcra.memory,
    keyed: keyed.memory,
    churn: churn.memory,
  };
  const workers = Array.from({ length: threads }, (_, index) => {
    return new Worker(new URL('fixtures/hammer.ts', import.meta.url), { workerData: { ...shared, index } satisfies HammerData });
  });
  results = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as HammerResult));
});

function sumOf(part: (result: HammerResult) => number): number {
  return results.reduce((sum, result) => sum + part(result), 0);
}

test('an estimator loses no count of eight threads', () => {
  assert.equal(estimator.estimate('everybody'), (threads * tries) / 2);
  for (let index = 0; index < threads; index++) assert.equal(estimator.estimate(`thread ${index}`), 2 * tries);
});

test('guards of eight threads give back all that they took, and never more than the limit are held at once', () => {
  assert.equal(inflight.estimate('backend'), 0);
  assert.equal(inflight.estimate('other'), 0);
  const rounds = new Int32Array(held);
  for (const [round, count] of rounds.entries()) assert.ok(count <= inflightMax, `${count} held at once in round ${round}`);
  // In all rounds eight ask for three places, and in most all three are taken: two that ask for the last at once may both be refused.
  assert.ok(rounds.filter((count) => count === inflightMax).length > inflightRounds / 10);
});

test('a rate loses no count of eight threads that find each new interval at once', () => {
  assert.deepEqual(
    results.flatMap(({ wrong }) => wrong),
    [],
  );
});

test('eight threads get exactly the burst of a token bucket', () =>
  assert.equal(
    sumOf(({ tokens }) => tokens),
    4000,
  ));

test('eight threads get exactly the tolerance of a pacer', () =>
  assert.equal(
    sumOf(({ events }) => events),
    2000,
  ));

test('each key has one bucket, however many threads bring it in at once', () => {
  for (let key = 0; key < 12; key++)
    assert.equal(
      sumOf(({ perKey }) => perKey[key] ?? 0),
      50,
      `key ${key}`,
    );
  assert.equal(keyed.fullCount, 0);
});

test('each key has one bucket in each round, while keys take each other’s places', () => {
  const wrong = [...new Int32Array(taken).entries()].filter(([, count]) => count !== churnBurst);
  assert.deepEqual(wrong, []);
  assert.equal(churn.fullCount, 0);
  // All threads have seen the same.
  for (const { replaced } of results) assert.ok(replaced > churnRounds * 2, `${replaced} replacements`);
});
