/** How evenly a ring spreads keys, and how few of them move: figures of fixed rings and keys, so they cannot vary. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KetamaRing } from '@ferrata/ketama';

const keyCount = 300_000;
const addresses = Array.from({ length: 10 }, (_, index) => `10.0.0.${index + 1}:8080`);

/** The owner of each key, by index. */
function ownersOf(ring: KetamaRing): Uint16Array {
  const owners = new Uint16Array(keyCount);
  for (let key = 0; key < keyCount; key++) owners[key] = ring.nodeIndex(`/objects/${key}`);
  return owners;
}

function sharesOf(ring: KetamaRing): readonly number[] {
  const counts = new Uint32Array(ring.size);
  for (const owner of ownersOf(ring)) counts[owner] = (counts[owner] as number) + 1;
  return Array.from(counts, (count) => count / keyCount);
}

describe('of three hundred thousand keys', () => {
  test('no node of ten has a quarter more than the mean, or a quarter less', () => {
    const shares = sharesOf(new KetamaRing(addresses));
    assert.ok(Math.max(...shares) * 10 < 1.25, `the largest share is ${Math.max(...shares)}`);
    assert.ok(Math.min(...shares) * 10 > 0.75, `the smallest share is ${Math.min(...shares)}`);
  });

  test('with ten times the points none has a tenth more or less', () => {
    const shares = sharesOf(new KetamaRing(addresses, { pointsPerWeight: 1600 }));
    assert.ok(Math.max(...shares) * 10 < 1.1, `the largest share is ${Math.max(...shares)}`);
    assert.ok(Math.min(...shares) * 10 > 0.9, `the smallest share is ${Math.min(...shares)}`);
  });

  test('each node has its weight in proportion, to a fifth', () => {
    const weights = [1, 2, 3, 5, 10];
    const shares = sharesOf(new KetamaRing(weights.map((weight, index) => ({ address: addresses[index] as string, weight }))));
    weights.forEach((weight, index) => {
      const ratio = ((shares[index] as number) * 21) / weight;
      assert.ok(Math.abs(ratio - 1) < 0.2, `weight ${weight} has ${ratio} of its share`);
    });
  });

  test('an eleventh node takes its share and no more, and takes it from all', () => {
    const before = ownersOf(new KetamaRing(addresses));
    const after = ownersOf(new KetamaRing([...addresses, '10.0.0.11:8080']));
    const moved = new Uint32Array(10);
    for (let key = 0; key < keyCount; key++) {
      const owner = before[key] as number;
      if (owner === after[key]) continue;
      assert.equal(after[key], 10);
      moved[owner] = (moved[owner] as number) + 1;
    }
    const share = moved.reduce((sum, count) => sum + count, 0) / keyCount;
    assert.ok(Math.abs(share - 1 / 11) < 0.02, `${share} of the keys moved`);
    assert.ok(
      moved.every((count) => count > 0),
      'every node gives some',
    );
  });
});
