import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { concatBytes, utf8Encode } from '@ferrata/bytes';
import { requestHead } from '@ferrata/headers';
import { requestDecompression } from '../../src/index.ts';
import { FakeExchange, ignoring, serve } from '../rig.ts';
import { drive } from './module-driver.ts';
import { jsonOf, noiseOf } from './texts.ts';

const page = jsonOf(3_000);

describe('the bodies of requests', () => {
  for (const [name, bytes] of [
    ['gzip', gzipSync(page)],
    ['br', brotliCompressSync(page)],
    ['ZSTD', zstdCompressSync(page)],
  ] as const)
    test(`in ${name} reach whoever is behind in plain`, async () => {
      const headers = {
        'Content-Encoding': name,
        'Content-Length': String(bytes.length),
        'Content-Digest': 'sha-256=:AA==:',
        'Content-Type': 'a/b',
      };
      const { request, requestBody } = await drive(requestDecompression(), { method: 'POST', headers, body: [bytes] });
      assert.deepEqual(request.headers.toJSON(), [['Content-Type', 'a/b']]);
      assert.deepEqual(new Uint8Array(requestBody), page);
    });

  for (const [name, encode] of [
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ] as const)
    test(`in ${name}, in pieces of one byte, are no way through the thread pool for each: all that came at once is one`, async () => {
      const headers = { 'Content-Encoding': name };
      const exchange = new FakeExchange(requestHead('POST', '/', { headers }), -1);
      const modular = serve(exchange, [requestDecompression()]);
      const received: Uint8Array[] = [];
      modular.follow({ ...ignoring, onRequestData: (chunk) => void received.push(chunk) });
      await modular.filterRequest();
      const plain = noiseOf(10_000);
      // But for the last bytes, behind which the end is not told.
      for (const byte of encode(plain).subarray(0, -100)) {
        modular.onRequestData(Uint8Array.of(byte));
        assert.equal(exchange.isPaused, false);
      }
      for (let turn = 0; turn < 2_000 && (turn < 1 || exchange.isPaused); turn++) await new Promise((resolve) => setImmediate(resolve));
      const came = concatBytes(received);
      assert.ok(came.length > 9_000, `${came.length} bytes`);
      assert.deepEqual(new Uint8Array(came), plain.subarray(0, came.length));
      exchange.close(null);
    });

  test('are left if they are plain, coded twice or by what is not listed, or not to be transformed; and where there is none', async () => {
    const body = [page];
    for (const request of [
      { headers: {}, body },
      { headers: { 'Content-Encoding': 'gzip, br' }, body },
      { headers: { 'Content-Encoding': 'compress' }, body },
      { headers: { 'Content-Encoding': 'br' }, body },
      { headers: { 'Content-Encoding': 'gzip', 'Cache-Control': 'no-transform' }, body },
      { headers: { 'Content-Encoding': 'gzip' } },
    ])
      assert.equal((await drive(requestDecompression({ codings: ['gzip'] }), { method: 'POST', ...request })).module, null);
  });

  test('that are malformed are the fault of the client: 400', async () => {
    const request = { method: 'POST', headers: { 'Content-Encoding': 'gzip' }, body: [utf8Encode('no gzip at all')] };
    await assert.rejects(drive(requestDecompression(), request), { reason: 'CONTENT_CODING_MALFORMED', status: 400 });
  });

  test('that unpack to too much are 413', async () => {
    const request = { method: 'POST', headers: { 'Content-Encoding': 'gzip' }, body: [gzipSync(page)] };
    await assert.rejects(drive(requestDecompression({ maxInflatedBytes: 1_000 }), request), { reason: 'INFLATED_TOO_LARGE', status: 413 });
  });

  test('a response passes by', async () => {
    const request = { method: 'POST', headers: { 'Content-Encoding': 'gzip' }, body: [gzipSync(page)] };
    const { body, pieces } = await drive(requestDecompression(), request, { body: [page] });
    assert.deepEqual([body.length, pieces.length], [page.length, 0]);
  });

  test('options that make no sense are RangeErrors; the kind runs before all others', () => {
    assert.throws(() => requestDecompression({ codings: ['dcz'] as never }), RangeError);
    assert.throws(() => requestDecompression({ maxInflateRatio: Number.NaN }), RangeError);
    assert.throws(() => requestDecompression({ minRatioBytes: -1 }), RangeError);
    assert.equal(requestDecompression().order, 16_384);
  });
});
