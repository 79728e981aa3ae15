import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliDecompressSync, createGunzip, createGzip, gunzipSync, gzipSync } from 'node:zlib';
import { concatBytes } from '@ferrata/bytes';
import { bodyEncoder } from '../../src/compression/body-encoder.ts';
import { compressionDictionary } from '../../src/compression/compression-dictionary.ts';
import { isZstdDictionarySupported } from '../../src/compression/content-coding.ts';
import { ZlibRun } from '../../src/compression/zlib-run.ts';
import { decoded, jsonOf, noiseOf } from './texts.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function closed(stream: { readonly closed: boolean }): Promise<void> {
  for (let turn = 0; turn < 1000 && !stream.closed; turn++) await nextTurn();
  assert.ok(stream.closed, 'the native handle is still held');
}

describe('a stream of zlib', () => {
  test('gives what came out by a write, and only when its input is used up', async () => {
    const stream = createGzip();
    const run = new ZlibRun(stream, null);
    const noise = noiseOf(1_000_000);
    const first = await run.write(noise);
    assert.ok(first !== null && first.length > 900_000);
    assert.equal(run.bytesTaken, noise.length);
    const rest = await run.end();
    assert.deepEqual(new Uint8Array(gunzipSync(concatBytes([first, rest as Uint8Array]))), noise);
    run.close();
    await closed(stream);
  });

  test('frees its handle by close, unused, between writes, within a write, and after an error', async () => {
    const unused = createGzip();
    new ZlibRun(unused, null).close();
    await closed(unused);

    const between = createGzip();
    const run = new ZlibRun(between, null);
    await run.write(jsonOf(1_000));
    run.close();
    run.close();
    await closed(between);
    assert.equal(await run.write(jsonOf(10)), null);
    assert.equal(await run.end(), null);

    const within = createGzip();
    const busy = new ZlibRun(within, null);
    const written = busy.write(noiseOf(2_000_000));
    busy.close();
    assert.equal(await written, null);
    await closed(within);

    const failing = createGunzip();
    await assert.rejects(new ZlibRun(failing, null).write(noiseOf(100)), { code: 'Z_DATA_ERROR' });
    await closed(failing);
  });

  test('stops in the middle of a write when its output is refused', async () => {
    let seen = 0;
    const stream = createGunzip();
    const run = new ZlibRun(stream, null, (bytes) => {
      seen += bytes;
      if (seen > 100_000) throw new RangeError('enough');
    });
    const bomb = new Uint8Array(gzipSync(new Uint8Array(50_000_000)));
    await assert.rejects(run.write(bomb), RangeError);
    await closed(stream);
    assert.ok(seen < 200_000, `${seen} bytes were unpacked`);
    await assert.rejects(run.end(), RangeError);
  });
});

describe('an encoder', () => {
  const encoding = { coding: 'gzip', level: 4, dictionary: null } as const;

  test('holds nothing after close, and gives nothing any more', async () => {
    const encoder = bodyEncoder({ encoding, bodyLength: -1, flushes: true });
    const written = encoder.write(noiseOf(500_000));
    encoder.close();
    encoder.close();
    assert.equal(await written, null);
    assert.equal(await encoder.write(noiseOf(10)), null);
    assert.deepEqual([await encoder.flush(), await encoder.end()], [null, null]);
  });

  test('that fails gives a typed error, as the head has promised a coding', async () => {
    const broken = { coding: 'gzip', level: 6.5e9, dictionary: null } as const;
    const failed = { type: 'internal', reason: 'COMPRESSION_FAILED', status: 500 };
    const streaming = bodyEncoder({ encoding: broken, bodyLength: -1, flushes: true });
    assert.equal(streaming.write(jsonOf(10)), null);
    await assert.rejects(async () => streaming.flush(), failed);
    assert.equal(streaming.write(jsonOf(10)), null);
    await assert.rejects(async () => streaming.flush(), failed);
    streaming.close();
    const whole = bodyEncoder({ encoding: { ...broken, level: -99 }, bodyLength: 10, flushes: false });
    assert.equal(whole.write(jsonOf(10)), null);
    assert.throws(() => whole.end(), failed);
    whole.close();
  });

  test('of a level that is slow never works on this thread', async () => {
    const slow = bodyEncoder({ encoding: { coding: 'br', level: 11, dictionary: null }, bodyLength: 1_000, flushes: false });
    assert.equal(slow.write(jsonOf(1_000)), null);
    const ending = slow.end();
    assert.ok(ending instanceof Promise);
    assert.deepEqual(brotliDecompressSync((await ending) as Uint8Array), Buffer.from(jsonOf(1_000)));
    const fast = bodyEncoder({ encoding: { coding: 'br', level: 4, dictionary: null }, bodyLength: 1_000, flushes: false });
    assert.equal(fast.write(jsonOf(1_000)), null);
    assert.ok(fast.end() instanceof Uint8Array);
    slow.close();
    fast.close();
  });

  test('by a long dictionary never works on this thread, as that is indexed for each body', {
    skip: isZstdDictionarySupported() ? false : 'this Node has no dictionaries of zstd: they came with 22.19 and 24.6',
  }, async () => {
    for (const [length, isAwaited] of [
      [262_144, false],
      [262_145, true],
    ] as const) {
      const dictionary = compressionDictionary(noiseOf(length));
      const encoder = bodyEncoder({ encoding: { coding: 'dcz', level: 3, dictionary }, bodyLength: 1_000, flushes: false });
      assert.equal(encoder.write(jsonOf(1_000)), null);
      const ending = encoder.end();
      assert.equal(ending instanceof Promise, isAwaited);
      const body = (await ending) as Uint8Array;
      assert.deepEqual(decoded('dcz', body.subarray(dictionary.header.length), dictionary.bytes), jsonOf(1_000));
      encoder.close();
    }
  });
});
