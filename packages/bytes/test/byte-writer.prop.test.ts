import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter, latin1Encode } from '../src/index.ts';

type Step =
  | { readonly kind: 'byte' | 'u16' | 'u24' | 'u32'; readonly value: number }
  | { readonly kind: 'bytes' | 'text'; readonly bytes: Uint8Array }
  | { readonly kind: 'take' };

const number = (kind: 'byte' | 'u16' | 'u24' | 'u32', size: number): fc.Arbitrary<Step> =>
  fc.nat(256 ** size - 1).map((value) => ({ kind, value }));
const step: fc.Arbitrary<Step> = fc.oneof(
  number('byte', 1),
  number('u16', 2),
  number('u24', 3),
  fc.integer({ min: 0, max: 0xffff_ffff }).map((value): Step => ({ kind: 'u32', value })),
  fc
    .tuple(fc.constantFrom('bytes' as const, 'text' as const), fc.uint8Array({ maxLength: 50 }))
    .map(([kind, bytes]): Step => ({ kind, bytes })),
  fc.constant<Step>({ kind: 'take' }),
);

/** The naive twin: numbers as bytes in an array. */
function bigEndian(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) % 256);
}

test('any sequence of writes and takes gives the bytes of a naive twin, and bytes once taken stay', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const writer = new ByteWriter({ initialCapacity: 16 });
      const taken: { bytes: Uint8Array; expected: number[] }[] = [];
      let pending: number[] = [];
      for (const one of steps) {
        switch (one.kind) {
          case 'byte':
            writer.writeByte(one.value);
            pending.push(one.value);
            break;
          case 'u16':
            writer.writeUint16(one.value);
            pending.push(...bigEndian(one.value, 2));
            break;
          case 'u24':
            writer.writeUint24(one.value);
            pending.push(...bigEndian(one.value, 3));
            break;
          case 'u32':
            writer.writeUint32(one.value);
            pending.push(...bigEndian(one.value, 4));
            break;
          case 'bytes':
            writer.writeBytes(one.bytes);
            pending.push(...one.bytes);
            break;
          case 'text':
            writer.writeLatin1(Buffer.from(one.bytes).toString('latin1'));
            pending.push(...one.bytes);
            break;
          case 'take':
            taken.push({ bytes: writer.take(), expected: pending });
            pending = [];
        }
        assert.equal(writer.length, pending.length);
      }
      taken.push({ bytes: writer.take(), expected: pending });
      for (const { bytes, expected } of taken) assert.deepEqual([...bytes], expected);
    }),
  );
});

test('latin1Encode and writeLatin1 agree', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      const writer = new ByteWriter();
      writer.writeLatin1(text);
      assert.deepEqual(writer.take(), latin1Encode(text));
    }),
  );
});
