/**
 * All metrics and series of a registry as one thread knows them: the log, read up to some place.
 *
 * Everything follows from the log alone, cell numbers and limits too, so that two threads which have read equally far know exactly the same:
 * the cells of a record are those after the cells of the records before it.
 */
import type { Cells } from './cells.ts';
import { cellsOf, checkSame, type MetricDefinition, namesOf } from './definition.ts';
import { DefinitionLog } from './definition-log.ts';
import type { MemoryLayout } from './memory-layout.ts';
import { Metric, type Series } from './metric.ts';

/** A series in the log: the number of its metric, and its label values. */
type SeriesRecord = readonly [metricId: number, ...labelValues: string[]];

export class MetricTable {
  /** In the order of definition: a metric's number is its place. */
  readonly metrics: Metric[] = [];
  readonly #byName = new Map<string, Metric>();
  /** Which metric has a name, its own or one of its samples. */
  readonly #owners = new Map<string, string>();
  readonly #log: DefinitionLog;
  readonly #cells: Cells;
  readonly #maxCells: number;
  readonly #maxLabelLength: number;
  #cellsUsed = 0;

  constructor(layout: MemoryLayout, cells: Cells) {
    this.#log = new DefinitionLog(layout);
    this.#cells = cells;
    this.#maxCells = layout.config.maxCells;
    this.#maxLabelLength = layout.config.maxLabelLength;
    this.sync();
  }

  /** Learns what other threads have added. */
  sync(): void {
    for (let text = this.#log.next(); text !== null; text = this.#log.next())
      this.#apply(JSON.parse(text) as MetricDefinition | SeriesRecord);
  }

  /**
   * Finds a metric, or makes it.
   *
   * @throws {TypeError} when another metric has one of its names
   * @throws {RangeError} when there is no room for it
   */
  define(definition: MetricDefinition): Metric {
    const { name } = definition;
    const owner = (): string | undefined =>
      namesOf(definition)
        .map((one) => this.#owners.get(one))
        .find((one) => one !== undefined);
    const hasCells = (): boolean => this.#cellsUsed + Metric.cellsOf(definition) <= this.#maxCells;
    this.#append(
      () => owner() === undefined && hasCells(),
      () => JSON.stringify(definition),
    );
    const metric = this.#byName.get(name);
    if (metric !== undefined) {
      checkSame(metric.definition, definition);
      return metric;
    }
    const other = owner();
    if (other !== undefined) throw new TypeError(`${name} would have a name in common with ${other}`);
    throw new RangeError(`no room for ${name}: raise ${hasCells() ? 'maxTextBytes' : 'maxCells'} of the registry`);
  }

  /** Finds a series that this thread has not seen, or makes it, or counts that there is no room for it. Never throws. */
  resolve(metric: Metric, labelValues: readonly string[]): Series {
    if (labelValues.every((value) => value.length <= this.#maxLabelLength)) {
      // Malformed UTF-16 has no form of its own in UTF-8: two such values could become one series, twice in the text.
      const values = labelValues.map((value) => value.toWellFormed());
      const { definition } = metric;
      this.#append(
        () =>
          metric.find(values) === undefined &&
          metric.seriesCount < definition.maxSeries &&
          this.#cellsUsed + cellsOf(definition) <= this.#maxCells,
        () => JSON.stringify([metric.id, ...values] satisfies SeriesRecord),
      );
      const found = metric.find(values);
      if (found !== undefined) return found;
    }
    const { own } = this.#cells;
    own[metric.overflowCell] = (own[metric.overflowCell] as number) + 1;
    return metric.ownSeries;
  }

  /** Appends a text to the log if it is wanted in the light of all that stands before it, and if there is room. */
  #append(isWanted: () => boolean, write: () => string): void {
    this.sync();
    if (!isWanted()) return;
    const record = this.#log.write(write());
    if (record === 0) return;
    while (!this.#log.publish(record)) {
      this.sync();
      if (isWanted()) continue;
      this.#log.discard(record);
      return;
    }
    this.sync();
  }

  #apply(record: MetricDefinition | SeriesRecord): void {
    if ('type' in record) {
      const metric = new Metric(record, this.metrics.length, this.#cellsUsed, this.#cells);
      this.metrics.push(metric);
      this.#byName.set(record.name, metric);
      for (const name of namesOf(record)) this.#owners.set(name, record.name);
      this.#cellsUsed += Metric.cellsOf(record);
      return;
    }
    const [metricId, ...labelValues] = record;
    this.#cellsUsed += (this.metrics[metricId] as Metric).add(labelValues, this.#cellsUsed);
  }
}
