/** Laws of the ring, for any nodes and keys; the twin is `fixtures/naive-ring.ts`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KetamaRing } from '@ferrata/ketama';
import fc from 'fast-check';
import { NaiveRing } from './fixtures/naive-ring.ts';

/** Of few letters, so that addresses meet: as duplicates, and with the same points (`unix:a`, `a`, `a:`). */
const anyAddress = fc.oneof(
  fc
    .tuple(fc.constantFrom('', 'unix:', 'UNIX:', '[::1]'), fc.constantFrom('a', 'b', 'é', '1'), fc.constantFrom('', ':', ':1', ':12', ':x'))
    .map((parts) => parts.join('')),
  fc.string({ minLength: 1, unit: 'binary' }),
);
const anyNode = fc.record({ address: anyAddress, weight: fc.integer({ min: 1, max: 5 }) });
const anyNodes = fc.array(anyNode, { maxLength: 8 });
const anyKey = fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array());

/** Addresses that have no points in common. */
const anyAddresses = fc.uniqueArray(
  fc.ipV4().map((host) => `${host}:80`),
  { minLength: 2, maxLength: 12 },
);
const anyKeys = fc.array(fc.string(), { minLength: 1, maxLength: 50 });

describe('for any nodes and keys, a ring', () => {
  test("equals nginx's method done naively: points, duplicates, ties and walks", () => {
    fc.assert(
      fc.property(anyNodes, fc.integer({ min: 1, max: 20 }), fc.array(anyKey, { minLength: 1 }), (nodes, pointsPerWeight, keys) => {
        const ring = new KetamaRing(nodes, { pointsPerWeight });
        const twin = new NaiveRing(nodes, pointsPerWeight);
        assert.equal(ring.pointCount, twin.points.length);
        for (const key of keys) {
          assert.equal(ring.node(key), twin.node(key));
          assert.deepEqual([...ring.nodesFrom(key)], twin.walk(key));
        }
        for (const { hash, address } of twin.points) assert.equal(ring.nodeForHash(hash), address);
      }),
      { numRuns: 300 },
    );
  });

  test('moves no key but to the node that comes', () => {
    fc.assert(
      fc.property(anyAddresses, anyKeys, ([newcomer = '', ...others], keys) => {
        const before = new KetamaRing(others);
        const after = new KetamaRing([...others, newcomer]);
        for (const key of keys) assert.ok(after.node(key) === newcomer || after.node(key) === before.node(key));
      }),
    );
  });

  test('moves no key but of the node that goes, and these to where the walk leads next', () => {
    fc.assert(
      fc.property(anyAddresses, anyKeys, ([leaver = '', ...others], keys) => {
        const before = new KetamaRing([leaver, ...others]);
        const after = new KetamaRing(others);
        for (const key of keys) {
          const [first, second] = before.nodesFrom(key);
          assert.equal(after.node(key), first === leaver ? second : first);
        }
      }),
    );
  });

  test('moves no key from a node that gains weight', () => {
    fc.assert(
      fc.property(anyAddresses, fc.integer({ min: 2, max: 9 }), anyKeys, ([gainer = '', ...others], weight, keys) => {
        const before = new KetamaRing([gainer, ...others]);
        const after = new KetamaRing([{ address: gainer, weight }, ...others]);
        for (const key of keys) assert.ok(after.node(key) === gainer || after.node(key) === before.node(key));
      }),
    );
  });

  test('does not depend on the order of nodes that have no points in common', () => {
    fc.assert(
      fc.property(anyAddresses, anyKeys, (addresses, keys) => {
        const ring = new KetamaRing(addresses);
        const reversed = new KetamaRing(addresses.toReversed());
        for (const key of keys) assert.deepEqual([...ring.nodesFrom(key)], [...reversed.nodesFrom(key)]);
      }),
    );
  });
});
