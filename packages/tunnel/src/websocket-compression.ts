/**
 * Permessage-deflate by `node:zlib`: one synchronous call for each message.
 *
 * Rules of this file:
 * - Where a window is kept from one message to the next, its bytes are given to zlib as a dictionary: the same thing to DEFLATE, and nothing of zlib's
 *   stays allocated between messages (its streams hold 256 KiB for each direction of each connection).
 * - A message must end where its payload does: behind the four bytes that its sender has taken off stands an empty last block of ours, and what does not
 *   lead there is refused.
 *
 * @see RFC 7692 §7.2
 */
import { constants, deflateRawSync, type InputType, inflateRawSync, type ZlibOptions } from 'node:zlib';
import { concatBytes, EMPTY_BYTES } from '@ferrata/bytes';
import { checkWholeNumber } from '@ferrata/error';
import { type DeflateParameters, type MakeMessageCompression, type MessageCompression, Role } from '@ferrata/websocket';

/** Options of `zlibCompression`. */
export interface ZlibCompressionOptions {
  /** 1 (fast) to 9 (small); default 4, which costs two thirds of zlib's own 6 for hardly more bytes. */
  readonly level?: number;
  /** Memory of a compression, 1 to 9; default 8: 2^(memLevel + 9) bytes while a message is compressed. */
  readonly memLevel?: number;
}

/** What the sender has taken off, and an empty last block: a message that is whole ends the data exactly here. */
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff, 0x03, 0x00);
const SYNC_TAIL_BYTES = 4;
/** A message of no bytes, compressed (RFC 7692 §7.2.3.6). */
const EMPTY_MESSAGE = Uint8Array.of(0x00);
/** Last blocks within one message (RFC 7692 §7.2.3.4), ours included: each costs a call of zlib with the window (20 µs), and a peer two bytes. */
const MAX_STREAMS = 4;
/** Older zlibs compress with 2^9 where 2^8 was agreed on. */
const MIN_WINDOW_BITS = 9;
const MAX_CHUNK_BYTES = 16_384;
const MIN_CHUNK_BYTES = 1_024;
const LEAST_SLAB_BYTES = 512;

/** Makes compressions for `WebSocketOptions.compression`. @throws {RangeError} when an option makes no sense */
export function zlibCompression(options: ZlibCompressionOptions = {}): MakeMessageCompression {
  const level = checkWholeNumber('level', options.level ?? 4, { min: 1, max: 9 });
  const memLevel = checkWholeNumber('memLevel', options.memLevel ?? 8, { min: 1, max: 9 });
  return (parameters, role) => new ZlibCompression(parameters, role, level, memLevel);
}

class ZlibCompression implements MessageCompression {
  readonly #level: number;
  readonly #memLevel: number;
  readonly #windowBits: number;
  readonly #peerWindowBits: number;
  readonly #sent: Window | null;
  readonly #received: Window | null;

  constructor(parameters: DeflateParameters, role: Role, level: number, memLevel: number) {
    const { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } = parameters;
    const isServer = role === Role.server;
    this.#level = level;
    this.#memLevel = memLevel;
    this.#windowBits = isServer ? serverMaxWindowBits : clientMaxWindowBits;
    this.#peerWindowBits = Math.max(MIN_WINDOW_BITS, isServer ? clientMaxWindowBits : serverMaxWindowBits);
    const forgetsSent = isServer ? serverNoContextTakeover : clientNoContextTakeover;
    const forgetsReceived = isServer ? clientNoContextTakeover : serverNoContextTakeover;
    this.#sent = forgetsSent ? null : new Window(2 ** this.#windowBits);
    this.#received = forgetsReceived ? null : new Window(2 ** this.#peerWindowBits);
  }

  deflate(message: Uint8Array): Uint8Array {
    if (message.length === 0) return EMPTY_MESSAGE;
    const compressed = deflateRawSync(message, {
      finishFlush: constants.Z_SYNC_FLUSH,
      level: this.#level,
      memLevel: this.#memLevel,
      windowBits: this.#windowBits,
      chunkSize: chunkSizeFor(message.length),
      ...dictionaryOf(this.#sent),
    });
    this.#sent?.push(message);
    return compressed.subarray(0, compressed.length - SYNC_TAIL_BYTES);
  }

  inflate(payload: Uint8Array, maxBytes: number): Uint8Array | null {
    // What a compressor gives that is flushed twice; it should have sent 00 (RFC 7692 §7.2.3.6), and everybody takes it.
    if (payload.length === 0) return EMPTY_BYTES;
    const pieces: Uint8Array[] = [];
    // Within one message the window is kept in any case, also across last blocks.
    const window = this.#received ?? new Window(2 ** this.#peerWindowBits);
    let left = maxBytes;
    let input = concatBytes([payload, TAIL]);
    for (let streams = 0; input.length > 0; streams++) {
      if (streams === MAX_STREAMS) throw new RangeError(`more than ${MAX_STREAMS} last blocks in one message`);
      const part = expand(input, Math.max(1, left), dictionaryOf(window));
      if (part === null || part.bytes.length > left) return null;
      left -= part.bytes.length;
      pieces.push(part.bytes);
      window.push(part.bytes);
      input = input.subarray(part.consumed);
    }
    return concatBytes(pieces);
  }
}

interface Expanded {
  readonly bytes: Uint8Array;
  /** Bytes of the input up to its last block. */
  readonly consumed: number;
}

/** With `info`, zlib also says how much of the input it took. */
interface WithEngine {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

const inflateWithInfo = inflateRawSync as unknown as (input: InputType, options: ZlibOptions) => WithEngine;

/** @returns null if there is more than may be */
function expand(input: Uint8Array, maxBytes: number, dictionary: Pick<ZlibOptions, 'dictionary'>): Expanded | null {
  try {
    const { buffer, engine } = inflateWithInfo(input, {
      info: true,
      chunkSize: chunkSizeFor(input.length * 4),
      ...(maxBytes <= Number.MAX_SAFE_INTEGER ? { maxOutputLength: maxBytes } : {}),
      ...dictionary,
    });
    return { bytes: buffer, consumed: engine.bytesWritten };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw error;
  }
}

/**
 * The last bytes of one direction, at most a window of them. They slide through an array of one and a half windows, and are moved to its beginning when
 * they have come to its end: two bytes copied for each that came, where a fresh window for each message would be 32 KiB for a message of a few bytes.
 *
 * ```text
 *   |  gone  |  window  |  free  |
 *            ^start     ^end
 * ```
 */
class Window {
  readonly #maxBytes: number;
  #slab: Uint8Array = EMPTY_BYTES;
  #start = 0;
  #end = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** A view that is good until the next `push`; null if there are none. */
  bytes(): Uint8Array | null {
    return this.#end === 0 ? null : this.#slab.subarray(this.#start, this.#end);
  }

  push(message: Uint8Array): void {
    const max = this.#maxBytes;
    const added = message.length > max ? message.subarray(message.length - max) : message;
    const kept = Math.min(this.#end - this.#start, max - added.length);
    if (this.#end + added.length > this.#slab.length) this.#move(kept, added.length);
    this.#slab.set(added, this.#end);
    this.#end += added.length;
    this.#start = this.#end - kept - added.length;
  }

  /** Makes room behind the last `kept` bytes. */
  #move(kept: number, added: number): void {
    const from = this.#end - kept;
    const most = this.#maxBytes * 1.5;
    if (this.#slab.length < most) {
      // It grows as it is used: most connections never fill a window.
      const slab = new Uint8Array(Math.min(most, Math.max(kept + added, this.#slab.length * 2, LEAST_SLAB_BYTES)));
      slab.set(this.#slab.subarray(from, this.#end));
      this.#slab = slab;
    } else {
      this.#slab.copyWithin(0, from, this.#end);
    }
    this.#end = kept;
  }
}

function dictionaryOf(window: Window | null): Pick<ZlibOptions, 'dictionary'> {
  const bytes = window?.bytes() ?? null;
  return bytes === null ? {} : { dictionary: bytes };
}

/** zlib's usual 16 KiB would be allocated for each message of a few bytes, too. */
function chunkSizeFor(expectedBytes: number): number {
  return Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, expectedBytes));
}
