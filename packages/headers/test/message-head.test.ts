import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { describe, it } from 'node:test';
import { HeaderMap, HttpVersion, httpVersionName, isStatus, reasonPhrase, requestHead, responseHead } from '../src/index.ts';

describe('the head of a request', () => {
  it('has HTTP/1.1 and no fields unless told', () => {
    const head = requestHead('GET', '/');
    assert.deepEqual(Object.keys(head), ['method', 'target', 'version', 'headers']);
    assert.equal(head.version, HttpVersion.http11);
    assert.equal(head.headers.size, 0);
  });

  it('takes over a HeaderMap, and copies anything else into one', () => {
    const headers = HeaderMap.from({ Host: 'a' });
    assert.equal(requestHead('GET', '/', { headers }).headers, headers);
    assert.equal(requestHead('GET', '/', { headers: { Host: 'b' }, version: HttpVersion.http10 }).headers.get('host'), 'b');
  });

  it('has a token as method: extension methods pass (RFC 9110 §9.1)', () => {
    assert.equal(requestHead('M-SEARCH', '*').method, 'M-SEARCH');
    assert.equal(requestHead('get', '/').method, 'get');
    for (const method of ['', 'GET ', 'GE\r\nT', 'é']) assert.throws(() => requestHead(method, '/'), TypeError);
  });

  it('has a target without blanks, controls and fragment (RFC 9112 §3.2)', () => {
    for (const target of ['', '/ HTTP/1.1', '/\r\nX: y', '/#a', '/é']) assert.throws(() => requestHead('GET', target), TypeError);
  });

  it('has valid fields', () => {
    assert.throws(() => requestHead('GET', '/', { headers: { 'a b': '' } }), TypeError);
  });
});

describe('the head of a response', () => {
  it('has the registered phrase unless told (RFC 9112 §4)', () => {
    const head = responseHead(404);
    assert.deepEqual(Object.keys(head), ['status', 'reason', 'version', 'headers']);
    assert.equal(head.reason, 'Not Found');
    assert.equal(responseHead(299).reason, '');
    assert.equal(responseHead(200, { reason: '' }).reason, '');
    assert.equal(responseHead(200, { reason: 'Fine', headers: [['A', 'b']], version: HttpVersion.http2 }).headers.get('a'), 'b');
  });

  it('has a status of three digits (RFC 9110 §15)', () => {
    for (const status of [100, 599, 999]) assert.ok(isStatus(status));
    for (const status of [0, 99, 1000, 200.5, Number.NaN, -200]) {
      assert.equal(isStatus(status), false);
      assert.throws(() => responseHead(status), RangeError);
    }
  });

  it('has a reason that ends no line', () => {
    assert.throws(() => responseHead(200, { reason: 'OK\r\nSet-Cookie: a' }), TypeError);
  });
});

describe('reason phrases', () => {
  it("are those of Node's table, but for codes that RFC 9110 renamed or took back", () => {
    const others = new Set([413, 418, 422, 509, 510]);
    for (const [status, phrase] of Object.entries(STATUS_CODES)) {
      if (!others.has(Number(status))) assert.equal(reasonPhrase(Number(status)), phrase, status);
    }
    assert.equal(reasonPhrase(413), 'Content Too Large');
    assert.equal(reasonPhrase(422), 'Unprocessable Content');
    assert.equal(reasonPhrase(418), '');
  });
});

describe('versions', () => {
  it('compare, and have names (RFC 9110 §2.5)', () => {
    assert.ok(HttpVersion.http10 < HttpVersion.http11 && HttpVersion.http11 < HttpVersion.http2);
    assert.deepEqual(Object.values(HttpVersion).map(httpVersionName), ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2']);
  });
});
