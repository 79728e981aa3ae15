/** `--compress`, as clients see it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { startFerrata } from './support/command.ts';
import { ask1 } from './support/http1.ts';
import { H2Client } from './support/http2.ts';
import { httpOrigin } from './support/peers.ts';

const text = 'what is said again and again is short when it is compressed; '.repeat(200);
const origin = await httpOrigin((request, response) => {
  response.setHeader('Content-Type', request.url === '/image' ? 'image/png' : 'text/plain').setHeader('Content-Length', text.length);
  response.end(text);
});

const decoders: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

test('responses are compressed as the client takes it, and only then; Vary says so', async () => {
  const ferrata = await startFerrata([origin.port], ['--compress', '--access-log']);
  for (const [accepted, coding] of [
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, br', 'br'],
    ['gzip', 'gzip'],
    ['br;q=0.1, gzip', 'gzip'],
  ] as const) {
    const { headers, body } = await ask1(ferrata.port, `/${coding}`, { headers: { 'Accept-Encoding': accepted } });
    assert.deepEqual(
      [headers['content-encoding'], headers.vary, headers['content-length']],
      [coding, 'Accept-Encoding', undefined],
      accepted,
    );
    assert.equal(decoders[coding]?.(body).toString(), text);
    assert.ok(body.length < text.length / 10);
  }
  const plain = await ask1(ferrata.port, '/');
  assert.deepEqual([plain.headers['content-encoding'], plain.headers.vary, plain.body.length], [undefined, 'Accept-Encoding', text.length]);
  const image = await ask1(ferrata.port, '/image', { headers: { 'Accept-Encoding': 'gzip' } });
  assert.deepEqual([image.headers['content-encoding'], image.body.length], [undefined, text.length]);
  const line = await ferrata.logged(({ target }) => target === '/zstd');
  assert.ok(line.bytesOut < text.length / 10 && line.upstreamBytesIn === text.length, JSON.stringify(line));

  const client = new H2Client(ferrata.port);
  const answer = await client.ask({ 'accept-encoding': 'br' });
  assert.equal(answer.headers['content-encoding'], 'br');
  assert.equal(brotliDecompressSync(answer.body).toString(), text);
});

test('with a list only what is in it is used; without the option nothing is', async () => {
  const [listed, without] = await Promise.all([startFerrata([origin.port], ['--compress=gzip']), startFerrata([origin.port])]);
  const headers = { 'Accept-Encoding': 'zstd, br, gzip;q=0.5' };
  assert.equal((await ask1(listed.port, '/', { headers })).headers['content-encoding'], 'gzip');
  assert.equal((await ask1(without.port, '/', { headers })).headers['content-encoding'], undefined);
});
