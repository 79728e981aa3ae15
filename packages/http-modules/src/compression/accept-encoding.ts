/**
 * What a client's Accept-Encoding says.
 *
 * Rules of this file:
 * - Weights count, and among equals the server's own order does; 0 forbids.
 * - Identity is always better than nothing: a client that refuses all there is gets the plain body, as a 406 would serve it less.
 * - What stands under `*` alone is answered by gzip: who lists nothing has not said that it reads zstd.
 * - A field of more than a hundred members is none: it is looked at when the response is there, which it must not cost.
 * - No field: RFC 9110 lets the server choose anything, but whoever doesn't say that it decodes mostly doesn't. It gets the plain body.
 *
 * @see RFC 9110 §12.5.3
 */
import { equalsAsciiIgnoreCase } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { parseQualityList, type WeightedItem } from '@ferrata/headers';

/** Fewer codings than that were ever registered. */
const MAX_ITEMS = 100;

/** An Accept-Encoding field, or the lack of one. */
export class AcceptedCodings {
  readonly #items: readonly WeightedItem[];

  constructor(field: string | undefined) {
    this.#items = field === undefined ? [] : itemsOf(field);
  }

  /** 0 to 1; 0 also for what is not mentioned. */
  qualityOf(coding: string): number {
    let quality = this.#named(coding);
    if (coding === 'gzip') quality ??= this.#named('x-gzip') ?? this.#named('*');
    return quality ?? 0;
  }

  /** Whether a body with this coding may be sent on, here by `*` too: it is coded already. */
  accepts(coding: string): boolean {
    return (this.#named(coding) ?? (coding === 'gzip' ? this.#named('x-gzip') : undefined) ?? this.#named('*') ?? 0) > 0;
  }

  /** The best of the codings, given in the order of preference, or null if the plain body is better. */
  choose<Coding extends string>(codings: readonly Coding[]): Coding | null {
    let best: Coding | null = null;
    // An identity that is not mentioned is acceptable, and the last choice.
    let bestQuality = 0;
    for (const coding of codings) {
      const quality = this.qualityOf(coding);
      if (quality > bestQuality) {
        best = coding;
        bestQuality = quality;
      }
    }
    return (this.#named('identity') ?? 0) > bestQuality ? null : best;
  }

  #named(name: string): number | undefined {
    for (const item of this.#items) if (equalsAsciiIgnoreCase(item.value, name)) return item.quality;
    return undefined;
  }
}

function itemsOf(field: string): readonly WeightedItem[] {
  try {
    return parseQualityList(field, { maxItems: MAX_ITEMS });
  } catch (thrown) {
    if (isWireError(thrown)) return [];
    throw thrown;
  }
}
