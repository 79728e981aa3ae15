/**
 * Damping of backends that flap, as routes are damped (RFC 2439): each flip costs a penalty, which decays by half in a half-life. Above one threshold the backend is held
 * back, and it stays so until the penalty is below another one.
 *
 * ```text
 *   penalty
 *   suppress ─ ─ ─ ─ ─ ─ ╱▏─╲─ ─ ─ ─ ─ ─ ─ ─     held back from here …
 *                   ╱╲ ╱     ╲
 *              ╱╲ ╱            ╲ ╲
 *   reuse ─ ╱ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ╲─ ─ ─ ─     … to here
 * ```
 *
 * The penalty has a ceiling, from which it decays to `reusePenalty` in `maxSuppressMs`: however often it has flipped, a backend that flips no more comes back by then (RFC
 * 2439 §4.2, the maximum hold-down time).
 */
import { checkNumber, checkWholeNumber } from '@ferrata/error';

/** Options of damping. */
export interface FlapDampingOptions {
  /** What a flip costs, in either direction: above 0. Default 1 000; the other figures are in relation to it. */
  readonly flipPenalty?: number;
  /** Held back from here on; above `reusePenalty`. Default 3 000. Raising it lets a backend flap for longer. */
  readonly suppressPenalty?: number;
  /** Free again below this; above 0. Default 1 000. Raising it frees a backend sooner. */
  readonly reusePenalty?: number;
  /** The time in which half of the penalty is forgotten, whole, 1 to 86 400 000. Default 60 000. Raising it remembers for longer. */
  readonly halfLifeMs?: number;
  /** The longest that a backend is held back after its last flip, whole, 1 to 86 400 000. Default 240 000. Too short a time for `suppressPenalty` is refused. */
  readonly maxSuppressMs?: number;
}

/** `FlapDampingOptions`, with every default filled in. */
export interface FlapDampingConfig extends Required<FlapDampingOptions> {
  readonly ceiling: number;
}

const DAY_MS = 86_400_000;

/** @throws {RangeError} when a figure is out of range, or they make no sense together */
export function resolveFlapDampingOptions(options: FlapDampingOptions): FlapDampingConfig {
  const reusePenalty = checkNumber('reusePenalty', options.reusePenalty ?? 1_000, { above: 0, max: Number.MAX_SAFE_INTEGER });
  const suppressPenalty = checkNumber('suppressPenalty', options.suppressPenalty ?? 3_000, {
    above: reusePenalty,
    max: Number.MAX_SAFE_INTEGER,
  });
  const flipPenalty = checkNumber('flipPenalty', options.flipPenalty ?? 1_000, { above: 0, max: Number.MAX_SAFE_INTEGER });
  const halfLifeMs = checkWholeNumber('halfLifeMs', options.halfLifeMs ?? 60_000, { min: 1, max: DAY_MS });
  const maxSuppressMs = checkWholeNumber('maxSuppressMs', options.maxSuppressMs ?? 240_000, { min: 1, max: DAY_MS });
  const ceiling = reusePenalty * 2 ** (maxSuppressMs / halfLifeMs);
  if (ceiling < suppressPenalty)
    throw new RangeError(
      `maxSuppressMs must let a penalty of ${suppressPenalty} decay to ${reusePenalty}, or none is ever reached: raise it`,
    );
  return Object.freeze({ reusePenalty, suppressPenalty, flipPenalty, halfLifeMs, maxSuppressMs, ceiling });
}

/** The penalty of one backend. Time comes in, and does not go back. */
export class FlapDamping {
  readonly #config: FlapDampingConfig;
  #penalty = 0;
  #at = 0;
  #isSuppressed = false;

  constructor(config: FlapDampingConfig) {
    this.#config = config;
  }

  /** It has flipped. */
  flip(now: number): void {
    this.#penalty = Math.min(this.penaltyAt(now) + this.#config.flipPenalty, this.#config.ceiling);
    this.#at = now;
    if (this.#penalty >= this.#config.suppressPenalty) this.#isSuppressed = true;
  }

  /** Whether it is held back. */
  isSuppressedAt(now: number): boolean {
    // At the ceiling, so many half-lives end at the threshold itself, and not below it.
    if (this.#isSuppressed && (this.penaltyAt(now) < this.#config.reusePenalty || now - this.#at >= this.#config.maxSuppressMs))
      this.#isSuppressed = false;
    return this.#isSuppressed;
  }

  /** What is left of the penalty. */
  penaltyAt(now: number): number {
    return this.#penalty * 2 ** ((this.#at - now) / this.#config.halfLifeMs);
  }
}
