import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteCursor, fromHex, toHex } from '../src/index.ts';

test('numbers are read in network order, from front to back', () => {
  const cursor = new ByteCursor(fromHex('01 8002 ff0003 80000004 aabb'.replaceAll(' ', '')));
  assert.deepEqual([cursor.u8(), cursor.u16(), cursor.u24(), cursor.u32()], [1, 0x8002, 0xff0003, 0x8000_0004]);
  assert.deepEqual([cursor.position, cursor.remaining], [10, 2]);
  assert.equal(toHex(cursor.bytes(2)), 'aabb');
  assert.equal(cursor.remaining, 0);
});

test('bytes gives a view of the array, not a copy', () => {
  const bytes = fromHex('000102030405').subarray(1);
  const cursor = new ByteCursor(bytes);
  cursor.u8();
  const view = cursor.bytes(3);
  assert.equal(view.buffer, bytes.buffer);
  assert.equal(toHex(view), '020304');
  assert.equal(cursor.bytes(0).length, 0);
});

test('a read past the end throws and does not move the position', () => {
  const cursor = new ByteCursor(fromHex('010203'));
  assert.throws(() => cursor.u32(), new RangeError('4 bytes asked for at 0, 3 remain'));
  assert.throws(() => cursor.bytes(4), RangeError);
  assert.throws(() => cursor.bytes(-1), RangeError);
  assert.throws(() => cursor.bytes(1.5), RangeError);
  assert.equal(cursor.u24(), 0x010203);
  for (const read of [() => cursor.u8(), () => cursor.u16(), () => cursor.u24(), () => cursor.u32(), () => cursor.bytes(1)]) {
    assert.throws(read, RangeError);
  }
  assert.equal(cursor.position, 3);
});

test('any sequence of reads agrees with DataView', () => {
  const reads = fc.array(fc.constantFrom('u8', 'u16', 'u32'), { maxLength: 10 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), reads, (bytes, reads) => {
      const cursor = new ByteCursor(bytes);
      const view = new DataView(bytes.buffer);
      for (const read of reads) {
        const at = cursor.position;
        const expected = read === 'u8' ? view.getUint8(at) : read === 'u16' ? view.getUint16(at) : view.getUint32(at);
        assert.equal(cursor[read](), expected);
      }
    }),
  );
});
