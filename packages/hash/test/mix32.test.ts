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

test('mix32 is a bijection: neighbours never meet', () => {
  assert.equal(new Set(Array.from({ length: 100_000 }, (_, i) => mix32(i))).size, 100_000);
});
