/**
 * DER (ITU-T X.690), as much of it as X.509 needs: a cursor over the elements of one constructed value.
 *
 * ```
 * +------------+-------------------------------+-----------+
 * | identifier | length                        | content   |     0x30 0x03 0x02 0x01 0x05: SEQUENCE { INTEGER 5 }
 * | 1 byte     | 0xxxxxxx, or 1000000n n bytes |           |
 * +------------+-------------------------------+-----------+
 * ```
 * Rules: what is not DER is an error, never a guess: indefinite lengths (§10.1), lengths with a byte too many (§10.1), tag numbers above 30 (no field of a
 * certificate has one), elements that reach beyond what holds them. Nothing is copied until it is asked for; nothing is read twice; no recursion.
 */
import { tlsError, type WireError } from '@ferrata/error';

/** The identifiers that X.509 uses: class, "constructed" (0x20) and number in one byte. */
export const DerTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A certificate that breaks the rules of its encoding. */
export function malformedCertificate(what: string, cause?: unknown): WireError {
  return tlsError('TLS_CERTIFICATE_MALFORMED', what, { cause });
}

/** Goes through the elements between two indices, one after the other. */
export class DerReader {
  readonly bytes: Uint8Array;
  /** The identifier of the element that `next` has found. */
  tag: number;
  /** Where that element begins. */
  start: number;
  /** Where its content begins. */
  contentStart: number;
  /** Where it ends, and the next one begins. */
  end: number;
  readonly #limit: number;

  constructor(bytes: Uint8Array, start = 0, limit: number = bytes.length) {
    this.bytes = bytes;
    this.tag = -1;
    this.start = start;
    this.contentStart = start;
    this.end = start;
    this.#limit = limit;
  }

  /** Whether all elements were read. */
  isAtEnd(): boolean {
    return this.end === this.#limit;
  }

  /** The identifier of the next element, without reading it; -1 at the end. */
  peekTag(): number {
    return this.end === this.#limit ? -1 : (this.bytes[this.end] as number);
  }

  /** Reads the next element. @returns false at the end @throws {WireError} `TLS_CERTIFICATE_MALFORMED` when it is no DER */
  next(): boolean {
    if (this.end === this.#limit) return false;
    const { bytes } = this;
    const limit = this.#limit;
    this.start = this.end;
    let at = this.start;
    const tag = bytes[at++] as number;
    if ((tag & 0x1f) === 0x1f) throw malformedCertificate(`a tag of more than one byte at ${this.start}`);
    if (at === limit) throw malformedCertificate(`an element without a length at ${this.start}`);
    let length = bytes[at++] as number;
    if (length >= 0x80) {
      const count = length & 0x7f;
      // 0x80 is the indefinite form of BER. Four bytes are more than any certificate needs.
      if (count === 0 || count > 4 || at + count > limit) throw malformedCertificate(`a length that is no DER at ${this.start}`);
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[at++] as number);
      // Minimal: the short form where it is enough, and no zero in front (two encodings of one certificate would have two digests).
      if (length < 0x80 || length < 256 ** (count - 1)) throw malformedCertificate(`a length that is not minimal at ${this.start}`);
    }
    if (length > limit - at) throw malformedCertificate(`an element that reaches beyond its end at ${this.start}`);
    this.tag = tag;
    this.contentStart = at;
    this.end = at + length;
    return true;
  }

  /** Reads the next element, which must be there, and be one of this kind. @throws {WireError} `TLS_CERTIFICATE_MALFORMED` */
  expect(tag: number, what: string): void {
    if (!this.next() || this.tag !== tag) throw malformedCertificate(`${what} is missing at ${this.start}`);
  }

  /** Reads the next element if it is of this kind. @returns whether it was @throws {WireError} `TLS_CERTIFICATE_MALFORMED` */
  skipIf(tag: number): boolean {
    return this.peekTag() === tag && this.next();
  }

  /** All must have been read. @throws {WireError} `TLS_CERTIFICATE_MALFORMED` */
  expectEnd(what: string): void {
    if (!this.isAtEnd()) throw malformedCertificate(`something follows ${what} at ${this.end}`);
  }

  /** A reader of what the element read last holds. */
  inside(): DerReader {
    return new DerReader(this.bytes, this.contentStart, this.end);
  }

  /** The content of the element read last: a view. */
  content(): Uint8Array {
    return this.bytes.subarray(this.contentStart, this.end);
  }

  /** The element read last, with identifier and length: a view. */
  element(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
}

/** An arc of an object identifier may have as many bytes as a UUID takes (ITU-T X.667, 2.25.…: 128 bits in groups of 7). */
const MAX_ARC_BYTES = 19;

/**
 * The content of an OBJECT IDENTIFIER in dots: `2.5.4.10`.
 *
 * @throws {WireError} `TLS_CERTIFICATE_MALFORMED` when it is empty, cut off, padded (X.690 §8.19.2), or has an arc of more than 19 bytes
 */
export function decodeObjectIdentifier(content: Uint8Array): string {
  let text = '';
  let at = 0;
  while (at < content.length) {
    const start = at;
    if (content[at] === 0x80) throw malformedCertificate('an object identifier with padding');
    let arc = 0n;
    let small = 0;
    for (;;) {
      if (at === content.length || at - start === MAX_ARC_BYTES) throw malformedCertificate('an object identifier without an end');
      const byte = content[at++] as number;
      // Seven bytes are 49 bits, which a number holds exactly.
      if (at - start <= 7) small = small * 128 + (byte & 0x7f);
      else arc = ((at - start === 8 ? BigInt(small) : arc) << 7n) | BigInt(byte & 0x7f);
      if (byte < 0x80) break;
    }
    const value = at - start <= 7 ? BigInt(small) : arc;
    if (start > 0) {
      text += `.${value}`;
      continue;
    }
    // §8.19.4: the first two arcs share one number.
    const first = value < 80n ? value / 40n : 2n;
    text = `${first}.${value - 40n * first}`;
  }
  if (text === '') throw malformedCertificate('an empty object identifier');
  return text;
}

/** A serial number may have 20 (RFC 5280 §4.1.2.2); some authorities had more. Turning a long one into digits takes time by the square of its length. */
const MAX_INTEGER_BYTES = 40;

/**
 * The content of an INTEGER in hexadecimal, lower case, without the zero that keeps it positive; a negative one with a minus in front.
 *
 * @throws {WireError} `TLS_CERTIFICATE_MALFORMED` when it is empty, padded (X.690 §8.3.2), or has more than 40 bytes
 */
export function decodeIntegerHex(content: Uint8Array): string {
  const [first, second] = content;
  if (first === undefined) throw malformedCertificate('an integer without content');
  if (content.length > MAX_INTEGER_BYTES) throw malformedCertificate(`an integer of ${content.length} bytes`);
  if (second !== undefined && ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    throw malformedCertificate('an integer that is not minimal');
  }
  let value = BigInt(`0x${Array.from(content, (byte) => byte.toString(16).padStart(2, '0')).join('')}`);
  const isNegative = first >= 0x80;
  if (isNegative) value = (1n << BigInt(8 * content.length)) - value;
  const digits = value.toString(16);
  return `${isNegative ? '-' : ''}${digits.length % 2 === 0 ? digits : `0${digits}`}`;
}

const DIGITS_OF_TIME = /^(?:[0-9]{2})?[0-9]{12}Z$/;

/**
 * Reads the next element, a UTCTime or GeneralizedTime, as milliseconds since 1970, in the only forms that a certificate may have (RFC 5280 §4.1.2.5): seconds, no fraction, `Z`.
 *
 * @throws {WireError} `TLS_CERTIFICATE_MALFORMED` for other forms, and for days that no calendar has
 */
export function readTime(reader: DerReader): number {
  if (!reader.next()) throw malformedCertificate(`a time is missing at ${reader.end}`);
  const text = String.fromCharCode(...reader.content().subarray(0, 32));
  const isShort = reader.tag === DerTag.utcTime;
  if (!isShort && reader.tag !== DerTag.generalizedTime) throw malformedCertificate(`a time is missing at ${reader.start}`);
  if (!DIGITS_OF_TIME.test(text) || text.length !== (isShort ? 13 : 15))
    throw malformedCertificate('a time that is not in the form of RFC 5280');
  const yearDigits = isShort ? 2 : 4;
  const shortYear = Number(text.slice(0, yearDigits));
  // §4.1.2.5.1: two digits mean 1950 to 2049.
  const year = isShort ? shortYear + (shortYear < 50 ? 2000 : 1900) : shortYear;
  const part = (index: number): number => Number(text.slice(yearDigits + 2 * index, yearDigits + 2 * index + 2));
  const time = new Date(0);
  time.setUTCFullYear(year, part(0) - 1, part(1));
  time.setUTCHours(part(2), part(3), part(4), 0);
  const isReal = time.getUTCMonth() === part(0) - 1 && time.getUTCDate() === part(1) && part(2) < 24 && part(3) < 60 && part(4) < 60;
  if (!isReal) throw malformedCertificate('a time that no calendar has');
  return time.getTime();
}
