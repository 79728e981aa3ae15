/**
 * Header blocks to fields (RFC 7541 §3, §6): a cursor that lives as long as its connection.
 *
 * ```
 *   block:  *2( 001 size update )  *( field )
 *   field:  1 index(7+)                                   indexed                        §6.1
 *           01 index(6+)   [name]  value                  literal, enters the table      §6.2.1
 *           0000 index(4+) [name]  value                  literal, does not              §6.2.2
 *           0001 index(4+) [name]  value                  literal, never to be indexed   §6.2.3
 *   name, value:  H length(7+) octets                     H: in Huffman code             §5.2
 * ```
 * Rules:
 * - Linear work, however a block is cut into fragments: a field that is incomplete is looked at again only when the bytes are there whose
 *   want stopped it. Only its integers are read again, which are at most six octets each; strings are read once, when all of it is there.
 * - Nothing is allocated on the word of a length: a string is checked against `maxStringBytes` when its length has been read.
 * - Over `maxListBytes` or `maxFieldCount` the rest of the block is read for the table's sake alone (RFC 9113 §10.5.1): the peer has changed
 *   its table, so skipping would break every later block.
 * - Strings are made by the engine from bytes, so a table entry never keeps a larger string or a chunk alive.
 * - Errors are final. All fields are initialised here, for one hidden class.
 */
import { EMPTY_BYTES, latin1Decode } from '@ferrata/bytes';
import { checkWholeNumber, type WireError } from '@ferrata/error';
import { type HpackReason, hpackError } from './errors.ts';
import type { FieldTagger } from './field-tagger.ts';
import { decodeHuffman, HUFFMAN_EOS, huffmanRoom } from './huffman.ts';
import { DecoderTable } from './internal/decoder-table.ts';
import { type HpackDecoderOptions, MAX_LIMIT, type ResolvedHpackDecoderOptions, resolveHpackDecoderOptions } from './options.ts';
import { ENTRY_OVERHEAD, STATIC_NAMES, STATIC_SIZES, STATIC_TABLE_LENGTH, STATIC_VALUES } from './static-table.ts';

/** Largest integer that is taken (RFC 7541 §5.1 lets each decoder choose): no index, length or size is ever near it. */
const MAX_INTEGER = 0x7fff_ffff;

/**
 * Continuation octets of an integer: five carry 35 bits, more than the 31 that are allowed. A longer one could only be padded with zeros,
 * which costs the reader work for nothing (RFC 7541 §7.4).
 */
const MAX_CONTINUATIONS = 5;

/** Of a block: one is enough to say a size, two to say that it had been smaller in between (RFC 7541 §4.2). */
const MAX_TABLE_UPDATES = 2;

/** What `#readInteger` returns when octets are missing. */
const INCOMPLETE = -1;

const NOTHING_OWED = -1;

/** Room for decoding that outlives a block; a longer string has its own, as an idle connection shall not hold what one message needed. */
const MAX_KEPT_SCRATCH = 4_096;

/**
 * Decodes the header blocks of one direction of a connection.
 *
 * For each block: `feed` its first fragment, `next` until it returns false, and so on with further fragments; then `end`. `next` throws
 * {@link WireError} with the reasons of the README; the first error is thrown again by every later call, as the tables may differ by then.
 *
 * @see RFC 7541 §3
 */
export class HpackDecoder {
  /** Name of the field line; as the peer wrote it, any octets (Latin-1). */
  name = '';
  /** Value of the field line (Latin-1). */
  value = '';
  /** What the tagger said of the field. */
  tag = 0;
  /** Whether the field must be written as a never-indexed literal wherever it goes (RFC 7541 §6.2.3). */
  isNeverIndexed = false;
  /** Whether the block is over `maxListBytes` or `maxFieldCount`: `next` gives no more fields of it. Ask before `end`, which resets it. */
  isOverLimit = false;
  /** Size of the block's fields so far, those that are not given included. */
  listBytes = 0;
  /** Fields of the block so far, those that are not given included. */
  fieldCount = 0;
  /** Table size updates read on this connection: what a peer has no use for in numbers. */
  tableUpdateCount = 0;
  /** Entries evicted on this connection, by insertions and by size updates: a peer that makes many thrashes its table. */
  evictionCount = 0;

  readonly #maxListBytes: number;
  readonly #maxFieldCount: number;
  readonly #maxStringBytes: number;
  readonly #tagger: FieldTagger | null;
  readonly #staticTags: Int32Array;
  readonly #table: DecoderTable;
  #maxTableBytes: number;
  /** The smallest size that was allowed since the last update and lies below the table's: an update to at most this must come first. */
  #owedTableBytes = NOTHING_OWED;
  #tableUpdates = 0;
  #error: WireError | null = null;

  /** What is being read: a fragment as it was fed, or `#joined`. */
  #bytes: Uint8Array = EMPTY_BYTES;
  #at = 0;
  #end = 0;
  /** Bytes that must be there from `#at` on before it is worth looking again. */
  #needed = 1;
  /** Room for what one fragment left and the next one continues. Dropped at the block's end: most blocks are one fragment. */
  #joined: Uint8Array = EMPTY_BYTES;
  /** Where the integer read last ends. */
  #cursor = 0;
  /** Where Huffman-coded strings are decoded: name, then value. */
  #scratch: Uint8Array = EMPTY_BYTES;

  /** @throws {RangeError} when an option makes no sense */
  constructor(options?: HpackDecoderOptions | ResolvedHpackDecoderOptions) {
    const { maxTableBytes, maxListBytes, maxFieldCount, maxStringBytes, tagger } = resolveHpackDecoderOptions(options);
    this.#maxListBytes = maxListBytes;
    this.#maxFieldCount = maxFieldCount;
    this.#maxStringBytes = maxStringBytes;
    this.#tagger = tagger;
    this.#staticTags = tagger === null ? NO_TAGS : tagger.staticTags;
    this.#maxTableBytes = maxTableBytes;
    this.#table = new DecoderTable(maxTableBytes);
  }

  /** Bytes fed and not consumed: at most the fragment fed last, and an incomplete field. */
  bufferedBytes(): number {
    return this.#end - this.#at;
  }

  /** Bytes that the dynamic table counts now (RFC 7541 §4.1). */
  tableBytes(): number {
    return this.#table.size;
  }

  /** Fields of the dynamic table, the newest first, as they have been agreed with the encoder: for tests and for looking into a connection. */
  tableFields(): readonly (readonly [name: string, value: string])[] {
    const table = this.#table;
    return Array.from({ length: table.count }, (_, offset) => {
      const slot = table.slotOf(offset);
      return [table.names[slot] as string, table.values[slot] as string] as const;
    });
  }

  /**
   * Takes the next fragment of the current block: `bytes[start, end)`, which must not change until the block ends.
   *
   * @throws {RangeError} when the range doesn't lie within `bytes`
   * @throws {WireError} the first error again
   */
  feed(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (this.#error !== null) throw this.#error;
    if (!(start >= 0 && start <= end && end <= bytes.length)) {
      throw new RangeError(`range ${start} to ${end} is not within ${bytes.length} bytes`);
    }
    if (this.#at < this.#end) {
      this.#join(bytes, start, end);
      return;
    }
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /**
   * Reads the next field line into `name`, `value`, `tag` and `isNeverIndexed`.
   *
   * @returns false if the next fragment is needed, or the block has been read
   * @throws {WireError} HPACK_… when the block breaks a rule
   */
  next(): boolean {
    if (this.#error !== null) throw this.#error;
    while (this.#end - this.#at >= this.#needed) {
      const octet = this.#bytes[this.#at] as number;
      if (octet >= 0x80) {
        if (!this.#readIndexed(octet)) continue;
      } else if ((octet & 0xe0) === 0x20) {
        this.#readTableUpdate();
        continue;
      } else if (!this.#readLiteral(octet)) continue;
      return true;
    }
    return false;
  }

  /**
   * Says that the block is over, and makes ready for the next one: the field that was read last is gone, too.
   *
   * @throws {WireError} HPACK_TRUNCATED when part of a field is left
   * @throws {RangeError} when `next` has not been called until it returned false
   */
  end(): void {
    if (this.#error !== null) throw this.#error;
    const left = this.#end - this.#at;
    if (left > 0) {
      if (left >= this.#needed) throw new RangeError(`end() with ${left} bytes unread: call next() until it returns false`);
      this.#fail('HPACK_TRUNCATED');
    }
    this.#tableUpdates = 0;
    this.#dropInput();
    if (this.#scratch.length > MAX_KEPT_SCRATCH) this.#scratch = EMPTY_BYTES;
    this.name = '';
    this.value = '';
    this.isOverLimit = false;
    this.listBytes = 0;
    this.fieldCount = 0;
  }

  /**
   * Sets what the peer's encoder may use, once it has acknowledged our SETTINGS_HEADER_TABLE_SIZE; between blocks. If that is less than it uses now,
   * its next block must begin with a table size update (RFC 7541 §4.2); until then the table stays as it is.
   *
   * @param bytes 0 to 1 GiB
   * @throws {RangeError} when it is none of these
   */
  setMaxTableBytes(bytes: number): void {
    this.#maxTableBytes = checkWholeNumber('maxTableBytes', bytes, { max: MAX_LIMIT });
    const lowest = this.#owedTableBytes === NOTHING_OWED ? this.#table.capacity : this.#owedTableBytes;
    if (bytes < lowest) this.#owedTableBytes = bytes;
  }

  /** @returns false if it gave no field: more bytes are needed, or the block is over its limits */
  #readIndexed(octet: number): boolean {
    let index = octet & 0x7f;
    let next = this.#at + 1;
    if (index === 0x7f) {
      index = this.#readInteger(next, 0x7f);
      if (index === INCOMPLETE) return this.#needMore();
      next = this.#cursor;
    }
    if (this.#owedTableBytes !== NOTHING_OWED) this.#fail('HPACK_TABLE_UPDATE_MISSING');
    let name: string;
    let value: string;
    let tag: number;
    let size: number;
    if (index <= STATIC_TABLE_LENGTH) {
      // RFC 7541 §6.1: index 0 MUST be treated as a decoding error.
      if (index === 0) this.#fail('HPACK_INDEX_ZERO');
      name = STATIC_NAMES[index] as string;
      value = STATIC_VALUES[index] as string;
      tag = this.#staticTags[index] as number;
      size = STATIC_SIZES[index] as number;
    } else {
      const table = this.#table;
      const offset = index - STATIC_TABLE_LENGTH - 1;
      if (offset >= table.count) this.#fail('HPACK_INDEX_TOO_LARGE');
      const slot = table.slotOf(offset);
      name = table.names[slot] as string;
      value = table.values[slot] as string;
      tag = table.tags[slot] as number;
      size = table.sizes[slot] as number;
    }
    this.#at = next;
    this.#needed = 1;
    if (!this.#isWithinLimits(size)) return false;
    this.name = name;
    this.value = value;
    this.tag = tag;
    this.isNeverIndexed = false;
    return true;
  }

  /** @returns false if it gave no field: more bytes are needed, or the block is over its limits */
  #readLiteral(octet: number): boolean {
    const isIncremental = octet >= 0x40;
    const prefix = isIncremental ? 0x3f : 0x0f;
    const bytes = this.#bytes;
    let index = octet & prefix;
    let cursor = this.#at + 1;
    if (index === prefix) {
      index = this.#readInteger(cursor, prefix);
      if (index === INCOMPLETE) return this.#needMore();
      cursor = this.#cursor;
    }
    if (this.#owedTableBytes !== NOTHING_OWED) this.#fail('HPACK_TABLE_UPDATE_MISSING');
    if (index > STATIC_TABLE_LENGTH && index - STATIC_TABLE_LENGTH > this.#table.count) this.#fail('HPACK_INDEX_TOO_LARGE');

    // First where the strings lie, then what they are: nothing is decoded before all of the field is there.
    let nameStart = 0;
    let nameEnd = 0;
    let isNameCoded = false;
    if (index === 0) {
      const length = this.#readStringLength(cursor);
      if (length === INCOMPLETE) return this.#needMore();
      isNameCoded = (bytes[cursor] as number) >= 0x80;
      nameStart = this.#cursor;
      nameEnd = nameStart + length;
      cursor = nameEnd;
    }
    const length = this.#readStringLength(cursor);
    if (length === INCOMPLETE) return this.#needUpTo(cursor + 1);
    const isValueCoded = (bytes[cursor] as number) >= 0x80;
    const valueStart = this.#cursor;
    const valueEnd = valueStart + length;
    if (valueEnd > this.#end) return this.#needUpTo(valueEnd);

    let name = '';
    let nameLength = nameEnd - nameStart;
    if (index !== 0) {
      name = this.#nameAt(index);
      nameLength = name.length;
    } else if (isNameCoded) {
      nameLength = this.#decodeString(nameStart, nameEnd, 0);
    }
    let valueLength = length;
    // Behind the name, if that has been decoded.
    const scratchAt = isNameCoded ? nameLength : 0;
    if (isValueCoded) valueLength = this.#decodeString(valueStart, valueEnd, scratchAt) - scratchAt;

    const size = nameLength + valueLength + ENTRY_OVERHEAD;
    const entersTable = isIncremental && size <= this.#table.capacity;
    const isGiven = this.#isWithinLimits(size);
    let value = '';
    let tag = 0;
    if (isGiven || entersTable) {
      if (index === 0) name = isNameCoded ? latin1Decode(this.#scratch, 0, nameLength) : latin1Decode(bytes, nameStart, nameEnd);
      if (isValueCoded) value = latin1Decode(this.#scratch, scratchAt, scratchAt + valueLength);
      else if (length > 0) value = latin1Decode(bytes, valueStart, valueEnd);
      if (this.#tagger !== null) tag = this.#tagger.tag(name, value);
    }
    if (isIncremental) {
      this.#table.add(name, value, size, tag);
      this.evictionCount = this.#table.evictionCount;
    }
    this.#at = valueEnd;
    this.#needed = 1;
    if (!isGiven) return false;
    this.name = name;
    this.value = value;
    this.tag = tag;
    this.isNeverIndexed = octet >= 0x10 && octet < 0x20;
    return true;
  }

  #readTableUpdate(): void {
    // RFC 7541 §4.2: only at the beginning of a block.
    if (this.fieldCount > 0) this.#fail('HPACK_TABLE_UPDATE_LATE');
    if (this.#tableUpdates === MAX_TABLE_UPDATES) this.#fail('HPACK_TABLE_UPDATES_TOO_MANY');
    let bytes = (this.#bytes[this.#at] as number) & 0x1f;
    let next = this.#at + 1;
    if (bytes === 0x1f) {
      bytes = this.#readInteger(next, 0x1f);
      if (bytes === INCOMPLETE) {
        this.#needMore();
        return;
      }
      next = this.#cursor;
    }
    if (bytes > this.#maxTableBytes) this.#fail('HPACK_TABLE_UPDATE_TOO_LARGE');
    // RFC 7541 §4.2: the smallest size of the time between two blocks is said first, so that both ends have evicted the same.
    if (this.#owedTableBytes !== NOTHING_OWED && bytes > this.#owedTableBytes) this.#fail('HPACK_TABLE_UPDATE_MISSING');
    this.#owedTableBytes = NOTHING_OWED;
    this.#tableUpdates += 1;
    this.tableUpdateCount += 1;
    this.#table.resize(bytes);
    this.evictionCount = this.#table.evictionCount;
    this.#at = next;
    this.#needed = 1;
  }

  #nameAt(index: number): string {
    if (index <= STATIC_TABLE_LENGTH) return STATIC_NAMES[index] as string;
    return this.#table.names[this.#table.slotOf(index - STATIC_TABLE_LENGTH - 1)] as string;
  }

  /** Counts a field. @returns whether it may be given out */
  #isWithinLimits(size: number): boolean {
    this.fieldCount += 1;
    this.listBytes += size;
    if (this.fieldCount > this.#maxFieldCount || this.listBytes > this.#maxListBytes) this.isOverLimit = true;
    return !this.isOverLimit;
  }

  /** Reads a string's length and leaves `#cursor` behind it. */
  #readStringLength(at: number): number {
    if (at >= this.#end) return INCOMPLETE;
    let length = (this.#bytes[at] as number) & 0x7f;
    this.#cursor = at + 1;
    if (length === 0x7f) length = this.#readInteger(at + 1, 0x7f);
    if (length > this.#maxStringBytes) this.#fail('HPACK_STRING_TOO_LONG');
    return length;
  }

  /** Reads the continuation octets of an integer (RFC 7541 §5.1) and leaves `#cursor` behind them. */
  #readInteger(at: number, prefix: number): number {
    const bytes = this.#bytes;
    let value = prefix;
    // Not a shift: the fifth octet reaches beyond 32 bits.
    let unit = 1;
    for (let i = 0; i < MAX_CONTINUATIONS; i++) {
      if (at + i >= this.#end) return INCOMPLETE;
      const octet = bytes[at + i] as number;
      value += (octet & 0x7f) * unit;
      if (value > MAX_INTEGER) this.#fail('HPACK_INTEGER_TOO_LARGE');
      if (octet < 0x80) {
        this.#cursor = at + i + 1;
        return value;
      }
      unit *= 0x80;
    }
    this.#fail('HPACK_INTEGER_TOO_LONG');
  }

  /** Decodes a Huffman-coded string into the scratch. @returns where it ends there */
  #decodeString(start: number, end: number, at: number): number {
    const room = at + huffmanRoom(end - start);
    if (room > this.#scratch.length) this.#growScratch(room, at);
    const result = decodeHuffman(this.#bytes, start, end, this.#scratch, at);
    if (result < 0) this.#fail(result === HUFFMAN_EOS ? 'HPACK_HUFFMAN_EOS' : 'HPACK_HUFFMAN_PADDING');
    return result;
  }

  #growScratch(room: number, used: number): void {
    const scratch = new Uint8Array(Math.max(256, room, 2 * this.#scratch.length));
    scratch.set(this.#scratch.subarray(0, used));
    this.#scratch = scratch;
  }

  /** One byte more than there are: an integer has not ended yet. */
  #needMore(): false {
    this.#needed = this.#end - this.#at + 1;
    return false;
  }

  /** All bytes before `end`, and at least one more than there are. */
  #needUpTo(end: number): false {
    this.#needed = Math.max(end, this.#end + 1) - this.#at;
    return false;
  }

  /** Puts a fragment behind what is left of those before it. Doubling keeps the copying linear. */
  #join(bytes: Uint8Array, start: number, end: number): void {
    const left = this.#end - this.#at;
    const length = left + end - start;
    const isJoined = this.#bytes === this.#joined;
    if (!isJoined || this.#end + end - start > this.#joined.length) {
      const joined = new Uint8Array(Math.max(256, 2 * length));
      joined.set(this.#bytes.subarray(this.#at, this.#end));
      this.#joined = joined;
      this.#bytes = joined;
      this.#at = 0;
      this.#end = left;
    }
    this.#joined.set(bytes.subarray(start, end), this.#end);
    this.#end += end - start;
  }

  #dropInput(): void {
    this.#bytes = EMPTY_BYTES;
    this.#at = 0;
    this.#end = 0;
    this.#needed = 1;
    this.#joined = EMPTY_BYTES;
  }

  #fail(reason: HpackReason): never {
    this.#error = hpackError(reason);
    this.#dropInput();
    throw this.#error;
  }
}

const NO_TAGS = new Int32Array(STATIC_TABLE_LENGTH + 1);
