/** The server's HTTP/2 session: many exchanges at once, each with one end of its own; faults, floods of slowness, time, ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, ioError, protocolError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import { type HttpServerOptions, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { CLIENT_PREFACE, Http2ErrorCode, SettingId, writeData, writeHeaders, writePing, writeSettings } from '@ferrata/http2-framing';
import { memoryPair } from '@ferrata/stream';
import { connectFrames, FramePeer, requestFields } from './http2-rig.ts';
import { echoTarget, response, ServerRig, settle } from './rig.ts';

function bug(): never {
  throw new Error('bug');
}

async function begin(options: HttpServerOptions = {}): Promise<{ rig: ServerRig; peer: FramePeer }> {
  const rig = new ServerRig(options);
  const peer = await connectFrames(rig).hello();
  return { rig, peer };
}

describe('an HTTP/2 server session', () => {
  it('answers, with a Date, in one write, and is idle again', async () => {
    const { rig, peer } = await begin();
    rig.onRequest = (exchange) => respond(exchange, 200, { body: 'hi' });
    const before = peer.chunkCount;
    await peer.get(1, '/news');
    assert.equal(peer.chunkCount, before + 1);
    const heard = peer.heard(1);
    assert.equal(heard.heads[0]?.[':status'], '200');
    assert.match(heard.heads[0]?.['date'] ?? '', / GMT$/);
    assert.equal(heard.heads[0]?.['content-length'], '2');
    assert.equal(heard.text, 'hi');
    assert.equal(heard.hasEnded, true);
    assert.equal(heard.reset, null);
    assert.deepEqual(rig.last.heard, ['close']);
    const { exchange } = rig.last;
    assert.equal(exchange.request.target, '/news');
    assert.equal(exchange.request.headers.get('host'), 'a');
    assert.equal(exchange.upgrade, null);
    assert.equal(exchange.status, 200);
    assert.equal(exchange.responseBytes, 2);
    assert.equal(exchange.requestBodyLength, 0);
    assert.equal(exchange.isClosed, true);
    assert.equal(exchange.info.kind, 'memory');
    assert.equal(rig.server.connectionCount, 1);
    await peer.get(3);
    assert.equal(peer.status(3), '200');
  });

  it('answers many requests of one chunk in one write', async () => {
    const { rig, peer } = await begin();
    rig.onRequest = echoTarget;
    const before = peer.chunkCount;
    await peer.say((writer) => {
      for (let at = 0; at < 100; at++) peer.putHeaders(writer, 2 * at + 1, requestFields('GET', `/${at}`));
    });
    assert.equal(peer.chunkCount, before + 1);
    for (let at = 0; at < 100; at++) assert.equal(peer.heard(2 * at + 1).text, `/${at}`);
    assert.equal(
      rig.followers.every(({ closes }) => closes.length === 1 && closes[0] === null),
      true,
    );
  });

  it('gives a body and trailers to the handler, and sends trailers', async () => {
    const { rig, peer } = await begin();
    const trailers: (HeaderMap | null)[] = [];
    rig.react = { onRequestEnd: (fields) => trailers.push(fields) };
    await peer.post(1, '/', { 'content-length': '5' });
    assert.equal(rig.last.exchange.requestBodyLength, 5);
    await peer.data(1, 'he');
    await peer.data(1, 'llo');
    await peer.headers(1, { 'x-sum': '1' });
    assert.deepEqual(rig.last.heard, ['data he', 'data llo', 'end']);
    assert.equal(trailers[0]?.get('x-sum'), '1');
    assert.equal(rig.last.exchange.requestBytes, 5);
    rig.last.exchange.sendHead(response(200), BodyLength.chunked);
    rig.last.exchange.sendData(new Uint8Array(3));
    rig.last.exchange.sendEnd(HeaderMap.from({ 'X-Sum': '2' }));
    await settle();
    assert.deepEqual(peer.heard(1).heads.at(-1), { 'x-sum': '2' });
    assert.equal(peer.heard(1).body, 3);
    assert.equal(peer.heard(1).hasEnded, true);
  });

  it('sends interim responses, 100 for those who wait for it (RFC 9110 §10.1.1)', async () => {
    const { rig, peer } = await begin();
    await peer.post(1, '/', { expect: '100-continue', 'content-length': '2' });
    const { exchange } = rig.last;
    assert.equal(exchange.expectsContinue, true);
    exchange.sendInterim(response(100));
    exchange.sendInterim(response(103, { Link: '</a>' }));
    await settle();
    assert.deepEqual(peer.heard(1).heads, [{ ':status': '100' }, { ':status': '103', link: '</a>' }]);
    assert.throws(() => exchange.sendInterim(response(101)), RangeError);
    assert.throws(() => exchange.sendInterim(response(200)), RangeError);
    await peer.data(1, 'ok', true);
    respond(exchange, 204);
    assert.throws(() => exchange.openTunnel(response(200)), TypeError);
    exchange.sendInterim(response(103));
    await settle();
    assert.equal(peer.status(1), '204');
    await peer.get(3, '/', { expect: '100-continue' });
    assert.equal(rig.last.exchange.expectsContinue, false);
    rig.last.exchange.sendHead(response(200), 0);
    assert.throws(() => rig.last.exchange.sendInterim(response(103)), TypeError);
  });

  it('says RST_STREAM(NO_ERROR) behind an answer that is complete before its request (RFC 9113 §8.1)', async () => {
    const { rig, peer } = await begin();
    rig.onRequest = echoTarget;
    await peer.post(1, '/early');
    assert.deepEqual(peer.log.slice(-3), ['HEADERS 1', 'DATA 1 6 end', 'RST_STREAM 1 NO_ERROR']);
    assert.deepEqual(rig.last.heard, ['close']);
    await peer.data(1, 'late', true);
    await peer.get(3);
    assert.equal(peer.status(3), '200');
    assert.equal(
      peer.log.some((frame) => frame.startsWith('GOAWAY')),
      false,
    );
  });

  it('does so only when the whole answer is out, and drops a paused body', async () => {
    const { rig, peer } = await begin();
    peer.givesCredit = false;
    await peer.post(1);
    const { exchange } = rig.last;
    exchange.pauseRequest();
    await peer.data(1, 'x');
    respond(exchange, 200, { body: new Uint8Array(100_000) });
    await settle();
    assert.equal(peer.heard(1).body, 65_535);
    assert.equal(peer.heard(1).reset, null);
    assert.equal(exchange.isClosed, false);
    assert.equal(exchange.sendData(new Uint8Array(1)), false);
    exchange.sendEnd();
    await peer.credit(0, 100_000);
    await peer.credit(1, 100_000);
    assert.equal(peer.heard(1).body, 100_000);
    assert.deepEqual(peer.log.slice(-1), ['RST_STREAM 1 NO_ERROR']);
    assert.deepEqual(rig.last.heard, ['close']);
    assert.equal(exchange.responseBytes, 100_000);
  });

  it('does not call an answer whole that the client gave up before its end', async () => {
    const { rig, peer } = await begin();
    peer.givesCredit = false;
    await peer.get(1);
    respond(rig.last.exchange, 200, { body: new Uint8Array(200_000) });
    await settle();
    await peer.reset(1);
    assert.equal(rig.last.closes[0]?.reason, 'CLIENT_RESET');
    assert.equal(rig.last.closes.length, 1);
  });

  it('sends no body to HEAD, and none with 204 and 304', async () => {
    const { rig, peer } = await begin();
    rig.onRequest = (exchange) => {
      exchange.sendHead(response(exchange.request.method === 'HEAD' ? 200 : 304), 5);
      assert.equal(exchange.sendData(new Uint8Array(5)), true);
      exchange.sendEnd();
    };
    await peer.headers(1, requestFields('HEAD', '/'));
    await peer.get(3);
    for (const id of [1, 3]) {
      assert.equal(peer.heard(id).hasEnded, true);
      assert.equal(peer.heard(id).body, 0);
    }
    assert.equal(rig.last.exchange.responseBytes, 0);
  });

  it('refuses wrong heads by a throw, after which another may be sent', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    const { exchange } = rig.last;
    assert.throws(() => exchange.sendData(new Uint8Array(1)), TypeError);
    assert.throws(() => exchange.sendEnd(), TypeError);
    assert.throws(() => exchange.sendHead(response(101), 0), TypeError);
    assert.throws(() => exchange.sendHead(response(103), 0), RangeError);
    assert.throws(() => exchange.sendHead(response(200), Number.NaN), RangeError);
    assert.throws(() => exchange.sendHead({ ...response(200), status: 1_000 }, 0));
    assert.equal(exchange.hasResponded, false);
    exchange.sendHead(response(200), 0);
    assert.throws(() => exchange.sendHead(response(200), 0), TypeError);
    exchange.sendEnd();
    exchange.sendHead(response(200), 0);
    await settle();
    assert.equal(peer.status(1), '200');
  });

  for (const [name, send] of [
    ['more', (exchange) => exchange.sendData(new Uint8Array(3))],
    ['less', (exchange) => exchange.sendEnd()],
  ] as [string, (exchange: ServerExchange) => void][]) {
    it(`ends an exchange that sends ${name} than it announced (RFC 9110 §8.6)`, async () => {
      const { rig, peer } = await begin();
      await peer.get(1);
      rig.last.exchange.sendHead(response(200), 2);
      assert.throws(() => send(rig.last.exchange), RangeError);
      await settle();
      assert.equal(peer.heard(1).reset, 'INTERNAL_ERROR');
      assert.deepEqual(rig.last.heard, ['end', 'close BODY_LENGTH_WRONG']);
      rig.onRequest = echoTarget;
      await peer.get(3);
      assert.equal(peer.status(3), '200');
    });
  }

  it('takes no Upgrade and no HTTP2-Settings (RFC 9113 §8.2.2)', async () => {
    const { rig, peer } = await begin();
    await peer.get(1, '/', { upgrade: 'websocket' });
    await peer.get(3, '/', { 'http2-settings': 'AAMAAABk' });
    assert.equal(rig.followers.length, 0);
    assert.deepEqual(
      rig.refusals.map(({ error }) => error.reason),
      ['H2_CONNECTION_FIELD', 'H2_CONNECTION_FIELD'],
    );
    rig.onRequest = echoTarget;
    await peer.get(5);
    assert.equal(peer.status(5), '200');
  });

  it('tells the application of requests that it refused', async () => {
    const { rig, peer } = await begin();
    await peer.headers(1, { ':method': 'GET', ':path': '/' });
    assert.equal(rig.refusals.length, 1);
    assert.equal(rig.refusals[0]?.error.source, 'downstream');
    await peer.get(3, '/', { 'x-long': 'y'.repeat(40_000) });
    await settle();
    assert.equal(rig.followers.length, 0);
  });
});

describe('back-pressure over HTTP/2', () => {
  it('holds a paused body within its window, and others flow on', async () => {
    const { rig, peer } = await begin({ http2: { connection: { isWindowGrowthEnabled: false } } });
    await peer.post(1);
    const first = rig.last;
    first.exchange.pauseRequest();
    first.exchange.pauseRequest();
    await peer.data(1, new Uint8Array(16_384));
    await peer.data(1, new Uint8Array(16_384));
    assert.deepEqual(first.heard, []);
    await peer.post(3);
    await peer.data(3, 'flows', true);
    assert.deepEqual(rig.last.heard, ['data flows', 'end']);
    await peer.data(1, 'z', true);
    first.exchange.resumeRequest();
    first.exchange.resumeRequest();
    await settle();
    assert.equal(first.exchange.requestBytes, 32_769);
    assert.equal(first.heard.at(-1), 'end');
  });

  it('pauses and resumes from inside of a handler', async () => {
    const { rig, peer } = await begin();
    rig.react = { onRequestData: () => rig.last.exchange.pauseRequest() };
    await peer.post(1);
    await peer.data(1, 'a');
    await peer.data(1, 'b');
    assert.deepEqual(rig.last.heard, ['data a']);
    rig.react = {};
    rig.last.exchange.resumeRequest();
    await peer.data(1, '', true);
    assert.deepEqual(rig.last.heard.slice(0, 2), ['data a', 'data b']);
    respond(rig.last.exchange, 200);
    await settle();
    assert.equal(peer.status(1), '200');
  });

  it('says false to a sender whose client gives no credit, and drains', async () => {
    const { rig, peer } = await begin();
    peer.givesCredit = false;
    await peer.get(1);
    const { exchange } = rig.last;
    exchange.sendHead(response(200), BodyLength.chunked);
    let sent = 0;
    while (exchange.sendData(new Uint8Array(10_000))) {
      sent += 10_000;
      assert.ok(sent < 1_000_000, 'bounded');
      await settle();
    }
    assert.equal(rig.last.heard.includes('drain'), false);
    peer.givesCredit = true;
    await peer.credit(0, 1_000_000);
    await peer.credit(1, 1_000_000);
    assert.equal(rig.last.heard.includes('drain'), true);
    exchange.sendEnd();
    await settle();
    assert.equal(peer.heard(1).hasEnded, true);
    assert.equal(peer.heard(1).body, sent + 10_000);
  });

  it('stores no more for a client that does not read than its windows, its queues and one write', async () => {
    const rig = new ServerRig({ writeTimeoutMs: 5_000 });
    const { a, b } = memoryPair({ clock: rig.clock });
    rig.server.accept(b);
    const peer = await new FramePeer(a).hello();
    peer.givesCredit = false;
    await peer.credit(0, 100_000_000);
    peer.stream.pause();
    await peer.say((writer) => {
      for (let id = 1; id < 20; id += 2) peer.putHeaders(writer, id, requestFields('GET', '/'));
    });
    for (const { exchange } of rig.followers) {
      exchange.sendHead(response(200), BodyLength.chunked);
      let calls = 0;
      while (exchange.sendData(new Uint8Array(16_384))) assert.ok(++calls < 4, 'a window and no more');
    }
    await settle();
    // The windows of all ten streams would let ten times as much out: it stops at the high-water mark of the connection, and one write.
    assert.ok(b.bufferedBytes <= 65_536 + 16_384 + 9, `${b.bufferedBytes}`);
    await rig.advance(4_000);
    assert.equal(peer.isClosed, false);
    await rig.advance(2_000);
    assert.equal(peer.isClosed, true);
    assert.equal(
      rig.followers.every(({ closes }) => closes[0]?.reason === 'H2_CONNECTION_STALLED'),
      true,
    );
    rig.assertEmpty();
  });

  it('does not cut a client that reads slowly', async () => {
    const { rig, peer } = await begin({ writeTimeoutMs: 5_000 });
    await peer.get(1);
    peer.stream.pause();
    await settle();
    const { exchange } = rig.last;
    respond(exchange, 200, { body: new Uint8Array(400_000) });
    for (let turn = 0; turn < 30; turn++) {
      await rig.advance(4_000);
      peer.stream.resume();
      for (let at = 0; at < 4; at++) await Promise.resolve();
      peer.stream.pause();
    }
    peer.stream.resume();
    for (let at = 0; at < 20; at++) await settle();
    assert.equal(peer.heard(1).body, 400_000);
    assert.deepEqual(rig.last.closes, [null]);
  });
});

describe('exchanges that share a connection', () => {
  it('never mix, whatever the order of their bytes (100 at once)', async () => {
    const { rig, peer } = await begin();
    const ids = Array.from({ length: 100 }, (_, at) => 2 * at + 1);
    await peer.say((writer) => {
      for (const id of ids) peer.putHeaders(writer, id, requestFields('POST', `/${id}`), false);
    });
    for (let round = 0; round < 3; round++) {
      for (const id of round % 2 === 0 ? ids : ids.toReversed()) await peer.data(id, `<${id}.${round}>`, round === 2);
    }
    for (const [at, follower] of rig.followers.entries()) {
      const id = 2 * at + 1;
      assert.deepEqual(follower.heard, [`data <${id}.0>`, `data <${id}.1>`, `data <${id}.2>`, 'end']);
      assert.equal(follower.exchange.request.target, `/${id}`);
    }
    const order = rig.followers.toSorted((a, b) => (a.exchange.request.target < b.exchange.request.target ? 1 : -1));
    for (const { exchange } of order) respond(exchange, 200, { body: `token${exchange.request.target}` });
    for (let turn = 0; turn < 5; turn++) await settle();
    for (const id of ids) assert.equal(peer.heard(id).text, `token/${id}`);
  });

  for (const callback of ['onRequestData', 'onRequestEnd', 'onResponseDrain', 'onExchangeClose'] as const) {
    it(`are not hurt by a throw of a neighbour's ${callback}`, async () => {
      const { rig, peer } = await begin();
      await peer.post(1);
      const innocent = rig.last;
      rig.react = { [callback]: bug };
      await peer.post(3);
      const guilty = rig.last;
      if (callback === 'onResponseDrain') {
        peer.givesCredit = false;
        guilty.exchange.sendHead(response(200), BodyLength.chunked);
        while (guilty.exchange.sendData(new Uint8Array(50_000)));
        await settle();
        await peer.credit(0, 1_000_000);
        await peer.credit(3, 1_000_000);
      } else if (callback === 'onExchangeClose') {
        await peer.reset(3);
      } else {
        await peer.data(3, 'x', true);
      }
      await settle();
      assert.equal(guilty.closes.length, 1);
      if (callback === 'onResponseDrain') assert.equal(peer.heard(3).reset, 'INTERNAL_ERROR');
      else if (callback !== 'onExchangeClose') assert.equal(peer.status(3), '500');
      assert.equal(innocent.exchange.isClosed, false);
      await peer.data(1, 'y', true);
      respond(innocent.exchange, 200);
      await settle();
      assert.equal(peer.status(1), '200');
      assert.deepEqual(innocent.closes, [null]);
    });
  }

  it('end with a 500 if onRequest throws, or returns no handler', async () => {
    for (const onRequest of [bug, () => null as never]) {
      const rig = new ServerRig({}, { onRequest, onRefused: (refusal) => rig.refusals.push(refusal) });
      const peer = await connectFrames(rig).hello();
      await peer.get(1);
      assert.equal(peer.status(1), '500');
      assert.equal(peer.heard(1).text, '500 Internal Server Error\n');
      assert.equal(rig.refusals[0]?.status, 500);
      await peer.headers(3, requestFields('HEAD', '/'));
      assert.equal(peer.status(3), '500');
      assert.equal(peer.heard(3).body, 0);
    }
  });

  it('survive an onRefused that throws: the connection says GOAWAY, and finishes them', async () => {
    const exchanges: ServerExchange[] = [];
    const onRequest = (exchange: ServerExchange): ServerExchangeHandler => {
      if (exchange.request.target === '/bug') bug();
      exchanges.push(exchange);
      return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
    };
    const rig = new ServerRig({}, { onRequest, onRefused: bug });
    const alone = await connectFrames(rig).hello();
    await alone.get(1, '/bug');
    assert.equal(alone.isClosed, true);
    const shared = await connectFrames(rig).hello();
    await shared.get(1);
    await shared.get(3, '/bug');
    assert.equal(shared.status(3), '500');
    assert.equal(shared.isClosed, false);
    respond(exchanges[0] as ServerExchange, 200);
    await settle();
    assert.equal(shared.status(1), '200');
    assert.equal(shared.hasEnded, true);
  });
});

describe('the ends of an HTTP/2 exchange', () => {
  it('by the client: CLIENT_RESET, told once', async () => {
    const { rig, peer } = await begin();
    await peer.post(1);
    await peer.reset(1, Http2ErrorCode.cancel);
    const [error] = rig.last.closes;
    assert.equal(error?.reason, 'CLIENT_RESET');
    assert.equal(error?.source, 'downstream');
    assert.equal(error?.wire.http2Code, Http2ErrorCode.cancel);
    assert.equal(error?.status, 0);
    rig.last.exchange.sendHead(response(200), 0);
    rig.last.exchange.pauseRequest();
    rig.last.exchange.resumeRequest();
    rig.last.exchange.abort(error);
    assert.deepEqual(rig.last.heard, ['close CLIENT_RESET']);
  });

  it('by abort: a status before the response, RST_STREAM within it', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    rig.last.exchange.abort(applicationError('NOPE', 'no', { wire: { status: 403 } }));
    await settle();
    assert.equal(peer.status(1), '403');
    assert.equal(peer.heard(1).text, '403 Forbidden\n');
    assert.equal(rig.last.exchange.status, 403);
    const { cancel, enhanceYourCalm, http11Required, noError, refusedStream } = Http2ErrorCode;
    const ofUpstream = (http2Code: number): Parameters<typeof ioError>[2] => ({ wire: { status: 502, http2Code }, source: 'upstream' });
    const codes: [details: Parameters<typeof ioError>[2], code: string, reason?: string][] = [
      [{ wire: { status: 502 } }, 'CANCEL'],
      [ofUpstream(enhanceYourCalm), 'INTERNAL_ERROR'],
      [ofUpstream(enhanceYourCalm), 'ENHANCE_YOUR_CALM', 'H2_STREAM_RESET'],
      [ofUpstream(cancel), 'INTERNAL_ERROR', 'H2_STREAM_RESET'],
      [ofUpstream(noError), 'INTERNAL_ERROR', 'H2_STREAM_RESET'],
      [ofUpstream(refusedStream), 'INTERNAL_ERROR', 'H2_STREAM_RESET'],
      [ofUpstream(http11Required), 'INTERNAL_ERROR', 'H2_STREAM_RESET'],
      [{ wire: { status: 502 }, source: 'upstream' }, 'INTERNAL_ERROR'],
      [{ wire: { status: 502 }, fault: 'local' }, 'INTERNAL_ERROR'],
      [{ wire: { http2Code: enhanceYourCalm } }, 'ENHANCE_YOUR_CALM'],
    ];
    let id = 3;
    for (const [details, code, reason = 'LOST'] of codes) {
      await peer.get(id);
      rig.last.exchange.sendHead(response(200), 100);
      rig.last.exchange.sendData(new Uint8Array(10));
      rig.last.exchange.abort(ioError(reason, 'lost', details));
      await settle();
      assert.equal(peer.heard(id).reset, code);
      id += 2;
    }
    await peer.get(id);
    rig.last.exchange.abort(ioError('LOST', 'lost', { wire: { status: 0 } }));
    await settle();
    assert.equal(peer.heard(id).reset, 'CANCEL');
    assert.equal(peer.heard(id).heads.length, 0);
  });

  it('by abort while the body still comes: the status, then RST_STREAM(NO_ERROR)', async () => {
    const { rig, peer } = await begin();
    await peer.post(1);
    rig.last.exchange.pauseRequest();
    rig.last.exchange.abort(protocolError('TOO_BIG', 'too big', { wire: { status: 413 } }));
    await settle();
    assert.equal(peer.status(1), '413');
    assert.equal(peer.heard(1).reset, 'NO_ERROR');
  });

  it('by the loss of the connection, at each byte of a conversation, told once to each', async () => {
    const script = conversation(connectFrames(new ServerRig()));
    let most = 0;
    for (let cut = 0; cut < script.length; cut += 1) {
      const rig = new ServerRig();
      const peer = connectFrames(rig);
      peer.stream.write(script.slice(0, cut));
      await settle();
      peer.stream.abort();
      await settle();
      assert.equal(
        rig.followers.every(({ closes }) => closes.length === 1),
        true,
        `cut at ${cut}`,
      );
      most = Math.max(most, rig.followers.length);
      rig.assertEmpty();
    }
    assert.equal(most, 2, 'both requests were there to be cut');
  });

  it('by the end of the client: what was asked whole is answered, the rest is given up', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    await peer.post(3);
    const [whole, broken] = rig.followers;
    peer.stream.end();
    await settle();
    assert.equal(broken?.closes.length, 1);
    assert.equal(broken?.closes[0]?.source, 'downstream');
    assert.ok(whole !== undefined && !whole.exchange.isClosed);
    respond(whole.exchange, 200, { body: 'late' });
    await settle();
    assert.equal(peer.heard(1).text, 'late');
    assert.equal(peer.hasEnded, true);
    await settle();
    assert.equal(rig.server.connectionCount, 0);
  });

  it('by the end of the client, when no answer begins within the grace', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    peer.stream.end();
    await rig.advance(1_900);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(200);
    assert.equal(rig.last.closes[0]?.reason, 'CLIENT_CLOSED');
    await rig.advance(5_000);
    rig.assertEmpty();
  });

  it('by the end of the client, when its windows are exhausted: no credit can come any more', async () => {
    const { rig, peer } = await begin();
    peer.givesCredit = false;
    await peer.get(1);
    await peer.get(3);
    await peer.get(5);
    const [long, short, running] = rig.followers.map(({ exchange }) => exchange);
    respond(long as ServerExchange, 200, { body: new Uint8Array(300_000) });
    respond(short as ServerExchange, 200, { body: new Uint8Array(10_000) });
    running?.sendHead(response(200), BodyLength.chunked);
    running?.sendData(new Uint8Array(5));
    peer.stream.end();
    await settle();
    for (const at of [0, 2]) {
      assert.equal(rig.followers[at]?.closes.length, 1);
      assert.equal(rig.followers[at]?.closes[0]?.source, 'downstream');
    }
    assert.equal(peer.hasEnded, true);
    rig.assertEmpty();
  });

  it('by the end of the client: a long answer goes on as far as its windows let it', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello([[SettingId.initialWindowSize, 2_000_000]]);
    await peer.credit(0, 2_000_000);
    peer.givesCredit = false;
    let left = 60;
    const send = (): void => {
      while (left > 0) {
        left--;
        if (!rig.last.exchange.sendData(new Uint8Array(16_384)) && left > 0) return;
      }
      rig.last.exchange.sendEnd();
    };
    rig.react = { onResponseDrain: send };
    await peer.get(1);
    peer.stream.end();
    await settle();
    rig.last.exchange.sendHead(response(200), BodyLength.chunked);
    send();
    for (let turn = 0; turn < 30; turn++) await settle();
    assert.equal(peer.heard(1).body, 60 * 16_384);
    assert.deepEqual(rig.last.closes, [null]);
    assert.equal(rig.server.connectionCount, 0);
  });

  it('by abort: what was sent in the same turn still comes, before RST_STREAM', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    rig.last.exchange.sendHead(response(200), 100);
    rig.last.exchange.sendData(new TextEncoder().encode('five!'));
    rig.last.exchange.abort(ioError('LOST', 'lost', { source: 'upstream' }));
    await settle();
    assert.deepEqual(peer.log.slice(-3), ['HEADERS 1', 'DATA 1 5', 'RST_STREAM 1 INTERNAL_ERROR']);
  });

  it('by a fault of the connection: GOAWAY, all told once, then the end', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    await peer.post(3);
    await peer.say((writer) => writeHeaders(writer, 5, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
    assert.equal(
      rig.followers.every(({ closes }) => closes.length === 1 && closes[0]?.source === 'downstream'),
      true,
    );
    assert.match(peer.log.at(-1) ?? '', /^GOAWAY \d+ COMPRESSION_ERROR$/);
    assert.equal(peer.hasEnded, true);
    await peer.get(7);
    assert.equal(rig.followers.length, 2);
    await rig.advance(2_100);
    assert.equal(peer.isClosed, true);
    rig.assertEmpty();
  });

  it('by a fault while nothing runs: the application hears of it', async () => {
    const { rig, peer } = await begin();
    await peer.say((writer) => writeHeaders(writer, 1, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
    assert.equal(rig.refusals.length, 1);
    assert.equal(rig.refusals[0]?.status, 0);
  });
});

/** A conversation to be cut: two requests, one with a body. */
function conversation(peer: FramePeer): Uint8Array {
  return peer.frames((writer) => {
    writer.writeBytes(CLIENT_PREFACE);
    writeSettings(writer, [[SettingId.initialWindowSize, 100_000]]);
    peer.putHeaders(writer, 1, requestFields('GET', '/one'));
    peer.putHeaders(writer, 3, requestFields('POST', '/two'), false);
    writeData(writer, 3, Uint8Array.of(1, 2, 3), { isEndStream: true });
    writePing(writer, new Uint8Array(8));
  });
}

describe('an HTTP/2 connection that drains', () => {
  it('finishes what runs, takes what was on its way, and closes', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    peer.answersPings = false;
    const drained = rig.server.drain(10_000);
    await settle();
    assert.deepEqual(
      peer.log.filter((frame) => frame.startsWith('GOAWAY')),
      ['GOAWAY 2147483647 NO_ERROR'],
    );
    await peer.get(3);
    assert.equal(rig.followers.length, 2);
    await rig.advance(1_100);
    assert.equal(
      peer.log.findLast((frame) => frame.startsWith('GOAWAY')),
      'GOAWAY 3 NO_ERROR',
    );
    await peer.get(5);
    assert.equal(rig.followers.length, 2);
    for (const { exchange } of rig.followers) respond(exchange, 200);
    await settle();
    assert.equal(peer.status(1), '200');
    assert.equal(peer.status(3), '200');
    assert.equal(peer.hasEnded, true);
    peer.stream.end();
    assert.equal(await drained, 0);
    assert.equal(rig.armed, 0);
  });

  it('and is idle closes after one round trip', async () => {
    const { rig, peer } = await begin();
    const drained = rig.server.drain(10_000);
    await settle();
    assert.equal(peer.hasEnded, true);
    assert.equal(peer.log.at(-1), 'GOAWAY 0 NO_ERROR');
    peer.stream.end();
    assert.equal(await drained, 0);
  });

  it('because of its age', async () => {
    const { rig, peer } = await begin({ maxConnectionAgeMs: 10_000 });
    await rig.advance(9_900);
    assert.equal(peer.hasEnded, false);
    await rig.advance(200);
    assert.equal(peer.hasEnded, true);
    peer.stream.end();
    await settle();
    rig.assertEmpty();
  });

  it('is cut when its client does not close, or goes on sending', async () => {
    const { rig, peer } = await begin({ http2: { maxLingeringBytes: 100 } });
    void rig.server.drain(10_000);
    await settle();
    peer.stream.write(new Uint8Array(100));
    await settle();
    assert.equal(peer.isClosed, false);
    peer.stream.write(new Uint8Array(1));
    await settle();
    assert.equal(peer.isClosed, true);
    assert.equal(rig.server.connectionCount, 0);
  });

  it('waits for a client that reads the last answer slowly, and gives up one that reads nothing', async () => {
    for (const reads of [true, false]) {
      const { rig, peer } = await begin({ writeTimeoutMs: 5_000 });
      await peer.get(1);
      peer.stream.pause();
      respond(rig.last.exchange, 200, { body: new Uint8Array(60_000) });
      void rig.server.drain(100_000);
      await rig.advance(4_000);
      assert.equal(peer.isClosed, false);
      if (reads) peer.stream.resume();
      await rig.advance(100);
      assert.equal(peer.heard(1).body, reads ? 60_000 : 0);
      await rig.advance(8_000);
      assert.equal(peer.isClosed, true);
      rig.assertEmpty();
    }
  });

  it('closes at once by close, with everything', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    rig.server.close();
    await settle();
    assert.equal(peer.isClosed, true);
    assert.equal(rig.last.closes[0]?.reason, 'SERVER_CLOSED');
    rig.assertEmpty();
  });
});

describe('the times of an HTTP/2 connection', () => {
  it('end one that never says anything after its preface, and one that is idle', async () => {
    const rig = new ServerRig();
    const silent = connectFrames(rig);
    await silent.say((writer) => writer.writeBytes(new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')));
    const idle = await connectFrames(rig).hello();
    await rig.advance(10_100);
    assert.equal(silent.hasEnded, true);
    assert.equal(idle.hasEnded, false);
    await rig.advance(50_000);
    assert.equal(idle.hasEnded, true);
    await rig.advance(3_000);
    rig.assertEmpty();
  });

  it('end a response that gets no window, however late it began, and leave its neighbour', async () => {
    const { rig, peer } = await begin();
    peer.givesCredit = false;
    await peer.get(1);
    await peer.get(3);
    // In steps: it is asked in between whether the client lives, and has to answer.
    for (let turn = 0; turn < 10; turn++) await rig.advance(10_000);
    const [blocked, waiting] = rig.followers;
    respond(blocked?.exchange as ServerExchange, 200, { body: new Uint8Array(200_000) });
    await rig.advance(29_000);
    assert.equal(blocked?.closes.length, 0);
    for (let turn = 0; turn < 5; turn++) await rig.advance(1_000);
    assert.equal(blocked?.closes[0]?.type, 'timeout');
    assert.notEqual(peer.heard(1).reset, null);
    assert.equal(waiting?.closes.length, 0);
  });

  it('end an exchange whose body stalls, and leave its neighbour', async () => {
    const { rig, peer } = await begin();
    await peer.get(1);
    await peer.post(3);
    await peer.data(3, 'x');
    await rig.advance(33_000);
    await rig.advance(1_000);
    assert.equal(rig.last.closes[0]?.type, 'timeout');
    assert.equal(rig.last.closes.length, 1);
    assert.equal(rig.followers[0]?.exchange.isClosed, false);
    respond(rig.followers[0]?.exchange, 200);
    await settle();
    assert.equal(peer.status(1), '200');
  });
});
