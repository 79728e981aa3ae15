/**
 * Takes the coding off one body, in the thread pool.
 *
 * Rules of this file:
 * - Bombs: what comes out may be a hundred times what went in, beyond a first MiB, and a bound of its own may be set. The ratio holds for the body and for each of its
 *   pieces, as all that a piece gives is in memory at once. The bounds are looked at with every 16 KiB that come out, so that not even one chunk of a bomb is ever unpacked.
 * - Small pieces are gathered, by copies, until nothing more is at hand: each way through the pool costs some 80 µs, and whoever sends chunks of one byte (RFC 9112 §7.1)
 *   pays six bytes for each: an attack, if each went alone.
 * - A body ends where its coding does. What breaks off and what goes on behind its end are errors: both would make the plain body another one than its
 *   sender meant.
 * - A body of no bytes at all is an empty one, as some servers name a coding for it.
 */
import { ByteWriter, concatBytes } from '@ferrata/bytes';
import { isWireError, limitError, protocolError, toWireError, WireError } from '@ferrata/error';
import type { Awaitable, ModulePiece } from '../http-module.ts';
import type { BodyCodec } from './body-encoder.ts';
import { createDecoder, type DecodableCoding } from './content-coding.ts';
import type { InflateLimits } from './inflate-limits.ts';
import { ZlibRun } from './zlib-run.ts';
import { ZstdFrames } from './zstd-frames.ts';

/** What a decoder is made from. */
export interface BodyDecoderInit {
  readonly coding: DecodableCoding;
  readonly limits: InflateLimits;
  /** Who sent the body: of a malformed one that is the fault of the client (400, 413), or of whoever answers (502). */
  readonly message: 'request' | 'response';
}

/** Enough for a way through the pool to be worth it. */
const GATHERED_BYTES = 16_384;

/** The plain form of one body. */
export class BodyDecoder implements BodyCodec {
  readonly #init: BodyDecoderInit;
  readonly #frames: ZstdFrames | null;
  #run: ZlibRun | null = null;
  #gathered: ByteWriter | null = null;
  #bytesIn = 0;
  #bytesOut = 0;
  /** The same of the piece under way. */
  #pieceIn = 0;
  #pieceOut = 0;
  #isClosed = false;

  constructor(init: BodyDecoderInit) {
    this.#init = init;
    this.#frames = init.coding === 'zstd' ? new ZstdFrames() : null;
  }

  write(chunk: Uint8Array): Awaitable<ModulePiece> {
    if (chunk.length === 0 || this.#isClosed) return null;
    if (chunk.length >= GATHERED_BYTES && (this.#gathered === null || this.#gathered.length === 0)) return this.#decode(chunk);
    this.#gathered ??= new ByteWriter();
    this.#gathered.writeBytes(chunk);
    return this.#gathered.length >= GATHERED_BYTES ? this.flush() : null;
  }

  flush(): Awaitable<ModulePiece> {
    return this.#gathered === null || this.#gathered.length === 0 ? null : this.#decode(this.#gathered.take());
  }

  async #decode(chunk: Uint8Array): Promise<ModulePiece> {
    this.#bytesIn += chunk.length;
    this.#pieceIn = chunk.length;
    this.#pieceOut = 0;
    const run = this.#runFrom(chunk[0] as number);
    try {
      const plain = this.#frames === null ? await run.write(chunk) : await this.#writeFrames(this.#frames, run, chunk);
      if (!this.#isClosed && run.bytesTaken < this.#bytesIn)
        throw protocolError('CONTENT_CODING_MALFORMED', 'bytes behind the end of a coded body');
      return plain;
    } catch (error) {
      throw this.#told(error);
    }
  }

  async end(): Promise<ModulePiece> {
    try {
      const last = await this.flush();
      if (this.#run === null || this.#isClosed) return null;
      if (this.#frames?.isComplete === false) throw protocolError('CONTENT_CODING_TRUNCATED', 'a coded body ends within a frame');
      const rest = await this.#run.end();
      return last === null || rest === null ? (last ?? rest) : concatBytes([last, rest]);
    } catch (error) {
      throw this.#told(error);
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#gathered = null;
    this.#run?.close();
  }

  #runFrom(firstByte: number): ZlibRun {
    this.#run ??= new ZlibRun(createDecoder(this.#init.coding, firstByte), null, (bytes) => this.#checkOutput(bytes));
    return this.#run;
  }

  /** Node's zstd takes one frame a write. */
  async #writeFrames(frames: ZstdFrames, run: ZlibRun, chunk: Uint8Array): Promise<ModulePiece> {
    const pieces: Uint8Array[] = [];
    for (let start = 0; start < chunk.length && !this.#isClosed; ) {
      const end = frames.next(chunk, start);
      const piece = await run.write(chunk.subarray(start, end));
      if (piece !== null) pieces.push(piece);
      start = end;
    }
    return pieces.length === 0 ? null : pieces.length === 1 ? (pieces[0] as Uint8Array) : concatBytes(pieces);
  }

  #checkOutput(bytes: number): void {
    this.#bytesOut += bytes;
    this.#pieceOut += bytes;
    const { maxInflatedBytes, maxInflateRatio, minRatioBytes } = this.#init.limits;
    if (this.#bytesOut > maxInflatedBytes) throw limitError('INFLATED_TOO_LARGE', `a coded body has more than ${maxInflatedBytes} bytes`);
    const isOver = (out: number, taken: number): boolean => out > minRatioBytes && out > taken * maxInflateRatio;
    // By piece, too: what a megabyte of noise has earned must not be unpacked at once.
    if (isOver(this.#bytesOut, this.#bytesIn) || isOver(this.#pieceOut, this.#pieceIn))
      throw limitError('INFLATE_RATIO_EXCEEDED', `a coded body is more than ${maxInflateRatio} times as long as its code`);
  }

  /** The error with the side that the body came from, and the status that fits it. */
  #told(thrown: unknown): WireError {
    const { message, coding } = this.#init;
    const error = isWireError(thrown) ? thrown : fromZlibError(thrown);
    const isRequest = message === 'request';
    return new WireError(error.type, error.reason, {
      message: error.message.slice(`${error.type} ${error.reason}: `.length),
      source: isRequest ? 'downstream' : 'upstream',
      wire: { status: isRequest ? (error.type === 'limit' ? 413 : 400) : 502 },
      cause: error.cause,
      context: coding,
    });
  }
}

function fromZlibError(thrown: unknown): WireError {
  const error = toWireError(thrown);
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
  if (code === 'Z_BUF_ERROR') return protocolError('CONTENT_CODING_TRUNCATED', 'a coded body breaks off', { cause: thrown });
  return protocolError('CONTENT_CODING_MALFORMED', 'a coded body is malformed', { cause: error.cause ?? thrown });
}
