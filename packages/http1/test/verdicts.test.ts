/**
 * One verdict for each spelling that an attacker tries: which are one message, and for which reason the others are none.
 *
 * `refusals.test.ts` shows every reason by its shortest input; this file walks each rule through the forms it can take.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BodyLength, type Http1Reason } from '../src/index.ts';
import { bytesOf, type DecodedRequest, type DecodedResponse, decodeRequests, decodeResponses, everyByte } from './decoding.ts';

/** The only request in `text`, or why it is refused; whole and a byte at a time. */
function requestOf(text: string): DecodedRequest | string {
  const { messages, reason } = decodeRequests(text);
  const split = decodeRequests(everyByte(bytesOf(text)));
  assert.deepEqual([split.reason, split.messages], [reason, messages]);
  if (reason !== null) return reason;
  assert.equal(messages.length, 1);
  return messages[0] as DecodedRequest;
}

interface Rule<Result> {
  readonly rule: string;
  /** A message with the spelling in its place. */
  readonly message: (spelling: string) => string;
  readonly accepted: readonly (readonly [spelling: string, result: Result])[];
  readonly refused: Partial<Record<Http1Reason, readonly string[]>>;
}

function checkRule<Result>({ rule, message, accepted, refused }: Rule<Result>, resultOf: (request: DecodedRequest) => Result): void {
  describe(rule, () => {
    for (const [spelling, result] of accepted) {
      it(`takes ${JSON.stringify(spelling)}`, () => {
        const request = requestOf(message(spelling));
        assert.ok(typeof request !== 'string', `refused: ${JSON.stringify(request)}`);
        assert.deepEqual(resultOf(request), result);
      });
    }
    for (const [reason, spellings] of Object.entries(refused)) {
      for (const spelling of spellings) {
        it(`refuses ${JSON.stringify(spelling)}: ${reason}`, () => {
          assert.equal(requestOf(message(spelling)), reason);
        });
      }
    }
  });
}

checkRule<number>(
  {
    rule: 'Transfer-Encoding (RFC 9112 §6.1, §7)',
    message: (value) => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:${value}\r\n\r\n0\r\n\r\n`,
    accepted: ['chunked', ' chunked', '\tchunked', ' chunked \t ', ' CHUNKED', ' chUnKed'].map((value) => [value, BodyLength.chunked]),
    refused: {
      H1_TRANSFER_ENCODING_INVALID: [
        '',
        ' ',
        ' chunked;',
        ' chunked;q=1',
        ' "chunked"',
        " 'chunked'",
        ' chunked,',
        ' ,chunked',
        ' , chunked',
        ' chunked, identity',
        ' chunked, chunked',
        ' chunked chunked',
        ' identity',
        ' gzip',
        ' xchunked',
        ' chunkedx',
        ' x-chunked',
        ' chunke',
        ' \xa0chunked',
        ' chunked\xa0',
        ' \x85chunked',
        ' ch\xfcnked',
        ' gzip;q=1, chunked',
        ' chunked\\',
      ],
      H1_TRANSFER_ENCODING_UNSUPPORTED: [' gzip, chunked', ' identity, chunked', ' gzip,deflate , Chunked', ' chunkedx,chunked'],
      H1_CONTROL_BYTE: [' chunked\x0b', ' chunked\x0c', ' \0chunked', ' chunked\0', '\x01chunked', ' chunked\x7f', ' chunked\x1f'],
      H1_BARE_LF: ['\n chunked', ' chunked\n'],
      H1_BARE_CR: ['\rchunked', ' chunked\r', ' chunked\rX'],
      H1_FIELD_FOLDED: ['\r\n chunked', ' chunked\r\n\t', ' chunked\r\n , identity'],
      H1_TRANSFER_ENCODING_REPEATED: [
        ' chunked\r\nTransfer-Encoding: chunked',
        ' chunked\r\ntransfer-encoding: identity',
        ' gzip\r\nTRANSFER-ENCODING:chunked',
      ],
      H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING: [
        ' chunked\r\nContent-Length: 0',
        ' chunked\r\ncontent-length:',
        ' identity\r\nContent-Length: 5',
        '\r\nContent-Length: 5',
        ' chunked\r\nContent-Length: 5\r\nContent-Length: 6',
        ' chunked\r\nContent-Length: x',
      ],
    },
  },
  ({ bodyLength }) => bodyLength,
);

checkRule<number>(
  {
    rule: 'Content-Length (RFC 9110 §8.6)',
    message: (value) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length:${value}\r\n\r\nhello`,
    accepted: [
      ['5', 5],
      [' 5\t ', 5],
      // 1*DIGIT: zeros before it are valid and decimal. We forward the number that we read, never these digits.
      [' 05', 5],
      [` ${'0'.repeat(300)}5`, 5],
      [' 9007199254740991', Number.MAX_SAFE_INTEGER],
    ],
    refused: {
      H1_CONTENT_LENGTH_INVALID: [
        '',
        ' ',
        ' +5',
        ' -5',
        ' -0',
        ' 0x5',
        ' 0b101',
        ' 0o5',
        ' 5.0',
        ' 5e0',
        ' 1_0',
        ' 5 5',
        ' 5,',
        ' ,5',
        ' 5,5',
        ' 5, 6',
        ' 5;',
        ' "5"',
        ' \xb2',
        ' 5\xa0',
        ' Infinity',
        ' NaN',
      ],
      H1_CONTENT_LENGTH_OVERFLOW: [' 9007199254740992', ' 18446744073709551616', ' 18446744073709551621', ` ${'9'.repeat(400)}`],
      H1_CONTENT_LENGTH_REPEATED: [' 5\r\nContent-Length: 5', ' 5\r\ncontent-length: 6', ' 5\r\nCONTENT-LENGTH:'],
      H1_CONTROL_BYTE: [' 5\0', ' \x0b5', ' 5\x0c'],
      H1_FIELD_FOLDED: [' 5\r\n 0', '\r\n 5'],
    },
  },
  ({ bodyLength }) => bodyLength,
);

checkRule<string>(
  {
    rule: 'names of framing fields (RFC 9112 §5.1)',
    message: (name) => `POST / HTTP/1.1\r\nHost: a\r\n${name}: chunked\r\n\r\n`,
    accepted: [
      // Other names, which frame nothing. That they look like one is for filters to mind: `_` stands for `-` in CGI.
      ['Transfer_Encoding', 'Transfer_Encoding'],
      ['Transfer-Encodin', 'Transfer-Encodin'],
      ['X-Transfer-Encoding', 'X-Transfer-Encoding'],
      ['Transfer.Encoding', 'Transfer.Encoding'],
    ],
    refused: {
      H1_FIELD_NAME_BLANK: ['Transfer-Encoding ', 'Transfer-Encoding\t', 'Transfer Encoding'],
      H1_FIELD_FOLDED: [' Transfer-Encoding', '\tTransfer-Encoding'],
      H1_FIELD_NAME_INVALID: [
        'Transfer-Encoding\xa0',
        '\x80Transfer-Encoding',
        'Transfer-Encoding(',
        '"Transfer-Encoding"',
        '[Transfer-Encoding',
        'Transfer/Encoding',
      ],
      H1_CONTROL_BYTE: ['Transfer-Encoding\0', '\0Transfer-Encoding', 'Transfer-\x0bEncoding', 'Transfer-Encoding\x7f'],
      H1_FIELD_NAME_EMPTY: ['', ':Transfer-Encoding'],
      H1_BARE_LF: ['X\nTransfer-Encoding', 'X: y\nTransfer-Encoding'],
      H1_BARE_CR: ['X: y\rTransfer-Encoding', 'X: y\r\r\nTransfer-Encoding'],
      H1_FIELD_COLON_MISSING: ['X\r\nTransfer-Encoding', 'Transfer-Encoding\r'],
    },
  },
  ({ headers, bodyLength }) => {
    assert.equal(bodyLength, 0);
    return headers[1]?.[0] as string;
  },
);

checkRule<string>(
  {
    rule: 'chunk sizes and extensions (RFC 9112 §7.1)',
    message: (line) => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${line}\r\nx\r\n0\r\n\r\n`,
    accepted: ['1', '01', '0000000000000001', '1;a', '1 ;a', '1\t; a', '1;a=b', '1;a = b', '1;a="b"', '1;a="\xff\t"', '1;a="\\"";b'].map(
      (line) => [line, 'x'],
    ),
    refused: {
      H1_CHUNK_SIZE_INVALID: ['-1', '+1', '0x1', '1_0', ' 1', '\t1', '1,', '1.0', '1h', 'x', '', '"1"', '1"', '\xb9', '1\xa0', '\r\n1'],
      // A blank is part of an extension, and there is none: old servers pad sizes so, and readers differ (CVE-2025-22871's class).
      H1_CHUNK_EXTENSION_INVALID: [
        '1 ',
        '1\t',
        `1${' '.repeat(20)}`,
        '1;',
        '1 ;',
        '1;;',
        '1;a;',
        '1;=',
        '1;a=',
        '1;a="',
        '1;a="b',
        '1;a="b\\',
        '1;a="\r\n"',
        '1;a=\\',
        '1 2',
        '1;a b',
        '1;\xe9',
        '1;a=b@',
        '1;a="b"c',
      ],
      H1_CHUNK_SIZE_TOO_LONG: ['00000000000000001', '00000000000000000'],
      H1_CHUNK_SIZE_OVERFLOW: ['20000000000000', 'FFFFFFFFFFFFFFFF', '8000000000000001', '12345678901234567'],
      H1_BARE_LF: ['1\n', '1\n\r', '1;a\n', '1;\n', '1;a="\n"', '\n1', '1 \n'],
      H1_BARE_CR: ['1\r', '1\rx', '1;a\r'],
      H1_CONTROL_BYTE: ['1\0', '\x001', '1;a\0', '1;a="\x7f"', '1;a="\0"', '1\x0b', '1;\x0c'],
    },
  },
  ({ body }) => body,
);

checkRule<readonly [body: string, trailers: unknown]>(
  {
    rule: 'ends of chunks and trailers (RFC 9112 §7.1, §7.1.2)',
    message: (rest) => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx${rest}`,
    accepted: [
      ['\r\n0\r\n\r\n', ['x', null]],
      ['\r\n000;a\r\n\r\n', ['x', null]],
      ['\r\n0\r\nX: 1\r\n\r\n', ['x', [['X', '1']]]],
      [
        '\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nConnection: close\r\nCookie: c\r\nTrailer: t\r\nX:\r\n\r\n',
        ['x', [['X', '']]],
      ],
    ],
    refused: {
      H1_CHUNK_END_MISSING: ['\n0\r\n\r\n', '0\r\n\r\n', 'x\r\n0\r\n\r\n', '\r\r\n0\r\n\r\n', '\rX', ' \r\n0\r\n\r\n', '\0\r\n'],
      H1_CHUNK_SIZE_INVALID: ['\r\n\r\n0\r\n\r\n', '\r\n 0\r\n\r\n'],
      H1_BARE_LF: ['\r\n0\r\n\n', '\r\n0\n\r\n', '\r\n0\r\nX: a\n\r\n', '\r\n0\r\nX\n', '\r\n\n0\r\n\r\n'],
      H1_BARE_CR: ['\r\n0\r\n\rX', '\r\n0\r\n\r\r\n', '\r\n0\rX', '\r\n0\r\nX: a\rb\r\n\r\n'],
      H1_FIELD_FOLDED: ['\r\n0\r\nX: a\r\n b\r\n\r\n', '\r\n0\r\n X: a\r\n\r\n'],
      H1_FIELD_NAME_BLANK: ['\r\n0\r\nX : a\r\n\r\n'],
      H1_FIELD_COLON_MISSING: ['\r\n0\r\nx\r\n\r\n'],
      H1_FIELD_NAME_EMPTY: ['\r\n0\r\n: a\r\n\r\n'],
      H1_CONTROL_BYTE: ['\r\n0\r\nX: \0\r\n\r\n', '\r\n0\r\nX\0: a\r\n\r\n', '\r\n0\r\n\0\r\n'],
    },
  },
  ({ body, trailers, isComplete }) => {
    assert.equal(isComplete, true);
    return [body, trailers];
  },
);

checkRule<string>(
  {
    rule: 'request targets by method (RFC 9112 §3.2)',
    message: (line) => `${line} HTTP/1.1\r\nHost: a\r\n\r\n`,
    accepted: [
      'GET /',
      'GET //evil/',
      'GET /%',
      'GET /%zz%00%0d%0a',
      'GET /\\',
      'GET /@b',
      'GET /a?b?c',
      'GET /*',
      'OPTIONS *',
      'OPTIONS /',
      'OPTIONS http://a',
      'OPTIONS http://a?x',
      'GET http://a',
      'GET http://a?x',
      'GET HTTPS://a/',
      'GET http://[::1]:80/',
      'GET http://1.2.3.4:65535',
      'GET http://a:/',
      'CONNECT a:443',
      'CONNECT [::1]:443',
    ].map((line) => [line, line]),
    refused: {
      H1_TARGET_FORM: [
        'GET *',
        'OPTIONS */',
        'OPTIONS **',
        'GET a',
        'GET a/b',
        'GET ?x',
        'GET a:443',
        'connect a:443',
        'GET \\',
        'GET http:a',
        'GET http:/a',
        'GET mailto:a',
        'GET ://a',
        'GET 1http://a',
      ],
      H1_TARGET_SCHEME: ['GET ftp://a/', 'GET ws://a/', 'GET javascript://a', 'GET file:///a'],
      H1_TARGET_AUTHORITY: [
        'GET http://',
        'GET http:///',
        'GET http:///a',
        'GET http://?x',
        'GET http://:80/',
        'GET http://a:65536/',
        'GET http://a:99999/',
        'GET http://a:b/',
        'GET http://a:-1/',
        'GET http://[::1',
        'GET http://[::1/',
        'GET http://[::g]/',
        'GET http://[fe80::1%25eth0]/',
        'GET http://::1/',
        'GET http://a\\b/',
        'GET http://a%zz/',
        'GET http://a:80:80/',
        'CONNECT *',
        'CONNECT a',
        'CONNECT a:',
        'CONNECT a:0',
        'CONNECT a:65536',
        'CONNECT a:443/',
        'CONNECT a:443?',
        'CONNECT http://a:443',
        'CONNECT /',
        'CONNECT ::1:443',
      ],
      H1_TARGET_USERINFO: ['GET http://u@a/', 'GET http://u:p@a/', 'GET http://@a/', 'GET http://a@b@c/', 'CONNECT u@a:443'],
      H1_TARGET_FRAGMENT: ['GET /#', 'GET /a#b', 'GET http://a/#', 'OPTIONS *#'],
      H1_TARGET_INVALID: ['GET /\x80', 'GET /caf\xe9', 'GET http://\xe9/'],
      H1_TARGET_EMPTY: ['GET ', 'GET  /'],
      H1_CONTROL_BYTE: ['GET /\t', 'GET\t/', 'GET /\0', 'GET /\x7f', 'GET /\x0b', 'G\0ET /', '\tGET /'],
      H1_METHOD_INVALID: [' GET /', '(GET /', 'G@T /', '\x80 /', '"GET" /'],
      H1_REQUEST_LINE_INCOMPLETE: ['GET /\r\n', 'GET\r\n'],
      H1_VERSION_INVALID: ['GET / ', 'GET /a b', 'GET / /'],
      H1_BARE_CR: ['\rGET /'],
      H1_BARE_LF: ['\nGET /', 'GET /\n', 'GET\n/'],
    },
  },
  ({ method, target }) => `${method} ${target}`,
);

checkRule<number>(
  {
    rule: 'versions (RFC 9112 §2.3)',
    message: (version) => `GET / ${version}\r\nHost: a\r\n\r\n`,
    accepted: [
      ['HTTP/1.0', 10],
      ['HTTP/1.1', 11],
      ['HTTP/1.2', 11],
      ['HTTP/1.9', 11],
    ],
    refused: {
      H1_VERSION_INVALID: [
        'HTTP/1.1 ',
        'HTTP/01.1',
        'HTTP/1.01',
        'HTTP/1.10',
        'HTTP/1.1.1',
        'HTTP/11',
        'HTTP/1,1',
        'HTTP/ 1.1',
        'HTTP /1.1',
        'http/1.1',
        'Http/1.1',
        'HTTPS/1.1',
        'HTCPCP/1.0',
        'SIP/2.0',
        ' HTTP/1.1',
        'HTTP/-1.1',
        'HTTP/a.b',
        'HTTP\\1.1',
        'HTTP/1.\xb9',
      ],
      H1_VERSION_UNSUPPORTED: ['HTTP/0.9', 'HTTP/0.0', 'HTTP/2.0', 'HTTP/3.0', 'HTTP/9.9'],
      H1_REQUEST_LINE_INCOMPLETE: ['', 'HTTP', 'HTTP/', 'HTTP/1', 'HTTP/1.', 'H'],
      H1_CONTROL_BYTE: ['\tHTTP/1.1', 'HTTP/1.1\t', 'HTTP/1.1\0', 'HTTP/\x0b1.1'],
      H1_BARE_CR: ['HTTP/1.1\r', 'HTTP/1.1\rX'],
      H1_BARE_LF: ['HTTP/1.1\n', '\n'],
    },
  },
  ({ version }) => version,
);

checkRule<string>(
  {
    rule: 'Host (RFC 9112 §3.2, RFC 3986 §3.2.2)',
    message: (value) => `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`,
    accepted: [
      'a',
      'A.b-c_d',
      'a:',
      'a:0',
      'a:080',
      'a:65535',
      '1.2.3.4',
      '1.2.3.4.5',
      '[::1]',
      '[::1]:80',
      'a.',
      '*',
      "a!$&'()*+,;=b",
      '%41',
      'xn--a',
    ].map((host) => [host, host]),
    refused: {
      H1_HOST_INVALID: [
        '',
        ' ',
        ':80',
        'a b',
        'a,b c',
        'a:65536',
        'a:99999',
        'a:80:80',
        'a:+80',
        'a:8 0',
        'a:b',
        'u@a',
        'u:p@a',
        'a/b',
        'a?b',
        'a#b',
        'a\\b',
        '"a"',
        '<a>',
        '{a}',
        '::1',
        '[::1',
        '[::1]a',
        '[::1]80',
        '[v1.a]',
        '[fe80::1%25eth0]',
        '%',
        '%4',
        '%zz',
        '\xe9',
        'a\x80',
        'http://a',
        '[]',
        '[:::1]',
      ],
      H1_CONTROL_BYTE: ['a\0', '\x0ba'],
      H1_HOST_REPEATED: ['a\r\nHost: a', 'a\r\nhost: b', 'a\r\nHOST:'],
      H1_FIELD_FOLDED: ['a\r\n b', '\r\n a'],
    },
  },
  ({ headers }) => headers[0]?.[1] as string,
);

describe('bodies by method (RFC 9110 §9.3)', () => {
  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'PUT', 'X']) {
    it(`${method}: a body is read by its framing, so that its bytes are no next request`, () => {
      const inner = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
      for (const framed of [
        `Content-Length: ${inner.length}\r\n\r\n${inner}`,
        `Transfer-Encoding: chunked\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
      ]) {
        const { messages, reason } = decodeRequests(`${method} /1 HTTP/1.1\r\nHost: a\r\n${framed}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.equal(reason, null);
        assert.deepEqual(
          messages.map(({ target, body }) => [target, body]),
          [
            ['/1', inner],
            ['/2', ''],
          ],
        );
      }
    });
  }
});

describe('responses that announce a body they cannot have (RFC 9112 §6.1, RFC 9110 §8.6)', () => {
  const stray = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

  function answers(text: string): {
    readonly messages: readonly DecodedResponse[];
    readonly reason: string | null;
    readonly buffered: number;
  } {
    const whole = decodeResponses(text, { methods: ['GET', 'GET'] });
    assert.deepEqual(decodeResponses(everyByte(bytesOf(text)), { methods: ['GET', 'GET'] }), whole);
    return whole;
  }

  for (const framing of [`Content-Length: ${stray.length}`, 'Transfer-Encoding: chunked']) {
    it(`204 with ${framing} ends the connection: what follows is never the answer to the next request`, () => {
      const { messages, reason, buffered } = answers(`HTTP/1.1 204 No Content\r\n${framing}\r\n\r\n${stray}`);
      assert.deepEqual(
        [messages.length, messages[0]?.isComplete, messages[0]?.keepAlive, reason, buffered],
        [1, true, false, null, stray.length],
      );
    });

    it(`103 with ${framing} lets the connection end after the final response`, () => {
      const { messages, reason, buffered } = answers(
        `HTTP/1.1 103 Early Hints\r\n${framing}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${stray}`,
      );
      assert.deepEqual(
        messages.map(({ status, keepAlive }) => [status, keepAlive]),
        [
          [103, false],
          [200, false],
        ],
      );
      assert.deepEqual([reason, buffered], [null, stray.length]);
    });
  }

  it('a length of 0, as many servers write with 204, ends nothing; nor does what HEAD and 304 announce', () => {
    for (const [status, framing] of [
      [204, 'Content-Length: 0'],
      [304, 'Content-Length: 9'],
      [304, 'Transfer-Encoding: chunked'],
    ] as const) {
      const { messages, reason } = answers(`HTTP/1.1 ${status} x\r\n${framing}\r\n\r\n${stray}`);
      assert.deepEqual([messages.map(({ body }) => body), reason], [['', 'evil'], null]);
    }
  });
});
