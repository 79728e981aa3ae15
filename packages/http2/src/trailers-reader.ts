/**
 * Makes a trailer section of the fields of a header block.
 *
 * Rules: no pseudo-header field (RFC 9113 §8.1), the same checks of names and values as in heads, limits of its own, and no field that would
 * change framing, routing or authentication if it were merged into the head (RFC 9110 §6.5.1).
 */
import { checkWholeNumber } from '@ferrata/error';
import { HeaderMap, mayBeTrailer } from '@ferrata/headers';
import type { HpackDecoder } from '@ferrata/hpack';
import { faultOf, isPseudoTag, knownIdOf, NOT_PLAIN } from './field-tags.ts';
import { CANONICAL_NAMES } from './internal/field-names.ts';
import type { MessageReason } from './message-reason.ts';

/** Options of a `TrailersReader`. */
export interface TrailersReaderOptions {
  /** Bytes of a section as RFC 9113 §6.5.2 counts them: names, values, and 32 for each field. Default 8192. More lets each message hold more memory. */
  readonly maxTrailerBytes?: number;
  /** Fields of a section. Default 32. */
  readonly maxTrailerFields?: number;
  /** What happens to a field that may not be a trailer. Default `drop`. */
  readonly forbiddenTrailers?: 'drop' | 'reject';
}

/** Reads the trailer sections of one connection, one block at a time. */
export class TrailersReader {
  readonly #maxTrailerBytes: number;
  readonly #maxTrailerFields: number;
  readonly #rejectsForbidden: boolean;
  #trailers: HeaderMap | null = null;
  #bytes = 0;
  #fieldCount = 0;

  /** Why the message is refused; null as long as nothing is wrong. */
  fault: MessageReason | null = null;

  /** @throws {RangeError} when a limit is no whole number */
  constructor(options: TrailersReaderOptions = {}) {
    this.#maxTrailerBytes = checkWholeNumber('maxTrailerBytes', options.maxTrailerBytes ?? 8_192);
    this.#maxTrailerFields = checkWholeNumber('maxTrailerFields', options.maxTrailerFields ?? 32);
    this.#rejectsForbidden = options.forbiddenTrailers === 'reject';
  }

  /** A header block begins. */
  begin(): void {
    this.#trailers = null;
    this.#bytes = 0;
    this.#fieldCount = 0;
    this.fault = null;
  }

  /** Takes all fields that the decoder has; call it after each fragment. @throws {WireError} what the decoder throws */
  read(decoder: HpackDecoder): void {
    while (decoder.next()) this.fault ??= this.#take(decoder.name, decoder.value, decoder.tag);
    if (decoder.isOverLimit) this.fault ??= 'H2_TRAILERS_TOO_LARGE';
  }

  /** The block is over. @returns null if it is refused: `fault` says why; an empty map if there were no fields */
  finish(): HeaderMap | null {
    const trailers = this.#trailers ?? new HeaderMap(0);
    this.#trailers = null;
    return this.fault === null ? trailers : null;
  }

  #take(name: string, value: string, tag: number): MessageReason | null {
    this.#bytes += name.length + value.length + 32;
    if (this.#bytes > this.#maxTrailerBytes) return 'H2_TRAILERS_TOO_LARGE';
    if (++this.#fieldCount > this.#maxTrailerFields) return 'H2_TRAILER_FIELDS_TOO_MANY';
    if ((tag & NOT_PLAIN) !== 0) {
      if (isPseudoTag(tag)) return 'H2_PSEUDO_IN_TRAILERS';
      const fault = faultOf(tag);
      if (fault !== null) return fault;
    }
    const id = knownIdOf(tag);
    if (!mayBeTrailer(id)) return this.#rejectsForbidden ? 'H2_TRAILER_FORBIDDEN' : null;
    this.#trailers ??= new HeaderMap(4);
    this.#trailers.appendTrusted(id === 0 ? name : (CANONICAL_NAMES[id] as string), id, value);
    return null;
  }
}
