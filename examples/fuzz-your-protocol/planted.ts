/**
 * Two decoders of parcels as they get written on a busy day. Both read every whole input that one tries by hand; each has one bug.
 *
 * They are here to be found: see find-bugs.ts.
 */
import { MAX_PARCEL_BYTES, ParcelError } from './parcels.ts';

/** Keeps the first byte of a length that was cut in two, but takes a kept 0 for nothing kept. */
export class ForgetfulDecoder {
  payload: Uint8Array = new Uint8Array(0);
  consumedBytes = 0;
  protected readonly maxBytes: number = MAX_PARCEL_BYTES;
  #unread: Uint8Array = new Uint8Array(0);
  #high = 0;
  #hasEnded = false;
  #error: ParcelError | null = null;

  get bufferedBytes(): number {
    return this.#unread.byteLength + (this.#high === 0 ? 0 : 1);
  }

  feed(chunk: Uint8Array): void {
    this.#unread = joined(this.#unread, chunk);
    this.restore();
  }

  end(): void {
    this.#hasEnded = true;
  }

  next(): boolean {
    if (this.#error !== null) throw this.#error;
    if (this.#unread.byteLength === 1) this.save();
    if (this.#unread.byteLength < 2) return this.#needsMore();
    const length = ((this.#unread[0] ?? 0) << 8) | (this.#unread[1] ?? 0);
    if (length > this.maxBytes) this.#refuse('TOO_LONG');
    if (this.#unread.byteLength < 2 + length) return this.#needsMore();
    this.payload = this.#unread.slice(2, 2 + length);
    this.#unread = this.#unread.subarray(2 + length);
    this.consumedBytes += 2 + length;
    return true;
  }

  /** One byte of a length is kept aside, so that `#unread` always begins with a whole length. */
  protected save(): void {
    this.#high = this.#unread[0] ?? 0;
    this.#unread = new Uint8Array(0);
  }

  protected restore(): void {
    // The bug: a high byte of 0 was kept as well.
    if (this.#high !== 0) this.#unread = joined(Uint8Array.of(this.#high), this.#unread);
    this.#high = 0;
  }

  #needsMore(): false {
    if (this.#hasEnded && this.bufferedBytes > 0) this.#refuse('CUT_OFF');
    return false;
  }

  #refuse(reason: ParcelError['reason']): never {
    this.#unread = new Uint8Array(0);
    this.#high = 0;
    this.#error = new ParcelError(reason, reason);
    throw this.#error;
  }
}

/** Keeps all bytes, but lets in parcels of one byte more than the limit. */
export class GenerousDecoder extends ForgetfulDecoder {
  protected override readonly maxBytes = MAX_PARCEL_BYTES + 1;

  protected override save(): void {}
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.byteLength === 0) return second;
  const bytes = new Uint8Array(first.byteLength + second.byteLength);
  bytes.set(first);
  bytes.set(second, first.byteLength);
  return bytes;
}
