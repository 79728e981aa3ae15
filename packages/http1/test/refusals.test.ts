/** Every reason of the decoders, by the shortest input that shows it; whole and a byte at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isWireError } from '@ferrata/error';
import { HTTP1_REASONS, type Http1Reason, http1Error, RequestDecoder, type RequestDecoderOptions, ResponseDecoder } from '../src/index.ts';
import { bytesOf, decodeRequests, decodeResponses, everyByte, type ResponseRun } from './decoding.ts';

interface RequestCase {
  readonly input: string;
  readonly options?: RequestDecoderOptions;
  readonly ends?: boolean;
  /** Bytes after which the reason must be known; default: all of the input. */
  readonly within?: number;
}

const HOST = 'Host: a\r\n';
const GET = `GET / HTTP/1.1\r\n${HOST}`;
const CHUNKED = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;

const requests: readonly (readonly [Http1Reason, number, ...RequestCase[]])[] = [
  [
    'H1_CONTROL_BYTE',
    400,
    { input: '\0' },
    { input: 'G\x01' },
    { input: 'GET /\x7f' },
    { input: 'GET /\t' },
    { input: 'GET / H\0' },
    { input: `${GET}X\0` },
    { input: `${GET}X: a\0` },
    { input: `${GET}X: a\x7f` },
    { input: `${CHUNKED}\0` },
    { input: `${CHUNKED}5\0` },
    { input: `${CHUNKED}5;a\x0b` },
    { input: `${CHUNKED}0\r\n\0` },
  ],
  [
    'H1_BARE_CR',
    400,
    { input: '\rG' },
    { input: 'GET / HTTP/1.1\rH' },
    { input: `${GET}X: a\rb` },
    { input: `${GET}\rX` },
    { input: `${CHUNKED}5\rx` },
    { input: `${CHUNKED}0\r\n\rX` },
  ],
  [
    'H1_BARE_LF',
    400,
    { input: '\n' },
    { input: 'GET\n' },
    { input: 'GET /\n' },
    { input: 'GET / HTTP/1.1\n' },
    { input: 'GET / H\n' },
    { input: `${GET}X\n` },
    { input: `${GET}X: a\n` },
    { input: `${GET}\n` },
    { input: `${CHUNKED}5\n` },
    { input: `${CHUNKED}5;a\n` },
  ],
  ['H1_EMPTY_LINES_TOO_MANY', 400, { input: '\r\n\r\n\r\n\r\n\r' }, { input: '\r', options: { maxEmptyLines: 0 } }],
  ['H1_METHOD_INVALID', 400, { input: ' ' }, { input: '/' }, { input: 'G(' }, { input: 'G\xff' }],
  ['H1_METHOD_TOO_LONG', 501, { input: 'A'.repeat(33) }, { input: 'GETS', options: { maxMethodBytes: 3 } }],
  ['H1_TARGET_EMPTY', 400, { input: 'GET  ' }],
  ['H1_TARGET_INVALID', 400, { input: 'GET /\xe9' }],
  ['H1_TARGET_FRAGMENT', 400, { input: 'GET /a#' }],
  ['H1_TARGET_TOO_LONG', 414, { input: `GET ${'/'.repeat(8193)}` }, { input: 'GET /ab', options: { maxTargetBytes: 2 } }],
  [
    'H1_TARGET_FORM',
    400,
    { input: 'GET a HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'GET * HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n' },
  ],
  ['H1_TARGET_SCHEME', 400, { input: 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n' }],
  [
    'H1_TARGET_AUTHORITY',
    400,
    { input: 'GET http:///p HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'CONNECT a:65536 HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'CONNECT /a:1 HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'CONNECT :80 HTTP/1.1\r\nHost: a\r\n\r\n' },
  ],
  [
    'H1_TARGET_USERINFO',
    400,
    { input: 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n' },
    { input: 'CONNECT u@a:1 HTTP/1.1\r\nHost: a\r\n\r\n' },
  ],
  ['H1_REQUEST_LINE_INCOMPLETE', 400, { input: 'GET\r' }, { input: 'GET /\r' }, { input: 'GET / HTTP/\r' }, { input: 'GET / HTTP/1.\r' }],
  [
    'H1_VERSION_INVALID',
    400,
    { input: 'GET / h' },
    { input: 'GET / HTTP/x' },
    { input: 'GET / HTTP/1.10' },
    { input: 'GET / HTTP/10' },
    { input: 'GET / HTTP/1.1 ' },
  ],
  [
    'H1_VERSION_UNSUPPORTED',
    505,
    { input: 'GET / HTTP/2.0\r\n' },
    { input: 'PRI * HTTP/3.0\r\n'.replace('PRI', 'PRJ') },
    { input: 'GET / HTTP/0.9\r\n' },
  ],
  ['H1_HTTP2_PREFACE', 505, { input: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', within: 16 }],
  ['H1_FIELD_NAME_EMPTY', 400, { input: `${GET}:` }],
  ['H1_FIELD_NAME_INVALID', 400, { input: `${GET}X(` }, { input: `${GET}\xe9` }, { input: `${CHUNKED}0\r\nX@` }],
  ['H1_FIELD_NAME_BLANK', 400, { input: `${GET}X ` }, { input: `${GET}X\t` }, { input: `${CHUNKED}0\r\nX ` }],
  ['H1_FIELD_NAME_TOO_LONG', 431, { input: `${GET}${'x'.repeat(257)}` }, { input: `${CHUNKED}0\r\n${'x'.repeat(257)}` }],
  ['H1_FIELD_COLON_MISSING', 400, { input: `${GET}X\r` }],
  ['H1_FIELD_FOLDED', 400, { input: 'GET / HTTP/1.1\r\n ' }, { input: `${GET}\t` }, { input: `${CHUNKED}0\r\nX: a\r\n ` }],
  [
    'H1_FIELD_TOO_LONG',
    431,
    { input: `${GET}x: ${'a'.repeat(16_382)}` },
    { input: `${GET}x:${' '.repeat(16_382)}a`, within: GET.length + 16_385 },
    { input: `${GET}xyz: abc`, options: { maxFieldBytes: 7 } },
  ],
  ['H1_FIELDS_TOO_MANY', 431, { input: `${GET}${'a:\r\n'.repeat(99)}b` }, { input: 'GET / HTTP/1.1\r\nH', options: { maxFields: 0 } }],
  [
    'H1_HEAD_TOO_LARGE',
    431,
    { input: `${GET}${`x: ${'a'.repeat(8_000)}\r\n`.repeat(5)}`, within: 32_768 },
    { input: `GET /${'a'.repeat(100)}`, options: { maxHeadBytes: 64 }, within: 64 },
  ],
  ['H1_HOST_MISSING', 400, { input: 'GET / HTTP/1.1\r\n\r\n' }],
  ['H1_HOST_REPEATED', 400, { input: `${GET}${HOST}\r\n` }, { input: `GET / HTTP/1.0\r\n${HOST}${HOST}\r\n` }],
  [
    'H1_HOST_INVALID',
    400,
    { input: 'GET / HTTP/1.1\r\nHost:\r\n\r\n' },
    { input: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n' },
    { input: 'GET / HTTP/1.0\r\nHost: a,b c\r\n\r\n' },
  ],
  ['H1_CONTENT_LENGTH_REPEATED', 400, { input: `${GET}Content-Length: 1\r\nContent-Length: 1\r\n\r\n` }],
  [
    'H1_CONTENT_LENGTH_INVALID',
    400,
    { input: `${GET}Content-Length: 1, 1\r\n\r\n` },
    { input: `${GET}Content-Length:\r\n\r\n` },
    { input: `${GET}Content-Length: -1\r\n\r\n` },
    { input: `${GET}Content-Length: 0x1\r\n\r\n` },
  ],
  ['H1_CONTENT_LENGTH_OVERFLOW', 413, { input: `${GET}Content-Length: 9007199254740992\r\n\r\n` }],
  ['H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING', 400, { input: `${GET}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n` }],
  ['H1_TRANSFER_ENCODING_IN_HTTP10', 400, { input: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n' }],
  ['H1_TRANSFER_ENCODING_REPEATED', 400, { input: `${GET}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n` }],
  [
    'H1_TRANSFER_ENCODING_INVALID',
    400,
    { input: `${GET}Transfer-Encoding: gzip\r\n\r\n` },
    { input: `${GET}Transfer-Encoding: chunked, chunked\r\n\r\n` },
    { input: `${GET}Transfer-Encoding: xchunked\r\n\r\n` },
    { input: `${GET}Transfer-Encoding:\r\n\r\n` },
    { input: `${GET}Transfer-Encoding: , chunked\r\n\r\n` },
    { input: `${GET}Transfer-Encoding: chunked;q=1\r\n\r\n` },
  ],
  ['H1_TRANSFER_ENCODING_UNSUPPORTED', 501, { input: `${GET}Transfer-Encoding: gzip, Chunked\r\n\r\n` }],
  [
    'H1_CONNECT_WITH_BODY',
    400,
    { input: 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n' },
    { input: 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n' },
  ],
  [
    'H1_CHUNK_SIZE_INVALID',
    400,
    { input: `${CHUNKED}g` },
    { input: `${CHUNKED}0x` },
    { input: `${CHUNKED}-` },
    { input: `${CHUNKED}\r` },
    { input: `${CHUNKED}5"` },
    { input: `${CHUNKED} ` },
  ],
  ['H1_CHUNK_SIZE_OVERFLOW', 413, { input: `${CHUNKED}20000000000000` }, { input: `${CHUNKED}ffffffffffffff` }],
  ['H1_CHUNK_SIZE_TOO_LONG', 400, { input: `${CHUNKED}${'0'.repeat(17)}` }],
  ['H1_CHUNK_LINE_TOO_LONG', 400, { input: `${CHUNKED}1;${'e'.repeat(255)}` }],
  [
    'H1_CHUNK_EXTENSION_INVALID',
    400,
    { input: `${CHUNKED}5;\r` },
    { input: `${CHUNKED}5 \r` },
    { input: `${CHUNKED}5;=` },
    { input: `${CHUNKED}5;a=\r` },
    { input: `${CHUNKED}5;a="b\r` },
    { input: `${CHUNKED}5;a="b\\\r` },
    { input: `${CHUNKED}5;a="b"c` },
    { input: `${CHUNKED}5;a \r` },
    { input: `${CHUNKED}5;a=b \r` },
    { input: `${CHUNKED}5;a b` },
    { input: `${CHUNKED}5;a=b@` },
    { input: `${CHUNKED}5 x` },
    { input: `${CHUNKED}5;a="b" \r` },
  ],
  [
    'H1_CHUNK_EXTENSIONS_TOO_LARGE',
    413,
    { input: `${CHUNKED}1;aa\r\nx\r\n1;aa`, options: { maxChunkExtensionBytes: 5 } },
    { input: `${CHUNKED}1;`, options: { maxChunkExtensionBytes: 0 } },
  ],
  ['H1_CHUNK_END_MISSING', 400, { input: `${CHUNKED}1\r\nxy` }, { input: `${CHUNKED}1\r\nx\n` }, { input: `${CHUNKED}1\r\nx\rx` }],
  ['H1_CHUNKS_TOO_SMALL', 413, { input: `${CHUNKED}1\r\nx\r\n1\r\nx\r\n1\r\n`, options: { maxTinyChunks: 2 } }],
  [
    'H1_TRAILERS_TOO_LARGE',
    431,
    { input: `${CHUNKED}0\r\nx: ${'a'.repeat(8189)}` },
    { input: `${CHUNKED}0\r\nx: y\r\n`, options: { maxTrailerBytes: 6 } },
  ],
  ['H1_TRAILER_FIELDS_TOO_MANY', 431, { input: `${CHUNKED}0\r\n${'a:\r\n'.repeat(32)}b` }],
  ['H1_TRAILER_FORBIDDEN', 400, { input: `${CHUNKED}0\r\nHost: evil\r\n\r\n`, options: { forbiddenTrailers: 'reject' } }],
  ['H1_TRUNCATED_HEAD', 400, { input: 'G', ends: true }, { input: GET, ends: true }],
  [
    'H1_TRUNCATED_BODY',
    400,
    { input: `${GET}Content-Length: 2\r\n\r\nx`, ends: true },
    { input: `${CHUNKED}0\r\n\r`, ends: true },
    { input: `${CHUNKED}0\r\nX: y\r\n`, ends: true },
  ],
];

const OK = 'HTTP/1.1 200 OK\r\n';

const responses: readonly (readonly [Http1Reason, ...(ResponseRun & { readonly input: string })[]])[] = [
  [
    'H1_CONTROL_BYTE',
    { input: '\0' },
    { input: 'HTTP/1.1 \x01' },
    { input: 'HTTP/1.1 200\t' },
    { input: 'HTTP/1.1 200 a\0' },
    { input: `${OK}X: \0` },
  ],
  ['H1_BARE_CR', { input: 'HTTP/1.1 200 OK\rX' }, { input: 'HTTP/1.1 200\rX' }],
  [
    'H1_BARE_LF',
    { input: '\n' },
    { input: 'HTTP/1.1\n' },
    { input: 'HTTP/1.1 200\n' },
    { input: 'HTTP/1.1 200 OK\n' },
    { input: 'HTTP/1.1 20\n' },
  ],
  ['H1_VERSION_INVALID', { input: 'I' }, { input: 'HTTP/1.1x' }, { input: 'HTTP/11' }, { input: '\r' }, { input: ' ' }],
  ['H1_VERSION_UNSUPPORTED', { input: 'HTTP/2.0 ' }],
  [
    'H1_STATUS_INVALID',
    { input: 'HTTP/1.1  ' },
    { input: 'HTTP/1.1 0' },
    { input: 'HTTP/1.1 20 ' },
    { input: 'HTTP/1.1 2000' },
    { input: 'HTTP/1.1 \r' },
    { input: 'HTTP/1.1 200x' },
  ],
  [
    'H1_STATUS_LINE_TOO_LONG',
    { input: `HTTP/1.1 200 ${'x'.repeat(8180)}` },
    { input: 'HTTP/1.1 200 OKAY', options: { maxStatusLineBytes: 16 } },
  ],
  ['H1_FIELDS_TOO_MANY', { input: `${OK}${'a:\r\n'.repeat(200)}b` }],
  ['H1_FIELD_NAME_BLANK', { input: `${OK}X :` }],
  ['H1_FIELD_FOLDED', { input: `${OK}X: a\r\n b` }],
  ['H1_HEAD_TOO_LARGE', { input: `${OK}${`x: ${'a'.repeat(8_000)}\r\n`.repeat(5)}` }],
  ['H1_CONTENT_LENGTH_REPEATED', { input: `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\n` }],
  [
    'H1_CONTENT_LENGTH_INVALID',
    { input: `${OK}Content-Length: 1x\r\n\r\n` },
    { input: `${OK}Content-Length: x\r\n\r\n`, methods: ['HEAD'] },
  ],
  ['H1_CONTENT_LENGTH_OVERFLOW', { input: `${OK}Content-Length: ${'9'.repeat(17)}\r\n\r\n` }],
  ['H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING', { input: `${OK}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n` }],
  ['H1_TRANSFER_ENCODING_IN_HTTP10', { input: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' }],
  [
    'H1_TRANSFER_ENCODING_INVALID',
    { input: `${OK}Transfer-Encoding: gzip\r\n\r\n` },
    { input: `${OK}Transfer-Encoding: identity\r\n\r\n` },
  ],
  ['H1_TRANSFER_ENCODING_UNSUPPORTED', { input: `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n` }],
  ['H1_CHUNK_SIZE_INVALID', { input: `${OK}Transfer-Encoding: chunked\r\n\r\nz` }],
  ['H1_TRUNCATED_HEAD', { input: 'HTTP/1.1 200', ends: true }, { input: 'HTTP/1.1 100 Continue\r\n\r\n', ends: true }],
  [
    'H1_TRUNCATED_BODY',
    { input: `${OK}Content-Length: 2\r\n\r\nx`, ends: true },
    { input: `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`, ends: true },
  ],
  [
    'H1_CLOSED_BEFORE_RESPONSE',
    { input: '', ends: true },
    { input: `${OK}Content-Length: 0\r\n\r\n`, methods: ['GET', 'GET'], ends: true },
  ],
  [
    'H1_UNEXPECTED_BYTES',
    { input: 'H', methods: [] },
    { input: `${OK}Content-Length: 0\r\n\r\nH` },
    { input: `${OK}Content-Length: 9\r\n\r\nH`, methods: ['HEAD'] },
  ],
];

describe('refused requests', () => {
  for (const [reason, status, ...cases] of requests) {
    for (const { input, options = {}, ends = false, within } of cases) {
      it(`${reason} for ${show(input)}`, () => {
        const whole = decodeRequests([bytesOf(input)], { options, ends });
        assert.equal(whole.reason, reason);
        assert.equal(whole.status, status);
        const split = decodeRequests(everyByte(bytesOf(input)), { options, ends });
        assert.deepEqual({ ...split, consumed: 0 }, { ...whole, consumed: 0 });
        if (!ends && within === undefined) {
          assert.equal(decodeRequests([bytesOf(input.slice(0, -1))], { options }).reason, null, 'one byte less is no error yet');
        }
        if (within !== undefined) {
          assert.equal(decodeRequests([bytesOf(input.slice(0, within))], { options }).reason, reason, 'refused while incomplete');
        }
      });
    }
  }
});

describe('refused responses', () => {
  for (const [reason, ...cases] of responses) {
    for (const { input, ...run } of cases) {
      it(`${reason} for ${show(input)}`, () => {
        const whole = decodeResponses([bytesOf(input)], run);
        assert.equal(whole.reason, reason);
        assert.equal(whole.status, 502, 'RFC 9110 §15.6.3: the client is not to blame');
        assert.deepEqual({ ...decodeResponses(everyByte(bytesOf(input)), run), consumed: 0 }, { ...whole, consumed: 0 });
      });
    }
  }
});

describe('errors', () => {
  it('every reason has a case here', () => {
    const shown = new Set<string>([...requests.map(([reason]) => reason), ...responses.map(([reason]) => reason)]);
    assert.deepEqual(
      HTTP1_REASONS.filter((reason) => !shown.has(reason)),
      [],
    );
  });

  it('the first error of a decoder is final: thrown again by next, while what is fed is dropped', () => {
    for (const decoder of [new RequestDecoder(), new ResponseDecoder()]) {
      decoder.feed(bytesOf('\0'));
      let first: unknown;
      assert.throws(
        () => decoder.next(),
        (error) => isWireError((first = error)),
      );
      decoder.feed(bytesOf('GET / HTTP/1.1\r\n'));
      assert.throws(
        () => decoder.next(),
        (error) => error === first,
      );
      assert.equal(decoder.bufferedBytes, 0);
      assert.equal(decoder.consumedBytes, 17);
    }
  });

  it('a connection that closes before any byte of the response may be tried again if it was reused (RFC 9112 §9.3.1)', () => {
    assert.equal(http1Error('H1_CLOSED_BEFORE_RESPONSE', 'response').retry, 'ifReused');
    assert.equal(http1Error('H1_TRUNCATED_BODY', 'response').retry, 'never');
  });

  it('a message begins with type and reason', () => {
    assert.equal(http1Error('H1_BARE_LF', 'request').message, 'protocol H1_BARE_LF: LF without CR');
  });
});

function show(input: string): string {
  const text = JSON.stringify(input);
  return text.length > 90 ? `${text.slice(0, 60)}… (${input.length} bytes)` : text;
}
