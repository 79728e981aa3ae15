/**
 * Limits and choices of the two decoders.
 *
 * Every limit holds while a line is still incomplete: what a peer can make a decoder keep never exceeds `maxHeadBytes` + `maxTrailerBytes`
 * beyond the chunks it was fed.
 */
import { checkWholeNumber } from '@ferrata/error';

/** What happens to a trailer field that may not be one (RFC 9110 §6.5.1): framing, routing, authentication and the like. */
export type ForbiddenTrailers = 'drop' | 'reject';

/** Options that both decoders share. All limits are whole numbers; going over one is an error of type `limit`. */
export interface DecoderOptions {
  /** Bytes of a head, start line and final empty line included. Default 32 768. More lets each connection hold more memory. */
  readonly maxHeadBytes?: number;
  /** Bytes of one field line without its CRLF. Default 16 384. */
  readonly maxFieldBytes?: number;
  /** Bytes of a field name. Default 256. */
  readonly maxFieldNameBytes?: number;
  /** Field lines of a head. Default 100 for requests, 200 for responses. More costs CPU in everything that walks them. */
  readonly maxFields?: number;
  /** Bytes of a chunk's first line without its CRLF: size and extensions. Default 256, at least 32. */
  readonly maxChunkLineBytes?: number;
  /** Bytes of all chunk extensions of one body. Default 16 384. */
  readonly maxChunkExtensionBytes?: number;
  /**
   * How many chunks of fewer than 16 bytes one body may have beyond those that its larger chunks pay for: every 16 bytes of a larger chunk
   * pay for one. Default 65 536; `Infinity` for no limit. More lets a peer spend six bytes and more of our CPU for each byte of body.
   */
  readonly maxTinyChunks?: number;
  /** Bytes of a trailer section. Default 8 192. */
  readonly maxTrailerBytes?: number;
  /** Field lines of a trailer section. Default 32. */
  readonly maxTrailerFields?: number;
  /** Default `drop`. */
  readonly forbiddenTrailers?: ForbiddenTrailers;
}

/** Options of a `RequestDecoder`. */
export interface RequestDecoderOptions extends DecoderOptions {
  /** Bytes of a method. Default 32. */
  readonly maxMethodBytes?: number;
  /** Bytes of a request target. Default 8 192; more than that is 414. */
  readonly maxTargetBytes?: number;
  /** Empty lines before a request line that are skipped (RFC 9112 §2.2). Default 4; 0 for none. */
  readonly maxEmptyLines?: number;
}

/** Options of a `ResponseDecoder`. */
export interface ResponseDecoderOptions extends DecoderOptions {
  /** Bytes of a status line without its CRLF. Default 8 192. */
  readonly maxStatusLineBytes?: number;
}

/** `RequestDecoderOptions` with every default filled in. */
export interface ResolvedRequestDecoderOptions extends Required<RequestDecoderOptions> {
  readonly isResolved: true;
}

/** `ResponseDecoderOptions` with every default filled in. */
export interface ResolvedResponseDecoderOptions extends Required<ResponseDecoderOptions> {
  readonly isResolved: true;
}

/**
 * Fills in the defaults of a request decoder, once for all its connections.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveRequestDecoderOptions(
  options: RequestDecoderOptions | ResolvedRequestDecoderOptions = {},
): ResolvedRequestDecoderOptions {
  if ('isResolved' in options) return options;
  return Object.freeze({
    ...sharedOptions(options, 100),
    maxMethodBytes: checkLimit('maxMethodBytes', options.maxMethodBytes ?? 32, 1),
    maxTargetBytes: checkLimit('maxTargetBytes', options.maxTargetBytes ?? 8_192, 1),
    maxEmptyLines: checkLimit('maxEmptyLines', options.maxEmptyLines ?? 4, 0),
  });
}

/**
 * Fills in the defaults of a response decoder, once for all its connections.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveResponseDecoderOptions(
  options: ResponseDecoderOptions | ResolvedResponseDecoderOptions = {},
): ResolvedResponseDecoderOptions {
  if ('isResolved' in options) return options;
  return Object.freeze({
    ...sharedOptions(options, 200),
    maxStatusLineBytes: checkLimit('maxStatusLineBytes', options.maxStatusLineBytes ?? 8_192, 16),
  });
}

function sharedOptions(options: DecoderOptions, maxFields: number): Required<DecoderOptions> & { readonly isResolved: true } {
  const forbiddenTrailers = options.forbiddenTrailers ?? 'drop';
  if (forbiddenTrailers !== 'drop' && forbiddenTrailers !== 'reject') {
    throw new RangeError(`forbiddenTrailers must be 'drop' or 'reject', not ${String(forbiddenTrailers)}`);
  }
  return {
    isResolved: true,
    maxHeadBytes: checkLimit('maxHeadBytes', options.maxHeadBytes ?? 32_768, 64),
    maxFieldBytes: checkLimit('maxFieldBytes', options.maxFieldBytes ?? 16_384, 1),
    maxFieldNameBytes: checkLimit('maxFieldNameBytes', options.maxFieldNameBytes ?? 256, 1),
    maxFields: checkLimit('maxFields', options.maxFields ?? maxFields, 0),
    maxChunkLineBytes: checkLimit('maxChunkLineBytes', options.maxChunkLineBytes ?? 256, 32),
    maxChunkExtensionBytes: checkLimit('maxChunkExtensionBytes', options.maxChunkExtensionBytes ?? 16_384, 0),
    maxTinyChunks:
      options.maxTinyChunks === Number.POSITIVE_INFINITY
        ? options.maxTinyChunks
        : checkLimit('maxTinyChunks', options.maxTinyChunks ?? 65_536, 0),
    maxTrailerBytes: checkLimit('maxTrailerBytes', options.maxTrailerBytes ?? 8_192, 2),
    maxTrailerFields: checkLimit('maxTrailerFields', options.maxTrailerFields ?? 32, 0),
    forbiddenTrailers,
  };
}

/** The largest limit: offsets into a head are kept in 32 bits. */
const MAX_LIMIT = 0x3fff_ffff;

function checkLimit(name: string, value: number, min: number): number {
  return checkWholeNumber(name, value, { min, max: MAX_LIMIT });
}
