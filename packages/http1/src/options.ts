/**
 * Limits and choices of the two decoders.
 *
 * Every limit holds while a line is still incomplete: what a peer can make a decoder keep never exceeds `maxHeadBytes` + `maxTrailerBytes`
 * beyond the chunks it was fed.
 *
 * Leniencies are named one by one and are all off: each lets in what RFC 9112 lets a recipient take (a MAY; where it is against a MUST, that is
 * said), in a form that has one meaning here, and what is forwarded is written anew without it. Whatever would need a guess has no option.
 */
import { checkWholeNumber } from '@ferrata/error';
import { MAX_FIELD_NAME_BYTES } from '@ferrata/headers';

/** What happens to a trailer field that may not be one (RFC 9110 §6.5.1): framing, routing, authentication and the like. */
export type ForbiddenTrailers = 'drop' | 'reject';

/** Options that both decoders share. All limits are whole numbers; going over one is an error of type `limit`. */
export interface DecoderOptions {
  /** Bytes of a head, start line and final empty line included. Default 32 768. More lets each connection hold more memory. */
  readonly maxHeadBytes?: number;
  /** Bytes of one field line without its CRLF. Default 16 384. */
  readonly maxFieldBytes?: number;
  /** Bytes of a field name. Default 256, which is also the most: a `HeaderMap` takes no longer one from anybody else. */
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

/** What a `RequestDecoder` takes beyond the strict grammar. All false by default; the risk of each is for who stands behind it too. */
export interface RequestLeniency {
  /**
   * LF alone ends the lines of a head, and an empty line before it (RFC 9112 §2.2). Never a chunk line or a trailer.
   *
   * Risk: a server in front that does not take LF for a line end has seen one field where we see two: whoever writes its values smuggles
   * fields, Host and framing among them (CWE-444, CVE-2022-32214). Only for clients that connect directly.
   */
  readonly bareLineFeed?: boolean;
  /**
   * No Host in HTTP/1.1, as in HTTP/1.0: whoever routes must know where such a request goes, and give it a Host before it is sent on. Against
   * RFC 9112 §3.2, by which a server must refuse it.
   *
   * Risk: who is in front decided about another host, or kept the answer under one (CWE-436).
   */
  readonly missingHost?: boolean;
  /**
   * Bytes above 0x7F in an origin-form target, which come out percent-encoded (RFC 3986 §2.1): three characters for a byte, while
   * `maxTargetBytes` counts one.
   *
   * Risk: a rule in front that compared the raw bytes, or decoded them as another character set, decided about another path
   * (CWE-436, class of CVE-2023-45539).
   */
  readonly nonAsciiTarget?: boolean;
  /**
   * Content-Length several times, in lines or in a list, each with the same digits: becomes one line (RFC 9112 §6.3).
   *
   * Risk: somebody added the second one; a server in front that took only the first or the last of a pair has not noticed that either
   * (CWE-444, CVE-2026-1525). What we forward has one.
   */
  readonly repeatedEqualContentLength?: boolean;
}

/** What a `ResponseDecoder` takes beyond the strict grammar. All false by default. */
export interface ResponseLeniency {
  /**
   * LF alone ends the lines of a head. Never a chunk line or a trailer (RFC 9112 §2.2).
   *
   * Risk: an application that lets LF into a field value, where its own server counts on CRLF, now lets a visitor add fields, or a whole
   * response: response splitting (CWE-113).
   */
  readonly bareLineFeed?: boolean;
  /**
   * Blanks between a chunk size and its CRLF, as servers write that reserve a fixed width for the size.
   *
   * Risk: readers have differed on how such a size is read, which is the class of CVE-2025-22871; chunks are written anew here.
   */
  readonly blankAfterChunkSize?: boolean;
  /**
   * Blanks between a field name and its colon, which are removed (RFC 9112 §5.1 obliges a proxy to, in responses).
   *
   * Risk: a cache between us and the server that took `Content-Length :` for an unknown field has read another end of the message (CWE-444).
   */
  readonly blankBeforeColon?: boolean;
  /**
   * Content-Length beside Transfer-Encoding: the length is removed, the chunks count, and the connection ends after the response
   * (RFC 9112 §6.3). There is no such option for requests.
   *
   * Risk: something between us and the server that went by the length may have handed us a forged rest (CWE-444, response smuggling).
   */
  readonly contentLengthWithTransferEncoding?: boolean;
  /**
   * Up to four empty lines before a status line of a response that is expected.
   *
   * Risk: they are the rest of a response longer than it said; whoever wrote them might have written more, and then the wrong client gets it
   * (response queue poisoning). Bytes while nothing is expected stay an error.
   */
  readonly emptyLinesBeforeResponse?: boolean;
  /**
   * Folded field lines: each fold becomes one SP (RFC 9112 §5.2). Never Content-Length or Transfer-Encoding, never a trailer.
   *
   * Risk: a reader that takes the second line for a field of its own sees other fields, or another framing (CVE-2022-32215).
   */
  readonly foldedFields?: boolean;
  /**
   * One Content-Length that is neither a number nor a list: it is removed, the body goes to the end of the connection, which ends in any case.
   * Against RFC 9112 §6.3, by which a proxy must answer 502. Never beside Transfer-Encoding.
   *
   * Risk: a body that was cut looks whole, as nothing says how long it is; what on the way read a number there saw another end (CWE-444).
   */
  readonly invalidContentLength?: boolean;
  /** As in `RequestLeniency`: equal lengths become one. Risk: which of two writers was right stays unknown (CWE-444). */
  readonly repeatedEqualContentLength?: boolean;
}

/** Options of a `RequestDecoder`. */
export interface RequestDecoderOptions extends DecoderOptions {
  /** Bytes of a method. Default 32. */
  readonly maxMethodBytes?: number;
  /** Bytes of a request target as it comes; what `nonAsciiTarget` encodes may be up to three times as long. Default 8 192; more than that is 414. */
  readonly maxTargetBytes?: number;
  /** Empty lines before a request line that are skipped (RFC 9112 §2.2). Default 4; 0 for none. */
  readonly maxEmptyLines?: number;
  /** What is let in beyond the strict grammar. Default: nothing. */
  readonly leniency?: RequestLeniency;
}

/** Options of a `ResponseDecoder`. */
export interface ResponseDecoderOptions extends DecoderOptions {
  /** Bytes of a status line without its CRLF. Default 8 192. */
  readonly maxStatusLineBytes?: number;
  /** What is let in beyond the strict grammar. Default: nothing. */
  readonly leniency?: ResponseLeniency;
}

/** `RequestDecoderOptions` with every default filled in. */
export interface ResolvedRequestDecoderOptions extends Required<RequestDecoderOptions> {
  readonly leniency: Required<RequestLeniency>;
  readonly isResolved: true;
}

/** `ResponseDecoderOptions` with every default filled in. */
export interface ResolvedResponseDecoderOptions extends Required<ResponseDecoderOptions> {
  readonly leniency: Required<ResponseLeniency>;
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
    leniency: resolveLeniency(options.leniency, STRICT_REQUESTS),
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
    leniency: resolveLeniency(options.leniency, STRICT_RESPONSES),
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
    maxFieldNameBytes: checkWholeNumber('maxFieldNameBytes', options.maxFieldNameBytes ?? MAX_FIELD_NAME_BYTES, {
      min: 1,
      max: MAX_FIELD_NAME_BYTES,
    }),
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

const STRICT_REQUESTS: Required<RequestLeniency> = Object.freeze({
  bareLineFeed: false,
  missingHost: false,
  nonAsciiTarget: false,
  repeatedEqualContentLength: false,
});

const STRICT_RESPONSES: Required<ResponseLeniency> = Object.freeze({
  bareLineFeed: false,
  blankAfterChunkSize: false,
  blankBeforeColon: false,
  contentLengthWithTransferEncoding: false,
  emptyLinesBeforeResponse: false,
  foldedFields: false,
  invalidContentLength: false,
  repeatedEqualContentLength: false,
});

/** A name that is none is refused: whoever writes it believes to have allowed something, or to have kept it out. */
function resolveLeniency<Leniency extends RequestLeniency | ResponseLeniency>(
  given: Leniency | undefined,
  strict: Required<Leniency>,
): Required<Leniency> {
  if (given === undefined) return strict;
  const wanted = new Map<string, unknown>(Object.entries(given));
  for (const [name, value] of wanted) {
    if (!Object.hasOwn(strict, name)) throw new RangeError(`leniency has no ${name}; it has ${Object.keys(strict).join(', ')}`);
    if (typeof value !== 'boolean' && value !== undefined) throw new RangeError(`leniency.${name} must be true or false`);
  }
  const resolved = Object.fromEntries(Object.keys(strict).map((name) => [name, wanted.get(name) === true]));
  return Object.freeze(resolved) as unknown as Required<Leniency>;
}

/** The largest limit: offsets into a head are kept in 32 bits. */
const MAX_LIMIT = 0x3fff_ffff;

function checkLimit(name: string, value: number, min: number): number {
  return checkWholeNumber(name, value, { min, max: MAX_LIMIT });
}
