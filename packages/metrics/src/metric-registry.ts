/**
 * Counters, gauges and histograms of all threads in one memory of a fixed size.
 *
 * One thread makes the registry and gives its `memory` to the others, which join it. Each defines the metrics it uses, by the same names, and
 * counts; any of them takes a snapshot of all. Nothing is sent, nobody waits for a lock, and nothing grows.
 */
import { checkWholeNumber } from '@ferrata/error';
import { Cells, maxGeneration } from './internal/cells.ts';
import { type DefinitionOptions, defineMetric, type MetricType } from './internal/definition.ts';
import { joinMemory, type MemoryLayout, makeMemory } from './internal/memory-layout.ts';
import { MetricTable } from './internal/metric-table.ts';
import { SharedFamily } from './internal/shared-family.ts';
import { takeSnapshot } from './internal/take-snapshot.ts';
import type { MetricFamily } from './metric-family.ts';
import {
  type BucketOptions,
  type JoinOptions,
  type LabelledMetricOptions,
  type LabelNames,
  type MetricRegistryConfig,
  type MetricRegistryOptions,
  type PlainMetricOptions,
  resolveMetricRegistryOptions,
} from './options.ts';
import type { Counter, Gauge, Histogram } from './series.ts';
import type { MetricsSnapshot } from './snapshot.ts';

/** One thread's place in a set of metrics. */
export class MetricRegistry {
  /** All options, as the maker of the memory chose them. */
  readonly config: MetricRegistryConfig;
  /** What other threads join by: give it to them as `workerData` or in a message. */
  readonly memory: SharedArrayBuffer;
  /** Which of the `maxWriters` this registry is. */
  readonly writer: number;
  /** How often that writer's place was taken, this time included: `releaseWriter` wants both, so tell them to whoever will call it. */
  readonly generation: number;
  readonly #cells: Cells;
  readonly #table: MetricTable;
  readonly #families = new Map<string, SharedFamily<unknown, LabelNames>>();

  /**
   * Makes a registry with memory of its own, or with `memory` joins the one that is there. Options given beside it have to be those of
   * its maker.
   *
   * @throws {RangeError} when an option is out of its range or differs from the maker's, or all of them ask for too much memory
   * @throws {TypeError} {RangeError} as `join`
   */
  constructor(options: MetricRegistryOptions & JoinOptions & { readonly memory?: SharedArrayBuffer } = {}) {
    const layout: MemoryLayout =
      options.memory === undefined ? makeMemory(resolveMetricRegistryOptions(options)) : joinMemory(options.memory);
    const { config, memory } = layout;
    if (options.memory !== undefined) checkAgreement(config, options);
    const { writer } = options;
    if (writer !== undefined) checkWholeNumber('writer', writer, { max: config.maxWriters - 1 });
    this.config = config;
    this.memory = memory;
    this.#cells = new Cells(layout, writer);
    this.writer = this.#cells.writer;
    this.generation = this.#cells.generation;
    this.#table = new MetricTable(layout, this.#cells);
  }

  /**
   * Joins the registry that another thread has made. All options are those of its maker.
   *
   * @throws {TypeError} when `memory` is not that of a registry, of another version of this package's layout, or damaged
   * @throws {RangeError} when the writer is taken, or none is free
   */
  static join(memory: SharedArrayBuffer, options: JoinOptions = {}): MetricRegistry {
    return new MetricRegistry({ ...options, memory });
  }

  /** Takes a snapshot of all metrics, of all threads. What is counted meanwhile is in it or not. */
  snapshot(): MetricsSnapshot {
    this.#table.sync();
    return takeSnapshot(this.#table.metrics, this.#cells);
  }

  /**
   * Finds or makes a counter, by a name that ends with `_total`: one series, or with `labels` a family of them.
   *
   * @throws {TypeError} when a name is not valid, or taken by a metric that differs in type, unit, labels or `maxSeries`
   * @throws {RangeError} when a number is out of its range, or the registry has no room for it
   */
  counter(name: string, options: PlainMetricOptions): Counter;
  counter<const Names extends LabelNames>(name: string, options: LabelledMetricOptions<Names>): MetricFamily<Counter, Names>;
  counter(name: string, options: DefinitionOptions): unknown {
    return this.#define('counter', name, options);
  }

  /**
   * Finds or makes a gauge: one series, or with `labels` a family of them.
   *
   * @throws {TypeError} {RangeError} as `counter`
   */
  gauge(name: string, options: PlainMetricOptions): Gauge;
  gauge<const Names extends LabelNames>(name: string, options: LabelledMetricOptions<Names>): MetricFamily<Gauge, Names>;
  gauge(name: string, options: DefinitionOptions): unknown {
    return this.#define('gauge', name, options);
  }

  /**
   * Finds or makes a histogram: one series, or with `labels` a family of them.
   *
   * @throws {TypeError} {RangeError} as `counter`; also when buckets differ, are not finite or do not ascend
   */
  histogram(name: string, options: PlainMetricOptions & BucketOptions): Histogram;
  histogram<const Names extends LabelNames>(
    name: string,
    options: LabelledMetricOptions<Names> & BucketOptions,
  ): MetricFamily<Histogram, Names>;
  histogram(name: string, options: DefinitionOptions): unknown {
    return this.#define('histogram', name, options);
  }

  /**
   * Frees the place of a writer whose thread has ended, for its successor. Its counts stay; what it had added to gauges is taken back, since
   * the connections and requests it counted are gone with it.
   *
   * Only for a thread that has ended: one that still writes would share its numbers with the next, and counts would be lost. To say it
   * twice does nothing, even if a successor has the place already: it is of another generation.
   *
   * @param writer `writer` of the registry that ended
   * @param generation its `generation`
   * @returns false if that place is free, or somebody else's
   * @throws {RangeError} when it is this registry itself, or not a writer's number or generation
   */
  releaseWriter(writer: number, generation: number): boolean {
    checkWholeNumber('writer', writer, { max: this.config.maxWriters - 1 });
    checkWholeNumber('generation', generation, { max: maxGeneration });
    if (writer === this.writer && generation === this.generation) throw new RangeError(`writer ${writer} is this registry itself`);
    // What the thread has made is in the log by now, since it has ended.
    this.#table.sync();
    if (!this.#cells.beginRelease(writer, generation)) return false;
    for (const metric of this.#table.metrics) {
      if (metric.definition.type === 'gauge') metric.forEachSeries((_labelValues, cell) => this.#cells.clear(writer, cell));
    }
    this.#cells.endRelease(writer, generation);
    return true;
  }

  #define(type: MetricType, name: string, options: DefinitionOptions): unknown {
    const metric = this.#table.define(defineMetric(type, name, options, this.config.maxSeriesPerMetric));
    if (metric.definition.labels.length === 0) return metric.ownSeries;
    let family = this.#families.get(name);
    if (family === undefined) this.#families.set(name, (family = new SharedFamily(metric, this.#table)));
    return family;
  }
}

function checkAgreement(config: MetricRegistryConfig, options: MetricRegistryOptions): void {
  for (const name of Object.keys(config) as (keyof MetricRegistryConfig)[]) {
    const given = options[name];
    if (given !== undefined && given !== config[name])
      throw new RangeError(`${name} is ${config[name]} in this memory, not ${String(given)}`);
  }
}
