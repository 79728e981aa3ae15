/** Laws of the lines of JSON: however they are cut, the same values; whatever they are, values or a WireError; no more work than bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWireError } from '@ferrata/error';
import fc from 'fast-check';
import { JsonLinesReader } from '../../src/discovery/internal/json-lines.ts';

const MAX_LINE_BYTES = 64;

interface Reading {
  readonly values: readonly unknown[];
  /** Why it ended; null: it did not. */
  readonly reason: string | null;
  readonly isInLine: boolean | null;
}

/** Feeds chunk by chunk until one is refused. Anything but a WireError is a bug, and thrown. */
function read(chunks: readonly Uint8Array[], maxLineBytes = MAX_LINE_BYTES): Reading {
  const reader = new JsonLinesReader({ who: 'somebody', maxLineBytes });
  const values: unknown[] = [];
  for (const chunk of chunks) {
    try {
      reader.feed(chunk, (value) => {
        values.push(value);
        return false;
      });
    } catch (thrown) {
      if (!isWireError(thrown)) throw thrown;
      return { values, reason: thrown.reason, isInLine: null };
    }
  }
  return { values, reason: null, isInLine: reader.isInLine };
}

/** Cuts bytes at the places that are given, each a share of the whole. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = places.map((place) => Math.floor(place * bytes.length)).toSorted((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
const line = fc.oneof(
  fc.json({ maxDepth: 1 }),
  fc.json({ maxDepth: 1 }).map((text) => ` \t${text}\r`),
  fc.constantFrom('', ' ', '\r', '{', '"', 'nul', '\ufeff1', '0'.repeat(MAX_LINE_BYTES), `"${'é'.repeat(40)}"`),
  fc.integer({ min: MAX_LINE_BYTES - 4, max: MAX_LINE_BYTES + 2 }).map((length) => `"${'x'.repeat(length)}"`),
);
const stream = fc.oneof(
  fc.array(line, { maxLength: 12 }).map((lines) => new TextEncoder().encode(lines.join('\n'))),
  fc.array(line, { maxLength: 12 }).map((lines) => new TextEncoder().encode(lines.map((text) => `${text}\n`).join(''))),
  fc.uint8Array({ maxLength: 200 }),
);

test('any chunking gives the same values and the same end', () => {
  fc.assert(
    fc.property(stream, places, (bytes, at) => {
      const whole = read([bytes]);
      assert.deepEqual(read(cut(bytes, at)), whole);
      assert.deepEqual(read(Array.from(bytes, (byte) => Uint8Array.of(byte))), whole);
    }),
    { numRuns: 500 },
  );
});

test('lines that are JSON and short enough come as their values, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 10 }), places, (values, at) => {
      const text = values.map((value) => `${JSON.stringify(value)}\n`).join('');
      const found = read(cut(new TextEncoder().encode(text), at), 1_000_000);
      // As JSON has them: -0 is 0.
      assert.deepEqual(found, {
        values: values.map((value) => JSON.parse(JSON.stringify(value)) as unknown),
        reason: null,
        isInLine: false,
      });
    }),
  );
});

test('a line has at most so many bytes, its LF not counted, however it is cut', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 128 }), places, fc.boolean(), (length, at, isEnded) => {
      const bytes = new TextEncoder().encode(`${'1'.repeat(length)}${isEnded ? '\n' : ''}`);
      const { reason } = read(cut(bytes, at));
      assert.equal(reason, length > MAX_LINE_BYTES ? 'DISCOVERY_TOO_LARGE' : null);
    }),
  );
});

test('a chunk that is used again by whoever fed it changes nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), places, (value, at) => {
      const reader = new JsonLinesReader({ who: 'somebody', maxLineBytes: 1_000_000 });
      const found: string[] = [];
      for (const chunk of cut(new TextEncoder().encode(`${JSON.stringify(value)}\n`), at)) {
        const shared = chunk.slice();
        reader.feed(shared, (one) => {
          found.push(JSON.stringify(one));
          return false;
        });
        shared.fill(0);
      }
      assert.deepEqual(found, [JSON.stringify(value)]);
    }),
  );
});
