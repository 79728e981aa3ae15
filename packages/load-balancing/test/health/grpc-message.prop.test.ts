/** Laws of the answer of gRPC's health protocol: any bytes are a status or a text, and fields of later versions change nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeHealthResponse } from '../../src/health/grpc-message.ts';

function framed(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}

/** Bytes of varints that go on and on are drawn more often than by chance. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.array(fc.constantFrom(0x08, 0x0a, 0x80, 0xff, 0x00, 0x01), { maxLength: 64 }).map((list) => Uint8Array.from(list)),
);

test('any bytes are a whole number or a text, framed or not', () => {
  fc.assert(
    fc.property(bytes, fc.boolean(), (drawn, isFramed) => {
      const found = decodeHealthResponse(isFramed ? framed(drawn) : drawn);
      if (typeof found === 'number') assert.ok(Number.isInteger(found) && found >= 0);
      else assert.notEqual(found, '');
    }),
    { numRuns: 2_000 },
  );
});

test('fields that nobody knows change nothing, before and behind the status', () => {
  const unknown = fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((text) => [0x12, text.length, ...text]),
    fc.nat(127).map((value) => [0x18, value]),
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map((eight) => [0x21, ...eight]),
    fc.uint8Array({ minLength: 4, maxLength: 4 }).map((four) => [0x2d, ...four]),
  );
  fc.assert(
    fc.property(fc.nat(127), fc.array(unknown, { maxLength: 3 }), fc.array(unknown, { maxLength: 3 }), (status, front, behind) => {
      const message = Uint8Array.from([...front.flat(), 0x08, status, ...behind.flat()]);
      assert.equal(decodeHealthResponse(framed(message)), status);
      // Cut anywhere, its frame is not whole.
      for (let length = 0; length < message.length + 5; length++)
        assert.equal(typeof decodeHealthResponse(framed(message).subarray(0, length)), 'string');
    }),
  );
});
