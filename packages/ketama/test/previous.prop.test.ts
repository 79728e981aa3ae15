/** A ring that takes over the points of another, and one built in steps, are the ring that a new one would be. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type KetamaNode, KetamaRing, type KetamaRingOptions } from '@ferrata/ketama';
import fc from 'fast-check';
import { NaiveRing } from './fixtures/naive-ring.ts';

/** Of few letters, so that nodes come again, in another order and with another weight, and share points: `a`, `a:`, `unix:a`. */
const anyNode = fc.record({
  address: fc
    .tuple(fc.constantFrom('', 'unix:'), fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('', ':', ':1'))
    .map((parts) => parts.join('')),
  weight: fc.integer({ min: 1, max: 3 }),
});
const anyLists = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.uniqueArray(anyNode, { selector: ({ address }) => address, maxLength: 10 }) },
    // With addresses given again.
    { weight: 1, arbitrary: fc.array(anyNode, { maxLength: 10 }) },
  ),
  { minLength: 2, maxLength: 6 },
);

function inSteps(nodes: Iterable<KetamaNode | string>, options: KetamaRingOptions): { readonly ring: KetamaRing; readonly steps: number } {
  const building = KetamaRing.inSteps(nodes, options);
  let steps = 1;
  let step = building.next();
  for (; step.done !== true; steps++) step = building.next();
  return { ring: step.value, steps };
}

describe('a ring made from another', () => {
  test('equals the naive ring, through any row of changes: points, owners, ties and walks', () => {
    fc.assert(
      fc.property(anyLists, fc.array(fc.string(), { minLength: 1, maxLength: 10 }), fc.boolean(), (lists, keys, isStepped) => {
        let previous = new KetamaRing([]);
        for (const nodes of lists) {
          const options = { pointsPerWeight: 7, previous };
          const ring = isStepped ? inSteps(nodes, options).ring : new KetamaRing(nodes, options);
          const twin = new NaiveRing(nodes, 7);
          assert.equal(ring.pointCount, twin.points.length);
          for (const { hash, address } of twin.points) assert.equal(ring.nodeForHash(hash), address);
          for (const key of keys) assert.deepEqual([...ring.nodesFrom(key)], twin.walk(key));
          assert.deepEqual(ring.nodes, new KetamaRing(nodes).nodes);
          previous = ring;
        }
      }),
      { numRuns: 500 },
    );
  });

  test('finds a point again that another hid, when that one is gone', () => {
    // Nodes 18 and 698 of these have one point in common.
    const addresses = Array.from({ length: 1000 }, (_, index) => `127.70.${index >>> 8}.${index & 0xff}:8080`);
    const shared = 1_502_110_317;
    const both = new KetamaRing(addresses);
    assert.deepEqual([both.pointCount, both.nodeForHash(shared)], [159_999, addresses[18]]);
    const one = new KetamaRing(addresses.toSpliced(18, 1), { previous: both });
    assert.deepEqual([one.pointCount, one.nodeForHash(shared)], [159_840, addresses[698]]);
    const again = new KetamaRing(addresses, { previous: one });
    assert.deepEqual([again.pointCount, again.nodeForHash(shared)], [159_999, addresses[18]]);
    const reversed = new KetamaRing(addresses.toReversed(), { previous: both });
    assert.equal(reversed.nodeForHash(shared), addresses[698]);
  });

  test('leaves the other as it is', () => {
    const before = new KetamaRing(['a:1', 'b:1', 'c:1']);
    const walk = [...before.nodesFrom('key')];
    const after = new KetamaRing(['c:1', 'd:1'], { previous: before });
    assert.deepEqual([...before.nodesFrom('key')], walk);
    assert.equal(after.size, 2);
  });

  test('with another number of points is made anew', () => {
    const before = new KetamaRing(['a:1', 'b:1'], { pointsPerWeight: 10 });
    const after = new KetamaRing(['a:1', 'b:1'], { previous: before });
    assert.equal(after.pointCount, 320);
    for (let key = 0; key < 200; key++) assert.equal(after.node(`${key}`), new KetamaRing(['a:1', 'b:1']).node(`${key}`));
  });
});

describe('a ring built in steps', () => {
  const addresses = Array.from({ length: 3000 }, (_, index) => `10.0.${index >>> 8}.${index & 0xff}:80`);

  test('takes many for many points, few for few, and fewer from another ring', () => {
    const whole = inSteps(addresses, {});
    const changed = inSteps(addresses.with(7, '192.0.2.1:80'), { previous: whole.ring });
    assert.ok(inSteps(['a:1'], {}).steps < 8);
    assert.ok(whole.steps > 30, `${whole.steps}`);
    assert.ok(changed.steps < whole.steps / 2, `${changed.steps} of ${whole.steps}`);
    const fresh = new KetamaRing(addresses.with(7, '192.0.2.1:80'));
    for (let key = 0; key < 5000; key++) assert.equal(changed.ring.nodeIndex(`${key}`), fresh.nodeIndex(`${key}`));
  });

  test('refuses what the constructor refuses', () => {
    assert.throws(() => inSteps([{ address: 'a', weight: 0 }], {}), { name: 'RangeError', message: /^weight of a/ });
    assert.throws(() => inSteps('abc', {}), TypeError);
    assert.throws(() => inSteps([], { pointsPerWeight: 0 }), { name: 'RangeError', message: /^pointsPerWeight/ });
  });

  test('may be left unfinished', () => {
    const building = KetamaRing.inSteps(addresses);
    assert.equal(building.next().done, false);
    assert.equal(building.return(new KetamaRing([])).done, true);
  });
});

describe('a walk that is restarted', () => {
  test('goes as a new one would, from any step on', () => {
    const ring = new KetamaRing(Array.from({ length: 70 }, (_, index) => ({ address: `n${index}`, weight: 1 + (index % 3) })));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.nat(75)), { maxLength: 10 }), (rounds) => {
        const walk = ring.nodesFrom('');
        for (const [key, steps] of rounds) {
          walk.restartFrom(key);
          const fresh = ring.nodesFrom(key);
          for (let step = 0; step < steps; step++) assert.equal(walk.nextIndex(), fresh.nextIndex());
        }
      }),
    );
  });

  test('takes bytes, or a hash by its low 32 bits', () => {
    const ring = new KetamaRing(['a:1', 'b:1', 'c:1']);
    const walk = ring.nodesFrom('x');
    walk.restartFrom(new TextEncoder().encode('key'));
    assert.deepEqual([...walk], [...ring.nodesFrom('key')]);
    walk.restartFromHash(-1);
    assert.deepEqual([...walk], [...ring.nodesFromHash(0xffff_ffff)]);
    assert.throws(() => walk.restartFrom(5 as unknown as string), TypeError);
    const empty = new KetamaRing([]).nodesFrom('key');
    empty.restartFrom('other');
    assert.equal(empty.nextIndex(), -1);
  });
});
