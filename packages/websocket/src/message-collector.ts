/** Whole messages from the events of a connection, for programs that have no use for pieces. */
import { EMPTY_BYTES, utf8Decode } from '@ferrata/bytes';
import { GrowingBytes } from './internal/growing-bytes.ts';
import { MessageKind } from './opcode.ts';

/**
 * Gathers one message after the other: `begin` at `messageStart`, `add` at `data`, `takeText` or `takeBytes` at `messageEnd`. A message that came
 * in one piece is not copied. How large it becomes is bounded by `maxMessageBytes` of the connection.
 */
export class MessageCollector {
  readonly #pieces = new GrowingBytes();
  #first: Uint8Array | null = null;
  #kind: MessageKind = MessageKind.binary;

  get kind(): MessageKind {
    return this.#kind;
  }

  /** A message begins. */
  begin(kind: MessageKind): void {
    this.#kind = kind;
  }

  /** Takes a piece, which then belongs to the collector. */
  add(piece: Uint8Array): void {
    if (this.#pieces.byteLength() === 0) {
      if (this.#first === null) {
        this.#first = piece;
        return;
      }
      this.#pieces.push(this.#first);
      this.#first = null;
    }
    this.#pieces.push(piece);
  }

  /** Moves the message out, as bytes. */
  takeBytes(): Uint8Array {
    const bytes = this.#first ?? (this.#pieces.byteLength() === 0 ? EMPTY_BYTES : this.#pieces.take());
    this.#first = null;
    return bytes;
  }

  /** Moves the message out, as text; a connection has already checked that it is UTF-8. */
  takeText(): string {
    return utf8Decode(this.takeBytes());
  }
}
