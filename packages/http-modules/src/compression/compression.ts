/**
 * Compresses responses, and takes off codings that their client doesn't know.
 *
 * ```text
 *   no body, 206, Content-Range, no-transform ───────────────────────► as it is (Vary of a 206: that of the 200)
 *   one coding ─ the client accepts it, or `decompress` lacks it ────► as it is
 *              └ else ───────────────────────────────────────────────► plain
 *   several codings ─────────────────────────────────────────────────► as it is
 *   plain ─ another type, shorter than `minBytes` ───────────────────► as it is
 *         └ the best of what the client accepts and has a level ─────► compressed, or plain if there is none
 * ```
 *
 * Rules of this file:
 * - Wherever the client's word decided, Vary says so, whatever the decision was. An answer to HEAD has the head that the one to GET would have.
 * - The client's word is what it sent: it is read before any module may edit the request, so that one in front that takes Accept-Encoding away from an upstream leaves it.
 * - On an error the response is cut: its head has promised a coding.
 *
 * Sources: RFC 9110 §8.4, §12.5.3, RFC 9111 §5.2.2.6, RFC 9842.
 */
import { type HeaderMap, KnownHeader, type RequestHead, type ResponseHead, tokenListHas } from '@ferrata/headers';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleExchange, ModulePiece, ResponseBodyInfo } from '../http-module.ts';
import { contentCodings } from '../internal/content-codings.ts';
import { deleteDigests, weakenNotModified } from '../internal/old-bytes.ts';
import { contentLengthOf } from '../internal/running-modules.ts';
import { addVary } from '../internal/vary.ts';
import { AcceptedCodings } from './accept-encoding.ts';
import { BodyDecoder } from './body-decoder.ts';
import { type BodyCodec, bodyEncoder } from './body-encoder.ts';
import { type CompressionDictionary, parseAvailableDictionary } from './compression-dictionary.ts';
import {
  type CompressionOptions,
  type CompressionSettings,
  type ResolvedCompression,
  type ResolvedSettings,
  resolveCompressionOptions,
  resolveSettings,
} from './compression-options.ts';
import { type CompressionCoding, type DecodableCoding, decodableCoding } from './content-coding.ts';
import { isEventStream, mediaTypeOf } from './content-types.ts';
import { editTranscodedHead } from './transcoded-head.ts';

/** Behind all modules that read or write bodies, as in Pingora. */
const COMPRESSION_ORDER = -16_384;
const ACCEPT_ENCODING = 'Accept-Encoding';
const AVAILABLE_DICTIONARY = 'Available-Dictionary';

/** The module of one exchange. */
export interface CompressionModule extends HttpModule {
  /**
   * Changes settings of this exchange; what is left out stays. Level 0 for all and `decompress: false` leave its response alone.
   * @throws {RangeError} when a setting makes no sense
   * @throws {TypeError} if the head of the response has been decided on
   */
  adjust(settings: CompressionSettings): void;
}

/**
 * Makes a kind of module that compresses responses.
 *
 * @throws {RangeError} when an option makes no sense, or asks for what this runtime lacks
 * @example
 * const kind = compression({ levels: { br: 5 }, decompress: ['gzip'] });
 */
export function compression(options: CompressionOptions = {}): HttpModuleKind<CompressionModule> {
  const resolved = resolveCompressionOptions(options);
  return Object.freeze({
    name: 'compression',
    order: COMPRESSION_ORDER,
    create: ({ request }: ModuleExchange): CompressionModule | null =>
      request.method === 'CONNECT' ? null : new ResponseCompression(resolved, clientWord(request)),
  });
}

/** What of a request has a say in its response. */
interface ClientWord {
  readonly acceptEncoding: string | undefined;
  readonly availableDictionary: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly forbidsTransform: boolean;
}

class ResponseCompression implements CompressionModule {
  readonly #options: ResolvedCompression;
  readonly #client: ClientWord;
  #settings: ResolvedSettings;
  #isDecided = false;
  #codec: BodyCodec | null = null;

  constructor(options: ResolvedCompression, client: ClientWord) {
    this.#options = options;
    this.#client = client;
    this.#settings = options.settings;
  }

  adjust(settings: CompressionSettings): void {
    if (this.#isDecided) throw new TypeError('the head of the response has been decided on');
    this.#settings = resolveSettings(settings, this.#settings);
  }

  responseFilter(response: ResponseHead, body: ResponseBodyInfo, exchange: ModuleExchange): void {
    this.#isDecided = true;
    const client = this.#client;
    const { headers, status } = response;
    if (this.#isOff || client.forbidsTransform || forbidsTransform(headers)) return;
    if (status === 304) {
      if (!this.#settings.preserveEtag && weakenNotModified(headers, client.ifNoneMatch)) addVary(headers, ACCEPT_ENCODING);
      return;
    }
    if (status === 206) {
      this.#sayVaryOfPart(headers, client);
      return;
    }
    if (status < 200 || status === 204 || status === 205 || headers.hasKnown(KnownHeader.contentRange)) return;
    const bodyLength = exchange.request.method === 'HEAD' ? contentLengthOf(headers) : body.bodyLength;
    if (bodyLength === 0) return;
    // Of HEAD the codec never sees a byte, and so takes nothing; but that the length is not known must be said.
    this.#codec = this.#decide(headers, bodyLength, client);
  }

  get editsResponseBody(): boolean {
    return this.#codec !== null;
  }

  responseBodyFilter(chunk: Uint8Array | null): Awaitable<ModulePiece> {
    if (this.#codec === null || chunk?.length === 0) return chunk;
    return chunk === null ? this.#codec.end() : this.#codec.write(chunk);
  }

  responseBodyFlush(): Awaitable<ModulePiece> {
    return this.#codec === null ? null : this.#codec.flush();
  }

  responseTrailerFilter(trailers: HeaderMap | null): HeaderMap | null {
    if (this.#codec !== null && trailers !== null) deleteDigests(trailers);
    return trailers;
  }

  close(): void {
    this.#codec?.close();
  }

  get #isOff(): boolean {
    const { levels, decompress } = this.#settings;
    return decompress.length === 0 && !this.#options.codings.some((coding) => levels[coding] > 0);
  }

  #decide(headers: HeaderMap, bodyLength: number, client: ClientWord): BodyCodec | null {
    const codings = contentCodings(headers);
    if (codings.length === 0) return this.#compressed(headers, bodyLength, client);
    // One layer: what was coded twice was meant for somebody who takes both off.
    return codings.length === 1 ? this.#decompressed(headers, codings[0] as string, client) : null;
  }

  #decompressed(headers: HeaderMap, name: string, client: ClientWord): BodyCodec | null {
    const coding = this.#removable(name);
    if (coding === null) return null;
    addVary(headers, ACCEPT_ENCODING);
    if (new AcceptedCodings(client.acceptEncoding).accepts(coding)) return null;
    editTranscodedHead(headers, null, this.#settings.preserveEtag);
    return new BodyDecoder({ coding, limits: this.#options.limits, message: 'response' });
  }

  #compressed(headers: HeaderMap, bodyLength: number, client: ClientWord): BodyCodec | null {
    const { minBytes, dictionaries, flush } = this.#options;
    const { levels, preserveEtag } = this.#settings;
    const mediaType = mediaTypeOf(headers.getKnown(KnownHeader.contentType));
    const offered = this.#offered(mediaType);
    if (offered.length === 0 || (bodyLength >= 0 && bodyLength < minBytes)) return null;

    const accepted = new AcceptedCodings(client.acceptEncoding);
    const dictionary = sayVary(headers, offered, accepted) ? dictionaryOf(client, dictionaries) : null;
    const coding = accepted.choose(dictionary === null ? offered.filter((one) => one !== 'dcz') : offered);
    if (coding === null) return null;

    editTranscodedHead(headers, coding, preserveEtag);
    const flushes = isEventStream(mediaType) || (flush === 'pieces' && bodyLength < 0);
    const encoding = { coding, level: levels[coding], dictionary: coding === 'dcz' ? dictionary : null };
    return bodyEncoder({ encoding, bodyLength, flushes });
  }

  /** Vary of a part is that of the whole (RFC 9110 §15.3.7), whose length the client need not know. Of several parts nobody says what they are parts of. */
  #sayVaryOfPart(headers: HeaderMap, client: ClientWord): void {
    const codings = contentCodings(headers);
    if (codings.length === 0) {
      const offered = this.#offered(mediaTypeOf(headers.getKnown(KnownHeader.contentType)));
      if (offered.length > 0) sayVary(headers, offered, new AcceptedCodings(client.acceptEncoding));
    } else if (codings.length === 1 && this.#removable(codings[0] as string) !== null) {
      addVary(headers, ACCEPT_ENCODING);
    }
  }

  /** The codings that a body of a type may get; none: it stays as it is. */
  #offered(mediaType: string): readonly CompressionCoding[] {
    const { types, codings } = this.#options;
    return types.has(mediaType) ? codings.filter((coding) => this.#settings.levels[coding] > 0) : [];
  }

  /** The coding of a name if it may be taken off. */
  #removable(name: string): DecodableCoding | null {
    const coding = decodableCoding(name);
    return coding !== null && this.#settings.decompress.includes(coding) ? coding : null;
  }
}

/** Names what of the request decides. @returns whether a dictionary of the client's does, too */
function sayVary(headers: HeaderMap, offered: readonly CompressionCoding[], accepted: AcceptedCodings): boolean {
  addVary(headers, ACCEPT_ENCODING);
  const takesDictionary = offered.includes('dcz') && accepted.qualityOf('dcz') > 0;
  if (takesDictionary) addVary(headers, AVAILABLE_DICTIONARY);
  return takesDictionary;
}

function clientWord({ headers }: RequestHead): ClientWord {
  return {
    acceptEncoding: headers.combinedKnown(KnownHeader.acceptEncoding),
    availableDictionary: headers.get(AVAILABLE_DICTIONARY),
    ifNoneMatch: headers.combinedKnown(KnownHeader.ifNoneMatch),
    forbidsTransform: forbidsTransform(headers),
  };
}

/** @see RFC 9111 §5.2.1.6 (requests), §5.2.2.6 (responses) */
export function forbidsTransform(headers: HeaderMap): boolean {
  const cacheControl = headers.combinedKnown(KnownHeader.cacheControl);
  return cacheControl !== undefined && tokenListHas(cacheControl, 'no-transform');
}

function dictionaryOf(client: ClientWord, dictionaries: ReadonlyMap<string, CompressionDictionary>): CompressionDictionary | null {
  const digest = client.availableDictionary === undefined ? null : parseAvailableDictionary(client.availableDictionary);
  return digest === null ? null : (dictionaries.get(digest) ?? null);
}
