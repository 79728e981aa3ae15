/**
 * A protocol of one's own: parcels, one after the other.
 *
 *     0        2            2 + n
 *     | n      | n bytes    |        n: 0 to 1024, the high byte first
 *
 * Nothing is imported: a codec that does no I/O needs nothing to be proven.
 */

/** The longest parcel; a longer one is refused at its length, before anything is kept for it. */
export const MAX_PARCEL_BYTES = 1_024;

/** Bytes that are no parcels. */
export class ParcelError extends Error {
  override readonly name = 'ParcelError';
  readonly reason: 'TOO_LONG' | 'CUT_OFF';

  constructor(reason: 'TOO_LONG' | 'CUT_OFF', message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Writes one parcel. */
export function encodeParcel(payload: Uint8Array): Uint8Array {
  if (payload.byteLength > MAX_PARCEL_BYTES) throw new RangeError(`a parcel holds ${MAX_PARCEL_BYTES} bytes, not ${payload.byteLength}`);
  const bytes = new Uint8Array(2 + payload.byteLength);
  bytes[0] = payload.byteLength >>> 8;
  bytes[1] = payload.byteLength & 0xff;
  bytes.set(payload, 2);
  return bytes;
}

/** Reads parcels from chunks of any size: `feed` a chunk, call `next` until it says false, `feed` the next one; `end` behind the last. */
export class ParcelDecoder {
  /** The parcel read, after `next` said true. */
  payload: Uint8Array = new Uint8Array(0);
  /** Bytes of the parcels read. */
  consumedBytes = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #prefixBytes = 0;
  #length = 0;
  #body: Uint8Array = new Uint8Array(0);
  #filled = 0;
  #hasEnded = false;
  #error: ParcelError | null = null;

  /** Bytes fed that no parcel read has used. */
  get bufferedBytes(): number {
    return this.#prefixBytes + this.#filled + this.#chunk.byteLength - this.#at;
  }

  feed(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.byteLength) throw new TypeError('read all parcels before the next chunk');
    this.#chunk = chunk;
    this.#at = 0;
  }

  end(): void {
    this.#hasEnded = true;
  }

  /** @returns true if `payload` is the next parcel, false if more bytes are needed. @throws {ParcelError} and again at every later call */
  next(): boolean {
    if (this.#error !== null) throw this.#error;
    while (this.#prefixBytes < 2) {
      const byte = this.#chunk[this.#at];
      if (byte === undefined) return this.#needsMore();
      this.#at += 1;
      this.#prefixBytes += 1;
      this.#length = this.#length * 0x100 + byte;
      if (this.#prefixBytes < 2) continue;
      if (this.#length > MAX_PARCEL_BYTES) this.#refuse('TOO_LONG', `a parcel of ${this.#length} bytes`);
      this.#body = new Uint8Array(this.#length);
    }
    const piece = this.#chunk.subarray(this.#at, this.#at + this.#length - this.#filled);
    this.#body.set(piece, this.#filled);
    this.#at += piece.byteLength;
    this.#filled += piece.byteLength;
    if (this.#filled < this.#length) return this.#needsMore();
    this.payload = this.#body;
    this.consumedBytes += 2 + this.#length;
    this.#begin();
    return true;
  }

  #needsMore(): false {
    if (this.#hasEnded && this.bufferedBytes > 0) this.#refuse('CUT_OFF', 'the bytes end inside a parcel');
    return false;
  }

  #begin(): void {
    this.#prefixBytes = 0;
    this.#length = 0;
    this.#filled = 0;
    this.#body = new Uint8Array(0);
  }

  #refuse(reason: ParcelError['reason'], message: string): never {
    this.#begin();
    this.#chunk = new Uint8Array(0);
    this.#at = 0;
    this.#error = new ParcelError(reason, message);
    throw this.#error;
  }
}
