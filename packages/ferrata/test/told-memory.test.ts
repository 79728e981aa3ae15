/** That what happens in several threads is told by one of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToldMemory } from '../src/told-memory.ts';

test('the first thread that asks tells; the others are counted until it may be told again', () => {
  const one = new ToldMemory();
  const other = new ToldMemory(one.buffer);
  assert.equal(one.claim('a', 1_000, 60_000), 0);
  assert.equal(other.claim('a', 1_000, 60_000), null);
  assert.equal(one.claim('a', 60_999, 60_000), null);
  assert.equal(other.claim('b', 1_000, 60_000), 0, 'something else');
  assert.equal(other.claim('a', 61_000, 60_000), 2, 'how often it was since');
  assert.equal(one.claim('a', 61_001, 60_000), null);
});

test('what finds no slot takes that of another, which is told again: nothing is left untold', () => {
  const memory = new ToldMemory();
  let told = 0;
  for (let index = 0; index < 5_000; index++) if (memory.claim(`reason ${index}`, 0, 60_000) === 0) told++;
  assert.equal(told, 5_000);
  assert.equal(memory.buffer.byteLength, 16_384);
});
