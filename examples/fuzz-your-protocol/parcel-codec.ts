/** Parcels as the test kit sees them: valid inputs, near misses, what they mean, and somebody else's opinion. */
import assert from 'node:assert/strict';
import {
  type CodecUnderTest,
  type DecoderDriver,
  type Drawn,
  inSequence,
  lengthPrefixed,
  nearMisses,
  numberBytes,
  payloads,
  type Transcript,
} from '@ferrata/testkit';
import type fc from 'fast-check';
import { MAX_PARCEL_BYTES, ParcelError } from './parcels.ts';

/** What every decoder of parcels can do. */
export interface ParcelReader {
  readonly payload: Uint8Array;
  readonly consumedBytes: number;
  readonly bufferedBytes: number;
  feed(chunk: Uint8Array): void;
  end(): void;
  next(): boolean;
}

/** Valid inputs, and what they mean. */
export const parcels: fc.Arbitrary<Drawn<readonly Uint8Array[]>> = inSequence(lengthPrefixed({ payloads: payloads(MAX_PARCEL_BYTES) }), 4);

/** Inputs with something wrong in them, mostly. The dictionary holds the edges of this protocol: at the limit, and one above. */
export const nearParcels: fc.Arbitrary<Uint8Array> = nearMisses(
  parcels.map(({ bytes }) => bytes),
  { pieces: 'binary', dictionary: [numberBytes(MAX_PARCEL_BYTES), numberBytes(MAX_PARCEL_BYTES + 1)] },
);

/** Makes a codec that the laws can judge of any decoder. */
export function parcelCodec(makeReader: () => ParcelReader): CodecUnderTest<Uint8Array, readonly Uint8Array[]> {
  return {
    makeDecoder: () => new ParcelDriver(makeReader()),
    // A parcel is never told in two pieces, so none are joined.
    join: () => null,
    valid: parcels,
    nearlyValid: nearParcels,
    check: (events, meaning) => assert.deepEqual(events, meaning),
    reasonOf: (thrown) => (thrown instanceof ParcelError ? thrown.reason : null),
    compareWithOracle: ({ events, error }, bytes) => assert.deepEqual({ parcels: events, error }, readNaively(bytes)),
  };
}

/** What a reader makes of a whole input. */
export interface ParcelReading {
  readonly parcels: readonly Uint8Array[];
  readonly error: string | null;
}

/** What a transcript of the laws says, in the shape of the naive reader's answer. */
export function readingOf({ events, error }: Transcript<Uint8Array>): ParcelReading {
  return { parcels: events, error };
}

/** The oracle: the protocol read in the most obvious way, whole, by other means than the decoder. */
export function readNaively(bytes: Uint8Array): ParcelReading {
  const found: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; ) {
    if (bytes.byteLength - at < 2) return { parcels: found, error: 'CUT_OFF' };
    const length = view.getUint16(at);
    if (length > MAX_PARCEL_BYTES) return { parcels: found, error: 'TOO_LONG' };
    if (bytes.byteLength - at - 2 < length) return { parcels: found, error: 'CUT_OFF' };
    // A copy: `slice` of a Buffer would be the same memory.
    found.push(Uint8Array.from(bytes.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  return { parcels: found, error: null };
}

/** The decoder as a cursor whose events are values. */
class ParcelDriver implements DecoderDriver<Uint8Array> {
  readonly #reader: ParcelReader;

  constructor(reader: ParcelReader) {
    this.#reader = reader;
  }

  get bufferedBytes(): number {
    return this.#reader.bufferedBytes;
  }

  get consumedBytes(): number {
    return this.#reader.consumedBytes;
  }

  feed(chunk: Uint8Array): void {
    this.#reader.feed(chunk);
  }

  end(): void {
    this.#reader.end();
  }

  next(): Uint8Array | null {
    return this.#reader.next() ? this.#reader.payload.slice() : null;
  }
}
