/** Each leniency: off it refuses, on it gives exactly one reading; whole and a byte at a time; and what it never lets in. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BodyLength,
  type Http1Reason,
  type RequestDecoderOptions,
  type RequestLeniency,
  type ResponseDecoderOptions,
  type ResponseLeniency,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
} from '../src/index.ts';
import {
  bytesOf,
  type Decoded,
  type DecodedRequest,
  type DecodedResponse,
  decodeRequests,
  decodeResponses,
  everyByte,
  type Fields,
  type ResponseRun,
} from './decoding.ts';
import { refusedRequests, refusedResponses } from './refused-messages.ts';

const ALL_REQUESTS: Required<RequestLeniency> = {
  bareLineFeed: true,
  missingHost: true,
  nonAsciiTarget: true,
  repeatedEqualContentLength: true,
};

const ALL_RESPONSES: Required<ResponseLeniency> = {
  bareLineFeed: true,
  blankAfterChunkSize: true,
  blankBeforeColon: true,
  contentLengthWithTransferEncoding: true,
  emptyLinesBeforeResponse: true,
  foldedFields: true,
  invalidContentLength: true,
  repeatedEqualContentLength: true,
};

/** Decodes whole, and makes sure that a byte at a time gives the same. */
function readRequests(text: string, options: RequestDecoderOptions): Decoded<DecodedRequest> {
  const whole = decodeRequests(text, { options });
  assert.deepEqual({ ...decodeRequests(everyByte(bytesOf(text)), { options }), consumed: 0 }, { ...whole, consumed: 0 });
  return whole;
}

function readResponses(text: string, run: ResponseRun): Decoded<DecodedResponse> {
  const whole = decodeResponses(text, run);
  assert.deepEqual({ ...decodeResponses(everyByte(bytesOf(text)), run), consumed: 0 }, { ...whole, consumed: 0 });
  return whole;
}

/** What a request came to, as far as leniencies touch it. */
type Outcome = readonly [target: string, fields: Fields, body: string];

interface RequestCase {
  readonly leniency: keyof RequestLeniency;
  readonly input: string;
  /** The reason while it is off. */
  readonly off: Http1Reason;
  readonly on: readonly Outcome[];
}

const HOST: Fields = [['Host', 'a']];

const requests: readonly RequestCase[] = [
  { leniency: 'bareLineFeed', input: 'GET / HTTP/1.1\nHost: a\n\n', off: 'H1_BARE_LF', on: [['/', HOST, '']] },
  { leniency: 'bareLineFeed', input: 'GET / HTTP/1.1\r\nHost: a\r\n\n', off: 'H1_BARE_LF', on: [['/', HOST, '']] },
  { leniency: 'bareLineFeed', input: 'GET / HTTP/1.1\nHost: a\r\n\r\n', off: 'H1_BARE_LF', on: [['/', HOST, '']] },
  { leniency: 'bareLineFeed', input: '\n\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', off: 'H1_BARE_LF', on: [['/', HOST, '']] },
  {
    leniency: 'bareLineFeed',
    input: 'POST /1 HTTP/1.1\nHost: a \t\nX:\nContent-Length: 2\n\nhi\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n',
    off: 'H1_BARE_LF',
    on: [
      ['/1', [...HOST, ['X', ''], ['Content-Length', '2']], 'hi'],
      ['/2', HOST, ''],
    ],
  },
  {
    leniency: 'nonAsciiTarget',
    input: 'GET /caf\xc3\xa9?\xff%41 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n',
    off: 'H1_TARGET_INVALID',
    on: [
      ['/caf%C3%A9?%FF%41', HOST, ''],
      ['/2', HOST, ''],
    ],
  },
  { leniency: 'missingHost', input: 'GET / HTTP/1.1\r\n\r\n', off: 'H1_HOST_MISSING', on: [['/', [], '']] },
  {
    leniency: 'missingHost',
    input: 'POST /1 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a\r\n\r\n',
    off: 'H1_HOST_MISSING',
    on: [
      ['/1', [['Content-Length', '2']], 'hi'],
      ['/2', HOST, ''],
    ],
  },
  { leniency: 'nonAsciiTarget', input: 'GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n', off: 'H1_TARGET_INVALID', on: [['/%80', HOST, '']] },
  {
    leniency: 'repeatedEqualContentLength',
    input: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nX: y\r\ncontent-length: 2\r\n\r\nhi',
    off: 'H1_CONTENT_LENGTH_REPEATED',
    on: [['/', [...HOST, ['Content-Length', '2'], ['X', 'y']], 'hi']],
  },
  {
    leniency: 'repeatedEqualContentLength',
    input: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2,2 , 2\r\nContent-Length: 2\r\n\r\nhi',
    off: 'H1_CONTENT_LENGTH_REPEATED',
    on: [['/', [...HOST, ['Content-Length', '2']], 'hi']],
  },
  {
    leniency: 'repeatedEqualContentLength',
    input: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n',
    off: 'H1_CONTENT_LENGTH_INVALID',
    on: [['/', [...HOST, ['Content-Length', '0']], '']],
  },
];

describe('leniencies of requests', () => {
  for (const { leniency, input, off, on } of requests) {
    it(`${leniency}: ${JSON.stringify(input)}`, () => {
      assert.equal(readRequests(input, {}).reason, off);
      assert.equal(readRequests(input, { leniency: { ...ALL_REQUESTS, [leniency]: false } }).reason, off, 'no other one lets it in');
      for (const allowed of [{ [leniency]: true }, ALL_REQUESTS]) {
        const { messages, reason, buffered } = readRequests(input, { leniency: allowed });
        assert.deepEqual([reason, buffered], [null, 0]);
        assert.deepEqual(
          messages.map(({ target, headers, body }): Outcome => [target, headers, body]),
          on,
        );
        assert.ok(messages.every(({ isComplete, keepAlive }) => isComplete && keepAlive));
      }
    });
  }

  const CHUNKED = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  const never: readonly (readonly [Http1Reason, string])[] = [
    // Chunk lines, chunk ends and trailers.
    ['H1_BARE_LF', `${CHUNKED}1\nx\r\n0\r\n\r\n`],
    ['H1_BARE_LF', `${CHUNKED}1;a\nx\r\n0\r\n\r\n`],
    ['H1_CHUNK_END_MISSING', `${CHUNKED}1\r\nx\n0\r\n\r\n`],
    ['H1_BARE_LF', `${CHUNKED}0\r\n\n`],
    ['H1_BARE_LF', `${CHUNKED}0\r\nX: a\n\r\n`],
    ['H1_FIELD_FOLDED', `${CHUNKED}0\r\nX: a\r\n b\r\n\r\n`],
    ['H1_CHUNK_EXTENSION_INVALID', `${CHUNKED}1 \r\nx\r\n0\r\n\r\n`],
    // Lines that another reader takes for something else.
    ['H1_BARE_CR', 'GET / HTTP/1.1\nHost: a\rX: b\n\n'],
    ['H1_BARE_CR', 'GET / HTTP/1.1\nHost: a\r\r\n\n'],
    ['H1_BARE_CR', 'GET / HTTP/1.1\nHost: a\n\rX\n'],
    ['H1_BARE_CR', '\rGET / HTTP/1.1\n'],
    ['H1_BARE_LF', 'GET /\nHost: a\n\n'],
    ['H1_BARE_LF', 'GET\n'],
    ['H1_BARE_LF', 'GET / HTTP/1\n'],
    ['H1_BARE_LF', 'GET / HTTP/1.1\nX\n'],
    ['H1_FIELD_FOLDED', 'GET / HTTP/1.1\nHost: a\n b\n\n'],
    ['H1_FIELD_NAME_BLANK', 'GET / HTTP/1.1\nHost : a\n\n'],
    ['H1_EMPTY_LINES_TOO_MANY', '\n\n\r\n\n\n'],
    // Bytes over 0x7F in a host, or before anything else.
    ['H1_TARGET_INVALID', 'GET http://\xe9/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['H1_TARGET_INVALID', 'GET http://a/\xe9 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['H1_TARGET_INVALID', 'GET \xe9 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['H1_TARGET_AUTHORITY', 'CONNECT /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['H1_TARGET_FRAGMENT', 'GET /\xe9# HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['H1_CONTROL_BYTE', 'GET /\xe9\x7f HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['H1_HOST_INVALID', 'GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n'],
    // Lengths that are not the same.
    ['H1_CONTENT_LENGTH_REPEATED', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['H1_CONTENT_LENGTH_REPEATED', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 01\r\n\r\n'],
    ['H1_CONTENT_LENGTH_REPEATED', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length:\r\n\r\n'],
    ['H1_CONTENT_LENGTH_INVALID', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n'],
    ['H1_CONTENT_LENGTH_INVALID', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,\r\n\r\n'],
    ['H1_CONTENT_LENGTH_INVALID', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ,\r\n\r\n'],
    ['H1_CONTENT_LENGTH_INVALID', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1, +1\r\n\r\n'],
    ['H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    // What has no option.
    ['H1_HOST_INVALID', 'GET / HTTP/1.1\nHost:\n\n'],
    ['H1_HOST_REPEATED', 'GET / HTTP/1.1\nHost: a\nHost: a\n\n'],
    ['H1_TRANSFER_ENCODING_IN_HTTP10', 'GET / HTTP/1.0\nTransfer-Encoding: chunked\n\n'],
    ['H1_TRANSFER_ENCODING_REPEATED', 'GET / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n'],
  ];
  for (const [reason, input] of never) {
    it(`with all of them: ${reason} for ${JSON.stringify(input)}`, () => {
      assert.equal(readRequests(input, { leniency: ALL_REQUESTS }).reason, reason);
    });
  }

  it('limits hold: a target of maxTargetBytes on the wire, and a line of maxFieldBytes without its LF', () => {
    const options = { leniency: ALL_REQUESTS, maxTargetBytes: 4, maxFieldBytes: 7 };
    assert.equal(readRequests('GET /\xe9\xe9\xe9 HTTP/1.1\nHost: a\n\n', options).messages[0]?.target, '/%E9%E9%E9');
    for (const beyond of ['\xe9', 'a', '\x80', '\xff'])
      assert.equal(readRequests(`GET /\xe9\xe9\xe9${beyond} HTTP/1.1\nHost: a\n\n`, options).reason, 'H1_TARGET_TOO_LONG');
    assert.equal(
      readRequests('GET /abc\xe9', { maxTargetBytes: 4 }).reason,
      'H1_TARGET_INVALID',
      'as anywhere, where no such byte is let in',
    );
    assert.equal(readRequests('GET / HTTP/1.1\nHost: ab\n\n', options).reason, 'H1_FIELD_TOO_LONG');
  });
});

const OK = 'HTTP/1.1 200 OK\r\n';
const CL = 'Content-Length: 2\r\n';
const TE = 'Transfer-Encoding: chunked\r\n';

interface ResponseCase {
  readonly leniency: keyof ResponseLeniency;
  readonly input: string;
  readonly off: Http1Reason;
  /** Fields but those of framing, which stand in `body`. */
  readonly fields?: Fields;
  readonly body?: string;
  readonly bodyLength?: number;
  readonly keepAlive?: boolean;
  readonly methods?: readonly string[];
}

const responses: readonly ResponseCase[] = [
  { leniency: 'bareLineFeed', input: 'HTTP/1.1 200 OK\nX: a \nContent-Length: 2\n\nhi', off: 'H1_BARE_LF', fields: [['X', 'a']] },
  { leniency: 'bareLineFeed', input: 'HTTP/1.1 200\nContent-Length: 2\r\n\nhi', off: 'H1_BARE_LF' },
  { leniency: 'bareLineFeed', input: 'HTTP/1.1 200 \r\nContent-Length: 2\n\r\nhi', off: 'H1_BARE_LF' },
  {
    leniency: 'blankAfterChunkSize',
    input: `${OK}${TE}\r\n2  \t \r\nhi\r\n0   \r\n\r\n`,
    off: 'H1_CHUNK_EXTENSION_INVALID',
    bodyLength: -1,
  },
  { leniency: 'blankAfterChunkSize', input: `${OK}${TE}\r\n2 \r\nhi\r\n0;x\r\n\r\n`, off: 'H1_CHUNK_EXTENSION_INVALID', bodyLength: -1 },
  {
    leniency: 'blankBeforeColon',
    input: `${OK}X : a\r\nY \t :\r\n${CL}\r\nhi`,
    off: 'H1_FIELD_NAME_BLANK',
    fields: [
      ['X', 'a'],
      ['Y', ''],
    ],
  },
  { leniency: 'blankBeforeColon', input: `${OK}Content-Length : 2\r\n\r\nhi`, off: 'H1_FIELD_NAME_BLANK' },
  {
    leniency: 'contentLengthWithTransferEncoding',
    input: `${OK}${CL}${TE}\r\n3\r\nabc\r\n0\r\n\r\n`,
    off: 'H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING',
    body: 'abc',
    bodyLength: BodyLength.chunked,
    keepAlive: false,
  },
  {
    leniency: 'contentLengthWithTransferEncoding',
    input: `${OK}Content-Length: x\r\n${TE}Content-Length: 3\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
    off: 'H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING',
    bodyLength: BodyLength.chunked,
    keepAlive: false,
  },
  {
    leniency: 'contentLengthWithTransferEncoding',
    input: `${OK}${CL}${TE}\r\n`,
    off: 'H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING',
    methods: ['HEAD'],
    body: '',
    bodyLength: 0,
    keepAlive: false,
  },
  { leniency: 'emptyLinesBeforeResponse', input: `\r\n${OK}${CL}\r\nhi`, off: 'H1_VERSION_INVALID' },
  { leniency: 'emptyLinesBeforeResponse', input: `\r\n\r\n\r\n\r\n${OK}${CL}\r\nhi`, off: 'H1_VERSION_INVALID' },
  { leniency: 'foldedFields', input: `${OK}X: a\r\n b\r\n${CL}\r\nhi`, off: 'H1_FIELD_FOLDED', fields: [['X', 'a b']] },
  { leniency: 'foldedFields', input: `${OK}${CL}X:\r\n\t a \t\r\n\t\r\n  b\r\n\r\nhi`, off: 'H1_FIELD_FOLDED', fields: [['X', 'a b']] },
  { leniency: 'foldedFields', input: `${OK}${CL}X: a\r\n \r\n\r\nhi`, off: 'H1_FIELD_FOLDED', fields: [['X', 'a']] },
  { leniency: 'foldedFields', input: `${OK}${CL}X:\r\n \r\n\r\nhi`, off: 'H1_FIELD_FOLDED', fields: [['X', '']] },
  {
    leniency: 'foldedFields',
    input: `${OK}Y: 1\r\n${CL}X: a\r\n Host: evil\r\n\tContent-Length: 9\r\nZ: 2\r\n\r\nhi`,
    off: 'H1_FIELD_FOLDED',
    fields: [
      ['Y', '1'],
      ['X', 'a Host: evil Content-Length: 9'],
      ['Z', '2'],
    ],
  },
  { leniency: 'repeatedEqualContentLength', input: `${OK}${CL}Content-Length: 2, 2\r\n\r\nhi`, off: 'H1_CONTENT_LENGTH_REPEATED' },
];

describe('equal lengths are digits between SP and HTAB and nothing else (RFC 9110 §5.6.3, §8.6)', () => {
  const length = (value: string): Decoded<DecodedRequest> =>
    readRequests(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${value}\r\n\r\nhi`, { leniency: ALL_REQUESTS });

  it('with blanks they are one', () => {
    for (const value of ['2,2', '2 ,\t2', '2\t\t, 2 ,2'])
      assert.deepEqual(length(value).messages[0]?.headers, [...HOST, ['Content-Length', '2']], value);
  });

  for (const space of ['\xa0', '\x85', '\v', '\f', '\x1c', '\r', '\x00']) {
    it(`${JSON.stringify(space)} is no blank`, () => {
      for (const value of [`2,${space}2`, `2${space},2`, `${space}2,${space}2`, `2${space},2${space}`, `2,2${space}`, `2${space}`]) {
        const { messages, reason } = length(value);
        assert.equal(messages.length, 0, value);
        assert.match(reason ?? '', /^H1_(?:CONTENT_LENGTH_INVALID|CONTROL_BYTE|BARE_CR)$/, value);
      }
    });
  }

  it('what is no number is not joined', () => {
    for (const value of ['x, x', ',', '2,', ',2', '+2, +2', '2.0, 2.0', '0x2, 0x2', '2 2, 2 2', '2, 02'])
      assert.equal(length(value).reason, 'H1_CONTENT_LENGTH_INVALID', value);
  });
});

describe('leniencies of responses', () => {
  for (const { leniency, input, off, fields = [], body = 'hi', bodyLength = 2, keepAlive = true, methods = ['GET'] } of responses) {
    it(`${leniency}: ${JSON.stringify(input)}`, () => {
      assert.equal(readResponses(input, { methods }).reason, off);
      const others = { ...ALL_RESPONSES, [leniency]: false };
      assert.equal(readResponses(input, { methods, options: { leniency: others } }).reason, off, 'no other one lets it in');
      for (const allowed of [{ [leniency]: true }, ALL_RESPONSES]) {
        const { messages, reason, buffered } = readResponses(input, { methods, options: { leniency: allowed } });
        assert.deepEqual([reason, buffered, messages.length], [null, 0, 1]);
        const [message] = messages as [DecodedResponse];
        assert.deepEqual(
          message.headers.filter(([name]) => !/^(?:content-length|transfer-encoding)$/i.test(name)),
          fields,
        );
        const framing = message.headers.filter(([name]) => /^(?:content-length|transfer-encoding)$/i.test(name));
        assert.equal(framing.length, 1, 'one field frames the message');
        assert.deepEqual([message.body, message.bodyLength, message.keepAlive, message.isComplete], [body, bodyLength, keepAlive, true]);
      }
    });
  }

  it('emptyLinesBeforeResponse: after an interim response and between responses, and with bareLineFeed also LF', () => {
    const options = { leniency: ALL_RESPONSES };
    const input = `\nHTTP/1.1 103 x\r\n\r\n\r\n\n${OK}${CL}\r\nhi\r\n${OK}${CL}\r\nho`;
    const { messages, reason } = readResponses(input, { methods: ['GET', 'GET'], options });
    assert.equal(reason, null);
    assert.deepEqual(
      messages.map(({ status, body }) => [status, body]),
      [
        [103, ''],
        [200, 'hi'],
        [200, 'ho'],
      ],
    );
  });

  it('invalidContentLength: it goes, the body ends with the connection, and nothing follows', () => {
    const options = { leniency: { invalidContentLength: true } };
    for (const wrong of ['', ' ', 'x', '-1', '+2', '2.0', '0x2', '2 2', '2;3', '\xb2']) {
      const input = `${OK}X: a\r\nContent-Length: ${wrong}\r\n\r\nhi${OK}${CL}\r\nno`;
      assert.equal(readResponses(input, {}).reason, 'H1_CONTENT_LENGTH_INVALID');
      const others = { leniency: { ...ALL_RESPONSES, invalidContentLength: false } };
      assert.equal(readResponses(input, { options: others }).reason, 'H1_CONTENT_LENGTH_INVALID', 'no other one lets it in');
      for (const run of [{ options }, { options: { leniency: ALL_RESPONSES } }]) {
        const { messages, reason } = readResponses(input, { ...run, methods: ['GET', 'GET'], ends: true });
        assert.deepEqual([messages.length, reason], [1, null], wrong);
        const [{ headers, body, bodyLength, keepAlive, isComplete }] = messages as [DecodedResponse];
        assert.deepEqual(headers, [['X', 'a']]);
        assert.deepEqual([body, bodyLength], [`hi${OK}${CL}\r\nno`, BodyLength.untilClose]);
        assert.deepEqual([keepAlive, isComplete], [false, true]);
      }
    }
  });

  it('invalidContentLength: where a response has no body the connection ends all the same, also behind an interim one', () => {
    const options = { leniency: { invalidContentLength: true } };
    for (const [input, method] of [
      [`${OK}Content-Length: x\r\n\r\n`, 'HEAD'],
      ['HTTP/1.1 204 x\r\nContent-Length: x\r\n\r\n', 'GET'],
      ['HTTP/1.1 304 x\r\nContent-Length: x\r\n\r\n', 'GET'],
      [`HTTP/1.1 103 x\r\nContent-Length: x\r\n\r\n${OK}${CL}\r\nhi`, 'GET'],
    ] as const) {
      const { messages, reason } = readResponses(input, { methods: [method], options });
      assert.equal(reason, null);
      assert.deepEqual([messages.at(-1)?.keepAlive, messages.at(-1)?.isComplete], [false, true], input);
      assert.ok(!messages[0]?.headers.some(([name]) => name === 'Content-Length'));
    }
  });

  it('emptyLinesBeforeResponse: four before each response, of CRLF alone', () => {
    const options = { leniency: { emptyLinesBeforeResponse: true } };
    const input = `\r\n\r\n\r\n\r\n${OK}${CL}\r\nhi`;
    assert.equal(readResponses(input.repeat(3), { methods: ['GET', 'GET', 'GET'], options }).messages.length, 3);
    assert.equal(readResponses(`\r\n\n${OK}`, { options }).reason, 'H1_BARE_LF');
  });

  it('emptyLinesBeforeResponse: an end behind an empty line is an end before the response', () => {
    const run = { options: { leniency: ALL_RESPONSES }, ends: true };
    assert.equal(readResponses('\r\n', run).reason, 'H1_CLOSED_BEFORE_RESPONSE');
    assert.equal(readResponses('\r', run).reason, 'H1_CLOSED_BEFORE_RESPONSE');
  });

  const never: readonly (readonly [Http1Reason, string, (readonly string[])?])[] = [
    ['H1_BARE_LF', `${OK}${TE}\r\n1\nx\r\n0\r\n\r\n`],
    ['H1_BARE_LF', `${OK}${TE}\r\n1 \nx\r\n0\r\n\r\n`],
    ['H1_BARE_LF', `${OK}${TE}\r\n0\r\nX: a\n\r\n`],
    ['H1_CHUNK_END_MISSING', `${OK}${TE}\r\n1\r\nx\n0\r\n\r\n`],
    ['H1_CHUNK_SIZE_INVALID', `${OK}${TE}\r\n 1\r\nx\r\n`],
    ['H1_CHUNK_EXTENSION_INVALID', `${OK}${TE}\r\n1 1\r\nx\r\n`],
    ['H1_CHUNK_EXTENSION_INVALID', `${OK}${TE}\r\n1;a \r\nx\r\n`],
    ['H1_CHUNK_EXTENSION_INVALID', `${OK}${TE}\r\n1 ;\r\nx\r\n`],
    ['H1_CHUNK_LINE_TOO_LONG', `${OK}${TE}\r\n1${' '.repeat(256)}`],
    ['H1_FIELD_FOLDED', `${OK}${TE}\r\n0\r\nX: a\r\n b\r\n\r\n`],
    ['H1_FIELD_NAME_BLANK', `${OK}${TE}\r\n0\r\nX : a\r\n\r\n`],
    ['H1_FIELD_FOLDED', `${OK} X: a\r\n\r\n`],
    ['H1_FIELD_FOLDED', `${OK}Content-Length:\r\n 2\r\n\r\nhi`],
    ['H1_FIELD_FOLDED', `${OK}Content-Length: 2\r\n \r\n\r\nhi`],
    ['H1_FIELD_FOLDED', `${OK}Transfer-Encoding: gzip,\r\n chunked\r\n\r\n`],
    ['H1_FIELD_NAME_BLANK', `${OK}X y: a\r\n\r\n`],
    ['H1_FIELD_NAME_INVALID', `${OK}X (: a\r\n\r\n`],
    ['H1_FIELD_COLON_MISSING', `${OK}X \r\n\r\n`],
    ['H1_CONTROL_BYTE', `${OK}X \0: a\r\n\r\n`],
    ['H1_BARE_LF', `${OK}X \n\r\n`],
    ['H1_STATUS_INVALID', 'HTTP/1.1 200x'],
    ['H1_STATUS_INVALID', 'HTTP/1.1 2000'],
    ['H1_CONTROL_BYTE', 'HTTP/1.1 200\0'],
    ['H1_BARE_LF', 'HTTP/1.1 20\n'],
    ['H1_BARE_LF', 'HTTP/1.1\n'],
    ['H1_BARE_CR', `${OK}X: a\rY: b\n\n`],
    ['H1_BARE_CR', `${OK}X: a\r\n b\rc\r\n\r\n`],
    ['H1_BARE_CR', `\rH`],
    ['H1_CONTROL_BYTE', `${OK}X: a\r\n b\0\r\n\r\n`],
    ['H1_EMPTY_LINES_TOO_MANY', '\r\n\n\r\n\r\n\r'],
    ['H1_UNEXPECTED_BYTES', '\r\n', []],
    ['H1_UNEXPECTED_BYTES', `${OK}${CL}\r\nhi\r\n`],
    ['H1_CONTENT_LENGTH_REPEATED', `${OK}${CL}Content-Length: 3\r\n\r\n`],
    ['H1_CONTENT_LENGTH_REPEATED', `${OK}Content-Length: x\r\nContent-Length: x\r\n\r\n`],
    ['H1_CONTENT_LENGTH_INVALID', `${OK}Content-Length: 2, 3\r\n\r\n`],
    ['H1_CONTENT_LENGTH_INVALID', `${OK}Content-Length: x, 2\r\n\r\n`],
    ['H1_CONTENT_LENGTH_INVALID', `${OK}Content-Length: ,\r\n\r\n`],
    ['H1_CONTENT_LENGTH_OVERFLOW', `${OK}Content-Length: 99999999999999999999\r\n\r\n`],
    ['H1_TRANSFER_ENCODING_INVALID', `${OK}${CL}Transfer-Encoding: identity\r\n\r\n`],
    ['H1_TRANSFER_ENCODING_REPEATED', `${OK}${CL}${TE}${TE}\r\n`],
    ['H1_TRANSFER_ENCODING_IN_HTTP10', `HTTP/1.0 200 OK\r\n${CL}${TE}\r\n`],
  ];
  for (const [reason, input, methods = ['GET']] of never) {
    it(`with all of them: ${reason} for ${JSON.stringify(input)}`, () => {
      assert.equal(readResponses(input, { methods, options: { leniency: ALL_RESPONSES } }).reason, reason);
    });
  }

  it('limits hold: a folded field is one line, however many folds it has', () => {
    const options: ResponseDecoderOptions = { leniency: ALL_RESPONSES, maxFieldBytes: 12, maxFields: 2, maxFieldNameBytes: 3 };
    assert.equal(readResponses(`${OK}X: a\r\n b\r\n c\r\nY: 1\r\n\r\n`, { options }).reason, null, '12 bytes with the two CRLF');
    assert.equal(readResponses(`${OK}X: a\r\n b\r\n cd\r\n\r\n`, { options }).reason, 'H1_FIELD_TOO_LONG');
    assert.equal(readResponses(`${OK}X: 123456789\r\n d\r\n\r\n`, { options }).reason, 'H1_FIELD_TOO_LONG', 'already at the limit');
    assert.equal(readResponses(`${OK}X: a\r\nY: b\r\n c\r\nZ: d\r\n\r\n`, { options }).reason, 'H1_FIELDS_TOO_MANY');
    assert.equal(readResponses(`${OK}X: a\r\nY: b\n\n`, { options }).reason, null, 'the end after the last field that may come');
    assert.equal(
      readResponses(`${OK}XYZ        : b\r\n\r\n`, { options }).reason,
      'H1_FIELD_TOO_LONG',
      'blanks count, with what follows them',
    );
    assert.equal(readResponses(`${OK}XYZ       : b\r\n\r\n`, { options }).reason, 'H1_FIELD_TOO_LONG');
    assert.equal(readResponses(`${OK}XYZ      : b\r\n\r\n`, { options }).reason, null);
    assert.equal(readResponses(`${OK}XYZW : b\r\n\r\n`, { options }).reason, 'H1_FIELD_NAME_TOO_LONG');
    assert.equal(readResponses(`${OK}XYZ${' '.repeat(20)}`, { options }).reason, 'H1_FIELD_TOO_LONG', 'blanks alone');
  });
});

describe('what no leniency is about is refused with all of them on too, for the same reason', () => {
  /** Reasons of a strict decoder for what the leniencies let in. */
  const letIn = new Set<Http1Reason>([...requests.map(({ off }) => off), ...responses.map(({ off }) => off)]);

  for (const [reason, , ...cases] of refusedRequests.filter(([name]) => !letIn.has(name) || name === 'H1_VERSION_INVALID')) {
    it(`${reason} of requests`, () => {
      for (const { input, options, ends = false } of cases) {
        const lenient = { ...options, leniency: ALL_REQUESTS };
        for (const chunks of [[bytesOf(input)], everyByte(bytesOf(input))]) {
          assert.equal(decodeRequests(chunks, { options: lenient, ends }).reason, reason, JSON.stringify(input));
        }
      }
    });
  }

  for (const [reason, ...cases] of refusedResponses.filter(([name]) => !letIn.has(name))) {
    it(`${reason} of responses`, () => {
      for (const { input, options, ...run } of cases) {
        const lenient = { ...options, leniency: ALL_RESPONSES };
        for (const chunks of [[bytesOf(input)], everyByte(bytesOf(input))]) {
          assert.equal(decodeResponses(chunks, { ...run, options: lenient }).reason, reason, JSON.stringify(input));
        }
      }
    });
  }
});

describe('the option', () => {
  it('is all false by default, completed and frozen', () => {
    const { leniency } = resolveRequestDecoderOptions({ leniency: { nonAsciiTarget: true } });
    assert.deepEqual(leniency, { bareLineFeed: false, missingHost: false, nonAsciiTarget: true, repeatedEqualContentLength: false });
    assert.ok(Object.isFrozen(leniency) && Object.isFrozen(resolveRequestDecoderOptions().leniency));
    assert.ok(Object.values(resolveResponseDecoderOptions().leniency).every((allowed) => !allowed));
    assert.deepEqual(Object.keys(resolveResponseDecoderOptions().leniency), Object.keys(ALL_RESPONSES));
  });

  it('refuses names that it does not have, also those of the other side, and values that are no booleans', () => {
    const nonsense: readonly object[] = [{ foldedFields: true }, { bareLineFeed: 1 }, { bareLineFeed: 'yes' }, { toString: true }];
    for (const leniency of nonsense) {
      const options = { leniency } as unknown as RequestDecoderOptions;
      assert.throws(() => resolveRequestDecoderOptions(options), {
        name: 'RangeError',
        message: new RegExp(Object.keys(leniency)[0] as string),
      });
    }
    const options = { leniency: { nonAsciiTarget: true } } as unknown as ResponseDecoderOptions;
    assert.throws(() => resolveResponseDecoderOptions(options), { name: 'RangeError', message: /nonAsciiTarget/ });
  });
});
