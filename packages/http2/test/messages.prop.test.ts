/** Laws of messages: what goes out comes in the same, and nothing comes in that HTTP/1 could read as something else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import {
  HeaderMap,
  HttpVersion,
  isFieldName,
  isFieldValue,
  isRequestTarget,
  isToken,
  isValidHost,
  KnownHeader,
  type RequestHead,
} from '@ferrata/headers';
import { HpackEncoder } from '@ferrata/hpack';
import fc from 'fast-check';
import { HeadWriter } from '../src/head-writer.ts';
import { RequestReader } from '../src/request-reader.ts';
import { ResponseReader } from '../src/response-reader.ts';
import { TrailersReader } from '../src/trailers-reader.ts';
import { blockOf, makeDecoder, readBlock } from './blocks.ts';

const RUNS = { numRuns: 300, seed: 9113 };

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 12 });
const name = fc.constantFrom(
  ':method',
  ':path',
  ':scheme',
  ':authority',
  ':protocol',
  ':status',
  ':x',
  'host',
  'cookie',
  'te',
  'content-length',
  'transfer-encoding',
  'connection',
  'x-own',
  'priority',
  '__proto__',
  'X-Up',
  '',
);
const value = fc.oneof(
  fc.constantFrom(
    'GET',
    'CONNECT',
    'OPTIONS',
    '/',
    '*',
    '/a\r\nb',
    'http',
    'a.example',
    'a.example:80',
    'u@a',
    '1',
    '01',
    '1, 1',
    'trailers',
    'u=1',
    '200',
    '103',
    '',
  ),
  latin1,
);
const field = fc.tuple(fc.oneof({ weight: 5, arbitrary: name }, { weight: 1, arbitrary: latin1 }), value);
const pseudo = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'CONNECT', 'OPTIONS'),
    fc.constantFrom('/', '/a', '*'),
    fc.constantFrom('a.example', 'a.example:80'),
  )
  .map(
    ([method, path, authority]) =>
      [
        [':method', method],
        [':scheme', 'http'],
        [':path', path],
        [':authority', authority],
      ] as [string, string][],
  );
const fields = fc
  .tuple(fc.option(pseudo, { nil: [] as [string, string][] }), fc.array(field, { maxLength: 10 }))
  .map(([first, rest]) => [...first, ...rest]);

/** Everything by which a reader of HTTP/1 finds its way: if all of it is of its class and single, no part can pass for another. */
function assertUnambiguous(headers: HeaderMap): void {
  for (const [one, text] of headers) {
    assert.ok(isFieldName(one), JSON.stringify(one));
    assert.ok(isFieldValue(text), JSON.stringify(text));
  }
  for (const id of [KnownHeader.transferEncoding, KnownHeader.connection, KnownHeader.upgrade]) assert.ok(!headers.hasKnown(id));
  assert.ok(headers.countKnown(KnownHeader.contentLength) <= 1);
  assert.ok(headers.countKnown(KnownHeader.cookie) <= 1);
}

test('any fields make a message that HTTP/1 cannot read otherwise, or none; however they are cut (RFC 9113 §10.3)', () => {
  const reader = new RequestReader({ isConnectProtocolEnabled: true });
  const responses = new ResponseReader();
  const trailersReader = new TrailersReader();
  let accepted = 0;
  fc.assert(
    fc.property(fields, fc.integer({ min: 1, max: 20 }), fc.boolean(), (all, size, isEnd) => {
      const block = blockOf(all);
      readBlock(reader, makeDecoder(), block);
      const whole = reader.finish(isEnd);
      const { fault } = reader;
      readBlock(reader, makeDecoder(), block, size);
      const cut = reader.finish(isEnd);
      assert.equal(reader.fault, fault);
      assert.deepEqual(cut && { ...cut, headers: [...cut.headers] }, whole && { ...whole, headers: [...whole.headers] });
      assert.equal(whole === null, fault !== null);
      if (whole !== null) {
        accepted++;
        assert.ok(isToken(whole.method));
        assert.ok(isRequestTarget(whole.target));
        assertUnambiguous(whole.headers);
        assert.equal(whole.headers.indexOfKnown(KnownHeader.host), 0);
        assert.equal(whole.headers.countKnown(KnownHeader.host), 1);
        assert.ok(isValidHost(whole.headers.getKnown(KnownHeader.host) as string));
      }
      readBlock(responses, makeDecoder(), block, size);
      const response = responses.finish('GET', isEnd);
      assert.equal(response === null, responses.fault !== null);
      if (response !== null) {
        assert.ok(response.status >= 100 && response.status <= 999);
        assertUnambiguous(response.headers);
      }
      readBlock(trailersReader, makeDecoder(), block, size);
      const trailers = trailersReader.finish();
      if (trailers !== null) assertUnambiguous(trailers);
    }),
    RUNS,
  );
  assert.ok(accepted > 0);
});

const token = fc.string({ unit: fc.constantFrom(...'abcxyz019-_.'.split('')), minLength: 1, maxLength: 10 });
const plainValue = latin1.filter(isFieldValue);
const plainFields = fc.array(
  fc.tuple(
    token.map((text) => `x-${text}`),
    plainValue,
  ),
  { maxLength: 20 },
);

test('a request that is written is read as the same request, on one connection after the other', () => {
  const heads = new HeadWriter(new HpackEncoder());
  const decoder = makeDecoder();
  const reader = new RequestReader();
  fc.assert(
    fc.property(
      token,
      fc.webPath().map((path) => (path === '' ? '/' : path)),
      plainFields,
      fc.integer({ min: -1, max: 1e6 }),
      (method, target, lines, bodyLength) => {
        fc.pre(isRequestTarget(target) && target.startsWith('/'));
        const headers = new HeaderMap();
        headers.append('Host', 'a.example');
        for (const [one, text] of lines) headers.append(one, text);
        const head: RequestHead = { method, target, version: HttpVersion.http2, headers };
        const writer = new ByteWriter();
        heads.writeRequest(writer, head, { bodyLength });
        readBlock(reader, decoder, writer.take(), 100);
        const read = reader.finish(bodyLength === 0);
        assert.equal(reader.fault, null);
        const expected = bodyLength > 0 ? [...headers, ['Content-Length', `${bodyLength}`]] : [...headers];
        assert.deepEqual([...(read?.headers ?? [])], expected);
        assert.deepEqual([read?.method, read?.target, reader.contentLength], [method, target, bodyLength]);
      },
    ),
    RUNS,
  );
});

test('a response and its trailers that are written are read as the same', () => {
  const heads = new HeadWriter(new HpackEncoder());
  const decoder = makeDecoder();
  const reader = new ResponseReader();
  const trailersReader = new TrailersReader({ maxTrailerBytes: 100_000 });
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 999 }).filter((status) => status !== 204 && status !== 304),
      plainFields,
      plainFields,
      (status, lines, last) => {
        const headers = HeaderMap.from(lines);
        const writer = new ByteWriter();
        heads.writeResponse(writer, { status, reason: 'x', version: HttpVersion.http11, headers }, { bodyLength: -1 });
        readBlock(reader, decoder, writer.take());
        const read = reader.finish('GET', false);
        assert.equal(read?.status, status);
        assert.deepEqual([...(read?.headers ?? [])], [...headers]);
        if (heads.writeTrailers(writer, HeaderMap.from(last)) === 0) return;
        readBlock(trailersReader, decoder, writer.take());
        assert.deepEqual([...(trailersReader.finish() ?? [])], last);
      },
    ),
    RUNS,
  );
});
