/** Each member of `ExchangeSettings` over HTTP/2, and the figures of an exchange: what works, and what has nothing to do there does nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { internalError, ioError } from '@ferrata/error';
import { type ExchangeSettings, type HttpServerOptions, respond, type ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { Http2ErrorCode, writeSettings } from '@ferrata/http2-framing';
import type { MemoryPairOptions } from '@ferrata/stream';
import { connectFrames, type Fields, type FramePeer } from './http2-rig.ts';
import { bytes, echoTarget, response, ServerRig, settle } from './rig.ts';

interface Asked {
  readonly rig: ServerRig;
  readonly peer: FramePeer;
  readonly exchange: ServerExchange;
}

interface AskOptions {
  readonly options?: HttpServerOptions;
  readonly pair?: MemoryPairOptions;
  readonly settings?: readonly (readonly [number, number])[];
}

async function connected({ options = {}, pair = {}, settings = [] }: AskOptions = {}): Promise<Omit<Asked, 'exchange'>> {
  const rig = new ServerRig(options);
  return { rig, peer: await connectFrames(rig, pair).hello(settings) };
}

async function ask(options: AskOptions = {}): Promise<Asked> {
  const { rig, peer } = await connected(options);
  await peer.get(1);
  return { rig, peer, exchange: rig.last.exchange };
}

async function upload(fields: Fields = {}, options: AskOptions = {}): Promise<Asked> {
  const { rig, peer } = await connected(options);
  await peer.post(1, '/', fields);
  return { rig, peer, exchange: rig.last.exchange };
}

/** A client whose SETTINGS give streams no window at all: SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2). */
const noWindow = [[4, 0]] as const;

describe('an exchange over HTTP/2', () => {
  it('never says that its connection will take another request, which is not its own', async () => {
    const { rig, exchange } = await ask();
    echoTarget(exchange);
    await settle();
    assert.deepEqual(rig.last.closes, [null]);
    assert.equal(exchange.isConnectionReusable, false);
  });

  it('adds up the times in which its stream is full, for want of window, and counts the one that runs', async () => {
    const { rig, peer, exchange } = await ask({ settings: noWindow });
    peer.givesCredit = false;
    await peer.credit(0, 1_000_000);
    exchange.sendHead(response(200), BodyLength.chunked);
    await rig.advance(100);
    assert.equal(exchange.writePendingMs, 0);
    assert.equal(exchange.sendData(new Uint8Array(30_000)), false);
    await rig.advance(400);
    assert.equal(exchange.writePendingMs, 400);
    await peer.credit(1, 30_000);
    assert.equal(rig.last.heard.at(-1), 'drain');
    await rig.advance(1_000);
    assert.equal(exchange.writePendingMs, 400);
    exchange.sendData(new Uint8Array(40_000));
    exchange.sendEnd();
    await rig.advance(50);
    assert.equal(exchange.writePendingMs, 450);
    await peer.credit(1, 40_000);
    assert.deepEqual(rig.last.closes, [null]);
    await rig.advance(500);
    assert.equal(exchange.writePendingMs, 450);
  });

  it('counts what waits for a network that takes nothing, and nothing of its neighbour', async () => {
    const { rig, peer, exchange } = await ask({ settings: [[4, 1_000_000]], pair: { highWaterBytes: 100 } });
    await peer.credit(0, 10_000_000);
    await peer.get(3);
    const [, neighbour] = rig.followers;
    peer.stream.pause();
    exchange.sendHead(response(200), BodyLength.chunked);
    exchange.sendData(new Uint8Array(200_000));
    await settle();
    while (exchange.sendData(new Uint8Array(50_000)));
    await rig.advance(250);
    assert.equal(exchange.writePendingMs, 250);
    assert.equal(neighbour?.exchange.writePendingMs, 0);
    peer.stream.resume();
    await settle();
    assert.equal(exchange.writePendingMs, 250);
  });
});

describe('keepAlive over HTTP/2', () => {
  it('false says GOAWAY once, in two steps (RFC 9113 §6.8), and what runs is finished', async () => {
    const { rig, peer, exchange } = await ask();
    await peer.get(3);
    exchange.adjust({ keepAlive: false });
    exchange.adjust({ keepAlive: false });
    rig.last.exchange.adjust({ keepAlive: true });
    await settle();
    for (const { exchange: each } of rig.followers) echoTarget(each);
    await settle();
    assert.deepEqual(
      peer.log.filter((frame) => frame.startsWith('GOAWAY')),
      ['GOAWAY 2147483647 NO_ERROR', 'GOAWAY 3 NO_ERROR'],
    );
    assert.deepEqual(
      [1, 3].map((id) => peer.status(id)),
      ['200', '200'],
    );
    assert.equal(peer.hasEnded, true);
  });
});

describe('bodyTimeoutMs over HTTP/2', () => {
  it('is the silence of one stream: its neighbour has the option', async () => {
    const { rig, peer, exchange } = await upload();
    await peer.post(3);
    exchange.adjust({ bodyTimeoutMs: 2_000 });
    await rig.advance(1_900);
    await peer.data(1, 'a');
    for (let second = 0; second < 2; second++) await rig.advance(990);
    assert.equal(rig.followers[0]?.closes.length, 0);
    for (let second = 0; second < 2; second++) await rig.advance(1_000);
    assert.equal(rig.followers[0]?.closes[0]?.reason, 'H2_BODY_TIMEOUT');
    assert.equal(peer.heard(1).reset, 'CANCEL');
    assert.equal(rig.followers[1]?.closes.length, 0);
  });

  it('may be longer than the option', async () => {
    const connection = { bodyTimeoutMs: 1_000, minBodyBytesPerSecond: 0, pingIntervalMs: 0 };
    const { rig, peer, exchange } = await upload({}, { options: { http2: { connection } } });
    exchange.adjust({ bodyTimeoutMs: 60_000 });
    for (let second = 0; second < 50; second++) await rig.advance(1_000);
    assert.equal(rig.last.closes.length, 0);
    await peer.data(1, 'a', true);
    assert.deepEqual(rig.last.heard, ['data a', 'end']);
  });
});

describe('writeTimeoutMs over HTTP/2', () => {
  it('ends an exchange whose client gives no window, and only that one (parity: S13)', async () => {
    const { rig, peer, exchange } = await ask({ settings: noWindow });
    await peer.get(3);
    exchange.adjust({ writeTimeoutMs: 1_000 });
    for (const { exchange: each } of rig.followers) respond(each, 200, { body: new Uint8Array(100_000) });
    await rig.advance(980);
    assert.equal(rig.followers[0]?.closes.length, 0);
    await rig.advance(40);
    assert.equal(rig.followers[0]?.closes[0]?.reason, 'H2_WRITE_STALLED');
    assert.equal(peer.heard(1).reset, 'CANCEL');
    assert.equal(rig.followers[1]?.closes.length, 0);
    assert.equal(peer.heard(3).reset, null);
  });

  it('lets one go on whose client takes a little each time', async () => {
    const { rig, peer, exchange } = await ask({ settings: noWindow });
    exchange.adjust({ writeTimeoutMs: 1_000 });
    respond(exchange, 200, { body: new Uint8Array(100_000) });
    for (let turn = 0; turn < 10; turn++) {
      await rig.advance(900);
      await peer.credit(1, 10);
    }
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(2_100);
    assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
  });

  it('may be longer than the times of the connection for want of window', async () => {
    const connection = { stallTimeoutMs: 2_000 };
    const { rig, peer, exchange } = await ask({ settings: noWindow, options: { http2: { connection } } });
    exchange.adjust({ writeTimeoutMs: 20_000 });
    respond(exchange, 200, { body: new Uint8Array(100_000) });
    for (let second = 0; second < 19; second++) await rig.advance(1_000);
    assert.equal(rig.last.closes.length, 0);
    await peer.credit(1, 100_000);
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('holds for a short response too, which is over for the application and waits for window', async () => {
    const { rig, peer, exchange } = await ask({ settings: noWindow });
    exchange.adjust({ writeTimeoutMs: 4_000 });
    respond(exchange, 200, { body: new Uint8Array(5_000) });
    assert.deepEqual(rig.last.closes, [null]);
    for (let second = 0; second < 3; second++) await rig.advance(1_000);
    assert.equal(peer.heard(1).reset, null);
    // A walk over the streams each second: one finds that there is no window, another that the time is over.
    for (let second = 0; second < 4; second++) await rig.advance(1_000);
    assert.equal(peer.heard(1).reset, 'CANCEL');
  });

  it('begins no time anew by other settings, however often they are changed', async () => {
    for (const settings of [{ writeTimeoutMs: 1_000 }, { minSendBytesPerSecond: 100_000 }]) {
      const { rig, exchange } = await ask({ settings: noWindow });
      exchange.adjust(settings);
      respond(exchange, 200, { body: new Uint8Array(100_000) });
      for (let turn = 0; turn < 3; turn++) {
        await rig.advance(400);
        exchange.adjust({ dropInterim: true, ...settings });
      }
      assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
    }
  });

  it('may be set while the client is slow', async () => {
    const { rig, exchange } = await ask({ settings: noWindow });
    respond(exchange, 200, { body: new Uint8Array(100_000) });
    await rig.advance(500);
    exchange.adjust({ writeTimeoutMs: 300 });
    await rig.advance(290);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(20);
    assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
  });

  it('ends an exchange whose client reads nothing of a connection that is full, before that is given up', async () => {
    const { rig, peer, exchange } = await ask({ settings: [[4, 1_000_000]], pair: { highWaterBytes: 100 } });
    await peer.credit(0, 10_000_000);
    peer.stream.pause();
    exchange.adjust({ writeTimeoutMs: 1_000 });
    respond(exchange, 200, { body: new Uint8Array(400_000) });
    await rig.advance(1_050);
    assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
    assert.equal(rig.server.connectionCount, 1);
  });

  it('does not hold the connection beyond the time of the session: a client that takes nothing of it is cut', async () => {
    const { rig, peer, exchange } = await ask({ settings: [[4, 1_000_000]], pair: { highWaterBytes: 100 } });
    await peer.credit(0, 10_000_000);
    peer.stream.pause();
    exchange.adjust({ writeTimeoutMs: 100_000 });
    respond(exchange, 200, { body: new Uint8Array(400_000) });
    await rig.advance(30_100);
    assert.equal(rig.last.closes[0]?.reason, 'H2_CONNECTION_STALLED');
  });
});

describe('minSendBytesPerSecond over HTTP/2', () => {
  it('gives what waits as long as it takes at that rate, and no longer to who takes less (parity: #161, S14)', async () => {
    const { rig, peer, exchange } = await ask({ settings: noWindow });
    exchange.adjust({ writeTimeoutMs: 1_000, minSendBytesPerSecond: 10_000 });
    respond(exchange, 200, { body: new Uint8Array(100_000) });
    for (let second = 0; second < 9; second++) {
      await rig.advance(1_000);
      await peer.credit(1, 10);
    }
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(980);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(40);
    assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
  });

  it('gives a second at least', async () => {
    const { rig, exchange } = await ask({ settings: noWindow });
    exchange.adjust({ minSendBytesPerSecond: 1_000_000_000 });
    respond(exchange, 200, { body: new Uint8Array(100_000) });
    await rig.advance(980);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(40);
    assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
  });
});

describe('resetCode over HTTP/2', () => {
  it('is the code of the reset that ends a response that has begun, if its error has none; before it there is a status (RFC 9113 §7)', async () => {
    const calm = ioError('CALM', 'too much', { wire: { status: 503, http2Code: Http2ErrorCode.enhanceYourCalm } });
    for (const [settings, error, code] of [
      [{ resetCode: Http2ErrorCode.cancel }, ioError('GONE', 'gone', { source: 'upstream' }), 'CANCEL'],
      [{ resetCode: Http2ErrorCode.cancel }, internalError('BUG', 'a bug'), 'CANCEL'],
      [{ resetCode: Http2ErrorCode.cancel }, calm, 'ENHANCE_YOUR_CALM'],
      [{ resetCode: Http2ErrorCode.internalError }, ioError('GONE', 'gone', { source: 'downstream' }), 'INTERNAL_ERROR'],
      [{}, ioError('GONE', 'gone', { source: 'upstream' }), 'INTERNAL_ERROR'],
      [{}, ioError('GONE', 'gone', { source: 'downstream' }), 'CANCEL'],
    ] as const) {
      const { rig, peer, exchange } = await ask();
      exchange.adjust(settings);
      exchange.sendHead(response(200), BodyLength.chunked);
      exchange.sendData(bytes('he'));
      exchange.abort(error);
      await settle();
      assert.deepEqual([peer.status(1), peer.heard(1).text, peer.heard(1).reset], ['200', 'he', code]);
      await peer.get(3);
      rig.last.exchange.adjust(settings);
      rig.last.exchange.abort(error);
      await settle();
      assert.deepEqual([peer.status(3), peer.heard(3).reset], [String(error.status), null]);
    }
  });
});

describe('abortOnHalfClose over HTTP/2', () => {
  it('false serves the exchange however long that takes; its neighbour is given up after the grace', async () => {
    const { rig, peer, exchange } = await ask();
    await peer.get(3);
    exchange.adjust({ abortOnHalfClose: false });
    peer.stream.end();
    await rig.advance(2_050);
    assert.equal(rig.followers[1]?.closes[0]?.reason, 'CLIENT_CLOSED');
    assert.equal(rig.followers[0]?.closes.length, 0);
    // A walk over the streams each second; a client that has ended its side answers no PING.
    for (let turn = 0; turn < 100; turn++) await rig.advance(1_000);
    echoTarget(exchange);
    await settle();
    assert.equal(peer.heard(1).text, '/');
    assert.deepEqual(rig.followers[0]?.closes, [null]);
    assert.equal(peer.hasEnded, true);
  });

  it('absent, leaves a response alone that has begun', async () => {
    const { rig, peer, exchange } = await ask();
    exchange.sendHead(response(200), BodyLength.chunked);
    peer.stream.end();
    for (let turn = 0; turn < 100; turn++) await rig.advance(1_000);
    assert.equal(rig.last.closes.length, 0);
  });

  it('waits for a request that the application has not read yet (parity: #170)', async () => {
    const { rig, peer, exchange } = await upload();
    exchange.pauseRequest();
    await peer.data(1, 'abc', true);
    peer.stream.end();
    for (let turn = 0; turn < 10; turn++) await rig.advance(1_000);
    assert.deepEqual(rig.last.heard, []);
    exchange.resumeRequest();
    await settle();
    assert.deepEqual(rig.last.heard, ['data abc', 'end']);
    for (let turn = 0; turn < 5; turn++) await rig.advance(1_000);
    assert.equal(rig.last.closes[0]?.reason, 'CLIENT_CLOSED');
  });
});

describe('settings that mean nothing to one stream of many', () => {
  const nothing: ExchangeSettings = { idleTimeoutMs: 1, maxDrainBytes: 0, drainTimeoutMs: 1, closeOnEarlyResponse: true };

  it('change nothing: an early response is followed by RST_STREAM(NO_ERROR), and the connection lives on (RFC 9113 §8.1)', async () => {
    const logs: string[][] = [];
    for (const settings of [{}, nothing]) {
      const { rig, peer, exchange } = await upload();
      exchange.adjust(settings);
      await peer.data(1, 'a');
      echoTarget(exchange);
      await settle();
      await peer.data(1, 'b');
      await rig.advance(5_000);
      await peer.get(3);
      echoTarget(rig.last.exchange);
      await settle();
      logs.push(peer.log);
      assert.equal(peer.heard(1).reset, 'NO_ERROR');
      assert.equal(peer.status(3), '200');
    }
    assert.deepEqual(logs[1], logs[0]);
  });

  it('change nothing: the connection is idle for as long as the option says', async () => {
    for (const idleTimeoutMs of [1, Number.POSITIVE_INFINITY]) {
      const { rig, peer, exchange } = await ask({ options: { http2: { connection: { idleTimeoutMs: 20_000 } } } });
      exchange.adjust({ idleTimeoutMs });
      echoTarget(exchange);
      for (let second = 0; second < 19; second++) await rig.advance(1_000);
      assert.equal(peer.hasEnded, false);
      await rig.advance(1_100);
      assert.equal(peer.hasEnded, true);
    }
  });
});

describe('the window that a client takes back', () => {
  it('makes an exchange wait, and its bounds hold', async () => {
    const { rig, peer, exchange } = await ask();
    exchange.adjust({ writeTimeoutMs: 1_000 });
    exchange.sendHead(response(200), BodyLength.chunked);
    await peer.say((writer) => writeSettings(writer, noWindow));
    assert.equal(exchange.sendData(new Uint8Array(20_000)), false);
    await rig.advance(1_050);
    assert.equal(rig.last.closes[0]?.reason, 'H2_WRITE_STALLED');
  });
});
