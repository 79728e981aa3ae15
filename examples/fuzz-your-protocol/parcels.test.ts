/** The good decoder obeys all laws, and agrees with the naive reader on inputs nobody would write by hand: `node --test parcels.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecLaws, differential, showBytes, transcribe } from '@ferrata/testkit';
import fc from 'fast-check';
import { nearParcels, parcelCodec, parcels, readingOf, readNaively } from './parcel-codec.ts';
import { encodeParcel, ParcelDecoder } from './parcels.ts';

const codec = parcelCodec(() => new ParcelDecoder());

codecLaws('parcels', codec, { examples: { 'an empty parcel and one of 256 bytes': Uint8Array.of(0, 0, 1, 0, ...new Uint8Array(256)) } });

differential('parcels', {
  ours: (bytes) => readingOf(transcribe(codec, [bytes])),
  theirs: { naive: readNaively },
  inputs: fc.oneof(
    parcels.map(({ bytes }) => bytes),
    nearParcels,
  ),
  show: showBytes,
});

test('what is encoded decodes to the same', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (payloads) => {
      const bytes = Uint8Array.from(payloads.flatMap((payload) => [...encodeParcel(payload)]));
      assert.deepEqual(readingOf(transcribe(codec, [bytes])), { parcels: payloads, error: null });
    }),
  );
});
