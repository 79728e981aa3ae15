import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { concatBytes, utf8Encode } from '@ferrata/bytes';
import { compressionDictionary, parseAvailableDictionary } from '../../src/compression/compression-dictionary.ts';
import { ZstdFrames } from '../../src/compression/zstd-frames.ts';
import { compression, isZstdDictionarySupported } from '../../src/index.ts';
import { type Driven, drive } from './module-driver.ts';
import { decoded, jsonOf } from './texts.ts';

const before = jsonOf(20_000);
const now = concatBytes([utf8Encode('{"changed":true}'), before.subarray(0, 15_000), utf8Encode('{"more":1}')]);
const hash = createHash('sha256').update(before).digest();
const available = `:${hash.toString('base64')}:`;
const MAGIC = Uint8Array.of(0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0);
const HEADER_BYTES = 40;

const skip = isZstdDictionarySupported() ? false : 'this Node has no dictionaries of zstd: they came with 22.19 and 24.6';

async function respond(
  requestHeaders: Record<string, string>,
  chunks: readonly Uint8Array[] = [now],
  bodyLength = -1,
): Promise<Driven<never>> {
  const kind = compression({ dictionaries: [jsonOf(100), before] });
  const response = { headers: { 'Content-Type': 'application/json' }, body: chunks, bodyLength };
  return (await drive(kind, { headers: requestHeaders }, response)) as Driven<never>;
}

const CLIENT = { 'Accept-Encoding': 'gzip, br, zstd, dcz', 'Available-Dictionary': available };

describe('zstd with a dictionary (RFC 9842)', { skip }, () => {
  test('is chosen for a client that has the dictionary; magic, hash and frame follow each other (§5)', async () => {
    for (const bodyLength of [-1, now.length]) {
      const { response, body } = await respond(CLIENT, [now], bodyLength);
      assert.equal(response.headers.get('content-encoding'), 'dcz');
      assert.equal(response.headers.get('vary'), 'Accept-Encoding, Available-Dictionary');
      assert.deepEqual(new Uint8Array(body.subarray(0, 8)), MAGIC);
      assert.deepEqual(new Uint8Array(body.subarray(8, HEADER_BYTES)), new Uint8Array(hash));
      assert.deepEqual(decoded('dcz', body.subarray(HEADER_BYTES), before), now);
    }
  });

  test('gives fewer bytes than zstd alone', async () => {
    const plain = await respond({ 'Accept-Encoding': 'zstd' });
    const { body } = await respond(CLIENT);
    assert.ok(body.length < plain.body.length / 2, `${body.length} and ${plain.body.length} bytes`);
  });

  test('the header comes once over many pieces, and with an empty body, too', async () => {
    const { body } = await respond(CLIENT, [now.subarray(0, 10), now.subarray(10, 20), now.subarray(20)]);
    assert.deepEqual(decoded('dcz', body.subarray(HEADER_BYTES), before), now);
    const empty = await respond(CLIENT, []);
    assert.ok(empty.body.length >= HEADER_BYTES);
    assert.equal(decoded('dcz', empty.body.subarray(HEADER_BYTES), before).length, 0);
  });

  test('magic and hash are a skippable frame: a decoder that has the dictionary reads the whole as it stands', async () => {
    const { body } = await respond(CLIENT);
    const frames = new ZstdFrames();
    assert.equal(frames.next(body, 0), HEADER_BYTES);
    assert.equal(frames.next(body, HEADER_BYTES), body.length);
    assert.ok(frames.isComplete);
  });

  for (const [what, field] of [
    ['another dictionary', `:${createHash('sha256').update('other').digest('base64')}:`],
    ['none', undefined],
    ['a malformed field', available.slice(1)],
    ['a hash that is too short', ':AAAA:'],
  ] as const)
    test(`a client with ${what} gets the next best coding, and Vary says what it hung on`, async () => {
      const { response } = await respond({
        'Accept-Encoding': 'gzip, dcz',
        ...(field === undefined ? {} : { 'Available-Dictionary': field }),
      });
      assert.equal(response.headers.get('content-encoding'), 'gzip');
      assert.equal(response.headers.get('vary'), 'Accept-Encoding, Available-Dictionary');
    });

  test('a client that does not accept dcz hears nothing of dictionaries', async () => {
    const { response } = await respond({ ...CLIENT, 'Accept-Encoding': 'gzip' });
    assert.equal(response.headers.get('content-encoding'), 'gzip');
    assert.equal(response.headers.get('vary'), 'Accept-Encoding');
  });

  test('level 0 turns it off', async () => {
    const kind = compression({ dictionaries: [before], levels: { dcz: 0 } });
    const { response } = await drive(kind, { headers: CLIENT }, { headers: { 'Content-Type': 'text/plain' }, body: [now] });
    assert.equal(response.headers.get('content-encoding'), 'zstd');
    assert.equal(response.headers.get('vary'), 'Accept-Encoding');
  });
});

describe('dictionaries', () => {
  test('have a window that reaches over them, from 512 KiB to 8 MiB', () => {
    assert.equal(compressionDictionary(new Uint8Array(100)).windowLog, 19);
    assert.equal(compressionDictionary(new Uint8Array(1_000_000)).windowLog, 21);
    assert.equal(compressionDictionary(new Uint8Array(2 ** 23)).windowLog, 23);
    assert.throws(() => compressionDictionary(new Uint8Array(2 ** 23 + 1)), RangeError);
  });

  test('Available-Dictionary is a byte sequence, perhaps with parameters (RFC 9651 §3.3.5)', () => {
    const digest = hash.toString('base64');
    for (const good of [`:${digest}:`, ` :${digest}: `, `:${digest}:;a=1`]) assert.equal(parseAvailableDictionary(good), digest, good);
    for (const bad of ['', digest, `"${digest}"`, `:${digest}`, `:${digest}:x`, `:${digest}:, :${digest}:`, '::', `:${digest.slice(1)}:`])
      assert.equal(parseAvailableDictionary(bad), null, bad);
  });
});
