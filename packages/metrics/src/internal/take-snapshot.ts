/** Makes plain objects of what a registry holds. */
import type { HistogramSeries, MetricHead, MetricSnapshot, MetricsSnapshot, NumberSeries } from '../snapshot.ts';
import type { Cells } from './cells.ts';
import { ownPrefix } from './definition.ts';
import type { Metric } from './metric.ts';

/** Adds up all cells, of metrics and series as far as the thread has read of them. */
export function takeSnapshot(metrics: readonly Metric[], cells: Cells): MetricsSnapshot {
  const byName = metrics.toSorted((one, other) => compare(one.definition.name, other.definition.name));
  const snapshots = byName.map((metric) => snapshotOf(metric, cells));
  const own = ownMetrics(byName, cells);
  return own.length === 0 ? snapshots : [...snapshots, ...own].toSorted((one, other) => compare(one.name, other.name));
}

function snapshotOf(metric: Metric, cells: Cells): MetricSnapshot {
  const { name, help, unit, labels, type, buckets } = metric.definition;
  const head: MetricHead = { name, help, unit, labels };
  if (type === 'histogram') {
    const series: HistogramSeries[] = [];
    metric.forEachSeries((labelValues, cell) => void series.push(histogramSeries(labelValues, cell, buckets.length, cells)));
    return { ...head, type, buckets, series };
  }
  const series: NumberSeries[] = [];
  metric.forEachSeries((labelValues, cell) => {
    series.push({ labelValues, value: type === 'gauge' ? cells.value(cell) : cells.added(cell) });
  });
  return { ...head, type, series };
}

function histogramSeries(labelValues: readonly string[], cell: number, bounds: number, cells: Cells): HistogramSeries {
  const cumulativeCounts: number[] = [];
  let count = 0;
  for (let at = 0; at <= bounds; at++) {
    count += cells.added(cell + at);
    cumulativeCounts.push(count);
  }
  return { labelValues, cumulativeCounts, count, sum: cells.added(cell + bounds + 1) };
}

/** What the registry says of itself: only what there is reason to look into. */
function ownMetrics(metrics: readonly Metric[], cells: Cells): readonly MetricSnapshot[] {
  const overflows = 'Look-ups of a series that were given the overflow series instead, by metric.';
  const refusals = 'Values that were not counted: no numbers, not finite, too large, or negative for a counter, by metric.';
  return [
    ownMetric('overflow_total', overflows, metrics, (metric) => cells.added(metric.overflowCell)),
    ownMetric('refused_total', refusals, metrics, (metric) => cells.added(metric.refusedCell)),
  ].filter(({ series }) => series.length > 0);
}

function ownMetric(name: string, help: string, metrics: readonly Metric[], valueOf: (metric: Metric) => number): MetricSnapshot {
  const all = metrics.map((metric): NumberSeries => ({ labelValues: [metric.definition.name], value: valueOf(metric) }));
  return { name: ownPrefix + name, help, unit: '', labels: ['metric'], type: 'counter', series: all.filter(({ value }) => value > 0) };
}

/** By code units: the same everywhere, whatever the locale. */
function compare(one: string, other: string): number {
  return one < other ? -1 : 1;
}
