/** Worker threads on one memory: nothing is lost, nothing is there twice, nothing is seen half. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MetricRegistry, writePrometheusText } from '@ferrata/metrics';
import { parseStrictly } from './fixtures/strict-parser.ts';

const threads = 4;

interface CountOptions {
  readonly threads: number;
  readonly rounds: number;
  readonly names: number;
}

function startCounting({ memory }: MetricRegistry, options: CountOptions): readonly Worker[] {
  const workerData = { memory, start: new SharedArrayBuffer(4), ...options };
  const file = new URL('./fixtures/counting-worker.ts', import.meta.url);
  return Array.from({ length: options.threads }, () => new Worker(file, { workerData }));
}

async function countTogether(registry: MetricRegistry, rounds: number, names: number): Promise<void> {
  const workers = startCounting(registry, { threads, rounds, names });
  for (const [code] of await Promise.all(workers.map((worker) => once(worker, 'exit')))) assert.equal(code, 0);
}

test('four threads that make the same series at once and count lose nothing, and make each series once', async () => {
  const registry = new MetricRegistry({ maxWriters: threads + 1 });
  const [rounds, names] = [10_000, 50];
  await countTogether(registry, rounds, names);
  const metrics = parseStrictly(writePrometheusText(registry.snapshot()));
  const made = metrics.filter(({ name }) => name.startsWith('made_'));
  assert.equal(made.length, 7);
  assert.equal(
    made.flatMap(({ samples }) => samples).reduce((sum, { value }) => sum + value, 0),
    threads * rounds,
  );
  for (const { samples } of made) assert.equal(samples.length, names);
  const size = registry.snapshot().find(({ name }) => name === 'size');
  assert.ok(size?.type === 'histogram');
  assert.equal(size.series.length, names);
  assert.equal(
    size.series.reduce((sum, { count }) => sum + count, 0),
    threads * rounds,
  );
  // 0 to 199, each as often.
  assert.equal(
    size.series.reduce((all, { sum }) => all + sum, 0),
    threads * rounds * 99.5,
  );
  assert.deepEqual(registry.snapshot().find(({ name }) => name === 'in_flight')?.series, [
    { labelValues: [], value: (threads * rounds) / 2 },
  ]);
});

test('the limit of series holds whatever threads race for the last places, and what is over it is counted all the same', async () => {
  const registry = new MetricRegistry({ maxWriters: threads + 1, maxSeriesPerMetric: 20 });
  const [rounds, names] = [2000, 1000];
  await countTogether(registry, rounds, names);
  const snapshot = registry.snapshot();
  for (const metric of snapshot) {
    if (!metric.name.startsWith('made_') || metric.type !== 'counter') continue;
    assert.equal(metric.series.length, 21);
    assert.deepEqual(metric.series.at(-1)?.labelValues, ['other']);
  }
  const counted = snapshot.flatMap((metric) => (metric.type === 'counter' && metric.name.startsWith('made_') ? metric.series : []));
  assert.equal(
    counted.reduce((sum, { value }) => sum + value, 0),
    threads * rounds,
  );
});

test('a thread that is terminated while it makes series leaves the others to go on, and its place to a successor', async () => {
  const registry = new MetricRegistry({ maxWriters: 2, maxSeriesPerMetric: 16_000, maxCells: 100_000, maxTextBytes: 8_000_000 });
  const [worker] = startCounting(registry, { threads: 1, rounds: 1e9, names: 2000 });
  const seriesMade = (): number => registry.snapshot().reduce((sum, { series }) => sum + series.length, 0);
  while (seriesMade() < 100) await new Promise((resolve) => void setImmediate(resolve));
  await worker?.terminate();
  const made = seriesMade();
  registry
    .gauge('after', { help: 'Made by another.', labels: ['name'] })
    .with({ name: 'a' })
    .inc();
  assert.equal(seriesMade(), made + 1);
  assert.equal(registry.releaseWriter(1, 1), true);
  assert.deepEqual(registry.snapshot().find(({ name }) => name === 'in_flight')?.series, [{ labelValues: [], value: 0 }]);
  const successor = MetricRegistry.join(registry.memory, { writer: 1 });
  successor.gauge('in_flight', { help: 'Counted by all.' }).inc();
  parseStrictly(writePrometheusText(successor.snapshot()));
  assert.deepEqual(successor.snapshot(), registry.snapshot());
});

test('a number that another thread writes is read whole', async () => {
  const registry = new MetricRegistry({ maxWriters: 2 });
  const bits = new BigInt64Array([0x3f11_2233_4455_6677n, 0x4088_99aa_bbcc_ddeen]);
  const [one = 0, other = 0] = new Float64Array(bits.buffer);
  const stop = new SharedArrayBuffer(4);
  const flag = new Int32Array(stop);
  const workerData = { memory: registry.memory, stop, numbers: [one, other] };
  const worker = new Worker(new URL('./fixtures/flipping-worker.ts', import.meta.url), { workerData });
  const exit = once(worker, 'exit');
  while (Atomics.load(flag, 0) === 0) await new Promise((resolve) => void setImmediate(resolve));
  const seen = new Set<number>();
  for (let round = 0; round < 50_000 || seen.size < 2; round++) {
    const [metric] = registry.snapshot();
    if (metric?.type === 'gauge') for (const { value } of metric.series) seen.add(value);
  }
  Atomics.store(flag, 0, 2);
  await exit;
  assert.deepEqual(seen, new Set([one, other]));
});
