/**
 * The message that the peer is sending: its kind, its limits, its text and its compressed payload.
 *
 * ```text
 *            text, binary (FIN 0)          continuation (FIN 1)
 *   none ──────────────────────────► open ──────────────────────► none
 *     └────── text, binary (FIN 1) ─────────────────────────────────┘
 * ```
 *
 * @see RFC 6455 §5.4, §8.1 · RFC 7692 §7.2.2
 */
import { isWireError } from '@ferrata/error';
import { CloseCode } from '../close-code.ts';
import { overLimit, violation } from '../errors.ts';
import type { MessageCompression } from '../message-compression.ts';
import { MessageKind, Opcode } from '../opcode.ts';
import type { ResolvedWebSocketOptions } from '../options.ts';
import { Utf8Validator } from '../utf8-validator.ts';
import { GrowingBytes } from './growing-bytes.ts';

/** Bytes of a message that pay for one more frame of it. */
const BYTES_PER_FREE_FRAGMENT = 64;
/**
 * Up to here an expanded message may have any ratio: a table of equal rows has 500 and more, and one that repeats the message before it has any. So
 * much costs a peer a kilobyte, and us a millisecond.
 */
const RATIO_FREE_BYTES = 0x10_0000;

export class MessageIn {
  readonly #options: ResolvedWebSocketOptions;
  #compression: MessageCompression | null;
  readonly #validator = new Utf8Validator();
  readonly #compressed = new GrowingBytes();
  #isOpen = false;
  #isCompressed = false;
  #kind: MessageKind = MessageKind.binary;
  #byteLength = 0;
  #fragments = 0;

  constructor(options: ResolvedWebSocketOptions, compression: MessageCompression | null) {
    this.#options = options;
    this.#compression = compression;
  }

  kind(): MessageKind {
    return this.#kind;
  }

  /** Bytes of a compressed message that wait for its end. */
  bufferedBytes(): number {
    return this.#compressed.byteLength();
  }

  /** Nothing more comes: a compressed message that will never be whole is forgotten, and what expands, with its window. */
  discard(): void {
    this.#compressed.take();
    this.#compression = null;
  }

  /** The header of a data frame. @returns whether it begins a message */
  handleHeader(opcode: Opcode, isCompressed: boolean, payloadLength: number): boolean {
    const begins = opcode !== Opcode.continuation;
    // RFC 6455 §5.4: fragments of different messages are never interleaved, and a continuation continues something.
    if (begins === this.#isOpen) {
      throw begins
        ? violation('WS_CONTINUATION_MISSING', 'a message begins inside another')
        : violation('WS_CONTINUATION_UNEXPECTED', 'a continuation of no message');
    }
    if (begins) {
      this.#isOpen = true;
      this.#isCompressed = isCompressed;
      this.#kind = opcode === Opcode.text ? MessageKind.text : MessageKind.binary;
      this.#byteLength = 0;
      this.#fragments = 0;
    }
    // Judged by the header: whoever announces too much need not send it.
    this.#byteLength += payloadLength;
    if (this.#byteLength > this.#options.maxMessageBytes) throw tooLarge();
    this.#fragments++;
    // Frames of no or hardly any bytes cost us as much as others and the peer next to nothing.
    if (this.#fragments > this.#options.maxFragments + this.#byteLength / BYTES_PER_FREE_FRAGMENT) {
      throw overLimit('WS_FRAGMENTS_TOO_MANY', 'too many frames in one message', CloseCode.policyViolation);
    }
    return begins;
  }

  /** A piece of payload. @returns whether it is a piece of the message; false for compressed bytes, which are kept */
  handlePayload(piece: Uint8Array): boolean {
    if (this.#isCompressed) {
      this.#compressed.push(piece);
      return false;
    }
    this.#checkText(piece);
    return true;
  }

  /** The last frame is whole. @returns the expanded message if it was compressed, else null */
  handleEnd(): Uint8Array | null {
    this.#isOpen = false;
    const expanded = this.#isCompressed ? this.#expand() : null;
    if (expanded !== null) this.#checkText(expanded);
    if (this.#kind === MessageKind.text && !this.#validator.isComplete()) throw notText();
    return expanded;
  }

  #checkText(bytes: Uint8Array): void {
    // RFC 6455 §8.1; at once, not at the end of the message.
    if (this.#kind === MessageKind.text && !this.#validator.push(bytes)) throw notText();
  }

  #expand(): Uint8Array {
    const payload = this.#compressed.take();
    const { maxMessageBytes, maxInflateRatio } = this.#options;
    const byRatio = Math.max(RATIO_FREE_BYTES, Math.floor(payload.length * maxInflateRatio));
    let message: Uint8Array | null;
    try {
      message = (this.#compression as MessageCompression).inflate(payload, Math.min(maxMessageBytes, byRatio));
    } catch (error) {
      if (isWireError(error)) throw error;
      throw violation('WS_DEFLATE_INVALID', 'the payload of a message is no DEFLATE data', CloseCode.invalidData, error);
    }
    if (message !== null) return message;
    throw byRatio < maxMessageBytes
      ? overLimit('WS_INFLATE_RATIO', 'a message is too much larger than its payload', CloseCode.messageTooBig)
      : tooLarge();
  }
}

function tooLarge(): Error {
  return overLimit('WS_MESSAGE_TOO_LARGE', 'a message has more bytes than it may have', CloseCode.messageTooBig);
}

function notText(): Error {
  return violation('WS_TEXT_INVALID', 'a text message is not UTF-8', CloseCode.invalidData);
}
