/**
 * A stream of JSON values, one a line, as Kubernetes, etcd's gateway and Docker send them.
 *
 * Rules:
 * - A line ends with LF; blanks and CR around a value are JSON's own. Empty lines are passed over: they keep a connection awake.
 * - A line has a longest length, and what is kept between two chunks is one line at most.
 * - The work is linear in the bytes, and a line that comes byte by byte costs no more memory than one that comes whole: what is kept is copied into a buffer
 *   that doubles.
 */
import { limitError } from '@ferrata/error';
import { parseJson } from './json.ts';

const LF = 0x0a;
const LEAST_CAPACITY = 1_024;
const NO_BYTES = new Uint8Array(0);

/** What a reader needs to know. */
export interface JsonLinesOptions {
  /** Who sends, for messages. */
  readonly who: string;
  readonly maxLineBytes: number;
}

/** Cuts a stream of bytes into lines, and these into values. */
export class JsonLinesReader {
  readonly #options: JsonLinesOptions;
  #kept = NO_BYTES;
  #length = 0;

  constructor(options: JsonLinesOptions) {
    this.#options = options;
  }

  /** A line has begun, and its end has not come. */
  get isInLine(): boolean {
    return this.#length > 0;
  }

  /**
   * Reads on.
   *
   * @param onValue gets each value; true ends the reading, and the rest of the chunk is dropped
   * @throws {WireError} `limit DISCOVERY_TOO_LARGE` for a line that is too long, `protocol DISCOVERY_MALFORMED` for one that is no JSON
   */
  feed(chunk: Uint8Array, onValue: (value: unknown) => boolean): void {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      const line = this.#take(chunk.subarray(start, end));
      start = end + 1;
      if (!isBlank(line) && onValue(parseJson(this.#options.who, line))) return;
    }
    this.#keep(chunk.subarray(start));
  }

  #keep(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    this.#checkLength(length);
    if (length > this.#kept.length) {
      const grown = new Uint8Array(Math.max(LEAST_CAPACITY, length, this.#kept.length * 2));
      grown.set(this.#kept.subarray(0, this.#length));
      this.#kept = grown;
    }
    this.#kept.set(piece, this.#length);
    this.#length = length;
  }

  #take(last: Uint8Array): Uint8Array {
    if (this.#length === 0) {
      this.#checkLength(last.length);
      return last;
    }
    this.#keep(last);
    const line = this.#kept.subarray(0, this.#length);
    // Streams are silent most of the time: one long line must not stay.
    this.#kept = NO_BYTES;
    this.#length = 0;
    return line;
  }

  #checkLength(length: number): void {
    const { who, maxLineBytes } = this.#options;
    if (length <= maxLineBytes) return;
    const message = `${who} sent a line of more than ${maxLineBytes} bytes`;
    throw limitError('DISCOVERY_TOO_LARGE', message, { source: 'upstream', wire: { status: 502 } });
  }
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}
