/** The laws see a codec that breaks them, one law at a time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { protocolError } from '@ferrata/error';
import fc from 'fast-check';
import { type CodecUnderTest, codecLawChecks, codecLaws, cut, type DecoderDriver, transcribe } from '../../src/index.ts';

/** Lines that end in LF; bytes over 0x7f are refused. */
class LineDecoder implements DecoderDriver<string> {
  consumedBytes = 0;
  protected unread = '';
  protected error: Error | null = null;
  protected hasEnded = false;

  get bufferedBytes(): number {
    return this.unread.length;
  }

  feed(chunk: Uint8Array): void {
    if (this.error === null) this.unread += String.fromCharCode(...chunk);
  }

  end(): void {
    this.hasEnded = true;
  }

  next(): string | null {
    if (this.error !== null) throw this.error;
    const at = this.unread.search(/[\n\x80-\xff]/);
    if (at < 0) return this.hasEnded && this.unread !== '' ? this.fail('CUT') : null;
    if (this.unread[at] !== '\n') return this.fail('HIGH');
    const line = this.unread.slice(0, at);
    this.take(at + 1);
    return line;
  }

  protected take(count: number): void {
    this.consumedBytes += count;
    this.unread = this.unread.slice(count);
  }

  protected fail(reason: string): never {
    this.unread = '';
    this.error = protocolError(reason);
    throw this.error;
  }
}

function lineCodec(makeDecoder: () => DecoderDriver<string>): CodecUnderTest<string, readonly string[]> {
  const line = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 5 });
  return {
    makeDecoder,
    join: () => null,
    valid: fc
      .array(line, { maxLength: 5 })
      .map((lines) => ({ bytes: new TextEncoder().encode(lines.map((one) => `${one}\n`).join('')), meaning: lines })),
    check: (events, lines) => assert.deepEqual(events, lines),
    compareWithOracle: ({ events, error }, bytes) => {
      const good = String.fromCharCode(...bytes).split(/[\x80-\xff]/)[0] ?? '';
      const lines = good.split('\n').slice(0, -1);
      assert.deepEqual(events, lines);
      assert.equal(error === null, bytes.length === 0 || String.fromCharCode(...bytes) === lines.map((one) => `${one}\n`).join(''));
    },
  };
}

codecLaws(
  'a decoder of lines',
  lineCodec(() => new LineDecoder()),
  { runs: 50, seed: 1, examples: { 'three lines': new TextEncoder().encode('a\nbb\n\n') } },
);

describe('the laws see', () => {
  const broken: Readonly<Record<string, readonly [law: keyof typeof codecLawChecks, decoder: () => DecoderDriver<string>]>> = {
    'a decoder that takes the end of a chunk for the end of a line': [
      'split',
      () =>
        new (class extends LineDecoder {
          override next(): string | null {
            const line = super.next();
            if (line !== null || this.unread === '' || this.hasEnded) return line;
            const rest = this.unread;
            this.take(rest.length);
            return rest;
          }
        })(),
    ],
    'a decoder that throws something else': [
      'total',
      () =>
        new (class extends LineDecoder {
          override next(): string | null {
            if (this.unread.includes('b')) throw new TypeError('b');
            return super.next();
          }
        })(),
    ],
    'a decoder that recovers from its error': [
      'total',
      () =>
        new (class extends LineDecoder {
          override next(): string | null {
            if (this.error === null) return super.next();
            this.error = null;
            return null;
          }
        })(),
    ],
    'a decoder that holds on to bytes after an error': [
      'total',
      () =>
        new (class extends LineDecoder {
          override fail(reason: string): never {
            const { unread } = this;
            try {
              return super.fail(reason);
            } finally {
              this.unread = `${unread}x`;
            }
          }
        })(),
    ],
    'a decoder that never stops': [
      'total',
      () =>
        new (class extends LineDecoder {
          override next(): string | null {
            return super.next() ?? (this.unread === '' ? null : 'again');
          }
        })(),
    ],
    'a decoder that loses count': [
      'conservation',
      () =>
        new (class extends LineDecoder {
          protected override take(count: number): void {
            super.take(count);
            this.consumedBytes -= 1;
          }
        })(),
    ],
  };
  for (const [title, [law, makeDecoder]] of Object.entries(broken)) {
    test(title, () => {
      const codec = lineCodec(makeDecoder);
      const inputs = ['a\nbb\n', 'aa', 'b\n', 'a\n\xff', 'ab\xffc'].map((text) =>
        Uint8Array.from(text, (character) => character.charCodeAt(0)),
      );
      const failures = inputs.filter((bytes) => {
        try {
          codecLawChecks[law](codec, bytes, cut(bytes, [1, 1]));
          return false;
        } catch {
          return true;
        }
      });
      assert.ok(failures.length > 0);
    });
  }

  test('a transcript ends with the reason of the error', () => {
    const codec = lineCodec(() => new LineDecoder());
    const { events, error } = transcribe(codec, [Uint8Array.of(0x61, 0x0a, 0xff)]);
    assert.deepEqual([events, error], [['a'], 'HIGH']);
  });
});
