import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PieceQueue } from '../src/internal/piece-queue.ts';
import { bytes } from './rig.ts';

describe('a queue of pieces', () => {
  it('that never runs empty takes no memory for what has left it', () => {
    const queue = new PieceQueue();
    for (let at = 0; at < 10; at++) queue.push(bytes('x'));
    let most = 0;
    for (let at = 0; at < 20_000; at++) {
      queue.push(bytes('x'));
      queue.shift();
      most = Math.max(most, queue.slotCount);
    }
    assert.ok(most <= 2_100, `${most} slots for 10 pieces`);
    assert.equal(queue.cost, 10 * 65);
  });
  it('gives them as they came, and counts what waits', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 900 }), fc.nat({ max: 900 })), { maxLength: 12 }), (steps) => {
        const queue = new PieceQueue();
        const naive: Uint8Array[] = [];
        for (const [pushed, shifted] of steps) {
          for (let at = 0; at < pushed; at++) {
            const piece = bytes(`${at}`);
            queue.push(piece);
            naive.push(piece);
          }
          for (let at = 0; at < shifted && naive.length > 0; at++) assert.equal(queue.shift(), naive.shift());
          assert.equal(queue.isEmpty, naive.length === 0);
          assert.equal(
            queue.cost,
            naive.reduce((sum, { length }) => sum + length + 64, 0),
          );
        }
      }),
      { numRuns: 50 },
    );
  });
});
