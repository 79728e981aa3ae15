import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { concatBytes, EMPTY_BYTES, utf8Encode } from '@ferrata/bytes';
import { BodyDecoder } from '../../src/compression/body-decoder.ts';
import type { DecodableCoding } from '../../src/compression/content-coding.ts';
import { type InflateLimits, resolveInflateLimits } from '../../src/compression/inflate-limits.ts';
import { FREE_ZSTD_FRAMES, MAX_ZSTD_FRAMES, MEAN_ZSTD_FRAME_BYTES } from '../../src/compression/zstd-frames.ts';
import { joined } from './module-driver.ts';
import { jsonOf, noiseOf } from './texts.ts';

const page = jsonOf(5_000);
const MALFORMED = { type: 'protocol', reason: 'CONTENT_CODING_MALFORMED', status: 400 };
const TRUNCATED = { type: 'protocol', reason: 'CONTENT_CODING_TRUNCATED', status: 400 };

async function decode(coding: DecodableCoding, chunks: readonly Uint8Array[], limits: Partial<InflateLimits> = {}): Promise<Uint8Array> {
  const decoder = new BodyDecoder({ coding, limits: resolveInflateLimits(limits), message: 'request' });
  try {
    const pieces: (Uint8Array | null)[] = [];
    // Each by itself, as if time went by between them.
    for (const chunk of chunks) pieces.push(await decoder.write(chunk), await decoder.flush());
    pieces.push(await decoder.end());
    return new Uint8Array(joined(pieces));
  } finally {
    decoder.close();
  }
}

const coders: readonly [coding: DecodableCoding, name: string, encode: (bytes: Uint8Array) => Uint8Array][] = [
  ['gzip', 'gzip', gzipSync],
  ['br', 'br', brotliCompressSync],
  ['zstd', 'zstd', zstdCompressSync],
  ['deflate', 'deflate', deflateSync],
  ['deflate', 'deflate without its wrapping', deflateRawSync],
];

for (const [coding, name, encode] of coders)
  describe(`a body in ${name}`, () => {
    const coded = new Uint8Array(encode(page));

    test('decodes, whole, byte by byte, and with empty pieces', async () => {
      assert.deepEqual(await decode(coding, [coded]), page);
      assert.deepEqual(await decode(coding, [EMPTY_BYTES, coded.subarray(0, 1), EMPTY_BYTES, coded.subarray(1)]), page);
      const short = new Uint8Array(encode(utf8Encode('a few bytes')));
      assert.deepEqual(
        await decode(
          coding,
          Array.from(short, (byte) => Uint8Array.of(byte)),
        ),
        utf8Encode('a few bytes'),
      );
    });

    test('decodes when it unpacks to more than a buffer of zlib holds', async () => {
      const large = noiseOf(300_000);
      assert.deepEqual(await decode(coding, [new Uint8Array(encode(large))]), large);
    });

    test('that breaks off anywhere is an error', async () => {
      const short = new Uint8Array(encode(utf8Encode('a few bytes, and more of them')));
      for (let length = 1; length < short.length; length++)
        await assert.rejects(decode(coding, [short.subarray(0, length)]), TRUNCATED, `${length} of ${short.length} bytes`);
    });

    test('that goes on behind its end is an error, in the same piece and in the next', async () => {
      const behind = utf8Encode('behind');
      await assert.rejects(decode(coding, [concatBytes([coded, behind])]), MALFORMED);
      await assert.rejects(decode(coding, [coded, behind]), MALFORMED);
    });

    test('that is none is an error, and every later call says so again', async () => {
      const decoder = new BodyDecoder({ coding, limits: resolveInflateLimits({}), message: 'request' });
      const noise = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
      for (let turn = 0; turn < 2; turn++) {
        assert.equal(decoder.write(noise), null);
        await assert.rejects(async () => decoder.flush(), MALFORMED);
      }
      decoder.close();
    });

    test('of no bytes at all is empty', async () => {
      assert.deepEqual(await decode(coding, []), EMPTY_BYTES);
      assert.deepEqual(await decode(coding, [EMPTY_BYTES]), EMPTY_BYTES);
    });

    test('that unpacks to more than a hundred times its length is refused beyond the first MiB', async () => {
      const bomb = new Uint8Array(encode(new Uint8Array(16 * 1024 * 1024)));
      await assert.rejects(decode(coding, [bomb]), { type: 'limit', reason: 'INFLATE_RATIO_EXCEEDED', status: 413 });
      await assert.rejects(
        decode(
          coding,
          Array.from({ length: 10 }, (_, at) => bomb.subarray(at * 100, at === 9 ? bomb.length : (at + 1) * 100)),
        ),
        {
          reason: 'INFLATE_RATIO_EXCEEDED',
        },
      );
      const harmless = new Uint8Array(1024 * 1024);
      assert.equal((await decode(coding, [new Uint8Array(encode(harmless))])).length, harmless.length);
      assert.equal((await decode(coding, [bomb], { maxInflateRatio: 1e9 })).length, 16 * 1024 * 1024);
    });

    test('that unpacks to more than the bound is refused, and one that just fills it is not', async () => {
      await assert.rejects(decode(coding, [coded], { maxInflatedBytes: page.length - 1 }), { reason: 'INFLATED_TOO_LARGE', status: 413 });
      assert.deepEqual(await decode(coding, [coded], { maxInflatedBytes: page.length }), page);
    });
  });

describe('a body that has earned its ratio', () => {
  for (const [coding, encode] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    test(`may not spend it on one piece, of which all would be in memory at once: ${coding}`, async () => {
      const coded = new Uint8Array(encode(concatBytes([noiseOf(512 * 1024), new Uint8Array(32 * 1024 * 1024)])));
      const pieces = [coded.subarray(0, 400_000), coded.subarray(400_000)];
      await assert.rejects(decode(coding, pieces), { reason: 'INFLATE_RATIO_EXCEEDED', status: 413 });
      const small = Array.from({ length: Math.ceil(coded.length / 500) }, (_, at) => coded.subarray(at * 500, (at + 1) * 500));
      assert.equal((await decode(coding, small, { minRatioBytes: 16_777_216 })).length, 33 * 1024 * 1024 - 512 * 1024);
    });
  }
});

describe('gzip', () => {
  test('may have several members (RFC 1952 §2.2)', async () => {
    const two = concatBytes([gzipSync(page), gzipSync(page)]);
    assert.deepEqual(await decode('gzip', [two]), concatBytes([page, page]));
    assert.deepEqual(await decode('gzip', [gzipSync(page), gzipSync(page)]), concatBytes([page, page]));
  });

  test('with zeros behind it is an error, not a silent loss', async () => {
    await assert.rejects(decode('gzip', [concatBytes([gzipSync(page), new Uint8Array(8)])]), MALFORMED);
  });
});

describe('frames of zstd (RFC 8878 §3.1)', () => {
  const { ZSTD_c_checksumFlag, ZSTD_c_contentSizeFlag, ZSTD_c_windowLog } = constants;
  const frame = (bytes: Uint8Array, params: Record<number, number> = {}): Uint8Array => new Uint8Array(zstdCompressSync(bytes, { params }));

  test('may follow each other, cut anywhere', async () => {
    const frames = [
      frame(page),
      frame(EMPTY_BYTES),
      frame(noiseOf(300_000), { [ZSTD_c_checksumFlag]: 1 }),
      frame(page, { [ZSTD_c_contentSizeFlag]: 0 }),
    ];
    const all = concatBytes(frames);
    const plain = concatBytes([page, noiseOf(300_000), page]);
    assert.deepEqual(await decode('zstd', [all]), plain);
    assert.deepEqual(
      await decode('zstd', [all.subarray(0, 3), all.subarray(3, 1_000), all.subarray(1_000, 250_001), all.subarray(250_001)]),
      plain,
    );
  });

  test('may be skippable', async () => {
    const skippable = Uint8Array.of(0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
    const empty = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0);
    assert.deepEqual(await decode('zstd', [concatBytes([skippable, frame(page), empty, skippable])]), page);
  });

  test('have a checksum that counts', async () => {
    const bad = frame(page, { [ZSTD_c_checksumFlag]: 1 });
    bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 0xff;
    await assert.rejects(decode('zstd', [bad]), MALFORMED);
  });

  test('may be of one run (a block of RLE)', async () => {
    const runs = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x0a, 0x53, 0x00, 0x00, 0x61);
    assert.deepEqual(await decode('zstd', [runs]), utf8Encode('a'.repeat(10)));
  });

  test('whose window is above 8 MiB are refused, as none may be made for the web (RFC 9659 §3)', async () => {
    assert.deepEqual(await decode('zstd', [frame(page, { [ZSTD_c_windowLog]: 23 })]), page);
    // Window_Descriptor of 16 MiB (§3.1.1.1.2), and an empty last block.
    const header = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, (24 - 10) << 3, 0x01, 0x00, 0x00);
    await assert.rejects(decode('zstd', [header]), MALFORMED);
    header[5] = (23 - 10) << 3;
    assert.deepEqual(await decode('zstd', [header]), EMPTY_BYTES);
  });

  test('are bounded in number', async () => {
    const many = (count: number, bytes: Uint8Array): Uint8Array => concatBytes(Array.from({ length: count }, () => frame(bytes)));
    const long = noiseOf(MEAN_ZSTD_FRAME_BYTES);
    assert.equal((await decode('zstd', [many(MAX_ZSTD_FRAMES, long)])).length, MAX_ZSTD_FRAMES * long.length);
    await assert.rejects(decode('zstd', [many(MAX_ZSTD_FRAMES + 1, long)]), MALFORMED);
    // Short ones, which cost as much as long ones do, far less.
    assert.deepEqual(await decode('zstd', [many(FREE_ZSTD_FRAMES, EMPTY_BYTES)]), EMPTY_BYTES);
    await assert.rejects(decode('zstd', [many(FREE_ZSTD_FRAMES + 4, EMPTY_BYTES)]), MALFORMED);
    const earned = noiseOf(10 * MEAN_ZSTD_FRAME_BYTES);
    assert.deepEqual(await decode('zstd', [concatBytes([frame(earned), many(FREE_ZSTD_FRAMES + 9, EMPTY_BYTES)])]), earned);
  });

  test('with a block of the reserved type are refused', async () => {
    await assert.rejects(decode('zstd', [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x07, 0x00, 0x00)]), MALFORMED);
  });
});

test('an error names its coding, and has what zlib said for its cause', async () => {
  await assert.rejects(decode('gzip', [utf8Encode('no gzip at all')]), (error: Error) => {
    assert.match(error.message, /^protocol CONTENT_CODING_MALFORMED: a coded body is malformed \(gzip\)$/);
    assert.match(String(error.cause), /incorrect header check/);
    return true;
  });
});
