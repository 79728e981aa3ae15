/**
 * Takes the coding off the bodies of requests, for whoever reads them behind: filters, or an upstream that knows none.
 *
 * One coding, and one that the options list; others, and bodies that were coded twice, go on as they are, with their Content-Encoding. The bounds are those
 * of `InflateLimits`: beyond them the request ends with 413, a malformed body with 400.
 *
 * @see RFC 9110 §8.4, RFC 9111 §5.2.1.6 (no-transform)
 */
import { type HeaderMap, KnownHeader, type RequestHead } from '@ferrata/headers';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleExchange, ModulePiece } from '../http-module.ts';
import { contentCodings } from '../internal/content-codings.ts';
import { deleteDigests } from '../internal/old-bytes.ts';
import { BodyDecoder } from './body-decoder.ts';
import { forbidsTransform } from './compression.ts';
import { resolveDecodable } from './compression-options.ts';
import { type DecodableCoding, decodableCoding } from './content-coding.ts';
import { type InflateLimits, resolveInflateLimits } from './inflate-limits.ts';

/** Options of `requestDecompression`. */
export interface RequestDecompressionOptions extends Partial<InflateLimits> {
  /** The codings to take off. Default: all that this runtime can. */
  readonly codings?: readonly DecodableCoding[];
}

/** In front of all modules that read bodies. */
const DECOMPRESSION_ORDER = 16_384;

/** Makes a kind of module that takes codings off the bodies of requests. @throws {RangeError} when an option makes no sense */
export function requestDecompression(options: RequestDecompressionOptions = {}): HttpModuleKind {
  const codings = resolveDecodable('codings', options.codings ?? true);
  const limits = Object.freeze(resolveInflateLimits(options));
  return Object.freeze({
    name: 'request-decompression',
    order: DECOMPRESSION_ORDER,
    create({ request, hasRequestBody }: ModuleExchange): HttpModule | null {
      if (!hasRequestBody || forbidsTransform(request.headers)) return null;
      const coding = soleCoding(request.headers);
      if (coding === null || !codings.includes(coding)) return null;
      return new RequestDecompression(new BodyDecoder({ coding, limits, message: 'request' }));
    },
  });
}

class RequestDecompression implements HttpModule {
  readonly editsResponseBody = false;
  readonly #decoder: BodyDecoder;

  constructor(decoder: BodyDecoder) {
    this.#decoder = decoder;
  }

  requestFilter({ headers }: RequestHead): void {
    headers.deleteKnown(KnownHeader.contentEncoding);
    headers.deleteKnown(KnownHeader.contentLength);
    deleteDigests(headers);
  }

  requestBodyFilter(chunk: Uint8Array | null): Awaitable<ModulePiece> {
    return chunk === null ? this.#decoder.end() : this.#decoder.write(chunk);
  }

  requestBodyFlush(): Awaitable<ModulePiece> {
    return this.#decoder.flush();
  }

  close(): void {
    this.#decoder.close();
  }
}

function soleCoding(headers: HeaderMap): DecodableCoding | null {
  const codings = contentCodings(headers);
  return codings.length === 1 ? decodableCoding(codings[0] as string) : null;
}
