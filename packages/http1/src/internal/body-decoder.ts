/**
 * Cuts message bodies out of chunks fed: by length, in chunks, or to the end of the connection.
 *
 * ```text
 *   length, untilClose:   bytes ──► done
 *
 *   chunked:   sizeStart ─► size ─┬──────────────► sizeFeed ─┬─ size > 0 ─► data ─► dataReturn ─► dataFeed ─► sizeStart
 *                                 └─► extension ──────┘      └─ size 0 ──► trailerStart ─┬─ CR ─► lastFeed ─► done
 *                                                                                        └─► trailers ───────► done
 * ```
 * Rules of this file:
 * - Line ends are CRLF and nothing else: a lone LF in a chunk line is where two readers part (CVE-2025-22871, CVE-2025-43859).
 * - The first wrong byte decides the reason of an error, however the bytes were cut.
 * - Data is handed out as views, never copied.
 *
 * @see RFC 9112 §6.3, §7.1
 */
import { EMPTY_BYTES, hexValue } from '@ferrata/bytes';
import { type HeaderMap, removeForbiddenTrailers } from '@ferrata/headers';
import { type Http1Reason, http1Error, type MessageSide } from '../errors.ts';
import { BodyLength, MessageEvent } from '../message-event.ts';
import type { ForbiddenTrailers } from '../options.ts';
import { CR, HTAB, isControl, LF, SEMICOLON, SP } from './ascii.ts';
import { ChunkExtensionScanner } from './chunk-extension-scanner.ts';
import { buildFields } from './field-builder.ts';
import { FieldScanner } from './field-scanner.ts';
import { SectionReader } from './section-reader.ts';

const State = {
  done: 0,
  bytes: 1,
  sizeStart: 2,
  size: 3,
  extension: 4,
  sizeFeed: 5,
  data: 6,
  dataReturn: 7,
  dataFeed: 8,
  trailerStart: 9,
  lastFeed: 10,
  trailers: 11,
} as const;
type State = (typeof State)[keyof typeof State];

/** More digits than any size needs; leading zeros are valid, but a line of them serves only to confuse. */
const MAX_SIZE_DIGITS = 16;

/** A size above this would pass 2^53 - 1 with one more digit. */
const MAX_SIZE_BEFORE_DIGIT = Math.floor(Number.MAX_SAFE_INTEGER / 16);

/** Below this a chunk is tiny: its frame weighs more than a third of it. */
const TINY_CHUNK_BYTES = 16;

/** Limits of a body. */
export interface BodyLimits {
  readonly maxChunkLineBytes: number;
  readonly maxChunkExtensionBytes: number;
  readonly maxTinyChunks: number;
  readonly maxTrailerBytes: number;
  readonly maxTrailerFields: number;
  readonly maxFieldBytes: number;
  readonly maxFieldNameBytes: number;
  readonly forbiddenTrailers: ForbiddenTrailers;
}

/** The leniency of bodies; `options.ts` says what it opens. */
export interface BodyLeniency {
  readonly blankAfterChunkSize: boolean;
}

const STRICT: BodyLeniency = Object.freeze({ blankAfterChunkSize: false });

export class BodyDecoder {
  /** Where the next unread byte of the chunk given to `next` lies. */
  at = 0;
  /** What `next` found when it returned true: `data` or `end`. */
  event: MessageEvent = MessageEvent.none;
  data: Uint8Array = EMPTY_BYTES;
  trailers: HeaderMap | null = null;
  readonly #side: MessageSide;
  readonly #limits: BodyLimits;
  readonly #takesBlankAfterSize: boolean;
  readonly #extension = new ChunkExtensionScanner();
  #trailerReader: SectionReader | null = null;
  #state: State = State.done;
  /** Bytes of the body, or of the chunk, still to come. */
  #left = 0;
  #isUntilClose = false;
  #sizeDigits = 0;
  #lineBytes = 0;
  #extensionBytes = 0;
  #tinyChunks = 0;

  constructor(side: MessageSide, limits: BodyLimits, leniency: BodyLeniency = STRICT) {
    this.#side = side;
    this.#limits = limits;
    this.#takesBlankAfterSize = leniency.blankAfterChunkSize;
  }

  /** Extensions of the chunk at hand. */
  get chunkExtension(): string {
    return this.#extension.text;
  }

  /** Bytes of an incomplete trailer section kept here. */
  get bufferedBytes(): number {
    return this.#trailerReader === null ? 0 : this.#trailerReader.bufferedBytes;
  }

  /** Copies out what is kept of an incomplete trailer section, and forgets it. */
  takeBuffered(): Uint8Array {
    return this.#trailerReader === null ? EMPTY_BYTES : this.#trailerReader.takeBuffered();
  }

  /** Begins a body. @param bodyLength ≥ 0 or a `BodyLength` */
  start(bodyLength: number): void {
    this.trailers = null;
    this.data = EMPTY_BYTES;
    this.#isUntilClose = bodyLength === BodyLength.untilClose;
    if (bodyLength === BodyLength.chunked) {
      this.#extension.start();
      this.#extensionBytes = 0;
      this.#tinyChunks = 0;
      this.#state = State.sizeStart;
    } else {
      this.#left = this.#isUntilClose ? Number.POSITIVE_INFINITY : bodyLength;
      this.#state = State.bytes;
    }
  }

  /**
   * Goes on in `chunk` at `from`; sets `at`.
   *
   * @returns true when it found `event`
   * @throws {WireError} at the first byte that breaks a rule or a limit
   */
  next(chunk: Uint8Array, from: number): boolean {
    let p = from;
    const end = chunk.length;
    if (this.#state === State.bytes && this.#left === 0) return this.#finish(p);
    while (p < end) {
      const byte = chunk[p] as number;
      switch (this.#state) {
        case State.bytes:
        case State.data: {
          const until = this.#left < end - p ? p + this.#left : end;
          this.#left -= until - p;
          if (this.#left === 0 && this.#state === State.data) this.#state = State.dataReturn;
          this.data = viewOf(chunk, p, until);
          this.at = until;
          this.event = MessageEvent.data;
          return true;
        }
        case State.dataReturn:
          if (byte !== CR) throw this.#error('H1_CHUNK_END_MISSING');
          p++;
          this.#state = State.dataFeed;
          break;
        case State.dataFeed:
          if (byte !== LF) throw this.#error('H1_CHUNK_END_MISSING');
          p++;
          this.#state = State.sizeStart;
          break;
        case State.sizeStart:
          if (hexValue(byte) < 0) throw this.#lineError(byte, 'H1_CHUNK_SIZE_INVALID');
          this.#left = 0;
          this.#sizeDigits = 0;
          if (this.#extension.text !== '') this.#extension.start();
          this.#state = State.size;
          break;
        case State.size:
          p = this.#takeSize(chunk, p);
          break;
        case State.extension:
          p = this.#takeExtension(chunk, p);
          break;
        case State.sizeFeed:
          if (byte !== LF) throw this.#error('H1_BARE_CR');
          p++;
          this.#beginChunk();
          break;
        case State.trailerStart:
          if (byte === CR) {
            p++;
            this.#state = State.lastFeed;
          } else {
            this.#beginTrailers();
          }
          break;
        case State.lastFeed:
          if (byte !== LF) throw this.#error('H1_BARE_CR');
          return this.#finish(p + 1);
        case State.trailers: {
          const reader = this.#trailerReader as SectionReader;
          const isComplete = reader.read(chunk, p);
          p += reader.takenBytes;
          if (!isComplete) break;
          this.#takeTrailers(reader);
          return this.#finish(p);
        }
        default:
          this.at = p;
          return false;
      }
    }
    this.at = p;
    return false;
  }

  /** The connection has ended, which completes a close-delimited body. @throws {WireError} H1_TRUNCATED_BODY for any other */
  end(): void {
    if (!this.#isUntilClose) throw this.#error('H1_TRUNCATED_BODY');
    this.#finish(this.at);
  }

  #finish(at: number): true {
    this.at = at;
    this.data = EMPTY_BYTES;
    this.#state = State.done;
    this.event = MessageEvent.end;
    return true;
  }

  #takeSize(chunk: Uint8Array, from: number): number {
    let p = from;
    let size = this.#left;
    let digits = this.#sizeDigits;
    while (p < chunk.length) {
      const byte = chunk[p] as number;
      const digit = hexValue(byte);
      if (digit < 0) {
        this.#endSize(byte, digits);
        if (byte === CR) p++;
        break;
      }
      if (++digits > MAX_SIZE_DIGITS) throw this.#error('H1_CHUNK_SIZE_TOO_LONG');
      if (size > MAX_SIZE_BEFORE_DIGIT) throw this.#error('H1_CHUNK_SIZE_OVERFLOW');
      size = size * 16 + digit;
      p++;
    }
    this.#left = size;
    this.#sizeDigits = digits;
    return p;
  }

  #endSize(byte: number, digits: number): void {
    if (byte === CR) {
      this.#state = State.sizeFeed;
    } else if (byte === SEMICOLON || byte === SP || byte === HTAB) {
      this.#lineBytes = digits;
      this.#extension.start();
      this.#state = State.extension;
    } else {
      throw this.#lineError(byte, 'H1_CHUNK_SIZE_INVALID');
    }
  }

  #takeExtension(chunk: Uint8Array, from: number): number {
    const { maxChunkLineBytes, maxChunkExtensionBytes } = this.#limits;
    for (let p = from; p < chunk.length; p++) {
      const byte = chunk[p] as number;
      if (byte === CR && (this.#extension.mayEnd || (this.#takesBlankAfterSize && this.#extension.isEmpty))) {
        this.#state = State.sizeFeed;
        return p + 1;
      }
      if (!this.#extension.take(byte)) throw this.#lineError(byte, 'H1_CHUNK_EXTENSION_INVALID');
      if (++this.#lineBytes > maxChunkLineBytes) throw this.#error('H1_CHUNK_LINE_TOO_LONG');
      if (++this.#extensionBytes > maxChunkExtensionBytes) throw this.#error('H1_CHUNK_EXTENSIONS_TOO_LARGE');
    }
    return chunk.length;
  }

  #beginChunk(): void {
    const size = this.#left;
    if (size === 0) {
      this.#state = State.trailerStart;
      return;
    }
    this.#state = State.data;
    if (size >= TINY_CHUNK_BYTES) {
      if (this.#tinyChunks > 0) this.#tinyChunks = Math.max(0, this.#tinyChunks - Math.floor(size / TINY_CHUNK_BYTES));
    } else if (++this.#tinyChunks > this.#limits.maxTinyChunks) {
      throw this.#error('H1_CHUNKS_TOO_SMALL');
    }
  }

  #beginTrailers(): void {
    const { maxTrailerBytes, maxTrailerFields, maxFieldBytes, maxFieldNameBytes } = this.#limits;
    this.#trailerReader ??= new SectionReader(
      this.#side,
      null,
      new FieldScanner(this.#side, {
        maxFields: maxTrailerFields,
        maxFieldBytes,
        maxFieldNameBytes,
        tooManyReason: 'H1_TRAILER_FIELDS_TOO_MANY',
      }),
      { maxBytes: maxTrailerBytes, tooLargeReason: 'H1_TRAILERS_TOO_LARGE' },
    );
    this.#trailerReader.start();
    this.#state = State.trailers;
  }

  #takeTrailers(reader: SectionReader): void {
    const trailers = buildFields(reader, reader.decode());
    reader.release();
    // RFC 9110 §6.5.1: whoever merged such a field into the head would let the body decide what the head has decided already.
    const removed = removeForbiddenTrailers(trailers);
    if (removed > 0 && this.#limits.forbiddenTrailers === 'reject') throw this.#error('H1_TRAILER_FORBIDDEN');
    this.trailers = trailers.size === 0 ? null : trailers;
  }

  /** A byte that ends a line wrongly has its own reason wherever it stands; any other gets `reason`. */
  #lineError(byte: number, reason: Http1Reason): Error {
    if (byte === LF) return this.#error('H1_BARE_LF');
    if (byte !== CR && isControl(byte) && byte !== HTAB) return this.#error('H1_CONTROL_BYTE');
    return this.#error(reason);
  }

  #error(reason: Http1Reason): Error {
    return http1Error(reason, this.#side);
  }
}

function viewOf(chunk: Uint8Array, start: number, end: number): Uint8Array {
  // Most chunks of a long body are data from first to last byte: they need no view.
  return start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
}
