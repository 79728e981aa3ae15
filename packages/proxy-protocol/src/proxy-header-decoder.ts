/**
 * Decodes the PROXY header at the beginning of a connection, of either version, from chunks of bytes in any cut.
 *
 * ```text
 *               "PROXY "                      CRLF
 *            ┌───────────► line (≤ 107 bytes) ───────────┐
 *   signature                                            ├──► complete: `header`, and `remaining` is the application's
 *            └───────────► fixed ──────────► rest ───────┘
 *              "\r\n\r\n…"        16 bytes         Length bytes
 *
 *   any of them ── a broken rule, or the end ──► refused: every later `next` throws the same error
 * ```
 * Rules of this file:
 * - What cannot be a signature is refused at the first byte that shows it; the rest of a header is judged as a whole: of version 2 its first 16 bytes when
 *   they are there, before a byte behind them is kept, of version 1 the line at its end. Neither is ever longer than its limit.
 * - A header says what the kernel would otherwise: it must come from whom one trusts. That is for the listener to know, before it feeds a byte.
 *
 * @see "The PROXY protocol, versions 1 & 2" (haproxy), §2.1 and §2.2
 */
import { EMPTY_BYTES, latin1Decode } from '@ferrata/bytes';
import { toWireError, type WireError } from '@ferrata/error';
import { proxyHeaderError } from './errors.ts';
import { readBinary, readFixedPart } from './internal/read-binary.ts';
import { readLine } from './internal/read-line.ts';
import {
  FIXED_BYTES,
  MAX_LINE_BYTES,
  type ProxyHeaderDecoderOptions,
  type ResolvedProxyHeaderDecoderOptions,
  resolveProxyHeaderDecoderOptions,
} from './options.ts';
import type { ProxyHeader } from './proxy-header.ts';
import { proxySignatureMatch, V1_SIGNATURE, V2_SIGNATURE } from './signature.ts';

type Phase = 'signature' | 'line' | 'fixed' | 'rest' | 'complete' | 'refused';

const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** A cursor over the one header of a connection: `feed` bytes, call `next` until it returns true; what came behind is in `remaining`. */
export class ProxyHeaderDecoder {
  readonly #options: ResolvedProxyHeaderDecoderOptions;
  #phase: Phase = 'signature';
  /** The unread bytes are the first `#length` ones: a chunk as it was fed, or from the second chunk on memory of its own, which doubles. */
  #bytes: Uint8Array = EMPTY_BYTES;
  #length = 0;
  #ownsBytes = false;
  /** Bytes of `#bytes` in which no end of a line has been found. */
  #scanned = 0;
  /** Of the whole header; 0 until it is known. */
  #headerBytes = 0;
  #header: ProxyHeader | null = null;
  #hasEnded = false;
  #error: WireError | null = null;

  /** @throws {RangeError} or {TypeError} when an option makes no sense */
  constructor(options: ProxyHeaderDecoderOptions | ResolvedProxyHeaderDecoderOptions = {}) {
    this.#options = resolveProxyHeaderDecoderOptions(options);
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** True when `header` may be read. */
  get isComplete(): boolean {
    return this.#phase === 'complete';
  }

  /** The header. @throws {TypeError} before `next` has returned true */
  get header(): ProxyHeader {
    if (this.#header === null) throw new TypeError('there is no header yet');
    return this.#header;
  }

  /** The bytes behind the header that have been fed so far: the application's first ones. @throws {TypeError} before `next` has returned true */
  get remaining(): Uint8Array {
    if (this.#header === null) throw new TypeError('there is no header yet');
    return this.#bytes.subarray(0, this.#length);
  }

  /** Bytes fed and not consumed: all before the header is complete, then those of `remaining`; none after an error. */
  get bufferedBytes(): number {
    return this.#length;
  }

  /** The length of the header; 0 before it is complete. */
  get consumedBytes(): number {
    return this.#phase === 'complete' ? this.#headerBytes : 0;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  /**
   * Adds a chunk, which belongs to the decoder from now on. After an error chunks are dropped.
   *
   * @throws {TypeError} after `end`
   */
  feed(chunk: Uint8Array): void {
    if (this.#hasEnded) throw new TypeError('the decoder has been given its last byte');
    if (this.#error !== null) return;
    if (this.#length === 0) this.#hold(chunk, chunk.length, false);
    else this.#append(chunk);
  }

  /** The peer has ended its side: if that was before or inside of the header, `next` throws. */
  end(): void {
    this.#hasEnded = true;
  }

  /**
   * Reads on.
   *
   * @returns true once, when the header is complete; false if more bytes are needed, and ever after the header
   * @throws {WireError} a reason of this package when the peer broke a rule or a limit; the first error is final and thrown again
   */
  next(): boolean {
    if (this.#error !== null) throw this.#error;
    if (this.#phase === 'complete') return false;
    try {
      return this.#read();
    } catch (thrown) {
      this.#error = toWireError(thrown, 'PROXY_DECODER');
      this.#phase = 'refused';
      this.#hold(EMPTY_BYTES, 0, false);
      throw this.#error;
    }
  }

  // ---- phases ------------------------------------------------------------------------------------------------------------------

  #read(): boolean {
    if (this.#phase === 'signature') this.#readSignature();
    if (this.#phase === 'line') this.#findLineEnd();
    if (this.#phase === 'fixed' && this.#length >= FIXED_BYTES) {
      this.#headerBytes = readFixedPart(this.#bytes, this.#options);
      this.#phase = 'rest';
    }
    if (this.#headerBytes > 0 && this.#length >= this.#headerBytes) {
      this.#complete();
      return true;
    }
    if (this.#hasEnded) throw proxyHeaderError(this.#length === 0 ? 'PROXY_MISSING' : 'PROXY_TRUNCATED');
    return false;
  }

  #readSignature(): void {
    const { allowsVersion1, allowsVersion2 } = this.#options;
    switch (proxySignatureMatch(this.#bytes.subarray(0, Math.min(this.#length, V2_SIGNATURE.length)))) {
      case 'partial':
        return;
      case 'no':
        throw proxyHeaderError('PROXY_SIGNATURE');
      case 'version1':
        if (!allowsVersion1) throw proxyHeaderError('PROXY_VERSION_REFUSED', 'version 1');
        this.#scanned = V1_SIGNATURE.length;
        this.#phase = 'line';
        return;
      case 'version2':
        if (!allowsVersion2) throw proxyHeaderError('PROXY_VERSION_REFUSED', 'version 2');
        this.#phase = 'fixed';
    }
  }

  /** CR or LF alone is refused wherever it stands, also behind UNKNOWN: another reader might end the line there. */
  #findLineEnd(): void {
    const bytes = this.#bytes;
    const limit = Math.min(this.#length, MAX_LINE_BYTES);
    for (let at = this.#scanned; at < limit; at++) {
      const byte = bytes[at];
      const isAfterReturn = bytes[at - 1] === carriageReturn;
      if (isAfterReturn !== (byte === lineFeed)) throw proxyHeaderError('PROXY_V1_LINE_END');
      if (byte === lineFeed) {
        this.#headerBytes = at + 1;
        return;
      }
    }
    if (limit === MAX_LINE_BYTES) throw proxyHeaderError('PROXY_V1_TOO_LONG');
    this.#scanned = limit;
  }

  #complete(): void {
    const bytes = this.#bytes;
    const end = this.#headerBytes;
    // A copy of version 2, as TLVs may live as long as the connection, and must not keep the chunk around them.
    this.#header =
      this.#phase === 'line' ? readLine(latin1Decode(bytes, V1_SIGNATURE.length, end - 2)) : readBinary(copyOf(bytes, end), this.#options);
    this.#phase = 'complete';
    if (end === this.#length) this.#hold(EMPTY_BYTES, 0, false);
    else this.#hold(bytes.subarray(end), this.#length - end, this.#ownsBytes);
  }

  // ---- bytes -------------------------------------------------------------------------------------------------------------------

  #hold(bytes: Uint8Array, length: number, isOwn: boolean): void {
    this.#bytes = bytes;
    this.#length = length;
    this.#ownsBytes = isOwn;
  }

  /** Never writes where a view has been handed out: that ends where the new bytes begin. */
  #append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (!this.#ownsBytes || length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * length, 64));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#hold(larger, length, true);
    }
    this.#bytes.set(chunk, length - chunk.length);
    this.#length = length;
  }
}

/** Not `slice`, which is a view where the chunk is a `Buffer` of Node's. */
function copyOf(bytes: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}
