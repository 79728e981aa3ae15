/** The laws see a codec that breaks them, one law at a time. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { protocolError } from '@ferrata/error';
import fc from 'fast-check';
import {
  type CodecUnderTest,
  codecLawChecks,
  codecLaws,
  cut,
  type DecoderDriver,
  findLawBreach,
  showBytes,
  transcribe,
} from '../../src/index.ts';

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

/** Decoders that break one law each. */
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

describe('the laws see', () => {
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

  for (const [title, [law, makeDecoder]] of Object.entries(broken)) {
    test(`${title}, as a plain function, with an input of a few bytes`, () => {
      const { compareWithOracle: _, ...codec } = lineCodec(makeDecoder);
      const breach = findLawBreach(codec, { seed: 1 });
      assert.ok(breach !== null);
      // A decoder that breaks one law may break one before it too.
      if (law !== 'conservation') assert.ok(breach.bytes.byteLength <= 2, showBytes(breach.bytes));
      assert.ok(breach.error instanceof Error);
      const again = findLawBreach(codec, { seed: 1 });
      assert.deepEqual([again?.title, again?.bytes, again?.chunks, again?.runs], [breach.title, breach.bytes, breach.chunks, breach.runs]);
    });
  }

  test('nothing in a decoder that obeys', () => {
    assert.equal(
      findLawBreach(
        lineCodec(() => new LineDecoder()),
        { seed: 1 },
      ),
      null,
    );
  });

  test('a meaning that is another, in the bytes as they were drawn', () => {
    const codec = lineCodec(() => new LineDecoder());
    const breach = findLawBreach({ ...codec, check: (events) => assert.ok(events.length < 3) }, { seed: 1 });
    assert.equal(breach?.title, 'round trip: what was meant is what is read');
    assert.deepEqual(breach.bytes, new TextEncoder().encode('\n\n\n'));
  });

  test('an oracle that reads something else', () => {
    const codec = lineCodec(() => new LineDecoder());
    const breach = findLawBreach({ ...codec, compareWithOracle: ({ error }) => assert.notEqual(error, 'HIGH') }, { seed: 1 });
    assert.equal(breach?.title, 'oracle: an independent implementation reads the same');
    assert.deepEqual([...breach.bytes], [0x80]);
  });

  test('a refusal by errors of the codec’s own kind, and none in any other', () => {
    class Refusal extends Error {}
    const make =
      (error: Error): (() => DecoderDriver<string>) =>
      () =>
        new (class extends LineDecoder {
          override fail(): never {
            this.unread = '';
            this.error = error;
            throw error;
          }
        })();
    const { compareWithOracle: _, ...codec } = lineCodec(make(new Refusal('no')));
    const reasonOf = (thrown: unknown): string | null => (thrown instanceof Refusal ? thrown.message : null);
    assert.equal(findLawBreach({ ...codec, reasonOf }, { seed: 1 }), null);
    assert.equal(transcribe({ ...codec, reasonOf }, [Uint8Array.of(0xff)]).error, 'no');
    assert.throws(() => transcribe(codec, [Uint8Array.of(0xff)]), Refusal);
    assert.notEqual(findLawBreach({ ...codec, makeDecoder: make(new TypeError('bug')), reasonOf }, { seed: 1 }), null);
  });

  test('what a broken law tells: its least input, the cut, what differs, and the seed', () => {
    const file = fileURLToPath(new URL('fixtures/broken-codec.ts', import.meta.url));
    const { stdout, status } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
      encoding: 'utf8',
      timeout: 30_000,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    });
    assert.equal(status, 1);
    assert.match(stdout, /^ *not ok \d+ - split: every cut of a valid input gives the same events$/m);
    assert.match(stdout, /"\\x00\\x00" \(0000\) in pieces of 1, 1 bytes: /);
    assert.match(stdout, /\(seed 3, input \d+, made smaller\)/);
    assert.match(stdout, /^ *ok \d+ - conservation/m);
  });

  test('a transcript ends with the reason of the error', () => {
    const codec = lineCodec(() => new LineDecoder());
    const { events, error } = transcribe(codec, [Uint8Array.of(0x61, 0x0a, 0xff)]);
    assert.deepEqual([events, error], [['a'], 'HIGH']);
  });
});
