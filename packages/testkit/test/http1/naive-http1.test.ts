/** The oracle itself, by hand: what it reads, and what it refuses for which rule of RFC 9112. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { naiveHttp1, naiveHttp1Responses } from '../../src/index.ts';

const request = (text: string) => naiveHttp1(latin1Encode(text));
const responses = (text: string, ...methods: string[]) => naiveHttp1Responses(latin1Encode(text), methods);

describe('naiveHttp1', () => {
  test('reads pipelined requests in every framing, trailers included (RFC 9112 §6, §7)', () => {
    const { messages, verdict, rest } = request(
      '\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\nA;x="\\"y"\r\n0123456789\r\n0\r\nX-Sum:  1 \r\n\r\n' +
        'PUT /b HTTP/1.7\r\nhost: [::1]:80\r\nContent-Length: 002\r\n\r\nhi' +
        'GET http://a/c HTTP/1.0\r\n\r\nleft alone',
    );
    assert.equal(verdict, 'whole');
    assert.equal(rest, 'left alone');
    assert.deepEqual(
      messages.map(({ method, target, minorVersion, body, trailers }) => [method, target, minorVersion, body, trailers]),
      [
        ['POST', '/a', 1, '0123456789', [['X-Sum', '1']]],
        ['PUT', '/b', 7, 'hi', []],
        ['GET', 'http://a/c', 0, '', []],
      ],
    );
  });

  test('tells incomplete from refused, and keeps what was not read', () => {
    const good = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    for (const part of ['GET / HT', 'GET / HTTP/1.1\r', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi`]) {
      const reading = request(good + part);
      assert.deepEqual([reading.verdict, reading.messages.length, reading.rest], ['incomplete', 1, part]);
    }
    assert.equal(request(`${good}\r\n\r\n\r\n\r\n\r\n`).verdict, 'refused');
    assert.equal(request(`${good}\r\n\r\n\r\n\r\n\r`).verdict, 'whole');
  });

  const refusals: Readonly<Record<string, readonly [text: string, why: RegExp]>> = {
    'a lone LF (§2.2)': ['GET / HTTP/1.1\nHost: a\n\n', /CRLF/],
    'a lone CR (§2.2)': ['GET / HTTP/1.1\r\nX: a\rb\r\n\r\n', /CRLF/],
    'two spaces in the request line (§3)': ['GET  / HTTP/1.1\r\nHost: a\r\n\r\n', /request line/],
    'another major version (§2.3)': ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', /major/],
    'a fragment (§3.2)': ['GET /#x HTTP/1.1\r\nHost: a\r\n\r\n', /fragment/],
    'a target of no form (§3.2)': ['GET a HTTP/1.1\r\nHost: a\r\n\r\n', /forms/],
    'user information in a target (RFC 9110 §4.2.4)': ['GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', /forms/],
    'CONNECT without a port (RFC 9110 §9.3.6)': ['CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n', /port/],
    'CONNECT with a body (RFC 9110 §9.3.6)': ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx', /CONNECT/],
    'no Host (§3.2)': ['GET / HTTP/1.1\r\n\r\n', /Host/],
    'two Hosts (§3.2)': ['GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', /Host/],
    'a port beyond 65535': ['GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n', /Host/],
    'a bad IPv6 literal': ['GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n', /Host/],
    'a folded line (§5.2)': ['GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n', /field line/],
    'a blank before the colon (§5.1)': ['GET / HTTP/1.1\r\nHost : a\r\n\r\n', /field line/],
    'a control byte in a value (RFC 9110 §5.5)': ['GET / HTTP/1.1\r\nHost: a\r\nX: \x07\r\n\r\n', /control/],
    'both lengths (§6.3)': ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n', /both/],
    'two lengths (§6.3)': ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n', /one number/],
    'a length beyond 2^53': ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9007199254740992\r\n\r\n', /2\^53/],
    'Transfer-Encoding in 1.0 (§6.1)': ['POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', /1\.0/],
    'another coding (§6.1)': ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', /chunked/],
    'a chunk size that is no number (§7.1)': ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n', /chunk line/],
    'a chunk size beyond 2^53 (§7.1)': ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n', /2\^53/],
    'a chunk without its CRLF (§7.1)': ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz', /after a chunk/],
  };
  for (const [title, [text, why]] of Object.entries(refusals)) {
    test(`refuses ${title}`, () => {
      const reading = request(text);
      assert.equal(reading.verdict, 'refused');
      assert.match(reading.why, why);
      assert.equal(reading.rest, text);
    });
  }

  test('goes on after a request that asks for an upgrade, whatever else it says (RFC 9110 §7.8)', () => {
    const asking = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n';
    assert.equal(request(asking + asking).messages.length, 2);
  });
});

describe('naiveHttp1Responses', () => {
  test('reads interim and final responses in order, by the methods of their requests (RFC 9112 §6.3)', () => {
    const { messages, verdict } = responses(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi' +
        'HTTP/1.1 200\r\nContent-Length: 9\r\n\r\n' +
        'HTTP/1.1 204 \r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end',
      'POST',
      'HEAD',
      'DELETE',
      'GET',
    );
    assert.equal(verdict, 'whole');
    assert.deepEqual(
      messages.map(({ status, reason, body }) => [status, reason, body]),
      [
        [100, 'Continue', ''],
        [200, 'OK', 'hi'],
        [200, '', ''],
        [204, '', ''],
        [200, 'OK', 'to the end'],
      ],
    );
  });

  test('stops at a tunnel: 101, and 2xx to CONNECT (RFC 9110 §9.3.6)', () => {
    for (const [text, method] of [
      ['HTTP/1.1 101 Switching Protocols\r\n\r\n', 'GET'],
      ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 'CONNECT'],
    ] as const) {
      const { verdict, rest } = responses(`${text}raw`, method);
      assert.deepEqual([verdict, rest], ['whole', 'raw']);
    }
  });

  test('refuses what is no response, and what nobody asked for', () => {
    for (const [text, ...methods] of [
      ['HTTP/1.1 20 OK\r\n\r\n', 'GET'],
      ['HTTP/2.0 200 OK\r\n\r\n', 'GET'],
      ['HTTP/1.1 200 \x00\r\n\r\n', 'GET'],
      ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx', 'GET'],
    ] as const) {
      assert.equal(responses(text, ...methods).verdict, 'refused', JSON.stringify(text));
    }
    assert.equal(responses('', 'GET').verdict, 'incomplete');
  });
});
