/** Every limit of the decoders: at the limit all is well, one more is refused; whole, in pieces, and before the line is complete. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Http1Reason,
  RequestDecoder,
  type RequestDecoderOptions,
  ResponseDecoder,
  type ResponseDecoderOptions,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
} from '../src/index.ts';
import { bytesOf, type Decoded, decodeRequests, decodeResponses, everyByte } from './decoding.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;
const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKS = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

interface LimitCase<Options> {
  readonly option: keyof Options;
  readonly reason: Http1Reason;
  /** A message that uses exactly `count` of what is limited. */
  readonly message: (count: number) => string;
  /** Limits to try besides the default; none for what every message needs some of. */
  readonly small: number;
  /** What else must give way. */
  readonly beside?: Options;
}

/** Cases for both sides. @param head the beginning of a message, without its empty line @param body a whole chunked head */
function sharedCases(head: string, body: string): readonly LimitCase<RequestDecoderOptions & ResponseDecoderOptions>[] {
  const fieldsBefore = head.split('\r\n').length - 2;
  return [
    {
      option: 'maxHeadBytes',
      reason: 'H1_HEAD_TOO_LARGE',
      message: (count) => `${head}X: ${'a'.repeat(count - head.length - 7)}\r\n\r\n`,
      small: 80,
      beside: { maxFieldBytes: 100_000 },
    },
    {
      option: 'maxHeadBytes',
      reason: 'H1_HEAD_TOO_LARGE',
      message: (count) => {
        const lines = Math.floor((count - head.length - 2) / 8);
        return `${head}${'X-Y: a\r\n'.repeat(lines - 1)}X-Y: a${'b'.repeat(count - head.length - 2 - lines * 8)}\r\n\r\n`;
      },
      small: 200,
      beside: { maxFields: 100_000 },
    },
    { option: 'maxFieldBytes', reason: 'H1_FIELD_TOO_LONG', message: (count) => `${head}X: ${'a'.repeat(count - 3)}\r\n\r\n`, small: 20 },
    { option: 'maxFieldBytes', reason: 'H1_FIELD_TOO_LONG', message: (count) => `${head}X:${' '.repeat(count - 3)}a\r\n\r\n`, small: 20 },
    {
      option: 'maxFieldBytes',
      reason: 'H1_FIELD_TOO_LONG',
      message: (count) => `${body}0\r\nX: ${'a'.repeat(count - 3)}\r\n\r\n`,
      small: 30,
      beside: { maxTrailerBytes: 100_000 },
    },
    {
      option: 'maxFieldNameBytes',
      reason: 'H1_FIELD_NAME_TOO_LONG',
      message: (count) => `${head}${'x'.repeat(count)}: a\r\n\r\n`,
      small: 4,
    },
    {
      option: 'maxFieldNameBytes',
      reason: 'H1_FIELD_NAME_TOO_LONG',
      message: (count) => `${body}0\r\n${'x'.repeat(count)}: a\r\n\r\n`,
      small: 17,
    },
    {
      option: 'maxFields',
      reason: 'H1_FIELDS_TOO_MANY',
      message: (count) => `${head}${'a:\r\n'.repeat(count - fieldsBefore)}\r\n`,
      small: 2,
    },
    {
      option: 'maxChunkLineBytes',
      reason: 'H1_CHUNK_LINE_TOO_LONG',
      message: (count) => `${body}1;${'e'.repeat(count - 2)}\r\nx\r\n0\r\n\r\n`,
      small: 32,
    },
    {
      option: 'maxChunkExtensionBytes',
      reason: 'H1_CHUNK_EXTENSIONS_TOO_LARGE',
      message: (count) =>
        `${body}1;${'e'.repeat(count / 2 - 1)}\r\nx\r\n1;${'e'.repeat(count - Math.floor(count / 2) - 1)}\r\nx\r\n0\r\n\r\n`,
      small: 8,
      beside: { maxChunkLineBytes: 100_000 },
    },
    {
      option: 'maxChunkExtensionBytes',
      reason: 'H1_CHUNK_EXTENSIONS_TOO_LARGE',
      // The slow drip: a few bytes with every chunk.
      message: (count) =>
        `${body}${'10;e\r\n0123456789abcdef\r\n'.repeat(Math.floor(count / 2) - 1)}1;${'e'.repeat(1 + (count % 2))}\r\nx\r\n0\r\n\r\n`,
      small: 8,
    },
    {
      option: 'maxTinyChunks',
      reason: 'H1_CHUNKS_TOO_SMALL',
      message: (count) => `${body}${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`,
      small: 2,
    },
    {
      option: 'maxTrailerBytes',
      reason: 'H1_TRAILERS_TOO_LARGE',
      message: (count) => `${body}0\r\nX: ${'a'.repeat(count - 7)}\r\n\r\n`,
      small: 9,
    },
    {
      option: 'maxTrailerFields',
      reason: 'H1_TRAILER_FIELDS_TOO_MANY',
      message: (count) => `${body}0\r\n${'a:\r\n'.repeat(count)}\r\n`,
      small: 1,
    },
  ];
}

const requests: readonly LimitCase<RequestDecoderOptions>[] = [
  ...sharedCases(GET, CHUNKED),
  {
    option: 'maxMethodBytes',
    reason: 'H1_METHOD_TOO_LONG',
    message: (count) => `${'M'.repeat(count)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    small: 1,
  },
  {
    option: 'maxTargetBytes',
    reason: 'H1_TARGET_TOO_LONG',
    message: (count) => `GET /${'a'.repeat(count - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    small: 1,
  },
  { option: 'maxEmptyLines', reason: 'H1_EMPTY_LINES_TOO_MANY', message: (count) => `${'\r\n'.repeat(count)}${GET}\r\n`, small: 1 },
  {
    option: 'maxEmptyLines',
    reason: 'H1_EMPTY_LINES_TOO_MANY',
    message: (count) => `${GET}\r\n${'\r\n'.repeat(count)}${GET}\r\n`,
    small: 0,
  },
];

const responses: readonly LimitCase<ResponseDecoderOptions>[] = [
  ...sharedCases(OK, CHUNKS),
  {
    option: 'maxStatusLineBytes',
    reason: 'H1_STATUS_LINE_TOO_LONG',
    message: (count) => `HTTP/1.1 200 ${'a'.repeat(count - 13)}\r\nContent-Length: 0\r\n\r\n`,
    small: 16,
  },
];

function show(limit: number): string {
  return limit.toLocaleString('en').replaceAll(',', ' ');
}

/** A byte at a time; a few at a time where it would be hundreds of thousands of calls. */
function inPieces(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length <= 20_000) return everyByte(bytes);
  return Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) => bytes.slice(i * 7, i * 7 + 7));
}

/** Both feedings of both messages. */
function checkLimit(decode: (chunks: Uint8Array[]) => Decoded<unknown>, limited: LimitCase<object>, limit: number): void {
  const { message, reason } = limited;
  for (const chunksOf of [(bytes: Uint8Array): Uint8Array[] => [bytes], inPieces]) {
    assert.equal(decode(chunksOf(bytesOf(message(limit)))).reason, null, 'at the limit');
    assert.equal(decode(chunksOf(bytesOf(message(limit + 1)))).reason, reason, 'one more');
  }
}

describe('limits of requests', () => {
  for (const limited of requests) {
    const { option, reason, message, small, beside = {} } = limited;
    for (const limit of [small, resolveRequestDecoderOptions()[option] as number]) {
      it(`${option} ${show(limit)}: ${reason} for ${JSON.stringify(message(small + 1).slice(0, 60))}`, () => {
        checkLimit((chunks) => decodeRequests(chunks, { options: { ...beside, [option]: limit } }), limited, limit);
      });
    }
  }
});

describe('limits of responses', () => {
  for (const limited of responses) {
    const { option, reason, message, small, beside = {} } = limited;
    for (const limit of [small, resolveResponseDecoderOptions()[option] as number]) {
      it(`${option} ${show(limit)}: ${reason} for ${JSON.stringify(message(small + 1).slice(0, 60))}`, () => {
        checkLimit((chunks) => decodeResponses(chunks, { options: { ...beside, [option]: limit } }), limited, limit);
      });
    }
  }
});

describe('maxFieldBytes counts the colon of a line without a value', () => {
  const options = (maxFieldBytes: number): RequestDecoderOptions & ResponseDecoderOptions => ({ maxFieldBytes, maxTrailerBytes: 100_000 });
  const blanks: ResponseDecoderOptions = { leniency: { blankBeforeColon: true } };
  const GET10 = 'GET / HTTP/1.0\r\n';

  /** Lines of `count` bytes. */
  const withoutValue = (count: number): string[] => [`${'x'.repeat(count - 1)}:`, `x${':'.padEnd(count - 1)}`];

  for (const chunksOf of [(bytes: Uint8Array): Uint8Array[] => [bytes], everyByte]) {
    it(`a field line, ${chunksOf === everyByte ? 'a byte at a time' : 'whole'}`, () => {
      for (let limit = 2; limit <= 40; limit++) {
        const reasonOf = (line: string): string | null =>
          decodeRequests(chunksOf(bytesOf(`${GET10}${line}\r\nX:\r\n\r\n`)), { options: options(limit) }).reason;
        for (const line of withoutValue(limit)) assert.equal(reasonOf(line), null, `${limit}: ${line}`);
        for (const line of withoutValue(limit + 1)) assert.equal(reasonOf(line), 'H1_FIELD_TOO_LONG', `${limit}: ${line}`);
      }
    });

    it(`a line with blanks before the colon, ${chunksOf === everyByte ? 'a byte at a time' : 'whole'}`, () => {
      for (let limit = 3; limit <= 40; limit++) {
        for (let name = 1; name <= limit - 2; name++) {
          const reasonOf = (count: number): string | null => {
            const line = `${'x'.repeat(name).padEnd(count - 1)}:`;
            return decodeResponses(chunksOf(bytesOf(`${OK}${line}\r\n\r\n`)), { options: { ...blanks, ...options(limit) } }).reason;
          };
          assert.equal(reasonOf(limit), null, `${name} of ${limit}`);
          assert.equal(reasonOf(limit + 1), 'H1_FIELD_TOO_LONG', `${name} of ${limit + 1}`);
        }
      }
    });

    it(`a trailer, ${chunksOf === everyByte ? 'a byte at a time' : 'whole'}`, () => {
      for (let limit = 30; limit <= 40; limit++) {
        const reasonOf = (line: string): string | null =>
          decodeRequests(chunksOf(bytesOf(`${CHUNKED}0\r\n${line}\r\n\r\n`)), { options: options(limit) }).reason;
        for (const line of withoutValue(limit)) assert.equal(reasonOf(line), null, `${limit}: ${line}`);
        for (const line of withoutValue(limit + 1)) assert.equal(reasonOf(line), 'H1_FIELD_TOO_LONG', `${limit}: ${line}`);
      }
    });
  }
});

describe('a limit is met while the line is incomplete, so that nobody can make a decoder wait and keep', () => {
  const endless: readonly (readonly [Http1Reason, before: string, unit: string, bytesAllowed: number])[] = [
    ['H1_METHOD_TOO_LONG', '', 'M', 32],
    ['H1_TARGET_TOO_LONG', 'GET /', 'a', 8_191],
    ['H1_FIELD_NAME_TOO_LONG', GET, 'n', 256],
    ['H1_FIELD_TOO_LONG', `${GET}X:`, 'v', 16_382],
    ['H1_FIELD_TOO_LONG', `${GET}X:`, ' ', 16_382],
    ['H1_CHUNK_SIZE_TOO_LONG', CHUNKED, '0', 16],
    ['H1_CHUNK_SIZE_OVERFLOW', CHUNKED, 'f', 13],
    ['H1_CHUNK_LINE_TOO_LONG', `${CHUNKED}1;`, 'e', 254],
    ['H1_CHUNK_LINE_TOO_LONG', `${CHUNKED}1`, ' ', 255],
    ['H1_CHUNK_LINE_TOO_LONG', `${CHUNKED}1;e="`, 'e', 251],
    ['H1_TRAILERS_TOO_LARGE', `${CHUNKED}0\r\nX:`, 'v', 8_189],
  ];
  for (const [reason, before, unit, bytesAllowed] of endless) {
    it(`${reason} behind ${JSON.stringify(before.slice(-20))} after ${show(bytesAllowed)} of ${JSON.stringify(unit)}`, () => {
      assert.equal(decodeRequests([bytesOf(before + unit.repeat(bytesAllowed))]).reason, null);
      assert.equal(decodeRequests([bytesOf(before + unit.repeat(bytesAllowed + 1))]).reason, reason);
      assert.equal(decodeRequests(everyByte(bytesOf(before + unit.repeat(bytesAllowed + 1)))).reason, reason);
    });
  }

  it('100 KB of empty lines are refused at the fifth', () => {
    const { reason, messages } = decodeRequests([bytesOf('\r\n'.repeat(4) + '\r'), bytesOf('\n'.repeat(100_000))]);
    assert.deepEqual([reason, messages.length], ['H1_EMPTY_LINES_TOO_MANY', 0]);
  });
});

describe('what is kept is bounded by the limits, whatever comes', () => {
  /** The most that a decoder had kept at any time while it got `text` a byte at a time. */
  function mostKept(decoder: RequestDecoder | ResponseDecoder, text: string): number {
    let most = 0;
    try {
      for (const byte of bytesOf(text)) {
        decoder.feed(Uint8Array.of(byte));
        while (decoder.next());
        most = Math.max(most, decoder.bufferedBytes);
      }
    } catch {
      // The limit.
    }
    return most;
  }

  it('heads and trailers', () => {
    const options = { maxHeadBytes: 256, maxTrailerBytes: 128 };
    assert.ok(mostKept(new RequestDecoder(options), `${GET}${'X: y\r\n'.repeat(100)}`) < 256);
    assert.ok(mostKept(new RequestDecoder(options), `${CHUNKED}0\r\n${'X: y\r\n'.repeat(100)}`) < 128);
  });

  it('nothing of chunk lines, chunks and bodies', () => {
    assert.ok(mostKept(new RequestDecoder(), CHUNKED + '8;some="extension"\r\n12345678\r\n'.repeat(100)) < CHUNKED.length);
  });

  it('nothing of interim responses: each is an event of its own, which the caller counts (RFC 9110 §15.2)', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    let events = 0;
    for (let i = 0; i < 1_000; i++) {
      decoder.feed(bytesOf(interim));
      while (decoder.next()) events++;
      assert.equal(decoder.bufferedBytes, 0);
    }
    assert.equal(events, 1_000);
    assert.equal(decoder.expectedCount, 1);
  });
});
