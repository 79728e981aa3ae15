/**
 * The times that the application of a subrequest may set by `adjust`. None runs unless it does: both sides are programs in the same thread, and the request on whose
 * behalf it all happens has its own.
 */
import { checkExchangeSettings, type ExchangeSettings } from '@ferrata/http';

/** What an exchange waits for. */
export interface Waiting {
  /** Pieces of the request's body, of which none is there. */
  readonly forBody: boolean;
  /** Bytes of a response that is full; 0: it is not. */
  readonly fullBytes: number;
}

/** The time-outs of one exchange. */
export class ExchangeTimeouts {
  #settings: ExchangeSettings = {};
  #bodySince = Number.POSITIVE_INFINITY;
  #fullSince = Number.POSITIVE_INFINITY;
  #fullBytes = 0;

  /** What was set so far. */
  get settings(): ExchangeSettings {
    return this.#settings;
  }

  /** Also what means nothing here is checked: nonsense is a mistake everywhere. @throws {RangeError|TypeError} as `checkExchangeSettings`; nothing has changed then */
  adjust(settings: ExchangeSettings): void {
    this.#settings = checkExchangeSettings(settings, this.#settings);
  }

  /** Notes what is waited for from now on. @param moved whether bytes were taken since this was last called: times begin anew */
  note(waiting: Waiting, moved: { readonly request: boolean; readonly response: boolean }, now: number): void {
    if (!waiting.forBody) this.#bodySince = Number.POSITIVE_INFINITY;
    else if (moved.request || this.#bodySince === Number.POSITIVE_INFINITY) this.#bodySince = now;
    if (waiting.fullBytes === 0) this.#fullSince = Number.POSITIVE_INFINITY;
    // By the rate, whoever takes longer is too slow, even if it takes some.
    else if ((moved.response && !this.#hasRate()) || this.#fullSince === Number.POSITIVE_INFINITY) {
      this.#fullSince = now;
      this.#fullBytes = waiting.fullBytes;
    }
  }

  #hasRate(): boolean {
    return (this.#settings.minSendBytesPerSecond ?? 0) > 0;
  }

  /** When the maker of the request has been silent for too long; `Infinity`: never. */
  get bodyDueAt(): number {
    return this.#bodySince + (this.#settings.bodyTimeoutMs ?? Number.POSITIVE_INFINITY);
  }

  /** When the response has not been taken for too long; `Infinity`: never. */
  get writeDueAt(): number {
    const { minSendBytesPerSecond = 0, writeTimeoutMs = Number.POSITIVE_INFINITY } = this.#settings;
    return this.#fullSince + writeAllowanceMs(minSendBytesPerSecond, this.#fullBytes, writeTimeoutMs);
  }
}

/** How long so many bytes may wait. */
export function writeAllowanceMs(minBytesPerSecond: number, waitingBytes: number, writeTimeoutMs: number): number {
  if (minBytesPerSecond === 0) return writeTimeoutMs;
  return (Math.max(waitingBytes, minBytesPerSecond) / minBytesPerSecond) * 1000;
}
