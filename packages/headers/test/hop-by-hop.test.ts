import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HeaderInit, HopByHopOptions } from '../src/index.ts';
import {
  acceptsTrailers,
  HeaderMap,
  HOP_BY_HOP,
  isInKnownHeaderSet,
  KnownHeader,
  mayBeTrailer,
  removeForbiddenTrailers,
  removeHopByHop,
} from '../src/index.ts';

function namesAfter(init: HeaderInit, options?: HopByHopOptions): string[] {
  const headers = HeaderMap.from(init);
  removeHopByHop(headers, options);
  return headers.toJSON().map(([name]) => name);
}

describe('removeHopByHop', () => {
  it('removes the fields of the connection, nominated or not (RFC 9110 §7.6.1)', () => {
    const names = namesAfter({
      Host: 'a',
      Connection: 'keep-alive',
      'Keep-Alive': 'timeout=5',
      'Proxy-Connection': 'keep-alive',
      TE: 'trailers',
      'Transfer-Encoding': 'chunked',
      Upgrade: 'h2c',
      'HTTP2-Settings': 'AAM',
      Accept: '*/*',
    });
    assert.deepEqual(names, ['Host', 'Accept']);
    assert.deepEqual(namesAfter({ Host: 'a', 'Keep-Alive': 'timeout=5' }), ['Host']);
  });

  it('removes what is nominated behind an open quote: every comma divides (RFC 9110 §7.6.1)', () => {
    assert.deepEqual(namesAfter({ Host: 'a', Connection: '"x,X-One', 'X-One': '1' }), ['Host']);
    assert.deepEqual(namesAfter({ Host: 'a', Connection: '"x, X-One"', 'X-One': '1' }), ['Host', 'X-One']);
  });

  it('removes nominated fields, in any case, from several Connection lines', () => {
    const names = namesAfter([
      ['Connection', 'close, X-One'],
      ['x-one', '1'],
      ['X-Two', '2'],
      ['Host', 'a'],
      ['X-ONE', '3'],
      ['connection', ',\tx-TWO ,,'],
      ['X-Three', '4'],
    ]);
    assert.deepEqual(names, ['Host', 'X-Three']);
  });

  it('takes close for an option, not for a field', () => {
    for (const value of ['close', 'Close', 'keep-alive, close']) assert.deepEqual(namesAfter({ Connection: value, Close: '1' }), ['Close']);
  });

  it('does nothing where nothing is to be done', () => {
    assert.deepEqual(namesAfter({ Host: 'a', 'X-A': 'b' }), ['Host', 'X-A']);
    assert.deepEqual(namesAfter({}), []);
  });

  it('lets nobody nominate away what routing, framing and trust need (CVE-2022-31813, CVE-2024-45410)', () => {
    const fields = {
      Host: 'a',
      'Content-Length': '5',
      'Content-Type': 'text/plain',
      Authorization: 'Basic YQ==',
      Cookie: 'a=b',
      'X-Forwarded-For': '192.0.2.1',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'a',
      'X-Forwarded-Port': '443',
      'X-Real-IP': '192.0.2.1',
      Forwarded: 'for=192.0.2.1',
      Via: '1.1 a',
      'Cache-Control': 'no-store',
      'Set-Cookie': 'a=b',
    };
    assert.deepEqual(namesAfter({ Connection: Object.keys(fields).join(', '), ...fields }), Object.keys(fields));
  });

  it('lets the caller protect names of its own', () => {
    const init = { Connection: 'CF-Connecting-IP, X-Other', 'cf-connecting-ip': '192.0.2.1', 'X-Other': '1' };
    assert.deepEqual(namesAfter(init, { protect: ['Cf-Connecting-Ip'] }), ['cf-connecting-ip']);
    assert.deepEqual(namesAfter(init), []);
  });

  it('takes names of objects for ordinary names, and nothing in quotes or of no grammar for a name', () => {
    assert.deepEqual(
      namesAfter([
        ['Connection', '__proto__, 7, constructor'],
        ['__proto__', 'a'],
        ['7', 'b'],
        ['constructor', 'c'],
        ['toString', 'd'],
      ]),
      ['toString'],
    );
    assert.deepEqual(namesAfter({ Connection: '"x-a", x a, x-b;q=1', 'X-A': '1', 'X-B': '2' }), ['X-A', 'X-B']);
    assert.deepEqual(namesAfter({ Connection: '', 'X-A': '1' }), ['X-A']);
  });

  it('keeps TE: trailers if asked, and nothing else of TE (RFC 9113 §8.2.2)', () => {
    const options = { keepTrailersTe: true };
    const headers = HeaderMap.from({ TE: 'gzip, Trailers', Connection: 'TE', Accept: '*/*' });
    removeHopByHop(headers, options);
    assert.deepEqual(
      [...headers],
      [
        ['Accept', '*/*'],
        ['TE', 'trailers'],
      ],
    );
    assert.deepEqual(namesAfter({ TE: 'gzip' }, options), []);
    assert.deepEqual(namesAfter({ Connection: 'close' }, options), []);
  });

  it('removes proxy authentication unless the proxies share a realm (RFC 9110 §11.7)', () => {
    const init = { 'Proxy-Authorization': 'Basic YQ==', 'Proxy-Authenticate': 'Basic', Connection: 'proxy-authorization' };
    assert.deepEqual(namesAfter(init), []);
    assert.deepEqual(namesAfter(init, { keepProxyAuth: true }), ['Proxy-Authorization', 'Proxy-Authenticate']);
    assert.deepEqual(namesAfter({ 'Proxy-Authorization': 'a' }, { keepProxyAuth: true }), ['Proxy-Authorization']);
  });

  it('leaves Trailer, which goes with the trailers', () => {
    assert.deepEqual(namesAfter({ Trailer: 'X-Sum', Connection: 'close' }), ['Trailer']);
    assert.equal(isInKnownHeaderSet(HOP_BY_HOP, KnownHeader.trailer), false);
  });

  it('visits each line and each nomination once: thousands of nominations cost thousands of steps', () => {
    const nominations = Array.from({ length: 4000 }, (_, i) => (i + 10_000).toString(36)).join();
    let reads = 0;
    class CountingMap extends HeaderMap {
      override deleteWhere(isGone: (name: string, value: string, id: KnownHeader | 0) => boolean): number {
        return super.deleteWhere((name, value, id) => {
          reads++;
          return isGone(name, value, id);
        });
      }
    }
    const headers = new CountingMap();
    headers.append('Connection', nominations);
    for (let i = 0; i < 99; i++) headers.append(`x${i}`, '');
    removeHopByHop(headers);
    assert.equal(reads, 100);
    assert.equal(headers.size, 99);
  });
});

describe('acceptsTrailers', () => {
  it('reads TE (RFC 9110 §10.1.4)', () => {
    for (const te of ['trailers', 'Trailers', 'gzip;q=0.5, trailers', 'trailers;q=0.1'])
      assert.ok(acceptsTrailers(HeaderMap.from({ TE: te })), te);
    for (const te of ['', 'gzip', 'trailersx', 'trailers;q=0']) assert.equal(acceptsTrailers(HeaderMap.from({ TE: te })), false, te);
    assert.ok(acceptsTrailers(HeaderMap.from({ TE: ['gzip', 'trailers'] })));
    assert.equal(acceptsTrailers(new HeaderMap()), false);
  });
});

describe('trailer sections', () => {
  it('must not carry framing, routing, authentication or the meaning of the body (RFC 9110 §6.5.1)', () => {
    for (const id of [
      KnownHeader.host,
      KnownHeader.contentLength,
      KnownHeader.transferEncoding,
      KnownHeader.authorization,
      KnownHeader.setCookie,
      KnownHeader.contentEncoding,
    ]) {
      assert.equal(mayBeTrailer(id), false);
    }
    for (const id of [0, KnownHeader.etag, KnownHeader.date, KnownHeader.server] as const) assert.equal(mayBeTrailer(id), true);
    const trailers = HeaderMap.from({ 'X-Sum': '1', Host: 'evil', 'Content-Length': '5', ETag: '"1"', 'grpc-status': '0' });
    assert.equal(removeForbiddenTrailers(trailers), 2);
    assert.deepEqual(
      trailers.toJSON().map(([name]) => name),
      ['X-Sum', 'ETag', 'grpc-status'],
    );
  });
});
