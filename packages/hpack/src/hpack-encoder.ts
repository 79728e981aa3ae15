/**
 * Fields to header blocks (RFC 7541 §3, §6); lives as long as its connection, as the peer's decoder follows its table.
 *
 * Rules:
 * - What `writeField` has written must be sent, in this order: the table has changed by then.
 * - A call that throws (a character above U+00FF) has written nothing and changed no table.
 * - Constant work for each field beside its length, however many entries share a name.
 * - Huffman code where it is shorter (§5.2).
 */
import { type ByteWriter, latin1Decode, latin1EncodeInto } from '@ferrata/bytes';
import { checkWholeNumber } from '@ferrata/error';
import { encodeHuffman, huffmanLengthOf } from './huffman.ts';
import { Indexing } from './indexing.ts';
import { EncoderTable, type NameEntry, sizeOf } from './internal/encoder-table.ts';
import { SHORT_COOKIE_LENGTH } from './internal/name-policy.ts';
import { type HpackEncoderOptions, type ResolvedHpackEncoderOptions, resolveHpackEncoderOptions } from './options.ts';

/** What every decoder begins with (RFC 9113 §6.5.2). */
const INITIAL_TABLE_BYTES = 4_096;

/** Octets of an integer: its prefix and the five that 31 bits may take. */
const MAX_INTEGER_BYTES = 6;

const NOTHING_OWED = -1;

/**
 * Encodes the header blocks of one direction of a connection.
 *
 * For each block `beginBlock`, then `writeField` for each field line, pseudo-header fields first; all of it into the same writer.
 *
 * @see RFC 7541 §3
 */
export class HpackEncoder {
  readonly #maxTableBytes: number;
  readonly #table: EncoderTable;
  /** The smallest size since the last block; −1 if it has not changed. */
  #owedTableBytes = NOTHING_OWED;

  /** @throws {RangeError} when an option makes no sense */
  constructor(options?: HpackEncoderOptions | ResolvedHpackEncoderOptions) {
    this.#maxTableBytes = resolveHpackEncoderOptions(options).maxTableBytes;
    this.#table = new EncoderTable(INITIAL_TABLE_BYTES);
    this.setPeerTableBytes(INITIAL_TABLE_BYTES);
  }

  /** Bytes that the dynamic table counts now (RFC 7541 §4.1). */
  tableBytes(): number {
    return this.#table.size;
  }

  /** Fields of the dynamic table, the newest first: what the peer's decoder must hold too, for tests and for looking into a connection. */
  tableFields(): readonly (readonly [name: string, value: string])[] {
    return this.#table.fields();
  }

  /**
   * Takes the peer's SETTINGS_HEADER_TABLE_SIZE; between blocks. The next block begins with the table size updates that this makes necessary
   * (RFC 7541 §4.2). More than `maxTableBytes` is not used.
   *
   * @param bytes 0 to 2^32 − 1
   * @throws {RangeError} when it is none of these
   */
  setPeerTableBytes(bytes: number): void {
    const capacity = Math.min(this.#maxTableBytes, checkWholeNumber('bytes', bytes, { max: 0xffff_ffff }));
    if (capacity === this.#table.capacity) return;
    this.#owedTableBytes = this.#owedTableBytes === NOTHING_OWED ? capacity : Math.min(capacity, this.#owedTableBytes);
    this.#table.resize(capacity);
  }

  /** Appends the table size updates that are owed; to be called once before the fields of each block. */
  beginBlock(writer: ByteWriter): void {
    if (this.#owedTableBytes === NOTHING_OWED) return;
    const start = writer.makeRoom(2 * MAX_INTEGER_BYTES);
    const slab = writer.slab;
    let at = start;
    // RFC 7541 §4.2: the smallest of several sizes must be said, so that the decoder evicts what has been evicted here.
    if (this.#owedTableBytes < this.#table.capacity) at = writeInteger(slab, at, this.#owedTableBytes, 0x1f, 0x20);
    writer.commit(writeInteger(slab, at, this.#table.capacity, 0x1f, 0x20));
    this.#owedTableBytes = NOTHING_OWED;
  }

  /**
   * Appends a field line.
   *
   * @param name in lower case (RFC 9113 §8.2); not checked here
   * @param value one byte a character
   * @throws {RangeError} when a character lies above U+00FF; nothing has been written then
   */
  writeField(writer: ByteWriter, name: string, value: string, indexing: Indexing = Indexing.automatic): void {
    const table = this.#table;
    const entry = table.find(name);
    const choice = indexing === Indexing.automatic && entry !== null ? choiceFor(entry, value) : indexing;
    if (entry !== null && choice !== Indexing.never) {
      const index = table.indexOf(entry, value);
      if (index !== 0) {
        const at = writer.makeRoom(MAX_INTEGER_BYTES);
        writer.commit(writeInteger(writer.slab, at, index, 0x7f, 0x80));
        return;
      }
    }
    this.#writeLiteral(writer, entry, name, value, choice);
  }

  #writeLiteral(writer: ByteWriter, entry: NameEntry | null, name: string, value: string, choice: Indexing): void {
    const table = this.#table;
    const size = sizeOf(name, value);
    // What is larger than the table would only empty it (RFC 7541 §4.4); what takes most of it would evict more than it can give back.
    const maxSize = choice === Indexing.automatic ? (table.capacity * 3) >> 2 : table.capacity;
    const isIncremental = (choice === Indexing.incremental || choice === Indexing.automatic) && size <= maxSize;

    // Behind the room for what is written, the two strings as they are: Huffman coding reads them there, and so does the table.
    const nameLength = name.length;
    const valueLength = value.length;
    const start = writer.makeRoom(2 * (nameLength + valueLength) + 3 * MAX_INTEGER_BYTES);
    const slab = writer.slab;
    const rawName = start + nameLength + valueLength + 3 * MAX_INTEGER_BYTES;
    const rawValue = rawName + nameLength;
    const nameIndex = entry === null ? 0 : table.nameIndexOf(entry);
    let at: number;
    if (isIncremental) at = writeInteger(slab, start, nameIndex, 0x3f, 0x40);
    else at = writeInteger(slab, start, nameIndex, 0x0f, choice === Indexing.never ? 0x10 : 0x00);
    if (nameIndex === 0) {
      latin1EncodeInto(name, slab, rawName);
      at = writeString(slab, at, rawName, nameLength);
    }
    latin1EncodeInto(value, slab, rawValue);
    at = writeString(slab, at, rawValue, valueLength);
    writer.commit(at);
    if (!isIncremental) return;
    const ownName = nameIndex === 0 ? ownCopy(name, slab, rawName) : '';
    table.add(entry, ownName, ownCopy(value, slab, rawValue), size);
  }
}

/** What `automatic` means for a name that is known. */
function choiceFor(entry: NameEntry, value: string): Indexing {
  if (entry.name === 'cookie' && value.length < SHORT_COOKIE_LENGTH) return Indexing.never;
  // Left automatic, so that the table's size decides with.
  return entry.policy === Indexing.incremental ? Indexing.automatic : entry.policy;
}

/** An integer behind the flags of its first octet (RFC 7541 §5.1). @returns where it ends */
function writeInteger(target: Uint8Array, start: number, value: number, prefix: number, flags: number): number {
  if (value < prefix) {
    target[start] = flags | value;
    return start + 1;
  }
  target[start] = flags | prefix;
  let at = start + 1;
  let rest = value - prefix;
  while (rest >= 0x80) {
    target[at++] = 0x80 | (rest & 0x7f);
    rest >>>= 7;
  }
  target[at] = rest;
  return at + 1;
}

/** The string `bytes[from, from + length)` with its length, in the shorter of its two forms (RFC 7541 §5.2). @returns where it ends */
function writeString(bytes: Uint8Array, start: number, from: number, length: number): number {
  const end = from + length;
  if (length <= 0x7f) {
    // The length takes one octet either way, so the code can be written before it is known.
    const codedEnd = encodeHuffman(bytes, from, end, bytes, start + 1, start + length);
    if (codedEnd !== -1) {
      bytes[start] = 0x80 | (codedEnd - start - 1);
      return codedEnd;
    }
  } else {
    const coded = huffmanLengthOf(bytes, from, end);
    if (coded < length) {
      const at = writeInteger(bytes, start, coded, 0x7f, 0x80);
      return encodeHuffman(bytes, from, end, bytes, at, at + coded);
    }
  }
  const at = writeInteger(bytes, start, length, 0x7f, 0x00);
  bytes.copyWithin(at, from, end);
  return at + length;
}

/**
 * V8 cuts a string of 13 characters and more out of another one by pointing into it, and joins two of them by pointing at both.
 */
const MIN_SHARED_LENGTH = 13;

/**
 * The same text in memory of its own: a value of a message head, kept for as long as a connection lives, would keep the whole head. It is also
 * compared faster than one that points elsewhere (10 to 25 ns against 35 to 50).
 */
function ownCopy(text: string, bytes: Uint8Array, from: number): string {
  return text.length < MIN_SHARED_LENGTH ? text : latin1Decode(bytes, from, from + text.length);
}
