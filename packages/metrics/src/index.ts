/** @ferrata/metrics: counters, gauges and histograms in shared memory, one set for all threads. No I/O: somebody else serves the text. */

export { defaultBuckets, exponentialBuckets, linearBuckets } from './buckets.ts';
export type { LabelValue, LabelValues, MetricFamily } from './metric-family.ts';
export { MetricRegistry } from './metric-registry.ts';
export type {
  BucketOptions,
  JoinOptions,
  LabelledMetricOptions,
  LabelNames,
  MetricOptions,
  MetricRegistryConfig,
  MetricRegistryOptions,
  PlainMetricOptions,
} from './options.ts';
export { prometheusTextType, writePrometheusText } from './prometheus-text.ts';
export type { Counter, Gauge, Histogram } from './series.ts';
export type {
  HistogramMetricSnapshot,
  HistogramSeries,
  MetricHead,
  MetricSnapshot,
  MetricsSnapshot,
  NumberMetricSnapshot,
  NumberSeries,
} from './snapshot.ts';
