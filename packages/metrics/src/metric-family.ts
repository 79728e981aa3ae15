/** A metric with labels: many series under one name. */
import type { LabelNames } from './options.ts';

/** A label's value: any text; numbers are written as JavaScript writes them. */
export type LabelValue = string | number;

/** Values by the names of a metric's labels. */
export type LabelValues<Names extends LabelNames> = Readonly<Record<Names[number], LabelValue>>;

/**
 * Finds or makes the series of a metric by their label values. Made by a `MetricRegistry`, which gives the same one for the same name.
 *
 * What is over a limit gets the overflow series, whose label values are all `other`; `ferrata_metrics_overflow_total` counts how often. So a
 * look-up always gives a series, and no peer can fill the memory by inventing values.
 */
export interface MetricFamily<Series, Names extends LabelNames> {
  readonly name: string;
  readonly labels: Names;

  /**
   * Returns the series with these label values.
   *
   * @throws {TypeError} when a value is missing, or neither a string nor a number
   */
  with(values: LabelValues<Names>): Series;

  /**
   * Returns the series with these label values, in the order of `labels`.
   *
   * @throws {TypeError} when there are more or fewer values than labels, or one is neither a string nor a number
   */
  withValues(...values: { readonly [At in keyof Names]: LabelValue }): Series;
}
