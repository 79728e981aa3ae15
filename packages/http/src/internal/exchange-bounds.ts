/** What the settings of an exchange mean for the parts of a session: the options where nothing is set. */
import type { ResolvedServerConnectionOptions, ServerExchangeBounds } from '@ferrata/http1';
import type { ResolvedHttp2Options, StreamBounds } from '@ferrata/http2';
import type { ExchangeSettings } from '../exchange-settings.ts';
import { hasRate, type WriteBounds } from './write-progress.ts';

/** For the machine of HTTP/1. */
export function http1Bounds(settings: ExchangeSettings, options: ResolvedServerConnectionOptions): ServerExchangeBounds {
  return {
    isLast: settings.keepAlive === false,
    bodyTimeoutMs: settings.bodyTimeoutMs ?? options.bodyTimeoutMs,
    maxDrainBytes: settings.closeOnEarlyResponse === true ? 0 : (settings.maxDrainBytes ?? options.maxDrainBytes),
    maxInterimResponses: settings.dropInterim === true ? 0 : options.maxInterimResponses,
  };
}

/** For clients that are slow to take the response. */
export function writeBounds(settings: ExchangeSettings, options: WriteBounds): WriteBounds {
  return {
    writeTimeoutMs: settings.writeTimeoutMs ?? options.writeTimeoutMs,
    minSendBytesPerSecond: settings.minSendBytesPerSecond ?? 0,
  };
}

/** Whether the exchange has bounds of its own for such clients. */
export function hasWriteBounds({ writeTimeoutMs, minSendBytesPerSecond }: ExchangeSettings): boolean {
  return writeTimeoutMs !== undefined || minSendBytesPerSecond !== undefined;
}

type StallBounds = Pick<StreamBounds, 'stallTimeoutMs'>;

/** For the machine of HTTP/2, while `SlowReaders` looks after a stream. */
export const unwatchedStall: StallBounds = Object.freeze({ stallTimeoutMs: Number.POSITIVE_INFINITY });

/** For the machine of HTTP/2, while that has to do it: what waits then is little, too little to measure a rate by. */
export function stallBounds(bounds: WriteBounds, { stallTimeoutMs }: ResolvedHttp2Options): StallBounds {
  return hasRate(bounds) ? { stallTimeoutMs } : { stallTimeoutMs: bounds.writeTimeoutMs };
}
