import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteWriter, latin1Decode } from '@ferrata/bytes';
import { type HeaderInit, HttpVersion, requestHead, responseHead } from '@ferrata/headers';
import { BodyLength, formatChunkLine, formatRequestHead, formatResponseHead, writeRequestHead, writeResponseHead } from '../src/index.ts';

function request(method: string, headers: HeaderInit, bodyLength: number): string {
  return formatRequestHead(requestHead(method, '/', { headers }), { bodyLength });
}

describe('request heads', () => {
  it('are written in order, case and number of their fields', () => {
    const headers = [
      ['hOST', 'a'],
      ['X', '1'],
      ['x', '\xff'],
      ['Y', ''],
    ] as const;
    assert.equal(request('GET', headers, 0), 'GET / HTTP/1.1\r\nhOST: a\r\nX: 1\r\nx: \xff\r\nY: \r\n\r\n');
  });

  it('always have the version of the writer (RFC 9110 §6.2)', () => {
    for (const version of [HttpVersion.http10, HttpVersion.http2]) {
      assert.equal(formatRequestHead(requestHead('GET', '/', { version }), { bodyLength: 0 }), 'GET / HTTP/1.1\r\n\r\n');
    }
  });

  it('have the one framing field that is true, where the first one stood (RFC 9112 §6)', () => {
    const both = [
      ['A', '1'],
      ['content-length', '7'],
      ['B', '2'],
      ['Transfer-Encoding', 'gzip'],
      ['Content-Length', '8'],
    ] as const;
    assert.equal(request('GET', both, 3), 'GET / HTTP/1.1\r\nA: 1\r\nContent-Length: 3\r\nB: 2\r\n\r\n');
    assert.equal(request('GET', both, BodyLength.chunked), 'GET / HTTP/1.1\r\nA: 1\r\nTransfer-Encoding: chunked\r\nB: 2\r\n\r\n');
    assert.equal(request('GET', [['A', '1']], 3), 'GET / HTTP/1.1\r\nA: 1\r\nContent-Length: 3\r\n\r\n');
  });

  it('announce an empty body where the method expects one, or where it was announced (RFC 9110 §8.6)', () => {
    for (const method of ['POST', 'PUT', 'PATCH']) assert.match(request(method, {}, 0), /\r\nContent-Length: 0\r\n/);
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) assert.doesNotMatch(request(method, {}, 0), /Content-Length/);
    assert.match(request('DELETE', { 'Content-Length': '0' }, 0), /\r\nContent-Length: 0\r\n/);
    assert.doesNotMatch(request('GET', { 'Transfer-Encoding': 'chunked' }, 0), /Transfer|Length/);
  });

  it('have the connection fields of the head, or those given instead (RFC 9110 §7.6.1)', () => {
    const headers = { Connection: 'x', 'Keep-Alive': '1', 'Proxy-Connection': 'y', Upgrade: 'z', 'HTTP2-Settings': 'q', A: '1' };
    const head = requestHead('GET', '/', { headers });
    assert.equal(formatRequestHead(head, { bodyLength: 0 }).split('\r\n').length, 9);
    assert.equal(formatRequestHead(head, { bodyLength: 0, connection: '' }), 'GET / HTTP/1.1\r\nA: 1\r\n\r\n');
    assert.equal(formatRequestHead(head, { bodyLength: 0, connection: 'close' }), 'GET / HTTP/1.1\r\nA: 1\r\nConnection: close\r\n\r\n');
    assert.equal(
      formatRequestHead(head, { bodyLength: 0, connection: 'upgrade', upgrade: 'foo' }),
      'GET / HTTP/1.1\r\nA: 1\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n',
    );
  });

  it('nominate TE, which is for the next recipient only (RFC 9110 §10.1.4)', () => {
    const head = requestHead('GET', '/', { headers: { TE: 'trailers' } });
    assert.equal(formatRequestHead(head, { bodyLength: 0, connection: '' }), 'GET / HTTP/1.1\r\nTE: trailers\r\nConnection: TE\r\n\r\n');
    assert.equal(
      formatRequestHead(head, { bodyLength: 0, connection: 'close' }),
      'GET / HTTP/1.1\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n',
    );
  });

  it('refuse a method, a target or a length that would make another message', () => {
    const head = requestHead('GET', '/');
    for (const method of ['', 'G T', 'GET\r\n']) assert.throws(() => formatRequestHead({ ...head, method }, { bodyLength: 0 }), TypeError);
    for (const target of ['', '/ HTTP/1.1\r\nX: y', '/#', '/\xe9', '/\u010a'])
      assert.throws(() => formatRequestHead({ ...head, target }, { bodyLength: 0 }), TypeError);
    for (const bodyLength of [BodyLength.untilClose, -3, 1.5, Number.NaN, 2 ** 53])
      assert.throws(() => formatRequestHead(head, { bodyLength }), RangeError);
    for (const upgrade of ['', 'a\r\nX: y', 'a\u010a'])
      assert.throws(() => formatRequestHead(head, { bodyLength: 0, connection: 'upgrade', upgrade }), TypeError);
    for (const connection of ['close\r\nX: y', ' close'])
      assert.throws(() => formatRequestHead(head, { bodyLength: 0, connection }), TypeError);
  });

  it('of CONNECT never announce a body: servers would read it as something else (RFC 9110 §9.3.6)', () => {
    const head = requestHead('CONNECT', 'a:1', { headers: { Host: 'a:1' } });
    for (const bodyLength of [1, 31, BodyLength.chunked]) assert.throws(() => formatRequestHead(head, { bodyLength }), RangeError);
    assert.equal(formatRequestHead(head, { bodyLength: 0 }), 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
  });

  it('are made of strings only: an object could show one text to a check and another to the wire', () => {
    const shown = 'GET';
    const twoFaced = {
      length: shown.length,
      charCodeAt: (at: number) => shown.charCodeAt(at),
      toString: () => 'GET / HTTP/1.1\r\nX: ',
      toJSON: () => 'two-faced',
    } as unknown as string;
    const head = requestHead('GET', '/');
    assert.throws(() => formatRequestHead({ ...head, method: twoFaced }, { bodyLength: 0 }), TypeError);
    assert.throws(() => formatRequestHead({ ...head, target: twoFaced }, { bodyLength: 0 }), TypeError);
    assert.throws(() => formatRequestHead(head, { bodyLength: 0, connection: twoFaced }), TypeError);
    assert.throws(() => formatRequestHead(head, { bodyLength: 0, connection: '', upgrade: twoFaced }), TypeError);
    assert.throws(() => formatResponseHead({ ...responseHead(200), reason: twoFaced }, { bodyLength: 0 }), TypeError);
    assert.throws(() => formatResponseHead(responseHead(200), { bodyLength: 0, date: twoFaced }), TypeError);
    assert.throws(() => formatChunkLine(1, twoFaced), TypeError);
  });

  it('can be appended to a writer', () => {
    const writer = new ByteWriter();
    writeRequestHead(writer, requestHead('POST', '/', { headers: { Host: 'a' } }), 2);
    writeResponseHead(writer, responseHead(200), { bodyLength: 0 });
    assert.equal(
      latin1Decode(writer.take()),
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    );
  });
});

describe('response heads', () => {
  const both = { 'Content-Length': '7', A: '1', 'Transfer-Encoding': 'chunked' };

  it('have the one framing field that is true', () => {
    const head = responseHead(200, { headers: both });
    assert.equal(formatResponseHead(head, { bodyLength: 3 }), 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: 1\r\n\r\n');
    assert.equal(formatResponseHead(head, { bodyLength: 0 }), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\n\r\n');
    assert.equal(
      formatResponseHead(head, { bodyLength: BodyLength.chunked }),
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n',
    );
    assert.equal(formatResponseHead(head, { bodyLength: BodyLength.untilClose }), 'HTTP/1.1 200 OK\r\nA: 1\r\n\r\n');
  });

  it('have none in 1xx, 204 and a tunnel, whatever the head says (RFC 9110 §8.6)', () => {
    for (const status of [100, 101, 103, 204])
      assert.doesNotMatch(
        formatResponseHead(responseHead(status, { headers: both }), { bodyLength: 5, isBodyless: true }),
        /Length|Transfer/,
      );
    assert.doesNotMatch(formatResponseHead(responseHead(200, { headers: both }), { bodyLength: 0, isTunnel: true }), /Length|Transfer/);
  });

  it('keep the length of a body that is not sent: to HEAD, and in 304 (RFC 9110 §8.6)', () => {
    const text = (headers: HeaderInit, bodyLength: number): string =>
      formatResponseHead(responseHead(304, { headers }), { bodyLength, isBodyless: true });
    assert.equal(text(both, 0), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nA: 1\r\n\r\n');
    assert.equal(text({}, 9), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n');
    assert.equal(text({}, BodyLength.chunked), 'HTTP/1.1 304 Not Modified\r\n\r\n');
    for (const digits of ['x', '', '-1', '+1', '1e3', '1, 1', '9007199254740992', '9999999999999999', '9'.repeat(30)])
      assert.equal(text({ 'Content-Length': digits }, 0), 'HTTP/1.1 304 Not Modified\r\n\r\n', digits);
    for (const digits of ['010', '0000000000000000000000010'])
      assert.equal(text({ 'Content-Length': digits }, 0), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n', digits);
    assert.equal(
      text({ 'Content-Length': '9007199254740991' }, 0),
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9007199254740991\r\n\r\n',
    );
    assert.throws(() => text({}, Number.NaN), RangeError);
    const head = formatResponseHead(responseHead(200), { bodyLength: BodyLength.chunked, isBodyless: true });
    assert.equal(head, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.equal(
      text(
        [
          ['Content-Length', '1'],
          ['Content-Length', '1'],
        ],
        0,
      ),
      'HTTP/1.1 304 Not Modified\r\n\r\n',
    );
  });

  it('keep Upgrade only where it has a meaning, and nominate it (RFC 9110 §7.8)', () => {
    const text = (status: number, connection: string): string =>
      formatResponseHead(responseHead(status, { reason: '', headers: { Upgrade: 'foo' } }), {
        bodyLength: BodyLength.untilClose,
        connection,
      });
    assert.equal(text(101, 'upgrade'), 'HTTP/1.1 101 \r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n');
    assert.equal(text(426, ''), 'HTTP/1.1 426 \r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n');
    assert.equal(text(426, 'close'), 'HTTP/1.1 426 \r\nUpgrade: foo\r\nConnection: close, upgrade\r\n\r\n');
    assert.equal(text(200, ''), 'HTTP/1.1 200 \r\n\r\n');
    assert.equal(text(200, 'keep-alive'), 'HTTP/1.1 200 \r\nConnection: keep-alive\r\n\r\n');
  });

  it('have the Date given if the head has none (RFC 9110 §6.6.1)', () => {
    const text = (headers: HeaderInit, date: string): string => formatResponseHead(responseHead(204, { headers }), { bodyLength: 0, date });
    assert.equal(text({}, 'now'), 'HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n');
    assert.equal(text({ Date: 'then' }, 'now'), 'HTTP/1.1 204 No Content\r\nDate: then\r\n\r\n');
    assert.equal(text({}, ''), 'HTTP/1.1 204 No Content\r\n\r\n');
    assert.throws(() => text({}, 'a\r\nX: y'), TypeError);
  });

  it('refuse a status, a reason or a length that would make another message', () => {
    const head = responseHead(200);
    for (const status of [99, 1000, 200.5, Number.NaN])
      assert.throws(() => formatResponseHead({ ...head, status }, { bodyLength: 0 }), RangeError);
    for (const reason of ['a\r\nX: y', '\0', '\u010a'])
      assert.throws(() => formatResponseHead({ ...head, reason }, { bodyLength: 0 }), TypeError);
    for (const bodyLength of [-3, 0.5, Number.POSITIVE_INFINITY]) assert.throws(() => formatResponseHead(head, { bodyLength }), RangeError);
    assert.throws(() => formatResponseHead(head, { bodyLength: 0, connection: '\n' }), TypeError);
  });
});
