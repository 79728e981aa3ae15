/**
 * All metrics and series of a registry as one thread knows them: the log, read up to some place.
 *
 * Everything follows from the log alone, cell numbers and limits too, so that two threads which have read equally far know exactly the same:
 * the cells of a record are those after the cells of the records before it.
 */
import type { Cells } from './cells.ts';
import { cellsOf, checkSame, type MetricDefinition, namesOf } from './definition.ts';
import { DefinitionLog, damagedLog } from './definition-log.ts';
import type { MemoryLayout } from './memory-layout.ts';
import { Metric, type Series } from './metric.ts';
import { type LogRecord, lengthOfSeries, parseRecord, type SeriesRecord, writeDefinition, writeSeries } from './record.ts';

export class MetricTable {
  /** In the order of definition: a metric's number is its place. */
  readonly metrics: Metric[] = [];
  readonly #byName = new Map<string, Metric>();
  /** Which metric has a name, its own or one of its samples. */
  readonly #owners = new Map<string, string>();
  readonly #log: DefinitionLog;
  readonly #cells: Cells;
  readonly #maxCells: number;
  readonly #maxSeriesCells: number;
  readonly #endOfLog: number;
  readonly #endOfSeriesLog: number;
  readonly #maxLabelLength: number;
  #cellsUsed = 0;

  constructor(layout: MemoryLayout, cells: Cells) {
    this.#log = new DefinitionLog(layout);
    this.#cells = cells;
    this.#maxCells = layout.config.maxCells;
    this.#maxSeriesCells = layout.maxSeriesCells;
    this.#endOfLog = layout.endOfLog;
    this.#endOfSeriesLog = layout.endOfSeriesLog;
    this.#maxLabelLength = layout.config.maxLabelLength;
    this.sync();
  }

  /** Learns what other threads have added. @throws {TypeError} when somebody has written into the memory who should not */
  sync(): void {
    for (let text = this.#log.next(); text !== null; text = this.#log.next()) this.#apply(parseRecord(text));
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
      () => this.#log.write(writeDefinition(definition), this.#endOfLog),
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

  /** Finds a series that this thread has not seen, or makes it, or counts that there is no room for it. */
  resolve(metric: Metric, labelValues: readonly string[]): Series {
    const values: string[] = [];
    for (const value of labelValues) {
      if (value.length > this.#maxLabelLength) return this.#overflow(metric);
      // Malformed UTF-16 has no form of its own in UTF-8: two such values could become one series, twice in the text.
      values.push(value.toWellFormed());
    }
    return this.#findOrMake(metric, values) ?? this.#overflow(metric);
  }

  #overflow(metric: Metric): Series {
    const { own } = this.#cells;
    own[metric.overflowCell] = (own[metric.overflowCell] as number) + 1;
    return metric.ownSeries;
  }

  #findOrMake(metric: Metric, values: readonly string[]): Series | undefined {
    // Limits that are reached stay so, and hold for every thread: there is nothing to learn from the log, and a flood of new values is cheap.
    if (this.#isFull(metric)) return metric.find(values);
    this.#append(
      () => !this.#isFull(metric) && metric.find(values) === undefined,
      () => this.#writeSeries(metric, values),
    );
    return metric.find(values);
  }

  #writeSeries({ id }: Metric, values: readonly string[]): number {
    // Asked first: where there is none, nothing need be put together, each time that somebody looks up what is new.
    if (!this.#log.hasRoom(lengthOfSeries(values), this.#endOfSeriesLog)) return 0;
    return this.#log.write(writeSeries(id, values), this.#endOfSeriesLog);
  }

  #isFull({ definition, seriesCount }: Metric): boolean {
    return seriesCount >= definition.maxSeries || this.#cellsUsed + cellsOf(definition) > this.#maxSeriesCells;
  }

  /** Appends a record to the log if it is wanted in the light of all that stands before it, and if there was room to write it. */
  #append(isWanted: () => boolean, write: () => number): void {
    this.sync();
    if (!isWanted()) return;
    const record = write();
    if (record === 0) return;
    while (!this.#log.publish(record)) {
      this.sync();
      if (isWanted()) continue;
      this.#log.discard(record);
      return;
    }
    this.sync();
  }

  #apply(record: LogRecord): void {
    const cells = 'type' in record ? this.#addMetric(record) : this.#addSeries(record);
    this.#cellsUsed += cells;
    if (this.#cellsUsed > this.#maxCells) throw damagedLog('there is more than numbers have room for');
  }

  #addMetric(definition: MetricDefinition): number {
    const { name } = definition;
    // Nobody defines a thing twice: a list that went in a circle would end here.
    if (this.#byName.has(name)) throw damagedLog(`${name} is defined twice`);
    const metric = new Metric(definition, this.metrics.length, this.#cellsUsed, this.#cells);
    this.metrics.push(metric);
    this.#byName.set(name, metric);
    for (const one of namesOf(definition)) this.#owners.set(one, name);
    return Metric.cellsOf(definition);
  }

  #addSeries({ metricId, labelValues }: SeriesRecord): number {
    const cells = this.metrics[metricId]?.add(labelValues, this.#cellsUsed) ?? -1;
    if (cells < 0) throw damagedLog('a series is there twice, or has no metric with such labels');
    return cells;
  }
}
