/**
 * Range requests, answered from whole responses: the body that passes by is cut.
 *
 * Only a 200 to GET or HEAD with a length that is known beforehand is cut; 206 and 416 of an origin that knows ranges itself go through as they are, and `Accept-Ranges: none`
 * is respected. Everything of the body is still read from where it comes; what a cache can seek in, it seeks in by itself.
 *
 * Sources: RFC 9110 §14 (ranges), §13.1.5 (If-Range), §15.3.7 (206), §15.5.17 (416).
 */
import { checkWholeNumber } from '@ferrata/error';
import { type HeaderMap, isToken, KnownHeader, knownHeaderSet, type RequestHead, type ResponseHead, reasonPhrase } from '@ferrata/headers';
import type { HttpModule, HttpModuleKind, ModuleExchange, ModulePiece, ResponseBodyInfo } from '../http-module.ts';
import { parseHttpDate } from '../internal/http-date.ts';
import { deleteContentDigests, deleteDigests } from '../internal/old-bytes.ts';
import { contentLengthOf } from '../internal/running-modules.ts';
import { type ByteRange, parseRanges } from './parse-ranges.ts';
import { framedLength, partFrames, RangeBody } from './range-body.ts';

/** Options of `ranges`. */
export interface RangesOptions {
  /** Where it stands in the chain; default -8100: behind `conditionals`. */
  readonly order?: number;
  /** The most members of a Range field, 1 or more; default 200, each some 100 bytes of frames in the answer. A field with more is ignored. */
  readonly maxParts?: number;
  /** Makes the boundary of a multipart body: 1 to 70 characters of a token. Default: 16 hexadecimal digits, from the system's random numbers. */
  readonly boundary?: () => string;
}

/** RFC 2046 §5.1.1. */
const MAX_BOUNDARY = 70;

/** What the body of an answer 416 would have said. */
const OF_THE_BODY = knownHeaderSet(
  KnownHeader.acceptRanges,
  KnownHeader.contentType,
  KnownHeader.contentEncoding,
  KnownHeader.transferEncoding,
  KnownHeader.trailer,
  KnownHeader.contentDisposition,
  KnownHeader.expires,
  KnownHeader.age,
);

/**
 * Makes the kind of module that answers range requests.
 *
 * @throws {RangeError} if `maxParts` is not 1 or more
 */
export function ranges(options: RangesOptions = {}): HttpModuleKind {
  const { order = -8100, maxParts = 200, boundary = randomBoundary } = options;
  checkWholeNumber('maxParts', maxParts, { min: 1, max: 10_000 });
  return {
    name: 'ranges',
    order,
    create: ({ request }) =>
      request.method === 'GET' || request.method === 'HEAD' ? new Ranges({ maxParts, boundary }, wishOf(request)) : null,
  };
}

interface RangesSettings {
  readonly maxParts: number;
  readonly boundary: () => string;
}

/** What a client asks for. */
interface RangeWish {
  readonly range: string;
  /** If-Range. */
  readonly condition: string | undefined;
}

class Ranges implements HttpModule {
  readonly #options: RangesSettings;
  readonly #wish: RangeWish | null;
  #body: RangeBody | null = null;
  editsResponseBody = false;
  responseBodyLength = -1;

  constructor(options: RangesSettings, wish: RangeWish | null) {
    this.#options = options;
    this.#wish = wish;
  }

  responseFilter(response: ResponseHead, { bodyLength }: ResponseBodyInfo, { request }: ModuleExchange): void {
    const { headers } = response;
    if (response.status !== 200) return;
    const length = request.method === 'HEAD' ? contentLengthOf(headers) : bodyLength;
    if (length < 0) return;
    const accepted = headers.combinedKnown(KnownHeader.acceptRanges);
    if (accepted?.trim().toLowerCase() === 'none') return;
    const wish = this.#wish;
    const found = wish !== null && isCurrent(wish.condition, headers) ? parseRanges(wish.range, length, this.#options.maxParts) : null;
    const isMultipart = found !== null && found.length > 1;
    const boundary = isMultipart ? checkedBoundary(this.#options.boundary()) : '';
    const partType = headers.getKnown(KnownHeader.contentType) ?? 'application/octet-stream';
    const frames = isMultipart ? partFrames(found, length, boundary, partType) : null;
    const cutLength = found === null ? 0 : framedLength(found, frames);
    // Parts of nearly 2^53 bytes and what stands around them: no number could say how long that is.
    if (found === null || !Number.isSafeInteger(cutLength)) {
      if (accepted === undefined) headers.setKnown(KnownHeader.acceptRanges, 'bytes');
      return;
    }
    this.editsResponseBody = true;
    if (found.length === 0) {
      this.#refuse(response, length);
      return;
    }
    begin(response, 206);
    deleteContentDigests(headers);
    headers.deleteKnown(KnownHeader.acceptRanges);
    this.#body = new RangeBody(found, frames);
    this.responseBodyLength = cutLength;
    if (isMultipart) {
      headers.deleteKnown(KnownHeader.contentRange);
      headers.setKnown(KnownHeader.contentType, `multipart/byteranges; boundary=${boundary}`);
      return;
    }
    const { first, last } = found[0] as ByteRange;
    headers.setKnown(KnownHeader.contentRange, `bytes ${first}-${last}/${length}`);
  }

  responseBodyFilter(chunk: Uint8Array | null): ModulePiece {
    return chunk === null || this.#body === null ? null : this.#body.take(chunk);
  }

  responseTrailerFilter(trailers: HeaderMap | null): HeaderMap | null {
    if (trailers !== null && this.editsResponseBody) deleteContentDigests(trailers);
    return trailers;
  }

  #refuse(response: ResponseHead, length: number): void {
    begin(response, 416);
    const { headers } = response;
    headers.deleteAnyOf(OF_THE_BODY);
    deleteDigests(headers);
    headers.setKnown(KnownHeader.contentRange, `bytes */${length}`);
    // No cache may keep it for those who ask for the whole: what the origin has said of that is about a 200.
    headers.setKnown(KnownHeader.cacheControl, 'no-store');
    this.responseBodyLength = 0;
  }
}

function begin(response: ResponseHead, status: 206 | 416): void {
  response.status = status;
  response.reason = reasonPhrase(status);
}

/** Read before any module may edit the request: one in front that rewrites bodies doesn't pass Range on. */
function wishOf({ headers }: RequestHead): RangeWish | null {
  if (headers.countKnown(KnownHeader.range) !== 1) return null;
  return { range: headers.getKnown(KnownHeader.range) as string, condition: headers.combinedKnown(KnownHeader.ifRange) };
}

/** RFC 9110 §13.1.5: a strong tag, or exactly the date of Last-Modified. A weak tag is neither. Parts of two versions would make a broken whole. */
function isCurrent(condition: string | undefined, headers: HeaderMap): boolean {
  if (condition === undefined) return true;
  if (condition.startsWith('"')) return condition === headers.getKnown(KnownHeader.etag);
  return condition === headers.getKnown(KnownHeader.lastModified) && isStrong(condition, headers.getKnown(KnownHeader.date));
}

/** RFC 9110 §8.8.2.2: a second may have more than one version, so that its date says which only when it was over as the response was made. */
function isStrong(lastModified: string, madeAt: string | undefined): boolean {
  return madeAt === undefined || parseHttpDate(madeAt) - parseHttpDate(lastModified) >= 1;
}

/** What else could end a line, or the frames, where no end is meant. @see RFC 2046 §5.1.1 */
function checkedBoundary(boundary: unknown): string {
  if (typeof boundary === 'string' && boundary.length <= MAX_BOUNDARY && isToken(boundary)) return boundary;
  throw new TypeError(`not a boundary, 1 to ${MAX_BOUNDARY} characters of a token: ${JSON.stringify(boundary)}`);
}

/** Not to be guessed: whoever knew it could put parts of his own into what he uploads. */
function randomBoundary(): string {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
