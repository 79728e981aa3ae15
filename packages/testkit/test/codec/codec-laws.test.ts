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
  inSequence,
  LawFailure,
  type LawFailureKind,
  lengthPrefixed,
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

/** Decoders that break one law each, and how; null for an error that is no refusal. */
const broken: Readonly<
  Record<string, readonly [law: keyof typeof codecLawChecks, kind: LawFailureKind | null, decoder: () => DecoderDriver<string>]>
> = {
  'a decoder that takes the end of a chunk for the end of a line': [
    'split',
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
    null,
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
    'not-final',
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
    'held',
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
  'a decoder that refuses for another reason the second time': [
    'total',
    'not-final',
    () =>
      new (class extends LineDecoder {
        override next(): string | null {
          try {
            return super.next();
          } finally {
            if (this.error !== null) this.error = protocolError(`${this.error.message} again`);
          }
        }
      })(),
  ],
  'a decoder that gives more when it is asked twice': [
    'total',
    'unasked',
    () =>
      new (class extends LineDecoder {
        #isPaused = false;

        override next(): string | null {
          this.#isPaused = !this.#isPaused;
          return this.#isPaused && !this.hasEnded ? null : super.next();
        }
      })(),
  ],
  'a decoder that never stops': [
    'total',
    'endless',
    () =>
      new (class extends LineDecoder {
        override next(): string | null {
          return super.next() ?? (this.unread === '' ? null : 'again');
        }
      })(),
  ],
  'a decoder that loses count': [
    'conservation',
    'balance',
    () =>
      new (class extends LineDecoder {
        protected override take(count: number): void {
          super.take(count);
          this.consumedBytes -= 1;
        }
      })(),
  ],
};

/** Takes every error for a refusal, those of assertions too. */
const anyReason = (thrown: unknown): string | null => (thrown instanceof Error ? thrown.message : null);

/** Inputs of which at least one shows each of the faults. */
const telling = ['a\nbb\n', 'aa', 'b\n', 'a\n\xff', 'ab\xffc'].map((text) => Uint8Array.from(text, (character) => character.charCodeAt(0)));

describe('the laws see', () => {
  for (const [title, [law, kind, makeDecoder]] of Object.entries(broken)) {
    for (const [whose, reasonOf] of [
      ['', undefined],
      [', whatever the codec takes for a refusal', anyReason],
    ] as const) {
      // That everything is a refusal is just what its user says.
      if (kind === null && reasonOf !== undefined) continue;
      test(`${title}${whose}`, () => {
        const codec = { ...lineCodec(makeDecoder), ...(reasonOf === undefined ? {} : { reasonOf }) };
        const kinds = telling.map((bytes) => {
          try {
            codecLawChecks[law](codec, bytes, cut(bytes, [1, 1]));
            return 'holds';
          } catch (error) {
            return error instanceof LawFailure ? error.kind : null;
          }
        });
        assert.ok(kinds.includes(kind), kinds.join());
      });
    }
  }

  test('a decoder that puts a chunk in front of what waits, where it may be fed ahead', () => {
    class Overtaking extends LineDecoder {
      #isBetween = true;

      override feed(chunk: Uint8Array): void {
        const waiting = this.unread;
        if (this.#isBetween) this.unread = '';
        super.feed(chunk);
        if (this.#isBetween) this.unread += waiting;
      }

      override next(): string | null {
        const line = super.next();
        this.#isBetween = line !== null;
        return line;
      }
    }
    const codec = { ...lineCodec(() => new Overtaking()), mayBeFedAhead: true };
    const bytes = new TextEncoder().encode('a\nb\nc\n');
    assert.throws(() => codecLawChecks.split(codec, bytes, cut(bytes, [4])), { kind: 'split' });
    assert.equal(findLawBreach(codec, { seed: 1 })?.title, 'split: every cut of a valid input gives the same events');
    assert.equal(findLawBreach({ ...codec, mayBeFedAhead: false }, { seed: 1 }), null);
  });

  test('in every law that a decoder never stops, and say so, whatever the codec takes for a refusal', () => {
    const [, , makeDecoder] = broken['a decoder that never stops'] ?? assert.fail();
    const { compareWithOracle: _, ...codec } = lineCodec(makeDecoder);
    for (const reasonOf of [anyReason, (): string | null => null]) {
      for (const check of Object.values(codecLawChecks)) {
        assert.throws(
          () => check({ ...codec, reasonOf }, Uint8Array.of(0x61), [Uint8Array.of(0x61)]),
          /^LawFailure: the decoder does not stop: 6 events of 1 bytes, 5 may be/,
        );
      }
      assert.throws(() => transcribe({ ...codec, reasonOf }, [Uint8Array.of(0x61)]), { kind: 'endless' });
    }
  });

  test('round trip and oracle too, whatever the codec takes for a refusal', () => {
    const codec = { ...lineCodec(() => new LineDecoder()), reasonOf: anyReason };
    const other = findLawBreach({ ...codec, check: (events) => assert.ok(events.length < 3) }, { seed: 1 });
    assert.equal(other?.title, 'round trip: what was meant is what is read');
    const refused = findLawBreach(
      {
        ...codec,
        makeDecoder: () =>
          new (class extends LineDecoder {
            override next(): string | null {
              return this.unread.includes('b') || this.error !== null ? this.fail('B') : super.next();
            }
          })(),
      },
      { seed: 1 },
    );
    assert.equal(refused?.title, 'round trip: what was meant is what is read');
    assert.match(String(refused.error), /^LawFailure: a valid input was refused: .*B/);
    const read = findLawBreach({ ...codec, compareWithOracle: ({ error }) => assert.equal(error, null) }, { seed: 1 });
    assert.equal(read?.title, 'oracle: an independent implementation reads the same');
  });

  test('an assertion that fails within the user’s own join as what it is', () => {
    const codec = { ...lineCodec(() => new LineDecoder()), join: () => assert.fail('join'), reasonOf: anyReason };
    assert.throws(() => transcribe(codec, [new TextEncoder().encode('a\nb\n')]), /^AssertionError.*join$/);
  });

  test('no need of one object for a refusal and its repetition: the reason says which it is', () => {
    class Forgetting extends LineDecoder {
      override next(): string | null {
        if (this.error !== null) this.error = protocolError('HIGH');
        return super.next();
      }

      override end(): void {
        this.unread = '';
      }
    }
    const { compareWithOracle: _, ...codec } = lineCodec(() => new Forgetting());
    const decoder = new Forgetting();
    decoder.feed(Uint8Array.of(0xff));
    const [first, second] = [1, 2].map(() => {
      try {
        return decoder.next();
      } catch (error) {
        return error;
      }
    });
    assert.notEqual(first, second);
    assert.doesNotThrow(() => codecLawChecks.total(codec, Uint8Array.of(0xff), [Uint8Array.of(0xff)]));
  });

  test('what a decoder does after a refusal, and tell it', () => {
    const [, , makeDecoder] = broken['a decoder that recovers from its error'] ?? assert.fail();
    assert.throws(
      () => codecLawChecks.total(lineCodec(makeDecoder), Uint8Array.of(0xff), [Uint8Array.of(0xff)]),
      /refused with "HIGH", and at call 1 of next\(\) after that it asked for more bytes: after a refusal, next\(\) throws one of the same reason/,
    );
  });

  for (const [title, [law, , makeDecoder]] of Object.entries(broken)) {
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

/** Frames of a length and a payload, with a bug for valid inputs in pieces (long payloads lose a byte), and another one for invalid ones. */
class TwoBugs implements DecoderDriver<Uint8Array> {
  consumedBytes = 0;
  #unread: Uint8Array = new Uint8Array(0);
  #chunks = 0;
  #refusal: SyntaxError | null = null;

  get bufferedBytes(): number {
    return this.#unread.byteLength;
  }

  feed(chunk: Uint8Array): void {
    this.#chunks += 1;
    this.#unread = Uint8Array.of(...this.#unread, ...chunk);
  }

  end(): void {
    if (this.#unread.byteLength === 0) return;
    this.#unread = new Uint8Array(0);
    this.#refusal = new SyntaxError(this.#chunks > 1 ? 'the end is missing, in pieces' : 'the end is missing');
  }

  next(): Uint8Array | null {
    if (this.#refusal !== null) throw this.#refusal;
    const [length = Number.POSITIVE_INFINITY] = this.#unread;
    if (this.#unread.byteLength < 1 + length) return null;
    const payload = this.#unread.slice(this.#chunks > 1 && length >= 5 ? 2 : 1, 1 + length);
    this.#unread = this.#unread.slice(1 + length);
    this.consumedBytes += 1 + length;
    return payload;
  }
}

describe('an input that is made smaller', () => {
  const codec: CodecUnderTest<Uint8Array, readonly Uint8Array[]> = {
    makeDecoder: () => new TwoBugs(),
    join: () => null,
    valid: inSequence(lengthPrefixed({ length: { byteLength: 1 } })),
    check: (events, meaning) => assert.deepEqual(events, meaning),
    reasonOf: (thrown) => (thrown instanceof SyntaxError ? thrown.message : null),
  };

  test('stays valid where the law is about valid inputs, and shows the bug that was found', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const breach = findLawBreach(codec, { seed });
      assert.equal(breach?.title, 'split: every cut of a valid input gives the same events');
      assert.deepEqual([breach.bytes[0], breach.bytes.byteLength, breach.chunks.length], [5, 6, 2], showBytes(breach.bytes));
      assert.match(String(breach.error), /^LawFailure: the events of the pieces are not those of the whole/);
      assert.equal(transcribe(codec, [breach.bytes]).error, null);
    }
  });

  test('stays what the oracle takes too', () => {
    // The decoder takes frames of 9 bytes and more, the protocol has none below: what is smaller is accepted, and not valid.
    const breach = findLawBreach(
      {
        ...codec,
        valid: fc.constantFrom(9, 12).map((length) => {
          const payload = new Uint8Array(length);
          return { bytes: Uint8Array.of(length, ...payload), meaning: [payload] };
        }),
        compareWithOracle: (_, bytes) => assert.ok((bytes[0] ?? 0) >= 9),
      },
      { seed: 1 },
    );
    assert.match(breach?.title ?? '', /^split: every cut of a valid/);
    assert.deepEqual([...(breach?.bytes ?? [])], [9, ...new Uint8Array(9)]);
  });

  test('keeps to an error of one class', () => {
    // Each bug has its own error; whichever was found first is the one shown.
    const make = (): DecoderDriver<string> =>
      new (class extends LineDecoder {
        override next(): string | null {
          if (this.unread.includes('\x90\x91')) throw new RangeError('two');
          if (this.unread.startsWith('\x92')) throw new TypeError('one');
          return super.next();
        }
      })();
    const { compareWithOracle: _, ...lines } = lineCodec(make);
    const breach = findLawBreach(
      { ...lines, nearlyValid: fc.uint8Array({ maxLength: 6 }).map((bytes) => Uint8Array.of(0x61, ...bytes, 0x92, 0x90, 0x91, 0x92)) },
      { seed: 1 },
    );
    assert.ok(breach?.error instanceof RangeError, String(breach?.error));
    assert.deepEqual([...breach.bytes], [0x90, 0x91]);
  });
});
