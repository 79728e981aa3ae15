/** One exchange of a shared connection may be too large, too early or broken: it alone pays for that, and its neighbours go on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ioError } from '@ferrata/error';
import { HeaderMap, HttpVersion, responseHead } from '@ferrata/headers';
import { respond, type ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { SettingId } from '@ferrata/http2-framing';
import { memoryPair } from '@ferrata/stream';
import { connectFrames, FramePeer, Http2ClientRig } from './http2-rig.ts';
import { ClientFollower, request, ServerRig, settle } from './rig.ts';

/** Longer by Huffman coding than as it is. */
const dense = (length: number): string => '{|}~'.repeat(Math.ceil(length / 4)).slice(0, length);

function bug(): never {
  throw new Error('bug');
}

describe('a head over the limits (RFC 9113 §6.5.2, §10.5.1)', () => {
  for (const length of [33_000, 60_000, 120_000]) {
    it(`of a request, ${length} bytes: 431, and its neighbour is answered`, async () => {
      const rig = new ServerRig();
      const peer = await connectFrames(rig).hello();
      await peer.get(1, '/neighbour');
      await peer.get(3, '/', { 'x-big': dense(length) });
      assert.equal(peer.status(3), '431');
      assert.equal(rig.refusals[0]?.error.reason, 'H2_HEADERS_TOO_LARGE');
      respond(rig.last.exchange, 200, { body: 'ok' });
      await settle();
      assert.equal(peer.status(1), '200');
      assert.equal(
        peer.log.some((frame) => frame.startsWith('GOAWAY')),
        false,
      );
    });

    it(`of a response, ${length} bytes: 502 to who asked for it, and its neighbour has its answer`, async () => {
      const rig = await new Http2ClientRig().hello();
      const [large, neighbour] = [new ClientFollower(), new ClientFollower()];
      rig.ask(large);
      rig.ask(neighbour);
      await settle();
      await rig.server.headers(1, { ':status': '200', 'x-big': dense(length) });
      const [error] = large.closes;
      assert.deepEqual([error?.reason, error?.status, error?.retry, error?.source], ['H2_HEADERS_TOO_LARGE', 502, 'never', 'upstream']);
      await rig.server.headers(3, { ':status': '204' });
      assert.deepEqual(neighbour.closes, [null]);
      assert.equal(rig.session.isReusable, true);
    });
  }

  it('of a request, beyond what a block may measure: the connection ends, those that run are told, and it is told itself', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello();
    await peer.get(1, '/neighbour');
    await peer.get(3, '/', { 'x-big': dense(140_000) });
    assert.match(peer.log.at(-1) ?? '', /^GOAWAY /);
    assert.equal(rig.last.closes.length, 1);
    assert.equal(rig.refusals.length, 1);
    assert.equal(rig.refusals[0]?.error, rig.last.closes[0]);
  });
});

describe('a head larger than the peer says that it takes (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113 §6.5.2)', () => {
  const small: readonly (readonly [number, number])[] = [[SettingId.maxHeaderListSize, 1_024]];

  it('of a request: refused before anything is said of it', async () => {
    const rig = await new Http2ClientRig().hello(small);
    const large = request('GET', '/');
    large.headers.append('X-Big', dense(900));
    const thrown = assertThrown(() => rig.session.request(large, { bodyLength: 0, upgrade: null }, new ClientFollower()));
    assert.deepEqual([thrown['reason'], thrown['status'], thrown['retry']], ['H2_PEER_HEADER_LIST', 431, 'never']);
    assert.deepEqual([rig.session.requestCount, rig.session.openStreamCount], [0, 0]);
    const follower = new ClientFollower();
    rig.ask(follower);
    await settle();
    await rig.server.headers(1, { ':status': '204' });
    assert.deepEqual(follower.closes, [null]);
  });

  it('of a response: 502 instead, and its neighbour is answered; an interim one is left out', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello(small);
    await peer.get(1);
    await peer.get(3);
    const [first, second] = rig.followers;
    const headers = { 'X-Big': dense(1_000) };
    first?.exchange.sendInterim(responseHead(103, { headers: HeaderMap.from(headers) }));
    respond(first?.exchange as ServerExchange, 200, { headers: HeaderMap.from(headers) });
    respond(second?.exchange as ServerExchange, 200, { body: 'ok' });
    await settle();
    assert.deepEqual(
      peer.heard(1).heads.map((fields) => fields[':status']),
      ['502'],
    );
    assert.equal(first?.closes[0]?.reason, 'H2_PEER_HEADER_LIST');
    assert.equal(peer.status(3), '200');
  });
});

function assertThrown(call: () => unknown): Record<string, unknown> {
  try {
    call();
  } catch (thrown) {
    return thrown as Record<string, unknown>;
  }
  assert.fail('it did not throw');
}

describe('an answer that is whole before its request (RFC 9113 §8.1)', () => {
  it('frees the stream, also when the request was said to its end and waits for window', async () => {
    const rig = await new Http2ClientRig().hello([
      [SettingId.initialWindowSize, 1_000],
      [SettingId.maxConcurrentStreams, 1],
    ]);
    const follower = new ClientFollower();
    rig.server.givesCredit = false;
    const exchange = rig.ask(follower, { method: 'POST', bodyLength: 3_000 });
    exchange.sendData(new Uint8Array(3_000));
    exchange.sendEnd();
    await settle();
    assert.equal(rig.server.heard(1).body, 1_000);
    await rig.server.headers(1, { ':status': '413' });
    assert.deepEqual(follower.closes, [null]);
    assert.equal(rig.server.heard(1).reset, 'NO_ERROR');
    assert.equal(rig.session.availableStreams, 1);
  });

  it('ends by itself where only an empty end was left to say', async () => {
    const rig = await new Http2ClientRig().hello();
    const follower = new ClientFollower();
    const exchange = rig.ask(follower, { method: 'POST', bodyLength: BodyLength.chunked });
    exchange.sendData(new Uint8Array(10));
    exchange.sendEnd();
    await settle();
    await rig.server.headers(1, { ':status': '204' });
    assert.equal(rig.server.heard(1).reset, null);
    assert.deepEqual(follower.closes, [null]);
  });
});

describe('what throws at the end of a turn', () => {
  it('cuts the client session, which tells its exchanges, and nothing else', async () => {
    const rig = await new Http2ClientRig().hello();
    const follower = new ClientFollower();
    Object.assign(rig.stream, { write: bug, writev: bug });
    rig.ask(follower);
    await settle();
    assert.deepEqual([follower.closes[0]?.type, follower.closes[0]?.reason], ['internal', 'FLUSH_THREW']);
    assert.deepEqual(rig.told, ['close FLUSH_THREW']);
    assert.equal(rig.stream.state, 'closed');
    assert.equal(rig.armed, 0);
  });

  it('cuts the server session, which tells its exchanges, and nothing else', async () => {
    const rig = new ServerRig();
    const { a, b } = memoryPair({ clock: rig.clock });
    rig.server.accept(b);
    const peer = await new FramePeer(a).hello();
    const neighbour = await connectFrames(rig).hello();
    await peer.get(1);
    const { exchange } = rig.last;
    await neighbour.get(1);
    Object.assign(b, { write: bug, writev: bug });
    exchange.sendHead(responseHead(200), BodyLength.chunked);
    await settle();
    assert.equal(rig.followers[0]?.closes[0]?.reason, 'FLUSH_THREW');
    assert.equal(peer.isClosed, true);
    assert.equal(rig.server.connectionCount, 1);
    respond(rig.last.exchange, 204);
    await settle();
    assert.equal(neighbour.status(1), '204');
  });
});

describe('a bug of this program within a call of the application', () => {
  it('ends the connection, and is nobody else’s fault', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello();
    await peer.get(1);
    rig.onRequest = bug;
    // The answer to what the application threw has a Date.
    Object.assign(rig.environment, { date: bug });
    await peer.get(3);
    const [neighbour] = rig.followers;
    assert.deepEqual(
      neighbour?.closes.map((error) => [error?.type, error?.source]),
      [['internal', 'internal']],
    );
    assert.equal(peer.hasEnded, true);
  });
});

describe('a head without a reason, as HTTP/2 has them', () => {
  it('gets the usual phrase on its way to HTTP/1, interim ones too (RFC 9112 §4)', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const { exchange } = rig.last;
    exchange.sendInterim(responseHead(103, { reason: '', version: HttpVersion.http2 }));
    exchange.sendHead(responseHead(404, { reason: '', version: HttpVersion.http2 }), 0);
    exchange.sendEnd();
    await settle();
    assert.match(client.received, /^HTTP\/1\.1 103 Early Hints\r\n[^]*HTTP\/1\.1 404 Not Found\r\n/);
  });
});

describe('an HTTP/2 client session', () => {
  it('knows its server’s SETTINGS once they have come', async () => {
    const rig = new Http2ClientRig();
    await settle();
    assert.equal(rig.session.hasPeerSettings, false);
    const exchange = rig.ask(new ClientFollower());
    await settle();
    exchange.cancel(ioError('CLIENT_GONE', 'it has gone'));
    await settle();
    assert.equal(rig.session.hasPeerSettings, false);
    await rig.hello();
    assert.equal(rig.session.hasPeerSettings, true);
  });
});
