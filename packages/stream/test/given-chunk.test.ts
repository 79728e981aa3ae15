/** The streams themselves are tested in the test kit, which imports this package: `packages/testkit/test/stream`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { freeChunk, giveAway, isGivenAway, memoryPair } from '../src/index.ts';

describe('chunks given away', () => {
  test('a large chunk that was given away is empty after it was freed', () => {
    const chunk = new Uint8Array(16_384);
    assert.equal(isGivenAway(chunk), false);
    giveAway(chunk);
    assert.equal(isGivenAway(chunk), true);
    freeChunk(chunk);
    assert.equal(chunk.byteLength, 0);
  });

  test('a chunk that nobody gave away is left alone', () => {
    const chunk = new Uint8Array(20_000).fill(7);
    freeChunk(chunk);
    assert.equal(chunk.byteLength, 20_000);
  });

  test('small chunks and views of a part are never given away', () => {
    const small = new Uint8Array(16_383);
    const part = new Uint8Array(40_000).subarray(0, 20_000);
    for (const chunk of [small, part]) {
      giveAway(chunk);
      assert.equal(isGivenAway(chunk), false);
    }
  });

  test('a piece cut from a chunk given away does not free the other pieces', () => {
    const chunk = new Uint8Array(40_000).fill(7);
    giveAway(chunk);
    const second = chunk.subarray(20_000);
    freeChunk(chunk.subarray(0, 20_000));
    assert.equal(second[0], 7);
  });
});

test('a memory pair hands a chunk to a sink that may keep it, so the word is taken back', () => {
  const { a, b } = memoryPair({ defer: (task) => task() });
  const received: Uint8Array[] = [];
  b.attach({ onData: (chunk) => void received.push(chunk), onDrain() {}, onEnd() {}, onClose() {} });
  const chunk = new Uint8Array(40_000);
  giveAway(chunk);
  a.write(chunk);
  assert.equal(received.length, 1);
  assert.equal(isGivenAway(received[0] as Uint8Array), false);
});
