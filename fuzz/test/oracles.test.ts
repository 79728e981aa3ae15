import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ByteWriter } from '@ferrata/bytes';
import { HeaderMap } from '@ferrata/headers';
import { BodyLength, RequestDecoder } from '@ferrata/http1';
import { checkAgreement } from '../oracles/agreement.ts';
import { readNaively } from '../oracles/naive-chunked.ts';
import { readRequests, readResponses } from '../oracles/reading.ts';
import { checkRoundTrip } from '../oracles/reencode.ts';
import { sectionsOf } from '../oracles/sections.ts';
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

/** A chunked request; what follows it is another message. */
const CHUNKED = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n';

describe('an exception to the agreement with llhttp', () => {
  /** What we make of `claimed` is given out for our reading of `text`. */
  const claim = (text: string, claimed = text): void => checkAgreement(bytes(text), readRequests(bytes(claimed)), { kind: 'request' });
  const refused = { law: /^(?:llhttp|Node) accepts what we accept$|finds the same end$/ };

  for (const field of ['Content-Length: 5', 'Connection: keep-alive', 'X-Y: 5']) {
    test(`for trailers ends with its message: the request behind it is compared (${field})`, () => {
      const text = `${CHUNKED}POST /b HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n${field.startsWith('Content') ? 'hello' : ''}`;
      const ours = readRequests(bytes(text));
      checkAgreement(bytes(text), ours, { kind: 'request' });
      assert.equal(ours.messages.length, 2);
      ours.messages[1]?.headers.append('X-Lie', '1');
      assert.throws(() => checkAgreement(bytes(text), ours, { kind: 'request' }), { law: 'llhttp reads the same fields' });
    });
  }

  test('for trailers ends with its message: a response that one of the two does not see is noticed', () => {
    const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    const { messages, ...rest } = readResponses(bytes(text), { methods: ['GET', 'GET'] });
    checkAgreement(bytes(text), { messages, ...rest }, { kind: 'response' });
    const fewer = { messages: messages.slice(0, 1), ...rest };
    assert.throws(() => checkAgreement(bytes(text), fewer, { kind: 'response' }), { law: 'llhttp finds no further message' });
  });

  test('for trailers covers the refusal of a control field in the trailers of that very message (RFC 9110 §6.5.1)', () => {
    const trailer = 'Content-Length: 5\r\n\r\n';
    claim(CHUNKED.replace(/\r\n$/, trailer));
    claim(CHUNKED.replace(/\r\n$/, `X-A: 1\r\n${trailer}`) + CHUNKED);
    claim(`${CHUNKED.replace(/\r\n$/, 'Connection: close\r\n\r\n')}${CHUNKED}`);
    // An error of the next message is not that of the trailers.
    const length = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';
    const harmless = CHUNKED.replace(/\r\n$/, 'Upgrade: x\r\n\r\n');
    claim(harmless + length);
    assert.throws(() => claim(harmless + length.replace('Length: 2', 'Length: +2'), harmless + length), refused);
    // In the body it is data.
    const inBody = CHUNKED.replace('2\r\nhi', '15\r\nHi\r\nContent-Length: 5');
    claim(inBody);
    assert.throws(() => claim(inBody.replace('\r\n0\r\n', '\r\n+0\r\n'), inBody), refused);
  });

  for (const size of ['+2', '0x2', '2_', ' 2', '2 ', '-2', '2\t']) {
    for (const excuse of ['Cookie: a=b; c=d', 'X-A: y']) {
      test(`for blanks in chunk extensions does not cover the size ${JSON.stringify(size)} beside "${excuse}" (RFC 9112 §7.1)`, () => {
        const good = CHUNKED.replace('Host: a\r\n', `Host: a\r\n${excuse}\r\n`);
        assert.throws(() => claim(good.replace('\r\n2\r\n', `\r\n${size}\r\n`), good), refused);
      });
    }
  }

  test('for blanks in chunk extensions covers them, and nothing in another message (RFC 9112 §7.1.1)', () => {
    const spaced = CHUNKED.replace('\r\n2\r\n', '\r\n2 ; a = "b"\r\n');
    claim(spaced);
    claim(spaced + CHUNKED);
    assert.throws(() => claim(CHUNKED.replace('\r\n2\r\n', '\r\n2 \r\n') + spaced, CHUNKED + spaced), refused);
  });

  test('for a higher minor version looks at the start line of that message alone (RFC 9110 §2.5)', () => {
    claim('GET / HTTP/1.2\r\nHost: a\r\n\r\n');
    const good = 'GET / HTTP/1.1\r\nHost: a\r\nX: HTTP/1.2 \r\n\r\n';
    claim(good);
    assert.throws(() => claim(good.replace('HTTP/1.1', 'HTTP/3.1'), good), refused);
  });

  test('for a tab behind a framing value looks at the fields of that message alone (RFC 9112 §5.1)', () => {
    const tabbed = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\t\r\n\r\nhi';
    claim(tabbed);
    const wrong = tabbed.replace('2\t', '+2');
    assert.throws(() => claim(wrong + tabbed, tabbed + tabbed), refused);
  });

  test('is not had for an error without a name: behind an upgrade Node tells none', () => {
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
    const spaced = CHUNKED.replace('\r\n2\r\n', '\r\n2 ; a = "b"\r\n');
    claim(upgrade + spaced);
    claim(`${upgrade}BREW / HTTP/1.1\r\nHost: a\r\n\r\n`);
    const both = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2 ; a\r\nhi\r\n0\r\n\r\n';
    assert.throws(() => claim(upgrade + both, upgrade + both.replace('Content-Length: 5\r\n', '')), refused);
  });
});

describe('the parts of an input', () => {
  test('are those of each message, by the framing that was read', () => {
    const text = `\r\n${CHUNKED.replace('0\r\n\r\n', '0;x\r\nX-A: 1\r\n\r\n')}POST /b HTTP/1.1\r\nHost: b\r\n\r\nhelloGET`;
    const [one, two, three] = sectionsOf(text, [{ bodyLength: BodyLength.chunked }, { bodyLength: 5 }, { bodyLength: 0 }]);
    assert.deepEqual(one, {
      at: 2,
      startLine: 'POST / HTTP/1.1',
      fieldLines: ['Host: a', 'Transfer-Encoding: chunked'],
      chunkLines: ['2', '0;x'],
      trailerLines: ['X-A: 1'],
      hasBareFeedInBody: false,
    });
    assert.equal(two?.startLine, 'POST /b HTTP/1.1');
    assert.equal(text.slice(three?.at), 'GET');
    assert.equal(three?.startLine, '');
  });

  test('tell of LF alone behind the head, and skip it before one', () => {
    const bare = '\n\r\nGET / HTTP/1.1\nTransfer-Encoding: chunked\n\n0\r\n\r\n';
    const chunked = [{ bodyLength: BodyLength.chunked }];
    assert.deepEqual([sectionsOf(bare, chunked)[0]?.startLine, sectionsOf(bare, chunked)[0]?.hasBareFeedInBody], ['GET / HTTP/1.1', false]);
    for (const body of ['0\n\r\n', '0\r\nX: y\n\r\n', '0\r\n\n']) {
      assert.equal(sectionsOf(bare.replace('0\r\n\r\n', body), chunked)[0]?.hasBareFeedInBody, true);
    }
  });

  test('are none where the chunks are lost', () => {
    const [one, two] = sectionsOf(CHUNKED.replace('hi', 'high') + CHUNKED, [{ bodyLength: BodyLength.chunked }, { bodyLength: 0 }]);
    assert.deepEqual([one?.chunkLines, one?.trailerLines, two?.startLine], [['2'], [], '']);
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
