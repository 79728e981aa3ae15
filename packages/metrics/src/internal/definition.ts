/**
 * What a metric is: checked when it is defined, and carried to the other threads as text.
 *
 * Names follow Prometheus' data model, and the stricter rules of OpenMetrics, so that every registry can be written in both formats:
 * counters end with `_total` and nothing else does, and a unit is the end of the name.
 *
 * @see https://prometheus.io/docs/concepts/data_model/
 * @see https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
import { checkWholeNumber } from '@ferrata/error';
import { checkBuckets, defaultBuckets } from '../buckets.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** A metric, as it stands in the log. */
export interface MetricDefinition {
  readonly type: MetricType;
  readonly name: string;
  readonly help: string;
  /** Empty: none. */
  readonly unit: string;
  readonly labels: readonly string[];
  /** Empty unless it is a histogram. */
  readonly buckets: readonly number[];
  readonly maxSeries: number;
}

/** What the makers of a registry are given, all types together. */
export interface DefinitionOptions {
  readonly help: string;
  readonly unit?: string | undefined;
  readonly labels?: readonly string[] | undefined;
  readonly maxSeries?: number | undefined;
  readonly buckets?: readonly number[] | undefined;
}

/** The registry's own metrics begin so. */
export const ownPrefix = 'ferrata_metrics_';

/** Colons are in the data model, but for the recording rules of whoever runs Prometheus. */
const metricName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** @throws {TypeError} when a name or a text is not allowed @throws {RangeError} when a number is out of its range */
export function defineMetric(type: MetricType, name: string, options: DefinitionOptions, maxSeriesPerMetric: number): MetricDefinition {
  const { help, unit = '', labels = [], maxSeries = maxSeriesPerMetric, buckets = defaultBuckets } = options;
  checkName(type, name, unit);
  if (typeof help !== 'string') throw new TypeError(`help of ${name} must be a string`);
  checkLabels(type, name, labels);
  return {
    type,
    name,
    help: help.toWellFormed(),
    unit,
    // Copied and frozen: snapshots hand them out.
    labels: Object.freeze([...labels]),
    buckets: Object.freeze(type === 'histogram' ? [...checkBuckets(buckets)] : []),
    maxSeries: checkWholeNumber('maxSeries', maxSeries, { min: 1, max: 0x100_0000 }),
  };
}

/** @throws {TypeError} when two definitions of one name are of different metrics */
export function checkSame(existing: MetricDefinition, wanted: MetricDefinition): void {
  const parts = ['type', 'unit', 'labels', 'buckets', 'maxSeries'] as const;
  for (const part of parts) {
    const [one, other] = [JSON.stringify(existing[part]), JSON.stringify(wanted[part])];
    if (one !== other) throw new TypeError(`${wanted.name} is defined already, with ${part} ${one}, not ${other}`);
  }
}

/** The names that a metric's samples and its family have in text: no other metric may have one of them. */
export function namesOf({ type, name }: MetricDefinition): readonly string[] {
  if (type === 'gauge') return [name];
  if (type === 'counter') return [name, name.slice(0, -'_total'.length)];
  return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
}

/** Numbers that a series of the metric takes. */
export function cellsOf({ type, buckets }: MetricDefinition): number {
  return type === 'histogram' ? buckets.length + 2 : 1;
}

function checkName(type: MetricType, name: string, unit: string): void {
  if (typeof name !== 'string' || !metricName.test(name)) throw new TypeError(`not the name of a metric: ${JSON.stringify(name)}`);
  if (name.startsWith(ownPrefix)) throw new TypeError(`${name}: names that begin with ${ownPrefix} are the registry's own`);
  if (name.endsWith('_total') !== (type === 'counter')) {
    throw new TypeError(
      `${name}: the name of a counter must end with _total, and that of a ${type === 'counter' ? 'gauge' : type} must not`,
    );
  }
  const stem = type === 'counter' ? name.slice(0, -'_total'.length) : name;
  if (stem === '') throw new TypeError('not the name of a metric: "_total" alone');
  if (unit !== '' && !stem.endsWith(`_${unit}`)) throw new TypeError(`${name}: the name must end with its unit, ${unit}`);
}

function checkLabels(type: MetricType, name: string, labels: readonly string[]): void {
  for (const [at, label] of labels.entries()) {
    if (typeof label !== 'string' || !labelName.test(label))
      throw new TypeError(`${name}: not the name of a label: ${JSON.stringify(label)}`);
    if (label.startsWith('__')) throw new TypeError(`${name}: label names that begin with __ are Prometheus' own: ${label}`);
    if (type === 'histogram' && label === 'le') throw new TypeError(`${name}: the label le is a histogram's own`);
    if (labels.indexOf(label) !== at) throw new TypeError(`${name}: the label ${label} is there twice`);
  }
}
