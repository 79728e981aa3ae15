/** The server's machine: order, ends, early answers, tunnels, time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { internalError, isWireError, limitError, type WireError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import { BodyLength, resolveServerConnectionOptions, ServerConnection } from '@ferrata/http1';
import { bytes, response, ServerTwin, text } from './machines.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (body: string, fields = ''): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;

function reasonOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (isWireError(error)) return error.reason;
    throw error;
  }
  return 'nothing was thrown';
}

describe('a server connection and its exchanges', () => {
  it('answers a request and is idle again', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(GET), ['GET /', 'end']);
    assert.equal(twin.machine.isIdle, false);
    assert.equal(twin.machine.isRequestDone, true);
    assert.equal(twin.answer(), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.deepEqual(twin.events(), []);
    assert.equal(twin.machine.isIdle, true);
    assert.equal(twin.machine.answeredCount, 1);
    assert.equal(twin.machine.isPersistent, true);
    assert.equal(twin.machine.shouldClose, false);
  });

  it('looks at a pipelined request only after the answer to the one before it (RFC 9112 §9.3.2)', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(get('/1') + get('/2')), ['GET /1', 'end']);
    assert.equal(twin.machine.bufferedBytes, get('/2').length);
    assert.deepEqual(twin.events(), []);
    twin.answer(200, '1');
    assert.deepEqual(twin.events(), ['GET /2', 'end']);
    twin.answer(200, '2');
    assert.equal(twin.machine.answeredCount, 2);
  });

  it('tells what it knows of the request', () => {
    const twin = new ServerTwin();
    const input = 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n';
    twin.feed(input);
    const { machine } = twin;
    assert.equal(machine.requestBodyLength, BodyLength.chunked);
    assert.equal(machine.requestHeadBytes, input.length);
    assert.equal(machine.expectsContinue, true);
    assert.equal(machine.upgrade, null);
    assert.equal(machine.hasResponded, false);
    assert.deepEqual(twin.feed('3\r\nabc\r\n0\r\nX: y\r\n\r\n'), ['data abc', 'end']);
    assert.equal(machine.trailers?.get('x'), 'y');
  });

  it('makes one chunk of a head and a small body, and passes a large one by reference', () => {
    const { machine } = new ServerTwin();
    machine.receive(bytes(GET), 0);
    machine.nextEvent(0);
    const large = new Uint8Array(10_000);
    machine.sendHead(response(200), 10_001);
    machine.sendData(bytes('x'));
    machine.sendData(large);
    machine.sendEnd();
    assert.equal(machine.outputBytes, 'HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n'.length + 10_001);
    const chunks = machine.takeOutput();
    assert.equal(chunks.length, 2);
    assert.equal(chunks[1], large);
    assert.equal(machine.outputBytes, 0);
    assert.deepEqual(machine.takeOutput(), []);
  });

  it('sends chunks with trailers to HTTP/1.1, and no empty chunk, which would be the last (RFC 9112 §7.1)', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    twin.machine.sendHead(response(200), BodyLength.chunked, 'today');
    assert.equal(twin.machine.sendData(bytes('ab')), true);
    assert.equal(twin.machine.sendData(bytes('')), true);
    twin.machine.sendEnd(HeaderMap.from({ 'X-Sum': '1' }));
    assert.equal(twin.output(), 'HTTP/1.1 200 OK\r\nDate: today\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n');
  });

  it('ends a body of unknown length to HTTP/1.0 with the connection (RFC 9112 §6.3)', () => {
    const twin = new ServerTwin();
    twin.feed('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    twin.machine.sendHead(response(200), BodyLength.chunked);
    twin.machine.sendData(bytes('all'));
    assert.equal(twin.machine.isCloseDelimited, true);
    twin.machine.sendEnd();
    assert.equal(twin.output(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall');
    assert.equal(twin.machine.shouldClose, true);
  });

  it('keeps an HTTP/1.0 connection only if asked, and says so (RFC 9112 §9.3)', () => {
    const kept = new ServerTwin();
    kept.feed('GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n');
    assert.match(kept.answer(), /\r\nConnection: keep-alive\r\n/);
    assert.deepEqual(kept.feed(GET), ['GET /', 'end']);
    const closed = new ServerTwin();
    closed.feed('GET / HTTP/1.0\r\n\r\n');
    assert.match(closed.answer(), /\r\nConnection: close\r\n/);
    assert.equal(closed.machine.shouldClose, true);
  });

  it('says so in HTTP/1.1 too where sayKeepAlive is set, and never beside a close', () => {
    const connectionOf = (twin: ServerTwin, head: string, status = 200, fields: Record<string, string> = {}): string | undefined => {
      twin.feed(head);
      return /\r\nConnection: (.*)\r\n/.exec(twin.answer(status, 'ok', fields))?.[1];
    };
    const options = { sayKeepAlive: true, maxRequests: 4 };
    const twin = new ServerTwin(options);
    assert.equal(connectionOf(twin, GET), 'keep-alive');
    assert.equal(connectionOf(twin, GET, 426, { Upgrade: 'websocket' }), 'keep-alive, upgrade');
    assert.equal(connectionOf(twin, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'), 'keep-alive');
    assert.equal(connectionOf(twin, GET), 'close');
    assert.equal(connectionOf(new ServerTwin(options), GET, 200, { Connection: 'close' }), 'close');
    assert.equal(connectionOf(new ServerTwin(), GET), undefined);
  });

  it('allowPipelining: false leaves a switch its bytes, and ends what was not switched with bytes behind it', () => {
    const asks = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw';
    const switched = new ServerTwin({ allowPipelining: false });
    switched.feed(asks);
    switched.machine.sendTunnelHead(response(101, { Upgrade: 'websocket' }));
    assert.equal(text(switched.machine.takeRemaining()), 'raw');
    const refused = new ServerTwin({ allowPipelining: false });
    refused.feed(asks);
    assert.match(refused.answer(), /\r\nConnection: close\r\n/);
    assert.deepEqual([refused.events(), refused.machine.shouldClose], [[], true]);
  });

  it('sends no body to HEAD, with 204 and with 304, and drops what is given (RFC 9110 §6.4.1)', () => {
    for (const [method, status, expected] of [
      ['HEAD', 200, 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n'],
      ['GET', 204, 'HTTP/1.1 204 No Content\r\n\r\n'],
      ['GET', 304, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n'],
    ] as const) {
      const twin = new ServerTwin();
      twin.feed(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
      twin.machine.sendHead(response(status), 3);
      assert.equal(twin.machine.sendData(bytes('abc')), false);
      twin.machine.sendEnd();
      assert.equal(twin.output(), expected);
      assert.deepEqual(twin.feed(GET), ['GET /', 'end']);
    }
  });

  it('names the coding of a body that HEAD does not get, but never to HTTP/1.0 (RFC 9112 §6.1)', () => {
    for (const [version, length, expected] of [
      ['1.1', BodyLength.chunked, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['1.1', BodyLength.untilClose, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['1.1', 0, 'HTTP/1.1 200 OK\r\n\r\n'],
      ['1.0', BodyLength.chunked, 'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n'],
    ] as const) {
      const twin = new ServerTwin();
      twin.feed(`HEAD / HTTP/${version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`);
      twin.machine.sendHead(response(200), length);
      twin.machine.sendEnd();
      assert.equal(twin.output(), expected);
      assert.deepEqual(twin.feed(GET), ['GET /', 'end']);
    }
  });

  it('owns the framing and the connection fields of a response', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    const output = twin.answer(200, 'ok', {
      'Content-Length': '7',
      'Transfer-Encoding': 'chunked',
      'Keep-Alive': 'timeout=1',
      Connection: 'x',
      'X-A': '1',
    });
    assert.equal(output, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nok');
  });

  it('closes after a response whose head asks for it', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    assert.match(twin.answer(200, 'ok', { Connection: 'close' }), /\r\nConnection: close\r\n\r\n/);
    assert.equal(twin.machine.shouldClose, true);
  });

  for (const [what, goWrong, sent] of [
    ['longer', (machine: ServerConnection) => machine.sendData(bytes('cd')), 'ab'],
    ['longer, when all of it was sent', (machine: ServerConnection) => [machine.sendData(bytes('c')), machine.sendData(bytes('d'))], 'abc'],
    ['shorter', (machine: ServerConnection) => machine.sendEnd(), 'ab'],
  ] as const) {
    it(`sends no body ${what} than announced, and nothing after it (RFC 9110 §8.6)`, () => {
      const twin = new ServerTwin();
      twin.feed(GET + GET);
      twin.machine.sendHead(response(200), 3);
      twin.machine.sendData(bytes('ab'));
      assert.throws(() => goWrong(twin.machine), RangeError);
      assert.throws(() => twin.machine.sendData(bytes('c')), TypeError);
      assert.throws(() => twin.machine.sendEnd(), TypeError);
      assert.throws(() => twin.machine.sendHead(response(200), 0), TypeError);
      assert.equal(twin.machine.refuse(limitError('X'), 'today'), 0);
      assert.deepEqual(twin.events(), [], 'the request behind is not looked at');
      assert.deepEqual([twin.machine.shouldClose, twin.machine.isPersistent], [true, false]);
      assert.equal(twin.output(), `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n${sent}`);
    });
  }

  it('calls commands out of order a bug of the caller', () => {
    const twin = new ServerTwin();
    assert.throws(() => twin.machine.sendHead(response(200), 0), TypeError);
    assert.throws(() => twin.machine.sendInterim(response(100), 0), TypeError);
    assert.throws(() => twin.machine.sendData(bytes('x')), TypeError);
    assert.throws(() => twin.machine.sendEnd(), TypeError);
    twin.feed(GET);
    assert.throws(() => twin.machine.sendInterim(response(200), 0), RangeError);
    assert.throws(() => twin.machine.sendInterim(response(101), 0), RangeError);
    assert.throws(() => twin.machine.sendHead(response(100), 0), RangeError);
    twin.machine.sendHead(response(200), 0);
    assert.throws(() => twin.machine.sendHead(response(200), 0), TypeError);
    assert.throws(() => twin.machine.sendInterim(response(100), 0), TypeError);
  });

  it('can still answer after a head that could not be written', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    assert.throws(() => twin.machine.sendHead({ ...response(200), reason: 'a\r\nb' }, 0), TypeError);
    for (const length of [1.5, -1.5, -3, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      for (const status of [200, 204, 304]) assert.throws(() => twin.machine.sendHead(response(status), length), RangeError);
    }
    assert.equal(twin.machine.hasResponded, false);
    assert.equal(twin.answer(), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
});

describe('interim responses of a server connection', () => {
  it('go out before the response (RFC 9110 §15.2)', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    twin.machine.sendInterim(response(103, { Link: '</a>' }), 0);
    assert.equal(twin.output(), 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    assert.equal(twin.answer(), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });

  it('are dropped for HTTP/1.0 and past the limit', () => {
    const old = new ServerTwin();
    old.feed('GET / HTTP/1.0\r\n\r\n');
    old.machine.sendInterim(response(100), 0);
    assert.equal(old.output(), '');
    const twin = new ServerTwin({ maxInterimResponses: 1 });
    for (let round = 0; round < 2; round++) {
      twin.feed(GET);
      twin.machine.sendInterim(response(102), 0);
      assert.notEqual(twin.output(), '');
      twin.machine.sendInterim(response(102), 0);
      assert.equal(twin.output(), '');
      twin.answer();
    }
  });
});

describe('the 100 (Continue) that a client waits for', () => {
  const PUT = 'PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n';
  const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

  it('is sent past the limit of interim responses, once, and is not counted', () => {
    for (const maxInterimResponses of [0, 1, 3]) {
      const twin = new ServerTwin({ maxInterimResponses });
      twin.feed(PUT);
      for (let i = 0; i < 5; i++) twin.machine.sendInterim(response(103), 0);
      twin.output();
      twin.machine.sendInterim(response(100), 0);
      assert.equal(twin.output(), CONTINUE);
      for (const status of [100, 103]) {
        twin.machine.sendInterim(response(status), 0);
        assert.equal(twin.output(), '', 'the limit holds for all others');
      }
      assert.deepEqual(twin.feed('GET / HTTP/1.1'), ['data GET / HTTP/1.1', 'end']);
      assert.doesNotMatch(twin.answer(), /close/);
    }
    const counted = new ServerTwin({ maxInterimResponses: 1 });
    counted.feed(PUT);
    counted.machine.sendInterim(response(100), 0);
    assert.equal(counted.output(), CONTINUE);
    counted.machine.sendInterim(response(102), 0);
    assert.match(counted.output(), /^HTTP\/1.1 102/);
  });

  it('is due until it has been written: without it the next request is never read as the body (RFC 9110 §10.1.1)', () => {
    for (const maxInterimResponses of [0, 2]) {
      const twin = new ServerTwin({ maxInterimResponses });
      twin.feed(PUT);
      for (let i = 0; i < 5; i++) twin.machine.sendInterim(response(103), 0);
      assert.throws(() => twin.machine.sendInterim({ ...response(100), reason: 'a\r\nb' }, 0), TypeError);
      twin.output();
      assert.match(twin.answer(403, 'no'), /\r\nConnection: close\r\n/);
      assert.equal(twin.machine.shouldClose, true);
      assert.deepEqual(twin.feed(GET), []);
    }
  });
});

describe('a server connection after an error', () => {
  const lost = {
    'of a head': (twin: ServerTwin) => assert.throws(() => twin.feed('GET /\n'), { reason: 'H1_BARE_LF' }),
    'of a body': (twin: ServerTwin) => {
      const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n';
      assert.throws(() => twin.feed(chunked), { reason: 'H1_CHUNK_SIZE_INVALID' });
    },
    'of time, in a head': (twin: ServerTwin) => {
      twin.feed('GET / HT');
      assert.equal(twin.machine.handleTimeout(10_000)?.reason, 'H1_HEAD_TIMEOUT');
    },
    'of time, in a body': (twin: ServerTwin) => {
      twin.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab');
      assert.equal(twin.machine.handleTimeout(30_000)?.reason, 'H1_BODY_TIMEOUT');
    },
  };

  for (const [name, lose] of Object.entries(lost)) {
    it(`${name} keeps that error, no byte and no clock`, () => {
      const twin = new ServerTwin();
      lose(twin);
      const { machine } = twin;
      let first: unknown;
      try {
        machine.nextEvent(0);
      } catch (error) {
        first = error;
      }
      assert.ok(first instanceof Error);
      for (let i = 0; i < 3; i++) {
        assert.equal(machine.bufferedBytes, 0);
        assert.equal(machine.nextTimeout(), Number.POSITIVE_INFINITY);
        assert.equal(machine.handleTimeout(1e12), null);
        machine.receive(bytes(GET), 1e6);
        assert.throws(
          () => machine.nextEvent(1e6),
          (error) => error === first,
        );
      }
      machine.receiveEnd();
      assert.throws(
        () => machine.nextEvent(1e6),
        (error) => error === first,
      );
    });
  }
});

describe('the end of a server connection', () => {
  it('comes when the client asks for it, and what follows is never looked at (RFC 9112 §9.6)', () => {
    const twin = new ServerTwin();
    twin.feed(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${GET}`);
    assert.match(twin.answer(), /\r\nConnection: close\r\n/);
    assert.deepEqual(twin.events(), []);
    assert.deepEqual(twin.feed(GET), []);
    assert.equal(twin.machine.shouldClose, true);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
  });

  it('comes with the last of maxRequests', () => {
    const twin = new ServerTwin({ maxRequests: 2 });
    twin.feed(GET + GET);
    assert.doesNotMatch(twin.answer(), /close/);
    twin.events();
    assert.match(twin.answer(), /\r\nConnection: close\r\n/);
    assert.equal(twin.machine.answeredCount, 2);
    assert.equal(twin.machine.shouldClose, true);
  });

  it('comes with the next answer when draining', () => {
    const twin = new ServerTwin();
    twin.machine.drain();
    assert.equal(twin.machine.isIdle, true);
    assert.equal(twin.machine.shouldClose, false);
    twin.feed(GET);
    assert.match(twin.answer(), /\r\nConnection: close\r\n/);
  });

  it('comes at once when an idle client ends its side', () => {
    const twin = new ServerTwin();
    twin.machine.receiveEnd();
    assert.deepEqual(twin.events(), []);
    assert.equal(twin.machine.shouldClose, true);
    twin.machine.receiveEnd();
  });

  it('waits for the answers to all requests that came before the end of the client (half-close)', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(get('/1') + get('/2')), ['GET /1', 'end']);
    twin.machine.receiveEnd();
    assert.doesNotMatch(twin.answer(), /close/);
    assert.equal(twin.machine.shouldClose, false);
    assert.deepEqual(twin.events(), ['GET /2', 'end']);
    assert.match(twin.answer(), /\r\nConnection: close\r\n/);
    assert.equal(twin.machine.shouldClose, true);
  });

  it('closes after empty lines that nothing follows', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(`${GET}\r\n`), ['GET /', 'end']);
    twin.machine.receiveEnd();
    twin.answer();
    assert.deepEqual(twin.events(), []);
    assert.equal(twin.machine.shouldClose, true);
  });

  it('inside a request is an error', () => {
    const head = new ServerTwin();
    head.feed('GET / HT');
    head.machine.receiveEnd();
    assert.equal(
      reasonOf(() => head.events()),
      'H1_TRUNCATED_HEAD',
    );
    const body = new ServerTwin();
    body.feed(post('abc').slice(0, -1));
    body.machine.receiveEnd();
    assert.equal(
      reasonOf(() => body.events()),
      'H1_TRUNCATED_BODY',
    );
    assert.equal(
      reasonOf(() => body.events()),
      'H1_TRUNCATED_BODY',
    );
  });
});

describe('a refusal', () => {
  it('tells the status and closes', () => {
    const twin = new ServerTwin();
    let caught: unknown;
    try {
      twin.feed('GET / HTTP/1.1\r\n\r\n');
    } catch (error) {
      caught = error;
    }
    assert.ok(isWireError(caught));
    assert.equal(twin.machine.refuse(caught, 'today'), 400);
    const output = twin.output();
    assert.match(output, /^HTTP\/1\.1 400 Bad Request\r\nDate: today\r\n/);
    assert.match(output, /\r\nContent-Length: 16\r\n.*Connection: close\r\n\r\n400 Bad Request\n$/s);
    assert.equal(twin.machine.shouldClose, true);
    twin.machine.receiveEnd();
  });

  it('of a HEAD request has no body', () => {
    const twin = new ServerTwin();
    twin.feed('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    twin.machine.refuse(errorWith(503), 'today');
    assert.match(twin.output(), /Connection: close\r\n\r\n$/);
  });

  it('takes no Date and no status that a peer could read as more (response splitting)', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    assert.throws(() => twin.machine.refuse(errorWith(503), 'now\r\nX: y'), TypeError);
    assert.equal(twin.output(), '');
    assert.equal(twin.machine.refuse(errorWith(500.5), 'now'), 0);
    assert.equal(twin.output(), '');
  });

  it('says nothing once a response has begun, or for an error without a status', () => {
    const begun = new ServerTwin();
    begun.feed(GET);
    begun.machine.sendHead(response(200), 5);
    begun.output();
    assert.equal(begun.machine.refuse(errorWith(500), ''), 0);
    assert.equal(begun.output(), '');
    const silent = new ServerTwin();
    silent.feed(GET);
    assert.equal(silent.machine.refuse(errorWith(0), ''), 0);
    assert.equal(silent.output(), '');
  });
});

function errorWith(status: number): WireError {
  return internalError('TEST', '', { wire: { status } });
}

describe('an early response', () => {
  it('drains a short rest of the body and goes on with the next request', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(post('abcdef').slice(0, -3)), ['POST /', 'data abc']);
    assert.doesNotMatch(twin.answer(413, 'no'), /close/);
    assert.equal(twin.machine.isIdle, false);
    assert.deepEqual(twin.feed(`def${get('/next')}`), ['GET /next', 'end']);
    twin.answer();
  });

  it('closes if the rest that is announced is longer than maxDrainBytes', () => {
    const twin = new ServerTwin({ maxDrainBytes: 2 });
    twin.feed(post('abcdef').slice(0, -3));
    assert.match(twin.answer(413, 'no'), /\r\nConnection: close\r\n/);
    assert.equal(twin.machine.shouldClose, true);
  });

  it('closes, and says so, if the length of the rest is not known (RFC 9112 §9.6)', () => {
    const twin = new ServerTwin();
    twin.feed('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.match(twin.answer(200, 'no'), /\r\nConnection: close\r\n/);
    assert.equal(twin.machine.shouldClose, true);
    assert.deepEqual(twin.feed(`1\r\ne\r\n0\r\n\r\n${GET}`), []);
  });

  it('drains a rest of maxDrainBytes, and not of one more', () => {
    for (const [maxDrainBytes, isKept] of [
      [3, true],
      [2, false],
    ] as const) {
      const twin = new ServerTwin({ maxDrainBytes });
      twin.feed(post('abcdef').slice(0, -3));
      assert.equal(twin.answer().includes('close'), !isKept);
      assert.deepEqual(twin.feed(`def${GET}`), isKept ? ['GET /', 'end'] : []);
    }
  });

  it('lets a body that is read go on after the head of the response', () => {
    const twin = new ServerTwin();
    twin.feed(post('abcdef').slice(0, -3));
    twin.machine.sendHead(response(200), 1);
    assert.deepEqual(twin.feed('def'), ['data def', 'end']);
    twin.machine.sendData(bytes('x'));
    twin.machine.sendEnd();
    assert.deepEqual(twin.feed(GET), ['GET /', 'end']);
  });

  it('to a client that waits for 100 (Continue) closes, as its next bytes may be body or request (RFC 9110 §10.1.1)', () => {
    const waiting = new ServerTwin();
    waiting.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
    assert.match(waiting.answer(417, ''), /\r\nConnection: close\r\n/);
    const told = new ServerTwin();
    told.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
    told.machine.sendInterim(response(100), 0);
    told.output();
    assert.doesNotMatch(told.answer(), /close/);
    assert.deepEqual(told.feed(`abc${GET}`), ['GET /', 'end']);
    const began = new ServerTwin();
    began.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\na');
    assert.doesNotMatch(began.answer(), /close/);
    assert.deepEqual(began.feed(`bc${GET}`), ['GET /', 'end']);
  });
});

describe('a tunnel of a server connection', () => {
  const asked = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

  it('hands over exactly what came beyond the request (RFC 9110 §7.8)', () => {
    for (const readsEnd of [false, true]) {
      const { machine } = new ServerTwin();
      machine.receive(bytes(`${asked}\x81early`), 0);
      machine.nextEvent(0);
      if (readsEnd) machine.nextEvent(0);
      assert.equal(machine.upgrade, 'websocket');
      machine.sendTunnelHead(response(101, { Upgrade: 'websocket' }), 'today');
      const output = machine.takeOutput().map(text).join('');
      assert.equal(output, 'HTTP/1.1 101 Switching Protocols\r\nDate: today\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n');
      assert.equal(machine.nextEvent(0), false);
      assert.equal(machine.nextTimeout(), Number.POSITIVE_INFINITY);
      assert.equal(text(machine.takeRemaining()), '\x81early');
    }
  });

  it('is made by 2xx to CONNECT, without framing fields (RFC 9110 §9.3.6)', () => {
    const twin = new ServerTwin();
    twin.feed('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nraw');
    twin.machine.sendTunnelHead(response(200, { 'Content-Length': '3' }));
    assert.equal(twin.output(), 'HTTP/1.1 200 OK\r\n\r\n');
    assert.equal(text(twin.machine.takeRemaining()), 'raw');
  });

  it('is never made by accident', () => {
    const plain = new ServerTwin();
    plain.feed(GET);
    assert.throws(() => plain.machine.sendTunnelHead(response(101)), /asked for no upgrade/);
    assert.throws(() => plain.machine.sendTunnelHead(response(200)), /makes no tunnel/);
    assert.throws(() => plain.machine.sendHead(response(101), 0), /sendTunnelHead/);
    plain.answer();
    const connect = new ServerTwin();
    connect.feed('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
    assert.throws(() => connect.machine.sendHead(response(200), 0), /sendTunnelHead/);
    assert.match(connect.answer(403, 'no'), /^HTTP\/1\.1 403/);
  });

  it('to 101 is made only to a protocol that was offered, and that is named (RFC 9110 §7.8)', () => {
    const offers = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket, foo/2\r\nUpgrade: bar\r\n\r\n';
    for (const chosen of [null, '', ',', 'evil', 'foo', 'foo/1', 'websocket, evil', '"websocket"', 'web', 'websocket,"']) {
      const twin = new ServerTwin();
      twin.feed(offers);
      const head = response(101, chosen === null ? {} : { Upgrade: chosen });
      assert.throws(() => twin.machine.sendTunnelHead(head), { name: 'TypeError' }, `${chosen}`);
      assert.equal(twin.output(), '');
      assert.match(twin.answer(), /^HTTP\/1.1 200/, 'another answer is still possible');
    }
    for (const chosen of ['websocket', 'WEBSOCKET', 'foo/2', 'bar, foo/2', ', bar ,']) {
      const twin = new ServerTwin();
      twin.feed(offers);
      twin.machine.sendTunnelHead(response(101, { Upgrade: chosen }));
      assert.match(twin.output(), /^HTTP\/1.1 101 [^]*\r\nConnection: upgrade\r\n\r\n$/);
    }
  });

  it('that CONNECT asked for and did not get closes: what follows was meant for the tunnel (RFC 9931)', () => {
    const twin = new ServerTwin();
    twin.feed(`CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${GET}`);
    assert.match(twin.answer(407, 'no'), /\r\nConnection: close\r\n/);
    assert.deepEqual(twin.events(), []);
    assert.equal(twin.machine.shouldClose, true);
  });

  it('that is refused leaves plain HTTP', () => {
    const twin = new ServerTwin();
    twin.feed(asked + GET);
    twin.answer(200, 'no');
    assert.deepEqual(twin.events(), ['GET /', 'end']);
  });
});

describe('time on a server connection', () => {
  it('closes a connection without a first byte after 15 s, without a word', () => {
    const { machine } = new ServerTwin();
    assert.equal(machine.nextTimeout(), 15_000);
    assert.equal(machine.handleTimeout(14_999), null);
    assert.equal(machine.shouldClose, false);
    assert.equal(machine.handleTimeout(15_000), null);
    assert.equal(machine.shouldClose, true);
    assert.equal(machine.outputBytes, 0);
  });

  it('gives a head 10 s in all, however its bytes drip', () => {
    const twin = new ServerTwin();
    for (const byte of 'GET / HTTP') {
      twin.now += 900;
      twin.feed(byte);
    }
    assert.equal(twin.machine.nextTimeout(), 10_900);
    const error = twin.machine.handleTimeout(10_900);
    assert.equal(error?.reason, 'H1_HEAD_TIMEOUT');
    assert.equal(error?.status, 408);
    assert.equal(
      reasonOf(() => twin.events()),
      'H1_HEAD_TIMEOUT',
    );
  });

  it('closes an idle connection after 60 s, and counts the next head from its own first byte', () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    twin.now = 5_000;
    twin.answer();
    twin.events();
    assert.equal(twin.machine.nextTimeout(), 65_000);
    twin.now = 20_000;
    twin.feed('G');
    assert.equal(twin.machine.isIdle, false);
    assert.equal(twin.machine.nextTimeout(), 30_000);
  });

  it('does not take empty lines for the beginning of a head', () => {
    const twin = new ServerTwin();
    twin.feed('\r\n');
    assert.equal(twin.machine.isIdle, true);
    assert.equal(twin.machine.nextTimeout(), 15_000);
  });

  it('counts a pipelined head from the end of the answer before it', () => {
    const twin = new ServerTwin();
    twin.feed(`${GET}GET`);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.now = 50_000;
    twin.answer();
    twin.events();
    assert.equal(twin.machine.nextTimeout(), 60_000);
  });

  it('ends a body that stalls for 30 s', () => {
    const twin = new ServerTwin({ minBodyBytesPerSecond: 0 });
    twin.feed(post('abcdef').slice(0, -3));
    assert.equal(twin.machine.nextTimeout(), 30_000);
    twin.now = 29_000;
    twin.feed('d');
    assert.equal(twin.machine.handleTimeout(30_000), null);
    assert.equal(twin.machine.handleTimeout(59_000)?.reason, 'H1_BODY_TIMEOUT');
  });

  it('ends a body that comes below 240 B/s after 10 s', () => {
    const twin = new ServerTwin();
    twin.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n');
    assert.equal(twin.machine.nextTimeout(), 10_000);
    twin.now = 9_000;
    twin.feed('x'.repeat(240 * 11));
    assert.equal(twin.machine.nextTimeout(), 11_000);
    const error = twin.machine.handleTimeout(11_000);
    assert.equal(error?.reason, 'H1_BODY_TOO_SLOW');
    assert.equal(error?.status, 408);
  });

  it('does not count the time in which nobody wanted the body', () => {
    const twin = new ServerTwin();
    twin.feed(post('abcdef').slice(0, -3));
    twin.machine.setReadingPaused(true, 0);
    twin.machine.setReadingPaused(true, 0);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.machine.setReadingPaused(false, 100_000);
    assert.equal(twin.machine.nextTimeout(), 110_000);
  });

  it('asks no rate of a client that waits for 100 (Continue), and begins to count with it', () => {
    const twin = new ServerTwin();
    twin.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
    assert.equal(twin.machine.nextTimeout(), 30_000);
    twin.machine.sendInterim(response(100), 20_000);
    assert.equal(twin.machine.nextTimeout(), 30_000);
    assert.equal(twin.machine.handleTimeout(30_000)?.reason, 'H1_BODY_TOO_SLOW');
    const never = new ServerTwin();
    never.feed('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
    assert.equal(never.machine.handleTimeout(30_000)?.reason, 'H1_BODY_TIMEOUT');
  });

  it("is nobody's while an answer is awaited", () => {
    const twin = new ServerTwin();
    twin.feed(GET);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    assert.equal(twin.machine.handleTimeout(1e9), null);
  });
});

describe('a held server connection', () => {
  it('begins no further exchange, and runs no time against the client', () => {
    const twin = new ServerTwin();
    twin.feed(get('/1') + get('/2'));
    twin.machine.setHeld(true, 0);
    twin.machine.setHeld(true, 0);
    twin.answer();
    assert.deepEqual(twin.events(), []);
    assert.equal(twin.machine.isIdle, false);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.now = 90_000;
    twin.machine.setHeld(false, twin.now);
    assert.equal(twin.machine.nextTimeout(), 100_000);
    assert.deepEqual(twin.events(), ['GET /2', 'end']);
    twin.answer();
    twin.events();
    twin.machine.setHeld(true, twin.now);
    twin.machine.setHeld(false, 100_000);
    assert.equal(twin.machine.nextTimeout(), 160_000);
  });

  it('goes on with the exchange at hand, and drains its body', () => {
    const twin = new ServerTwin();
    twin.feed(post('abcdef').slice(0, -3));
    twin.machine.setHeld(true, 0);
    assert.deepEqual(twin.feed('d'), ['data d']);
    twin.answer();
    assert.deepEqual(twin.feed(`ef${GET}`), []);
    assert.equal(twin.machine.bufferedBytes, GET.length);
    twin.machine.setHeld(false, 0);
    assert.deepEqual(twin.events(), ['GET /', 'end']);
  });
});

describe('the options of a server connection', () => {
  it('have the defaults of the table, are resolved once, and refuse nonsense', () => {
    const resolved = resolveServerConnectionOptions();
    assert.deepEqual(
      { ...resolved, decoder: null },
      {
        isResolved: true,
        decoder: null,
        firstByteTimeoutMs: 15_000,
        headTimeoutMs: 10_000,
        bodyTimeoutMs: 30_000,
        bodyGraceMs: 10_000,
        minBodyBytesPerSecond: 240,
        idleTimeoutMs: 60_000,
        maxRequests: 1_000,
        maxDrainBytes: 65_536,
        maxInterimResponses: 8,
        allowPipelining: true,
        sayKeepAlive: false,
      },
    );
    assert.equal(resolveServerConnectionOptions(resolved), resolved);
    assert.ok(Object.isFrozen(resolved));
    assert.throws(() => resolveServerConnectionOptions({ headTimeoutMs: 0 }), /headTimeoutMs/);
    assert.throws(() => resolveServerConnectionOptions({ maxDrainBytes: -1 }), /maxDrainBytes/);
    assert.throws(() => resolveServerConnectionOptions({ idleTimeoutMs: Number.NaN }), RangeError);
    assert.throws(
      () => resolveServerConnectionOptions({ allowPipelining: 0 as unknown as boolean }),
      /allowPipelining must be true or false/,
    );
    assert.throws(
      () => resolveServerConnectionOptions({ sayKeepAlive: 'yes' as unknown as boolean }),
      /sayKeepAlive must be true or false/,
    );
    assert.doesNotThrow(() => new ServerConnection(0));
  });
});
