/** What heads become on the wire (RFC 9113 §8.2, §8.3). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { type HeaderInit, HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { type HpackDecoder, HpackEncoder } from '@ferrata/hpack';
import { HeadWriter, type RequestHeadOptions, type ResponseHeadOptions } from '../src/head-writer.ts';
import { fieldsOf, makeDecoder } from './blocks.ts';

const NO_BODY: RequestHeadOptions = { bodyLength: 0 };

function requestFields(method: string, target: string, headers: HeaderInit = { host: 'a.example' }, options = NO_BODY) {
  const writer = new ByteWriter();
  new HeadWriter(new HpackEncoder(), 'https').writeRequest(writer, requestHead(method, target, { headers }), options);
  return fieldsOf(writer.take());
}

function responseFields(status: number, headers: HeaderInit, options: ResponseHeadOptions) {
  const writer = new ByteWriter();
  new HeadWriter(new HpackEncoder()).writeResponse(writer, responseHead(status, { headers }), options);
  return fieldsOf(writer.take());
}

describe('requests', () => {
  test('pseudo-header fields come first, Host is :authority, names are lower case (RFC 9113 §8.3.1)', () => {
    assert.deepEqual(requestFields('GET', '/a?b', { Accept: '*/*', Host: 'a.example:8443', 'X-Own': 'Y' }), [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':authority', 'a.example:8443'],
      [':path', '/a?b'],
      ['accept', '*/*'],
      ['x-own', 'Y'],
    ]);
  });

  test('the four forms of a target (RFC 9112 §3.2, RFC 9113 §8.3.1, §8.5)', () => {
    const pseudo = (method: string, target: string) => requestFields(method, target).map(([, value]) => value);
    assert.deepEqual(pseudo('OPTIONS', '*'), ['OPTIONS', 'https', 'a.example', '*']);
    assert.deepEqual(pseudo('GET', 'HTTP://b.example:80/x'), ['GET', 'http', 'b.example:80', '/x']);
    assert.deepEqual(pseudo('GET', 'http://b.example'), ['GET', 'http', 'b.example', '/']);
    assert.deepEqual(pseudo('GET', 'http://b.example?q'), ['GET', 'http', 'b.example', '/?q']);
    assert.deepEqual(pseudo('OPTIONS', 'https://b.example'), ['OPTIONS', 'https', 'b.example', '*']);
    assert.deepEqual(requestFields('CONNECT', 'c.example:443', { host: 'x' }), [
      [':method', 'CONNECT'],
      [':authority', 'c.example:443'],
    ]);
  });

  test('extended CONNECT has :protocol and names its resource whole (RFC 8441 §4)', () => {
    assert.deepEqual(requestFields('CONNECT', '/chat', { host: 'a.example' }, { bodyLength: -1, protocol: 'websocket' }), [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', 'https'],
      [':authority', 'a.example'],
      [':path', '/chat'],
    ]);
  });

  test('without Host there is no :authority (RFC 9113 §8.3.1)', () => {
    assert.deepEqual(
      requestFields('GET', '/', {}).map(([name]) => name),
      [':method', ':scheme', ':path'],
    );
  });

  test('fields of an HTTP/1 connection are left out, and those that it nominates (RFC 9113 §8.2.2)', () => {
    const headers = {
      host: 'a.example',
      connection: 'keep-alive, X-Hop, TE',
      'keep-alive': 'timeout=5',
      'proxy-connection': 'keep-alive',
      'transfer-encoding': 'chunked',
      upgrade: 'h2c',
      'http2-settings': 'AA',
      te: 'deflate;q=0.5, trailers',
      'x-hop': '1',
      'x-forwarded-for': '1.2.3.4',
      'proxy-authorization': 'Basic eA==',
    };
    assert.deepEqual(requestFields('GET', '/', headers).slice(4), [
      ['x-forwarded-for', '1.2.3.4'],
      ['proxy-authorization', 'Basic eA=='],
      ['te', 'trailers'],
    ]);
    assert.deepEqual(requestFields('GET', '/', { host: 'a', te: 'deflate', connection: 'close' }).length, 4);
  });

  test('the length is the one of the body, in the place of the first (RFC 9110 §8.6)', () => {
    const lengths = (method: string, bodyLength: number, headers: HeaderInit) =>
      requestFields(method, '/', headers, { bodyLength }).slice(3);
    assert.deepEqual(
      lengths('POST', 5, [
        ['content-length', '7'],
        ['a', 'b'],
        ['content-length', '8'],
      ]),
      [
        ['content-length', '5'],
        ['a', 'b'],
      ],
    );
    assert.deepEqual(lengths('POST', 0, { a: 'b' }), [
      ['a', 'b'],
      ['content-length', '0'],
    ]);
    assert.deepEqual(lengths('GET', 0, { a: 'b' }), [['a', 'b']]);
    assert.deepEqual(lengths('GET', 0, { 'content-length': '9' }), [['content-length', '0']]);
    assert.deepEqual(lengths('POST', -1, { 'content-length': '9' }), []);
  });

  test('what cannot be sent throws before the first byte, and the table has not changed', () => {
    const writer = new ByteWriter();
    const encoder = new HpackEncoder();
    const heads = new HeadWriter(encoder);
    const refuses = (method: string, target: string, headers: HeaderInit = { host: 'a' }, options: RequestHeadOptions = NO_BODY) => {
      const head = { ...requestHead('GET', '/', { headers }), method, target };
      assert.throws(() => heads.writeRequest(writer, head, options), /TypeError|RangeError/, `${method} ${target}`);
      assert.equal(writer.length, 0);
    };
    refuses('GE T', '/');
    refuses('GET', '/ x');
    refuses('GET', '*');
    refuses('GET', 'a.example:80');
    refuses('GET', 'ftp://a/');
    refuses('GET', 'http://u@a/');
    refuses('CONNECT', '/x');
    refuses('CONNECT', 'a.example');
    refuses('CONNECT', 'a:1', {}, { bodyLength: 3 });
    refuses('GET', '/', {}, { bodyLength: 0, protocol: 'websocket' });
    refuses('CONNECT', '/', { host: 'a' }, { bodyLength: -1, protocol: 'a b' });
    refuses('CONNECT', '/', {}, { bodyLength: -1, protocol: 'websocket' });
    refuses('GET', '/', { host: 'u@a' });
    refuses('GET', '/', { host: '' });
    refuses('GET', '/', { host: ['a', 'a'] });
    refuses('GET', '/', {}, { bodyLength: -2 });
    refuses('GET', '/', {}, { bodyLength: 1.5 });
    heads.writeRequest(writer, requestHead('GET', '/', { headers: { host: 'a' } }), NO_BODY);
    assert.deepEqual(fieldsOf(writer.take())[2], [':authority', 'a']);
  });

  test('what can log somebody in is never indexed (RFC 7541 §7.1.3)', () => {
    const writer = new ByteWriter();
    const headers = { authorization: 'Basic x', cookie: `id=${'y'.repeat(40)}`, 'x-api-key': 'k', etag: '"t"', 'x-own': '1' };
    const heads = new HeadWriter(new HpackEncoder(), 'http', ['X-Api-Key', 'ETag']);
    const decoder = makeDecoder();
    for (let i = 0; i < 2; i++) {
      heads.writeRequest(writer, requestHead('GET', '/', { headers }), NO_BODY);
      decoder.feed(writer.take());
      const never: string[] = [];
      while (decoder.next()) if (decoder.isNeverIndexed) never.push(decoder.name);
      decoder.end();
      assert.deepEqual(never, ['authorization', 'cookie', 'x-api-key', 'etag']);
    }
  });
});

describe('what came as never-indexed literals goes on as such (RFC 7541 §6.2.3)', () => {
  /** Names of the never-indexed fields. */
  function secretsOf(block: Uint8Array, decoder: HpackDecoder = makeDecoder()): string[] {
    const names: string[] = [];
    decoder.feed(block);
    while (decoder.next()) if (decoder.isNeverIndexed) names.push(decoder.name);
    decoder.end();
    return names;
  }

  test('fields of a request, pseudo-header fields too, however they are spelt', () => {
    const writer = new ByteWriter();
    const heads = new HeadWriter(new HpackEncoder());
    const decoder = makeDecoder();
    const head = requestHead('GET', '/secret', { headers: { Host: 'a', 'X-Key': '1', ETag: '"t"', 'X-Open': '2' } });
    heads.writeRequest(writer, head, NO_BODY);
    assert.deepEqual(secretsOf(writer.take(), decoder), []);
    head.neverIndexed = [':path', 'host', 'x-key', 'etag', 'x-absent'];
    heads.writeRequest(writer, head, NO_BODY);
    assert.deepEqual(secretsOf(writer.take(), decoder), [':authority', ':path', 'x-key', 'etag']);
    head.neverIndexed = [':method', ':scheme', ':authority'];
    heads.writeRequest(writer, head, NO_BODY);
    assert.deepEqual(secretsOf(writer.take(), decoder), [':method', ':scheme', ':authority']);
  });

  test('fields of a response', () => {
    const writer = new ByteWriter();
    const head = responseHead(200, { headers: { ETag: '"t"', 'X-Key': '1', 'X-Open': '2' } });
    head.neverIndexed = ['x-key', 'etag'];
    new HeadWriter(new HpackEncoder()).writeResponse(writer, head, { bodyLength: -1 });
    assert.deepEqual(secretsOf(writer.take()), ['etag', 'x-key']);
  });
});

describe('responses', () => {
  test('status, Date if there is none, fields, length', () => {
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
    assert.deepEqual(
      responseFields(200, { 'Content-Type': 'a/b', Host: 'odd', TE: 'trailers', Connection: 'close' }, { bodyLength: 3, date }),
      [
        [':status', '200'],
        ['date', date],
        ['content-type', 'a/b'],
        ['host', 'odd'],
        ['content-length', '3'],
      ],
    );
    assert.deepEqual(responseFields(200, { Date: 'x' }, { bodyLength: -1, date }), [
      [':status', '200'],
      ['date', 'x'],
    ]);
  });

  test('where a response has no body, what is said of its length is information or nothing (RFC 9110 §8.6, §9.3.6)', () => {
    const length = (status: number, options: ResponseHeadOptions, headers: HeaderInit = { 'content-length': '007' }) =>
      responseFields(status, headers, options).find(([name]) => name === 'content-length')?.[1];
    assert.equal(length(200, { bodyLength: 0, isBodyless: true }), '7');
    assert.equal(length(200, { bodyLength: 9, isBodyless: true }, {}), '9');
    assert.equal(length(304, { bodyLength: 0, isBodyless: true }, {}), undefined);
    assert.equal(length(304, { bodyLength: -1, isBodyless: true }, { 'content-length': ['1', '2'] }), undefined);
    assert.equal(length(204, { bodyLength: 0 }), undefined);
    assert.equal(length(103, { bodyLength: -1 }), undefined);
    assert.equal(length(200, { bodyLength: -1, isTunnel: true }), undefined);
    assert.equal(length(200, { bodyLength: 0 }), '0');
    assert.equal(length(200, { bodyLength: -1 }), undefined);
  });

  test('101, other invalid statuses, lengths and dates throw before the first byte (RFC 9113 §8.6)', () => {
    const heads = new HeadWriter(new HpackEncoder());
    const writer = new ByteWriter();
    const head = responseHead(200);
    assert.throws(() => heads.writeResponse(writer, { ...head, status: 101 }, { bodyLength: 0 }), RangeError);
    assert.throws(() => heads.writeResponse(writer, { ...head, status: 99 }, { bodyLength: 0 }), RangeError);
    assert.throws(() => heads.writeResponse(writer, head, { bodyLength: Number.NaN }), RangeError);
    assert.throws(() => heads.writeResponse(writer, head, { bodyLength: 0, date: 'a\r\nb' }), TypeError);
    assert.equal(writer.length, 0);
  });
});

test('trailers: forbidden ones are left out, and an empty section is nothing (RFC 9110 §6.5.1)', () => {
  const heads = new HeadWriter(new HpackEncoder());
  const writer = new ByteWriter();
  assert.equal(heads.writeTrailers(writer, HeaderMap.from({ 'Grpc-Status': '0', Cookie: 'a', ETag: '"e"' })), 2);
  assert.deepEqual(fieldsOf(writer.take()), [
    ['grpc-status', '0'],
    ['etag', '"e"'],
  ]);
  assert.equal(heads.writeTrailers(writer, HeaderMap.from({ Cookie: 'a' })), 0);
  assert.equal(writer.length, 0);
});
