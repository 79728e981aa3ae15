/**
 * Origins that cannot be connected to, told on standard error: whoever keeps no access log would see only 502.
 *
 * Each origin and reason is told at once, and then once a minute at most, with how often it has happened meanwhile.
 */
import type { WireError } from '@ferrata/error';

const AGAIN_AFTER_MS = 60_000;

/** Reasons are a few dozen; a log must not grow with whatever else they may be. */
const MAX_KINDS = 1_024;

/** Writes the notices. */
export class OriginNotices {
  readonly #write: (sentence: string) => void;
  readonly #now: () => number;
  readonly #told = new Map<string, { againAt: number; count: number }>();

  /** @param now monotonic milliseconds */
  constructor(write: (sentence: string) => void, now: () => number) {
    this.#write = write;
    this.#now = now;
  }

  /** @param origin its URL */
  tell(origin: string, { reason, message }: WireError): void {
    const kind = `${origin} ${reason}`;
    const now = this.#now();
    const told = this.#told.get(kind);
    if (told !== undefined && now < told.againAt) {
      told.count++;
      return;
    }
    const more = told === undefined || told.count === 0 ? '' : ` (and ${told.count} times more since that was told last)`;
    if (this.#told.size >= MAX_KINDS) this.#told.clear();
    this.#told.set(kind, { againAt: now + AGAIN_AFTER_MS, count: 0 });
    this.#write(`--to ${origin}: no connection: ${message}${more}`);
  }
}
