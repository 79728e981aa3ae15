/**
 * Origins that cannot be connected to, told on standard error: whoever keeps no access log would see only 502.
 *
 * Each origin and reason is told at once, and then once a minute at most, with how often it has happened meanwhile, in whichever thread.
 */
import type { WireError } from '@ferrata/error';
import { ToldMemory } from './told-memory.ts';

const AGAIN_AFTER_MS = 60_000;

/** Writes the notices. */
export class OriginNotices {
  readonly #write: (sentence: string) => void;
  readonly #now: () => number;
  readonly #told: ToldMemory;

  /** @param now monotonic milliseconds, those of all threads @param told what all threads know. Default: this one is alone */
  constructor(write: (sentence: string) => void, now: () => number, told: ToldMemory = new ToldMemory()) {
    this.#write = write;
    this.#now = now;
    this.#told = told;
  }

  /** @param origin its URL */
  tell(origin: string, { reason, message }: WireError): void {
    const count = this.#told.claim(`${origin} ${reason}`, this.#now(), AGAIN_AFTER_MS);
    if (count === null) return;
    const more = count === 0 ? '' : ` (and ${count} times more since that was told last)`;
    this.#write(`--to ${origin}: no connection: ${message}${more}`);
  }
}
