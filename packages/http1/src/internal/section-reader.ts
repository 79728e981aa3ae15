/**
 * Reads one section whole: a head (start line and fields) or a trailer section (fields alone), wherever the chunks were cut.
 *
 * A section is scanned in a place of its own, where four bytes can be read at once wherever they lie. One that comes whole and is not long is
 * copied to a place that all readers of a thread share (20 ns, where a view of the caller's chunk would cost 90): nothing there outlives the
 * call. One that does not is gathered in a buffer, and scanned there from where the scan stopped. The buffer grows with what has come, never
 * with what a peer announces, up to `maxBytes`.
 */
import { EMPTY_BYTES, latin1Decode } from '@ferrata/bytes';
import { type Http1Reason, http1Error, type MessageSide } from '../errors.ts';
import type { FieldScanner } from './field-scanner.ts';
import type { StartLine } from './start-line.ts';

const INITIAL_BUFFER_BYTES = 1024;

/** A buffer above this is not kept for the next section, so that one large head does not cost memory for the life of a connection. */
const KEPT_BUFFER_BYTES = 4096;

/** A chunk is gathered in pieces, so that the body behind a head is not copied with it. */
const PIECE_BYTES = 4096;

/** Where sections that come whole are scanned. Its bytes mean something from `read` to `release` of one reader, and never between two calls. */
const SCRATCH = new Uint8Array(PIECE_BYTES);
const SCRATCH_VIEW = new DataView(SCRATCH.buffer);

export interface SectionLimits {
  readonly maxBytes: number;
  readonly tooLargeReason: Http1Reason;
}

export class SectionReader {
  /** Where the complete section lies: its first `byteLength` bytes. Valid until `release`. */
  bytes: Uint8Array = EMPTY_BYTES;
  /** Of the same bytes. */
  view: DataView = SCRATCH_VIEW;
  byteLength = 0;
  /** Bytes of the chunk that the last `read` took. */
  takenBytes = 0;
  readonly fields: FieldScanner;
  readonly #startLine: StartLine | null;
  readonly #side: MessageSide;
  readonly #limits: SectionLimits;
  #isInFields = false;
  #buffer: Uint8Array = EMPTY_BYTES;
  #view: DataView = SCRATCH_VIEW;
  #bufferedBytes = 0;

  constructor(side: MessageSide, startLine: StartLine | null, fields: FieldScanner, limits: SectionLimits) {
    this.#side = side;
    this.#startLine = startLine;
    this.fields = fields;
    this.#limits = limits;
  }

  /** Bytes of an incomplete section that were taken from chunks and are kept here. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Copies out what is kept of an incomplete section, and forgets it. */
  takeBuffered(): Uint8Array {
    const taken = this.#buffer.slice(0, this.#bufferedBytes);
    this.#bufferedBytes = 0;
    return taken;
  }

  /** The complete section, as one text: one byte is one character, so offsets of bytes are offsets of characters. */
  decode(): string {
    return latin1Decode(this.bytes, 0, this.byteLength);
  }

  /** Lets go of the bytes of a complete section. Call it before another reader reads. */
  release(): void {
    this.bytes = EMPTY_BYTES;
    this.view = SCRATCH_VIEW;
    if (this.#buffer.length <= KEPT_BUFFER_BYTES) return;
    this.#buffer = EMPTY_BYTES;
    this.#view = SCRATCH_VIEW;
  }

  /** Begins a section. */
  start(): void {
    this.#bufferedBytes = 0;
    if (this.#startLine === null) {
      this.#isInFields = true;
      this.fields.start(0);
    } else {
      this.#isInFields = false;
      this.#startLine.start();
    }
  }

  /**
   * Takes bytes of `chunk` from `from` on. @returns true when the section is complete
   * @throws {WireError} when a byte breaks a rule or a limit
   */
  read(chunk: Uint8Array, from: number): boolean {
    return this.#bufferedBytes === 0 ? this.#readFirst(chunk, from) : this.#readGathered(chunk, from);
  }

  #readFirst(chunk: Uint8Array, from: number): boolean {
    const { maxBytes } = this.#limits;
    const length = Math.min(chunk.length - from, maxBytes, PIECE_BYTES);
    SCRATCH.set(length === chunk.length ? chunk : chunk.subarray(from, from + length));
    if (this.#scan(SCRATCH, length, SCRATCH_VIEW)) {
      this.#complete(SCRATCH, SCRATCH_VIEW);
      this.takenBytes = this.byteLength;
      return true;
    }
    if (length === maxBytes) throw http1Error(this.#limits.tooLargeReason, this.#side);
    this.#gather(chunk, from, from + length);
    this.takenBytes = length;
    return false;
  }

  #readGathered(chunk: Uint8Array, from: number): boolean {
    const { maxBytes } = this.#limits;
    let at = from;
    while (at < chunk.length) {
      const before = this.#bufferedBytes;
      const pieceEnd = Math.min(chunk.length, at + Math.min(PIECE_BYTES, maxBytes - before));
      this.#gather(chunk, at, pieceEnd);
      if (this.#scan(this.#buffer, this.#bufferedBytes, this.#view)) {
        this.#complete(this.#buffer, this.#view);
        this.takenBytes = at - from + this.byteLength - before;
        this.#bufferedBytes = 0;
        return true;
      }
      if (this.#bufferedBytes === maxBytes) throw http1Error(this.#limits.tooLargeReason, this.#side);
      at = pieceEnd;
    }
    this.takenBytes = at - from;
    return false;
  }

  #scan(bytes: Uint8Array, end: number, view: DataView): boolean {
    if (!this.#isInFields) {
      const startLine = this.#startLine as StartLine;
      if (!startLine.scan(bytes, end)) return false;
      this.fields.start(startLine.at);
      this.#isInFields = true;
    }
    return this.fields.scan(bytes, end, view);
  }

  #complete(bytes: Uint8Array, view: DataView): void {
    this.bytes = bytes;
    this.view = view;
    this.byteLength = this.fields.at;
  }

  #gather(chunk: Uint8Array, from: number, end: number): void {
    const needed = this.#bufferedBytes + end - from;
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(INITIAL_BUFFER_BYTES, this.#buffer.length * 2, needed));
      larger.set(this.#buffer.subarray(0, this.#bufferedBytes));
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    if (end - from === 1) this.#buffer[this.#bufferedBytes] = chunk[from] as number;
    else this.#buffer.set(chunk.subarray(from, end), this.#bufferedBytes);
    this.#bufferedBytes = needed;
  }
}
