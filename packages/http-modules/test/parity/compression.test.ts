/** Behaviours 266 and 267 of Pingora's tests: what a client accepts, and what is compressed for it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type CompressionOptions, compression } from '../../src/index.ts';
import { drive } from '../compression/module-driver.ts';
import { jsonOf } from '../compression/texts.ts';

const page = jsonOf(4_000);

interface Outcome {
  readonly coding: string | undefined;
  readonly body: Uint8Array;
}

async function respond(
  accept: string | null,
  headers: Record<string, string> = {},
  body: Uint8Array = page,
  options: CompressionOptions = { minBytes: 20 },
): Promise<Outcome> {
  const usual = { 'Content-Type': 'text/html', 'Content-Length': String(body.length) };
  const request = { headers: accept === null ? {} : { 'Accept-Encoding': accept } };
  const driven = await drive(compression(options), request, { headers: { ...usual, ...headers }, body: [body] });
  return { coding: driven.response.headers.get('content-encoding'), body: driven.body };
}

describe('what a client accepts', () => {
  test('#266 names in any case, with blanks and unknown ones between them; weights count, then the order of the options; a bare star is gzip', async () => {
    for (const [accept, coding] of [
      ['gzip', 'gzip'],
      ['GZIP', 'gzip'],
      ['br ,  gzip', 'br'],
      ['what, gzip', 'gzip'],
      ['what', undefined],
      ['', undefined],
      // Pingora takes the first name, and nothing for a star.
      ['gzip, br', 'br'],
      ['gzip, br;q=0.9', 'gzip'],
      ['*', 'gzip'],
    ] as const)
      assert.equal((await respond(accept, {}, page, { codings: ['br', 'gzip'] })).coding, coding, accept);
    // Its order is that of the options, too.
    assert.equal((await respond('br, gzip', {}, page, { codings: ['gzip', 'br'] })).coding, 'gzip');
  });
});

describe('what is compressed for it', () => {
  test('#267 not what is coded, of less than 20 bytes, zipped, a picture, or of no type; taken off is what it does not accept, if that is allowed', async () => {
    const plain = new Uint8Array(20).fill(0x61);
    assert.equal((await respond('gzip', {}, plain)).coding, 'gzip');
    assert.equal((await respond('gzip', {}, plain.subarray(0, 19))).coding, undefined);
    assert.equal((await respond('gzip', { 'Content-Encoding': 'br' })).coding, 'br');
    for (const type of ['application/zip', 'application/gzip', 'image/jpeg', ''])
      assert.equal((await respond('gzip', { 'Content-Type': type })).coding, undefined, type);

    const coded = new Uint8Array(gzipSync(page));
    const fields = { 'Content-Encoding': 'gzip' };
    assert.deepEqual(await respond('br', fields, coded), { coding: 'gzip', body: coded });
    assert.deepEqual(await respond('gzip', fields, coded, { decompress: true }), { coding: 'gzip', body: coded });
    const off = await respond('br', fields, coded, { decompress: true });
    assert.deepEqual([off.coding, Buffer.from(off.body).equals(gunzipSync(coded))], [undefined, true]);
    // A dictionary is between the client and the origin.
    for (const coding of ['dcb', 'dcz'])
      assert.deepEqual(await respond(null, { 'Content-Encoding': coding }, coded, { decompress: true }), { coding, body: coded });
  });
});
