/** The server's session: one terminal state an exchange, bytes that are never read as another request, time, ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, ioError } from '@ferrata/error';
import { respond, type ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { RecordingSink } from '@ferrata/testkit';
import { bytes, echoTarget, get, response, ServerRig, settle, text } from './rig.ts';

const post = (body: string, fields = ''): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;

function bug(): never {
  throw new Error('bug');
}

describe('a server session', () => {
  it('answers, with a Date, and is idle again', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => respond(exchange, 200, { body: 'hi' });
    const client = rig.connect();
    const received = await client.send(get());
    assert.match(
      received,
      /^HTTP\/1\.1 200 OK\r\nDate: .* GMT\r\nContent-Type: text\/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi$/,
    );
    assert.deepEqual(rig.last.heard, ['close']);
    const { exchange } = rig.last;
    assert.equal(exchange.status, 200);
    assert.equal(exchange.responseBytes, 2);
    assert.equal(exchange.isClosed, true);
    assert.equal(exchange.info, client.serverEnd.info);
    assert.equal(rig.server.connectionCount, 1);
    assert.equal((await client.send(get())).match(/200 OK/g)?.length, 2);
  });

  it('answers pipelined requests in order, in one write', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const client = rig.connect();
    const received = await client.send(Array.from({ length: 100 }, (_, at) => get(`/${at}`)).join(''));
    assert.deepEqual(
      received.match(/(?<=\n)\/\d+/g),
      Array.from({ length: 100 }, (_, at) => `/${at}`),
    );
    assert.equal(client.sink.chunks().length, 1);
    assert.equal(
      rig.followers.every(({ closes }) => closes.length === 1 && closes[0] === null),
      true,
    );
  });

  it('reads no further ahead than maxLookAheadBytes, and goes on after the answer', async () => {
    const rig = new ServerRig({ maxLookAheadBytes: 100 });
    const client = rig.connect();
    await client.send(get('/1'));
    await client.send(get('/2').repeat(10));
    await client.send(get('/3'));
    assert.equal(rig.followers.length, 1);
    assert.equal(client.stream.bufferedBytes, get('/3').length);
    rig.onRequest = echoTarget;
    echoTarget(rig.last.exchange);
    await settle();
    assert.equal(rig.followers.length, 12);
    assert.equal(client.stream.bufferedBytes, 0);
  });

  for (const isPipelined of [false, true]) {
    it(`reads a head up to its limit in however many pieces${isPipelined ? ', behind another request' : ''}`, async () => {
      const head = `GET /long HTTP/1.1\r\nHost: a\r\n${`X-Pad: ${'p'.repeat(8_000)}\r\n`.repeat(4)}\r\n`;
      for (let cut = 1_024; cut < head.length; cut += 1_024) {
        const rig = new ServerRig();
        const client = rig.connect();
        if (isPipelined) await client.send(get('/first'));
        await client.send(head.slice(0, cut));
        if (isPipelined) echoTarget(rig.last.exchange);
        await settle();
        rig.onRequest = echoTarget;
        const received = await client.send(head.slice(cut));
        assert.match(received, /\n\/long/, `cut at ${cut}`);
      }
    });
  }

  it('stops reading after so many chunks of the next requests, however small they are', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get('/1'));
    for (const byte of get('/2').repeat(20)) await client.send(byte);
    assert.ok(client.stream.bufferedBytes > get('/2').length * 20 - 70, 'most of it waits outside');
    rig.onRequest = echoTarget;
    echoTarget(rig.last.exchange);
    await settle();
    assert.equal(rig.followers.length, 21);
    assert.equal(client.stream.bufferedBytes, 0);
  });

  for (const isPipelined of [false, true]) {
    it(`reads a request to its end in however many pieces its trailers come${isPipelined ? ', behind another request' : ''}`, async () => {
      const trailers = `X-Sum: ${'s'.repeat(100)}\r\n`;
      for (const options of [{ maxLookAheadChunks: 64 }, { maxLookAheadBytes: 64 }]) {
        const rig = new ServerRig(options);
        const client = rig.connect();
        if (isPipelined) await client.send(get('/first'));
        const input = `POST /long HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers}\r\n`;
        for (const byte of input.slice(0, 64)) await client.send(byte);
        if (isPipelined) echoTarget(rig.last.exchange);
        for (const byte of input.slice(64)) await client.send(byte);
        await rig.advance(11_000);
        assert.deepEqual(rig.last.heard, ['data a', 'end']);
        assert.equal(client.stream.bufferedBytes, 0);
      }
    });
  }

  it('begins no request for a client that does not read its answers', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => respond(exchange, 200, { body: new Uint8Array(30_000) });
    const client = rig.connect();
    client.stream.pause();
    await client.send(get().repeat(100));
    assert.equal(rig.followers.length, 3);
    await rig.advance(20_000);
    client.stream.resume();
    await settle();
    await settle();
    for (let turn = 0; turn < 50; turn++) await settle();
    assert.equal(rig.followers.length, 100);
    assert.equal(client.received.match(/HTTP\/1\.1 200/g)?.length, 100);
  });

  it('pauses and resumes a body, from inside and outside of its handler', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    rig.react = { onRequestData: () => rig.last.exchange.pauseRequest() };
    await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n');
    assert.deepEqual(rig.last.heard, ['data a']);
    await rig.advance(1_000_000);
    rig.last.exchange.pauseRequest();
    rig.last.exchange.resumeRequest();
    assert.deepEqual(rig.last.heard, ['data a', 'data b']);
    rig.last.exchange.resumeRequest();
    rig.last.exchange.resumeRequest();
    assert.deepEqual(rig.last.heard, ['data a', 'data b', 'end']);
    rig.last.exchange.pauseRequest();
    respond(rig.last.exchange, 200);
    rig.react = {
      onRequestData: () => {
        rig.last.exchange.pauseRequest();
        rig.last.exchange.resumeRequest();
      },
    };
    await client.send(post('c'));
    assert.deepEqual(rig.last.heard, ['data c', 'end']);
    assert.equal(rig.last.exchange.requestBytes, 1);
  });

  it('drops the rest of a paused body when the answer is complete', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    rig.onRequest = (exchange) => exchange.pauseRequest();
    await client.send(post('abc'));
    rig.onRequest = echoTarget;
    respond(rig.last.exchange, 200);
    await client.send(get('/next'));
    assert.deepEqual(rig.followers[0]?.heard, ['close']);
    assert.match(client.received, /\/next$/);
  });

  it('tells of back-pressure and of its end', async () => {
    const rig = new ServerRig();
    const client = rig.connect({ highWaterBytes: 20_000 });
    client.stream.pause();
    await client.send(get());
    const { exchange } = rig.last;
    exchange.sendHead(response(200), BodyLength.chunked);
    assert.equal(exchange.sendData(new Uint8Array(1_000)), true);
    assert.equal(exchange.sendData(new Uint8Array(30_000)), false);
    client.stream.resume();
    await settle();
    assert.deepEqual(rig.last.heard, ['end', 'drain']);
    exchange.sendEnd();
    assert.equal(exchange.sendData(bytes('x')), false);
    assert.equal(exchange.responseBytes, 31_000);
  });

  it('counts no bytes for an answer to HEAD', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const received = await rig.connect().send('HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(received, /\r\nContent-Length: 4\r\n\r\n$/);
    assert.equal(rig.last.exchange.responseBytes, 0);
  });

  it('sends interim responses at once, 100 (Continue) too', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
    assert.equal(rig.last.exchange.expectsContinue, true);
    rig.last.exchange.sendInterim(response(100));
    await settle();
    assert.equal(client.received, 'HTTP/1.1 100 Continue\r\n\r\n');
    await client.send('abc');
    respond(rig.last.exchange, 200);
    rig.last.exchange.sendInterim(response(100));
    assert.deepEqual(rig.last.heard, ['data abc', 'end', 'close']);
  });
});

describe('the end of a server exchange', () => {
  for (const name of ['onRequestData', 'onRequestEnd'] as const) {
    it(`comes with a 500 when ${name} throws`, async () => {
      const rig = new ServerRig();
      rig.react = { [name]: bug };
      const client = rig.connect();
      assert.match(await client.send(post('abc') + get()), /^HTTP\/1\.1 500 [^]*500 Internal Server Error\n$/);
      assert.equal(rig.followers.length, 1);
      assert.equal(rig.last.closes.length, 1);
      assert.equal(rig.last.closes[0]?.reason, 'HANDLER_THREW');
      assert.equal(client.sink.hasEnded, true);
    });
  }

  it('comes with a 500 when onRequest throws, or returns nothing', async () => {
    for (const onRequest of [bug, () => undefined as unknown as ServerExchangeHandler]) {
      const refusals: number[] = [];
      const rig = new ServerRig({}, { onRequest, onRefused: ({ status }) => refusals.push(status) });
      assert.match(await rig.connect().send(get()), /^HTTP\/1\.1 500/);
      assert.deepEqual(refusals, [500]);
    }
  });

  it('is told to an application that had answered before it returned its handler', async () => {
    const rig = new ServerRig({ connection: { maxRequests: 1 } });
    rig.onRequest = echoTarget;
    const client = rig.connect();
    await client.send(get());
    assert.deepEqual(rig.last.heard, ['close']);
    assert.equal(client.sink.hasEnded, true);
  });

  it('cuts the connection when onExchangeClose throws, and nothing pipelined is begun', async () => {
    const rig = new ServerRig();
    rig.react = { onExchangeClose: bug };
    const client = rig.connect();
    await client.send(get('/1') + get('/2'));
    respond(rig.last.exchange, 200);
    await settle();
    assert.equal(rig.followers.length, 1);
    assert.equal(rig.last.closes.length, 1);
    assert.equal(client.sink.isClosed, true);
    rig.assertEmpty();
  });

  it('cuts the connection when onRefused throws', async () => {
    const rig = new ServerRig({}, { onRequest: bug, onRefused: bug });
    const client = rig.connect();
    await client.send('GET / HTTP/9.9\r\n\r\n');
    assert.equal(client.sink.isClosed, true);
    assert.equal(rig.server.connectionCount, 0);
  });

  it('cuts the message visibly when onResponseDrain throws', async () => {
    const rig = new ServerRig();
    rig.react = { onResponseDrain: bug };
    const client = rig.connect({ highWaterBytes: 100 });
    await client.send(get());
    rig.last.exchange.sendHead(response(200), BodyLength.chunked);
    rig.last.exchange.sendData(new Uint8Array(200));
    await settle();
    assert.equal(rig.last.closes[0]?.reason, 'HANDLER_THREW');
    assert.equal(client.sink.hasEnded, true);
    assert.doesNotMatch(client.received, /0\r\n\r\n$/);
  });

  it('comes with the status of an abort before the answer, and with a cut after it', async () => {
    const rig = new ServerRig();
    const before = rig.connect();
    await before.send(get());
    rig.last.exchange.abort(applicationError('BUSY', '', { wire: { status: 503 } }));
    rig.last.exchange.abort(applicationError('AGAIN', ''));
    await settle();
    assert.match(before.received, /^HTTP\/1\.1 503/);
    assert.equal(rig.last.exchange.status, 503);
    assert.deepEqual(rig.last.heard, ['end', 'close BUSY']);
    const after = rig.connect();
    await after.send(get());
    rig.last.exchange.sendHead(response(200), 10);
    rig.last.exchange.sendData(bytes('half'));
    rig.last.exchange.abort(ioError('LOST', ''));
    await settle();
    assert.match(after.received, /Content-Length: 10\r\n\r\nhalf$/);
    assert.equal(after.sink.hasEnded, true);
  });

  it('resets the connection where an orderly end would look like the end of the body, or nothing is to be said', async () => {
    const rig = new ServerRig();
    const old = rig.connect();
    await old.send('GET / HTTP/1.0\r\n\r\n');
    rig.last.exchange.sendHead(response(200), BodyLength.chunked);
    rig.last.exchange.sendData(bytes('half'));
    rig.last.exchange.abort(ioError('LOST', ''));
    await settle();
    assert.equal(old.sink.hasEnded, false);
    assert.equal(old.sink.closeError?.reason, 'CONNECTION_RESET');
    const silent = rig.connect();
    await silent.send(get());
    rig.last.exchange.abort(ioError('GONE', '', { wire: { status: 0 } }));
    await settle();
    assert.equal(silent.received, '');
    assert.equal(silent.sink.isClosed, true);
  });

  it('comes when the client resets, and with commands that do nothing any more', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(post('abcdef').slice(0, -3));
    client.stream.abort();
    await settle();
    assert.deepEqual(rig.last.heard, ['data abc', 'close CONNECTION_RESET']);
    assert.equal(rig.last.closes[0]?.source, 'downstream');
    const { exchange } = rig.last;
    exchange.sendHead(response(200), 0);
    assert.equal(exchange.sendData(bytes('x')), false);
    exchange.sendEnd();
    exchange.pauseRequest();
    exchange.resumeRequest();
    assert.throws(() => exchange.openTunnel(response(101)), TypeError);
    rig.assertEmpty();
  });
});

describe('a refusal of a server session', () => {
  it('answers what is malformed, tells of it once, and reads nothing after it', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    assert.match(await client.send(`GET / HTTP/1.1\r\n\r\n${get()}`), /^HTTP\/1\.1 400/);
    assert.equal(rig.followers.length, 0);
    assert.equal(rig.refusals.length, 1);
    assert.equal(rig.refusals[0]?.status, 400);
    assert.equal(rig.refusals[0]?.error.source, 'downstream');
  });

  it('inside a body ends the exchange: with a status, or with a cut', async () => {
    const rig = new ServerRig();
    const bad = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n';
    const early = rig.connect();
    assert.match(await early.send(bad), /^HTTP\/1\.1 400/);
    assert.equal(rig.last.closes[0]?.reason, 'H1_CHUNK_SIZE_INVALID');
    assert.equal(rig.last.exchange.status, 400);
    const late = rig.connect();
    rig.onRequest = (exchange) => exchange.sendHead(response(200), 5);
    await late.send(bad);
    assert.equal(late.sink.isClosed, true);
    assert.equal(rig.last.exchange.status, 200);
    assert.equal(rig.last.closes.length, 1);
    assert.equal(rig.refusals.length, 0);
  });

  it('of the rest of a body whose exchange is over is told to nobody', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const client = rig.connect();
    await client.send('POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.send('zz\r\n');
    assert.equal(rig.refusals.length, 0);
    assert.deepEqual(rig.last.closes, [null]);
    assert.equal(client.sink.hasEnded, true);
  });
});

describe('a half-closed client', () => {
  it('still gets the answers to all its requests', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get('/1') + get('/2'));
    await client.end();
    await rig.advance(1_500);
    echoTarget(rig.last.exchange);
    await rig.advance(1_500);
    echoTarget(rig.last.exchange);
    await settle();
    assert.match(client.received, /\/1HTTP[^]*Connection: close\r\n\r\n\/2$/);
    assert.equal(client.sink.isClosed, true);
    rig.assertEmpty();
  });

  it('is taken for gone after halfCloseGraceMs without an answer', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get());
    await client.end();
    await rig.advance(1_990);
    assert.deepEqual(rig.last.heard, ['end']);
    await rig.advance(20);
    assert.deepEqual(rig.last.heard, ['end', 'close CLIENT_CLOSED']);
    assert.equal(rig.last.closes[0]?.status, 0);
    rig.assertEmpty();
  });

  it('gets an answer that has begun to its end, however long it takes', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get());
    rig.last.exchange.sendHead(response(200), 2);
    await client.end();
    await rig.advance(1_000_000);
    rig.last.exchange.sendData(bytes('ok'));
    rig.last.exchange.sendEnd();
    await settle();
    assert.match(client.received, /ok$/);
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('that is idle is closed at once', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.end();
    assert.equal(client.sink.isClosed, true);
    assert.equal(rig.armed, 0);
  });
});

describe('a lingering connection', () => {
  const early = (rig: ServerRig): void => {
    rig.onRequest = (exchange) => respond(exchange, 413, { headers: { Connection: 'close' } });
  };

  it('reads and drops what the client still sends, and ends with the client', async () => {
    const rig = new ServerRig();
    early(rig);
    const client = rig.connect();
    await client.send(post('abc') + get());
    assert.equal(client.sink.hasEnded, true);
    await client.send(get());
    assert.equal(rig.followers.length, 1);
    assert.equal(client.stream.bufferedBytes, 0);
    await client.end();
    rig.assertEmpty();
  });

  it('ends after lingerTimeoutMs, and after maxLingeringBytes', async () => {
    const rig = new ServerRig({ maxLingeringBytes: 10 });
    early(rig);
    const slow = rig.connect();
    await slow.send(get());
    await rig.advance(1_990);
    rig.server.environment.now();
    assert.equal(slow.sink.isClosed, false);
    await rig.advance(20);
    assert.equal(slow.sink.isClosed, true);
    const loud = rig.connect();
    await loud.send(get());
    await loud.send('x'.repeat(11));
    assert.equal(loud.sink.isClosed, true);
    rig.assertEmpty();
  });

  it('does not cut a client that reads the last answer slowly, but one that reads nothing', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => respond(exchange, 200, { headers: { Connection: 'close' }, body: new Uint8Array(10_000) });
    const client = rig.connect();
    client.stream.pause();
    await client.send(get());
    await rig.advance(25_000);
    assert.equal(client.serverEnd.state, 'ended');
    client.stream.resume();
    await settle();
    assert.match(client.received, /\0{10000}$/);
    await rig.advance(4_100);
    assert.equal(rig.server.connectionCount, 0);
    const dead = rig.connect();
    dead.stream.attach(new RecordingSink({ onData: () => dead.stream.pause() }));
    await dead.send(get());
    await rig.advance(31_000);
    assert.equal(rig.server.connectionCount, 1);
    await rig.advance(5_000);
    rig.assertEmpty();
  });
});

describe('a tunnel of a server session', () => {
  const asked = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

  it('hands the connection over with what came beyond the request, and loses nothing until a sink is attached', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(`${asked}one `);
    const tunnel = rig.last.exchange.openTunnel(response(101, { Upgrade: 'websocket' }));
    await client.send('two');
    assert.match(client.received, /^HTTP\/1\.1 101 /);
    assert.equal(rig.last.exchange.status, 101);
    assert.equal(text(tunnel.remaining), 'one ');
    const sink = new RecordingSink();
    tunnel.stream.attach(sink, tunnel.remaining);
    await settle();
    assert.equal(sink.text(), 'one two');
    assert.equal(rig.armed, 0);
    assert.equal(rig.server.connectionCount, 1);
    rig.last.exchange.closeTunnel(null);
    rig.last.exchange.closeTunnel(null);
    await settle();
    assert.deepEqual(rig.last.heard, ['end', 'close']);
    assert.equal(rig.server.connectionCount, 0);
  });

  it('is closed by the server through its stream', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(asked);
    const { exchange } = rig.last;
    const tunnel = exchange.openTunnel(response(101, { Upgrade: 'websocket' }));
    tunnel.stream.attach(new RecordingSink({ onClose: (error) => exchange.closeTunnel(error) }));
    rig.server.close();
    await settle();
    assert.deepEqual(rig.last.heard, ['end', 'close SERVER_CLOSED']);
    assert.equal(rig.server.connectionCount, 0);
  });

  it('that nobody has attached to ends with the client', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(asked);
    rig.last.exchange.openTunnel(response(101, { Upgrade: 'websocket' }));
    client.stream.abort();
    await settle();
    assert.deepEqual(rig.last.heard, ['end', 'close CONNECTION_RESET']);
    assert.equal(rig.server.connectionCount, 0);
  });

  it('is never made by accident', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => respond(exchange, 200, { body: 'no tunnel' });
    assert.match(await rig.connect().send('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'), /^HTTP\/1\.1 500/);
    rig.onRequest = (exchange) => void exchange.openTunnel(response(403));
    assert.match(await rig.connect().send('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'), /^HTTP\/1\.1 500/);
    rig.onRequest = (exchange) => void exchange.openTunnel(response(101));
    assert.match(await rig.connect().send(get()), /^HTTP\/1\.1 500/);
  });
});

describe('time on a server session', () => {
  it('closes a connection without a first byte after 15 s, and an idle one after 60 s, without a word', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const silent = rig.connect();
    const idle = rig.connect();
    await idle.send(get());
    await rig.advance(15_010);
    assert.equal(silent.sink.hasEnded, true);
    assert.equal(silent.received, '');
    assert.equal(idle.sink.hasEnded, false);
    await rig.advance(45_010);
    assert.equal(idle.sink.hasEnded, true);
    await rig.advance(2_010);
    assert.equal(rig.armed, 0);
  });

  it('answers a dripping head with 408 after 10 s', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    for (const byte of 'GET / HTTP/') {
      await client.send(byte);
      await rig.advance(950);
    }
    assert.match(client.received, /^HTTP\/1\.1 408/);
    assert.equal(rig.refusals[0]?.error.reason, 'H1_HEAD_TIMEOUT');
  });

  it('answers a stalled body with 408, and cuts the connection if an answer had begun', async () => {
    const rig = new ServerRig();
    const early = rig.connect();
    await early.send(post('abcdef').slice(0, -3));
    const late = rig.connect();
    await late.send(post('abcdef').slice(0, -3));
    rig.last.exchange.sendHead(response(200), 5);
    await rig.advance(10_010);
    assert.match(early.received, /^HTTP\/1\.1 408/);
    assert.equal(late.sink.isClosed, true);
    assert.deepEqual(
      rig.followers.map(({ closes }) => closes[0]?.reason),
      ['H1_BODY_TOO_SLOW', 'H1_BODY_TOO_SLOW'],
    );
  });

  it('cuts a client that reads nothing for 30 s, not one that reads slowly', async () => {
    const rig = new ServerRig();
    const client = rig.connect({ highWaterBytes: 100_000 });
    // Takes one chunk, then waits to be resumed.
    const sink = new RecordingSink({ onData: () => client.stream.pause() });
    client.stream.attach(sink);
    await client.send(get());
    const { exchange } = rig.last;
    exchange.sendHead(response(200), 200_000);
    for (let piece = 0; piece < 5; piece++) exchange.sendData(new Uint8Array(20_000));
    await rig.advance(29_000);
    client.stream.resume();
    await rig.advance(1_100);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(30_100);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    rig.assertEmpty();
  });

  it('tells a stalled exchange why it ended', async () => {
    const rig = new ServerRig();
    const client = rig.connect({ highWaterBytes: 10 });
    client.stream.pause();
    await client.send(get());
    rig.last.exchange.sendHead(response(200), 100);
    await rig.advance(30_020);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    assert.equal(rig.last.closes[0]?.source, 'downstream');
    assert.equal(rig.armed, 0);
  });

  it('gives a connection of an hour its last answer', async () => {
    const rig = new ServerRig({ connection: { idleTimeoutMs: 1e13 } });
    rig.onRequest = echoTarget;
    const client = rig.connect();
    assert.doesNotMatch(await client.send(get()), /close/);
    await rig.advance(3_600_000);
    assert.match(await client.send(get()), /Connection: close/);
    assert.equal(client.sink.hasEnded, true);
  });
});
