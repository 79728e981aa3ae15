/** The client's machine: when a connection may be used again, and when never. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isWireError } from '@ferrata/error';
import { HeaderMap, type RequestHead } from '@ferrata/headers';
import { BodyLength, ClientConnection, resolveClientConnectionOptions } from '@ferrata/http1';
import { bytes, ClientTwin, request, text } from './machines.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function reasonOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (isWireError(error)) return error.reason;
    throw error;
  }
  return 'nothing was thrown';
}

describe('a client connection and its exchanges', () => {
  it('is used again after both messages were whole', () => {
    const twin = new ClientTwin();
    for (let round = 1; round <= 3; round++) {
      assert.equal(twin.machine.isReusable, true);
      assert.equal(twin.send(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal(twin.machine.isBusy, true);
      assert.equal(twin.machine.isReusable, false);
      assert.deepEqual(twin.feed(OK), ['200', 'data ok', 'end']);
      assert.equal(twin.machine.requestCount, round);
    }
    assert.equal(twin.machine.isReusable, true);
  });

  it('takes no second request while one is running', () => {
    const twin = new ClientTwin();
    twin.send();
    assert.throws(() => twin.send(), TypeError);
  });

  it('stays clean after a request that could not be written', () => {
    const { machine } = new ClientTwin();
    assert.throws(() => machine.sendHead(request('G T'), 0, null, 0), TypeError);
    assert.throws(() => machine.sendHead(request('GET'), BodyLength.untilClose, null, 0), RangeError);
    assert.equal(machine.isReusable, true);
    assert.equal(machine.outputBytes, 0);
    assert.equal(machine.requestCount, 0);
  });

  it('sends a body by length or in chunks, and its trailers', () => {
    const exact = new ClientTwin();
    assert.match(exact.send('POST', undefined, 3), /\r\nContent-Length: 3\r\n/);
    exact.machine.sendData(bytes('abc'), 0);
    exact.machine.sendEnd(null, 0);
    exact.machine.sendEnd(null, 0);
    assert.equal(exact.output(), 'abc');
    assert.equal(exact.machine.isRequestDone, true);
    assert.throws(() => exact.machine.sendData(bytes('d'), 0), TypeError);
    const chunked = new ClientTwin();
    assert.match(chunked.send('POST', undefined, BodyLength.chunked), /\r\nTransfer-Encoding: chunked\r\n/);
    chunked.machine.sendData(bytes('abc'), 0);
    chunked.machine.sendEnd(HeaderMap.from({ 'X-Sum': '1' }), 0);
    assert.equal(chunked.output(), '3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n');
  });

  for (const [what, goWrong] of [
    ['longer', (machine: ClientConnection) => machine.sendData(bytes('cd'), 0)],
    ['shorter', (machine: ClientConnection) => machine.sendEnd(null, 0)],
  ] as const) {
    it(`sends no body ${what} than announced, and no request after it (RFC 9110 §8.6)`, () => {
      const twin = new ClientTwin();
      twin.send('POST', undefined, 3);
      twin.machine.sendData(bytes('ab'), 0);
      assert.throws(() => goWrong(twin.machine), RangeError);
      assert.throws(() => twin.machine.sendData(bytes('c'), 0), TypeError);
      assert.throws(() => twin.machine.sendEnd(null, 0), TypeError);
      assert.throws(() => twin.send(), TypeError);
      assert.throws(() => twin.events(), { reason: 'H1_BODY_LENGTH_WRONG', retry: 'never' });
      assert.equal(twin.machine.isReusable, false);
      assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
      assert.equal(twin.output(), 'ab');
    });
  }

  it('sends no request that servers could route to different places (RFC 9112 §3.2)', () => {
    const twin = new ClientTwin();
    const send = (head: RequestHead): void => twin.machine.sendHead(head, 0, null, 0);
    assert.throws(() => send(request('GET', '/', {})), /one Host/);
    const doubled = request('GET', '/');
    doubled.headers.append('host', 'b');
    assert.throws(() => send(doubled), /one Host/);
    for (const [method, target] of [
      ['GET', ''],
      ['GET', 'index.html'],
      ['GET', '*'],
      ['GET', 'a:80'],
      ['GET', 'http://u@a/'],
      ['GET', 'ftp://a/'],
      ['CONNECT', '/'],
      ['CONNECT', 'a'],
    ] as const) {
      assert.throws(() => send(request(method, target)), { name: 'TypeError' }, `${method} ${target}`);
    }
    assert.equal(twin.output(), '');
    send(request('OPTIONS', '*'));
    assert.match(twin.output(), /^OPTIONS \* HTTP/);
  });

  it('sends no request whose Host its own server would refuse (RFC 9112 §3.2)', () => {
    const twin = new ClientTwin();
    for (const host of ['', 'a b', 'u@a', 'a/b', 'a, b ,', 'a:99999', '[::1', 'a%', 'a\\b']) {
      assert.throws(() => twin.send('GET', { Host: host }), /Host is not/, host);
      assert.throws(() => twin.machine.sendHead(request('OPTIONS', '*', { Host: host }), 0, null, 0), /Host is not/, host);
    }
    assert.equal(twin.machine.isReusable, true);
    assert.equal(twin.machine.outputBytes, 0);
    assert.match(twin.send('GET', { Host: '[::1]:8080' }), /\r\nHost: \[::1\]:8080\r\n/);
  });

  it('sends no CONNECT with a body, and stays clean (RFC 9110 §9.3.6)', () => {
    const { machine } = new ClientTwin();
    for (const bodyLength of [31, BodyLength.chunked]) {
      assert.throws(() => machine.sendHead(request('CONNECT', 'a:1', { Host: 'a:1' }), bodyLength, null, 0), RangeError);
      assert.deepEqual([machine.isReusable, machine.outputBytes, machine.requestCount], [true, 0, 0]);
    }
  });

  it('owns the framing and the connection fields of a request', () => {
    const twin = new ClientTwin();
    const output = twin.send('GET', { Host: 'a', 'Content-Length': '9', Connection: 'x', 'Keep-Alive': '1', Upgrade: 'h2c' });
    assert.equal(output, 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
  });

  it('tells of the response what it knows', () => {
    const twin = new ClientTwin();
    twin.send();
    assert.equal(twin.machine.hasResponded, false);
    twin.feed('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: max=5, timeout=7\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n');
    assert.equal(twin.machine.hasResponded, true);
    assert.equal(twin.machine.response.status, 200);
    assert.equal(twin.machine.responseBodyLength, BodyLength.chunked);
    assert.equal(twin.machine.trailers?.get('x'), 'y');
    assert.equal(twin.machine.keepAliveTimeoutMs, 7_000);
  });

  for (const [value, expected] of [
    ['timeout=5', 5_000],
    ['Timeout=5,max=3', 5_000],
    ['max=3 , timeout=12', 12_000],
    ['timeout=x', Number.POSITIVE_INFINITY],
    ['xtimeout=5', Number.POSITIVE_INFINITY],
    ['x\xa0timeout=5', Number.POSITIVE_INFINITY],
    ['timeout=5\x85', Number.POSITIVE_INFINITY],
    ['x\ttimeout=5\t', 5_000],
    ['', Number.POSITIVE_INFINITY],
  ] as const) {
    it(`reads "Keep-Alive: ${value}" as ${expected} ms (RFC 2068 §19.7.1)`, () => {
      const twin = new ClientTwin();
      assert.equal(twin.machine.keepAliveTimeoutMs, Number.POSITIVE_INFINITY);
      twin.send();
      twin.feed(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: ${value}\r\n\r\n`);
      assert.equal(twin.machine.keepAliveTimeoutMs, expected);
    });
  }
});

describe('a client connection is not used again', () => {
  const cases: [string, string][] = [
    ['after Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'],
    ['after HTTP/1.0 without keep-alive', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ];
  for (const [name, input] of cases) {
    it(name, () => {
      const twin = new ClientTwin();
      twin.send();
      assert.deepEqual(twin.feed(input), ['200', 'data ok', 'end']);
      assert.equal(twin.machine.isReusable, false);
      assert.throws(() => twin.send(), TypeError);
    });
  }

  it('after a body that ends with the connection (RFC 9112 §6.3)', () => {
    const twin = new ClientTwin();
    twin.send();
    assert.deepEqual(twin.feed('HTTP/1.1 200 OK\r\n\r\nall'), ['200', 'data all']);
    assert.equal(twin.machine.responseBodyLength, BodyLength.untilClose);
    twin.machine.receiveEnd();
    assert.deepEqual(twin.events(), ['end']);
    assert.equal(twin.machine.isReusable, false);
  });

  it('after an answer to half a request', () => {
    const twin = new ClientTwin();
    twin.send('POST', undefined, 3);
    assert.deepEqual(twin.feed(OK), ['200', 'data ok', 'end']);
    assert.equal(twin.machine.isReusable, false);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.machine.sendData(bytes('abc'), 0);
    twin.machine.sendEnd(null, 0);
    assert.equal(twin.machine.isReusable, false);
  });

  it('after the request itself asked to close, or was the last of maxRequests', () => {
    const asked = new ClientTwin();
    assert.match(asked.send('GET', { Host: 'a', Connection: 'close' }), /\r\nConnection: close\r\n/);
    asked.feed(OK);
    assert.equal(asked.machine.isReusable, false);
    const last = new ClientTwin({ maxRequests: 1 });
    assert.match(last.send(), /\r\nConnection: close\r\n/);
    last.feed(OK);
    assert.equal(last.machine.isReusable, false);
  });

  it('after bytes that nobody asked for, before or after an exchange', () => {
    const before = new ClientTwin();
    assert.equal(
      reasonOf(() => before.feed('H')),
      'H1_UNEXPECTED_BYTES',
    );
    assert.equal(before.machine.isReusable, false);
    const after = new ClientTwin();
    after.send('HEAD');
    after.machine.receive(bytes('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 0);
    assert.equal(after.machine.nextEvent(), true);
    assert.equal(after.machine.nextEvent(), true);
    assert.equal(after.machine.bufferedBytes, 2);
    assert.equal(
      reasonOf(() => after.machine.nextEvent()),
      'H1_UNEXPECTED_BYTES',
    );
    assert.equal(
      reasonOf(() => after.machine.nextEvent()),
      'H1_UNEXPECTED_BYTES',
    );
  });

  it('after its peer has ended, or it was retired', () => {
    const ended = new ClientTwin();
    ended.machine.receiveEnd();
    assert.equal(ended.machine.isReusable, false);
    const retired = new ClientTwin();
    retired.send();
    retired.machine.retire();
    assert.deepEqual(retired.feed(OK), ['200', 'data ok', 'end']);
    assert.equal(retired.machine.isReusable, false);
    const idle = new ClientTwin();
    idle.machine.retire();
    assert.equal(idle.machine.isReusable, false);
  });
});

describe('the end of the server', () => {
  it('before a response may be retried on a reused connection', () => {
    const twin = new ClientTwin();
    twin.send();
    twin.machine.receiveEnd();
    try {
      twin.events();
      assert.fail('nothing was thrown');
    } catch (error) {
      assert.ok(isWireError(error));
      assert.equal(error.reason, 'H1_CLOSED_BEFORE_RESPONSE');
      assert.equal(error.retry, 'ifReused');
    }
  });

  it('inside a response is an error', () => {
    for (const cut of [10, OK.length - 1]) {
      const twin = new ClientTwin();
      twin.send();
      twin.feed(OK.slice(0, cut));
      twin.machine.receiveEnd();
      assert.equal(
        reasonOf(() => twin.events()),
        cut === 10 ? 'H1_TRUNCATED_HEAD' : 'H1_TRUNCATED_BODY',
      );
      assert.equal(twin.machine.isReusable, false);
    }
  });
});

describe('interim responses of a client connection', () => {
  it('come before the final one, and change nothing else (RFC 9110 §15.2)', () => {
    const twin = new ClientTwin();
    twin.send();
    assert.deepEqual(twin.feed(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${OK}`), [
      'interim 100',
      'interim 103',
      '200',
      'data ok',
      'end',
    ]);
    assert.equal(twin.machine.isInterim, false);
    assert.equal(twin.machine.isReusable, true);
  });

  it('beyond the limit are an error', () => {
    const twin = new ClientTwin({ maxInterimResponses: 2 });
    twin.send();
    const interim = 'HTTP/1.1 102 Processing\r\n\r\n';
    assert.deepEqual(twin.feed(interim + interim), ['interim 102', 'interim 102']);
    assert.equal(
      reasonOf(() => twin.feed(interim)),
      'H1_TOO_MANY_INTERIM',
    );
    assert.equal(
      reasonOf(() => twin.events()),
      'H1_TOO_MANY_INTERIM',
    );
  });
});

describe('a tunnel of a client connection', () => {
  const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81hi';

  it('hands over exactly what came beyond the head (RFC 9110 §7.8)', () => {
    const twin = new ClientTwin();
    assert.match(
      twin.send('GET', { Host: 'a', Upgrade: 'x' }, 0, 'websocket, h2c'),
      /\r\nUpgrade: websocket, h2c\r\nConnection: upgrade\r\n/,
    );
    assert.deepEqual(twin.feed(switched), ['tunnel 101']);
    assert.equal(twin.machine.isTunnel, true);
    assert.equal(twin.machine.isReusable, false);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    assert.equal(text(twin.machine.takeRemaining()), '\x81hi');
  });

  it('is made by 2xx to CONNECT', () => {
    const twin = new ClientTwin();
    twin.machine.sendHead(request('CONNECT', 'a:1'), 0, null, 0);
    assert.deepEqual(twin.feed('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw'), ['tunnel 200']);
    assert.equal(text(twin.machine.takeRemaining()), 'raw');
  });

  it('is refused if nobody asked for it, or for another protocol', () => {
    const unasked = new ClientTwin();
    unasked.send();
    assert.equal(
      reasonOf(() => unasked.feed(switched)),
      'H1_UNASKED_UPGRADE',
    );
    assert.equal(unasked.machine.isReusable, false);
    const other = new ClientTwin();
    other.send('GET', undefined, 0, 'h2c');
    assert.equal(
      reasonOf(() => other.feed(switched)),
      'H1_UNASKED_UPGRADE',
    );
    const hidden = new ClientTwin();
    hidden.send('GET', undefined, 0, 'x');
    assert.equal(
      reasonOf(() => hidden.feed('HTTP/1.1 101 S\r\nUpgrade: "x, h2c"\r\n\r\n')),
      'H1_UNASKED_UPGRADE',
    );
  });

  it('is refused if it names no protocol (RFC 9110 §7.8)', () => {
    for (const unnamed of ['', 'Upgrade:\r\n', 'Upgrade: , ,\r\n']) {
      const twin = new ClientTwin();
      twin.send('GET', undefined, 0, 'websocket');
      assert.equal(
        reasonOf(() => twin.feed(`HTTP/1.1 101 Switching Protocols\r\n${unnamed}\r\n`)),
        'H1_UNASKED_UPGRADE',
      );
    }
  });

  it('is refused in HTTP/1.0, which has no Upgrade (RFC 9110 §7.8)', () => {
    for (const fields of ['Upgrade: websocket\r\n', '']) {
      const twin = new ClientTwin();
      twin.send('GET', undefined, 0, 'websocket');
      assert.equal(
        reasonOf(() => twin.feed(`HTTP/1.0 101 S\r\n${fields}\r\n\x81hi`)),
        'H1_UNASKED_UPGRADE',
      );
      assert.equal(twin.machine.isTunnel, false);
    }
  });

  it('is refused before the end of the request', () => {
    const twin = new ClientTwin();
    twin.send('POST', undefined, 3, 'websocket');
    assert.equal(
      reasonOf(() => twin.feed(switched)),
      'H1_EARLY_TUNNEL',
    );
  });

  it('that is refused is answered in plain HTTP, and the connection carries nothing after it (CVE-2026-58055)', () => {
    const twin = new ClientTwin();
    twin.send('GET', undefined, 0, 'websocket');
    assert.deepEqual(twin.feed(OK), ['200', 'data ok', 'end']);
    assert.equal(twin.machine.isReusable, false);
  });
});

describe('time on a client connection', () => {
  it('counts the first byte from the end of the request', () => {
    const twin = new ClientTwin({ firstByteTimeoutMs: 5_000 });
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.send('POST', undefined, 3);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.machine.sendData(bytes('abc'), 1_000);
    twin.machine.sendEnd(null, 2_000);
    assert.equal(twin.machine.nextTimeout(), 7_000);
    assert.equal(twin.machine.handleTimeout(6_999), null);
    const error = twin.machine.handleTimeout(7_000);
    assert.equal(error?.reason, 'H1_FIRST_BYTE_TIMEOUT');
    assert.equal(error?.status, 504);
    assert.equal(
      reasonOf(() => twin.events()),
      'H1_FIRST_BYTE_TIMEOUT',
    );
  });

  it('does not take an interim response for the answer', () => {
    const twin = new ClientTwin({ firstByteTimeoutMs: 50_000, readTimeoutMs: 1_000 });
    twin.send();
    twin.now = 10_000;
    twin.feed('HTTP/1.1 103 Early Hints\r\n\r\n');
    assert.equal(twin.machine.nextTimeout(), 60_000);
  });

  it('gives a response head 60 s in all, however its bytes drip', () => {
    const twin = new ClientTwin();
    const { machine } = twin;
    twin.send();
    const head = 'HTTP/1.1 200 OK\r\nX: '.padEnd(70, 'y');
    for (let at = 0; at < 60; at++) {
      twin.now = 50_000 + at * 1_000;
      twin.feed(head.charAt(at));
      assert.equal(machine.nextTimeout(), 110_000);
      assert.equal(machine.handleTimeout(twin.now), null);
    }
    assert.equal(machine.handleTimeout(109_999), null);
    const error = machine.handleTimeout(110_000);
    assert.equal(error?.reason, 'H1_HEAD_TIMEOUT');
    assert.equal(error?.status, 504);
    assert.equal(error?.retry, 'never');
    assert.equal(
      reasonOf(() => twin.feed(head.slice(60))),
      'H1_HEAD_TIMEOUT',
    );
  });

  it('takes the first byte of a head for the first byte: no other time-out of that kind follows', () => {
    const twin = new ClientTwin({ firstByteTimeoutMs: 1_000, headTimeoutMs: 9_000, readTimeoutMs: 100_000 });
    twin.send();
    assert.equal(twin.machine.nextTimeout(), 1_000);
    twin.now = 999;
    twin.feed('H');
    assert.equal(twin.machine.nextTimeout(), 9_999);
    twin.now = 5_000;
    twin.feed('TTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
    assert.equal(twin.machine.nextTimeout(), 105_000, 'a body has no end of its own, only between two bytes');
  });

  it('gives each interim head its own time, and waits for the first byte anew between them', () => {
    const twin = new ClientTwin({ firstByteTimeoutMs: 1_000, headTimeoutMs: 500, readTimeoutMs: 100_000 });
    twin.send();
    const interim = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    for (let round = 0; round < 3; round++) {
      const began = twin.now;
      assert.equal(twin.machine.nextTimeout(), began + 1_000);
      twin.now = began + 900;
      twin.feed(interim.slice(0, 5));
      assert.equal(twin.machine.nextTimeout(), began + 1_400);
      twin.now = began + 1_300;
      twin.feed(interim.slice(5));
    }
    const now = twin.now + 100;
    twin.now = now;
    twin.feed(`${interim}H`);
    assert.equal(twin.machine.nextTimeout(), now + 500, 'the next one began with the same chunk');
    assert.equal(twin.machine.handleTimeout(now + 500)?.reason, 'H1_HEAD_TIMEOUT');
  });

  it('runs against a head that drips while the request is still being sent, but waits for none', () => {
    const twin = new ClientTwin({ headTimeoutMs: 5_000 });
    twin.send('POST', undefined, 9);
    twin.now = 100;
    twin.feed('HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.feed('HT');
    twin.machine.sendData(bytes('abc'), 4_000);
    assert.equal(twin.machine.nextTimeout(), 5_100);
    assert.equal(twin.machine.handleTimeout(5_100)?.reason, 'H1_HEAD_TIMEOUT');
  });

  it('ends a head that stalls for readTimeoutMs', () => {
    const twin = new ClientTwin({ readTimeoutMs: 1_000 });
    twin.send();
    twin.now = 10_000;
    twin.feed('HTTP');
    twin.now = 10_900;
    twin.feed('/1.1 200');
    assert.equal(twin.machine.nextTimeout(), 11_900);
    assert.equal(twin.machine.handleTimeout(11_900)?.reason, 'H1_READ_TIMEOUT');
  });

  it('does not take empty lines for the beginning of a head, where they are let in', () => {
    const twin = new ClientTwin({ firstByteTimeoutMs: 1_000, decoder: { leniency: { emptyLinesBeforeResponse: true } } });
    twin.send();
    twin.now = 900;
    twin.feed('\r\n');
    assert.equal(twin.machine.nextTimeout(), 1_000);
    assert.equal(twin.machine.handleTimeout(1_000)?.reason, 'H1_FIRST_BYTE_TIMEOUT');
  });

  it('does not count the time in which nobody wanted the response', () => {
    const twin = new ClientTwin({ firstByteTimeoutMs: 1_000, headTimeoutMs: 5_000, readTimeoutMs: 100_000 });
    twin.send();
    twin.machine.setReadingPaused(true, 400);
    twin.machine.setReadingPaused(true, 500);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.machine.setReadingPaused(false, 10_400);
    assert.equal(twin.machine.nextTimeout(), 11_000);
    twin.now = 10_500;
    twin.feed('HTTP');
    assert.equal(twin.machine.nextTimeout(), 15_500);
    twin.machine.setReadingPaused(true, 11_000);
    twin.machine.setReadingPaused(false, 21_000);
    assert.equal(twin.machine.nextTimeout(), 25_500);
    const late = new ClientTwin({ firstByteTimeoutMs: 1_000 });
    late.send('POST', undefined, 3);
    late.machine.setReadingPaused(true, 100);
    late.machine.sendData(bytes('abc'), 4_000);
    late.machine.sendEnd(null, 5_000);
    late.machine.setReadingPaused(false, 9_000);
    assert.equal(late.machine.nextTimeout(), 10_000, 'what ended meanwhile is waited for from now on');
  });

  it('ends a response that stalls, but not one that nobody wants at the moment', () => {
    const twin = new ClientTwin({ readTimeoutMs: 1_000 });
    twin.send();
    twin.now = 500;
    twin.feed(OK.slice(0, -1));
    assert.equal(twin.machine.nextTimeout(), 1_500);
    twin.machine.setReadingPaused(true, 600);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    assert.equal(twin.machine.handleTimeout(1e6), null);
    twin.machine.setReadingPaused(false, 9_000);
    assert.equal(twin.machine.nextTimeout(), 10_000);
    assert.equal(twin.machine.handleTimeout(10_000)?.reason, 'H1_READ_TIMEOUT');
  });
});

describe('a client connection after an error', () => {
  const lost = {
    'of a head': (twin: ClientTwin) => assert.throws(() => twin.feed('HTTP/2.0 200 OK\r\n'), { reason: 'H1_VERSION_UNSUPPORTED' }),
    'of a switch': (twin: ClientTwin) =>
      assert.throws(() => twin.feed('HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\nmore'), { reason: 'H1_UNASKED_UPGRADE' }),
    'of time, before a head': (twin: ClientTwin) => {
      assert.equal(twin.machine.handleTimeout(60_000)?.reason, 'H1_FIRST_BYTE_TIMEOUT');
    },
    'of time, in a head': (twin: ClientTwin) => {
      twin.feed('HTTP');
      assert.equal(twin.machine.handleTimeout(60_000)?.reason, 'H1_HEAD_TIMEOUT');
    },
    'of time, in a body': (twin: ClientTwin) => {
      twin.feed(OK.slice(0, -1));
      assert.equal(twin.machine.handleTimeout(60_000)?.reason, 'H1_READ_TIMEOUT');
    },
  };

  for (const [name, lose] of Object.entries(lost)) {
    it(`${name} keeps that error, no byte and no clock`, () => {
      const twin = new ClientTwin();
      const { machine } = twin;
      twin.send();
      lose(twin);
      let first: unknown;
      try {
        machine.nextEvent();
      } catch (error) {
        first = error;
      }
      assert.ok(first instanceof Error);
      for (let i = 0; i < 3; i++) {
        assert.equal(machine.bufferedBytes, 0);
        assert.equal(machine.nextTimeout(), Number.POSITIVE_INFINITY);
        assert.equal(machine.handleTimeout(1e12), null);
        machine.receive(bytes(OK), 1e6);
        assert.throws(
          () => machine.nextEvent(),
          (error) => error === first,
        );
        assert.equal(machine.isReusable, false);
        assert.throws(() => twin.send(), TypeError);
      }
    });
  }

  it('of a broken-off request keeps the first error, whatever goes wrong after it', () => {
    const twin = new ClientTwin();
    twin.send('POST', undefined, 3);
    twin.feed('HTTP/1.1 200');
    assert.equal(twin.machine.handleTimeout(60_000)?.reason, 'H1_HEAD_TIMEOUT');
    assert.throws(() => twin.machine.sendEnd(null, 0), RangeError);
    assert.equal(
      reasonOf(() => twin.events()),
      'H1_HEAD_TIMEOUT',
    );
  });
});

describe('the options of a client connection', () => {
  it('have the defaults of the table, are resolved once, and refuse nonsense', () => {
    const resolved = resolveClientConnectionOptions();
    assert.deepEqual(
      { ...resolved, decoder: null },
      {
        isResolved: true,
        decoder: null,
        firstByteTimeoutMs: 60_000,
        headTimeoutMs: 60_000,
        readTimeoutMs: 60_000,
        maxRequests: 1_000,
        maxInterimResponses: 100,
      },
    );
    assert.equal(resolveClientConnectionOptions(resolved), resolved);
    assert.throws(() => resolveClientConnectionOptions({ readTimeoutMs: -1 }), /readTimeoutMs/);
    assert.throws(() => resolveClientConnectionOptions({ maxInterimResponses: Number.NaN }), RangeError);
    assert.doesNotThrow(() => new ClientConnection(0));
  });
});
