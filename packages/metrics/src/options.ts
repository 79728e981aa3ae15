/** Options of a registry and of its metrics, and the check of the former. */
import { checkWholeNumber } from '@ferrata/error';

/**
 * Options of a new `MetricRegistry`. All of its memory is taken at once, 10.5 MiB by default and 4 GiB at most; systems with virtual memory give
 * it page by page, as it is used.
 *
 * An eighth of `maxCells` and of `maxTextBytes` is kept for definitions: however many label values peers invent, a program whose metrics
 * fit in there can define them at any time.
 */
export interface MetricRegistryOptions {
  /**
   * Numbers that the registry keeps, 1 to 16 777 216; default 65 536, of which a histogram with the default buckets and series takes a fifth.
   * A counter or gauge takes one for each series, a histogram one for each bucket and two more, each metric two for itself, and a metric with
   * labels one series more, for the overflow. A number costs 8 bytes for each writer, and 8 more.
   */
  readonly maxCells?: number;
  /**
   * Bytes for names, help and label values, 1024 to 1 073 741 824; default 2 097 152. A series takes 2 bytes for each character of its label
   * values, whatever they are, 2 for each label, and 12 (and is rounded up to 4); a definition 2 bytes for each character of its JSON.
   */
  readonly maxTextBytes?: number;
  /** Threads that write at once, 1 to 1024; default 16. Each costs 8 bytes × `maxCells`. */
  readonly maxWriters?: number;
  /** Series of one metric, 1 to 16 777 216, when the metric says nothing else; default 1000. More make snapshots longer and scrapes slower. */
  readonly maxSeriesPerMetric?: number;
  /** Characters (UTF-16 units) of a label's value, 1 to 65 535; default 128. A longer one belongs to the overflow series. */
  readonly maxLabelLength?: number;
}

/** How a thread joins a registry that exists. */
export interface JoinOptions {
  /**
   * Which writer it becomes, 0 to `maxWriters` − 1; default: the first that is free. Whoever knows it, and the
   * `generation` of the taking, can release the place when the thread has ended.
   */
  readonly writer?: number;
}

/** The options with their defaults filled in. */
export type MetricRegistryConfig = Readonly<Required<MetricRegistryOptions>>;

/** What each metric is defined by. */
export interface MetricOptions {
  /** A sentence for people. Of several definitions of one metric the first one's help stays. */
  readonly help: string;
  /** The unit, which the name has to end with: `seconds` for `request_duration_seconds`, `bytes` for `sent_bytes_total`. Default: none. */
  readonly unit?: string;
}

/** A metric with one series, without labels. */
export interface PlainMetricOptions extends MetricOptions {
  readonly labels?: undefined;
}

/** Label names: at least one. */
export type LabelNames = readonly [string, ...string[]];

/** A metric with a series for each combination of label values. */
export interface LabelledMetricOptions<Names extends LabelNames> extends MetricOptions {
  /** Names of the labels, in the order of `withValues`. */
  readonly labels: Names;
  /** Series of this metric before the overflow series takes what is new; default: `maxSeriesPerMetric` of the registry. */
  readonly maxSeries?: number;
}

/** What a histogram has beside. */
export interface BucketOptions {
  /**
   * Upper bounds of the buckets, each included in its bucket, ascending and finite, 1 to 512; the bucket up to infinity is always there.
   * Default: 0.005 to 10, for seconds.
   */
  readonly buckets?: readonly number[];
}

/** Fills in the defaults. @throws {RangeError} when a value is out of its range */
export function resolveMetricRegistryOptions(options: MetricRegistryOptions = {}): MetricRegistryConfig {
  const { maxCells = 65_536, maxTextBytes = 0x20_0000, maxWriters = 16, maxSeriesPerMetric = 1000, maxLabelLength = 128 } = options;
  return Object.freeze({
    maxCells: checkWholeNumber('maxCells', maxCells, { min: 1, max: 0x100_0000 }),
    maxTextBytes: checkWholeNumber('maxTextBytes', maxTextBytes, { min: 1024, max: 0x4000_0000 }),
    maxWriters: checkWholeNumber('maxWriters', maxWriters, { min: 1, max: 1024 }),
    maxSeriesPerMetric: checkWholeNumber('maxSeriesPerMetric', maxSeriesPerMetric, { min: 1, max: 0x100_0000 }),
    maxLabelLength: checkWholeNumber('maxLabelLength', maxLabelLength, { min: 1, max: 65_535 }),
  });
}
