/** Which header blocks are messages, and what becomes of them (RFC 9113 §8). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { HttpVersion, KnownHeader } from '@ferrata/headers';
import { HpackEncoder, Indexing } from '@ferrata/hpack';
import { FIELD_TAGGER, faultOf, fieldTag, knownIdOf, PseudoHeader, pseudoOf, statusOf } from '../src/field-tags.ts';
import { MESSAGE_REASONS, messageError } from '../src/message-reason.ts';
import { DEFAULT_PRIORITY, isIncremental, urgencyOf } from '../src/priority.ts';
import { RequestReader, type RequestReaderOptions } from '../src/request-reader.ts';
import { ResponseReader } from '../src/response-reader.ts';
import { TrailersReader, type TrailersReaderOptions } from '../src/trailers-reader.ts';
import { blockOf, type Fields, makeDecoder, readBlock } from './blocks.ts';

const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'example.com'],
  [':path', '/'],
];

function readRequest(fields: Fields, options: RequestReaderOptions & { readonly isEndOfStream?: boolean } = {}) {
  const reader = new RequestReader(options);
  readBlock(reader, makeDecoder(), blockOf(fields));
  const head = reader.finish(options.isEndOfStream ?? false);
  return { reader, head, fault: reader.fault };
}

function readResponse(fields: Fields, method = 'GET', isEndOfStream = false) {
  const reader = new ResponseReader();
  readBlock(reader, makeDecoder(), blockOf(fields));
  const head = reader.finish(method, isEndOfStream);
  return { reader, head, fault: reader.fault };
}

/** The same fields, those named as never-indexed literals. */
function secretBlock(fields: Fields, names: readonly string[]): Uint8Array {
  const encoder = new HpackEncoder();
  const writer = new ByteWriter();
  encoder.beginBlock(writer);
  for (const [name, value] of fields) encoder.writeField(writer, name, value, names.includes(name) ? Indexing.never : Indexing.without);
  return writer.take();
}

function readTrailers(fields: Fields, options?: TrailersReaderOptions) {
  const reader = new TrailersReader(options);
  readBlock(reader, makeDecoder(), blockOf(fields));
  const trailers = reader.finish();
  return { trailers, fault: reader.fault };
}

const without = (name: string, fields: Fields = GET): Fields => fields.filter(([one]) => one !== name);
const changed = (name: string, value: string, fields: Fields = GET): Fields =>
  fields.map((field) => (field[0] === name ? [name, value] : field));

describe('requests', () => {
  test('a request becomes a head with Host as its first line and known names in their usual spelling (RFC 9113 §8.3.1)', () => {
    const { head, reader } = readRequest([...GET, ['user-agent', 'x'], ['x-own', '1'], ['te', 'trailers'], ['expect', '100-continue']]);
    assert.deepEqual(
      [...(head?.headers ?? [])],
      [
        ['Host', 'example.com'],
        ['User-Agent', 'x'],
        ['x-own', '1'],
        ['TE', 'trailers'],
        ['Expect', '100-continue'],
      ],
    );
    assert.equal(head?.method, 'GET');
    assert.equal(head?.target, '/');
    assert.equal(head?.version, HttpVersion.http2);
    assert.equal(head?.headers.hasKnown(KnownHeader.host), true);
    assert.deepEqual([reader.scheme, reader.protocol, reader.contentLength, reader.priority], ['https', null, -1, DEFAULT_PRIORITY]);
  });

  test('a request without field lines has its Host all the same, and END_STREAM says that there is no DATA', () => {
    const { head, reader } = readRequest(GET, { isEndOfStream: true });
    assert.deepEqual([...(head?.headers ?? [])], [['Host', 'example.com']]);
    assert.equal(reader.contentLength, 0);
  });

  test('one reader reads one message after the other, in fragments of any size, and keeps nothing of the last', () => {
    const reader = new RequestReader();
    const decoder = makeDecoder();
    const encoder = new HpackEncoder();
    for (let size = 1; size < 40; size++) {
      const isBad = size % 5 === 0;
      const block = blockOf(
        [...GET, ['x-size', `${size}`], ['content-length', `${size}`], ...(isBad ? ([['Bad', '1']] as Fields) : [])],
        encoder,
      );
      readBlock(reader, decoder, block, size);
      const head = reader.finish(false);
      assert.equal(reader.fault, isBad ? 'H2_FIELD_NAME_UPPERCASE' : null);
      if (isBad) assert.equal(head, null);
      else {
        assert.equal(head?.headers.get('x-size'), `${size}`);
        assert.equal(head?.headers.size, 3);
        assert.equal(reader.contentLength, size);
      }
    }
  });

  const refused: Record<string, readonly [string, Fields, RequestReaderOptions?]> = {
    'no :method': ['H2_PSEUDO_MISSING', without(':method')],
    'no :scheme': ['H2_PSEUDO_MISSING', without(':scheme')],
    'no :path': ['H2_PSEUDO_MISSING', without(':path')],
    'no fields at all': ['H2_PSEUDO_MISSING', []],
    'an empty :path (§8.3.1)': ['H2_PATH_INVALID', changed(':path', '')],
    'a :path without its slash': ['H2_PATH_INVALID', changed(':path', 'index.html')],
    'an absolute URI as :path': ['H2_PATH_INVALID', changed(':path', 'http://example.com/')],
    'a blank in :path': ['H2_PATH_INVALID', changed(':path', '/ HTTP/1.1')],
    'CR LF in :path': ['H2_PATH_INVALID', changed(':path', '/\r\nx: y')],
    'a fragment in :path': ['H2_PATH_INVALID', changed(':path', '/#a')],
    'a byte above 0x7f in :path': ['H2_PATH_INVALID', changed(':path', '/\xe4')],
    'a :path over its limit': ['H2_PATH_TOO_LONG', changed(':path', `/${'a'.repeat(100)}`), { maxTargetBytes: 100 }],
    '* without OPTIONS (§8.3.1)': ['H2_PATH_INVALID', changed(':path', '*')],
    'a :method with a blank': ['H2_METHOD_INVALID', changed(':method', 'GET /x HTTP/1.1\r\n')],
    'an empty :method': ['H2_METHOD_INVALID', changed(':method', '')],
    'a :method of 33 bytes': ['H2_METHOD_TOO_LONG', changed(':method', 'A'.repeat(33))],
    'another :scheme': ['H2_SCHEME_INVALID', changed(':scheme', 'ftp')],
    'a :scheme that holds a URI': ['H2_SCHEME_INVALID', changed(':scheme', 'http://evil/?')],
    'user information in :authority (§8.3.1)': ['H2_AUTHORITY_INVALID', changed(':authority', 'u@example.com')],
    'an empty :authority': ['H2_AUTHORITY_INVALID', changed(':authority', '')],
    'CR LF in :authority': ['H2_AUTHORITY_INVALID', changed(':authority', 'a\r\nb')],
    'neither :authority nor Host (§8.3.1)': ['H2_AUTHORITY_MISSING', without(':authority')],
    'a pseudo-header field twice (§8.3)': ['H2_PSEUDO_REPEATED', [...GET, [':path', '/']]],
    'a pseudo-header field behind a field line (§8.3)': ['H2_PSEUDO_LATE', [...GET.slice(0, 3), ['a', 'b'], [':path', '/']]],
    'an unknown pseudo-header field (§8.3)': ['H2_PSEUDO_UNKNOWN', [...GET, [':foo', 'x']]],
    ':status in a request (§8.3)': ['H2_PSEUDO_UNKNOWN', [...GET, [':status', '200']]],
    ':protocol that was not offered (RFC 8441 §3)': [
      'H2_PROTOCOL_NOT_ENABLED',
      [...changed(':method', 'CONNECT'), [':protocol', 'websocket']],
    ],
    ':protocol without CONNECT (RFC 8441 §4)': [
      'H2_PROTOCOL_INVALID',
      [...GET, [':protocol', 'websocket']],
      { isConnectProtocolEnabled: true },
    ],
    ':protocol that is no token': ['H2_PROTOCOL_INVALID', [[':protocol', 'a b'], ...GET], { isConnectProtocolEnabled: true }],
    'extended CONNECT without :scheme': [
      'H2_PSEUDO_MISSING',
      [...without(':scheme', changed(':method', 'CONNECT')), [':protocol', 'websocket']],
      { isConnectProtocolEnabled: true },
    ],
    'extended CONNECT without :authority': [
      'H2_PSEUDO_MISSING',
      [...without(':authority', changed(':method', 'CONNECT')), [':protocol', 'websocket'], ['host', 'example.com']],
      { isConnectProtocolEnabled: true },
    ],
    'extended CONNECT for *': [
      'H2_PATH_INVALID',
      [...changed(':path', '*', changed(':method', 'CONNECT')), [':protocol', 'websocket']],
      { isConnectProtocolEnabled: true },
    ],
    'CONNECT with :scheme and :path (§8.5)': ['H2_CONNECT_INVALID', changed(':method', 'CONNECT')],
    'CONNECT without :authority (§8.5)': ['H2_PSEUDO_MISSING', [[':method', 'CONNECT']]],
    'CONNECT without a port (RFC 9110 §9.3.6)': [
      'H2_AUTHORITY_INVALID',
      [
        [':method', 'CONNECT'],
        [':authority', 'example.com'],
      ],
    ],
    'CONNECT to port 0': [
      'H2_AUTHORITY_INVALID',
      [
        [':method', 'CONNECT'],
        [':authority', 'example.com:0'],
      ],
    ],
    'CONNECT with a length': [
      'H2_CONNECT_INVALID',
      [
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
        ['content-length', '0'],
      ],
    ],
    'Host of another host (§8.3.1)': ['H2_HOST_DIFFERS', [...GET, ['host', 'evil.example']]],
    'Host with another port': ['H2_HOST_DIFFERS', [...GET, ['host', 'example.com:80']]],
    'two Hosts': ['H2_HOST_REPEATED', [...GET, ['host', 'example.com'], ['host', 'example.com']]],
    'an invalid Host': ['H2_HOST_INVALID', [...GET, ['host', 'a b']]],
    'an upper-case name (§8.2.1)': ['H2_FIELD_NAME_UPPERCASE', [...GET, ['X-Up', '1']]],
    'a name with a blank (§8.2.1)': ['H2_FIELD_NAME_INVALID', [...GET, ['a b', '1']]],
    'a name with CR LF': ['H2_FIELD_NAME_INVALID', [...GET, ['a\r\nb', '1']]],
    'a name with a colon in it': ['H2_FIELD_NAME_INVALID', [...GET, ['a:b', '1']]],
    'a name above 0x7f': ['H2_FIELD_NAME_INVALID', [...GET, ['\xe4', '1']]],
    'a name of no bytes (CVE-2019-9516)': ['H2_FIELD_NAME_INVALID', [...GET, ['', '1']]],
    'a name of 257 bytes': ['H2_FIELD_NAME_TOO_LONG', [...GET, ['a'.repeat(257), '1']]],
    'CR LF in a value (§8.2.1)': ['H2_FIELD_VALUE_INVALID', [...GET, ['a', 'b\r\nc: d']]],
    'LF in a value': ['H2_FIELD_VALUE_INVALID', [...GET, ['a', 'b\nc']]],
    'NUL in a value': ['H2_FIELD_VALUE_INVALID', [...GET, ['a', 'b\0c']]],
    'DEL in a value': ['H2_FIELD_VALUE_INVALID', [...GET, ['a', 'b\x7f']]],
    'a blank before a value (§8.2.1)': ['H2_FIELD_VALUE_INVALID', [...GET, ['a', ' b']]],
    'a tab behind a value (§8.2.1)': ['H2_FIELD_VALUE_INVALID', [...GET, ['a', 'b\t']]],
    'Connection (§8.2.2)': ['H2_CONNECTION_FIELD', [...GET, ['connection', 'close']]],
    'Keep-Alive (§8.2.2)': ['H2_CONNECTION_FIELD', [...GET, ['keep-alive', '1']]],
    'Proxy-Connection (§8.2.2)': ['H2_CONNECTION_FIELD', [...GET, ['proxy-connection', 'close']]],
    'Transfer-Encoding, h2.TE (§8.2.2)': ['H2_CONNECTION_FIELD', [...GET, ['transfer-encoding', 'chunked']]],
    'Upgrade (§8.2.2)': ['H2_CONNECTION_FIELD', [...GET, ['upgrade', 'h2c']]],
    'HTTP2-Settings (RFC 7540 §3.2.1)': ['H2_CONNECTION_FIELD', [...GET, ['http2-settings', 'AA']]],
    'TE beside trailers (§8.2.2)': ['H2_TE_INVALID', [...GET, ['te', 'trailers, deflate']]],
    'two lengths, h2.CL (§8.1.1)': ['H2_CONTENT_LENGTH_REPEATED', [...GET, ['content-length', '1'], ['content-length', '1']]],
    'a list of lengths': ['H2_CONTENT_LENGTH_INVALID', [...GET, ['content-length', '1, 1']]],
    'a length with a sign': ['H2_CONTENT_LENGTH_INVALID', [...GET, ['content-length', '+1']]],
    'an empty length': ['H2_CONTENT_LENGTH_INVALID', [...GET, ['content-length', '']]],
    'a length beyond 2^53': ['H2_CONTENT_LENGTH_OVERFLOW', [...GET, ['content-length', '9007199254740992']]],
  };
  for (const [what, [reason, fields, options]] of Object.entries(refused)) {
    test(`${what} is refused with ${reason}`, () => {
      const { head, fault } = readRequest(fields, options);
      assert.equal(fault, reason);
      assert.equal(head, null);
    });
  }

  test('a length above 0 is refused where END_STREAM says that there is no DATA (RFC 9113 §8.1.1)', () => {
    assert.equal(readRequest([...GET, ['content-length', '1']], { isEndOfStream: true }).fault, 'H2_CONTENT_LENGTH_UNMET');
    assert.equal(readRequest([...GET, ['content-length', '0']], { isEndOfStream: true }).reader.contentLength, 0);
    const { head, reader } = readRequest([...GET, ['content-length', '12']]);
    assert.equal(reader.contentLength, 12);
    assert.equal(head?.headers.getKnown(KnownHeader.contentLength), '12');
  });

  test('* is taken for OPTIONS', () => {
    assert.equal(readRequest(changed(':path', '*', changed(':method', 'OPTIONS'))).head?.target, '*');
  });

  test('Host alone is used, and becomes the first line (RFC 9113 §8.3.1)', () => {
    const { head } = readRequest([...without(':authority'), ['accept', '*/*'], ['host', 'a.example:8080'], ['x-own', '1']]);
    assert.deepEqual(
      [...(head?.headers ?? [])],
      [
        ['Host', 'a.example:8080'],
        ['Accept', '*/*'],
        ['x-own', '1'],
      ],
    );
    assert.equal(head?.headers.getKnown(KnownHeader.accept), '*/*');
  });

  test('Host and :authority that mean the same become one line (RFC 3986 §6.2)', () => {
    for (const host of ['example.com', 'EXAMPLE.com', 'example.com:443', 'example.com:']) {
      const { head } = readRequest([...GET, ['host', host]]);
      assert.deepEqual([...(head?.headers ?? [])], [['Host', 'example.com']], host);
    }
    assert.notEqual(readRequest([...changed(':scheme', 'http'), ['host', 'example.com:80']]).head, null);
  });

  test('CONNECT goes to host:port, with that as Host (RFC 9113 §8.5)', () => {
    const { head, reader } = readRequest([
      [':method', 'CONNECT'],
      [':authority', 'db.example:5432'],
      ['host', 'db.example:5432'],
    ]);
    assert.deepEqual([head?.method, head?.target, reader.contentLength, reader.scheme], ['CONNECT', 'db.example:5432', -1, '']);
    assert.deepEqual([...(head?.headers ?? [])], [['Host', 'db.example:5432']]);
  });

  test('extended CONNECT keeps its path, its scheme and its protocol (RFC 8441 §4)', () => {
    const { head, reader } = readRequest([...changed(':method', 'CONNECT'), [':protocol', 'websocket']], {
      isConnectProtocolEnabled: true,
      isEndOfStream: true,
    });
    assert.deepEqual([head?.target, reader.protocol, reader.scheme, reader.contentLength], ['/', 'websocket', 'https', 0]);
  });

  test('a scheme is read without regard to case (RFC 3986 §3.1)', () => {
    assert.equal(readRequest(changed(':scheme', 'HTTP')).reader.scheme, 'http');
  });

  test('crumbs of Cookie become one line where the first stood (RFC 9113 §8.2.3)', () => {
    const { head } = readRequest([...GET, ['cookie', 'a=1'], ['x-own', '1'], ['cookie', 'b=2'], ['cookie', ''], ['cookie', 'c=3']]);
    assert.deepEqual(
      [...(head?.headers ?? [])],
      [
        ['Host', 'example.com'],
        ['Cookie', 'a=1; b=2; c=3'],
        ['x-own', '1'],
      ],
    );
    assert.equal(readRequest([...GET, ['cookie', 'a=1'], ['cookie', '']]).head?.headers.get('cookie'), 'a=1');
    assert.equal(readRequest([...GET, ['cookie', ''], ['cookie', 'a=1']]).head?.headers.get('cookie'), 'a=1');
    assert.equal(readRequest([...GET, ['cookie', ''], ['cookie', '']]).head?.headers.get('cookie'), '');
  });

  test('each crumb of Cookie counts as a field (CVE-2026-49975 class), and the table follows a block that is too large', () => {
    const crumbs: Fields = Array.from({ length: 200 }, (_, i) => ['cookie', `c${i}=${'x'.repeat(20)}`] as const);
    const reader = new RequestReader();
    const decoder = makeDecoder({ maxFieldCount: 100 });
    const encoder = new HpackEncoder();
    readBlock(reader, decoder, blockOf([...GET, ...crumbs], encoder, Indexing.incremental), 64);
    assert.equal(reader.finish(true), null);
    assert.equal(reader.fault, 'H2_HEADERS_TOO_LARGE');
    readBlock(reader, decoder, blockOf([...GET, ['cookie', `c199=${'x'.repeat(20)}`]], encoder, Indexing.incremental));
    assert.equal(reader.finish(true)?.headers.get('cookie'), `c199=${'x'.repeat(20)}`);
  });

  test('the Priority field is read, several lines as one (RFC 9218 §5)', () => {
    const { reader } = readRequest([...GET, ['priority', 'u=5'], ['priority', 'i']]);
    assert.equal(urgencyOf(reader.priority), 5);
    assert.equal(isIncremental(reader.priority), true);
  });

  test('names that objects have are ordinary', () => {
    const names = ['__proto__', 'constructor', 'tostring', 'hasownproperty', '0', '42'];
    const { head } = readRequest([...GET, ...names.map((name) => [name, 'v'] as const)]);
    for (const name of names) assert.equal(head?.headers.get(name), 'v', name);
  });
});

describe('responses', () => {
  test('a response becomes a head without reason phrase (RFC 9113 §8.3.2)', () => {
    const { head, reader } = readResponse([
      [':status', '200'],
      ['content-length', '5'],
      ['content-type', 'text/plain'],
      ['host', 'odd.example'],
    ]);
    assert.deepEqual(
      [head?.status, head?.reason, head?.version, reader.contentLength, reader.isInterim],
      [200, '', HttpVersion.http2, 5, false],
    );
    assert.deepEqual(
      [...(head?.headers ?? [])],
      [
        ['Content-Length', '5'],
        ['Content-Type', 'text/plain'],
        ['Host', 'odd.example'],
      ],
    );
  });

  const refused: Record<string, readonly [string, Fields]> = {
    'no :status': ['H2_PSEUDO_MISSING', [['a', 'b']]],
    ':status of two digits': ['H2_STATUS_INVALID', [[':status', '20']]],
    ':status 099': ['H2_STATUS_INVALID', [[':status', '099']]],
    ':status with a reason': ['H2_STATUS_INVALID', [[':status', '200 OK']]],
    '101 (§8.6)': ['H2_STATUS_101', [[':status', '101']]],
    ':status twice': [
      'H2_PSEUDO_REPEATED',
      [
        [':status', '200'],
        [':status', '200'],
      ],
    ],
    ':status behind a field': [
      'H2_PSEUDO_LATE',
      [
        ['a', 'b'],
        [':status', '200'],
      ],
    ],
    ':path in a response': [
      'H2_PSEUDO_UNKNOWN',
      [
        [':status', '200'],
        [':path', '/'],
      ],
    ],
    Connection: [
      'H2_CONNECTION_FIELD',
      [
        [':status', '200'],
        ['connection', 'close'],
      ],
    ],
    'Transfer-Encoding': [
      'H2_CONNECTION_FIELD',
      [
        [':status', '200'],
        ['transfer-encoding', 'chunked'],
      ],
    ],
    'two lengths': [
      'H2_CONTENT_LENGTH_REPEATED',
      [
        [':status', '200'],
        ['content-length', '1'],
        ['content-length', '2'],
      ],
    ],
  };
  for (const [what, [reason, fields]] of Object.entries(refused)) {
    test(`${what} is refused with ${reason}`, () => assert.equal(readResponse(fields).fault, reason));
  }

  test('Cookie in a response is a field like any other (RFC 9113 §8.2.3 speaks of requests)', () => {
    const crumbs: Fields = [
      ['cookie', ''],
      ['cookie', 'a=1'],
    ];
    assert.deepEqual(readResponse([[':status', '200'], ...crumbs]).head?.headers.getAll('cookie'), ['', 'a=1']);
  });

  test('an interim response does not end its stream, and has no length (RFC 9113 §8.1)', () => {
    assert.equal(readResponse([[':status', '103']], 'GET', true).fault, 'H2_INTERIM_AT_END');
    const { head, reader } = readResponse([
      [':status', '103'],
      ['link', '</a>'],
      ['content-length', '3'],
    ]);
    assert.deepEqual([head?.status, reader.isInterim, head?.headers.size], [103, true, 1]);
  });

  test('what the length says depends on the request (RFC 9110 §6.4.1, §8.6, §9.3.6)', () => {
    const sized = (status: string): Fields => [
      [':status', status],
      ['content-length', '7'],
    ];
    const lengthOf = (status: string, method: string, isEnd: boolean) => {
      const { reader, head, fault } = readResponse(sized(status), method, isEnd);
      return [fault, reader.contentLength, head?.headers.get('content-length')];
    };
    assert.deepEqual(lengthOf('200', 'GET', false), [null, 7, '7']);
    assert.deepEqual(lengthOf('200', 'GET', true), ['H2_CONTENT_LENGTH_UNMET', -1, undefined]);
    assert.deepEqual(lengthOf('200', 'HEAD', true), [null, 0, '7']);
    assert.deepEqual(lengthOf('304', 'GET', true), [null, 0, '7']);
    assert.deepEqual(lengthOf('204', 'GET', true), [null, 0, undefined]);
    assert.deepEqual(lengthOf('200', 'CONNECT', false), [null, -1, undefined]);
    assert.deepEqual(lengthOf('200', 'CONNECT', true), [null, 0, undefined]);
    assert.deepEqual(lengthOf('204', 'CONNECT', false), [null, -1, undefined], 'any 2xx to CONNECT makes a tunnel');
    assert.deepEqual(lengthOf('502', 'CONNECT', false), [null, 7, '7']);
    assert.equal(readResponse([[':status', '200']], 'GET', true).reader.contentLength, 0);
  });
});

describe('trailers', () => {
  test('a trailer section becomes a map; what may not be a trailer is dropped (RFC 9110 §6.5.1)', () => {
    const { trailers } = readTrailers([
      ['grpc-status', '0'],
      ['content-length', '3'],
      ['etag', '"a"'],
      ['cookie', 'a=b'],
      ['host', 'a'],
    ]);
    assert.deepEqual(
      [...(trailers ?? [])],
      [
        ['grpc-status', '0'],
        ['ETag', '"a"'],
      ],
    );
    assert.equal(readTrailers([]).trailers?.size, 0);
    assert.equal(
      readTrailers(
        [
          ['etag', '"a"'],
          ['cookie', 'a=b'],
        ],
        { forbiddenTrailers: 'reject' },
      ).fault,
      'H2_TRAILER_FORBIDDEN',
    );
  });

  test('pseudo-header fields, connection fields and what is over a limit are refused (RFC 9113 §8.1)', () => {
    assert.equal(readTrailers([[':status', '200']]).fault, 'H2_PSEUDO_IN_TRAILERS');
    assert.equal(readTrailers([[':foo', '200']]).fault, 'H2_PSEUDO_IN_TRAILERS');
    assert.equal(readTrailers([['transfer-encoding', 'chunked']]).fault, 'H2_CONNECTION_FIELD');
    assert.equal(readTrailers([['A', 'b']]).fault, 'H2_FIELD_NAME_UPPERCASE');
    assert.equal(readTrailers([['a', 'b'.repeat(9000)]]).fault, 'H2_TRAILERS_TOO_LARGE');
    assert.equal(
      readTrailers(
        [
          ['a', 'b'],
          ['c', 'd'],
        ],
        { maxTrailerFields: 1 },
      ).fault,
      'H2_TRAILER_FIELDS_TOO_MANY',
    );
    assert.equal(readTrailers([['a', 'b']], { maxTrailerBytes: 33 }).fault, 'H2_TRAILERS_TOO_LARGE');
    assert.throws(() => new TrailersReader({ maxTrailerBytes: -1 }), RangeError);
    const reader = new TrailersReader();
    readBlock(
      reader,
      makeDecoder({ maxFieldCount: 1 }),
      blockOf([
        ['a', 'b'],
        ['c', 'd'],
      ]),
    );
    assert.equal(reader.finish(), null);
    assert.equal(reader.fault, 'H2_TRAILERS_TOO_LARGE');
  });
});

describe('tags and reasons', () => {
  test('a tag tells name, pseudo-header field, status and fault', () => {
    assert.equal(knownIdOf(fieldTag('content-type', 'a/b')), KnownHeader.contentType);
    assert.equal(knownIdOf(fieldTag('x-own', '1')), 0);
    assert.equal(pseudoOf(fieldTag(':path', '/')), PseudoHeader.path);
    assert.equal(pseudoOf(fieldTag('path', '/')), 0);
    assert.equal(statusOf(fieldTag(':status', '999')), 999);
    assert.equal(faultOf(fieldTag('a', '')), null);
    assert.equal(faultOf(fieldTag('a', '\u0100')), 'H2_FIELD_VALUE_INVALID');
    assert.equal(faultOf(fieldTag('\u0100', '')), 'H2_FIELD_NAME_INVALID');
    assert.equal(FIELD_TAGGER.staticTags.length, 62);
    assert.equal(statusOf(FIELD_TAGGER.staticTags[8] as number), 200);
  });

  test('each reason has a status and a code of its side (RFC 9113 §8.1.1, RFC 9110 §15.6.3)', () => {
    for (const reason of MESSAGE_REASONS) {
      const request = messageError(reason, 'request');
      assert.equal(request.reason, reason);
      assert.equal(request.wire.http2Code, request.type === 'limit' ? 0xb : 0x1);
      assert.equal(messageError(reason, 'response').wire.status, 502);
    }
    assert.equal(messageError('H2_HEADERS_TOO_LARGE', 'request').wire.status, 431);
    assert.equal(messageError('H2_PATH_TOO_LONG', 'request').wire.status, 414);
  });
});

describe('never-indexed literals (RFC 7541 §6.2.3)', () => {
  const SECRETS = ['x-key', ':path', 'etag', 'cookie', 'authorization'];

  test('a request head says which names came so, each once, but those that are always sent so', () => {
    const reader = new RequestReader();
    const fields: Fields = [...GET, ['x-key', '1'], ['cookie', 'a=b'], ['x-key', '2'], ['authorization', 'Basic x'], ['x-open', '3']];
    readBlock(reader, makeDecoder(), secretBlock(fields, SECRETS), 3);
    assert.deepEqual(reader.finish(true)?.neverIndexed, [':path', 'x-key']);
    // The next head has none of it.
    readBlock(reader, makeDecoder(), secretBlock(GET, []));
    const head = reader.finish(true);
    assert.ok(head);
    assert.equal('neverIndexed' in head, false);
  });

  test('without any, and with the usual ones alone, heads keep their shape', () => {
    const { head } = readRequest([...GET, ['cookie', 'a=b'], ['authorization', 'Basic x'], ['x-open', '3']]);
    assert.ok(head);
    assert.deepEqual(Object.keys(head), ['method', 'target', 'version', 'headers']);
  });

  test('a response head says it, too', () => {
    const reader = new ResponseReader();
    const fields: Fields = [
      [':status', '200'],
      ['etag', '"t"'],
      ['set-cookie', 'a=b'],
      ['x-key', '1'],
    ];
    readBlock(reader, makeDecoder(), secretBlock(fields, [...SECRETS, 'set-cookie']));
    assert.deepEqual(reader.finish('GET', true)?.neverIndexed, ['etag', 'x-key']);
    readBlock(reader, makeDecoder(), secretBlock(fields, ['set-cookie']));
    const head = reader.finish('GET', true);
    assert.ok(head);
    assert.equal('neverIndexed' in head, false);
  });
});
