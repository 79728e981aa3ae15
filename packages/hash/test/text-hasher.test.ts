import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextHasher } from '@ferrata/hash';
import fc from 'fast-check';

/** HalfSipHash-1-3 as the paper's authors describe it: bytes in, 32 or 64 bits out, on a state of four words. */
function naiveHalfSipHash(bytes: Uint8Array, [k0, k1]: readonly [number, number], outputBits: 32 | 64): bigint {
  const v = new Uint32Array([k0, k1, 0x6c79_6765 ^ k0, 0x7465_6462 ^ k1]);
  const at = (index: number): number => v[index] as number;
  const set = (index: number, value: number): void => void (v[index] = value);
  const rotate = (index: number, bits: number): void => set(index, (at(index) << bits) | (at(index) >>> (32 - bits)));
  const half = (a: number, b: number, bits: number): void => {
    set(a, at(a) + at(b));
    rotate(b, bits);
    set(b, at(b) ^ at(a));
  };
  const round = (): void => {
    half(0, 1, 5);
    rotate(0, 16);
    half(2, 3, 8);
    half(0, 3, 7);
    half(2, 1, 13);
    rotate(2, 16);
  };
  if (outputBits === 64) set(1, at(1) ^ 0xee);
  const padded = new Uint8Array((bytes.length & ~3) + 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  const words = new DataView(padded.buffer);
  for (let offset = 0; offset < padded.length; offset += 4) {
    const word = words.getUint32(offset, true);
    set(3, at(3) ^ word);
    round();
    set(0, at(0) ^ word);
  }
  set(2, at(2) ^ (outputBits === 64 ? 0xee : 0xff));
  for (let i = 0; i < 3; i++) round();
  const low = BigInt((at(1) ^ at(3)) >>> 0);
  if (outputBits === 32) return low;
  set(1, at(1) ^ 0xdd);
  for (let i = 0; i < 3; i++) round();
  return (BigInt((at(1) ^ at(3)) >>> 0) << 32n) | low;
}

const utf16 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf16le'));

test('hash32 gives the published values of HalfSipHash-1-3 for inputs of even length', () => {
  // Inputs 00, 01 02, 00 01 02 03, … under the key 00 01 … 07, as in the self-test of Linux's hsiphash (lib/test_siphash.c, 32-bit words).
  const published = [0x5814_c896, 0xbc4b_0e30, 0x7e05_9ea6, 0xa008_0b65, 0x5779_99b1, 0xe4fa_32cf, 0x6b28_096c, 0x1665_8a7c];
  const hasher = new TextHasher({ k0: 0x0302_0100, k1: 0x0706_0504 });
  for (const [units, expected] of published.entries()) {
    const text = String.fromCharCode(...Array.from({ length: units }, (_, i) => (2 * i) | ((2 * i + 1) << 8)));
    assert.equal(hasher.hash32(text) >>> 0, expected, `${units} units`);
  }
});

test('both widths are HalfSipHash-1-3 of the UTF-16 form, for any text and key', () => {
  const key = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), key, key, (text, k0, k1) => {
      const hasher = new TextHasher({ k0, k1 });
      assert.equal(BigInt(hasher.hash32(text) >>> 0), naiveHalfSipHash(utf16(text), [k0, k1], 32));
      assert.equal(BigInt(hasher.hash53(text)), BigInt.asUintN(53, naiveHalfSipHash(utf16(text), [k0, k1], 64)));
    }),
  );
});

test('texts that differ by a lone surrogate or their length alone hash apart', () => {
  const hasher = new TextHasher({ k0: 1, k1: 2 });
  const texts = ['', '\0', '\0\0', '\0\0\0', '\ud800', '\udc00', '\ufffd', '__proto__', 'é', 'e\u0301'];
  assert.equal(new Set(texts.map((text) => hasher.hash53(text))).size, texts.length);
});

test('hashers agree when their keys do, and have nothing in common otherwise', () => {
  const one = new TextHasher({ k0: 0xffff_ffff, k1: 7 });
  assert.deepEqual(one.key, { k0: 0xffff_ffff, k1: 7 });
  assert.equal(new TextHasher(one.key).hash53('key'), one.hash53('key'));
  const other = new TextHasher({ k0: 0xffff_ffff, k1: 8 });
  const shared = Array.from({ length: 1000 }, (_, i) => `key ${i}`).filter((key) => one.hash32(key) === other.hash32(key));
  assert.deepEqual(shared, []);
});

test('sequential keys fall evenly into slots: χ² of 64 000 keys over 64 slots lies within its 99.99 % range', () => {
  const hasher = new TextHasher({ k0: 3, k1: 4 });
  const slots = new Uint32Array(64);
  for (let i = 0; i < 64_000; i++) (slots[hasher.hash32(`user-${i}`) & 63] as number)++;
  const chiSquared = slots.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  assert.ok(chiSquared > 27 && chiSquared < 116, String(chiSquared));
});

test('a key that would be none is refused: fractions, NaN, nothing', () => {
  for (const word of [0.5, Number.NaN, 2 ** 32, -(2 ** 31) - 1, undefined, '1']) {
    const key = { k0: word as number, k1: 1 };
    assert.throws(() => new TextHasher(key), { name: 'RangeError', message: /^k0 must be a whole number of 32 bits, not / });
  }
  assert.deepEqual(new TextHasher({ k0: -1, k1: 2 ** 32 - 1 }).key, { k0: 2 ** 32 - 1, k1: 2 ** 32 - 1 });
});

test('what is no text is refused: numbers would all hash alike', () => {
  const hasher = new TextHasher({ k0: 1, k1: 2 });
  for (const value of [12_345, null, undefined, {}]) {
    assert.throws(() => hasher.hash32(value as string), TypeError);
    assert.throws(() => hasher.hash53(value as string), TypeError);
  }
});
