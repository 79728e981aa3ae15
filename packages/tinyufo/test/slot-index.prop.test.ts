/** The two indexes, against a plain map. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EntrySlots } from '../src/internal/entry-slots.ts';
import { CompactIndex, MapIndex, noSlot, type SlotIndex } from '../src/internal/slot-index.ts';

const hashes: Readonly<Record<string, (key: number) => number>> = {
  'that are all the same': () => -1,
  'that run on from each other': (key) => key,
  // The last places of the table of 16 or 32, so that runs go around its end.
  'that crowd the end of the table': (key) => 29 + (key % 4),
  'that differ in high bits only': (key) => key << 24,
};

for (const [name, hashOf] of Object.entries(hashes)) {
  for (const kind of ['map', 'compact'] as const) {
    test(`a ${kind} index finds what is in it and nothing else, with hashes ${name}`, () => {
      const change = fc.record({ key: fc.nat(60), isAdded: fc.boolean() });
      fc.assert(
        fc.property(fc.array(change, { maxLength: 150, size: 'max' }), (changes) => {
          const slots = new EntrySlots<number, number>(100);
          const index: SlotIndex<number> = kind === 'map' ? new MapIndex() : new CompactIndex(slots, hashOf);
          const expected = new Map<number, number>();
          for (const { key, isAdded } of changes) {
            const hash = hashOf(key) | 0;
            const slot = expected.get(key);
            if (isAdded && slot === undefined) {
              const added = slots.occupy(key, key, 1, hash);
              index.add(key, hash, added);
              expected.set(key, added);
            } else if (!isAdded && slot !== undefined) {
              index.delete(key, hash, slot);
              slots.vacate(slot);
              expected.delete(key);
            }
          }
          for (let key = 0; key <= 60; key++) {
            assert.equal(index.find(key), expected.get(key) ?? noSlot);
            assert.equal(index.findHashed(key, hashOf(key) | 0), expected.get(key) ?? noSlot);
          }
          index.clear();
          for (let key = 0; key <= 60; key++) assert.equal(index.find(key), noSlot);
        }),
        { numRuns: 60 },
      );
    });
  }
}

test('a compact index does not grow when entries come and go', () => {
  const slots = new EntrySlots<number, number>(10);
  const index = new CompactIndex<number>(slots, (key) => key);
  const before = process.memoryUsage().arrayBuffers;
  for (let key = 0; key < 1_000_000; key++) {
    const slot = slots.occupy(key, key, 1, key);
    index.add(key, key, slot);
    index.delete(key, key, slot);
    slots.vacate(slot);
  }
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 1_000_000, `${grown} bytes more`);
});
