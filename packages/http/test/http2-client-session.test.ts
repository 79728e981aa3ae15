/** The client's HTTP/2 session: many exchanges at once, each with one end and a true class of retry; places, GOAWAY, time, ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ioError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import { type ClientExchange, resolveHttp2ClientOptions, resolveHttp2ServerOptions } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { Http2ErrorCode, SettingId, writeHeaders, writeRstStream } from '@ferrata/http2-framing';
import { Http2ClientRig } from './http2-rig.ts';
import { ClientFollower, request, settle } from './rig.ts';

function bug(): never {
  throw new Error('bug');
}

async function begin(...args: ConstructorParameters<typeof Http2ClientRig>): Promise<Http2ClientRig> {
  return new Http2ClientRig(...args).hello([[SettingId.maxConcurrentStreams, 100]]);
}

describe('an HTTP/2 client session', () => {
  it('asks, hears the answer, and is idle again', async () => {
    const rig = await begin();
    assert.equal(rig.session.protocol, 'http2');
    assert.equal(rig.session.isShared, true);
    assert.equal(rig.session.keepAliveTimeoutMs, Number.POSITIVE_INFINITY);
    const follower = new ClientFollower();
    const exchange = rig.ask(follower, { target: '/news' });
    assert.equal(exchange.isUnsent, true);
    assert.equal(exchange.isReused, false);
    assert.equal(exchange.info, rig.stream.info);
    assert.equal(rig.session.openStreamCount, 1);
    await settle();
    assert.equal(exchange.isUnsent, false);
    assert.equal(rig.server.heard(1).heads[0]?.[':path'], '/news');
    assert.equal(rig.server.heard(1).heads[0]?.[':authority'], 'a');
    assert.equal(rig.server.heard(1).hasEnded, true);
    await rig.server.headers(1, { ':status': '103', link: '</a>' }, false);
    await rig.server.headers(1, { ':status': '200', 'content-length': '5' }, false);
    await rig.server.data(1, 'hello', true);
    assert.deepEqual(follower.heard, ['interim 103', '200 5', 'data hello', 'end', 'close']);
    assert.deepEqual(rig.told, ['room', 'idle']);
    assert.equal(exchange.isClosed, true);
    assert.equal(exchange.sendData(new Uint8Array(1)), false);
    exchange.sendEnd();
    exchange.cancel(ioError('X', 'x'));
    const next = rig.ask(new ClientFollower());
    assert.equal(next.isReused, true);
    assert.equal(rig.session.requestCount, 2);
  });

  it('sends a body and trailers, and hears trailers', async () => {
    const rig = await begin();
    const trailers: (HeaderMap | null)[] = [];
    const follower = new ClientFollower();
    follower.react = { onResponseEnd: (fields) => trailers.push(fields) };
    const exchange = rig.ask(follower, { method: 'POST', bodyLength: BodyLength.chunked });
    assert.equal(exchange.sendData(new TextEncoder().encode('abc')), true);
    exchange.sendEnd(HeaderMap.from({ 'X-Sum': '1' }));
    exchange.sendEnd();
    await settle();
    assert.deepEqual(rig.server.heard(1).heads.at(-1), { 'x-sum': '1' });
    assert.equal(rig.server.heard(1).text, 'abc');
    await rig.server.headers(1, { ':status': '200' }, false);
    await rig.server.headers(1, { 'x-sum': '2' });
    assert.equal(trailers[0]?.get('x-sum'), '2');
    assert.deepEqual(follower.closes, [null]);
  });

  it('takes no request that it cannot carry, and counts none of them', async () => {
    const rig = await begin();
    const follower = new ClientFollower();
    assert.throws(() => rig.session.request(request(), { bodyLength: 0, upgrade: 'websocket' }, follower), TypeError);
    assert.throws(() => rig.ask(follower, { method: 'CONNECT', target: 'a:1', bodyLength: 1 }), RangeError);
    assert.throws(() => rig.ask(follower, { method: 'CONNECT', target: 'a:1', bodyLength: -1 }), RangeError);
    assert.throws(() => rig.ask(follower, { method: 'CONNECT', target: '/' }), TypeError);
    assert.throws(() => rig.ask(follower, { bodyLength: -2 }), RangeError);
    assert.throws(() => rig.ask(follower, { bodyLength: 0.5 }), RangeError);
    assert.equal(rig.session.requestCount, 0);
    assert.equal(rig.session.openStreamCount, 0);
  });

  it('opens no more streams than the server allows, and tells when there is room', async () => {
    const rig = await new Http2ClientRig().hello([[SettingId.maxConcurrentStreams, 2]]);
    assert.equal(rig.session.availableStreams, 2);
    const followers = [new ClientFollower(), new ClientFollower()];
    for (const follower of followers) rig.ask(follower);
    assert.equal(rig.session.isReusable, false);
    assert.equal(rig.session.isDraining, false);
    assert.equal(rig.session.availableStreams, 0);
    assert.throws(() => rig.ask(new ClientFollower()), TypeError);
    await settle();
    await rig.server.headers(1, { ':status': '204' });
    assert.deepEqual(rig.told, ['room']);
    assert.equal(rig.session.availableStreams, 1);
    assert.equal(rig.session.openStreamCount, 1);
    await rig.server.reset(3, Http2ErrorCode.refusedStream);
    assert.deepEqual(rig.told, ['room', 'room', 'idle']);
    assert.equal(followers[1]?.closes[0]?.retry, 'always');
  });

  it('asks before the settings of the server have come', async () => {
    const rig = new Http2ClientRig();
    const follower = new ClientFollower();
    rig.ask(follower);
    await settle();
    assert.equal(rig.server.heard(1).hasEnded, true);
    await rig.hello();
    await rig.server.headers(1, { ':status': '204' });
    assert.deepEqual(follower.heard, ['204 0', 'end', 'close']);
  });

  it('writes all requests of one turn at once', async () => {
    const rig = await begin();
    const before = rig.server.chunkCount;
    for (let at = 0; at < 50; at++) rig.ask(new ClientFollower());
    await settle();
    assert.equal(rig.server.chunkCount, before + 1);
  });
});

describe('a response over HTTP/2 that is whole before its request', () => {
  it('ends the exchange, and the rest of the request (RFC 9113 §8.1)', async () => {
    const rig = await begin();
    const follower = new ClientFollower();
    const exchange = rig.ask(follower, { method: 'POST', bodyLength: 100 });
    exchange.sendData(new Uint8Array(10));
    await settle();
    await rig.server.headers(1, { ':status': '413' });
    assert.deepEqual(follower.heard, ['413 0', 'end', 'close']);
    assert.equal(rig.server.heard(1).reset, 'NO_ERROR');
    await rig.server.reset(1, Http2ErrorCode.noError);
    assert.deepEqual(follower.closes, [null]);
    assert.equal(rig.session.isReusable, true);
  });

  it('is not lost if RST_STREAM(NO_ERROR) comes right behind it', async () => {
    const rig = await begin();
    const follower = new ClientFollower();
    rig.ask(follower, { method: 'POST', bodyLength: 100 });
    await settle();
    await rig.server.say((writer) => {
      rig.server.putHeaders(writer, 1, { ':status': '413' });
      writeRstStream(writer, 1, Http2ErrorCode.noError);
    });
    assert.deepEqual(follower.heard, ['413 0', 'end', 'close']);
  });
});

describe('exchanges that share a connection to a server', () => {
  it('never mix (100 at once, answered backwards, in pieces)', async () => {
    const rig = await begin();
    const followers = Array.from({ length: 100 }, () => new ClientFollower());
    followers.forEach((follower, at) => rig.ask(follower, { target: `/${at}` }));
    await settle();
    const ids = followers.map((_, at) => 2 * at + 1);
    for (const id of ids.toReversed())
      await rig.server.headers(id, { ':status': '200', 'x-path': rig.server.heard(id).heads[0]?.[':path'] ?? '' }, false);
    for (const id of ids) await rig.server.data(id, `<${rig.server.heard(id).heads[0]?.[':path']}`);
    for (const id of ids.toReversed()) await rig.server.data(id, '>', true);
    followers.forEach((follower, at) => assert.deepEqual(follower.heard, ['200 -1', `data </${at}`, 'data >', 'end', 'close']));
  });

  for (const callback of ['onInterim', 'onResponse', 'onResponseData', 'onResponseEnd', 'onRequestDrain', 'onClientClose'] as const) {
    it(`are not hurt by a throw of a neighbour's ${callback}`, async () => {
      const rig = await begin();
      const innocent = new ClientFollower();
      rig.ask(innocent);
      const guilty = new ClientFollower();
      guilty.react = { [callback]: bug };
      const exchange = rig.ask(guilty, { method: 'POST', bodyLength: BodyLength.chunked });
      await settle();
      if (callback === 'onRequestDrain') {
        rig.server.givesCredit = false;
        while (exchange.sendData(new Uint8Array(50_000)));
        await settle();
        await rig.server.credit(0, 1_000_000);
        await rig.server.credit(3, 1_000_000);
      } else {
        exchange.sendEnd();
        await rig.server.headers(3, { ':status': '103' }, false);
        await rig.server.headers(3, { ':status': '200' }, false);
        await rig.server.data(3, 'x', true);
      }
      assert.equal(guilty.closes.length, 1);
      if (callback !== 'onClientClose') assert.equal(guilty.closes[0]?.reason, 'HANDLER_THREW');
      if (callback !== 'onClientClose') assert.equal(guilty.closes[0]?.source, 'internal');
      await rig.server.headers(1, { ':status': '204' });
      assert.deepEqual(innocent.closes, [null]);
      assert.equal(rig.session.isReusable, true);
    });
  }

  it('end with the connection if the last of them throws in onClientClose, so that the bug is seen', async () => {
    const rig = await begin();
    const guilty = new ClientFollower();
    guilty.react = { onClientClose: bug };
    rig.ask(guilty);
    await settle();
    await rig.server.headers(1, { ':status': '204' });
    assert.equal(rig.told.at(-1), 'close HANDLER_THREW');
  });
});

describe('back-pressure of an HTTP/2 client', () => {
  it('says false, and drains', async () => {
    const rig = await begin();
    rig.server.givesCredit = false;
    const follower = new ClientFollower();
    const exchange = rig.ask(follower, { method: 'POST', bodyLength: BodyLength.chunked });
    let sent = 0;
    while (exchange.sendData(new Uint8Array(10_000))) {
      sent += 10_000;
      assert.ok(sent < 1_000_000);
      await settle();
    }
    assert.equal(follower.heard.includes('drain'), false);
    await rig.server.credit(0, 1_000_000);
    await rig.server.credit(1, 1_000_000);
    assert.equal(follower.heard.includes('drain'), true);
    exchange.sendEnd();
    await settle();
    assert.equal(rig.server.heard(1).body, sent + 10_000);
  });

  it('holds a paused response within its window, and others flow on', async () => {
    const rig = await begin({ connection: { isWindowGrowthEnabled: false, initialWindowBytes: 65_535 } });
    const slow = new ClientFollower();
    const exchange = rig.ask(slow);
    const fast = new ClientFollower();
    rig.ask(fast);
    await settle();
    exchange.pauseResponse();
    exchange.pauseResponse();
    await rig.server.headers(1, { ':status': '200' }, false);
    for (let at = 0; at < 3; at++) await rig.server.data(1, new Uint8Array(16_384));
    await rig.server.headers(3, { ':status': '200' }, false);
    await rig.server.data(3, 'flows', true);
    assert.deepEqual(fast.heard, ['200 -1', 'data flows', 'end', 'close']);
    assert.equal(
      slow.heard.some((event) => event.startsWith('data')),
      false,
    );
    await rig.server.data(1, 'x', true);
    exchange.resumeResponse();
    exchange.resumeResponse();
    await settle();
    assert.deepEqual(slow.closes, [null]);
  });

  it('gives up a server that reads nothing', async () => {
    const rig = await begin({ writeTimeoutMs: 5_000 });
    await rig.server.credit(0, 10_000_000);
    rig.server.stream.pause();
    const followers = Array.from({ length: 5 }, () => new ClientFollower());
    for (const follower of followers) {
      const exchange = rig.ask(follower, { method: 'POST', bodyLength: BodyLength.chunked });
      while (exchange.sendData(new Uint8Array(16_384)));
    }
    await rig.advance(4_900);
    assert.equal(followers[0]?.closes.length, 0);
    await rig.advance(10_000);
    for (const follower of followers) assert.equal(follower.closes[0]?.reason, 'H2_CONNECTION_STALLED');
    assert.equal(rig.told.at(-1), 'close H2_CONNECTION_STALLED');
    assert.equal(rig.armed, 0);
  });
});

describe('the ends of an HTTP/2 exchange of a client', () => {
  it('by cancel: RST_STREAM(CANCEL), and the connection stays', async () => {
    const rig = await begin();
    const follower = new ClientFollower();
    const exchange = rig.ask(follower);
    await settle();
    exchange.cancel(ioError('CLIENT_RESET', 'gone', { source: 'downstream' }));
    exchange.cancel(ioError('CLIENT_RESET', 'gone'));
    assert.deepEqual(follower.heard, ['close CLIENT_RESET']);
    await settle();
    assert.equal(rig.server.heard(1).reset, 'CANCEL');
    assert.equal(rig.session.isReusable, true);
    assert.deepEqual(rig.told, ['room', 'idle']);
  });

  for (const [code, retry] of [
    ['refusedStream', 'always'],
    ['cancel', 'ifReused'],
    ['internalError', 'ifReused'],
  ] as const) {
    it(`by the server's RST_STREAM(${code}): retry ${retry}, before any answer (RFC 9113 §8.7)`, async () => {
      const rig = await begin();
      const follower = new ClientFollower();
      rig.ask(follower);
      await settle();
      await rig.server.reset(1, Http2ErrorCode[code]);
      assert.equal(follower.closes[0]?.retry, retry);
      assert.equal(follower.closes[0]?.source, 'upstream');
      const second = new ClientFollower();
      rig.ask(second);
      await settle();
      await rig.server.headers(3, { ':status': '200' }, false);
      await rig.server.reset(3, Http2ErrorCode[code]);
      if (retry !== 'always') assert.equal(second.closes[0]?.retry, 'never');
      assert.equal(second.closes.length, 1);
      assert.equal(rig.session.isReusable, true);
    });
  }

  for (const [name, send] of [
    ['more', (exchange) => exchange.sendData(new Uint8Array(3))],
    ['less', (exchange) => exchange.sendEnd()],
  ] as [string, (exchange: ClientExchange) => void][]) {
    it(`by a body of ${name} than was announced (RFC 9110 §8.6)`, async () => {
      const rig = await begin();
      const follower = new ClientFollower();
      const exchange = rig.ask(follower, { method: 'POST', bodyLength: 2 });
      assert.throws(() => send(exchange), RangeError);
      assert.equal(follower.closes[0]?.reason, 'BODY_LENGTH_WRONG');
      assert.equal(follower.closes[0]?.source, 'internal');
      await settle();
      assert.notEqual(rig.server.heard(1).reset, null);
      assert.equal(rig.session.isReusable, true);
    });
  }

  it('by the loss of the connection: each hears its own class of retry', async () => {
    const rig = await begin();
    const answered = new ClientFollower();
    rig.ask(answered);
    const sent = new ClientFollower();
    rig.ask(sent);
    await settle();
    await rig.server.headers(1, { ':status': '200' }, false);
    // The loss is told before this one is written.
    const unsent = new ClientFollower();
    rig.ask(unsent);
    rig.session.onClose(ioError('CONNECTION_RESET', 'reset'));
    assert.equal(answered.closes[0]?.retry, 'never');
    assert.equal(sent.closes[0]?.retry, 'ifReused');
    assert.equal(unsent.closes[0]?.retry, 'always');
    for (const { closes } of [answered, sent, unsent]) {
      assert.equal(closes.length, 1);
      assert.equal(closes[0]?.source, 'upstream');
      assert.equal(closes[0]?.reason, 'CONNECTION_RESET');
    }
    rig.stream.abort();
    await settle();
    assert.equal(rig.told.at(-1), 'close CONNECTION_RESET');
    assert.equal(rig.session.isReusable, false);
    assert.throws(() => rig.ask(new ClientFollower()), TypeError);
    assert.equal(rig.armed, 0);
  });

  it("by the server's end: what is whole is delivered, the rest is lost", async () => {
    const rig = await begin();
    const whole = new ClientFollower();
    const exchange = rig.ask(whole);
    const broken = new ClientFollower();
    rig.ask(broken);
    await settle();
    exchange.pauseResponse();
    await rig.server.headers(1, { ':status': '200' }, false);
    await rig.server.data(1, 'whole', true);
    await rig.server.headers(3, { ':status': '200' }, false);
    await rig.server.data(3, 'part');
    rig.server.stream.end();
    await settle();
    assert.equal(broken.closes.length, 1);
    assert.equal(broken.closes[0]?.source, 'upstream');
    assert.equal(broken.closes[0]?.retry, 'never');
    exchange.resumeResponse();
    await settle();
    assert.deepEqual(whole.heard.slice(-3), ['data whole', 'end', 'close']);
    assert.match(rig.told.at(-1) ?? '', /^close/);
    assert.equal(rig.told.filter((event) => event.startsWith('close')).length, 1);
    await rig.advance(2_000);
    assert.equal(rig.armed, 0);
  });

  it('by a fault of the server: GOAWAY, all told once', async () => {
    const rig = await begin();
    const followers = [new ClientFollower(), new ClientFollower()];
    for (const follower of followers) rig.ask(follower);
    await settle();
    await rig.server.say((writer) => writeHeaders(writer, 1, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
    for (const { closes } of followers) {
      assert.equal(closes.length, 1);
      assert.equal(closes[0]?.source, 'upstream');
      assert.equal(closes[0]?.status, 502);
    }
    assert.match(rig.server.log.at(-1) ?? '', /^GOAWAY 0 COMPRESSION_ERROR/);
    assert.equal(rig.server.hasEnded, true);
    assert.match(rig.told.at(-1) ?? '', /^close HPACK_/);
    await rig.advance(1_100);
    assert.equal(rig.server.isClosed, true);
    assert.equal(rig.armed, 0);
  });

  it('by close: SESSION_CLOSED, without a word to the owner', async () => {
    const rig = await begin();
    const follower = new ClientFollower();
    rig.ask(follower);
    await settle();
    rig.session.close();
    rig.session.close();
    assert.equal(follower.closes[0]?.reason, 'SESSION_CLOSED');
    assert.deepEqual(rig.told, []);
    await settle();
    assert.equal(rig.server.hasEnded, true);
    assert.match(rig.server.log.at(-1) ?? '', /^GOAWAY/);
    rig.server.stream.end();
    await settle();
    assert.equal(rig.server.isClosed, true);
    assert.equal(rig.armed, 0);
  });

  it('at each byte of an answer: told once', async () => {
    const sample = await begin();
    const answer = sample.server.frames((writer) => {
      sample.server.putHeaders(writer, 1, { ':status': '103' }, false);
      sample.server.putHeaders(writer, 1, { ':status': '200', 'content-length': '2' }, false);
      writer.writeBytes(Uint8Array.of(0, 0, 2, 0, 1, 0, 0, 0, 1, 0x68, 0x69));
    });
    for (let cut = 0; cut <= answer.length; cut++) {
      for (const way of ['end', 'abort'] as const) {
        const rig = await begin();
        const follower = new ClientFollower();
        rig.ask(follower);
        await settle();
        rig.server.stream.write(answer.slice(0, cut));
        await settle();
        rig.server.stream[way]();
        await settle();
        assert.equal(follower.closes.length, 1, `${way} at ${cut}`);
        assert.equal(follower.closes[0] === null, cut === answer.length);
        assert.equal(rig.told.filter((event) => event.startsWith('close')).length, 1);
        rig.server.stream.abort();
        await settle();
        assert.equal(rig.armed, 0);
      }
    }
  });
});

describe('GOAWAY (RFC 9113 §6.8)', () => {
  it('lets run what the server takes, gives the rest back for a retry, and ends the connection', async () => {
    const rig = await begin();
    const taken = new ClientFollower();
    const left = new ClientFollower();
    rig.ask(taken);
    rig.ask(left);
    await settle();
    await rig.server.goaway(1);
    assert.equal(left.closes[0]?.retry, 'always');
    assert.equal(left.closes[0]?.source, 'upstream');
    assert.equal(taken.closes.length, 0);
    assert.equal(rig.session.isReusable, false);
    assert.equal(rig.session.isDraining, true);
    assert.equal(rig.told.at(-1), 'no room');
    await rig.server.headers(1, { ':status': '204' });
    assert.deepEqual(taken.heard, ['204 0', 'end', 'close']);
    await settle();
    assert.equal(rig.told.at(-1), 'close null');
    assert.equal(rig.server.hasEnded, true);
    assert.equal(rig.told.includes('idle'), false);
  });

  it('on an idle connection ends it', async () => {
    const rig = await begin();
    await rig.server.goaway(0);
    await settle();
    assert.equal(rig.told.at(-1), 'close null');
    assert.equal(rig.server.hasEnded, true);
  });
});

describe('the times of an HTTP/2 client', () => {
  it('end an exchange that gets no answer, and leave its neighbours', async () => {
    const rig = await begin();
    const silent = new ClientFollower();
    rig.ask(silent);
    const lively = new ClientFollower();
    rig.ask(lively);
    await settle();
    await rig.server.headers(3, { ':status': '200' }, false);
    for (let turn = 0; turn < 7; turn++) {
      await rig.advance(10_000);
      await rig.server.data(3, 'x');
    }
    assert.equal(silent.closes[0]?.type, 'timeout');
    assert.equal(lively.closes.length, 0);
    await rig.server.data(3, '', true);
    assert.deepEqual(lively.closes, [null]);
  });

  it('end a request that gets no window', async () => {
    const rig = await begin();
    rig.server.givesCredit = false;
    const follower = new ClientFollower();
    const exchange = rig.ask(follower, { method: 'POST', bodyLength: BodyLength.chunked });
    await rig.advance(5_000);
    while (exchange.sendData(new Uint8Array(50_000)));
    for (let turn = 0; turn < 40; turn++) await rig.advance(1_000);
    assert.equal(follower.closes[0]?.type, 'timeout');
    assert.equal(follower.closes[0]?.source, 'upstream');
    assert.notEqual(rig.server.heard(1).reset, null);
  });

  it('end a connection that is silent while streams are open, by a PING without an answer', async () => {
    const rig = await begin();
    rig.server.answersPings = false;
    const follower = new ClientFollower();
    rig.ask(follower);
    await rig.advance(31_000);
    assert.equal(rig.server.has('PING'), true);
    await rig.advance(11_000);
    assert.equal(follower.closes.length, 1);
    assert.match(rig.told.at(-1) ?? '', /^close H2_/);
    await rig.advance(2_000);
    assert.equal(rig.armed, 0);
  });
});

describe('options of HTTP/2 sessions', () => {
  it('refuse nonsense', () => {
    assert.throws(() => resolveHttp2ClientOptions({ writeTimeoutMs: 0 }), /writeTimeoutMs/);
    assert.throws(() => resolveHttp2ClientOptions({ lingerTimeoutMs: Number.NaN }), /lingerTimeoutMs/);
    assert.throws(() => resolveHttp2ServerOptions({ maxLingeringBytes: -1 }), /maxLingeringBytes/);
    assert.throws(() => resolveHttp2ServerOptions({ connection: { maxFrameBytes: 1 } }), /maxFrameBytes/);
  });
});
