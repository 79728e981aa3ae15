/** Each member of `ExchangeSettings` over HTTP/1, and the figures of an exchange. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { internalError } from '@ferrata/error';
import { type HttpServerOptions, respond, type ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import type { MemoryPairOptions } from '@ferrata/stream';
import { bytes, echoTarget, get, type RawClient, response, ServerRig, settle } from './rig.ts';

const post = (length: number, rest = ''): string => `POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${rest}`;
const chunkedPost = 'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

interface Asked {
  readonly rig: ServerRig;
  readonly client: RawClient;
  readonly exchange: ServerExchange;
}

async function ask(input: string = get(), options: HttpServerOptions = {}, pair: MemoryPairOptions = {}): Promise<Asked> {
  const rig = new ServerRig(options);
  const client = rig.connect(pair);
  await client.send(input);
  return { rig, client, exchange: rig.last.exchange };
}

describe('isConnectionReusable over HTTP/1', () => {
  it('is true for the handler that hears of the end in order, and false before', async () => {
    const rig = new ServerRig();
    const seen: boolean[] = [];
    rig.react = { onExchangeClose: () => seen.push(rig.last.exchange.isConnectionReusable) };
    const client = rig.connect();
    await client.send(get());
    assert.equal(rig.last.exchange.isConnectionReusable, false);
    echoTarget(rig.last.exchange);
    assert.deepEqual(seen, [true]);
    await client.end();
    assert.equal(rig.last.exchange.isConnectionReusable, false);
  });

  it('is true while a short rest of the request is still to be dropped', async () => {
    const { exchange } = await ask(post(3, 'a'));
    echoTarget(exchange);
    assert.equal(exchange.isConnectionReusable, true);
  });

  it('is false when the answer was the last: by its head, by the client, by a body without a length to HTTP/1.0, by the number of requests', async () => {
    for (const [input, fields, options] of [
      [get(), { Connection: 'close' }, {}],
      ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {}, {}],
      ['GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n', {}, {}],
      [get(), {}, { connection: { maxRequests: 1 } }],
    ] as const) {
      const { exchange } = await ask(input, options);
      exchange.sendHead(response(200, fields), BodyLength.chunked);
      exchange.sendEnd();
      assert.equal(exchange.isClosed, true);
      assert.equal(exchange.isConnectionReusable, false);
    }
  });

  it('is false after a failure, behind a tunnel, and when the client has ended its side', async () => {
    const failed = await ask();
    failed.exchange.abort(internalError('TEST', '', { wire: { status: 500 } }));
    assert.equal(failed.exchange.isConnectionReusable, false);
    const tunnel = await ask('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
    tunnel.exchange.openTunnel(response(200));
    tunnel.exchange.closeTunnel(null);
    assert.deepEqual(tunnel.rig.last.closes, [null]);
    assert.equal(tunnel.exchange.isConnectionReusable, false);
    const ended = await ask();
    ended.exchange.sendHead(response(200), 0);
    await ended.client.end();
    ended.exchange.sendEnd();
    assert.equal(ended.exchange.isConnectionReusable, false);
  });

  it('is true for the first of two that a client has sent before its end, and false for the second', async () => {
    const rig = new ServerRig();
    const seen: boolean[] = [];
    rig.react = { onExchangeClose: () => seen.push(rig.last.exchange.isConnectionReusable) };
    const client = rig.connect();
    await client.send(get('/1') + get('/2'));
    await client.end();
    for (let turn = 0; turn < 2; turn++) echoTarget(rig.last.exchange);
    assert.deepEqual(seen, [true, false]);
  });
});

describe('writePendingMs over HTTP/1', () => {
  it('adds up the times from a full stream to its drain, and counts the one that runs', async () => {
    const { rig, client, exchange } = await ask(get(), {}, { highWaterBytes: 10 });
    client.stream.pause();
    exchange.sendHead(response(200), BodyLength.chunked);
    assert.equal(exchange.writePendingMs, 0);
    await settle();
    await rig.advance(300);
    assert.equal(exchange.writePendingMs, 300);
    client.stream.resume();
    await settle();
    assert.equal(rig.last.heard.at(-1), 'drain');
    await rig.advance(1_000);
    assert.equal(exchange.writePendingMs, 300);
    client.stream.pause();
    exchange.sendData(new Uint8Array(20_000));
    await rig.advance(50);
    assert.equal(exchange.writePendingMs, 350);
    exchange.sendEnd();
    await rig.advance(500);
    assert.equal(exchange.writePendingMs, 350);
  });

  it('is 0 for a client that takes all', async () => {
    const { rig, exchange } = await ask();
    echoTarget(exchange);
    await rig.advance(100);
    assert.equal(exchange.writePendingMs, 0);
  });
});

describe('keepAlive over HTTP/1', () => {
  it('false makes the answer the last one (RFC 9112 §9.6)', async () => {
    const { client, exchange } = await ask();
    exchange.adjust({ keepAlive: false });
    echoTarget(exchange);
    assert.equal(exchange.isConnectionReusable, false);
    await settle();
    assert.match(client.received, /\r\nConnection: close\r\n[^]*\/$/);
    assert.equal(client.sink.hasEnded, true);
  });

  it('false behind the head closes all the same, without the word', async () => {
    const { client, exchange } = await ask();
    exchange.sendHead(response(200), 2);
    exchange.adjust({ keepAlive: false });
    exchange.sendData(bytes('ok'));
    exchange.sendEnd();
    await settle();
    assert.doesNotMatch(client.received, /Connection/);
    assert.equal(client.sink.hasEnded, true);
  });

  it('true takes back false, and nothing else that closes', async () => {
    for (const [input, options, isKept] of [
      [get(), {}, true],
      ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {}, false],
      [get(), { connection: { maxRequests: 1 } }, false],
    ] as const) {
      const { client, exchange } = await ask(input, options);
      exchange.adjust({ keepAlive: false });
      exchange.adjust({ keepAlive: true });
      echoTarget(exchange);
      await settle();
      assert.equal(client.sink.hasEnded, !isKept);
    }
  });

  it('is forgotten with the exchange: nothing is carried over to the next', async () => {
    const { rig, client, exchange } = await ask();
    exchange.adjust({ keepAlive: false });
    exchange.adjust({ keepAlive: true, dropInterim: true });
    echoTarget(exchange);
    await client.send(get('/2'));
    rig.last.exchange.sendInterim(response(103));
    echoTarget(rig.last.exchange);
    await settle();
    assert.match(client.received, /HTTP\/1\.1 103 /);
    assert.equal(client.sink.hasEnded, false);
  });
});

describe('idleTimeoutMs over HTTP/1', () => {
  it('holds behind the exchange, and behind later ones, until it is changed', async () => {
    const { rig, client, exchange } = await ask();
    rig.onRequest = echoTarget;
    exchange.adjust({ idleTimeoutMs: 100_000 });
    echoTarget(exchange);
    await rig.advance(99_000);
    await client.send(get('/2'));
    await rig.advance(99_000);
    assert.equal(client.sink.hasEnded, false);
    rig.onRequest = (next) => {
      next.adjust({ idleTimeoutMs: 500 });
      echoTarget(next);
    };
    await client.send(get('/3'));
    await rig.advance(490);
    assert.equal(client.sink.hasEnded, false);
    await rig.advance(20);
    assert.equal(client.sink.hasEnded, true);
  });

  it('leaves the time of a head alone', async () => {
    const { rig, client, exchange } = await ask(get(), { connection: { headTimeoutMs: 1_000 } });
    exchange.adjust({ idleTimeoutMs: 5 });
    echoTarget(exchange);
    await client.send('GET /slow');
    await rig.advance(900);
    assert.equal(client.sink.hasEnded, false);
    await rig.advance(200);
    assert.match(client.received, /HTTP\/1\.1 408 /);
  });

  it('Infinity keeps the connection for ever, but not from a server that drains', async () => {
    const { rig, client, exchange } = await ask();
    exchange.adjust({ idleTimeoutMs: Number.POSITIVE_INFINITY });
    echoTarget(exchange);
    await rig.advance(1e9);
    assert.equal(client.sink.hasEnded, false);
    const drained = rig.server.drain(10_000);
    await rig.advance(3_100);
    assert.equal(client.sink.hasEnded, true);
    await client.end();
    assert.equal(await drained, 0);
  });
});

describe('bodyTimeoutMs over HTTP/1', () => {
  it('is the silence that the client may keep, from now on', async () => {
    const { rig, client, exchange } = await ask(post(9, 'a'));
    exchange.adjust({ bodyTimeoutMs: 200 });
    await rig.advance(190);
    await client.send('b');
    await rig.advance(190);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(20);
    assert.equal(rig.last.closes[0]?.reason, 'H1_BODY_TIMEOUT');
    assert.match(client.received, /HTTP\/1\.1 408 /);
  });

  it('may be longer than the option', async () => {
    const { rig, client, exchange } = await ask(post(2, 'a'), { connection: { bodyTimeoutMs: 100, minBodyBytesPerSecond: 0 } });
    exchange.adjust({ bodyTimeoutMs: 50_000 });
    await rig.advance(49_000);
    await client.send('b');
    assert.deepEqual(rig.last.heard, ['data a', 'data b', 'end']);
  });

  it('does not run while nobody wants the body', async () => {
    const { rig, exchange } = await ask(post(9, 'a'));
    exchange.adjust({ bodyTimeoutMs: 200 });
    exchange.pauseRequest();
    await rig.advance(5_000);
    assert.equal(rig.last.closes.length, 0);
  });

  it('is the option again for the next request', async () => {
    const { rig, client, exchange } = await ask();
    exchange.adjust({ bodyTimeoutMs: 200 });
    echoTarget(exchange);
    await client.send(post(2, 'a'));
    await rig.advance(5_000);
    assert.equal(rig.last.closes.length, 0);
  });
});

describe('writeTimeoutMs over HTTP/1', () => {
  it('is how long a client that takes nothing holds the response (parity: S13)', async () => {
    const { rig, client, exchange } = await ask();
    client.stream.pause();
    exchange.adjust({ writeTimeoutMs: 1_000 });
    exchange.sendHead(response(200), 1_000_000);
    exchange.sendData(new Uint8Array(200_000));
    await rig.advance(980);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(40);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    rig.assertEmpty();
  });

  it('may be changed while the client is slow, to more and to less', async () => {
    for (const [settings, isCutBy] of [
      [{ writeTimeoutMs: 90_000 }, 90_000],
      [{ writeTimeoutMs: 5_000 }, 5_000],
    ] as const) {
      const { rig, client, exchange } = await ask();
      client.stream.pause();
      exchange.sendHead(response(200), 1_000_000);
      exchange.sendData(new Uint8Array(200_000));
      await rig.advance(1_000);
      exchange.adjust(settings);
      await rig.advance(isCutBy - 1_020);
      assert.equal(rig.last.closes.length, 0);
      await rig.advance(40);
      assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    }
  });

  it('holds for the last bytes of the response too, when the exchange is over and the connection lingers', async () => {
    const { rig, client, exchange } = await ask(get(), { writeTimeoutMs: 1e6 });
    client.stream.pause();
    exchange.adjust({ writeTimeoutMs: 4_000, keepAlive: false });
    respond(exchange, 200, { body: new Uint8Array(200_000) });
    await rig.advance(3_000);
    assert.equal(rig.server.connectionCount, 1);
    await rig.advance(4_000);
    rig.assertEmpty();
  });
});

describe('minSendBytesPerSecond over HTTP/1', () => {
  it('gives what waits as long as it takes at that rate, whatever writeTimeoutMs says (parity: S14)', async () => {
    const { rig, client, exchange } = await ask();
    client.stream.pause();
    exchange.adjust({ writeTimeoutMs: 1_000, minSendBytesPerSecond: 10_000 });
    exchange.sendHead(response(200), 4_194_304);
    exchange.sendData(new Uint8Array(4_194_304));
    await rig.advance(400_000);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(30_000);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
  });

  it('gives a second at least', async () => {
    const { rig, client, exchange } = await ask(get(), {}, { highWaterBytes: 1 });
    client.stream.pause();
    exchange.adjust({ minSendBytesPerSecond: 1_000_000 });
    exchange.sendHead(response(200), 5);
    await rig.advance(980);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(40);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
  });

  it('cuts a client that takes some, but less than the rate', async () => {
    const { rig, client, exchange } = await ask(get(), {}, { highWaterBytes: 100_000, hardLimitBytes: 4_000_000 });
    exchange.adjust({ minSendBytesPerSecond: 100_000 });
    exchange.sendHead(response(200), 1_000_000);
    client.stream.pause();
    for (let piece = 0; piece < 20; piece++) exchange.sendData(new Uint8Array(20_000));
    await rig.advance(500);
    client.stream.resume();
    client.stream.pause();
    await rig.advance(20_000);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
  });

  it('0 is no such rule: writeTimeoutMs holds', async () => {
    const { rig, client, exchange } = await ask();
    client.stream.pause();
    exchange.adjust({ minSendBytesPerSecond: 10 });
    exchange.adjust({ minSendBytesPerSecond: 0 });
    exchange.sendHead(response(200), 200_000);
    exchange.sendData(new Uint8Array(200_000));
    await rig.advance(29_900);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(200);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
  });
});

describe('the rest of a request behind its response over HTTP/1', () => {
  it('is dropped up to maxDrainBytes, and the connection lives on (parity: S2)', async () => {
    const { rig, client, exchange } = await ask(post(1_000_000, 'a'));
    rig.onRequest = echoTarget;
    exchange.adjust({ maxDrainBytes: 1_000_000 });
    echoTarget(exchange);
    await settle();
    assert.doesNotMatch(client.received, /close/);
    for (let piece = 0; piece < 9; piece++) await client.send('b'.repeat(111_111));
    await client.send(get('/next'));
    assert.match(client.received, /\/next$/);
    assert.equal(client.sink.hasEnded, false);
  });

  it('closes the connection if it is more, and the answer says so', async () => {
    const { client, exchange } = await ask(post(100, 'a'));
    exchange.adjust({ maxDrainBytes: 98 });
    echoTarget(exchange);
    await settle();
    assert.match(client.received, /\r\nConnection: close\r\n/);
    assert.equal(client.sink.hasEnded, true);
  });

  it('closes it if nobody knows how much it is, whatever maxDrainBytes says', async () => {
    const { client, exchange } = await ask(chunkedPost);
    exchange.adjust({ maxDrainBytes: Number.POSITIVE_INFINITY });
    echoTarget(exchange);
    await settle();
    assert.match(client.received, /\r\nConnection: close\r\n/);
  });

  it('is awaited for drainTimeoutMs, and then the connection is closed', async () => {
    const { rig, client, exchange } = await ask(post(100, 'a'));
    exchange.adjust({ drainTimeoutMs: 700 });
    echoTarget(exchange);
    for (let turn = 0; turn < 6; turn++) {
      await rig.advance(110);
      await client.send('b');
    }
    assert.equal(client.sink.hasEnded, false);
    await rig.advance(60);
    assert.equal(client.sink.hasEnded, true);
    assert.deepEqual(rig.last.closes, [null]);
    await rig.advance(5_000);
    rig.assertEmpty();
  });

  it('that comes in time leaves the connection as it was, however long it is idle then', async () => {
    const { rig, client, exchange } = await ask(post(3, 'a'));
    rig.onRequest = echoTarget;
    exchange.adjust({ drainTimeoutMs: 700 });
    echoTarget(exchange);
    await client.send('bc');
    await rig.advance(10_000);
    await client.send(get('/next'));
    assert.match(client.received, /\/next$/);
  });

  it('is not read at all with closeOnEarlyResponse, and the answer says so (parity: S6)', async () => {
    const { rig, client, exchange } = await ask(post(15_000_000, 'a'));
    exchange.adjust({ closeOnEarlyResponse: true, maxDrainBytes: 20_000_000 });
    respond(exchange, 200, { body: 'hello world' });
    await settle();
    assert.match(client.received, /\r\nConnection: close\r\n[^]*hello world$/);
    assert.equal(client.sink.hasEnded, true);
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('is no matter for closeOnEarlyResponse when the request came first', async () => {
    const { client, exchange } = await ask(post(3, 'abc'));
    exchange.adjust({ closeOnEarlyResponse: true });
    echoTarget(exchange);
    await settle();
    assert.doesNotMatch(client.received, /close/);
    assert.equal(client.sink.hasEnded, false);
  });

  it('is no matter for closeOnEarlyResponse when the request has no body, however soon the answer comes', async () => {
    for (const input of [get(), post(0)]) {
      const rig = new ServerRig();
      const client = rig.connect();
      rig.onRequest = (exchange) => {
        exchange.adjust({ closeOnEarlyResponse: true });
        echoTarget(exchange);
      };
      await client.send(input + get('/next'));
      assert.doesNotMatch(client.received, /close/, input);
      assert.match(client.received, /\/next$/);
      assert.equal(client.sink.hasEnded, false);
    }
  });

  it('is not read either if closeOnEarlyResponse comes behind the head', async () => {
    const { client, exchange } = await ask(post(3, 'a'));
    exchange.sendHead(response(200), 0);
    exchange.adjust({ closeOnEarlyResponse: true });
    exchange.sendEnd();
    await settle();
    assert.equal(client.sink.hasEnded, true);
  });
});

describe('abortOnHalfClose over HTTP/1', () => {
  it('false serves a client that has ended its side, however long that takes', async () => {
    const { rig, client, exchange } = await ask();
    exchange.adjust({ abortOnHalfClose: false });
    await client.end();
    await rig.advance(1e7);
    echoTarget(exchange);
    await settle();
    assert.match(client.received, /\/$/);
    assert.deepEqual(rig.last.closes, [null]);
    rig.assertEmpty();
  });

  it('true leaves a client alone that still has bytes to take', async () => {
    const { rig, client, exchange } = await ask(get(), {}, { highWaterBytes: 10 });
    client.stream.pause();
    exchange.adjust({ abortOnHalfClose: true });
    exchange.sendHead(response(200), 3);
    client.stream.end();
    await rig.advance(20_000);
    assert.equal(rig.last.closes.length, 0);
    client.stream.resume();
    await settle();
    exchange.sendData(bytes('abc'));
    exchange.sendEnd();
    await settle();
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('begins its grace when the application has read the request (parity: #170)', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => exchange.pauseRequest();
    const client = rig.connect();
    client.stream.write(bytes(post(3, 'abc')));
    client.stream.end();
    await rig.advance(20_000);
    assert.equal(rig.last.closes.length, 0);
    rig.last.exchange.resumeRequest();
    await settle();
    assert.deepEqual(rig.last.heard, ['data abc', 'end']);
    await rig.advance(1_990);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(20);
    assert.equal(rig.last.closes[0]?.reason, 'CLIENT_CLOSED');
  });
});
