import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Counter,
  defaultBuckets,
  type HistogramSeries,
  MetricRegistry,
  type MetricRegistryOptions,
  type MetricSnapshot,
} from '@ferrata/metrics';
import { interruptAt } from './fixtures/interleave.ts';

const help = 'For a test.';
const small = { maxCells: 64, maxTextBytes: 4096, maxWriters: 4 } as const;

/** The values of a metric's series by their label values, joined by a comma. */
function valuesOf(registry: MetricRegistry, name: string): Readonly<Record<string, number>> {
  const metric = registry.snapshot().find((each) => each.name === name);
  assert.ok(metric !== undefined, `${name} is in the snapshot`);
  assert.notEqual(metric.type, 'histogram');
  return Object.fromEntries(
    (metric as Exclude<MetricSnapshot, { type: 'histogram' }>).series.map((series) => [series.labelValues.join(','), series.value]),
  );
}

test('a snapshot holds every metric by name, with its definition and its series by label values', () => {
  const registry = new MetricRegistry(small);
  registry.counter('sent_bytes_total', { help, unit: 'bytes' }).inc(10);
  const queue = registry.gauge('queue_length', { help, labels: ['name'] });
  queue.with({ name: 'b' }).set(2);
  queue.with({ name: 'a' }).inc(3);
  const size = registry.histogram('size', { help, buckets: [1, 2] });
  for (const value of [1, 1.5, 2, 7]) size.observe(value);
  assert.deepEqual(registry.snapshot(), [
    {
      name: 'queue_length',
      help,
      unit: '',
      labels: ['name'],
      type: 'gauge',
      series: [
        { labelValues: ['a'], value: 3 },
        { labelValues: ['b'], value: 2 },
      ],
    },
    { name: 'sent_bytes_total', help, unit: 'bytes', labels: [], type: 'counter', series: [{ labelValues: [], value: 10 }] },
    {
      name: 'size',
      help,
      unit: '',
      labels: [],
      type: 'histogram',
      buckets: [1, 2],
      series: [{ labelValues: [], cumulativeCounts: [1, 3, 4], count: 4, sum: 11.5 }],
    },
  ]);
});

test('a metric is defined as often as one likes: the same series counts on', () => {
  const registry = new MetricRegistry(small);
  const define = (): Counter => registry.counter('a_total', { help });
  define().inc();
  define().inc();
  const family = registry.counter('b_total', { help, labels: ['x'] });
  assert.equal(registry.counter('b_total', { help, labels: ['x'] }), family);
  assert.equal(family.with({ x: 'y' }), family.withValues('y'));
  assert.deepEqual([family.name, family.labels], ['b_total', ['x']]);
  assert.deepEqual(valuesOf(registry, 'a_total'), { '': 2 });
});

test('a name that is taken by another metric is a TypeError that says what differs', () => {
  const registry = new MetricRegistry(small);
  registry.counter('a_total', { help, labels: ['x', 'y'] });
  registry.histogram('size', { help, buckets: [1, 2] });
  registry.gauge('length_bytes', { help, unit: 'bytes' });
  const refused: readonly (readonly [() => unknown, RegExp])[] = [
    [() => registry.counter('a_total', { help, labels: ['y', 'x'] }), /with labels \["x","y"\], not \["y","x"\]/],
    [() => registry.counter('a_total', { help }), /with labels/],
    [() => registry.counter('a_total', { help, labels: ['x', 'y'], maxSeries: 7 }), /with maxSeries 1000, not 7/],
    [() => registry.gauge('size', { help }), /with type "histogram", not "gauge"/],
    [() => registry.histogram('size', { help, buckets: [1, 3] }), /with buckets \[1,2\], not \[1,3\]/],
    [() => registry.gauge('length_bytes', { help }), /with unit "bytes", not ""/],
    // Not the same name, but samples or families that would have one.
    [() => registry.gauge('size_count', { help }), /size_count would have a name in common with size/],
    [() => registry.gauge('a', { help }), /a would have a name in common with a_total/],
  ];
  for (const [define, message] of refused) assert.throws(define, { name: 'TypeError', message });
  assert.doesNotThrow(() => registry.gauge('length_bytes', { help: 'Said otherwise.', unit: 'bytes' }));
});

test('names that Prometheus or OpenMetrics would refuse are a TypeError', () => {
  const registry = new MetricRegistry(small);
  for (const name of ['', '1a', 'a-b', 'a:b', 'é', 'a_total', '__proto__ ', 'ferrata_metrics_x']) {
    assert.throws(() => registry.gauge(name, { help }), TypeError, name);
  }
  for (const name of ['a', '_total', 'ferrata_metrics_overflow_total'])
    assert.throws(() => registry.counter(name, { help }), TypeError, name);
  assert.throws(() => registry.gauge('a', { help, unit: 'seconds' }), { name: 'TypeError', message: /must end with its unit, seconds/ });
  assert.throws(() => registry.counter('a_total_seconds', { help, unit: 'seconds' }), TypeError);
  assert.throws(() => registry.gauge('a', { help: 1 as unknown as string }), { name: 'TypeError', message: /^help of a / });
  for (const label of ['', '1', 'a-b', '__name__', '__proto__', 'é']) {
    assert.throws(() => registry.gauge('a', { help, labels: [label] }), { name: 'TypeError', message: /label/ });
  }
  assert.throws(() => registry.gauge('a', { help, labels: ['x', 'x'] }), { name: 'TypeError', message: /label x is there twice/ });
  assert.throws(() => registry.histogram('a', { help, labels: ['le'] }), { name: 'TypeError', message: /label le/ });
  assert.throws(() => registry.gauge(1 as unknown as string, { help }), TypeError);
  assert.throws(() => registry.gauge('a', { help, labels: [1 as unknown as string] }), TypeError);
  assert.deepEqual(registry.snapshot(), []);
});

test('metrics and labels may have the names of what every object has', () => {
  const registry = new MetricRegistry(small);
  const family = registry.gauge('constructor', { help, labels: ['hasOwnProperty', 'constructor'] });
  family.with({ hasOwnProperty: '__proto__', constructor: 'toString' }).set(1);
  registry.gauge('__proto__', { help }).set(2);
  assert.deepEqual(valuesOf(registry, 'constructor'), { '__proto__,toString': 1 });
  assert.deepEqual(valuesOf(registry, '__proto__'), { '': 2 });
});

test('label values are any text: no two combinations are mistaken for each other', () => {
  const registry = new MetricRegistry(small);
  const family = registry.counter('a_total', { help, labels: ['x', 'y'] });
  const pairs = [
    ['', ''],
    ['a', ''],
    ['', 'a'],
    ['a,b', 'c'],
    ['a', 'b,c'],
    ['"', '\\'],
    ['\0', '\n'],
    ['__proto__', 'constructor'],
  ] as const;
  for (const [at, [x, y]] of pairs.entries()) family.with({ x, y }).inc(at + 1);
  for (const [x, y] of pairs) family.withValues(x, y).inc(100);
  const [metric] = registry.snapshot();
  assert.deepEqual(
    new Set(metric?.type === 'counter' ? metric.series.map(({ labelValues, value }) => JSON.stringify([...labelValues, value])) : []),
    new Set(pairs.map(([x, y], at) => JSON.stringify([x, y, at + 101]))),
  );
});

test('a number is a label value too, and the same as its text', () => {
  const registry = new MetricRegistry(small);
  const family = registry.counter('a_total', { help, labels: ['status'] });
  assert.equal(family.with({ status: 200 }), family.with({ status: '200' }));
  assert.equal(family.withValues(200), family.withValues('200'));
});

test('label values that become the same in UTF-8 are one series', () => {
  const registry = new MetricRegistry(small);
  const family = registry.counter('a_total', { help, labels: ['x'] });
  for (const x of ['\ud800', '\udfff', '\ufffd']) family.with({ x }).inc();
  assert.deepEqual(valuesOf(registry, 'a_total'), { '\ufffd': 3 });
});

test('a label value that is missing or no text is a TypeError that names the label', () => {
  const registry = new MetricRegistry(small);
  const family = registry.counter('a_total', { help, labels: ['x', 'constructor'] });
  const values = (given: unknown): { x: string; constructor: string } => given as { x: string; constructor: string };
  assert.throws(() => family.with(values({ x: 'a' })), { name: 'TypeError', message: /label constructor .* not function/ });
  assert.throws(() => family.with(values({ constructor: 'a' })), { name: 'TypeError', message: /label x .* not undefined/ });
  assert.throws(() => family.withValues('a', null as unknown as string), { name: 'TypeError', message: /label constructor .* not null/ });
  const tooFew: (...given: string[]) => Counter = family.withValues.bind<(...given: string[]) => Counter>(family);
  assert.throws(() => tooFew('a'), { name: 'TypeError', message: 'a_total has 2 labels (x, constructor), not 1' });
  assert.throws(() => tooFew('a', 'b', 'c'), TypeError);
  assert.deepEqual(valuesOf(registry, 'a_total'), {});
});

test('above its limit, what is new to a metric is counted in the overflow series, and how often is told', () => {
  const registry = new MetricRegistry({ ...small, maxSeriesPerMetric: 2 });
  const family = registry.counter('a_total', { help, labels: ['x', 'y'] });
  family.with({ x: '1', y: 'p' }).inc();
  family.with({ x: '2', y: 'p' }).inc();
  assert.deepEqual(valuesOf(registry, 'a_total'), { '1,p': 1, '2,p': 1 });
  for (let x = 3; x < 103; x++) family.with({ x, y: 'p' }).inc(2);
  family.with({ x: '1', y: 'p' }).inc();
  assert.deepEqual(valuesOf(registry, 'a_total'), { '1,p': 2, '2,p': 1, 'other,other': 200 });
  assert.deepEqual(valuesOf(registry, 'ferrata_metrics_overflow_total'), { a_total: 100 });
  const more = registry.counter('b_total', { help, labels: ['x'], maxSeries: 3 });
  for (let x = 0; x < 5; x++) more.with({ x }).inc();
  assert.deepEqual(valuesOf(registry, 'b_total'), { 0: 1, 1: 1, 2: 1, other: 2 });
});

/** Fills a registry with what a peer might choose, until everything new overflows. */
function flood(registry: MetricRegistry, valueOf: (at: number) => string): void {
  const labels = ['x'] as const;
  const families = ['one_seconds', 'two_seconds', 'three_seconds', 'four_seconds', 'five_seconds'].map((name) =>
    registry.histogram(name, { help, labels }),
  );
  for (let at = 0; at < registry.config.maxSeriesPerMetric; at++) for (const family of families) family.with({ x: valueOf(at) }).observe(1);
}

test('whatever label values peers choose, metrics that fit into an eighth of the registry can be defined afterwards', () => {
  const long = (at: number): string => '\u0001'.repeat(120) + String(at).padStart(8, '0');
  // In turn numbers and text are what runs out, with the defaults as well as in small ones.
  const all: readonly MetricRegistryOptions[] = [
    {},
    { maxTextBytes: 200_000 },
    { maxCells: 1024, maxTextBytes: 65_536 },
    { maxCells: 100_000, maxTextBytes: 32_768 },
  ];
  for (const options of all) {
    const registry = new MetricRegistry({ ...options, maxWriters: 1 });
    flood(registry, String);
    flood(registry, long);
    const overflows = valuesOf(registry, 'ferrata_metrics_overflow_total');
    assert.equal(Object.keys(overflows).length, 5);
    const { maxCells, maxTextBytes } = registry.config;
    // The definition of a histogram with default buckets takes 15 numbers; this one's text, 8 bytes beside.
    const text = ['histogram', 'later_000_seconds', help, 'seconds', [], [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], 1000];
    const bytes = 12 + 2 * JSON.stringify(text).length + 2;
    const room = Math.floor(Math.min(maxCells / 15, maxTextBytes / bytes) / 8);
    assert.ok(room >= 8);
    for (let at = 0; at < Math.min(room, 1000); at++) {
      const name = `later_${String(at).padStart(3, '0')}_seconds`;
      registry.histogram(name, { help, unit: 'seconds' }).observe(1);
    }
    assert.equal(registry.snapshot().filter(({ name }) => name.startsWith('later_')).length, Math.min(room, 1000));
  }
});

test('with the defaults, one metric with all the series it may have leaves most of the room to others', () => {
  const registry = new MetricRegistry({ maxWriters: 1 });
  const { maxCells, maxTextBytes, maxSeriesPerMetric, maxLabelLength } = registry.config;
  assert.ok(maxSeriesPerMetric * (defaultBuckets.length + 2) < maxCells / 4);
  assert.ok(maxSeriesPerMetric * (12 + 2 * maxLabelLength + 2) < maxTextBytes / 4);
  const greedy = registry.histogram('greedy_seconds', { help, labels: ['x'] });
  for (let at = 0; at < 2000; at++) greedy.with({ x: '\u0001'.repeat(124) + String(at).padStart(4, '0') }).observe(1);
  const modest = registry.histogram('modest_seconds', { help, labels: ['x'] });
  for (let at = 0; at < 1000; at++) modest.with({ x: at }).observe(1);
  assert.deepEqual(valuesOf(registry, 'ferrata_metrics_overflow_total'), { greedy_seconds: 1000 });
});

test('label values take the same room whatever their characters are', () => {
  const made = ['v', '\u0001', '"', '\u4e00'].map((character) => {
    const registry = new MetricRegistry({ ...small, maxCells: 1024 });
    const family = registry.counter('a_total', { help, labels: ['x'] });
    for (let at = 0; at < 100; at++) family.with({ x: character.repeat(100) + String(at).padStart(4, '0') }).inc();
    return registry.snapshot()[0]?.series.length;
  });
  assert.deepEqual(made, [made[0], made[0], made[0], made[0]]);
  // 7/8 of 4096 bytes, less the definition; 12 + 2 + 2 × 104 bytes each, rounded up to 4; and the overflow.
  const definition = 8 + 2 * (2 + JSON.stringify(['counter', 'a_total', help, '', ['x'], [], 1000]).length);
  assert.equal(made[0], Math.floor((3584 - definition) / 224) + 1);
});

test('a look-up above the limit asks nobody, since limits that are reached stay so', () => {
  const [one, two] = pair();
  const family = one.counter('a_total', { help, labels: ['x'], maxSeries: 2 });
  for (const x of ['1', '2'])
    two
      .counter('a_total', { help, labels: ['x'], maxSeries: 2 })
      .with({ x })
      .inc();
  family.with({ x: '2' }).inc();
  const wasAsked = interruptAt(
    0,
    () => {
      family.with({ x: 'new' }).inc();
      family.with({ x: '1' }).inc();
    },
    () => {},
  );
  assert.equal(wasAsked, false);
  assert.deepEqual(valuesOf(two, 'a_total'), { 1: 2, 2: 2, other: 1 });
});

test('a label value above the longest is counted in the overflow series', () => {
  const registry = new MetricRegistry({ ...small, maxLabelLength: 4 });
  const family = registry.gauge('a', { help, labels: ['x'] });
  family.with({ x: 'four' }).set(1);
  family.with({ x: 'fives' }).set(2);
  family.with({ x: 'x'.repeat(1e6) }).inc();
  assert.deepEqual(valuesOf(registry, 'a'), { four: 1, other: 3 });
});

test('labels that are "other" of themselves share the overflow series, and are no overflow', () => {
  const registry = new MetricRegistry({ ...small, maxSeriesPerMetric: 2 });
  const family = registry.counter('a_total', { help, labels: ['x', 'y'] });
  const other = family.with({ x: 'other', y: 'other' });
  other.inc(1);
  assert.equal(family.with({ x: 'other', y: 'other' }), other);
  assert.deepEqual(
    registry.snapshot().map(({ name }) => name),
    ['a_total'],
  );
  family.with({ x: 'other', y: 'b' }).inc(100);
  family.with({ x: 'c', y: 'd' }).inc(10);
  assert.equal(registry.snapshot()[0]?.series.length, 2);
  assert.deepEqual(valuesOf(registry, 'a_total'), { 'other,b': 100, 'other,other': 11 });
});

test('when numbers or text run out, all metrics overflow and none throws', () => {
  for (const options of [{ maxCells: 40 }, { maxTextBytes: 1024 }] as const) {
    const registry = new MetricRegistry({ ...small, ...options });
    const counters = registry.counter('a_total', { help, labels: ['x'] });
    const histograms = registry.histogram('size', { help, labels: ['x'], buckets: [1, 2, 3] });
    for (let x = 0; x < 100; x++) {
      counters.with({ x: `value-${x}` }).inc();
      histograms.with({ x: `value-${x}` }).observe(x);
    }
    const [ours, overflows, sizes] = registry.snapshot();
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    assert.ok(ours?.type === 'counter' && overflows?.type === 'counter' && sizes?.type === 'histogram');
    assert.equal(sum(ours.series.map(({ value }) => value)), 100);
    assert.equal(sum(sizes.series.map(({ count }) => count)), 100);
    assert.equal(overflows.name, 'ferrata_metrics_overflow_total');
    assert.deepEqual(
      overflows.series.map(({ labelValues }) => labelValues[0]),
      ['a_total', 'size'],
    );
    assert.ok(ours.series.length > 1 && ours.series.length < 100);
  }
});

test('a definition for which there is no room is a RangeError that names the option', () => {
  const cells = new MetricRegistry({ ...small, maxCells: 3 });
  cells.counter('a_total', { help });
  assert.throws(() => cells.counter('b_total', { help }), { name: 'RangeError', message: /no room for b_total: raise maxCells/ });
  assert.doesNotThrow(() => cells.counter('a_total', { help }));
  const text = new MetricRegistry({ ...small, maxTextBytes: 1024 });
  assert.throws(() => text.gauge('a', { help: 'x'.repeat(600) }), { name: 'RangeError', message: /no room for a: raise maxTextBytes/ });
  assert.doesNotThrow(() => text.gauge('a', { help }));
});

test('a long help comes back whole in every thread', () => {
  const registry = new MetricRegistry({ ...small, maxTextBytes: 65_536 });
  const long = Array.from({ length: 3000 }, (_, at) => `word${at} é`).join(' ');
  registry.gauge('a', { help: long });
  assert.equal(MetricRegistry.join(registry.memory).snapshot()[0]?.help, long);
});

test('values that would spoil a sum are left out and told of', () => {
  const registry = new MetricRegistry(small);
  const counter = registry.counter('a_total', { help });
  const gauge = registry.gauge('b', { help });
  const histogram = registry.histogram('c', { help, buckets: [1] });
  for (const amount of [-1, Number.NaN, Infinity, -Infinity, '1' as unknown as number]) counter.inc(amount);
  for (const amount of [Number.NaN, Infinity]) gauge.inc(amount);
  for (const amount of [Number.NaN, -Infinity]) gauge.dec(amount);
  for (const value of [Number.NaN, Infinity, -Infinity]) histogram.observe(value);
  counter.inc(0);
  counter.inc(0.5);
  gauge.dec(2);
  gauge.inc(0.5);
  histogram.observe(-5);
  assert.deepEqual(valuesOf(registry, 'a_total'), { '': 0.5 });
  assert.deepEqual(valuesOf(registry, 'b'), { '': -1.5 });
  assert.deepEqual(valuesOf(registry, 'ferrata_metrics_refused_total'), { a_total: 5, b: 4, c: 3 });
  const metric = registry.snapshot().find(({ name }) => name === 'c');
  assert.deepEqual(metric?.series, [{ labelValues: [], cumulativeCounts: [1, 1], count: 1, sum: -5 }]);
});

test('what is no number is left out and told of, and never throws', () => {
  const registry = new MetricRegistry(small);
  const counter = registry.counter('a_total', { help });
  const gauge = registry.gauge('b', { help });
  const histogram = registry.histogram('c', { help, buckets: [1] });
  gauge.set(7);
  const throwing = {
    valueOf(): number {
      throw new Error('asked');
    },
  };
  for (const given of [1n, Symbol('s'), '5', null, true, [1], throwing]) {
    const value = given as unknown as number;
    counter.inc(value);
    gauge.set(value);
    gauge.inc(value);
    gauge.dec(value);
    histogram.observe(value);
  }
  gauge.set(undefined as unknown as number);
  assert.deepEqual([valuesOf(registry, 'a_total'), valuesOf(registry, 'b')], [{ '': 0 }, { '': 7 }]);
  assert.deepEqual(valuesOf(registry, 'ferrata_metrics_refused_total'), { a_total: 7, b: 22, c: 7 });
});

test('no amount spoils a sum: what would take it beyond what threads can add up is left out', () => {
  const [one, two] = pair();
  const largest = 2 ** 900;
  for (const registry of [one, two]) {
    const counter = registry.counter('a_total', { help });
    const gauge = registry.gauge('b', { help });
    const histogram = registry.histogram('c', { help, buckets: [1] });
    for (const amount of [1e308, largest, largest, 1e308]) counter.inc(amount);
    for (const amount of [1.7e308, largest, largest]) gauge.inc(amount);
    for (const value of [1.7e308, largest, largest]) histogram.observe(value);
    histogram.observe(-1.7e308);
    histogram.observe(-5e260);
  }
  assert.deepEqual([valuesOf(one, 'a_total'), valuesOf(one, 'b')], [{ '': 2 * largest }, { '': 2 * largest }]);
  assert.deepEqual(one.snapshot().find(({ name }) => name === 'c')?.series, [
    { labelValues: [], cumulativeCounts: [2, 4], count: 4, sum: 2 * (largest - 5e260) },
  ]);
  assert.deepEqual(valuesOf(one, 'ferrata_metrics_refused_total'), { a_total: 6, b: 4, c: 6 });
});

test('setting a gauge always takes effect, whatever was added or set before', () => {
  const [one, two] = pair();
  const [here, there] = [one.gauge('a', { help }), two.gauge('a', { help })];
  for (const sign of [1, -1]) {
    here.inc(sign * 2 ** 900);
    there.inc(sign * 2 ** 900);
    for (const value of [Number.MAX_VALUE, -Number.MAX_VALUE, Number.NaN, Infinity, -Infinity, Number.MAX_VALUE]) {
      there.set(value);
      assert.deepEqual(valuesOf(one, 'a'), { '': value });
    }
    here.dec(sign * 2 ** 900);
    there.dec(sign * 2 ** 900);
    here.set(5);
    assert.deepEqual(valuesOf(one, 'a'), { '': 5 });
  }
  // As exact as doubles of the size of what was added: here 16.
  here.inc(1e17);
  here.set(1);
  assert.deepEqual(valuesOf(one, 'a'), { '': 0 });
  here.set(32);
  assert.deepEqual(valuesOf(one, 'a'), { '': 32 });
});

test('counts are exact up to 2⁵³', () => {
  const registry = new MetricRegistry(small);
  const counter = registry.counter('a_total', { help });
  counter.inc(Number.MAX_SAFE_INTEGER - 1);
  counter.inc();
  assert.deepEqual(valuesOf(registry, 'a_total'), { '': Number.MAX_SAFE_INTEGER });
});

test('a gauge that is set takes any number, and what was added before no longer counts', () => {
  const [one, two] = pair();
  const gauges = [one.gauge('a', { help }), two.gauge('a', { help })] as const;
  gauges[0].inc(5);
  gauges[1].dec(2);
  assert.deepEqual(valuesOf(one, 'a'), { '': 3 });
  gauges[1].set(100);
  assert.deepEqual(valuesOf(one, 'a'), { '': 100 });
  gauges[0].inc();
  gauges[1].inc();
  assert.deepEqual(valuesOf(two, 'a'), { '': 102 });
  for (const value of [Number.NaN, Infinity, -Infinity, 0.5, 0]) {
    gauges[0].set(value);
    assert.deepEqual(valuesOf(two, 'a'), { '': value });
  }
});

test('those who join see the metrics of the others, count the same series, and have the options of the maker', () => {
  const [one, two] = pair();
  assert.deepEqual(two.config, one.config);
  assert.equal(two.memory, one.memory);
  assert.deepEqual([one.writer, two.writer], [0, 1]);
  const here = one.counter('a_total', { help, labels: ['x'] });
  const there = two.counter('a_total', { help: 'Said otherwise.', labels: ['x'] });
  here.with({ x: 'p' }).inc();
  there.with({ x: 'p' }).inc(2);
  there.with({ x: 'q' }).inc(4);
  assert.deepEqual(valuesOf(one, 'a_total'), { p: 3, q: 4 });
  assert.deepEqual(one.snapshot(), two.snapshot());
  assert.equal(two.snapshot()[0]?.help, help);
  assert.throws(() => two.counter('a_total', { help }), TypeError);
});

test('joining something that is no registry is a TypeError that says why', () => {
  const { memory } = new MetricRegistry(small);
  const copy = (change: (words: Int32Array) => void, bytes = memory.byteLength): SharedArrayBuffer => {
    const other = new SharedArrayBuffer(bytes);
    new Uint8Array(other).set(new Uint8Array(memory).subarray(0, bytes));
    change(new Int32Array(other));
    return other;
  };
  const join = (given: unknown) => (): unknown => MetricRegistry.join(given as SharedArrayBuffer);
  assert.throws(join(new ArrayBuffer(1000)), { name: 'TypeError', message: /must be a SharedArrayBuffer/ });
  assert.throws(join(null), TypeError);
  assert.throws(join(new SharedArrayBuffer(64)), { name: 'TypeError', message: /too short/ });
  assert.throws(join(new SharedArrayBuffer(1000)), { name: 'TypeError', message: /not that of a MetricRegistry$/ });
  assert.throws(join(copy((words) => (words[1] = 7))), { name: 'TypeError', message: /version 7/ });
  assert.throws(join(copy((words) => (words[2] = 65))), { name: 'TypeError', message: /its head asks for/ });
  assert.throws(join(copy((words) => (words[4] = -1))), { name: 'TypeError', message: /damaged: its head has options out of their range/ });
  assert.throws(join(copy((words) => (words[7] = -1))), { name: 'TypeError', message: /damaged: its head counts too much/ });
  assert.throws(join(copy((words) => (words[9] = 1e9))), { name: 'TypeError', message: /damaged: its head counts too much/ });
  assert.doesNotThrow(join(copy(() => {})));
});

test('an option out of its range is a RangeError that names it', () => {
  const names = ['maxCells', 'maxTextBytes', 'maxWriters', 'maxSeriesPerMetric', 'maxLabelLength'] as const;
  for (const name of names) {
    for (const value of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 40]) {
      const options: MetricRegistryOptions = { [name]: value };
      assert.throws(() => new MetricRegistry(options), { name: 'RangeError', message: new RegExp(`^${name} `) });
    }
  }
  assert.throws(() => new MetricRegistry({ ...small, writer: 4 }), { name: 'RangeError', message: /^writer / });
  const registry = new MetricRegistry(small);
  assert.throws(() => registry.gauge('a', { help, labels: ['x'], maxSeries: 0 }), { name: 'RangeError', message: /^maxSeries / });
  assert.ok(Object.isFrozen(registry.config));
});

test('a writer has its place alone, and there are no more than maxWriters', () => {
  const first = new MetricRegistry({ ...small, writer: 2 });
  assert.equal(first.writer, 2);
  assert.throws(() => MetricRegistry.join(first.memory, { writer: 2 }), { name: 'RangeError', message: /writer 2 is taken/ });
  assert.deepEqual(
    [0, 1, 3].map(() => MetricRegistry.join(first.memory).writer),
    [0, 1, 3],
  );
  assert.throws(() => MetricRegistry.join(first.memory), { name: 'RangeError', message: /all 4 writers are taken/ });
});

test('a successor goes on counting where the writer before it ended, and what that one had added to gauges is gone', () => {
  const [one, two] = pair();
  const define = (registry: MetricRegistry): void => {
    registry.counter('a_total', { help }).inc(3);
    registry.gauge('b', { help }).inc(5);
    registry
      .gauge('c', { help, labels: ['x'] })
      .with({ x: 'y' })
      .inc(7);
    registry.histogram('d', { help, buckets: [1] }).observe(1);
  };
  define(one);
  define(two);
  assert.equal(one.releaseWriter(two.writer, two.generation), true);
  assert.equal(one.releaseWriter(two.writer, two.generation), false);
  assert.deepEqual([valuesOf(one, 'a_total'), valuesOf(one, 'b'), valuesOf(one, 'c')], [{ '': 6 }, { '': 5 }, { y: 7 }]);
  const successor = MetricRegistry.join(one.memory, { writer: two.writer });
  define(successor);
  assert.deepEqual([valuesOf(one, 'a_total'), valuesOf(one, 'b'), valuesOf(one, 'c')], [{ '': 9 }, { '': 10 }, { y: 14 }]);
  assert.equal(one.releaseWriter(3, 1), false);
  assert.throws(() => one.releaseWriter(one.writer, one.generation), { name: 'RangeError', message: /is this registry itself/ });
  assert.throws(() => one.releaseWriter(4, 1), { name: 'RangeError', message: /^writer / });
  assert.throws(() => one.releaseWriter(1, 0.5), { name: 'RangeError', message: /^generation / });
});

test('a writer that is released a second time does nothing to its successor', () => {
  const [one, ended] = pair();
  const successorOf = ({ writer }: MetricRegistry): MetricRegistry => MetricRegistry.join(one.memory, { writer });
  ended.gauge('a', { help }).inc(5);
  assert.equal(one.releaseWriter(ended.writer, ended.generation), true);
  const successor = successorOf(ended);
  assert.deepEqual([ended.generation, successor.generation], [1, 2]);
  const gauge = successor.gauge('a', { help });
  gauge.inc(3);
  assert.equal(one.releaseWriter(ended.writer, ended.generation), false);
  assert.throws(() => successorOf(ended), { name: 'RangeError', message: /writer 1 is taken/ });
  gauge.dec();
  assert.deepEqual(valuesOf(one, 'a'), { '': 2 });
  // The maker's own place, if it is somebody else's by now, is like any other.
  assert.equal(successor.releaseWriter(one.writer, one.generation), true);
  const again = successorOf(one);
  assert.equal(one.releaseWriter(one.writer, again.generation), true);
});

test('the generations of a place begin again when there are no more, and none is mistaken for a place that is free', () => {
  const [one, two] = pair();
  // The words of the writers stand after 32 of the head; two bits of each are its state.
  const words = new Int32Array(one.memory);
  words[32 + two.writer] = ((2 ** 30 - 2) << 2) | 0;
  const last = MetricRegistry.join(one.memory, { writer: two.writer });
  assert.equal(last.generation, 2 ** 30 - 1);
  assert.equal(one.releaseWriter(last.writer, last.generation), true);
  assert.equal(one.releaseWriter(last.writer, last.generation), false);
  assert.equal(MetricRegistry.join(one.memory, { writer: two.writer }).generation, 0);
});

test('a registry that is given a memory joins it, and options beside it have to be those of its maker', () => {
  const { memory } = new MetricRegistry(small);
  const joined = new MetricRegistry({ memory, maxCells: 64 });
  assert.deepEqual([joined.memory, joined.writer], [memory, 1]);
  for (const name of ['maxCells', 'maxTextBytes', 'maxWriters', 'maxSeriesPerMetric', 'maxLabelLength'] as const) {
    for (const value of [-5, Number.NaN, 3]) {
      assert.throws(() => new MetricRegistry({ memory, [name]: value }), {
        name: 'RangeError',
        message: new RegExp(`^${name} is \\d+ in this memory, not ${value}$`),
      });
    }
  }
  // Nobody of those who failed has a place.
  assert.equal(MetricRegistry.join(memory).writer, 2);
});

test('options that ask for more memory than is allowed, or than there is, are a RangeError that names them', (t) => {
  const named = /^maxCells \(\d+\) × 8 × \(maxWriters \(\d+\) \+ 1\) and maxTextBytes \(\d+\) are \d+ bytes, /;
  assert.throws(
    () => new MetricRegistry({ maxCells: 2 ** 24, maxWriters: 1024 }),
    (error: unknown) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, named);
      assert.match(error.message, /at most 4294967296$/);
      return true;
    },
  );
  const { SharedArrayBuffer: original } = globalThis;
  t.after(() => Object.assign(globalThis, { SharedArrayBuffer: original }));
  const none = function (): never {
    throw new RangeError('Array buffer allocation failed');
  };
  Object.assign(globalThis, { SharedArrayBuffer: none });
  assert.throws(() => new MetricRegistry(small), { name: 'RangeError', message: new RegExp(`${named.source}which the platform`) });
});

test('what a snapshot shares with the registry cannot be changed', () => {
  const registry = new MetricRegistry(small);
  const histogram = registry.histogram('size', { help, labels: ['x'], buckets: [1, 2] }).with({ x: 'a' });
  histogram.observe(1.5);
  const before = JSON.stringify(registry.snapshot());
  const [metric] = registry.snapshot();
  assert.ok(metric?.type === 'histogram');
  assert.throws(() => (metric.buckets as number[]).push(99), TypeError);
  assert.throws(() => (metric.labels as string[]).push('y'), TypeError);
  const series = metric.series[0] as HistogramSeries;
  // These are the snapshot's own.
  (series.cumulativeCounts as number[]).push(1);
  (series.labelValues as string[]).push('b');
  (metric.series as unknown[]).length = 0;
  assert.equal(JSON.stringify(registry.snapshot()), before);
  const joined = MetricRegistry.join(registry.memory).snapshot()[0];
  assert.ok(joined?.type === 'histogram' && Object.isFrozen(joined.buckets) && Object.isFrozen(joined.labels));
  assert.doesNotThrow(() => registry.histogram('size', { help, labels: ['x'], buckets: [1, 2] }));
});

function pair(): readonly [MetricRegistry, MetricRegistry] {
  const one = new MetricRegistry(small);
  return [one, MetricRegistry.join(one.memory)];
}
