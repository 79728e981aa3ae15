/**
 * Fields to header blocks (RFC 7541 §3, §6); lives as long as its connection, as the peer's decoder follows its table.
 *
 * Rules:
 * - What `writeField` has written must be sent, in this order: the table has changed by then.
 * - A call that throws (a character above U+00FF) has written nothing and changed no table.
 * - Bounded work for each field beside its length, however many entries share a name.
 * - No string of the caller's is kept that may be part of a larger one.
 * - Huffman code where it is shorter (§5.2).
 */
import { type ByteWriter, latin1Decode, latin1EncodeInto } from '@ferrata/bytes';
import { checkWholeNumber } from '@ferrata/error';
import { encodeHuffman, encodeShortText, huffmanLengthOf } from './huffman.ts';
import { Indexing } from './indexing.ts';
import type { NameEntry } from './internal/encoder-names.ts';
import { EncoderTable, MIN_SHARED_LENGTH, sizeOf } from './internal/encoder-table.ts';
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
    let choice = indexing;
    if (entry !== null) {
      if (choice === Indexing.automatic) choice = value.length < entry.neverBelow ? Indexing.never : entry.policy;
      if (choice !== Indexing.never) {
        const index = table.indexOf(entry, value);
        if (index !== 0) {
          const at = writer.makeRoom(MAX_INTEGER_BYTES);
          writer.commit(writeInteger(writer.slab, at, index, 0x7f, 0x80));
          return;
        }
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

    const nameIndex = entry === null ? 0 : table.nameIndexOf(entry);
    const nameLength = nameIndex === 0 ? name.length : 0;
    const valueLength = value.length;
    // Behind the room for what is written, the two strings as they are; a value that the table keeps as octets is written there instead.
    const start = writer.makeRoom(2 * (nameLength + valueLength) + 3 * MAX_INTEGER_BYTES);
    const slab = writer.slab;
    const rawName = start + nameLength + valueLength + 3 * MAX_INTEGER_BYTES;
    let at: number;
    if (isIncremental) at = writeInteger(slab, start, nameIndex, 0x3f, 0x40);
    else at = writeInteger(slab, start, nameIndex, 0x0f, choice === Indexing.never ? 0x10 : 0x00);
    if (nameIndex === 0) at = writeString(name, slab, rawName, slab, at);
    if (!isIncremental || valueLength < MIN_SHARED_LENGTH) {
      writer.commit(writeString(value, slab, rawName + nameLength, slab, at));
      if (isIncremental) table.add(entry, nameIndex === 0 ? ownCopy(name, slab, rawName) : '', value, -1, size);
      return;
    }
    const kept = table.roomForValue(valueLength);
    writer.commit(writeString(value, table.valueBytes(), kept, slab, at));
    table.add(entry, nameIndex === 0 ? ownCopy(name, slab, rawName) : '', value, kept, size);
  }
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

/** Text of up to this length is read character by character; longer ones are written out quicker by the engine. */
const MAX_SHORT = 48;

/**
 * Writes `text` to `target` from `start` on, with its length, in the shorter of its two forms (RFC 7541 §5.2), and to `octets` from `from` on as it is, on the way.
 *
 * @returns where it ends in `target`
 */
function writeString(text: string, octets: Uint8Array, from: number, target: Uint8Array, start: number): number {
  const { length } = text;
  // The length takes one octet either way, so the code can be written before it is known.
  if (length <= MAX_SHORT) {
    const codedEnd = encodeShortText(text, octets, from, target, start + 1, start + length);
    if (codedEnd !== -1) {
      target[start] = 0x80 | (codedEnd - start - 1);
      return codedEnd;
    }
  }
  latin1EncodeInto(text, octets, from);
  const end = from + length;
  if (length <= 0x7f) {
    const codedEnd = encodeHuffman(octets, from, end, target, start + 1, start + length);
    if (codedEnd !== -1) {
      target[start] = 0x80 | (codedEnd - start - 1);
      return codedEnd;
    }
  } else {
    const coded = huffmanLengthOf(octets, from, end);
    if (coded < length) {
      const at = writeInteger(target, start, coded, 0x7f, 0x80);
      return encodeHuffman(octets, from, end, target, at, at + coded);
    }
  }
  const at = writeInteger(target, start, length, 0x7f, 0x00);
  latin1EncodeInto(text, target, at);
  return at + length;
}

/** A name that is kept for as long as a connection lives would keep the whole message head that it was cut from. */
function ownCopy(text: string, bytes: Uint8Array, from: number): string {
  return text.length < MIN_SHARED_LENGTH ? text : latin1Decode(bytes, from, from + text.length);
}
