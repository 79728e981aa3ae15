import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mix32 } from '@ferrata/hash';

test('mix32 gives an unsigned word, the same for numbers with the same low 32 bits', () => {
  assert.equal(mix32(0), 0);
  assert.equal(mix32(-1), mix32(0xffff_ffff));
  assert.equal(mix32(2 ** 32 + 5), mix32(5));
  for (let i = 1; i < 1000; i++) assert.ok(mix32(i) > 0 && mix32(i) <= 0xffff_ffff);
});

test('a bit of the input moves about half of the bits of the output', () => {
  let moved = 0;
  const inputs = 2000;
  for (let input = 0; input < inputs; input++) {
    for (let bit = 0; bit < 32; bit++) {
      for (let rest = mix32(input) ^ mix32(input ^ (1 << bit)); rest !== 0; rest &= rest - 1) moved++;
    }
  }
  assert.ok(Math.abs(moved / (inputs * 32) - 16) < 0.1, String(moved / (inputs * 32)));
});

test('mix32 is a bijection: its published inverse finds every number again', () => {
  // https://nullprogram.com/blog/2018/07/31/, "lowbias32_r".
  const inverse = (word: number): number => {
    let x = word ^ (word >>> 16);
    x = Math.imul(x, 0x4302_1123);
    x ^= (x >>> 15) ^ (x >>> 30);
    x = Math.imul(x, 0x1d69_e2a5);
    return (x ^ (x >>> 16)) >>> 0;
  };
  for (let i = 0; i < 100_000; i++) {
    const number = Math.imul(i, 0x9e37_79b9) >>> 0;
    assert.equal(inverse(mix32(number)), number);
  }
});
