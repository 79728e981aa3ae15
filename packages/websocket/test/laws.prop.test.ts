/** Laws of the codec: round trip, split, total; masks and UTF-8 against naive and foreign twins. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter, concatBytes } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { maskInPlace, Opcode, Role, Utf8Validator, writeFrame } from '@ferrata/websocket';
import fc from 'fast-check';
import { drive, frame, framesOf, latin, Script } from './drive.ts';

const seed = 20_261_122;
const pieces = fc.uint8Array({ maxLength: 300 });
const interesting = fc.constantFrom(
  0x00,
  0x01,
  0x02,
  0x08,
  0x09,
  0x0a,
  0x80,
  0x81,
  0x82,
  0x88,
  0x89,
  0x8a,
  0xc1,
  0xfe,
  0xff,
  0x7e,
  0x7f,
  0x85,
);
const anyBytes = fc
  .array(fc.oneof(interesting, fc.integer({ min: 0, max: 255 })), { maxLength: 120 })
  .map((bytes) => Uint8Array.from(bytes));

test('a mask put on twice is no mask, and each byte has the byte of the key that is its turn (RFC 6455 §5.3)', () => {
  const check = (bytes: Uint8Array, key: number, offset: number, start: number): void => {
    // At any place in its buffer, aligned or not.
    const buffer = new Uint8Array(bytes.length + start);
    buffer.set(bytes, start);
    const view = buffer.subarray(start);
    maskInPlace(view, key, offset);
    const keyBytes = [key >>> 24, (key >>> 16) & 0xff, (key >>> 8) & 0xff, key & 0xff];
    assert.deepEqual(
      view,
      bytes.map((byte, i) => byte ^ (keyBytes[(i + offset) % 4] as number)),
    );
    maskInPlace(view, key, offset);
    assert.deepEqual(view, bytes);
    assert.ok(buffer.subarray(0, start).every((byte) => byte === 0));
  };
  fc.assert(fc.property(pieces, fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(9), fc.nat(7), check), { seed, numRuns: 300 });
});

test('UTF-8 is told as the platform tells it, however it is cut', () => {
  const strict = new TextDecoder('utf-8', { fatal: true });
  const byte = fc.oneof(
    fc.constantFrom(
      0x00,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xe1,
      0xed,
      0xee,
      0xef,
      0xf0,
      0xf1,
      0xf3,
      0xf4,
      0xf5,
    ),
    fc.integer({ min: 0, max: 255 }),
  );
  const someBytes = fc.oneof(
    fc.array(byte, { maxLength: 12 }).map((list) => Uint8Array.from(list)),
    fc.string({ unit: 'grapheme' }).map((text) => new TextEncoder().encode(text)),
  );
  fc.assert(
    fc.property(
      someBytes,
      fc.constantFrom(0, 0, 61, 64, 70, 131),
      fc.nat(3),
      fc.constantFrom(1, 2, 3, 5, 100, 300),
      (tail, ascii, start, size) => {
        const bytes = new Uint8Array(start + ascii + tail.length).fill(0x61).subarray(start);
        bytes.set(tail, ascii);
        let isValid = true;
        try {
          strict.decode(bytes);
        } catch {
          isValid = false;
        }
        const validator = new Utf8Validator();
        validator.begin();
        let ours = true;
        for (let at = 0; at < bytes.length && ours; at += size) ours = validator.push(bytes.subarray(at, at + size));
        assert.equal(ours && validator.isComplete(), isValid);
      },
    ),
    { seed, numRuns: 3_000 },
  );
});

test('what is written is read again, masked or not, in any sizes (round trip)', () => {
  const size = fc.constantFrom(0, 1, 63, 64, 65, 125, 126, 127, 65_535, 65_536, 70_001);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(size, fc.constantFrom(Opcode.text, Opcode.binary, Opcode.continuation), fc.boolean()), { maxLength: 5 }),
      fc.option(fc.nat(0xffff_ffff)),
      (frames, key) => {
        const writer = new ByteWriter();
        const expected: string[] = [];
        for (const [length, opcode, isFinal] of frames) {
          const payload = new Uint8Array(length).map((_, i) => i * 7);
          writeFrame(writer, { opcode, isFinal, key }, payload);
          expected.push(`${opcode}${isFinal ? '' : '-'}:${latin(payload)}`);
        }
        assert.deepEqual(framesOf(writer.take(), key === null ? Role.client : Role.server), expected);
      },
    ),
    { seed, numRuns: 60 },
  );
});

test('any bytes give events or one error, the same for any cuts (total, split)', () => {
  fc.assert(
    fc.property(anyBytes, fc.constantFrom(Role.server, Role.client), fc.integer({ min: 1, max: 9 }), (bytes, role, size) => {
      const whole = drive(role, bytes, { maxFragments: 3 });
      const cut = drive(role, bytes, { maxFragments: 3, size });
      assert.deepEqual(cut.events, whole.events);
      assert.deepEqual(cut.sent, whole.sent);
      const { error } = cut.connection;
      assert.ok(error === null || (isWireError(error) && error.type !== 'internal'), String(error));
    }),
    { seed, numRuns: 3_000 },
  );
});

/** A machine that has failed says so whenever it is asked. */
function oneError(events: readonly string[]): string[] {
  return events.filter((event, at) => !event.startsWith('error:') || events.indexOf(event) === at);
}

test('chunks may be fed ahead of what is read, and none overtakes another (split)', () => {
  const size = fc.integer({ min: 1, max: 9 });
  const valid = fc
    .array(fc.tuple(fc.constantFrom(1, 2, 9), fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 })), { maxLength: 12 })
    .map((frames) => concatBytes(frames.map(([opcode, text]) => frame(opcode, text))));
  fc.assert(
    fc.property(fc.oneof(valid, anyBytes), fc.array(fc.tuple(size, fc.nat(2)), { minLength: 1 }), (bytes, steps) => {
      const whole = drive(Role.server, bytes.slice());
      const ahead = new Script(Role.server);
      for (let at = 0, step = 0; at < bytes.length; step++) {
        const [length, reads] = steps[step % steps.length] as [number, number];
        ahead.connection.receive(bytes.slice(at, at + length), 0);
        at += length;
        ahead.pump(0, reads);
      }
      ahead.pump();
      assert.deepEqual(oneError(ahead.events), oneError(whole.events));
      assert.equal(ahead.connection.bufferedBytes, whole.connection.bufferedBytes);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('two machines that talk say to each other what was said to them', () => {
  const message = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.uint8Array({ maxLength: 5_000 }));
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 8 }),
      fc.constantFrom(Role.server, Role.client),
      fc.integer({ min: 1, max: 700 }),
      (messages, role, size) => {
        const { connection } = drive(role, new Uint8Array(0));
        for (const one of messages) {
          if (typeof one === 'string') connection.sendText(one);
          else connection.sendBinary(one);
        }
        connection.close(1000, 'end', 0);
        const { events } = drive(role === Role.server ? Role.client : Role.server, concatBytes(connection.takeOutput()), { size });
        const said = messages.map((one) =>
          typeof one === 'string' ? `text:${latin(new TextEncoder().encode(one))}` : `binary:${latin(one)}`,
        );
        assert.deepEqual(events, [...said, 'close:1000:end']);
      },
    ),
    { seed, numRuns: 100 },
  );
});
