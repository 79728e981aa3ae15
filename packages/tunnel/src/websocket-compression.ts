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
import { concatBytes } from '@ferrata/bytes';
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
/** Last blocks within one message (RFC 7692 §7.2.3.4): each costs a call of zlib, and a peer two bytes. */
const MAX_STREAMS = 16;
const WINDOW_BYTES = 32_768;
const MAX_CHUNK_BYTES = 16_384;
const MIN_CHUNK_BYTES = 1_024;

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
  readonly #sent: Window | null;
  readonly #received: Window | null;

  constructor(parameters: DeflateParameters, role: Role, level: number, memLevel: number) {
    const { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } = parameters;
    const isServer = role === Role.server;
    this.#level = level;
    this.#memLevel = memLevel;
    this.#windowBits = isServer ? serverMaxWindowBits : clientMaxWindowBits;
    const forgetsSent = isServer ? serverNoContextTakeover : clientNoContextTakeover;
    const forgetsReceived = isServer ? clientNoContextTakeover : serverNoContextTakeover;
    this.#sent = forgetsSent ? null : new Window(2 ** this.#windowBits);
    this.#received = forgetsReceived ? null : new Window(WINDOW_BYTES);
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
    const pieces: Uint8Array[] = [];
    // Within one message the window is kept in any case, also across last blocks.
    const window = this.#received ?? new Window(WINDOW_BYTES);
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

/** The last bytes of one direction, at most a window of them. */
class Window {
  readonly #maxBytes: number;
  #bytes: Uint8Array | null = null;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  bytes(): Uint8Array | null {
    return this.#bytes;
  }

  push(message: Uint8Array): void {
    const max = this.#maxBytes;
    if (message.length >= max) {
      this.#bytes = message.slice(-max);
      return;
    }
    if (message.length === 0) return;
    const before = this.#bytes;
    const kept = before === null ? 0 : Math.min(before.length, max - message.length);
    const bytes = new Uint8Array(kept + message.length);
    if (before !== null) bytes.set(before.subarray(before.length - kept));
    bytes.set(message, kept);
    this.#bytes = bytes;
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
