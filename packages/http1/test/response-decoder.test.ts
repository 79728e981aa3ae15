import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { latin1Decode } from '@ferrata/bytes';
import { HttpVersion } from '@ferrata/headers';
import { BodyLength, MessageEvent, ResponseDecoder } from '../src/index.ts';
import { bytesOf, type DecodedResponse, decodeResponses, everyByte } from './decoding.ts';

function first(text: string, method = 'GET', ends = false): DecodedResponse {
  const { messages, reason } = decodeResponses(text, { methods: [method], ends });
  assert.equal(reason, null);
  return messages[0] as DecodedResponse;
}

describe('status lines (RFC 9112 §4)', () => {
  it('keep the reason as it came, which may be empty, or missing with its space', () => {
    assert.equal(first('HTTP/1.1 200 OK\r\n\r\n').reason, 'OK');
    assert.equal(first('HTTP/1.1 404 Not \xe9\tfound \r\n\r\n').reason, 'Not \xe9\tfound ');
    assert.equal(first('HTTP/1.1 200 \r\n\r\n').reason, '');
    assert.equal(first('HTTP/1.1 200\r\n\r\n').reason, '');
    assert.equal(first('HTTP/1.1 200 KO\r\n\r\n').reason, 'KO');
  });

  it('take statuses from 100 to 999, and minor versions as requests do', () => {
    assert.equal(first('HTTP/1.1 999 x\r\n\r\n').status, 999);
    assert.equal(first('HTTP/1.7 299 x\r\n\r\n').version, HttpVersion.http11);
    assert.equal(first('HTTP/1.0 299 x\r\n\r\n').version, HttpVersion.http10);
  });

  it('before the first one, reading the head is a mistake of the program', () => {
    assert.throws(() => new ResponseDecoder().head, TypeError);
  });
});

describe('bodies of responses (RFC 9112 §6.3)', () => {
  const bodyless: (readonly [method: string, status: number, fields: string])[] = [
    ['HEAD', 200, 'Content-Length: 5\r\n'],
    ['HEAD', 200, 'Transfer-Encoding: chunked\r\n'],
    ['HEAD', 404, ''],
    ['GET', 204, ''],
    ['GET', 204, 'Content-Length: 0\r\n'],
    ['GET', 304, 'Content-Length: 5\r\n'],
    ['GET', 304, 'Transfer-Encoding: chunked\r\n'],
    ['GET', 200, 'Content-Length: 0\r\n'],
  ];
  for (const [method, status, fields] of bodyless) {
    it(`${status} to ${method} with ${JSON.stringify(fields)} has none and keeps the connection`, () => {
      const { messages, reason } = decodeResponses(`HTTP/1.1 ${status} x\r\n${fields}\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!`, {
        methods: [method, 'GET'],
      });
      assert.equal(reason, null);
      assert.deepEqual(
        messages.map(({ body, bodyLength, isComplete }) => [body, bodyLength, isComplete]),
        [
          ['', 0, true],
          ['!', 1, true],
        ],
      );
    });
  }

  it('by length, in chunks with trailers, and to the end of the connection', () => {
    assert.equal(first('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi').body, 'hi');
    const chunked = first('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nETag: x\r\nSet-Cookie: evil\r\n\r\n');
    assert.deepEqual([chunked.body, chunked.trailers], ['hi', [['ETag', 'x']]]);
    const closed = first('HTTP/1.1 200 OK\r\n\r\nhi', 'GET', true);
    assert.deepEqual([closed.body, closed.bodyLength, closed.keepAlive, closed.isComplete], ['hi', BodyLength.untilClose, false, true]);
  });

  it('to the end of the connection are complete only at its end, also when it comes a byte at a time or empty', () => {
    assert.equal(first('HTTP/1.1 200 OK\r\n\r\nhi').isComplete, false);
    assert.equal(first('HTTP/1.1 200 OK\r\n\r\n', 'GET', true).isComplete, true);
    const { messages } = decodeResponses(everyByte(bytesOf('HTTP/1.0 200 OK\r\n\r\nhello')), { ends: true });
    assert.deepEqual([messages[0]?.body, messages[0]?.isComplete], ['hello', true]);
  });

  it('are never delimited by the end of the connection when chunks were announced to HEAD, but then there is none', () => {
    assert.equal(first('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HEAD').isComplete, true);
  });
});

describe('persistence (RFC 9112 §9.3)', () => {
  const keepAlive = (version: string, fields: string): boolean =>
    first(`HTTP/${version} 200 OK\r\nContent-Length: 0\r\n${fields}\r\n`).keepAlive;

  it('is the rule in HTTP/1.1 and the exception in HTTP/1.0', () => {
    assert.equal(keepAlive('1.1', ''), true);
    assert.equal(keepAlive('1.1', 'Connection: close\r\n'), false);
    assert.equal(keepAlive('1.0', ''), false);
    assert.equal(keepAlive('1.0', 'Connection: Keep-Alive\r\n'), true);
  });

  it('after a response that ends the connection nothing is read any more', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.feed(bytesOf('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\njunk'));
    assert.ok(decoder.next() && decoder.next());
    assert.equal(decoder.isFinished, true);
    assert.equal(decoder.next(), false);
    assert.equal(decoder.bufferedBytes, 4);
    assert.equal(decoder.expectedCount, 0);
  });
});

describe('bytes that nobody asked for', () => {
  const two = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2';

  it('are no answer to a request that is sent after they came, also if nobody has looked at them (RFC 9112 §9.2)', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.feed(bytesOf(two));
    while (decoder.next() && decoder.event !== MessageEvent.end);
    assert.equal(decoder.bufferedBytes, two.length / 2);
    decoder.expect('GET');
    assert.throws(() => decoder.next(), { reason: 'H1_UNEXPECTED_BYTES' });
    assert.deepEqual([decoder.bufferedBytes, decoder.consumedBytes], [0, two.length]);
  });

  it('are none before the first request either', () => {
    const decoder = new ResponseDecoder();
    decoder.feed(bytesOf('H'));
    decoder.expect('GET');
    assert.throws(() => decoder.next(), { reason: 'H1_UNEXPECTED_BYTES' });
  });

  it('are answers if the requests were sent before: pipelined ones', () => {
    const { messages, reason } = decodeResponses(two, { methods: ['GET', 'GET'] });
    assert.deepEqual([messages.map(({ body }) => body), reason], [['1', '2'], null]);
  });

  it('may lie there when one more request is sent, behind requests that have no answer yet', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.expect('GET');
    decoder.feed(bytesOf(two));
    while (decoder.next() && decoder.event !== MessageEvent.end);
    decoder.expect('GET');
    while (decoder.next());
    assert.equal(decoder.expectedCount, 1);
  });

  it('may be expected while a response to an earlier request is being read', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.feed(bytesOf(two.slice(0, 20)));
    decoder.next();
    decoder.expect('GET');
    decoder.feed(bytesOf(two.slice(20)));
    let ends = 0;
    while (decoder.next()) if (decoder.event === MessageEvent.end) ends++;
    assert.equal(ends, 2);
  });
});

describe('interim responses (RFC 9110 §15.2)', () => {
  it('are heads without an end, before the response to the same request', () => {
    const { messages, reason } = decodeResponses(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: <a>\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      {
        methods: ['HEAD', 'GET'],
      },
    );
    assert.equal(reason, null);
    assert.deepEqual(
      messages.map(({ status, isInterim, isComplete }) => [status, isInterim, isComplete]),
      [
        [100, true, false],
        [103, true, false],
        [204, false, true],
        [200, false, true],
      ],
    );
  });

  it('leave the decoder between messages', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.feed(bytesOf('HTTP/1.1 100 Continue\r\n\r\nH'));
    assert.ok(decoder.next());
    assert.equal(decoder.isBetweenMessages, true);
    assert.equal(decoder.expectedCount, 1);
    assert.equal(decoder.next(), false);
    assert.equal(decoder.isMidMessage, true);
  });
});

describe('tunnels (RFC 9110 §7.8, §9.3.6)', () => {
  for (const [method, status, fields] of [
    ['GET', 101, 'Upgrade: foo\r\n'],
    ['CONNECT', 200, ''],
    ['CONNECT', 200, 'Content-Length: 5\r\n'],
    ['CONNECT', 299, 'Transfer-Encoding: chunked\r\n'],
  ] as const) {
    it(`begin behind ${status} to ${method} with ${JSON.stringify(fields)}`, () => {
      const decoder = new ResponseDecoder();
      decoder.expect(method);
      decoder.feed(bytesOf(`HTTP/1.1 ${status} x\r\n${fields}\r\n\0\x01`));
      assert.ok(decoder.next());
      assert.equal(decoder.isTunnel, true);
      assert.equal(decoder.isInterim, false);
      assert.equal(decoder.keepAlive, false);
      assert.equal(decoder.bodyLength, 0);
      assert.equal(decoder.next(), false);
      decoder.feed(bytesOf('more'));
      assert.equal(decoder.next(), false);
      assert.equal(latin1Decode(decoder.takeRemaining()), '\0\x01more');
      assert.throws(() => decoder.feed(bytesOf('x')), TypeError);
    });
  }

  it('do not begin behind a refused CONNECT, which is a response like others', () => {
    const response = first('HTTP/1.1 407 x\r\nContent-Length: 2\r\n\r\nno', 'CONNECT');
    assert.deepEqual([response.isTunnel, response.body, response.isComplete], [false, 'no', true]);
  });
});

describe('expectations', () => {
  it('are used up in order, and may be told while earlier responses are still read', () => {
    const decoder = new ResponseDecoder();
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      decoder.expect('GET');
      decoder.expect('HEAD');
      decoder.feed(bytesOf(`HTTP/1.1 40${i} x\r\nContent-Length: 1\r\n\r\n!HTTP/1.1 50${i} x\r\nContent-Length: 1\r\n\r\n`));
      while (decoder.next()) if (decoder.event === MessageEvent.head) statuses.push(decoder.head.status);
      assert.equal(decoder.expectedCount, 0);
    }
    assert.deepEqual(statuses, [400, 500, 401, 501, 402, 502, 403, 503, 404, 504]);
  });

  it('a connection that ends when nothing is expected ends in order', () => {
    assert.equal(decodeResponses('', { methods: [], ends: true }).reason, null);
  });

  it('what is kept of a response can be taken back', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.feed(bytesOf('HTTP/1.1 2'));
    assert.equal(decoder.next(), false);
    assert.equal(latin1Decode(decoder.takeRemaining()), 'HTTP/1.1 2');
    assert.equal(decoder.headBytes, 0);
    assert.equal(decoder.trailers, null);
    assert.equal(decoder.chunkExtension, '');
    assert.equal(decoder.data.length, 0);
  });
});
