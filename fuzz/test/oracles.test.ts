import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ByteWriter } from '@ferrata/bytes';
import { HeaderMap } from '@ferrata/headers';
import { RequestDecoder } from '@ferrata/http1';
import { checkAgreement } from '../oracles/agreement.ts';
import { readNaively } from '../oracles/naive-chunked.ts';
import { checkRoundTrip } from '../oracles/reencode.ts';
import { chunkingOf, compareTranscripts, type DecodedMessage, type Transcript, transcribe, wholeChunk } from '../oracles/transcript.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

function message(change: Partial<DecodedMessage> = {}): DecodedMessage {
  return {
    start: 'POST',
    rest: '/a',
    version: 11,
    headers: HeaderMap.from([
      ['Host', 'a'],
      ['Content-Length', '5'],
    ]),
    traits: '',
    bodyLength: 5,
    keepAlive: true,
    isTunnel: false,
    body: 'hello',
    extensions: [],
    trailers: null,
    isComplete: true,
    ...change,
  };
}

const INPUT = bytes('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');

describe('agreement with llhttp', () => {
  const check = (ours: readonly DecodedMessage[], data = INPUT, reason: string | null = null): void => {
    checkAgreement(data, { messages: ours, reason, consumedBytes: 0 }, { kind: 'request' });
  };

  test('holds for what is the same', () => {
    check([message()]);
  });

  const differences: Readonly<Record<string, Partial<DecodedMessage>>> = {
    'llhttp reads the same start line': { rest: '/b' },
    'llhttp reads the same fields': { headers: HeaderMap.from([['Host', 'a']]) },
    'llhttp reads the same body': { body: 'hellO' },
    'llhttp reads the same trailers': { trailers: HeaderMap.from([['X', '1']]) },
    'llhttp waits where we wait': { isComplete: false, body: 'hell' },
  };
  for (const [law, change] of Object.entries(differences)) {
    test(`is broken by another reading: ${law}`, () => {
      assert.throws(() => check([message(change)]), { law });
    });
  }

  test('is broken by a request that only one of the two sees', () => {
    assert.throws(() => check([message(), message()]), { law: 'llhttp accepts what we accept' });
    assert.throws(() => check([]), { law: 'llhttp finds no further message' });
    check([], INPUT, 'H1_ANY');
  });

  test('is broken where llhttp refuses without a listed reason, and not with one', () => {
    const both = bytes('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello');
    assert.throws(() => check([message()], both), { law: 'llhttp accepts what we accept' });
    const unknown = bytes('BREW /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    check([message({ start: 'BREW' })], unknown);
    assert.throws(() => check([message({ start: 'POST' })], unknown), { law: 'llhttp accepts what we accept' });
  });
});

describe('transcripts', () => {
  const readHead = ({ head, bodyLength, keepAlive }: RequestDecoder): DecodedMessage =>
    message({ start: head.method, rest: head.target, headers: head.headers, bodyLength, keepAlive, body: '', isComplete: false });
  const read = (data: Uint8Array, decoder = new RequestDecoder()): Transcript =>
    transcribe(data, { decoder, readHead, isEnded: false, maxKeptBytes: 65_536 }, wholeChunk);

  test('differ for inputs that differ in anything', () => {
    const one = read(INPUT);
    compareTranscripts(one, read(INPUT), 'same');
    for (const other of ['/b', 'Host: b', 'hellO', 'POS']) {
      const [from = ''] = { '/b': ['/a'], 'Host: b': ['Host: a'], hellO: ['hello'], POS: ['POST'] }[other] ?? [];
      const changed = bytes(Buffer.from(INPUT).toString('latin1').replace(from, other));
      assert.throws(() => compareTranscripts(one, read(changed), 'same'), { law: 'same' });
    }
    assert.throws(() => compareTranscripts(one, read(INPUT.subarray(0, -1)), 'same'), { law: 'same' });
  });

  test('find a decoder that loses a byte, or keeps too many', () => {
    class Losing extends RequestDecoder {
      override get bufferedBytes(): number {
        return Math.max(0, super.bufferedBytes - 1);
      }
    }
    assert.throws(() => read(INPUT.subarray(0, 10), new Losing()), { law: 'conservation' });
    const keepsTen = { decoder: new RequestDecoder(), readHead, isEnded: false, maxKeptBytes: 9 };
    assert.throws(() => transcribe(INPUT.subarray(0, 10), keepsTen, wholeChunk), { law: 'bounded memory' });
  });

  test('find a decoder whose error is not final', () => {
    class Forgiving extends RequestDecoder {
      override next(): boolean {
        try {
          return super.next();
        } catch (error) {
          if (this.#hasThrown) return false;
          this.#hasThrown = true;
          throw error;
        }
      }
      #hasThrown = false;
    }
    assert.throws(() => read(bytes('\0'), new Forgiving()), { law: 'the first error is final' });
  });

  test('inputs are cut by their own bytes, in one-byte, small and large chunks', () => {
    const sizes = new Set<number>();
    for (let seed = 0; seed < 64; seed++) {
      const chunkSizeAt = chunkingOf(Uint8Array.of(seed));
      for (let at = 0; at < 64; at++) sizes.add(chunkSizeAt(at));
      assert.equal(chunkingOf(Uint8Array.of(seed))(7), chunkSizeAt(7));
    }
    assert.ok(sizes.has(1) && [...sizes].some((size) => size > 16) && [...sizes].every((size) => size >= 1 && size <= 256));
  });
});

describe('the round trip', () => {
  const readBack =
    (copy: Partial<DecodedMessage>) =>
    (data: Uint8Array): Transcript => ({ messages: [message(copy)], reason: null, consumedBytes: data.length });
  const writeHead = (writer: ByteWriter): void => writer.writeLatin1('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');

  test('holds where the copy is the same, and names what is not', () => {
    checkRoundTrip(message(), writeHead, readBack({}));
    assert.throws(() => checkRoundTrip(message(), writeHead, readBack({ rest: '/b' })), { law: 'the start line survives writing' });
    assert.throws(() => checkRoundTrip(message(), writeHead, readBack({ body: 'HELLO' })), { law: 'the body survives writing' });
    assert.throws(() => checkRoundTrip(message(), writeHead, readBack({ headers: HeaderMap.from([['Host', 'b']]) })), {
      law: 'the fields survive writing',
    });
    assert.throws(() => checkRoundTrip(message(), writeHead, readBack({ isComplete: false })), { law: 'what is written is accepted' });
  });
});

describe('the naive reader of the chunked coding', () => {
  const limits = { maxChunkLineBytes: 32, maxFieldNameBytes: 8 };
  const cases: readonly (readonly [text: string, outcome: string])[] = [
    ['5\r\nhello\r\n0\r\n\r\n', 'complete'],
    ['a ; b = "\\"c" ;d\r\n0123456789\r\n00\r\nX: y\r\n\r\n', 'complete'],
    ['5\r\nhello\r\n0\r\n', 'open'],
    ['5\r\nhel', 'open'],
    ['5\r\nhello\r', 'open'],
    ['5\r\nhelloX', 'invalid'],
    ['5 \r\nhello\r\n0\r\n\r\n', 'invalid'],
    ['5;\r\nhello\r\n0\r\n\r\n', 'invalid'],
    ['0x5\r\nhello\r\n0\r\n\r\n', 'invalid'],
    ['20000000000000\r\n', 'invalid'],
    ['1FFFFFFFFFFFFF\r\n', 'open'],
    ['00000000000000005\r\n', 'invalid'],
    ['5;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nhello', 'invalid'],
    ['0\r\nX : y\r\n\r\n', 'invalid'],
    ['0\r\nTooLongName: y\r\n\r\n', 'invalid'],
  ];
  for (const [text, outcome] of cases) {
    test(`${JSON.stringify(text)} is ${outcome}`, () => {
      assert.equal(readNaively(text, limits).outcome, outcome);
    });
  }
});
