import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { freeChunk, giveAway, isGivenAway } from '@ferrata/stream';

describe('a chunk that is given away', () => {
  test('is freed once: its memory is gone, and the chunk is empty', () => {
    const chunk = new Uint8Array(65_536).fill(7);
    giveAway(chunk);
    assert.equal(isGivenAway(chunk), true);
    freeChunk(chunk);
    assert.equal(chunk.length, 0);
    assert.equal(chunk.buffer.byteLength, 0);
    assert.equal(isGivenAway(chunk), false);
    freeChunk(chunk);
  });

  test('is left alone when it is a view of a part: others may hold the rest', () => {
    const whole = new Uint8Array(65_536).fill(7);
    for (const part of [whole.subarray(1), whole.subarray(0, 65_535), whole.subarray(100, 40_000)]) {
      giveAway(part);
      assert.equal(isGivenAway(part), false);
      freeChunk(part);
    }
    assert.equal(whole.length, 65_536);
    assert.equal(whole[40_000], 7);
  });

  test('is left alone when it is small', () => {
    const chunk = new Uint8Array(16_383);
    giveAway(chunk);
    assert.equal(isGivenAway(chunk), false);
    freeChunk(chunk);
    assert.equal(chunk.length, 16_383);
  });

  test('is left alone when its memory is shared between threads', () => {
    const chunk = new Uint8Array(new SharedArrayBuffer(65_536));
    giveAway(chunk);
    freeChunk(chunk);
    assert.equal(chunk.length, 65_536);
  });
});

test('a chunk that nobody gave away is never freed', () => {
  const chunk = new Uint8Array(65_536);
  freeChunk(chunk);
  assert.equal(chunk.length, 65_536);
});
