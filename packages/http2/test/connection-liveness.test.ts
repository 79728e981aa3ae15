/** Whether the peer still lives: PING finds out, and whoever only reads slowly, or says a lot, is alive (RFC 9113 §6.7). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestHead, responseHead } from '@ferrata/headers';
import { type Http2Options, type Http2Stream, Role } from '@ferrata/http2';
import { writeData, writePing, writeSettings, writeWindowUpdate } from '@ferrata/http2-framing';
import { GET, POST, RawPeer } from './raw-peer.ts';

const KIB = 1_024;

/** A server under test with one request that is open. */
class Visit {
  readonly peer: RawPeer;
  readonly stream: Http2Stream;
  now = 0;

  constructor(options: Http2Options = {}, window = 65_535) {
    this.peer = new RawPeer(Role.server, options);
    this.peer.write((w) => writeSettings(w, [[4, window]]));
    if (window > 65_535) this.peer.write((w) => writeWindowUpdate(w, 0, window - 65_535));
    this.peer.headers(1, GET, { isEndStream: true }).flush();
    this.stream = this.peer.end.streams.get(1) as Http2Stream;
    this.peer.end.connection.sendHead(this.stream, responseHead(200), -1, '', 0);
    this.peer.read();
  }

  /** Lets time pass by seconds. @param each what happens in each @returns the error of the connection */
  pass(seconds: number, each: () => void = () => {}): string | null {
    for (let second = 0; second < seconds; second++) {
      this.now += 1_000;
      const error = this.peer.end.connection.handleTimeout(this.now);
      if (error !== null) return error.reason;
      each();
    }
    return null;
  }

  send(count: number): void {
    this.peer.end.connection.sendData(this.stream, new Uint8Array(count), this.now);
  }

  get pings(): number {
    return this.peer.told('PING').length;
  }
}

describe('a server and a client that has vanished', () => {
  test('from a quiet stream: asked after a minute, given up after ten seconds more', () => {
    const visit = new Visit();
    const { peer } = visit;
    assert.equal(
      visit.pass(60, () => peer.read()),
      null,
    );
    assert.equal(visit.pings, 1);
    assert.equal(
      visit.pass(9, () => peer.read()),
      null,
    );
    assert.equal(visit.pass(2), 'H2_PING_TIMEOUT');
    assert.deepEqual(peer.read().told('GOAWAY'), ['GOAWAY 0 0']);
    assert.equal(visit.pings, 1);
  });

  test('from a tunnel, and from a stream on which only we talk into the buffers of the system', () => {
    const tunnel = new RawPeer(Role.server);
    tunnel
      .headers(1, [
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
      ])
      .flush();
    let reason: string | undefined;
    for (let now = 0; now < 90_000 && reason === undefined; now += 1_000) reason = tunnel.end.connection.handleTimeout(now)?.reason;
    assert.equal(reason, 'H2_PING_TIMEOUT');

    const visit = new Visit();
    const beat = () => {
      visit.send(10);
      visit.peer.read();
    };
    assert.equal(visit.pass(69, beat), null);
    assert.equal(visit.pass(2, beat), 'H2_PING_TIMEOUT');
  });

  test('pingIntervalMs 0: nobody asks', () => {
    const visit = new Visit({ pingIntervalMs: 0 });
    assert.equal(visit.pass(1_000), null);
    assert.equal(visit.peer.read().told('PING').length, 0);
  });
});

describe('who lives', () => {
  test('a PING that measures ends nothing, although its answer waits behind megabytes', () => {
    const peer = new RawPeer(Role.server);
    peer.headers(1, POST).flush();
    for (let now = 100; now <= 60_000; now += 100) {
      peer.write((w) => writeData(w, 1, new Uint8Array(8_000))).flush(now);
      assert.equal(peer.end.connection.handleTimeout(now), null);
    }
    assert.equal(peer.told('PING').length, 1);
    const stream = peer.end.streams.get(1);
    assert.ok(stream);
    peer.end.connection.sendHead(stream, responseHead(200), -1, '', 60_000);
    // It sent all the time, so nothing was asked; silence is asked about now, and the PING under way asks as well as another.
    for (let now = 61_000; now < 120_000; now += 1_000) assert.equal(peer.end.connection.handleTimeout(now), null);
    assert.equal(peer.end.connection.handleTimeout(125_000), null);
    assert.equal(peer.read().told('PING').length, 1);
    assert.equal(peer.end.connection.handleTimeout(135_000)?.reason, 'H2_PING_TIMEOUT');
  });

  test('ping() and drain() of a program end nothing either', () => {
    const visit = new Visit({ pingIntervalMs: 0 });
    visit.peer.end.connection.ping(0);
    visit.peer.end.connection.drain(0);
    assert.equal(visit.pass(200), null);
    assert.equal(visit.peer.read().told('PING').length, 2);
  });

  test('no more than ten PINGs are unanswered, and an answer makes room for more', () => {
    const visit = new Visit({ pingIntervalMs: 0 });
    const { peer } = visit;
    for (let turn = 0; turn < 30; turn++) peer.end.connection.ping(turn);
    assert.equal(peer.read().told('PING').length, 10);
    peer.write((w) => writePing(w, Uint8Array.of(0x46, 0x45, 0x52, 0x52, 0, 0, 0, 10), { isAck: true })).flush(30);
    assert.equal(peer.end.connection.rttMs, 30 - 9);
    peer.end.connection.ping(31);
    assert.equal(peer.read().told('PING').length, 11);
  });

  test('whoever says something after the PING, whatever it is', () => {
    const visit = new Visit();
    const { peer } = visit;
    visit.pass(61);
    for (let turn = 0; turn < 20; turn++) {
      peer.write((w) => writePing(w, new Uint8Array(8))).flush(visit.now);
      assert.equal(visit.pass(9), null);
    }
    assert.equal(visit.pass(2), 'H2_PING_TIMEOUT');
  });

  test('a reader that is slow: output moves while it says nothing', () => {
    const visit = new Visit({}, 0x4000_0000);
    const { peer } = visit;
    const take = () => {
      while (visit.stream.queuedBytes < 256 * KIB) visit.send(64 * KIB);
      peer.read(16 * KIB);
    };
    // No WINDOW_UPDATE in all that time: half of its window is not used yet.
    assert.equal(visit.pass(600, take), null);
    assert.equal(visit.pings, 1);
    // Output stops as well: what was sent may still be in front of the PING, but patience has an end.
    assert.equal(visit.pass(9), null);
    assert.notEqual(visit.pass(300), null);
  });

  test('a reader that is slow: the PING is behind DATA that nobody has acknowledged, for as long as that may take', () => {
    const visit = new Visit({ stallTimeoutMs: 1e9 }, 16 << 20);
    const { peer } = visit;
    visit.send(2 << 20);
    peer.read();
    assert.equal(visit.pass(60), null);
    peer.read();
    assert.equal(visit.pings, 1);
    // 2 MiB less 64 KiB, at 16 bytes a millisecond: 127 s.
    assert.equal(visit.pass(10 + 126), null);
    assert.equal(visit.pass(2), 'H2_PING_TIMEOUT');
  });

  test('what a PING has been acknowledged behind is read: the next one has no DATA in front of it', () => {
    const visit = new Visit({}, 16 << 20);
    const { peer } = visit;
    visit.send(2 << 20);
    peer.read();
    visit.pass(61);
    const payload = Uint8Array.of(0x46, 0x45, 0x52, 0x52, 0, 0, 0, 1);
    peer.read();
    peer.write((w) => writePing(w, payload, { isAck: true })).flush(visit.now);
    assert.equal(visit.pass(69), null);
    assert.equal(visit.pass(3), 'H2_PING_TIMEOUT');
    assert.equal(peer.read().told('PING').length, 2);
  });

  test('a client asks every half minute, and an answer is enough', () => {
    const peer = new RawPeer(Role.client, { firstByteTimeoutMs: 1e9 });
    const { connection } = peer.end;
    connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
    peer.read();
    let sequence = 0;
    for (let now = 1_000; now < 300_000; now += 1_000) {
      assert.equal(connection.handleTimeout(now), null);
      if (peer.read().told('PING').length === sequence) continue;
      sequence++;
      peer.write((w) => writePing(w, Uint8Array.of(0x46, 0x45, 0x52, 0x52, 0, 0, 0, sequence), { isAck: true })).flush(now);
    }
    assert.equal(sequence, 9);
    assert.equal(peer.end.seen.length, 0);
  });
});
