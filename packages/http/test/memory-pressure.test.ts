/** A server that is told that memory runs out: it keeps no connections, then takes no requests, then cuts who holds most. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemoryPressure } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { connectFrames } from './http2-rig.ts';
import { bytes, echoTarget, get, response, ServerRig, settle } from './rig.ts';

const countOf = (text: string, part: string): number => text.split(part).length - 1;

function rigUnder(pressure: MemoryPressure): ServerRig {
  const rig = new ServerRig();
  rig.onRequest = echoTarget;
  rig.server.pressure = pressure;
  return rig;
}

describe('a server under memory pressure, over HTTP/1', () => {
  it('is under none at first, and refuses words that it does not know', () => {
    const { server } = new ServerRig();
    assert.equal(server.pressure, 'none');
    for (const wrong of ['last', '', undefined, 1]) {
      assert.throws(() => (server.pressure = wrong as MemoryPressure), RangeError);
    }
    assert.equal(server.pressure, 'none');
  });

  it('tight: the next answer of a connection is its last, whenever the connection was made', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const kept = rig.connect();
    await kept.send(get('/1'));
    assert.equal(kept.received.includes('Connection: close'), false);
    rig.server.pressure = 'tight';
    assert.equal(kept.stream.state, 'open');
    assert.match(await kept.send(get('/2')), /Connection: close\r\n[^]*\/2$/);
    assert.equal(kept.stream.state, 'peerEnded');
    assert.match(await rig.connect().send(get('/3')), /200 OK[^]*Connection: close\r\n[^]*\/3$/);
    rig.server.pressure = 'none';
    assert.equal((await rig.connect().send(get('/4'))).includes('Connection: close'), false);
  });

  it('tight: what runs already goes on, and pipelined requests behind the last answer are not taken', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get('/1'));
    rig.server.pressure = 'tight';
    echoTarget(rig.last.exchange);
    await settle();
    assert.match(client.received, /\/1$/);
    rig.onRequest = echoTarget;
    await client.send(get('/2') + get('/3'));
    assert.equal(rig.followers.length, 2);
    assert.equal(countOf(client.received, '200 OK'), 2);
  });

  it('critical: a request is answered 503 with Retry-After, and the application is told but not asked', async () => {
    const rig = rigUnder('critical');
    const client = rig.connect();
    assert.match(await client.send(get()), /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n$/);
    assert.equal(client.stream.state, 'peerEnded');
    assert.equal(rig.followers.length, 0);
    assert.deepEqual(
      rig.refusals.map(({ error, status }) => [error.type, error.reason, error.fault, status]),
      [['limit', 'MEMORY_PRESSURE', 'local', 503]],
    );
    client.stream.end();
    await settle();
    rig.assertEmpty();
  });

  it('critical: an upload is refused without its body being kept', async () => {
    const rig = rigUnder('critical');
    const client = rig.connect();
    await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    assert.match(client.received, /^HTTP\/1\.1 503 /);
    for (let sent = 0; sent < 1_000_000; sent += 50_000) await client.send('x'.repeat(50_000));
    assert.equal(rig.server.abortHeaviest(), false);
    assert.equal(countOf(client.received, 'HTTP/1.1'), 1);
  });

  it('critical: what runs goes on', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get('/1'));
    rig.server.pressure = 'critical';
    assert.equal((rig.last.exchange.sendHead(response(200), BodyLength.chunked), rig.last.exchange.isClosed), false);
    rig.last.exchange.sendData(bytes('whole'));
    rig.last.exchange.sendEnd();
    await settle();
    assert.match(client.received, /whole\r\n0\r\n\r\n$/);
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('cuts the connection that holds most, whether it does not read or is not read', async () => {
    const rig = new ServerRig();
    const quiet = rig.connect();
    await quiet.send(get('/quiet'));
    assert.equal(rig.server.abortHeaviest(), false);
    const slow = rig.connect();
    slow.stream.pause();
    await slow.send(get('/slow'));
    const slowFollower = rig.last;
    slowFollower.exchange.sendHead(response(200), BodyLength.chunked);
    while (slowFollower.exchange.sendData(new Uint8Array(16_384)));
    const pipelining = rig.connect();
    await pipelining.send(get('/pipelining') + get('/x').repeat(100));
    await settle();
    assert.equal(rig.server.abortHeaviest(), true);
    await settle();
    assert.equal(slowFollower.closes[0]?.reason, 'MEMORY_PRESSURE');
    assert.equal(slow.stream.state, 'closed');
    assert.equal(rig.server.connectionCount, 2);
    assert.equal(rig.server.abortHeaviest(), true);
    await settle();
    assert.equal(pipelining.stream.state, 'closed');
    assert.equal(rig.server.abortHeaviest(), false);
    assert.deepEqual([rig.server.connectionCount, quiet.stream.state], [1, 'open']);
  });

  it('counts what waits in a tunnel', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    client.stream.pause();
    await client.send('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
    const tunnel = rig.last.exchange.openTunnel(response(200));
    const reasons: (string | undefined)[] = [];
    tunnel.stream.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: (error) => void reasons.push(error?.reason) });
    while (tunnel.stream.write(new Uint8Array(10_000)));
    await settle();
    assert.equal(rig.server.abortHeaviest(), true);
    await settle();
    assert.deepEqual(reasons, ['MEMORY_PRESSURE']);
  });
});

describe('a server under memory pressure, over HTTP/2', () => {
  it('tight: a connection says GOAWAY in order with its next request, which is answered', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const peer = await connectFrames(rig).hello();
    await peer.get(1, '/1');
    rig.server.pressure = 'tight';
    assert.equal(
      peer.log.some((frame) => frame.startsWith('GOAWAY')),
      false,
    );
    await peer.get(3, '/3');
    await settle();
    assert.equal(peer.heard(3).text, '/3');
    assert.deepEqual(
      peer.log.filter((frame) => frame.startsWith('GOAWAY')),
      ['GOAWAY 2147483647 NO_ERROR', 'GOAWAY 3 NO_ERROR'],
    );
    assert.equal(peer.hasEnded, true);
  });

  it('tight: streams that run are finished, and those that were on their way are served', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello();
    await peer.get(1, '/slow');
    rig.server.pressure = 'tight';
    peer.answersPings = false;
    await peer.get(3, '/3');
    await peer.get(5, '/5');
    assert.equal(rig.followers.length, 3);
    for (const { exchange } of rig.followers) echoTarget(exchange);
    await settle();
    assert.deepEqual([peer.heard(1).text, peer.heard(3).text, peer.heard(5).text], ['/slow', '/3', '/5']);
  });

  it('critical: each request is answered 503 with Retry-After, the application is not asked, and the connection ends in order', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello();
    await peer.get(1, '/runs');
    rig.server.pressure = 'critical';
    peer.answersPings = false;
    await peer.get(3);
    await peer.post(5);
    const answers = [peer.heard(3), peer.heard(5)].map(({ heads }) => [heads[0]?.[':status'], heads[0]?.['retry-after']]);
    assert.deepEqual(answers, [
      ['503', '5'],
      ['503', '5'],
    ]);
    assert.equal(peer.heard(5).reset, 'NO_ERROR');
    assert.equal(rig.followers.length, 1);
    assert.deepEqual(
      rig.refusals.map(({ error, status }) => [error.reason, status]),
      [
        ['MEMORY_PRESSURE', 503],
        ['MEMORY_PRESSURE', 503],
      ],
    );
    echoTarget(rig.last.exchange);
    await settle();
    assert.equal(peer.heard(1).text, '/runs');
    // The second GOAWAY waits for the round trip of a PING, or its time.
    await rig.advance(60_000);
    assert.equal(peer.hasEnded, true);
  });

  it('critical: so it is on a new connection', async () => {
    const rig = rigUnder('critical');
    const peer = await connectFrames(rig).hello();
    await peer.get(1);
    await settle();
    assert.deepEqual([peer.status(1), peer.hasEnded], ['503', true]);
  });

  it('cuts the connection whose streams hold most: unsent for want of credit, or received and not read', async () => {
    const rig = new ServerRig();
    const unread = await connectFrames(rig).hello();
    await unread.post(1, '/unread');
    rig.last.exchange.pauseRequest();
    await unread.data(1, new Uint8Array(10_000));
    const greedy = await connectFrames(rig).hello();
    greedy.givesCredit = false;
    await greedy.get(1, '/greedy');
    const { exchange, closes } = rig.last;
    exchange.sendHead(response(200), BodyLength.chunked);
    while (exchange.sendData(new Uint8Array(16_384)));
    await settle();
    exchange.sendData(new Uint8Array(50_000));
    assert.equal(rig.server.abortHeaviest(), true);
    await settle();
    assert.deepEqual([closes[0]?.reason, greedy.isClosed, unread.isClosed], ['MEMORY_PRESSURE', true, false]);
    assert.equal(rig.server.abortHeaviest(), true);
    await settle();
    assert.equal(unread.isClosed, true);
    assert.equal(rig.server.abortHeaviest(), false);
    rig.assertEmpty();
  });
});
