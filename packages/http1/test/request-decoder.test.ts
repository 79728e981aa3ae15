import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { latin1Decode } from '@ferrata/bytes';
import { HttpVersion } from '@ferrata/headers';
import { BodyLength, MessageEvent, RequestDecoder, TargetForm } from '../src/index.ts';
import { bytesOf, type DecodedRequest, decodeRequests, everyByte } from './decoding.ts';

const HOST = 'Host: a\r\n';
const CHUNKED = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;

/** The only request in `text`. */
function only(text: string): DecodedRequest {
  const { messages, reason } = decodeRequests(text);
  assert.equal(reason, null);
  assert.equal(messages.length, 1);
  return messages[0] as DecodedRequest;
}

describe('heads of requests', () => {
  it('keep order, case and duplicates of fields, and trim blanks around values (RFC 9112 §5)', () => {
    const { headers } = only(`GET / HTTP/1.1\r\nhOST:a\r\nX-A: \t1 2\t \r\nx-a:\r\nX-A:   \r\n__proto__: 1\r\nconstructor: \xff\r\n\r\n`);
    assert.deepEqual(headers, [
      ['hOST', 'a'],
      ['X-A', '1 2'],
      ['x-a', ''],
      ['X-A', ''],
      ['__proto__', '1'],
      ['constructor', '\xff'],
    ]);
  });

  it('take any token as a method, case-sensitively (RFC 9110 §9.1)', () => {
    for (const method of ['GET', 'get', 'PURGE', 'M-SEARCH', 'GETS', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', "!#$%&'*+-.^_`|~09"]) {
      assert.equal(only(`${method} / HTTP/1.1\r\n${HOST}\r\n`).method, method);
    }
  });

  it('read higher minor versions as 1.1 and 1.0 as itself (RFC 9110 §2.5)', () => {
    assert.equal(only(`GET / HTTP/1.1\r\n${HOST}\r\n`).version, HttpVersion.http11);
    assert.equal(only(`GET / HTTP/1.9\r\n${HOST}\r\n`).version, HttpVersion.http11);
    assert.equal(only('GET / HTTP/1.0\r\n\r\n').version, HttpVersion.http10);
  });

  it('skip up to four empty lines before each request line (RFC 9112 §2.2)', () => {
    const one = `\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`;
    assert.equal(decodeRequests(one.repeat(3)).messages.length, 3);
  });

  it('tell the form of the target and keep it as it came (RFC 9112 §3.2)', () => {
    const decoder = new RequestDecoder();
    const forms: (readonly [string, TargetForm])[] = [
      ['GET /a?b', TargetForm.origin],
      ['GET http://a/b', TargetForm.absolute],
      ['CONNECT a:1', TargetForm.authority],
      ['OPTIONS *', TargetForm.asterisk],
    ];
    for (const [line, form] of forms) {
      decoder.feed(bytesOf(`${line} HTTP/1.1\r\n${HOST}\r\n`));
      assert.ok(decoder.next());
      assert.equal(decoder.targetForm, form);
      assert.equal(`${decoder.head.method} ${decoder.head.target}`, line);
      assert.equal(decoder.isConnect, form === TargetForm.authority);
      assert.ok(decoder.next());
    }
  });

  it('count their bytes, without empty lines before them', () => {
    const head = `GET / HTTP/1.1\r\n${HOST}\r\n`;
    const decoder = new RequestDecoder();
    for (const byte of everyByte(bytesOf(`\r\n${head}`))) {
      decoder.feed(byte);
      decoder.next();
    }
    assert.equal(decoder.headBytes, head.length);
  });

  it('need no Host in HTTP/1.0, and may have one (RFC 9112 §3.2)', () => {
    assert.deepEqual(only('GET / HTTP/1.0\r\n\r\n').headers, []);
    assert.deepEqual(only('GET / HTTP/1.0\r\nHost: [::1]:80\r\n\r\n').headers, [['Host', '[::1]:80']]);
  });

  it('of 32 KiB less one byte in one field section are taken', () => {
    const lines = Array.from({ length: 4 }, (_, i) => `X${i}: ${'a'.repeat(8000)}\r\n`).join('');
    const start = `GET / HTTP/1.1\r\n${HOST}`;
    const fill = 32_768 - start.length - lines.length - 2;
    const text = `${start}${lines}Y: ${'b'.repeat(fill - 5)}\r\n\r\n`;
    assert.equal(text.length, 32_768);
    assert.equal(decodeRequests(text).reason, null);
    assert.equal(decodeRequests([bytesOf(text.slice(0, 20_000)), bytesOf(text.slice(20_000))]).messages.length, 1);
  });

  it('of a hundred fields are taken', () => {
    assert.equal(only(`GET / HTTP/1.1\r\n${HOST}${'a: b\r\n'.repeat(99)}\r\n`).headers.length, 100);
  });

  it('before the first one, reading the head is a mistake of the program', () => {
    assert.throws(() => new RequestDecoder().head, TypeError);
  });
});

describe('persistence (RFC 9112 §9.3)', () => {
  const cases: (readonly [version: string, fields: string, keepAlive: boolean])[] = [
    ['1.1', '', true],
    ['1.1', 'Connection: keep-alive\r\n', true],
    ['1.1', 'Connection: close\r\n', false],
    ['1.1', 'Connection: Keep-Alive, CLOSE\r\n', false],
    ['1.1', 'Connection: keep-alive\r\nConnection: close\r\n', false],
    ['1.1', 'Connection: closed\r\n', true],
    ['1.1', 'Proxy-Connection: close\r\n', true],
    ['1.0', '', false],
    ['1.0', 'Connection: keep-alive\r\n', true],
    ['1.0', 'Connection: x, Keep-Alive\r\n', true],
    ['1.0', 'Connection: keep-alive, close\r\n', false],
    ['1.0', 'Connection: close\r\n', false],
  ];
  for (const [version, fields, keepAlive] of cases) {
    it(`HTTP/${version} ${JSON.stringify(fields)}: ${keepAlive ? 'goes on' : 'ends'}`, () => {
      assert.equal(only(`GET / HTTP/${version}\r\n${HOST}${fields}\r\n`).keepAlive, keepAlive);
    });
  }

  it('after a request that ends the connection nothing is read any more (RFC 9112 §9.6)', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf(`GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET /smuggled HTTP/1.1\r\n${HOST}\r\n`));
    assert.ok(decoder.next() && decoder.next());
    assert.equal(decoder.isFinished, true);
    assert.equal(decoder.next(), false);
    assert.equal(decoder.bufferedBytes, 35);
    decoder.end();
    assert.equal(decoder.next(), false, 'what follows is neither a request nor an error');
  });
});

describe('bodies of requests', () => {
  it('without length fields there is none, whatever follows (RFC 9112 §6.3)', () => {
    const { messages } = decodeRequests(`POST / HTTP/1.1\r\n${HOST}\r\nGET /2 HTTP/1.1\r\n${HOST}\r\n`);
    assert.deepEqual(
      messages.map(({ target, body, bodyLength }) => [target, body, bodyLength]),
      [
        ['/', '', 0],
        ['/2', '', 0],
      ],
    );
  });

  it('by length may have leading zeros in it (RFC 9110 §8.6)', () => {
    assert.equal(only(`POST / HTTP/1.1\r\n${HOST}Content-Length: 0005\r\n\r\nhello`).bodyLength, 5);
  });

  it('in chunks give data, extensions and trailers (RFC 9112 §7.1)', () => {
    const request = only(`${CHUNKED}5;a;b="x;\\"y" ; c = d\r\nhello\r\n001\r\n!\r\n0;last\r\nX-Sum: 1\r\nx-sum:2\r\n\r\n`);
    assert.equal(request.body, 'hello!');
    assert.equal(request.bodyLength, BodyLength.chunked);
    assert.equal(request.extensions, '[a;b="x;\\"y";c=d]');
    assert.deepEqual(request.trailers, [
      ['X-Sum', '1'],
      ['x-sum', '2'],
    ]);
  });

  it('never let a trailer say what only a head may, by default silently (RFC 9110 §6.5.1)', () => {
    const request = only(`${CHUNKED}0\r\nHost: evil\r\nContent-Length: 3\r\nAuthorization: x\r\nX-Sum: 1\r\n\r\n`);
    assert.deepEqual(request.trailers, [['X-Sum', '1']]);
    assert.deepEqual(request.headers[0], ['Host', 'a']);
    assert.equal(only(`${CHUNKED}0\r\nHost: evil\r\n\r\n`).trailers, null);
  });

  it('are handed out as views of the chunks fed, never copied', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf(`POST / HTTP/1.1\r\n${HOST}Content-Length: 8\r\n\r\n`));
    assert.ok(decoder.next());
    const whole = bytesOf('hell');
    decoder.feed(whole);
    assert.ok(decoder.next());
    assert.equal(decoder.data, whole, 'a chunk that is data from end to end is handed on itself');
    const more = bytesOf('o wor');
    decoder.feed(more);
    assert.ok(decoder.next());
    assert.equal(decoder.data.buffer, more.buffer);
    assert.equal(latin1Decode(decoder.data), 'o wo');
    assert.ok(decoder.next());
    assert.equal(decoder.event, MessageEvent.end);
    assert.equal(decoder.data.length, 0);
  });

  it('take tiny chunks as long as larger ones pay for them', () => {
    const options = { maxTinyChunks: 3 };
    const tiny = '1\r\nx\r\n';
    const large = `20\r\n${'y'.repeat(32)}\r\n`;
    assert.equal(decodeRequests(CHUNKED + tiny.repeat(3), { options }).reason, null);
    assert.equal(decodeRequests(CHUNKED + (tiny.repeat(2) + large).repeat(50), { options }).reason, null);
    assert.equal(decodeRequests(CHUNKED + (tiny.repeat(3) + large).repeat(50), { options }).reason, 'H1_CHUNKS_TOO_SMALL');
    assert.equal(decodeRequests(CHUNKED + tiny.repeat(5000), { options: { maxTinyChunks: Number.POSITIVE_INFINITY } }).reason, null);
  });

  it('count tiny chunks and extension bytes a body, not a connection', () => {
    const body = '1;aa\r\nx\r\n0\r\n\r\n';
    assert.equal(
      decodeRequests((CHUNKED + body).repeat(4), { options: { maxTinyChunks: 1, maxChunkExtensionBytes: 4 } }).messages.length,
      4,
    );
  });
});

describe('Expect (RFC 9110 §10.1.1)', () => {
  it('is heeded in HTTP/1.1 with a body only', () => {
    const expects = (version: string, fields: string): boolean =>
      decodeRequests(`POST / HTTP/${version}\r\n${HOST}${fields}\r\n`).messages[0]?.expectsContinue === true;
    assert.equal(expects('1.1', 'Expect: 100-continue\r\nContent-Length: 1\r\n'), true);
    assert.equal(expects('1.1', 'Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n'), true);
    assert.equal(expects('1.1', 'Expect: 100-continue\r\n'), false);
    assert.equal(expects('1.1', 'Expect: 200-ok\r\nContent-Length: 1\r\n'), false);
    assert.equal(expects('1.0', 'Expect: 100-continue\r\nContent-Length: 1\r\n'), false);
  });
});

describe('quotes in a list of tokens hide nothing: every comma divides (RFC 9110 §5.6.1, §7.6.1)', () => {
  const read = (version: string, fields: string): DecodedRequest | undefined =>
    decodeRequests(`GET / HTTP/1.${version}\r\n${HOST}${fields}\r\n\r\n`).messages[0];

  it('close, keep-alive and upgrade in Connection', () => {
    for (const list of ['"a,close', '"a, close"', '"a\\", close', 'close, "b', '", close ,"']) {
      assert.equal(read('1', `Connection: ${list}`)?.keepAlive, list === '"a, close"', list);
    }
    assert.equal(read('0', 'Connection: "a, keep-alive')?.keepAlive, true);
    assert.equal(read('0', 'Connection: "a, keep-alive"')?.keepAlive, false);
    assert.equal(read('1', 'Connection: "a, upgrade\r\nUpgrade: x')?.upgrade, 'x');
  });

  it('100-continue in Expect', () => {
    assert.equal(read('1', 'Content-Length: 1\r\nExpect: "a, 100-continue')?.expectsContinue, true);
  });
});

describe('Upgrade (RFC 9110 §7.8)', () => {
  const asked = (line: string, fields: string): string | null | undefined =>
    decodeRequests(`${line}\r\n${HOST}${fields}\r\n`).messages[0]?.upgrade;

  it('is asked for with a nominated field in HTTP/1.1', () => {
    assert.equal(asked('GET / HTTP/1.1', 'Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n'), 'websocket');
    assert.equal(asked('GET / HTTP/1.1', 'Connection: Upgrade\r\nUpgrade: a\r\nUpgrade: b\r\nContent-Length: 0\r\n'), 'a, b');
  });

  it('is not asked for without nomination, with a body, in HTTP/1.0, empty, with a quote in it, or by CONNECT', () => {
    assert.equal(asked('GET / HTTP/1.1', 'Upgrade: websocket\r\n'), null);
    assert.equal(asked('GET / HTTP/1.1', 'Connection: upgrade\r\n'), null);
    for (const list of ['', ' , ,', '\t,', '"', '"a, b"', '"a, h2c', 'a, "'])
      assert.equal(asked('GET / HTTP/1.1', `Connection: upgrade\r\nUpgrade:${list}\r\n`), null, list);
    assert.equal(asked('GET / HTTP/1.1', 'Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n'), null);
    assert.equal(asked('GET / HTTP/1.1', 'Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n'), null);
    assert.equal(asked('GET / HTTP/1.0', 'Connection: upgrade\r\nUpgrade: websocket\r\n'), null);
    assert.equal(asked('CONNECT a:1 HTTP/1.1', 'Connection: upgrade\r\nUpgrade: websocket\r\n'), null);
  });

  it('leaves the next bytes alone until the caller has decided', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf(`GET / HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: foo\r\n\r\n\0foo`));
    decoder.feed(bytesOf('more'));
    assert.ok(decoder.next() && decoder.next());
    assert.equal(latin1Decode(decoder.takeRemaining()), '\0foomore');
    assert.equal(decoder.isFinished, true);
    assert.equal(decoder.next(), false);
    assert.throws(() => decoder.feed(bytesOf('x')), TypeError);
  });

  it('gives back the beginning of a request that was read too early', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf('GET / HT'));
    assert.equal(decoder.next(), false);
    assert.equal(decoder.isMidMessage, true);
    decoder.feed(bytesOf('TP'));
    assert.equal(latin1Decode(decoder.takeRemaining()), 'GET / HTTP');
  });
});

describe('ends', () => {
  it('between requests the connection may end', () => {
    for (const text of ['', '\r\n', `GET / HTTP/1.1\r\n${HOST}\r\n`, `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\nx`]) {
      assert.equal(decodeRequests(text, { ends: true }).reason, null);
    }
  });

  it('after the end nothing can be fed', () => {
    const decoder = new RequestDecoder();
    decoder.end();
    assert.throws(() => decoder.feed(bytesOf('x')), TypeError);
  });

  it('a decoder knows whether it is inside a message', () => {
    const decoder = new RequestDecoder();
    assert.equal(decoder.event, MessageEvent.none);
    assert.equal(decoder.isBetweenMessages, true);
    decoder.feed(bytesOf(`POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\n`));
    assert.ok(decoder.next());
    assert.equal(decoder.isBetweenMessages, false);
    decoder.feed(bytesOf('x'));
    assert.ok(decoder.next() && decoder.next());
    assert.equal(decoder.isBetweenMessages, true);
    assert.equal(decoder.trailers, null);
    assert.equal(decoder.chunkExtension, '');
    assert.equal(decoder.keepAlive, true);
  });

  it('a large head that came in pieces leaves no large buffer behind, and the next head is read right', () => {
    const text = `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(9000)}\r\n\r\n`;
    const bytes = bytesOf(text + text);
    assert.equal(decodeRequests([bytes.slice(0, 10), bytes.slice(10, 9100), bytes.slice(9100)]).messages.length, 2);
  });
});
