import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asciiLowerCase, concatBytes, EMPTY_BYTES, fromHex, parseDecimal, utf8Decode, utf8Encode } from '../src/index.ts';

test('asciiLowerCase leaves the Kelvin sign and accented capitals alone', () => {
  assert.equal(asciiLowerCase('\u212aELVIN É'), '\u212aelvin É');
});

test('asciiLowerCase gives back the same string when there is nothing to do', () => {
  assert.equal(asciiLowerCase('content-length'), 'content-length');
  assert.equal(asciiLowerCase(''), '');
});

test('parseDecimal accepts leading zeros (RFC 9110 §8.6: 1*DIGIT) and ends at 2^53 - 1', () => {
  assert.equal(parseDecimal('007'), 7);
  assert.equal(parseDecimal('9007199254740991'), Number.MAX_SAFE_INTEGER);
  assert.equal(parseDecimal('9007199254740992'), -1);
  assert.equal(parseDecimal('9'.repeat(10_000)), -1);
});

test('utf8Decode keeps a byte order mark and replaces what is not UTF-8', () => {
  assert.equal(utf8Decode(fromHex('efbbbf61')), '\ufeffa');
  assert.equal(utf8Decode(fromHex('61ff62')), 'a\ufffdb');
  assert.equal(utf8Decode(utf8Encode('\ud800')), '\ufffd');
});

test('utf8Encode gives bytes of its own, whatever the length', () => {
  const given: [string, Uint8Array][] = [];
  for (const unit of ['a', 'é', '€', '😀', '\ud800']) {
    for (const length of [0, 1, 49, 50, 51, 99, 100, 101, 1_000]) given.push([unit.repeat(length), utf8Encode(unit.repeat(length))]);
  }
  for (const [text, bytes] of given) assert.ok(Buffer.from(text).equals(bytes), text);
});

test('fromHex names what it refuses', () => {
  assert.throws(() => fromHex('abc'), new RangeError('an odd number of hex digits: 3'));
  assert.throws(() => fromHex('0x'), new RangeError('not a hex digit at index 1'));
  assert.throws(() => fromHex('00g0'), new RangeError('not a hex digit at index 2'));
});

test('concatBytes copies only two chunks or more', () => {
  const chunk = Uint8Array.of(1, 2);
  assert.equal(concatBytes([]), EMPTY_BYTES);
  assert.equal(concatBytes([chunk]), chunk);
  assert.deepEqual(concatBytes([chunk, EMPTY_BYTES, chunk]), Uint8Array.of(1, 2, 1, 2));
});
