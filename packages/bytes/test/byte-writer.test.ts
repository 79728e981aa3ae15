import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter, EMPTY_BYTES, latin1Decode, toHex } from '../src/index.ts';

test('everything written comes out in order, numbers in network order', () => {
  const writer = new ByteWriter();
  writer.writeByte(0x01);
  writer.writeUint16(0x8002);
  writer.writeUint24(0xff0003);
  writer.writeUint32(0x8000_0004);
  writer.writeBytes(Uint8Array.of(0xaa, 0xbb));
  writer.writeLatin1('é');
  assert.equal(writer.length, 13);
  assert.equal(toHex(writer.take()), '018002ff000380000004aabbe9');
  assert.equal(writer.length, 0);
});

test('take on an empty writer gives EMPTY_BYTES', () => {
  const writer = new ByteWriter();
  assert.equal(writer.take(), EMPTY_BYTES);
  writer.writeBytes(EMPTY_BYTES);
  writer.writeLatin1('');
  assert.equal(writer.take(), EMPTY_BYTES);
});

test('bytes handed out are never written again, whether a slab is shared or outgrown', () => {
  const writer = new ByteWriter({ initialCapacity: 16 });
  const taken: Uint8Array[] = [];
  const expected: string[] = [];
  for (let i = 0; i < 100; i++) {
    const text = String.fromCharCode(0x41 + (i % 26)).repeat(1 + (i % 7));
    writer.writeLatin1(text);
    taken.push(writer.take());
    expected.push(text);
  }
  assert.deepEqual(
    taken.map((bytes) => latin1Decode(bytes)),
    expected,
  );
});

test('small takes share a slab', () => {
  const writer = new ByteWriter();
  writer.writeLatin1('one');
  const one = writer.take();
  writer.writeLatin1('two');
  const two = writer.take();
  assert.equal(one.buffer, two.buffer);
  assert.equal(two.byteOffset, one.byteOffset + 3);
});

test('a chunk is copied: the caller may go on using it', () => {
  const writer = new ByteWriter();
  const chunk = Uint8Array.of(1, 2);
  writer.writeBytes(chunk);
  chunk.fill(9);
  assert.equal(toHex(writer.take()), '0102');
});

test('growing byte by byte copies a linear number of bytes', () => {
  const writer = new ByteWriter({ initialCapacity: 16 });
  for (let i = 0; i < 100_000; i++) writer.writeByte(i & 0xff);
  const bytes = writer.take();
  assert.equal(bytes.length, 100_000);
  assert.ok(bytes.every((byte, i) => byte === (i & 0xff)));
  // Doubling: the last slab is at most twice what was needed.
  assert.ok(bytes.buffer.byteLength <= 200_000);
});

test('numbers out of range are refused, and nothing is written', () => {
  const writer = new ByteWriter();
  for (const value of [-1, 1.5, Number.NaN, 0x100]) assert.throws(() => writer.writeByte(value), RangeError);
  for (const value of [-1, 1.5, Number.NaN, 0x1_0000]) assert.throws(() => writer.writeUint16(value), RangeError);
  for (const value of [-1, 1.5, Number.NaN, 0x100_0000]) assert.throws(() => writer.writeUint24(value), RangeError);
  for (const value of [-1, 1.5, Number.NaN, 0x1_0000_0000]) assert.throws(() => writer.writeUint32(value), RangeError);
  assert.equal(writer.length, 0);
});

test('text that is not Latin-1 is refused and leaves the writer as it was', () => {
  const writer = new ByteWriter();
  writer.writeLatin1('before ');
  assert.throws(() => writer.writeLatin1('x\u010a'), RangeError);
  assert.throws(() => writer.writeLatin1(`${'x'.repeat(5000)}\u010a`), RangeError);
  writer.writeLatin1('after');
  assert.equal(latin1Decode(writer.take()), 'before after');
});

test('maxBytes bounds what is written and not taken, not what is written in all', () => {
  const writer = new ByteWriter({ initialCapacity: 16, maxBytes: 20 });
  for (let i = 0; i < 10; i++) {
    writer.writeLatin1('x'.repeat(20));
    assert.throws(() => writer.writeByte(0), new RangeError('21 bytes written and not taken, more than maxBytes (20)'));
    assert.equal(writer.take().length, 20);
  }
});

test('a slab larger than maxBytes does not loosen it', () => {
  const writer = new ByteWriter({ initialCapacity: 64, maxBytes: 20 });
  writer.writeLatin1('x'.repeat(20));
  assert.throws(() => writer.writeByte(0), RangeError);
});

test('bytes written into a room count when they are committed', () => {
  const writer = new ByteWriter({ initialCapacity: 16, maxBytes: 40 });
  writer.writeLatin1('0123456789');
  const at = writer.makeRoom(20);
  assert.equal(writer.length, 10);
  writer.slab[at] = 0x61;
  writer.slab[at + 1] = 0x62;
  writer.commit(at + 2);
  assert.equal(latin1Decode(writer.take()), '0123456789ab');
  // A room that was not used leaves no trace.
  writer.makeRoom(8);
  writer.writeByte(0x63);
  assert.equal(latin1Decode(writer.take()), 'c');
  assert.throws(() => writer.makeRoom(41), RangeError);
});

test('no end outside of the room is committed', () => {
  const writer = new ByteWriter({ initialCapacity: 16 });
  const at = writer.makeRoom(4);
  for (const end of [at - 1, writer.slab.length + 1, Number.NaN]) assert.throws(() => writer.commit(end), RangeError);
  assert.equal(writer.length, 0);
});

test('options out of range are refused', () => {
  for (const initialCapacity of [0, 15, 16.5, Number.NaN, Infinity]) {
    assert.throws(() => new ByteWriter({ initialCapacity }), RangeError);
  }
  for (const maxBytes of [0, -1, Number.NaN]) assert.throws(() => new ByteWriter({ maxBytes }), RangeError);
});
