/**
 * Three registries on one memory against a naive twin: a plain map of exact numbers with the limits counted by hand. They join late, count,
 * die and are succeeded; every snapshot of every one of them must be what the twin says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Counter, type Gauge, type Histogram, MetricRegistry } from '@ferrata/metrics';
import fc from 'fast-check';

const help = 'x';
const buckets = [1, 10] as const;
const limits = { maxCells: 48, maxTextBytes: 65_536, maxWriters: 3, maxSeriesPerMetric: 3, maxLabelLength: 3 } as const;
/** An eighth is for definitions alone. */
const maxSeriesCells = 42;
const widthOf = { counter: 1, gauge: 1, histogram: 4 } as const;

type Type = keyof typeof widthOf;

/** One series of a snapshot: its metric, its label's value, its numbers. */
type Entry = readonly (string | number)[];

interface Family {
  with(labels: { readonly x: string }): Counter | Gauge | Histogram;
}

/** Names tell their types. */
const metrics: readonly (readonly [name: string, type: Type])[] = [
  ['a_total', 'counter'],
  ['b_total', 'counter'],
  ['c', 'gauge'],
  ['d', 'histogram'],
];

/** What one writer has added to a series; a gauge's setting belongs to none. */
interface TwinSeries {
  readonly added: number[];
  set: number;
  readonly observed: number[];
}

class Twin {
  readonly metrics = new Map<string, { readonly type: Type; readonly series: Map<string, TwinSeries>; overflows: number }>();
  cells = 0;

  /** False: there is no room. */
  define(name: string, type: Type): boolean {
    if (this.metrics.has(name)) return true;
    if (this.cells + widthOf[type] + 2 > limits.maxCells) return false;
    this.cells += widthOf[type] + 2;
    this.metrics.set(name, { type, series: new Map(), overflows: 0 });
    return true;
  }

  series(name: string, value: string): TwinSeries {
    const metric = this.metrics.get(name);
    assert.ok(metric !== undefined);
    const found = metric.series.get(value);
    if (found !== undefined) return found;
    const width = widthOf[metric.type];
    const made = { added: [0, 0, 0], set: 0, observed: [] };
    const ordinary = [...metric.series.keys()].filter((key) => key !== overflow).length;
    if (value.length <= limits.maxLabelLength && ordinary < limits.maxSeriesPerMetric && this.cells + width <= maxSeriesCells) {
      this.cells += width;
      metric.series.set(value, made);
      return made;
    }
    metric.overflows++;
    const other = metric.series.get(overflow) ?? made;
    metric.series.set(overflow, other);
    return other;
  }

  /** As flat entries, to be compared. */
  entries(): readonly Entry[] {
    const entries: Entry[] = [];
    for (const [name, { type, series, overflows }] of this.metrics) {
      for (const [value, { added, set, observed }] of series) {
        const sum = observed.reduce((all, each) => all + each, 0);
        const upTo = [...buckets, Infinity].map((bound) => observed.filter((each) => each <= bound).length);
        if (type === 'histogram') entries.push([name, value, ...upTo, observed.length, sum]);
        else entries.push([name, value, set + added.reduce((all, each) => all + each, 0)]);
      }
      if (overflows > 0) entries.push(['ferrata_metrics_overflow_total', name, overflows]);
    }
    return entries.toSorted(byText);
  }
}

const overflow = 'other';

function byText(one: Entry, other: Entry): number {
  return JSON.stringify(one) < JSON.stringify(other) ? -1 : 1;
}

function entriesOf(registry: MetricRegistry): readonly Entry[] {
  const entries: Entry[] = [];
  for (const metric of registry.snapshot()) {
    for (const { labelValues, ...numbers } of metric.series) entries.push([metric.name, ...labelValues, ...Object.values(numbers).flat()]);
  }
  return entries.toSorted(byText);
}

/** Defines a metric by the name of its type. */
function define(registry: MetricRegistry, name: string, type: Type): Family {
  const options = { help, labels: ['x'] } as const;
  switch (type) {
    case 'counter':
      return registry.counter(name, options);
    case 'gauge':
      return registry.gauge(name, options);
    case 'histogram':
      return registry.histogram(name, { ...options, buckets });
    default:
      return type;
  }
}

class Threads {
  readonly all: (MetricRegistry | undefined)[];
  /** Those that had a place before. */
  readonly gone: (MetricRegistry | undefined)[] = [];
  /** Series held since before: they must stay right. */
  readonly held = new Map<string, { readonly writer: number; readonly series: Counter | Gauge | Histogram }>();

  constructor() {
    this.all = [new MetricRegistry(limits), undefined, undefined];
  }

  at(writer: number): MetricRegistry {
    return (this.all[writer] ??= MetricRegistry.join((this.all[0] as MetricRegistry).memory, { writer }));
  }
}

class Count implements fc.Command<Twin, Threads> {
  readonly writer: number;
  readonly metric: number;
  readonly value: string;
  readonly amount: number;
  readonly sets: boolean;

  constructor(writer: number, metric: number, value: string, amount: number, sets: boolean) {
    this.writer = writer;
    this.metric = metric;
    this.value = value;
    this.amount = amount;
    this.sets = sets;
  }

  check(): boolean {
    return true;
  }

  run(twin: Twin, threads: Threads): void {
    const { writer, value, amount } = this;
    const [name, type] = metrics[this.metric] as (typeof metrics)[number];
    const registry = threads.at(writer);
    if (!twin.define(name, type)) {
      assert.throws(() => define(registry, name, type), RangeError);
      return;
    }
    const expected = twin.series(name, value);
    const key = JSON.stringify([writer, name, value]);
    const series = define(registry, name, type).with({ x: value });
    const held = threads.held.get(key);
    // The same object as ever, unless it is the overflow series in the place of one that could not be made.
    if (held !== undefined) assert.equal(series, held.series);
    threads.held.set(key, { writer, series });
    if ('observe' in series) {
      series.observe(amount);
      expected.observed.push(amount);
    } else if ('set' in series && this.sets) {
      series.set(amount);
      expected.set = amount - expected.added.reduce((all, each) => all + each, 0);
    } else {
      series.inc(amount);
      expected.added[writer] = (expected.added[writer] as number) + amount;
    }
  }

  toString(): string {
    return `count(${[this.writer, metrics[this.metric]?.[0], JSON.stringify(this.value), this.amount, this.sets].join(', ')})`;
  }
}

class Succeed implements fc.Command<Twin, Threads> {
  readonly writer: number;

  constructor(writer: number) {
    this.writer = writer;
  }

  check(): boolean {
    return true;
  }

  run(twin: Twin, threads: Threads): void {
    const { writer } = this;
    const ended = threads.all[writer];
    const known = ended ?? threads.gone[writer];
    // Said twice it does nothing, and neither to the next one who has the place.
    if (known !== undefined) assert.equal(threads.at(0).releaseWriter(writer, known.generation), ended !== undefined);
    threads.gone[writer] = known;
    threads.all[writer] = undefined;
    for (const [key, held] of threads.held) if (held.writer === writer) threads.held.delete(key);
    for (const { type, series } of twin.metrics.values()) {
      if (type === 'gauge') for (const { added } of series.values()) added[writer] = 0;
    }
  }

  toString(): string {
    return `succeed(${this.writer})`;
  }
}

class Compare implements fc.Command<Twin, Threads> {
  readonly writer: number;

  constructor(writer: number) {
    this.writer = writer;
  }

  check(): boolean {
    return true;
  }

  run(twin: Twin, threads: Threads): void {
    assert.deepEqual(entriesOf(threads.at(this.writer)), twin.entries());
  }

  toString(): string {
    return `compare(${this.writer})`;
  }
}

test('registries on one memory agree with a naive twin, whoever counts, dies or joins', () => {
  const writer = fc.integer({ min: 0, max: 2 });
  const value = fc.constantFrom('', 'a', 'b', 'c', 'd', 'long', '__proto__', 'é');
  const count = fc
    .tuple(writer, fc.nat({ max: metrics.length - 1 }), value, fc.integer({ min: 0, max: 20 }), fc.boolean())
    .map((all) => new Count(...all));
  const commands = fc.commands(
    [count, count, count, fc.integer({ min: 1, max: 2 }).map((each) => new Succeed(each)), writer.map((each) => new Compare(each))],
    { maxCommands: 60 },
  );
  fc.assert(
    fc.property(commands, (list) => {
      const [twin, threads] = [new Twin(), new Threads()];
      fc.modelRun(() => ({ model: twin, real: threads }), list);
      for (const each of [0, 1, 2]) new Compare(each).run(twin, threads);
    }),
    { numRuns: 300 },
  );
});
