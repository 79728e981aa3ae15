/** Linear work: how often each byte of a head is looked at, whole or a byte at a time. Counted, not timed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldScanner } from '../src/internal/field-scanner.ts';
import { RequestLineScanner } from '../src/internal/request-line-scanner.ts';
import type { StartLine } from '../src/internal/start-line.ts';
import { StatusLineScanner } from '../src/internal/status-line-scanner.ts';
import { bytesOf } from './decoding.ts';

const NO_LIMIT = 0x3fff_ffff;

const fieldLimits = {
  maxFields: NO_LIMIT,
  maxFieldBytes: NO_LIMIT,
  maxFieldNameBytes: NO_LIMIT,
  tooManyReason: 'H1_FIELDS_TOO_MANY',
} as const;

const lenient = { bareLineFeed: true, foldedFields: true, blankBeforeColon: true };

/** Bytes that count how often they are read, one by one or in words. */
class CountedBytes {
  reads = 0;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(text: string) {
    const real = bytesOf(text);
    const words = new DataView(real.buffer, real.byteOffset, real.length);
    this.bytes = new Proxy(real, {
      get: (target, key) => {
        if (typeof key === 'string' && isDigit(key.charCodeAt(0))) this.reads++;
        return Reflect.get(target, key, target) as unknown;
      },
    });
    const getInt32 = (at: number, isLittleEndian?: boolean): number => {
      this.reads += 4;
      return words.getInt32(at, isLittleEndian);
    };
    this.view = { getInt32 } as unknown as DataView;
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Reads of each byte, on average, when `text` comes `step` bytes at a time. */
function readsOfEach(text: string, scanner: FieldScanner | StartLine, step: number): number {
  const counted = new CountedBytes(text);
  scanner.start(0);
  let isComplete = false;
  for (let end = 0; !isComplete && end < text.length; ) {
    end = Math.min(text.length, end + step);
    isComplete = scanner.scan(counted.bytes, end, counted.view);
  }
  assert.equal(isComplete, true);
  assert.equal(scanner.at, text.length);
  return counted.reads / text.length;
}

const shapes: readonly (readonly [name: string, scanner: () => FieldScanner | StartLine, text: (size: number) => string])[] = [
  [
    'a request line',
    () => new RequestLineScanner({ maxMethodBytes: NO_LIMIT, maxTargetBytes: NO_LIMIT }),
    (size) => `${'M'.repeat(size / 2)} /${'a'.repeat(size / 2)} HTTP/1.1\r\n`,
  ],
  ['a status line', () => new StatusLineScanner({ maxStatusLineBytes: NO_LIMIT }), (size) => `HTTP/1.1 200 ${'a'.repeat(size)}\r\n`],
  ['one long value', () => new FieldScanner('request', fieldLimits), (size) => `X: ${'a'.repeat(size)}\r\n\r\n`],
  [
    'one long name, blanks around its value',
    () => new FieldScanner('request', fieldLimits),
    (size) => `${'n'.repeat(size / 2)}:\t ${' '.repeat(size / 2)}\r\n\r\n`,
  ],
  ['many fields', () => new FieldScanner('request', fieldLimits), (size) => `${'X-Y: a\r\n'.repeat(size / 8)}\r\n`],
  ['many fields that are unusual', () => new FieldScanner('request', fieldLimits), (size) => `${'X-Y:  b \r\n'.repeat(size / 10)}\r\n`],
  [
    'many folds of one field',
    () => new FieldScanner('response', { ...fieldLimits, leniency: lenient }),
    (size) => `X: a\r\n${' \t b \r\n'.repeat(size / 7)}\r\n`,
  ],
  [
    'many blanks before colons, and LF',
    () => new FieldScanner('response', { ...fieldLimits, leniency: lenient }),
    (size) => `${'X   : a\n'.repeat(size / 8)}\n`,
  ],
];

/** A line that is cut or unusual is looked at twice; the end of a value once more, and its trailing blanks. */
const MOST_READS = 4;

describe('each byte is looked at a few times at most, however the head is cut', () => {
  for (const [name, scanner, text] of shapes) {
    for (const step of [1, 2, 7, 1000, 100_000]) {
      it(`${name}, in pieces of ${step}`, () => {
        const reads = readsOfEach(text(8_000), scanner(), step);
        assert.ok(reads <= MOST_READS, `${reads} reads`);
      });
    }
  }
});

describe('a byte at a time, each byte of 1 MiB is looked at as often as each of 1 KiB', () => {
  for (const [name, scanner, text] of shapes) {
    it(name, () => {
      const [small, middle, large] = [1_024, 32_768, 1_048_576].map((size) => readsOfEach(text(size), scanner(), 1)) as [
        number,
        number,
        number,
      ];
      assert.ok(middle <= small * 1.1 && large <= small * 1.1, `${small}, ${middle}, ${large} reads of each byte`);
    });
  }
});
