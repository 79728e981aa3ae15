/**
 * Frames of RFC 6455 as a cursor: `feed(chunk)`, `next()`, then read-only fields.
 *
 * ```text
 *    0               1               2               3
 *   +-+-+-+-+-------+-+-------------+-------------------------------+
 *   |F|R|R|R| opcode|M| length 7    | length 16 if 126, 64 if 127   |
 *   |I|S|S|S|  (4)  |A|             |                               |
 *   |N|V|V|V|       |S|             |  key (4 bytes, if M is set)   |
 *   | |1|2|3|       |K|             |  payload …                    |
 *   +-+-+-+-+-------+-+-------------+-------------------------------+
 * ```
 *
 * Rules of this file:
 * - Events of a frame: `header`, then `payload` for each piece as it came, then `end`. A payload is never gathered here.
 * - The two first bytes are judged as soon as they are there; nothing that they forbid is waited for.
 * - A chunk fed belongs to the decoder, which takes the mask off where the bytes lie. Pieces handed out are never changed again.
 * - What needs more than one frame to judge (continuations, sizes of messages, UTF-8) is left to `WebSocketConnection`.
 *
 * @see RFC 6455 §5
 */
import { ByteQueue, EMPTY_BYTES } from '@ferrata/bytes';
import { toWireError, type WireError } from '@ferrata/error';
import { CloseCode } from './close-code.ts';
import { closedEarly, overLimit, violation } from './errors.ts';
import { maskInPlace } from './mask.ts';
import { FIRST_CONTROL_OPCODE, isOpcode, MAX_CONTROL_BYTES, Opcode } from './opcode.ts';
import { Role } from './role.ts';

/** What `next` of a frame decoder found. */
export const FrameEvent = { none: 0, header: 1, payload: 2, end: 3 } as const;

/** One of the values of the constant of the same name. */
export type FrameEvent = (typeof FrameEvent)[keyof typeof FrameEvent];

const State = { header: 0, payload: 1 } as const;
type State = (typeof State)[keyof typeof State];

const FIN = 0x80;
const RSV1 = 0x40;
const RSV2_AND_3 = 0x30;
const MASKED = 0x80;

/** Options of a `FrameDecoder`. */
export interface FrameDecoderOptions {
  /** Permessage-deflate was agreed: the first frame of a message may have RSV1 (RFC 7692 §6). Default false. */
  readonly isDeflateAllowed?: boolean;
}

/** Reads frames. */
export class FrameDecoder {
  readonly #isServer: boolean;
  readonly #isDeflateAllowed: boolean;
  #state: State = State.header;
  #event: FrameEvent = FrameEvent.none;
  #chunk: Uint8Array = EMPTY_BYTES;
  #at = 0;
  /** Chunks fed before those in front of them were read; rare, so made when needed. */
  #queue: ByteQueue | null = null;
  /** The header's bytes so far: at most 2 + 8 + 4. */
  readonly #header = new Uint8Array(14);
  #headerLength = 0;
  #headerNeeded = 2;
  #isFinal = false;
  #hasRsv1 = false;
  #opcode: Opcode = Opcode.continuation;
  #payloadLength = 0;
  #left = 0;
  #key = 0;
  #payload: Uint8Array = EMPTY_BYTES;
  #error: WireError | null = null;

  /** @param role of this end: a server takes masked frames only, a client unmasked ones only */
  constructor(role: Role, options: FrameDecoderOptions = {}) {
    this.#isServer = role === Role.server;
    this.#isDeflateAllowed = options.isDeflateAllowed ?? false;
  }

  /** What `next` found. */
  get event(): FrameEvent {
    return this.#event;
  }
  /** FIN: the last frame of its message. */
  get isFinal(): boolean {
    return this.#isFinal;
  }
  /** RSV1: the message is compressed (RFC 7692 §6). */
  get isCompressed(): boolean {
    return this.#hasRsv1;
  }
  get opcode(): Opcode {
    return this.#opcode;
  }
  /** Of the whole frame. */
  get payloadLength(): number {
    return this.#payloadLength;
  }
  /** A piece of the payload, unmasked and not empty; valid after a `payload` event, and yours. */
  get payload(): Uint8Array {
    return this.#payload;
  }
  /** Bytes fed and not looked at. */
  get bufferedBytes(): number {
    return this.#chunk.length - this.#at + (this.#queue === null ? 0 : this.#queue.byteLength);
  }
  /** Between two frames, with nothing of the next one read. */
  get isBetweenFrames(): boolean {
    return this.#state === State.header && this.#headerLength === 0;
  }

  /** Takes bytes of the peer; the chunk belongs to the decoder from now on, and is unmasked in place. */
  feed(chunk: Uint8Array): void {
    if (this.#error !== null || chunk.length === 0) return;
    // Whoever waits in the queue came before.
    if (this.#at === this.#chunk.length && (this.#queue === null || this.#queue.byteLength === 0)) {
      this.#chunk = chunk;
      this.#at = 0;
      return;
    }
    this.#queue ??= new ByteQueue();
    this.#queue.push(chunk);
  }

  /**
   * Moves on to the next event; false if more bytes are needed.
   *
   * @throws {WireError} when the peer broke a rule; the first one is final and thrown again by every later call
   */
  next(): boolean {
    if (this.#error !== null) throw this.#error;
    try {
      return this.#state === State.header ? this.#readHeader() : this.#readPayload();
    } catch (error) {
      throw (this.#error = toWireError(error));
    }
  }

  /** The peer's bytes are at their end. @throws {WireError} `WS_CLOSED_EARLY` when that is inside a frame */
  end(): void {
    if (this.#error !== null) throw this.#error;
    if (!this.isBetweenFrames || this.bufferedBytes > 0) throw (this.#error = closedEarly());
  }

  /** Forgets what was fed and not looked at: nothing of it will be. */
  discard(): void {
    this.#chunk = EMPTY_BYTES;
    this.#at = 0;
    this.#queue = null;
  }

  #readHeader(): boolean {
    const header = this.#header;
    for (;;) {
      const chunk = this.#chunk;
      const end = chunk.length;
      while (this.#headerLength < this.#headerNeeded && this.#at < end) header[this.#headerLength++] = chunk[this.#at++] as number;
      if (this.#headerLength >= 2 && this.#headerNeeded === 2) this.#judgeStart(header[0] as number, header[1] as number);
      if (this.#headerLength === this.#headerNeeded) break;
      if (this.#at === end && !this.#takeNextChunk()) return false;
    }
    this.#finishHeader();
    this.#headerLength = 0;
    this.#headerNeeded = 2;
    this.#state = State.payload;
    this.#event = FrameEvent.header;
    return true;
  }

  #judgeStart(first: number, second: number): void {
    const opcode = first & 0x0f;
    const isControl = opcode >= FIRST_CONTROL_OPCODE;
    // RFC 6455 §5.2: bits and opcodes that no agreed extension gives a meaning fail the connection.
    if ((first & RSV2_AND_3) !== 0) throw violation('WS_RESERVED_BITS', 'RSV2 or RSV3 is set');
    if (!isOpcode(opcode)) throw violation('WS_OPCODE_RESERVED', `opcode ${opcode} is reserved`);
    // RFC 7692 §6.1: RSV1 belongs to the first frame of a message; §6: control frames are never compressed.
    const mayHaveRsv1 = this.#isDeflateAllowed && !isControl && opcode !== Opcode.continuation;
    if ((first & RSV1) !== 0 && !mayHaveRsv1) throw violation('WS_RESERVED_BITS', 'RSV1 is set where it means nothing');
    const shortLength = second & 0x7f;
    if (isControl) {
      // RFC 6455 §5.5.
      if ((first & FIN) === 0) throw violation('WS_CONTROL_FRAGMENTED', 'a control frame is fragmented');
      if (shortLength > MAX_CONTROL_BYTES) throw violation('WS_CONTROL_TOO_LONG', 'a control frame has more than 125 bytes');
    }
    const isMasked = (second & MASKED) !== 0;
    // RFC 6455 §5.1: a server closes on an unmasked frame, a client on a masked one.
    if (this.#isServer && !isMasked) throw violation('WS_MASK_MISSING', 'a frame of a client has no mask');
    if (!this.#isServer && isMasked) throw violation('WS_MASK_UNEXPECTED', 'a frame of a server has a mask');
    this.#isFinal = (first & FIN) !== 0;
    this.#hasRsv1 = (first & RSV1) !== 0;
    this.#opcode = opcode;
    this.#headerNeeded = 2 + (shortLength === 126 ? 2 : shortLength === 127 ? 8 : 0) + (isMasked ? 4 : 0);
  }

  #finishHeader(): void {
    const header = this.#header;
    const shortLength = (header[1] as number) & 0x7f;
    let length = shortLength;
    let at = 2;
    // RFC 6455 §5.2: the length is written in the fewest bytes that hold it; two ways to write one would be two readings of one.
    if (shortLength === 126) {
      length = ((header[2] as number) << 8) | (header[3] as number);
      if (length < 126) throw violation('WS_LENGTH_NOT_MINIMAL', `length ${length} in 16 bits`);
      at = 4;
    } else if (shortLength === 127) {
      const high = word(header, 2);
      if (high > 0x7fff_ffff) throw violation('WS_LENGTH_OVERFLOW', 'the highest bit of a length is set');
      if (high > 0x1f_ffff) throw overLimit('WS_MESSAGE_TOO_LARGE', 'a frame beyond 2^53 - 1 bytes', CloseCode.messageTooBig);
      length = high * 0x1_0000_0000 + word(header, 6);
      if (length < 0x1_0000) throw violation('WS_LENGTH_NOT_MINIMAL', `length ${length} in 64 bits`);
      at = 10;
    }
    this.#key = this.#isServer ? word(header, at) : 0;
    this.#payloadLength = length;
    this.#left = length;
  }

  #readPayload(): boolean {
    if (this.#left === 0) {
      this.#payload = EMPTY_BYTES;
      this.#state = State.header;
      this.#event = FrameEvent.end;
      return true;
    }
    if (this.#at === this.#chunk.length && !this.#takeNextChunk()) return false;
    const chunk = this.#chunk;
    const start = this.#at;
    const length = Math.min(this.#left, chunk.length - start);
    const payload = start === 0 && length === chunk.length ? chunk : new Uint8Array(chunk.buffer, chunk.byteOffset + start, length);
    if (this.#isServer) maskInPlace(payload, this.#key, this.#payloadLength - this.#left);
    this.#at = start + length;
    this.#left -= length;
    this.#payload = payload;
    this.#event = FrameEvent.payload;
    return true;
  }

  #takeNextChunk(): boolean {
    const chunk = this.#queue?.takeChunk();
    if (chunk === undefined) {
      // Nothing here keeps bytes alive that somebody has taken.
      this.#chunk = EMPTY_BYTES;
      this.#at = 0;
      return false;
    }
    this.#chunk = chunk;
    this.#at = 0;
    return true;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}
