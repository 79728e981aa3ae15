import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyHasher } from '@ferrata/hash';

function hasherOf(seed: number): (key: string | number) => number {
  const hasher = new KeyHasher({ k0: Math.imul(seed, 0x9e37_79b9), k1: ~seed });
  return (key) => hasher.hash32(key);
}

test('keys that a Map holds equal hash alike', () => {
  const hash = hasherOf(1);
  const otherNan = new Float64Array(new BigUint64Array([0x7ff8_0000_0000_0001n]).buffer)[0] as number;
  assert.equal(hash(-0), hash(0));
  assert.equal(hash(otherNan), hash(Number.NaN));
  assert.equal(hash('text'), hash(['te', 'xt'].join('')));
});

test('keys that differ seldom hash alike: whole numbers, fractions, huge numbers, texts, a number and its text', () => {
  const hash = hasherOf(2);
  const keys = new Set<string | number>();
  for (let number = 0; number < 2000; number++) {
    for (const key of [number, -number, number / 7, number * 2 ** 33, 1 / (number + 2), `${number}`, `key ${number}`]) keys.add(key);
  }
  const hashes = new Set([...keys].map(hash));
  // About 14 000 keys: 0.02 collisions are to be expected among 2³² hashes.
  assert.ok(hashes.size >= keys.size - 1, `${keys.size - hashes.size} collisions`);
});

test('what is neither text nor a number is refused', () => {
  const hash = hasherOf(6);
  for (const key of [true, null, undefined, {}, 1n, Symbol('s')]) assert.throws(() => hash(key as string), TypeError);
});

test('low bits differ as high ones do', () => {
  const hash = hasherOf(3);
  const counts = new Uint32Array(64);
  for (let number = 0; number < 6400; number++)
    for (const key of [number, number * 64, number + 0.5, `${number}`]) counts[hash(key) & 63]!++;
  // 400 each are expected, with a standard deviation of 20.
  for (const [place, count] of counts.entries()) assert.ok(Math.abs(count - 400) < 120, `place ${place} has ${count}`);
});

test('whoever does not know the secret cannot tell which keys collide', () => {
  const hash = hasherOf(4);
  const other = hasherOf(5);
  for (const makeKey of [(number: number) => number, (number: number) => number + 0.5, (number: number) => `key ${number}`]) {
    // All that share the low 8 bits for one secret are spread by another.
    const keys = Array.from({ length: 20_000 }, (_, number) => makeKey(number)).filter((key) => (hash(key) & 0xff) === 0);
    assert.ok(keys.length > 40);
    assert.ok(new Set(keys.map((key) => other(key) & 0xff)).size > 0.6 * Math.min(keys.length, 50));
  }
});
