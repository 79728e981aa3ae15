/** The series that programs count with. Keep one where it is used: counting is then an addition, while finding it takes ten times as long. */

/**
 * Counts what happens: requests, bytes, errors. Made by `MetricRegistry.counter`.
 *
 * An amount that a counter cannot take never throws, since the code that counts is not the code to fail: it is left out, and
 * `ferrata_metrics_refused_total` says so.
 */
export interface Counter {
  /** Adds 1, or another finite amount that is not negative. Exact for whole numbers up to 2⁵³ a thread. */
  inc(amount?: number): void;
}

/**
 * Shows how much there is of something: connections, memory, a temperature. Made by `MetricRegistry.gauge`.
 *
 * Threads may count up and down, and what one has added another may take away; or they may set it, and the last one wins. Mixing both is
 * defined (an addition counts as before or after the setting), but rounds as sums of doubles do.
 */
export interface Gauge {
  /** Sets the value for all threads: any number, NaN and the infinities too, as Prometheus knows them. */
  set(value: number): void;

  /** Adds 1 or another amount, which may be negative. One that is not finite could never be taken away again, and is refused. */
  inc(amount?: number): void;

  /** Takes away 1 or another amount. */
  dec(amount?: number): void;
}

/** Counts values by size: durations, lengths. Made by `MetricRegistry.histogram`. */
export interface Histogram {
  /** Counts a value in the first bucket whose bound is not below it. NaN and the infinities would spoil the sum for ever, and are refused. */
  observe(value: number): void;
}
