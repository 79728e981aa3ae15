/** Linear work: how often each byte of a head is looked at, whole or a byte at a time. Counted, not timed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldScanner } from '../src/internal/field-scanner.ts';
import { RequestLineScanner } from '../src/internal/request-line-scanner.ts';
import { bytesOf } from './decoding.ts';

const limits = { maxFields: 100, maxFieldBytes: 16_384, maxFieldNameBytes: 256, tooManyReason: 'H1_FIELDS_TOO_MANY' } as const;

/** Bytes that count how often they are read. */
function counting(text: string): { readonly bytes: Uint8Array; readonly reads: () => number } {
  let reads = 0;
  const bytes = new Proxy(bytesOf(text), {
    get: (target, key) => {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads++;
      return Reflect.get(target, key, target) as unknown;
    },
  });
  return { bytes, reads: () => reads };
}

function readsOf(text: string, scanner: FieldScanner | RequestLineScanner, step: number): number {
  const { bytes, reads } = counting(text);
  for (let end = step; end < text.length; end += step) scanner.scan(bytes, 0, end);
  assert.ok(scanner.scan(bytes, 0, text.length));
  return reads();
}

describe('each byte is looked at a few times at most, however the head is cut', () => {
  const line = `GET /${'a'.repeat(8000)} HTTP/1.1\r\n`;
  const fields = `X: ${'a'.repeat(8000)}\r\n${'Y-Z: b \r\n'.repeat(90)}${'n'.repeat(256)}:\t \r\n\r\n`;

  for (const step of [1, 2, 7, 1000, 100_000]) {
    it(`in pieces of ${step}`, () => {
      assert.ok(readsOf(line, new RequestLineScanner({ maxMethodBytes: 32, maxTargetBytes: 8192 }), step) <= 4 * line.length);
      assert.ok(readsOf(fields, new FieldScanner('request', limits), step) <= 4 * fields.length);
    });
  }
});
