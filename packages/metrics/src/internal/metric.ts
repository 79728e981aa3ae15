/**
 * A metric as one thread knows it: its definition, and a tree that finds its series by their label values.
 *
 * ```
 *  cells of a metric itself, from firstCell on
 *  [its only series, or the overflow series …] [values refused] [look-ups that overflowed]
 * ```
 *
 * The tree has a level of `Map`s for each label: a look-up joins no strings, allocates nothing, and takes any text as a value. Peers
 * who choose values that collide gain little, since a `Map` never holds more than the metric's limit. The tree is also the only list of the
 * series: it takes half the memory of a list beside it.
 */
import { unreachable } from '@ferrata/error';
import type { Cells } from './cells.ts';
import { cellsOf, type MetricDefinition } from './definition.ts';
import { SharedCounter } from './shared-counter.ts';
import { SharedGauge } from './shared-gauge.ts';
import { SharedHistogram } from './shared-histogram.ts';

/** One series, as programs count with it. */
export type Series = SharedCounter | SharedGauge | SharedHistogram;

/** A level of the tree: to the next level, or in the last one to the series. */
export type LabelTree = Map<string, LabelTree | Series>;

/** The value that each label of an overflow series has. */
export const overflowValue = 'other';

/** Cells of a metric beside its series. */
const ownCells = 2;

export class Metric {
  readonly definition: MetricDefinition;
  /** Its number, by which series in the log name it. */
  readonly id: number;
  /** Its only series, or the one for what is over the limit. */
  readonly ownSeries: Series;
  readonly refusedCell: number;
  readonly overflowCell: number;
  readonly tree: LabelTree = new Map();
  /** Series in the tree: none if the metric has no labels. */
  seriesCount = 0;
  readonly #bounds: Float64Array;
  readonly #cells: Cells;

  constructor(definition: MetricDefinition, id: number, firstCell: number, cells: Cells) {
    this.definition = definition;
    this.id = id;
    this.#cells = cells;
    this.#bounds = Float64Array.from(definition.buckets);
    this.refusedCell = firstCell + cellsOf(definition);
    this.overflowCell = this.refusedCell + 1;
    this.ownSeries = this.#seriesAt(firstCell);
  }

  /** Cells that a metric takes before it has any series. */
  static cellsOf(definition: MetricDefinition): number {
    return cellsOf(definition) + ownCells;
  }

  /** Finds a series by its label values, undefined if there is none. */
  find(labelValues: readonly string[]): Series | undefined {
    let found: LabelTree | Series | undefined = this.tree;
    for (const value of labelValues) found = (found as LabelTree | undefined)?.get(value);
    return found as Series | undefined;
  }

  /**
   * Adds a series that is not there yet.
   *
   * @returns the cells that it takes of those from `cell` on; -1 if it is there, or has other labels than the metric
   */
  add(labelValues: readonly string[], cell: number): number {
    if (labelValues.length === 0 || labelValues.length !== this.definition.labels.length) return -1;
    const isOverflow = labelValues.every((value) => value === overflowValue);
    let level = this.tree;
    for (let at = 0; at < labelValues.length - 1; at++) {
      const value = labelValues[at] as string;
      let below = level.get(value) as LabelTree | undefined;
      if (below === undefined) level.set(value, (below = new Map()));
      level = below;
    }
    const last = labelValues.at(-1) as string;
    if (level.has(last)) return -1;
    // The overflow series under its own name: a second one would be twice in the text.
    level.set(last, isOverflow ? this.ownSeries : this.#seriesAt(cell));
    this.seriesCount++;
    return isOverflow ? 0 : cellsOf(this.definition);
  }

  /** Calls back for each series, by label values in ascending order of code units; then, if it was used, for the overflow series. */
  forEachSeries(visit: (labelValues: readonly string[], cell: number) => void): void {
    const ownValues = this.definition.labels.map(() => overflowValue);
    if (ownValues.length > 0) {
      this.#visit(this.tree, [], visit);
      if (this.#cells.added(this.overflowCell) === 0 || this.find(ownValues) !== undefined) return;
    }
    visit(ownValues, this.ownSeries.firstCell);
  }

  #visit(level: LabelTree, above: readonly string[], visit: (labelValues: readonly string[], cell: number) => void): void {
    for (const value of [...level.keys()].toSorted()) {
      const below = level.get(value) as LabelTree | Series;
      const labelValues = [...above, value];
      if (below instanceof Map) this.#visit(below, labelValues, visit);
      else visit(labelValues, below.firstCell);
    }
  }

  #seriesAt(cell: number): Series {
    const { type } = this.definition;
    switch (type) {
      case 'counter':
        return new SharedCounter(this.#cells, cell, this.refusedCell);
      case 'gauge':
        return new SharedGauge(this.#cells, cell, this.refusedCell);
      case 'histogram':
        return new SharedHistogram(this.#cells, cell, this.refusedCell, this.#bounds);
      default:
        return unreachable(type);
    }
  }
}
