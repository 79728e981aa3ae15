/** The exchange in memory keeps the rules of those that come over a connection. Numbers are those of the behaviours it is measured by. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, ioError } from '@ferrata/error';
import { HeaderMap, HttpVersion, requestHead, responseHead } from '@ferrata/headers';
import { respond } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { bytes, clientInfo, Rig, request, response, settle, text } from './rig.ts';

const upload = (fields: Record<string, string> = {}): { readonly request: ReturnType<typeof request> } => ({
  request: request('POST', '/up?q=1', { Host: 'a', 'X-Kept': '1', ...fields }),
});

describe('the request of a subrequest', () => {
  it('#120 #327 a minimal one reaches the application as a copy of the parent, which keeps its own', async () => {
    const parent = request('GET', '/page', { Host: 'a', Cookie: 'c=1' });
    const rig = new Rig({ request: parent });
    await rig.open();
    const { exchange } = rig;
    assert.equal(`${exchange.request.method} ${exchange.request.target}`, 'GET /page');
    assert.equal(exchange.request.headers.get('cookie'), 'c=1');
    exchange.request.headers.set('Cookie', 'other');
    assert.equal(parent.headers.get('cookie'), 'c=1');
    assert.deepEqual(rig.last.heard, ['end']);
    assert.equal(exchange.requestBodyLength, 0);
  });

  it('edits method, target and fields of the copy; null removes, and several values are several lines', async () => {
    const rig = new Rig(upload({ Cookie: 'c', Accept: 'x' }));
    await rig.open({ request: { method: 'HEAD', target: '/other', headers: { Cookie: null, accept: ['a', 'b'], 'X-New': 'n' } } });
    const { request: head } = rig.exchange;
    assert.equal(`${head.method} ${head.target}`, 'HEAD /other');
    assert.deepEqual(
      [...head.headers],
      [
        ['Host', 'a'],
        ['X-Kept', '1'],
        ['accept', 'a'],
        ['accept', 'b'],
        ['X-New', 'n'],
      ],
    );
  });

  it('takes a head of its own, and copies it', async () => {
    const rig = new Rig();
    const own = requestHead('GET', '/own', { version: HttpVersion.http2, headers: HeaderMap.from({ Host: 'b' }) });
    await rig.open({ request: own });
    assert.notEqual(rig.exchange.request.headers, own.headers);
    assert.equal(rig.exchange.request.version, HttpVersion.http2);
    assert.equal(rig.exchange.request.headers.get('host'), 'b');
  });

  it('#122 #125 #327 an illegal target, method or field is refused at once: nothing is escaped or guessed', () => {
    const { subrequests } = new Rig();
    for (const edits of [
      { target: '/a b' },
      { target: '/\u0001' },
      { target: '' },
      { method: 'G T' },
      { headers: { 'a b': 'c' } },
      { headers: { a: 'b\r\nc' } },
    ])
      assert.throws(() => subrequests.collect({ request: edits, maxBodyBytes: 1 }), TypeError, JSON.stringify(edits));
    assert.equal(subrequests.size, 0);
  });

  it('#129 #327 without a body: Content-Length, Transfer-Encoding, Expect and Trailer are gone', async () => {
    const rig = new Rig(upload({ 'Content-Length': '5', 'Transfer-Encoding': 'chunked', Expect: '100-continue', Trailer: 'x' }));
    await rig.open();
    assert.deepEqual(
      [...rig.exchange.request.headers].map(([name]) => name),
      ['Host', 'X-Kept'],
    );
    assert.equal(rig.exchange.expectsContinue, false);
    assert.deepEqual(rig.last.heard, ['end']);
  });

  it('#127 #128 #327 a body of bytes comes whole, with its length', async () => {
    const rig = new Rig(upload());
    await rig.open({ body: bytes('abc') });
    assert.equal(rig.exchange.requestBodyLength, 3);
    assert.equal(rig.exchange.request.headers.get('content-length'), '3');
    assert.deepEqual(rig.last.heard, ['data abc', 'end']);
    assert.equal(rig.exchange.requestBytes, 3);
  });

  it('an empty body of bytes is a body of length 0', async () => {
    const rig = new Rig(upload());
    await rig.open({ body: new Uint8Array(0) });
    assert.equal(rig.exchange.request.headers.get('content-length'), '0');
    assert.deepEqual(rig.last.heard, ['end']);
  });

  it('#135 #136 #327 whatever the parent said of its length, the one that is left is true', async () => {
    for (const wrong of ['-1', 'text', '1.5', '12a', '999999']) {
      const rig = new Rig(upload({ 'Content-Length': wrong, 'Transfer-Encoding': 'gzip, chunked' }));
      await rig.open({ body: 'stream', bodyLength: 2 });
      assert.deepEqual(rig.exchange.request.headers.getAll('content-length'), ['2']);
      assert.equal(rig.exchange.request.headers.has('transfer-encoding'), false);
      await rig.open({ body: 'stream' });
      assert.equal(rig.exchange.request.headers.has('content-length'), false);
      assert.equal(rig.exchange.requestBodyLength, BodyLength.chunked);
    }
    assert.throws(
      () => new Rig().subrequests.open({ body: 'stream', bodyLength: -5 }, { onResponse() {}, onData() {}, onEnd() {}, onClose() {} }),
      RangeError,
    );
  });

  it('#140 #141 #327 asks for no upgrade, and its Connection takes along what it nominates', async () => {
    const rig = new Rig({
      request: request('GET', '/', { Host: 'a', Connection: 'Upgrade, X-Hop', Upgrade: 'websocket', 'X-Hop': '1', TE: 'trailers' }),
    });
    await rig.open();
    assert.equal(rig.exchange.upgrade, null);
    assert.deepEqual(
      [...rig.exchange.request.headers],
      [
        ['Host', 'a'],
        ['TE', 'trailers'],
      ],
    );
  });

  it('#143 CONNECT is no subrequest', () => {
    const rig = new Rig({ request: request('CONNECT', 'a:443') });
    assert.throws(() => rig.subrequests.background(), TypeError);
    assert.throws(() => new Rig().subrequests.background({ request: { method: 'CONNECT' } }), TypeError);
  });

  it('knows the client of the parent, and is told apart from it', async () => {
    const rig = new Rig();
    rig.clock.advance(7);
    await rig.open();
    const { info, startedAt, connection, isConnectionReusable } = rig.exchange;
    assert.equal(info.kind, 'subrequest');
    assert.equal(info.below, clientInfo);
    assert.deepEqual(info.remoteAddress, clientInfo.remoteAddress);
    assert.deepEqual(info.localAddress, clientInfo.localAddress);
    assert.equal(info.tls, null);
    info.extension = 'its own';
    assert.equal(clientInfo.extension, 'of the client');
    assert.equal(startedAt, 7);
    assert.equal(info.timing.startedAt, 7);
    assert.equal(connection.requestCount, 1);
    assert.equal(isConnectionReusable, false);
  });
});

describe('a streamed body', () => {
  it('#131 #328 comes in order, with trailers that may be some, and is not told before its end', async () => {
    const rig = new Rig(upload());
    const { sub } = await rig.open({ body: 'stream' });
    assert.equal(sub.sendData(bytes('ab')), true);
    await settle();
    assert.equal(sub.sendData(new Uint8Array(0)), true);
    sub.sendData(bytes('c'));
    sub.sendEnd(HeaderMap.from({ 'X-Sum': '1', Host: 'evil' }));
    assert.deepEqual(rig.last.heard, ['data ab']);
    await settle();
    assert.deepEqual(rig.last.heard, ['data ab', 'data c', 'end [["X-Sum","1"]]']);
    assert.equal(rig.exchange.requestBytes, 3);
  });

  it('is held while the application pauses, data and end', async () => {
    const rig = new Rig(upload());
    rig.onRequest = (exchange) => exchange.pauseRequest();
    const { sub, sink } = await rig.open({ body: 'stream' });
    sub.sendData(bytes('ab'));
    sub.sendEnd();
    await settle();
    assert.deepEqual(rig.last.heard, []);
    assert.equal(sink.drains, 0);
    rig.exchange.resumeRequest();
    assert.deepEqual(rig.last.heard, [], 'never from inside a method');
    await settle();
    assert.deepEqual(rig.last.heard, ['data ab', 'end']);
  });

  it('a pause from inside onRequestData holds the next piece', async () => {
    const rig = new Rig(upload());
    rig.react = { onRequestData: () => rig.exchange.pauseRequest() };
    const { sub } = await rig.open({ body: 'stream' });
    sub.sendData(bytes('a'));
    sub.sendData(bytes('b'));
    await settle();
    assert.deepEqual(rig.last.heard, ['data a']);
    rig.exchange.resumeRequest();
    await settle();
    assert.deepEqual(rig.last.heard, ['data a', 'data b']);
  });

  it('its maker hears that it is wanted, and after a false that more is', async () => {
    const rig = new Rig(upload());
    rig.onRequest = (exchange) => exchange.pauseRequest();
    const { sub, sink } = await rig.open({ body: 'stream' });
    assert.equal(sub.sendData(new Uint8Array(65_535)), true);
    assert.equal(sub.sendData(new Uint8Array(1)), false);
    await settle();
    assert.equal(sink.drains, 0);
    rig.exchange.resumeRequest();
    await settle();
    assert.equal(sink.drains, 1);
    assert.equal(sub.sendData(new Uint8Array(1)), true);
  });

  it('many tiny pieces fill it as well', async () => {
    const rig = new Rig(upload());
    rig.onRequest = (exchange) => exchange.pauseRequest();
    const { sub } = await rig.open({ body: 'stream' });
    let taken = 0;
    while (sub.sendData(bytes('x'))) taken++;
    assert.equal(taken, 1023);
  });

  it('a maker that does not care about false is cut off at 1 MiB', async () => {
    const rig = new Rig(upload());
    rig.onRequest = (exchange) => exchange.pauseRequest();
    const { sub, sink } = await rig.open({ body: 'stream' });
    for (let count = 0; count < 17; count++) sub.sendData(new Uint8Array(65_536));
    await settle();
    assert.deepEqual(sink.heard, ['close SUBREQUEST_OVERFLOW']);
    assert.deepEqual(rig.last.heard, ['close SUBREQUEST_OVERFLOW']);
    assert.equal(sub.isClosed, true);
  });

  it('#174 #328 longer than announced: a RangeError, and both sides hear BODY_LENGTH_WRONG', async () => {
    const rig = new Rig(upload());
    const { sub, sink } = await rig.open({ body: 'stream', bodyLength: 3 });
    sub.sendData(bytes('ab'));
    await settle();
    assert.throws(() => sub.sendData(bytes('cd')), RangeError);
    await settle();
    assert.deepEqual(rig.last.heard, ['data ab', 'close BODY_LENGTH_WRONG']);
    assert.deepEqual(sink.heard, ['close BODY_LENGTH_WRONG']);
  });

  it('#194 #328 shorter than announced, also with trailers: a RangeError, and both sides hear BODY_LENGTH_WRONG', async () => {
    const rig = new Rig(upload());
    const { sub, sink } = await rig.open({ body: 'stream', bodyLength: 3 });
    sub.sendData(bytes('ab'));
    assert.throws(() => sub.sendEnd(HeaderMap.from({ 'X-Sum': '1' })), RangeError);
    await settle();
    assert.deepEqual(rig.last.heard, ['close BODY_LENGTH_WRONG']);
    assert.deepEqual(sink.heard, ['close BODY_LENGTH_WRONG']);
  });

  it('of length 0 is whole at once: an empty piece is welcome, and any other one too long', async () => {
    const rig = new Rig(upload());
    const { sub } = await rig.open({ body: 'stream', bodyLength: 0 });
    assert.deepEqual(rig.last.heard, ['end']);
    assert.equal(sub.sendData(new Uint8Array(0)), true);
    sub.sendEnd();
    assert.throws(() => sub.sendData(bytes('a')), RangeError);
  });

  it('has no body to send if it was made without one', async () => {
    const { sub } = await new Rig().open();
    assert.throws(() => sub.sendData(bytes('a')), TypeError);
    assert.throws(() => sub.sendEnd(), TypeError);
  });

  it('#139 #327 silence ends it only if the application asks for a bodyTimeoutMs: 408', async () => {
    const rig = new Rig(upload());
    const { sub, sink } = await rig.open({ body: 'stream' });
    await rig.advance(1_000_000);
    assert.deepEqual(rig.last.heard, []);
    rig.exchange.adjust({ bodyTimeoutMs: 1000 });
    await rig.advance(900);
    sub.sendData(bytes('a'));
    await rig.advance(900);
    assert.deepEqual(rig.last.heard, ['data a']);
    await rig.advance(200);
    assert.deepEqual(rig.last.heard, ['data a', 'close SUBREQUEST_BODY_TIMEOUT']);
    assert.deepEqual(sink.heard, ['head 408', 'data', 'end', 'close SUBREQUEST_BODY_TIMEOUT']);
  });

  it('what the application does not want to hear yet is not silence', async () => {
    const rig = new Rig(upload());
    rig.onRequest = (exchange) => exchange.pauseRequest();
    await rig.open({ body: 'stream' });
    rig.exchange.adjust({ bodyTimeoutMs: 1000 });
    await rig.advance(5000);
    assert.deepEqual(rig.last.heard, []);
  });
});

describe('the response to a subrequest', () => {
  it('#153 #163 head, body and end come in order, each later, with Date and true framing', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    const head = responseHead(200, {
      reason: 'Fine',
      headers: HeaderMap.from({
        'X-A': '1',
        Connection: 'close, X-Hop',
        'X-Hop': '1',
        'Transfer-Encoding': 'chunked',
        'Content-Length': '99',
      }),
    });
    rig.exchange.sendHead(head, 3);
    assert.equal(rig.exchange.sendData(bytes('ab')), true);
    rig.exchange.sendData(bytes('c'));
    rig.exchange.sendEnd();
    assert.deepEqual(rig.last.heard, ['end', 'close'], 'the application hears of its end at once, as over HTTP/1');
    assert.deepEqual(sink.heard, []);
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data', 'data', 'end', 'close']);
    assert.deepEqual(
      [...(sink.heads[0]?.headers ?? [])],
      [
        ['X-A', '1'],
        ['Content-Length', '3'],
        ['Date', 'Sun, 06 Nov 1994 08:49:37 GMT'],
      ],
    );
    assert.equal(sink.heads[0]?.reason, 'Fine');
    assert.deepEqual(sink.lengths, [3]);
    assert.equal(sub.status, 200);
    assert.equal(sub.isClosed, true);
    assert.equal(head.headers.get('content-length'), '99', 'the head of the application is its own');
  });

  it('#155 #158 #164 counts the body and nothing else, once', async () => {
    const rig = new Rig();
    const { sub } = await rig.open();
    rig.exchange.sendHead(response(200, { 'X-Long': 'x'.repeat(100) }), 5);
    assert.equal(rig.exchange.responseBytes, 0);
    rig.exchange.sendData(bytes('hello'));
    await settle();
    rig.exchange.sendEnd();
    await settle();
    assert.equal(rig.exchange.responseBytes, 5);
    assert.equal(sub.responseBytes, 5);
  });

  it('#156 #157 #327 without a length its end tells; trailers come without what may be none', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    rig.exchange.sendHead(response(200, { 'Content-Length': '7' }), BodyLength.untilClose);
    rig.exchange.sendData(bytes('1'));
    rig.exchange.sendEnd(HeaderMap.from({ 'X-Sum': '1', 'Content-Length': '9' }));
    await settle();
    assert.deepEqual(sink.lengths, [BodyLength.chunked]);
    assert.equal(sink.heads[0]?.headers.has('content-length'), false);
    assert.deepEqual(sink.trailers?.toJSON(), [['X-Sum', '1']]);
  });

  it('#154 #159 #166 #327 interim responses come before the final one, and none after', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    rig.exchange.sendInterim(response(100));
    assert.equal(sub.status, 0);
    rig.exchange.sendInterim(response(103, { Link: '</a>' }));
    rig.exchange.sendHead(response(204), 0);
    assert.throws(() => rig.exchange.sendInterim(response(103)), TypeError);
    rig.exchange.sendEnd();
    await settle();
    assert.deepEqual(sink.heard, ['interim 100', 'interim 103', 'head 204', 'end', 'close']);
    assert.equal(sink.interims[1]?.headers.get('link'), '</a>');
  });

  it('#154 dropped interim responses: beyond eight, to HTTP/1.0, to a sink without onInterim, and as adjusted but for a 100 that is waited for', async () => {
    const many = new Rig();
    const counted = await many.open();
    for (let count = 0; count < 20; count++) many.exchange.sendInterim(response(102));
    await settle();
    assert.equal(counted.sink.interims.length, 8);

    const old = new Rig();
    const { sink } = await old.open({ request: requestHead('GET', '/', { version: HttpVersion.http10 }) });
    old.exchange.sendInterim(response(100));
    await settle();
    assert.deepEqual(sink.heard, []);

    const dropping = new Rig(upload({ Expect: '100-continue' }));
    const asked = await dropping.open({ body: 'stream' });
    assert.equal(dropping.exchange.expectsContinue, true);
    dropping.exchange.adjust({ dropInterim: true });
    for (const status of [102, 100, 100, 103]) dropping.exchange.sendInterim(response(status));
    await settle();
    assert.deepEqual(asked.sink.heard, ['interim 100']);

    const deaf = new Rig();
    deaf.onRequest = (exchange) => {
      exchange.sendInterim(response(103));
      respond(exchange, 200, { body: 'x' });
    };
    assert.equal((await deaf.subrequests.collect({ maxBodyBytes: 9 })).status, 200);
  });

  it('an interim response is 100 to 199 but 101', async () => {
    const rig = new Rig();
    await rig.open();
    for (const status of [101, 200, 99]) assert.throws(() => rig.exchange.sendInterim({ ...response(200), status }), RangeError);
  });

  it('#162 #328 HEAD, 204 and 304 have no body: what is sent is dropped, and a Content-Length speaks of what is not there', async () => {
    for (const [method, status, length] of [
      ['HEAD', 200, '9'],
      ['GET', 204, undefined],
      ['GET', 304, '9'],
    ] as const) {
      const rig = new Rig();
      const { sink } = await rig.open({ request: { method } });
      rig.exchange.sendHead(response(status, { 'Content-Length': '9' }), BodyLength.chunked);
      assert.equal(rig.exchange.sendData(bytes('ignored')), true);
      rig.exchange.sendEnd(HeaderMap.from({ 'X-Sum': '1' }));
      await settle();
      assert.deepEqual(sink.heard, [`head ${status}`, 'end', 'close']);
      assert.equal(sink.heads[0]?.headers.get('content-length'), length);
      assert.deepEqual(sink.lengths, [0]);
      assert.equal(sink.trailers, null);
      assert.equal(rig.exchange.responseBytes, 0);
    }
  });

  it('an answer to HEAD of a known length says so', async () => {
    const rig = new Rig();
    const { sink } = await rig.open({ request: { method: 'HEAD' } });
    respond(rig.exchange, 200, { body: 'hello' });
    await settle();
    assert.equal(sink.heads[0]?.headers.get('content-length'), '5');
    assert.equal(sink.body, '');
  });

  it('#145 #147 #167 #327 there is no tunnel: 101 is refused, and another answer may follow', async () => {
    const rig = new Rig({ request: request('GET', '/', { Host: 'a', Connection: 'Upgrade', Upgrade: 'websocket' }) });
    const { sink } = await rig.open();
    assert.throws(() => rig.exchange.openTunnel(response(101, { Upgrade: 'websocket' })), TypeError);
    assert.throws(() => rig.exchange.sendHead(response(101), 0), TypeError);
    rig.exchange.closeTunnel(null);
    respond(rig.exchange, 426, {});
    await settle();
    assert.deepEqual(sink.heard, ['head 426', 'end', 'close']);
  });

  it('#328 a second final header is refused, and the first response goes on', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    rig.exchange.sendHead(response(200), 1);
    assert.throws(() => rig.exchange.sendHead(response(502), 0), TypeError);
    rig.exchange.sendData(bytes('a'));
    rig.exchange.sendEnd();
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data', 'end', 'close']);
  });

  it('#328 a body or an end before the header is an error, and a response may still be sent', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    assert.throws(() => rig.exchange.sendData(bytes('a')), TypeError);
    assert.throws(() => rig.exchange.sendEnd(), TypeError);
    respond(rig.exchange, 200, {});
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'end', 'close']);
  });

  it('a head that is invalid may be followed by another one', async () => {
    const rig = new Rig();
    await rig.open();
    for (const status of [100, 199, 1000, 200.5])
      assert.throws(() => rig.exchange.sendHead({ ...response(200), status }, 0), RangeError, String(status));
    assert.throws(() => rig.exchange.sendHead({ ...response(200), reason: 'a\r\nb' }, 0), TypeError);
    for (const length of [-3, 1.5, Number.NaN]) assert.throws(() => rig.exchange.sendHead(response(200), length), RangeError);
    assert.equal(rig.exchange.hasResponded, false);
    respond(rig.exchange, 200, {});
    assert.equal(rig.exchange.status, 200);
  });

  it('#328 an overrun of the declared length is an error: nothing of the piece is sent, and the sink sees a cut', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    rig.exchange.sendHead(response(200), 3);
    rig.exchange.sendData(bytes('ab'));
    assert.throws(() => rig.exchange.sendData(bytes('cd')), RangeError);
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data', 'close BODY_LENGTH_WRONG']);
    assert.equal(sink.body, 'ab');
    assert.deepEqual(rig.last.heard, ['end', 'close BODY_LENGTH_WRONG']);
  });

  it('#328 a trailer, or an end, before a declared length is complete is an error', async () => {
    for (const trailers of [null, HeaderMap.from({ 'X-Sum': '1' })]) {
      const rig = new Rig();
      const { sink } = await rig.open();
      rig.exchange.sendHead(response(200), 3);
      rig.exchange.sendData(bytes('ab'));
      assert.throws(() => rig.exchange.sendEnd(trailers), RangeError);
      await settle();
      assert.deepEqual(sink.heard, ['head 200', 'data', 'close BODY_LENGTH_WRONG']);
    }
  });

  it('#328 an exact length without an end is not yet whole, and an end with nothing before it is an empty body', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    rig.exchange.sendHead(response(200), 2);
    rig.exchange.sendData(bytes('ab'));
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data']);
    rig.exchange.sendEnd();
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data', 'end', 'close']);
  });

  it('#328 late tasks are dropped: after the end no command does anything', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open({ body: 'stream' });
    respond(rig.exchange, 200, { body: 'x' });
    await settle();
    const { exchange } = rig;
    assert.equal(exchange.sendData(bytes('late')), false);
    exchange.sendHead(response(500), 0);
    exchange.sendInterim(response(103));
    exchange.sendEnd();
    exchange.abort(applicationError('LATE'));
    exchange.pauseRequest();
    exchange.resumeRequest();
    assert.equal(sub.sendData(bytes('late')), false);
    sub.sendEnd();
    sub.cancel();
    sub.pause();
    sub.resume();
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data', 'end', 'close']);
    assert.deepEqual(rig.last.heard, ['close']);
    assert.equal(exchange.status, 200);
  });

  it('#328 a sink that hears of the end one turn later loses nothing by what the application does with its pieces', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    const trailers = HeaderMap.from({ 'X-Sum': '1' });
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendEnd(trailers);
    trailers.clear();
    await settle();
    assert.deepEqual(sink.trailers?.toJSON(), [['X-Sum', '1']]);
  });
});

describe('failures of the application', () => {
  it('#147 abort before a response is a whole response with the status of the error, which is told, too', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(sink.heard, ['head 502', 'data', 'end', 'close UPSTREAM_GONE']);
    assert.equal(sink.body, '502 Bad Gateway\n');
    assert.equal(sink.heads[0]?.headers.get('content-length'), '16');
    assert.equal(sub.status, 502);
    assert.deepEqual(rig.last.heard, ['end', 'close UPSTREAM_GONE']);
  });

  it('the same for HEAD has no body', async () => {
    const rig = new Rig();
    const { sink } = await rig.open({ request: { method: 'HEAD' } });
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(sink.heard, ['head 502', 'end', 'close UPSTREAM_GONE']);
  });

  it('#328 abort behind a head: what came so far is told, and then the cut', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendData(bytes('ab'));
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'data', 'close UPSTREAM_GONE']);
  });

  it('#328 a failure clears what a paused sink has not taken, and is told to it', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendData(bytes('ab'));
    await settle();
    assert.deepEqual(sink.heard, []);
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(sink.heard, ['close UPSTREAM_GONE']);
  });

  it('a whole response that tells of a failure waits for a paused sink', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(sink.heard, []);
    sub.resume();
    assert.deepEqual(sink.heard, [], 'never from inside a method');
    await settle();
    assert.deepEqual(sink.heard, ['head 502', 'data', 'end', 'close UPSTREAM_GONE']);
  });

  it('#329 one that says nothing at all is reported as having sent no response', async () => {
    const rig = new Rig();
    const { sink } = await rig.open();
    const silent = ioError('GONE', 'x', { wire: { status: 0 } });
    rig.exchange.abort(silent);
    await settle();
    assert.deepEqual(sink.heard, ['close SUBREQUEST_NO_RESPONSE']);
    assert.equal(sink.closes[0]?.cause, silent);
    assert.equal(sink.closes[0]?.status, 502);
    assert.deepEqual(rig.last.closes, [silent]);
  });

  const bugs: readonly (readonly [string, () => unknown])[] = [
    [
      'throws',
      () => {
        throw new Error('bug');
      },
    ],
    ['rejects', () => Promise.reject(new Error('bug'))],
  ];
  for (const [kind, bug] of bugs) {
    for (const name of ['onRequestData', 'onRequestEnd', 'onResponseDrain'] as const) {
      it(`a handler whose ${name} ${kind} ends its exchange, and nothing else`, async () => {
        const rig = new Rig(upload());
        rig.react = { [name]: bug };
        const { sub, sink } = await rig.open({ body: 'stream' });
        if (name === 'onResponseDrain') {
          rig.exchange.sendHead(response(200), BodyLength.chunked);
          rig.exchange.sendData(new Uint8Array(70_000));
          await settle();
          assert.deepEqual(sink.heard, ['head 200', 'data', 'close HANDLER_THREW']);
        } else {
          sub.sendData(bytes('a'));
          sub.sendEnd();
          await settle();
          assert.deepEqual(sink.heard, ['head 500', 'data', 'end', 'close HANDLER_THREW']);
        }
        assert.equal(rig.last.closes.length, 1);
      });
    }
    it(`what onExchangeClose ${kind} is dropped`, async () => {
      const rig = new Rig();
      rig.react = { onExchangeClose: bug };
      const { sink } = await rig.open();
      respond(rig.exchange, 200, {});
      await settle();
      assert.deepEqual(sink.heard, ['head 200', 'end', 'close']);
    });
  }

  it('an application that throws has refused the request, and one that returns no handler, too', async () => {
    for (const onRequest of [
      () => {
        throw new Error('bug');
      },
      () => null,
      () => Promise.resolve({}),
    ]) {
      const rig = new Rig();
      const refusals: number[] = [];
      const result = await rig.subrequests.collect({
        application: { onRequest: onRequest as never, onRefused: ({ status }) => void refusals.push(status) },
        maxBodyBytes: 99,
      });
      assert.equal(result.status, 500);
      assert.equal(result.error?.reason, 'HANDLER_THREW');
      assert.equal(text(result.body), '500 Internal Server Error\n');
      assert.deepEqual(refusals, [500]);
    }
  });

  it('an application that answers before it returns its handler hears of the end then', async () => {
    const rig = new Rig();
    rig.onRequest = (exchange) => respond(exchange, 200, { body: 'x' });
    const { sink } = await rig.open();
    assert.deepEqual(rig.last.heard, ['close']);
    assert.deepEqual(sink.heard, ['head 200', 'data', 'end', 'close']);
  });
});

describe('back-pressure of the response', () => {
  it('#160 a sink that reads nothing fills 64 KiB; the application waits for a drain', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    let sent = 0;
    do sent += 1024;
    while (rig.exchange.sendData(new Uint8Array(1024)));
    assert.equal(sent, 65_536);
    await rig.advance(250);
    assert.equal(rig.exchange.writePendingMs, 250);
    sub.resume();
    await settle();
    assert.equal(sink.body.length, sent);
    assert.deepEqual(rig.last.heard, ['end', 'drain']);
    await rig.advance(100);
    assert.equal(rig.exchange.writePendingMs, 250);
  });

  it('the time of waiting ends with the exchange', async () => {
    const rig = new Rig();
    const { sub } = await rig.open();
    sub.pause();
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendData(new Uint8Array(70_000));
    await rig.advance(100);
    rig.exchange.sendEnd();
    await rig.advance(100);
    assert.equal(rig.exchange.writePendingMs, 100);
    sub.resume();
    await settle();
    assert.equal(rig.exchange.writePendingMs, 100);
    assert.deepEqual(rig.last.heard, ['end', 'close']);
  });

  it('memory is bounded for an application that does not care, too', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    for (let count = 0; count < 1000; count++) rig.exchange.sendData(new Uint8Array(65_536));
    assert.equal(rig.exchange.responseBytes, 16 * 65_536);
    await settle();
    assert.deepEqual(sink.heard, ['close SUBREQUEST_OVERFLOW']);
    assert.deepEqual(rig.last.heard, ['end', 'close SUBREQUEST_OVERFLOW']);
  });

  it('#165 #327 a sink that takes nothing is given up after writeTimeoutMs, if the application asks for one', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    rig.exchange.adjust({ writeTimeoutMs: 1000 });
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendData(new Uint8Array(70_000));
    await rig.advance(900);
    assert.deepEqual(sink.heard, []);
    await rig.advance(200);
    assert.deepEqual(sink.heard, ['close SUBREQUEST_WRITE_STALLED']);
    assert.deepEqual(rig.last.heard, ['end', 'close SUBREQUEST_WRITE_STALLED']);
    assert.equal(rig.environment.deadlines.size, 0);
  });

  it('#161 minSendBytesPerSecond replaces it: what waits may take its bytes over the rate', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    rig.exchange.adjust({ writeTimeoutMs: 60_000, minSendBytesPerSecond: 10_000 });
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendData(new Uint8Array(70_000));
    await rig.advance(6_900);
    assert.deepEqual(sink.heard, []);
    await rig.advance(200);
    assert.deepEqual(sink.heard, ['close SUBREQUEST_WRITE_STALLED']);
  });

  it('settings that make no sense are a RangeError, and change nothing', async () => {
    const rig = new Rig();
    await rig.open();
    for (const settings of [
      { bodyTimeoutMs: 0 },
      { writeTimeoutMs: Number.NaN },
      { minSendBytesPerSecond: -1 },
      { maxDrainBytes: -1 },
      { drainTimeoutMs: -1 },
      { idleTimeoutMs: -1 },
    ])
      assert.throws(() => rig.exchange.adjust(settings), RangeError);
    rig.exchange.adjust({
      keepAlive: false,
      idleTimeoutMs: Number.POSITIVE_INFINITY,
      maxDrainBytes: 0,
      closeOnEarlyResponse: true,
      abortOnHalfClose: true,
    });
  });
});

describe('the end of a subrequest', () => {
  it('#168 cancelled: the application hears of a client that is gone, once, and its commands do nothing', async () => {
    const rig = new Rig(upload());
    const { sub, sink } = await rig.open({ body: 'stream' });
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    rig.exchange.sendData(bytes('ab'));
    sub.sendData(bytes('cd'));
    sub.cancel();
    assert.deepEqual([rig.last.heard, sink.heard], [[], []], 'never from inside a method');
    assert.equal(rig.exchange.sendData(bytes('ef')), false);
    await settle();
    assert.deepEqual(rig.last.heard, ['close SUBREQUEST_CANCELLED']);
    assert.equal(rig.last.closes[0]?.source, 'downstream');
    assert.deepEqual(sink.heard, ['close SUBREQUEST_CANCELLED']);
    sub.cancel();
    await settle();
    assert.equal(sink.closes.length, 1);
  });

  it('#168 cancelled before its turn: the application never hears of it', async () => {
    const rig = new Rig();
    const sinkHeard: string[] = [];
    const sub = rig.subrequests.open(
      {},
      { onResponse() {}, onData() {}, onEnd() {}, onClose: (error) => void sinkHeard.push(error?.reason ?? '') },
    );
    sub.cancel(applicationError('NO_NEED'));
    await settle();
    assert.deepEqual(sinkHeard, ['NO_NEED']);
    assert.equal(rig.followers.length, 0);
  });

  it('cancelled by its sink, while a whole response waits there', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sink.onEach = (what) => what.startsWith('head') && sub.cancel(applicationError('ENOUGH'));
    respond(rig.exchange, 200, { body: 'x' });
    await settle();
    assert.deepEqual(sink.heard, ['head 200', 'close ENOUGH']);
    assert.deepEqual(rig.last.heard, ['end', 'close'], 'for the application it was whole');
  });

  it('a sink that throws or rejects cancels its subrequest, and nothing else', async () => {
    const throws = (): never => {
      throw new Error('bug');
    };
    const rejects = (): Promise<never> => Promise.reject(new Error('bug'));
    for (const bug of [throws, rejects]) {
      for (const moment of ['interim 103', 'head 200', 'data', 'drain', 'end']) {
        const rig = new Rig(upload());
        const { sink } = await rig.open({ body: 'stream' });
        const second = await rig.open({ body: 'stream' });
        second.sink.onEach = (what) => (what === moment ? bug() : undefined);
        if (moment === 'drain') rig.exchange.pauseRequest();
        rig.exchange.sendInterim(response(103));
        rig.exchange.sendHead(response(200), BodyLength.chunked);
        rig.exchange.sendData(bytes('x'));
        await settle();
        if (moment === 'drain') {
          second.sub.sendData(new Uint8Array(65_536));
          rig.exchange.resumeRequest();
        }
        if (moment === 'end') rig.exchange.sendEnd();
        await settle();
        assert.equal(second.sink.heard.at(-1), moment === 'end' && bug === rejects ? 'close' : 'close SINK_THREW', moment);
        assert.equal(rig.last.heard.at(-1), moment === 'end' ? 'close' : 'close SINK_THREW', moment);
        assert.deepEqual(sink.heard, [], 'its neighbour goes on');
      }
      const rig = new Rig();
      const { sink } = await rig.open();
      sink.onEach = (what) => (what === 'close' ? bug() : undefined);
      respond(rig.exchange, 200, {});
      await settle();
      assert.equal(sink.heard.at(-1), 'close');
    }
  });

  it('#126 timeoutMs bounds it in all: 504 for whoever asked, a client that is gone for the application', async () => {
    const rig = new Rig();
    const { sink } = await rig.open({ timeoutMs: 1000 });
    await rig.advance(990);
    assert.deepEqual(sink.heard, []);
    await rig.advance(20);
    assert.deepEqual(sink.heard, ['close SUBREQUEST_TIMEOUT']);
    assert.equal(sink.closes[0]?.status, 504);
    assert.deepEqual(rig.last.heard, ['end', 'close SUBREQUEST_TIMEOUT']);
    assert.throws(() => rig.subrequests.background({ timeoutMs: 0 }), RangeError);
  });

  it('no timer is left behind', async () => {
    const rig = new Rig();
    await rig.open({ timeoutMs: 1000 });
    respond(rig.exchange, 200, {});
    await settle();
    assert.equal(rig.environment.deadlines.size, 0);
  });
});
