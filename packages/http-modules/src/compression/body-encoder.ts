/**
 * Compresses one body: whole, by one call at its end, or in the thread pool, as much at once as came in one go.
 *
 * Rules of this file:
 * - Pieces are gathered, up to a bound, and by copies: a thousand small ones must neither be a thousand ways through the pool nor keep a thousand buffers alive.
 * - What must not wait for the next piece goes out when nothing more is at hand, and not within a burst, as each flush costs bytes and a way through the pool.
 * - A body of which all was gathered when it ended never needed the pool, whether its length was known or not.
 */
import { ByteWriter, EMPTY_BYTES } from '@ferrata/bytes';
import { internalError, isWireError } from '@ferrata/error';
import type { Awaitable, ModulePiece } from '../http-module.ts';
import { createEncoder, type Encoding, encodeWhole } from './content-coding.ts';
import { ZlibRun } from './zlib-run.ts';

/** What turns one body into another. */
export interface BodyCodec {
  write(chunk: Uint8Array): Awaitable<ModulePiece>;
  /** Nothing more is at hand. @returns what must not wait for more */
  flush(): Awaitable<ModulePiece>;
  /** @returns what is left */
  end(): Awaitable<ModulePiece>;
  /** Frees what is held outside the heap. May be called at any time, and again. */
  close(): void;
}

/** How a body is to be compressed. */
export interface BodyEncoderInit {
  readonly encoding: Encoding;
  /** ≥ 0, or -1 if not known. */
  readonly bodyLength: number;
  /** What came must go out when nothing more is at hand. */
  readonly flushes: boolean;
}

/**
 * Bodies up to this length are compressed by one call on this thread. The way through the thread pool and the making of a stream cost 100 to 150 µs:
 * 64 KiB of JSON take 382 µs so and 529 the other way by gzip, 467 and 615 by br, 165 and 360 by zstd; 1 KiB 11 and 140.
 */
export const MAX_WHOLE_BYTES = 65_536;

/** Of a body that is longer, and whose pieces need not go out at once: enough for a way through the pool (some 50 µs) to be worth it. */
const GATHERED_BYTES = 16_384;

/** From these levels on, one call would hold the thread for milliseconds. */
const SLOW_LEVELS = { gzip: 8, br: 7, zstd: 10, dcz: 10 } as const;

/** A longer dictionary would, too: each body has it indexed anew, which takes 0.6 ms for this much, 2 to 6 for 1 MiB, and 3 to 9 for 8. */
const MAX_WHOLE_DICTIONARY_BYTES = 262_144;

/** Makes the encoder of a body. */
export function bodyEncoder(init: BodyEncoderInit): BodyCodec {
  return new BodyEncoder(init);
}

class BodyEncoder implements BodyCodec {
  readonly #encoding: Encoding;
  readonly #bodyLength: number;
  readonly #flushes: boolean;
  /** Beyond it, what was gathered goes through the pool. */
  readonly #maxGathered: number;
  #gathered: ByteWriter | null = null;
  #bytesIn = 0;
  #run: ZlibRun | null = null;
  #isClosed = false;

  constructor({ encoding, bodyLength, flushes }: BodyEncoderInit) {
    this.#encoding = encoding;
    this.#bodyLength = bodyLength;
    this.#flushes = flushes;
    this.#maxGathered = bodyLength > MAX_WHOLE_BYTES && !flushes ? GATHERED_BYTES : MAX_WHOLE_BYTES;
  }

  write(chunk: Uint8Array): Awaitable<ModulePiece> {
    if (this.#isClosed) return null;
    this.#bytesIn += chunk.length;
    if (this.#bodyLength >= 0 && this.#bytesIn > this.#bodyLength) throw wrongLength('longer');
    const gathered = this.#gathered?.length ?? 0;
    if (gathered + chunk.length > this.#maxGathered && gathered === 0) return this.#compress(chunk);
    this.#gathered ??= new ByteWriter(this.#bodyLength >= 16 ? { initialCapacity: Math.min(this.#bodyLength, this.#maxGathered) } : {});
    this.#gathered.writeBytes(chunk);
    return this.#gathered.length > this.#maxGathered ? this.#compress(this.#gathered.take()) : null;
  }

  flush(): Awaitable<ModulePiece> {
    if (!this.#flushes || this.#gathered === null || this.#gathered.length === 0) return null;
    return this.#compress(this.#gathered.take());
  }

  end(): Awaitable<ModulePiece> {
    if (this.#isClosed) return null;
    // Its head has said a length, of which nothing is left for a client to see: a body that was cut short would look whole.
    if (this.#bytesIn < this.#bodyLength) throw wrongLength('shorter');
    const rest = this.#gathered?.take() ?? EMPTY_BYTES;
    if (this.#run !== null || (rest.length > 0 && isSlow(this.#encoding))) return this.#endRun(rest);
    try {
      return encodeWhole(this.#encoding, rest);
    } catch (error) {
      throw compressionError(error);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#gathered = null;
    this.#run?.close();
  }

  async #compress(bytes: Uint8Array): Promise<ModulePiece> {
    try {
      return await this.#running().write(bytes);
    } catch (error) {
      throw compressionError(error);
    }
  }

  async #endRun(rest: Uint8Array): Promise<ModulePiece> {
    try {
      return await this.#running().end(rest);
    } catch (error) {
      throw compressionError(error);
    } finally {
      this.close();
    }
  }

  /** Made when it is needed: a body that never comes costs nothing. */
  #running(): ZlibRun {
    this.#run ??= new ZlibRun(createEncoder(this.#encoding, this.#flushes), this.#encoding.dictionary?.header ?? null);
    return this.#run;
  }
}

/** Whether one call would hold the thread for milliseconds, however short the body. */
function isSlow({ coding, level, dictionary }: Encoding): boolean {
  return level >= SLOW_LEVELS[coding] || (dictionary !== null && dictionary.bytes.length > MAX_WHOLE_DICTIONARY_BYTES);
}

function wrongLength(which: 'longer' | 'shorter'): Error {
  return internalError('COMPRESSION_FAILED', `the body is ${which} than was said`);
}

/** The head has promised a coding, so there is no way back to the plain body: the response ends here. */
function compressionError(error: unknown): Error {
  return isWireError(error) ? error : internalError('COMPRESSION_FAILED', 'a body could not be compressed', { cause: error });
}
