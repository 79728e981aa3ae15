/** When what becomes of requests puts a backend out for a while. */
import { checkNumber, checkWholeNumber } from '@ferrata/error';

/** Options of passive health. Times in milliseconds. */
export interface OutlierOptions {
  /** Failures in a row, over all threads, after which a backend is put out at once. Default 5; Infinity: never. Lowering it puts backends out by chance. */
  readonly consecutiveFailures?: number;
  /** How often shares of errors and times are looked at. Default 10 000. Shortening it decides by fewer requests. */
  readonly intervalMs?: number;
  /** The share of requests of an interval that may fail, 0 to 1: a backend with more is put out. Default 0.5; 1: never. */
  readonly maxErrorShare?: number;
  /**
   * How many times longer than the median of all a backend's answers may take on average in an interval. Default Infinity: as long as they like. Below 3 or so, chance
   * and unequal work put out good ones.
   */
  readonly maxLatencyFactor?: number;
  /** Of two backends that are both quick neither is an outlier: so much longer than the median it must be besides. Default 20. */
  readonly minLatencyGapMs?: number;
  /** Requests in an interval below which nothing is concluded from shares and times. Default 20. */
  readonly minRequests?: number;
  /** How long a backend is out the first time; each further time so much longer. Default 30 000. */
  readonly baseEjectionMs?: number;
  /** How long at most. Default 300 000. */
  readonly maxEjectionMs?: number;
  /** The share of the backends of a set that may be out at once, 0 to 1; one may in any case, if there are two or more. Default 0.5. */
  readonly maxEjectedShare?: number;
}

/** All of them. */
export type ResolvedOutlierOptions = Readonly<Required<OutlierOptions>>;

/** @throws {RangeError} when a number makes no sense */
export function resolveOutlierOptions(options: OutlierOptions): ResolvedOutlierOptions {
  const { consecutiveFailures = 5, maxErrorShare = 0.5, maxLatencyFactor = Infinity, minRequests = 20 } = options;
  const { intervalMs = 10_000, minLatencyGapMs = 20, baseEjectionMs = 30_000, maxEjectionMs = 300_000, maxEjectedShare = 0.5 } = options;
  return Object.freeze({
    consecutiveFailures: checkWholeNumber('outliers.consecutiveFailures', consecutiveFailures, { min: 1, max: Infinity }),
    intervalMs: checkNumber('outliers.intervalMs', intervalMs, { min: 100, max: 86_400_000 }),
    maxErrorShare: checkNumber('outliers.maxErrorShare', maxErrorShare, { min: 0, max: 1 }),
    maxLatencyFactor: checkNumber('outliers.maxLatencyFactor', maxLatencyFactor, { above: 1 }),
    minLatencyGapMs: checkNumber('outliers.minLatencyGapMs', minLatencyGapMs, { min: 0 }),
    minRequests: checkWholeNumber('outliers.minRequests', minRequests, { min: 1 }),
    baseEjectionMs: checkNumber('outliers.baseEjectionMs', baseEjectionMs, { above: 0, max: 86_400_000 }),
    maxEjectionMs: checkNumber('outliers.maxEjectionMs', maxEjectionMs, { above: 0, max: 86_400_000 }),
    maxEjectedShare: checkNumber('outliers.maxEjectedShare', maxEjectedShare, { min: 0, max: 1 }),
  });
}
