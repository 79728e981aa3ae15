import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { concatBytes } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { chunkings, cut, cutBytes } from '@ferrata/testkit';
import fc from 'fast-check';
import { BodyDecoder } from '../../src/compression/body-decoder.ts';
import { type BodyCodec, bodyEncoder } from '../../src/compression/body-encoder.ts';
import { compressionDictionary } from '../../src/compression/compression-dictionary.ts';
import { type DecodableCoding, isZstdDictionarySupported } from '../../src/compression/content-coding.ts';
import { resolveInflateLimits } from '../../src/compression/inflate-limits.ts';
import { joined } from './module-driver.ts';
import { decoded, jsonOf, noiseOf } from './texts.ts';

const limits = resolveInflateLimits({});
const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.integer({ min: 0, max: 3_000 }).map(jsonOf),
  fc.integer({ min: 0, max: 1_000 }).map(noiseOf),
);

async function through(codec: BodyCodec, chunks: readonly Uint8Array[]): Promise<Uint8Array> {
  const pieces: (Uint8Array | null)[] = [];
  try {
    for (const chunk of chunks) {
      pieces.push(await codec.write(chunk));
      // Each by itself, as if time went by between them; an encoder that gathers must be seen to do so.
      if (codec instanceof BodyDecoder) pieces.push(await codec.flush());
    }
    pieces.push(await codec.end());
    return new Uint8Array(joined(pieces));
  } finally {
    codec.close();
  }
}

const decoderOf = (coding: DecodableCoding): BodyDecoder => new BodyDecoder({ coding, limits, message: 'request' });

describe('any chunking gives the same body', () => {
  for (const coding of ['gzip', 'br', 'zstd', 'dcz'] as const)
    test(`decompress ∘ compress is the identity, and node:zlib reads it, for ${coding}`, {
      skip: coding === 'dcz' && !isZstdDictionarySupported() ? 'this Node has no dictionaries of zstd' : false,
    }, async () => {
      const dictionary = coding === 'dcz' ? compressionDictionary(jsonOf(5_000)) : null;
      const encoding = { coding, level: 2, dictionary };
      await fc.assert(
        fc.asyncProperty(cutBytes(bodies), fc.boolean(), fc.boolean(), fc.nat(), async ({ bytes, chunks }, isKnown, flushes, seed) => {
          const encoder = bodyEncoder({ encoding, bodyLength: isKnown ? bytes.length : -1, flushes });
          const coded = await through(encoder, chunks);
          if (coding === 'dcz') return assert.deepEqual(decoded(coding, coded.subarray(40), dictionary?.bytes), bytes);
          assert.deepEqual(decoded(coding, coded), bytes);
          const [sizes = []] = fc.sample(chunkings(coded.length), { seed, numRuns: 1 });
          assert.deepEqual(await through(decoderOf(coding), cut(coded, sizes)), bytes);
        }),
        { numRuns: 30 },
      );
    });
});

describe('long bodies', () => {
  for (const coding of ['gzip', 'br', 'zstd'] as const)
    test(`come through in pieces as they come from a socket, for ${coding}`, async () => {
      const bytes = concatBytes([jsonOf(700_000), noiseOf(300_000), jsonOf(200_000)]);
      const chunks = cut(bytes, new Array<number>(18).fill(65_536));
      for (const flushes of [false, true]) {
        const coded = await through(bodyEncoder({ encoding: { coding, level: 3, dictionary: null }, bodyLength: -1, flushes }), chunks);
        assert.deepEqual(decoded(coding, coded), bytes);
        assert.deepEqual(await through(decoderOf(coding), cut(coded, new Array<number>(100).fill(10_007))), bytes);
      }
    });
});

describe('any bytes', () => {
  const seeds = [gzipSync(jsonOf(500)), brotliCompressSync(jsonOf(500)), zstdCompressSync(jsonOf(500))].map(
    (bytes) => new Uint8Array(bytes),
  );
  for (const [at, coding] of (['gzip', 'br', 'zstd', 'deflate'] as const).entries())
    test(`give a body or a WireError, whole as cut, for ${coding}`, async () => {
      const seed = seeds[at] ?? Uint8Array.of(0x78, 0x9c);
      const spoilt = fc
        .tuple(fc.nat(seed.length - 1), fc.nat(255), fc.uint8Array({ maxLength: 8 }))
        .map(([place, byte, more]) => concatBytes([seed.subarray(0, place), Uint8Array.of(byte), seed.subarray(place + 1), more]));
      const outcome = (chunks: readonly Uint8Array[]): Promise<Uint8Array | string> =>
        through(decoderOf(coding), chunks).catch((error: unknown) => {
          assert.ok(isWireError(error), String(error));
          return 'refused';
        });
      await fc.assert(
        fc.asyncProperty(cutBytes(fc.oneof(fc.uint8Array({ maxLength: 100 }), spoilt)), async ({ bytes, chunks }) => {
          assert.deepEqual(await outcome(chunks), await outcome([bytes]));
        }),
        { numRuns: 60 },
      );
    });
});
