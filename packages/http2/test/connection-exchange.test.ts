import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Event } from '@ferrata/http2';
import type { End } from './connection-harness.ts';
import { Pair } from './connection-harness.ts';

const get = () => requestHead('GET', '/', { headers: { Host: 'example.org' } });

test('a request without a body and its response go to and fro (RFC 9113 §8.1)', () => {
  const pair = new Pair();
  pair.server.onEvent = (end: End, stream, event) => {
    if (event !== Http2Event.head || stream === null) return;
    end.connection.sendHead(stream, responseHead(200, { headers: { 'Content-Type': 'text/plain' } }), 5, '', 0);
    end.connection.sendData(stream, Buffer.from('hello'), 0);
    end.connection.sendEnd(stream, null, 0);
  };
  const stream = pair.client.connection.request(get(), { bodyLength: 0 }, 0);
  pair.exchange();
  assert.equal(pair.server.fatal, null);
  assert.equal(pair.client.fatal, null);
  assert.equal(pair.server.story(1), 'head end');
  assert.equal(pair.client.story(1), 'head data end');
  assert.equal(pair.client.body(1), 'hello');
  assert.deepEqual(pair.server.detail('head'), ['GET', '/', [['Host', 'example.org']]]);
  assert.deepEqual(pair.client.detail('head'), [
    200,
    [
      ['Content-Type', 'text/plain'],
      ['Content-Length', '5'],
    ],
  ]);
  assert.equal(stream.isClosed, true);
  assert.equal(pair.server.connection.openStreamCount, 0);
});

test('bodies of any size, trailers and interim responses go both ways (RFC 9113 §8.1)', () => {
  const pair = new Pair();
  const body = 'x'.repeat(300_000);
  pair.server.onEvent = (end: End, stream, event) => {
    if (stream === null) return;
    if (event === Http2Event.head) end.connection.sendInterim(stream, responseHead(103, { headers: { Link: '</a>' } }), 0);
    if (event !== Http2Event.end) return;
    end.connection.sendHead(stream, responseHead(200), -1, 'Sun, 06 Nov 1994 08:49:37 GMT', 0);
    end.connection.sendData(stream, Buffer.from(end.body(stream.id)), 0);
    end.connection.sendEnd(stream, HeaderMap.from({ 'X-Sum': '7' }), 0);
  };
  const client = pair.client.connection;
  const stream = client.request(requestHead('POST', '/', { headers: { Host: 'example.org' } }), { bodyLength: body.length }, 0);
  client.sendData(stream, Buffer.from(body), 0);
  client.sendEnd(stream, null, 0);
  pair.exchange();
  assert.equal(pair.server.body(1), body);
  assert.equal(pair.client.story(1), 'interim head data end');
  assert.equal(pair.client.body(1), body);
  assert.deepEqual(pair.client.detail('end'), [['x-sum', '7']]);
});
