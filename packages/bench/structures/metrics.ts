/**
 * `metrics` beside `prom-client`, the registry that nearly every Node program uses.
 *
 * Both count the same things under the same names and labels; prom-client keeps them in one thread's objects, ours are for all threads.
 * prom-client has no series to hold on to for gauges and histograms without labels other than the metric itself, so that is what is used.
 */
import { type Counter, type Gauge, MetricRegistry, writePrometheusText } from '@ferrata/metrics';
import prom from 'prom-client';
import { median, medianRatio } from '../src/index.ts';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';

/** Calls in one measured call, so that the harness's own loop does not count. */
const batch = 1000;
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'] as const;
const statuses = ['200', '204', '301', '304', '400', '401', '403', '404', '500', '503'] as const;
/** Durations of requests in seconds, spread over ten buckets. */
const durations = Float64Array.from({ length: batch }, (_, at) => 0.001 * 2 ** ((at * 7) % 11));
const buckets = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512];
const manySeries = 1000;
/** What a peer might put into a label: more than a metric keeps by default. */
const inventedCount = 4096;
const invented = Array.from({ length: inventedCount }, (_, at) => `/path/${at}`);

export const metrics: RowBench = {
  name: 'metrics',
  async run(options) {
    // Memory first: later, what the collector frees of the other measurements would stand in its figures.
    const sizes = size(options);
    return [...counting(options), await writing(options), ...sizes];
  },
};

function counting(options: RunOptions): readonly BenchRow[] {
  const registry = new MetricRegistry();
  const theirs = new prom.Registry();
  const help = 'Measured.';
  const registers = [theirs];

  // Eight in turn: a program seldom counts the same thing twice in a row, and a loop that does lets V8 keep the count in a register.
  const totals = Array.from({ length: 8 }, (_, at) => registry.counter(`plain_${at}_total`, { help }));
  const promTotals = Array.from({ length: 8 }, (_, at) => new prom.Counter({ name: `plain_${at}_total`, help, registers }));

  const family = registry.counter('requests_total', { help, labels: ['method', 'status'] });
  const promFamily = new prom.Counter({ name: 'requests_total', help, labelNames: ['method', 'status'], registers });
  const series: Counter[] = [];
  const promSeries: prom.Counter.Internal[] = [];
  for (const method of methods) {
    for (const status of statuses) {
      series.push(family.withValues(method, status));
      promSeries.push(promFamily.labels(method, status));
    }
  }

  const paths = registry.counter('paths_total', { help, labels: ['method', 'path'] });
  const promPaths = new prom.Counter({ name: 'paths_total', help, labelNames: ['method', 'path'], registers });
  for (const path of invented) {
    paths.withValues('GET', path);
    promPaths.labels('GET', path);
  }

  const gauge = registry.gauge('connections', { help });
  const promGauge = new prom.Gauge({ name: 'connections', help, registers });
  const sharedGauge = gaugeOfSixteen();
  const histogram = registry.histogram('duration_seconds', { help, buckets });
  const promHistogram = new prom.Histogram({ name: 'duration_seconds', help, buckets, registers });

  return [
    ...compareTimes(
      {
        operation: 'counter, inc',
        ours: () => {
          for (let at = 0; at < batch; at++) (totals[at & 7] as Counter).inc();
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) (promTotals[at & 7] as prom.Counter).inc();
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 1 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'counter of 50 series held, inc',
        ours: () => {
          for (let at = 0; at < batch; at++) (series[at % 50] as Counter).inc();
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) (promSeries[at % 50] as prom.Counter.Internal).inc();
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 0.5 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'counter, labels by name looked up, inc',
        ours: () => {
          for (let at = 0; at < batch; at++) family.with({ method: methodAt(at), status: statusAt(at) }).inc();
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) promFamily.inc({ method: methodAt(at), status: statusAt(at) });
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 0.5 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'counter, labels in order looked up, inc',
        ours: () => {
          for (let at = 0; at < batch; at++) family.withValues(methodAt(at), statusAt(at)).inc();
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) promFamily.labels(methodAt(at), statusAt(at)).inc();
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 0.5 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'gauge, set, one writer',
        ours: () => {
          for (let at = 0; at < batch; at++) gauge.set(at);
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) promGauge.set(at);
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 0.5 } },
      },
      options,
    ),
    ...compareTimes(
      {
        // Setting reads what each writer has added; prom-client has one thread, whatever their number.
        operation: 'gauge, set, 16 writers',
        ours: () => {
          for (let at = 0; at < batch; at++) sharedGauge.set(at);
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) promGauge.set(at);
          },
        },
        operationsPerCall: batch,
      },
      options,
    ),
    ...compareTimes(
      {
        // Of 4096 paths ours keeps 1000, and three of four look-ups overflow; prom-client has no limit and keeps them all.
        operation: 'counter, 4096 paths looked up, 1000 kept, inc',
        ours: () => {
          for (let at = 0; at < inventedCount; at++) paths.with({ method: 'GET', path: invented[at] as string }).inc();
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < inventedCount; at++) promPaths.inc({ method: 'GET', path: invented[at] as string });
          },
        },
        operationsPerCall: inventedCount,
        bars: { 'prom-client': { maxRatio: 1 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'gauge, inc and dec',
        ours: () => {
          for (let at = 0; at < batch; at++) {
            gauge.inc();
            gauge.dec();
          }
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) {
              promGauge.inc();
              promGauge.dec();
            }
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 0.5 } },
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'histogram of 10 buckets, observe',
        ours: () => {
          for (let at = 0; at < batch; at++) histogram.observe(durations[at] as number);
        },
        peers: {
          'prom-client': () => {
            for (let at = 0; at < batch; at++) promHistogram.observe(durations[at] as number);
          },
        },
        operationsPerCall: batch,
        bars: { 'prom-client': { maxRatio: 0.5 } },
      },
      options,
    ),
  ];
}

/** A gauge of a registry that 16 writers have joined. */
function gaugeOfSixteen(): Gauge {
  const first = new MetricRegistry();
  const registries = [first, ...Array.from({ length: 15 }, () => MetricRegistry.join(first.memory))];
  const gauges = registries.map((registry) => registry.gauge('connections', { help: 'Measured.' }));
  for (const gauge of gauges) gauge.inc();
  return gauges[0] as Gauge;
}

function methodAt(at: number): string {
  return methods[at % methods.length] as string;
}

function statusAt(at: number): string {
  return statuses[at % statuses.length] as string;
}

/** The text of a thousand series. prom-client writes asynchronously, so both are measured here, in turns: processor time of the process. */
async function writing({ isQuick }: RunOptions): Promise<BenchRow> {
  const registry = ourThousand();
  const theirs = promThousand();
  const rounds = isQuick ? 3 : 15;
  const calls = isQuick ? 1 : 10;
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const ownMs = await cpuMs(calls, () => writePrometheusText(registry.snapshot()).length);
    const theirMs = await cpuMs(calls, async () => (await theirs.metrics()).length);
    // The first round warms up.
    if (round < 0) continue;
    ours.push(ownMs);
    peer.push(theirMs);
  }
  return {
    operation: 'snapshot and text of 1000 series',
    unit: 'ms',
    ours: median(ours),
    peer: 'prom-client',
    theirs: median(peer),
    ratio: medianRatio(ours, peer),
    bar: { maxRatio: 1 },
  };
}

async function cpuMs(calls: number, call: () => number | Promise<number>): Promise<number> {
  const before = process.cpuUsage();
  for (let done = 0; done < calls; done++) await call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / calls;
}

/** Memory of a counter's series in the thread that made it, and what is shared, with place for four writers; prom-client's is for one thread. */
function size({ isQuick, note }: RunOptions): readonly BenchRow[] {
  const count = isQuick ? 1000 : 50_000;
  const ours = bytesOf(() => ourSeries(count)) / count;
  const theirs = bytesOf(() => promSeries(count)) / count;
  note(
    `metrics: a registry with the default options takes ${(new MetricRegistry().memory.byteLength / 2 ** 20).toFixed(1)} MiB of address space for 16 writers.`,
  );
  return [
    {
      operation: `counter series with two labels, one of ${count}`,
      unit: 'bytes',
      ours,
      peer: 'prom-client',
      theirs,
      ratio: ours / theirs,
      bar: { maxRatio: 1 },
    },
  ];
}

function ourSeries(count: number): MetricRegistry {
  // An eighth of both is for definitions.
  const maxCells = Math.ceil((count * 8) / 7) + 8;
  const maxTextBytes = 4096 + Math.ceil((count * 8) / 7) * 48;
  const registry = new MetricRegistry({ maxCells, maxTextBytes, maxWriters: 4, maxSeriesPerMetric: count });
  const family = registry.counter('bytes_total', { help: 'Measured.', labels: ['backend', 'status'] });
  for (let at = 0; at < count; at++) family.withValues(`backend-${Math.floor(at / 10)}`, statusAt(at)).inc();
  return registry;
}

function promSeries(count: number): prom.Registry {
  const registry = new prom.Registry();
  const counter = new prom.Counter({ name: 'bytes_total', help: 'Measured.', labelNames: ['backend', 'status'], registers: [registry] });
  for (let at = 0; at < count; at++) counter.labels(`backend-${Math.floor(at / 10)}`, statusAt(at)).inc();
  return registry;
}

/** 990 series of a counter and 10 of a histogram. */
function ourThousand(): MetricRegistry {
  const registry = new MetricRegistry();
  const counter = registry.counter('answers_total', { help: 'Measured.', labels: ['backend', 'status'] });
  const histogram = registry.histogram('answer_seconds', { help: 'Measured.', buckets, labels: ['backend'] });
  for (let at = 0; at < manySeries; at++) {
    if (at % 100 === 0) histogram.with({ backend: `backend-${at}` }).observe(durations[at] as number);
    else counter.with({ backend: `backend-${at}`, status: statusAt(at) }).inc(at);
  }
  return registry;
}

function promThousand(): prom.Registry {
  const registry = new prom.Registry();
  const registers = [registry];
  const counter = new prom.Counter({ name: 'answers_total', help: 'Measured.', labelNames: ['backend', 'status'], registers });
  const histogram = new prom.Histogram({ name: 'answer_seconds', help: 'Measured.', buckets, labelNames: ['backend'], registers });
  for (let at = 0; at < manySeries; at++) {
    if (at % 100 === 0) histogram.labels(`backend-${at}`).observe(durations[at] as number);
    else counter.labels(`backend-${at}`, statusAt(at)).inc(at);
  }
  return registry;
}
