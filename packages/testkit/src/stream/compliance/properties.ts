/** The stream contract under scripts drawn by chance: what was written arrives, whatever happens in between. */
import assert from 'node:assert/strict';
import { applicationError, WireError } from '@ferrata/error';
import fc from 'fast-check';
import { firstMisplacedByte, positionalBytes } from '../positional-bytes.ts';
import { nextTurn, noticeAbort, type Rig } from './compliance-rig.ts';

type Step =
  | { readonly op: 'write'; readonly side: 'a' | 'b'; readonly sizes: readonly number[] }
  | { readonly op: 'pause' | 'resume' | 'end'; readonly side: 'a' | 'b' }
  | { readonly op: 'turn' };

const side = fc.constantFrom<'a' | 'b'>('a', 'b');
const size = fc.oneof(fc.nat(20), fc.nat(2_000), fc.nat(20_000));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('write' as const), side, sizes: fc.array(size, { minLength: 1, maxLength: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('pause' as const, 'resume' as const), side }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('end' as const), side }) },
  { weight: 3, arbitrary: fc.constant({ op: 'turn' as const }) },
);

/** How much each side has written, and whether it has ended: the model. */
interface Sent {
  byteLength: number;
  isEnded: boolean;
}

async function play(rig: Rig, steps: readonly Step[]): Promise<{ a: Sent; b: Sent }> {
  const sent = { a: { byteLength: 0, isEnded: false }, b: { byteLength: 0, isEnded: false } };
  for (const step of steps) {
    if (step.op === 'turn') {
      await nextTurn();
      continue;
    }
    const stream = rig[step.side];
    const mine = sent[step.side];
    switch (step.op) {
      case 'write': {
        const chunks = step.sizes.map((byteLength) => {
          const chunk = positionalBytes(byteLength, step.side === 'a' ? 1 : 2, mine.byteLength);
          if (!mine.isEnded) mine.byteLength += byteLength;
          return chunk;
        });
        if (chunks.length === 1) stream.write(chunks[0] ?? new Uint8Array(0));
        else stream.writev(chunks);
        break;
      }
      case 'end':
        mine.isEnded = true;
        stream.end();
        break;
      case 'pause':
        stream.pause();
        break;
      case 'resume':
        stream.resume();
        break;
    }
  }
  return sent;
}

/** One property of the contract. */
export interface ContractProperty {
  readonly key: string;
  readonly title: string;
  readonly property: (withRig: (body: (rig: Rig) => Promise<void>) => Promise<void>) => fc.IAsyncPropertyWithHooks<[Step[]]>;
}

/** The properties of the contract. */
export const contractProperties: readonly ContractProperty[] = [
  {
    key: 'P1',
    title: 'any script of writes, pauses and ends loses, doubles and reorders nothing',
    property: (withRig) =>
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) =>
        withRig(async (rig) => {
          const { a, b, sinkA, sinkB } = rig;
          a.attach(sinkA);
          b.attach(sinkB);
          const sent = await play(rig, steps);
          a.resume();
          b.resume();
          a.end();
          b.end();
          await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
          assert.deepEqual([sinkA.closeError, sinkB.closeError], [null, null]);
          assert.deepEqual([sinkB.byteLength, sinkA.byteLength], [sent.a.byteLength, sent.b.byteLength]);
          assert.equal(firstMisplacedByte(sinkB.bytes(), 1), -1);
          assert.equal(firstMisplacedByte(sinkA.bytes(), 2), -1);
        }),
      ),
  },
  {
    key: 'P2',
    title: 'an abort after any script leaves each side a prefix of what was sent, and one close',
    property: (withRig) =>
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) =>
        withRig(async (rig) => {
          const { a, b, sinkA, sinkB, options } = rig;
          a.attach(sinkA);
          b.attach(sinkB);
          const sent = await play(rig, steps);
          const wasOpen = !sinkA.isClosed && !(sent.a.isEnded && sent.b.isEnded);
          a.abort(applicationError('TEST_ABORT'));
          b.resume();
          if (options.abortIsVisible === false) b.end();
          await Promise.all([sinkA.untilClose(), noticeAbort(b, sinkB)]);
          assert.ok(sinkB.byteLength <= sent.a.byteLength && sinkA.byteLength <= sent.b.byteLength);
          assert.equal(firstMisplacedByte(sinkB.bytes(), 1), -1);
          assert.equal(firstMisplacedByte(sinkA.bytes(), 2), -1);
          const isVisible = options.abortIsVisible === 'untilEnd' ? !sent.b.isEnded : options.abortIsVisible !== false;
          if (wasOpen && isVisible) assert.ok(sinkB.closeError instanceof WireError);
        }),
      ),
  },
];
