/** How much a coded body may unpack to. */
import { checkNumber, checkWholeNumber } from '@ferrata/error';

/** The bounds of a body whose coding is taken off. */
export interface InflateLimits {
  /** Plain bytes for each byte of code, above 1, of a body and of each piece of one; default 100. DEFLATE reaches 1032, brotli and zstd far more: raising it is what bombs wait for. */
  readonly maxInflateRatio: number;
  /** Plain bytes of a body, and of a piece, up to which the ratio isn't looked at, as short bodies of one letter are harmless; default 1 MiB. Raising it costs that much memory. */
  readonly minRatioBytes: number;
  /** Plain bytes of one body, 1 or more; default Infinity: whoever gathers bodies has bounds of their own. */
  readonly maxInflatedBytes: number;
}

/** Fills in the defaults. @throws {RangeError} on nonsense */
export function resolveInflateLimits(options: Partial<InflateLimits>): InflateLimits {
  return {
    maxInflateRatio: checkNumber('maxInflateRatio', options.maxInflateRatio ?? 100, { above: 1 }),
    minRatioBytes: checkWholeNumber('minRatioBytes', options.minRatioBytes ?? 1_048_576),
    maxInflatedBytes: checkWholeNumber('maxInflatedBytes', options.maxInflatedBytes ?? Infinity, { min: 1, max: Infinity }),
  };
}
