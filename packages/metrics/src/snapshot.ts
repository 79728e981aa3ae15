/** What a registry held at a moment: plain objects, to be written, sent or compared. What they share with the registry is frozen. */

/** Metrics by name, in ascending order of code units. */
export type MetricsSnapshot = readonly MetricSnapshot[];

/** One metric with its series: by label values in ascending order of code units, and last the overflow series if there is one. */
export type MetricSnapshot = NumberMetricSnapshot | HistogramMetricSnapshot;

/** A counter or a gauge. */
export interface NumberMetricSnapshot extends MetricHead {
  readonly type: 'counter' | 'gauge';
  readonly series: readonly NumberSeries[];
}

/** A histogram: all of its series have the same buckets. */
export interface HistogramMetricSnapshot extends MetricHead {
  readonly type: 'histogram';
  /** Upper bounds of the buckets, without the last one, which has none. */
  readonly buckets: readonly number[];
  readonly series: readonly HistogramSeries[];
}

/** What metrics of all types have. */
export interface MetricHead {
  readonly name: string;
  readonly help: string;
  /** Empty if there is none. */
  readonly unit: string;
  readonly labels: readonly string[];
}

/** One number of a counter or gauge, all threads together. */
export interface NumberSeries {
  /** In the order of the metric's labels. */
  readonly labelValues: readonly string[];
  readonly value: number;
}

/** One distribution, all threads together. */
export interface HistogramSeries {
  /** In the order of the metric's labels. */
  readonly labelValues: readonly string[];
  /** Values up to each bound, and last up to infinity: each count includes those before it. */
  readonly cumulativeCounts: readonly number[];
  /** All values: the last of `cumulativeCounts`. */
  readonly count: number;
  readonly sum: number;
}
