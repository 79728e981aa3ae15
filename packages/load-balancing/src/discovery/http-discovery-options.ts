/** What all discoveries over HTTP have in common: their limits and their pauses. */
import { checkWholeNumber } from '@ferrata/error';
import { type BackOffRange, checkBackOff } from './internal/back-off.ts';

/** Limits and pauses of a discovery that asks a registry over HTTP. */
export interface HttpDiscoveryOptions {
  /** The first pause after a failure. Default 100, 1 to a day. Each further failure doubles it. */
  readonly minRetryMs?: number;
  /** The longest pause. Default 30 000, `minRetryMs` to a day. Raising it spares a registry that is down, and finds out later that it is back. */
  readonly maxRetryMs?: number;
  /** Least time between two looks, whatever the registry says. Default 500, 0 to a day. Lowering it lets a registry that changes all the time keep us busy. */
  readonly minIntervalMs?: number;
  /** Changes within this time are told together. Default 20, 0 to 60 000. Raising it tells a busy registry's sets less often, and each of them later. */
  readonly settleMs?: number;
  /** Time for an answer, or for the head of a stream. Default 10 000, 1 to 3 600 000. */
  readonly requestTimeoutMs?: number;
  /** The most that is read of one answer, and kept of all of them. Default 64 MiB, 1 to 1 GiB. A hostile registry can make us keep some four times that for a moment. */
  readonly maxBodyBytes?: number;
  /** The longest line of a stream. Default 4 MiB, 1 to 1 GiB. A hostile registry can make us keep that. */
  readonly maxLineBytes?: number;
  /** The most backends, what is left out included. Default 100 000, 1 to 10 000 000. A registry that has more fails with `DISCOVERY_TOO_LARGE`. */
  readonly maxBackends?: number;
}

/** `HttpDiscoveryOptions` with every field settled. */
export interface HttpDiscoveryConfig extends BackOffRange {
  readonly minIntervalMs: number;
  readonly settleMs: number;
  readonly requestTimeoutMs: number;
  readonly maxBodyBytes: number;
  readonly maxLineBytes: number;
  readonly maxBackends: number;
}

const GIBIBYTE = 2 ** 30;
const MEBIBYTE = 2 ** 20;

/** @throws {RangeError} when a number is out of its range */
export function resolveHttpDiscoveryOptions(options: HttpDiscoveryOptions): HttpDiscoveryConfig {
  const { minRetryMs = 100, maxRetryMs = Math.max(30_000, minRetryMs), minIntervalMs = 500, settleMs = 20 } = options;
  const { requestTimeoutMs = 10_000, maxBodyBytes = 64 * MEBIBYTE, maxLineBytes = 4 * MEBIBYTE, maxBackends = 100_000 } = options;
  return Object.freeze({
    ...checkBackOff(minRetryMs, maxRetryMs),
    minIntervalMs: checkWholeNumber('minIntervalMs', minIntervalMs, { max: 86_400_000 }),
    settleMs: checkWholeNumber('settleMs', settleMs, { max: 60_000 }),
    requestTimeoutMs: checkWholeNumber('requestTimeoutMs', requestTimeoutMs, { min: 1, max: 3_600_000 }),
    maxBodyBytes: checkWholeNumber('maxBodyBytes', maxBodyBytes, { min: 1, max: GIBIBYTE }),
    maxLineBytes: checkWholeNumber('maxLineBytes', maxLineBytes, { min: 1, max: GIBIBYTE }),
    maxBackends: checkWholeNumber('maxBackends', maxBackends, { min: 1, max: 10_000_000 }),
  });
}

/** A text that must be there and may stand in a path or a header field. @throws {TypeError} when it is not */
export function checkText(name: string, value: string): string {
  // Header fields and paths carry neither controls nor line ends (RFC 9110 §5.5).
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (typeof value !== 'string' || value === '' || /[\x00-\x1f\x7f]/.test(value)) {
    throw new TypeError(`${name} must be text that is not empty, without control characters`);
  }
  return value;
}
