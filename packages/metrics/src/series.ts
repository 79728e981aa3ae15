/** The series that programs count with. Keep one where it is used: counting is then an addition, while finding it takes ten times as long. */

/**
 * Counts what happens: requests, bytes, errors. Made by `MetricRegistry.counter`.
 *
 * An amount that a counter cannot take never throws, whatever it is, since the code that counts is not the code to fail: it is left out, and
 * `ferrata_metrics_refused_total` says so.
 */
export interface Counter {
  /** Adds 1, or another amount that is not negative, unless the thread's sum would pass 2⁹⁰⁰. Exact for whole numbers up to 2⁵³ a thread. */
  inc(amount?: number): void;
}

/**
 * Shows how much there is of something: connections, memory, a temperature. Made by `MetricRegistry.gauge`.
 *
 * Threads may count up and down, and what one has added another may take away; or they may set it, and the last one wins. Mixing both is
 * defined (an addition counts as before or after the setting), but rounds as sums of doubles do: after `inc(1e17)`, `set(1)` reads as 0, since
 * doubles of that size are 16 apart.
 */
export interface Gauge {
  /**
   * Sets the value for all threads: any number, NaN and the infinities too, as Prometheus knows them. Always takes effect, whatever was there.
   *
   * Reads what each of the threads has added, so it takes longer the more there have been.
   */
  set(value: number): void;

  /** Adds 1 or another amount, which may be negative. One that would take what this thread has added beyond ±2⁹⁰⁰ is refused. */
  inc(amount?: number): void;

  /** Takes away 1 or another amount. */
  dec(amount?: number): void;
}

/** Counts values by size: durations, lengths. Made by `MetricRegistry.histogram`. */
export interface Histogram {
  /**
   * Counts a value in the first bucket whose bound is not below it. One that would spoil the sum for ever is refused: NaN, the infinities, and
   * what takes this thread's sum beyond ±2⁹⁰⁰.
   */
  observe(value: number): void;
}
