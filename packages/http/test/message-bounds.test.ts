/**
 * Where a message, or HTTP itself, ends on a connection: bodies that are not as long as announced, protocols that begin behind a head, requests
 * that come before they are wanted. Whatever a caller does, and wherever the bytes are cut, nobody takes the rest of one for another.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError } from '@ferrata/error';
import { HeaderMap, HttpVersion, type RequestHead } from '@ferrata/headers';
import { type ClientExchange, respond, type ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { RecordingSink } from '@ferrata/testkit';
import { bytes, ClientFollower, ClientRig, echoTarget, get, response, ServerRig, settle } from './rig.ts';

const host = (): HeaderMap => HeaderMap.from({ Host: 'a:1' });

/** Does what a careless caller does: nothing, about a throw. */
function careless(call: () => unknown): string {
  try {
    call();
    return 'nothing';
  } catch (thrown) {
    return thrown instanceof Error ? thrown.name : 'no error';
  }
}

describe('a body that is not as long as announced (RFC 9110 §8.6)', () => {
  for (const [what, goWrong, sent] of [
    ['longer', (exchange: ServerExchange) => exchange.sendData(bytes('cd')), 'ab'],
    ['shorter', (exchange: ServerExchange) => exchange.sendEnd(), 'ab'],
  ] as const) {
    it(`${what}, of a response: the client sees it cut, and the request behind it gets no answer`, async () => {
      const rig = new ServerRig();
      const client = rig.connect();
      await client.send(get('/1') + get('/2'));
      const { exchange } = rig.last;
      exchange.sendHead(response(200, { Date: 'x' }), 3);
      exchange.sendData(bytes('ab'));
      assert.equal(
        careless(() => goWrong(exchange)),
        'RangeError',
      );
      assert.equal(exchange.isClosed, true);
      assert.equal(exchange.sendData(bytes('c')), false);
      exchange.sendEnd();
      await settle();
      assert.deepEqual(rig.last.heard, ['end', 'close BODY_LENGTH_WRONG']);
      assert.equal(rig.last.closes[0]?.source, 'internal');
      assert.equal(rig.followers.length, 1);
      assert.equal(client.received, `HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 3\r\n\r\n${sent}`);
      assert.equal(client.sink.hasEnded, true);
    });
  }

  it('in a callback of the session, or caught there, ends in the same way', async () => {
    for (const isCaught of [false, true]) {
      const rig = new ServerRig();
      rig.onRequest = (exchange) => {
        exchange.sendHead(response(200), 1);
        if (isCaught) careless(() => exchange.sendEnd());
        else exchange.sendEnd();
      };
      const client = rig.connect();
      await client.send(get('/1') + get('/2'));
      assert.match(client.received, /Content-Length: 1\r\n\r\n$/);
      assert.equal(client.sink.hasEnded, true);
      assert.equal(rig.armed, 1, 'only the end of lingering is waited for');
    }
  });

  for (const [what, goWrong] of [
    ['longer', (exchange: ClientExchange) => exchange.sendData(bytes('cd'))],
    ['shorter', (exchange: ClientExchange) => exchange.sendEnd()],
  ] as const) {
    it(`${what}, of a request: the connection is cut, and takes no other`, async () => {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      const exchange = rig.request(follower, { method: 'POST', bodyLength: 3 });
      exchange.sendData(bytes('ab'));
      await settle();
      assert.equal(
        careless(() => goWrong(exchange)),
        'RangeError',
      );
      assert.equal(exchange.isClosed, true);
      assert.equal(exchange.sendData(bytes('c')), false);
      await settle();
      assert.deepEqual(follower.heard, ['close BODY_LENGTH_WRONG']);
      assert.equal(follower.closes[0]?.retry, 'never');
      assert.deepEqual(rig.told, ['close BODY_LENGTH_WRONG']);
      assert.match(rig.sink.text(), /Content-Length: 3\r\n\r\nab$/);
      assert.equal(rig.sink.isClosed, true);
      assert.equal(rig.armed, 0);
      assert.throws(() => rig.request(new ClientFollower()), TypeError);
    });
  }
});

describe('a switch of protocols hands over exactly what lies behind the head, wherever it is cut (RFC 9110 §7.8, §9.3.6)', () => {
  const raw = 'GET /not-http HTTP/1.1\r\n\r\n\0\x81';

  for (const [name, head, status] of [
    ['101', 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n', 101],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 200],
  ] as const) {
    it(`${name}, by the server`, async () => {
      const input = head + raw;
      // One cut at each byte, and last of all a chunk for each byte.
      for (let at = 1; at <= input.length; at++) {
        const pieces = at === input.length ? input.split('') : [input.slice(0, at), input.slice(at)];
        const sink = new RecordingSink();
        const rig = new ServerRig();
        rig.react = {
          onRequestEnd: () => {
            const tunnel = rig.last.exchange.openTunnel(response(status, status === 101 ? { Upgrade: 'x' } : {}));
            tunnel.stream.attach(sink, tunnel.remaining);
          },
        };
        const client = rig.connect();
        for (const piece of pieces) await client.send(piece);
        assert.equal(sink.text(), raw, `cut at ${at}`);
        assert.equal(rig.followers.length, 1);
        client.stream.abort();
        await settle();
      }
    });
  }

  for (const [name, head, method, upgrade] of [
    ['101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', 'GET', 'x'],
    ['2xx to CONNECT, whatever framing it claims', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 'CONNECT', null],
  ] as const) {
    it(`${name}, to the client`, async () => {
      const input = head + raw;
      for (let at = 1; at <= input.length; at++) {
        const pieces = at === input.length ? input.split('') : [input.slice(0, at), input.slice(at)];
        const rig = new ClientRig();
        const follower = new ClientFollower();
        const sink = new RecordingSink();
        follower.react = { onTunnel: (_head, tunnel) => tunnel.stream.attach(sink, tunnel.remaining) };
        const asked: RequestHead = { method, target: method === 'GET' ? '/' : 'a:1', version: HttpVersion.http11, headers: host() };
        rig.session.request(asked, { bodyLength: 0, upgrade }, follower);
        for (const piece of pieces) await rig.answer(piece);
        assert.equal(sink.text(), raw, `cut at ${at}`);
        assert.deepEqual(follower.heard, [`tunnel ${method === 'GET' ? 101 : 200}`, 'close']);
      }
    });
  }

  it('a CONNECT that is refused ends the connection: what follows was meant for the tunnel (RFC 9931)', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => respond(exchange, 403, { body: 'no' });
    const client = rig.connect();
    const received = await client.send(`CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${get('/smuggled')}`);
    assert.match(received, /^HTTP\/1\.1 403 .*\r\nConnection: close\r\n\r\nno$/s);
    assert.equal(rig.followers.length, 1);
    assert.equal(client.sink.hasEnded, true);
  });
});

describe('pipelined requests', () => {
  it('are stored up to maxLookAheadChunks chunks, and not looked at', async () => {
    const rig = new ServerRig({ maxLookAheadChunks: 3 });
    const client = rig.connect();
    await client.send(get('/1'));
    for (let i = 0; i < 10; i++) await client.send(get('/2'));
    assert.equal(rig.followers.length, 1);
    assert.equal(client.stream.bufferedBytes, get('/2').length * 6, 'four are with the session, six outside');
    rig.onRequest = echoTarget;
    echoTarget(rig.last.exchange);
    await settle();
    assert.equal(rig.followers.length, 11);
  });

  it('that are malformed are no concern of those before them: these are answered first (RFC 9112 §9.3.2)', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(`${get('/1')}${get('/2')}nonsense\r\n\r\n${get('/3')}`);
    assert.equal(rig.refusals.length, 0);
    rig.onRequest = echoTarget;
    echoTarget(rig.last.exchange);
    await settle();
    assert.deepEqual(client.received.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 400']);
    assert.equal(client.sink.hasEnded, true);
  });

  it('behind one that is answered early wait until its body has been read, and that is bounded', async () => {
    for (const [left, isChunked, expected] of [
      [100, false, ['/1', '/2']],
      [101, false, ['/1']],
      [1, true, ['/1']],
    ] as const) {
      const rig = new ServerRig({ connection: { maxDrainBytes: 100 } });
      rig.onRequest = echoTarget;
      const client = rig.connect();
      await client.send(`POST /1 HTTP/1.1\r\nHost: a\r\n${isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${left}`}\r\n\r\n`);
      await client.send((isChunked ? '1\r\nx\r\n0\r\n\r\n' : get('/smuggled').padEnd(left, 'x')) + get('/2'));
      assert.deepEqual(
        rig.followers.map(({ exchange }) => exchange.request.target),
        expected,
      );
      assert.equal(client.sink.hasEnded, expected.length === 1);
      assert.equal(client.received.includes('\r\nConnection: close\r\n'), expected.length === 1, 'the client is told');
    }
  });
});

describe('interim responses', () => {
  it('to HTTP/1.0 are dropped, and a chunked body has neither chunks nor trailers there (RFC 9110 §15.2, RFC 9112 §7.1.2)', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const { exchange } = rig.last;
    exchange.sendInterim(response(103));
    exchange.sendHead(response(200, { Date: 'x' }), BodyLength.chunked);
    exchange.sendData(bytes('ab'));
    exchange.sendEnd(HeaderMap.from({ 'X-Sum': '1' }));
    await settle();
    assert.equal(client.received, 'HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nab');
    assert.equal(client.sink.hasEnded, true);
  });
});

describe('the last answer to a client that is slow to read', () => {
  for (const reads of [true, false]) {
    it(reads ? 'is delivered before our side ends' : 'is given up after writeTimeoutMs', async () => {
      const rig = new ServerRig();
      const client = rig.connect({ highWaterBytes: 100 });
      client.stream.pause();
      await client.send(get());
      const { exchange } = rig.last;
      exchange.sendHead(response(200, { Date: 'x' }), 1_000);
      assert.equal(exchange.sendData(new Uint8Array(900).fill(0x61)), true);
      await settle();
      assert.equal(exchange.sendData(bytes('tail')), false);
      exchange.abort(applicationError('ENOUGH', ''));
      await settle();
      assert.equal(client.sink.isClosed, false);
      if (reads) client.stream.resume();
      else await rig.advance(30_100);
      await settle();
      assert.equal(client.received.endsWith('atail'), reads);
      assert.equal(client.sink.hasEnded, reads);
      if (!reads) assert.equal(client.serverEnd.state, 'closed');
    });
  }
});
