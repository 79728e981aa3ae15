/**
 * Bytes on their way out of a connection machine, joined so that one tick makes one write.
 *
 * Heads and chunk lines wait as text, bodies by reference. `take` copies runs of small pieces into one chunk and passes large ones through:
 * two bare writes for a head and its body cost 26–63 % more CPU than one, and above about 4 KiB copying costs more than a second vector.
 */
import type { ByteWriter } from '@ferrata/bytes';

/** Bodies from this size on go by reference; chosen by measurement (copy 8.1 µs against writev 8.7–9.3 µs at 1 KiB, 13.3 against 9.4–10.3 at 16 KiB). */
const COPY_BELOW_BYTES = 4096;
/** Room for pieces that is made once: a message of usual size has a head and a body, perhaps with a chunk line before and behind it. */
const PIECES = 4;

export class OutputQueue {
  readonly #writer: ByteWriter;
  /** Kept from one `take` to the next: an array that is filled from nothing makes room for 17. */
  #pieces: (string | Uint8Array)[] = new Array<string | Uint8Array>(PIECES).fill('');
  #count = 0;
  #byteLength = 0;

  /** @param writer where small pieces are joined; may be shared by all connections of a thread, as it is empty between calls of `take` */
  constructor(writer: ByteWriter) {
    this.#writer = writer;
  }

  /** Bytes that wait to be taken. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Appends text of which every character is one byte. */
  pushText(text: string): void {
    this.#byteLength += text.length;
    const pieces = this.#pieces;
    const last = this.#count - 1;
    const tail = last < 0 ? null : pieces[last];
    if (typeof tail === 'string') pieces[last] = tail + text;
    else this.#push(text);
  }

  /** Appends a chunk, which belongs to the queue from now on. */
  pushBytes(chunk: Uint8Array): void {
    this.#byteLength += chunk.length;
    this.#push(chunk);
  }

  /** Moves everything out, as few chunks as is cheap; an empty array if nothing waits. */
  take(): Uint8Array[] {
    const pieces = this.#pieces;
    const count = this.#count;
    const writer = this.#writer;
    let chunks: Uint8Array[] | null = null;
    for (let index = 0; index < count; index++) {
      const piece = pieces[index] as string | Uint8Array;
      pieces[index] = '';
      if (typeof piece === 'string') {
        writer.writeLatin1(piece);
      } else if (piece.length < COPY_BELOW_BYTES) {
        writer.writeBytes(piece);
      } else {
        chunks ??= [];
        if (writer.length > 0) chunks.push(writer.take());
        chunks.push(piece);
      }
    }
    if (pieces.length > PIECES) pieces.length = PIECES;
    this.#count = 0;
    this.#byteLength = 0;
    if (writer.length === 0) return chunks ?? [];
    const rest = writer.take();
    if (chunks === null) return [rest];
    chunks.push(rest);
    return chunks;
  }

  #push(piece: string | Uint8Array): void {
    if (this.#count < this.#pieces.length) this.#pieces[this.#count] = piece;
    else this.#pieces.push(piece);
    this.#count++;
  }
}
