/** Messages and control frames on their way out: masks, fragments, compression. */

import { firstByte } from '../frame-writer.ts';
import type { MessageCompression } from '../message-compression.ts';
import { type MessageKind, Opcode } from '../opcode.ts';
import type { ResolvedWebSocketOptions } from '../options.ts';
import { Role } from '../role.ts';
import { Utf8Validator } from '../utf8-validator.ts';
import type { FrameOutput } from './frame-output.ts';

/** zlib knows no raw DEFLATE with a window of 2^8 bytes; a message may always be sent as it is (RFC 7692 §6). */
const LEAST_DEFLATE_BITS = 9;

export class MessageOut {
  readonly #isClient: boolean;
  readonly #options: ResolvedWebSocketOptions;
  readonly #output: FrameOutput;
  #compression: MessageCompression | null;
  readonly #compressFromBytes: number;
  #validator: Utf8Validator | null = null;
  #probe: Utf8Validator | null = null;
  /** Kind of the message that is being sent in fragments; 0 for none. */
  #fragmented: MessageKind | 0 = 0;

  constructor(role: Role, options: ResolvedWebSocketOptions, output: FrameOutput, compression: MessageCompression | null) {
    this.#isClient = role === Role.client;
    this.#options = options;
    this.#output = output;
    const { deflate } = options;
    const bits = deflate === null ? 0 : this.#isClient ? deflate.clientMaxWindowBits : deflate.serverMaxWindowBits;
    this.#compression = bits < LEAST_DEFLATE_BITS ? null : compression;
    this.#compressFromBytes = options.compressFromBytes;
  }

  /** A whole message in one frame. @returns true */
  message(opcode: Opcode, payload: Uint8Array): true {
    if (this.#fragmented !== 0) throw new TypeError('a message is being sent in fragments: end it first');
    const compression = payload.length < this.#compressFromBytes ? null : this.#compression;
    if (compression === null) this.#frame(firstByte(opcode, true, false), payload);
    else this.#frame(firstByte(opcode, true, true), compression.deflate(payload));
    return true;
  }

  fragment(kind: MessageKind, payload: Uint8Array, isLast: boolean): true {
    const begins = this.#fragmented === 0;
    if (!begins && this.#fragmented !== kind) throw new TypeError('the kind of a message changes within it');
    const text = kind === Opcode.text ? this.#checkedText(payload, isLast) : null;
    this.#frame(firstByte(begins ? kind : Opcode.continuation, isLast, false), payload);
    // Nothing of the message moves on before nothing can throw any more: whoever mends a fragment may send it again.
    if (text !== null) this.#validator?.continueFrom(text);
    this.#fragmented = isLast ? 0 : kind;
    return true;
  }

  /** @param payload at most 125 bytes */
  control(opcode: Opcode, payload: Uint8Array): void {
    this.#frame(firstByte(opcode, true, false), payload);
  }

  /** No message follows: what compresses, and its window, may go. */
  discard(): void {
    this.#compression = null;
  }

  /** RFC 6455 §8.1: what we send as text must be UTF-8, or the peer will end the connection. @returns the state behind the fragment */
  #checkedText(payload: Uint8Array, isLast: boolean): Utf8Validator {
    const validator = (this.#validator ??= new Utf8Validator());
    const probe = (this.#probe ??= new Utf8Validator());
    probe.continueFrom(validator);
    if (!probe.push(payload) || (isLast && !probe.isComplete())) throw new TypeError('fragments of text must be UTF-8');
    return probe;
  }

  #frame(first: number, payload: Uint8Array): void {
    // RFC 6455 §5.3: a fresh key for each frame.
    this.#output.push(first, payload, this.#isClient ? this.#options.random.uint32() : -1);
  }
}
