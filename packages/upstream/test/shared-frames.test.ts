/** Shared connections and what a server of HTTP/2 says at the wrong moment, frame by frame (RFC 9113 §6.5, §6.7, §6.8). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import { type ClientSession, HttpEnvironment } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { send, settle } from './rig.ts';

function frame(type: number, flags: number, stream: number, payload: readonly number[]): Uint8Array {
  return Uint8Array.from([0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload]);
}
/** SETTINGS_MAX_CONCURRENT_STREAMS. */
const settings = (maxStreams: number): Uint8Array => frame(0x4, 0, 0, [0, 0x3, 0, 0, 0, maxStreams]);
const goaway = (): Uint8Array => frame(0x7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]);
/** `:status` 200, with END_HEADERS and END_STREAM. */
const answer = (stream: number): Uint8Array => frame(0x1, 0x5, stream, [0x88]);

/** Servers that say nothing by themselves. */
function rig(more: PeerOptions) {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const ends: L4Stream[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair({ clock });
      ends.push(b);
      b.attach({ onData() {}, onDrain() {}, onEnd: () => b.end(), onClose() {} });
      return a;
    },
  });
  /** The server of that connection says so. */
  const say = async (bytes: Uint8Array, index = 0): Promise<void> => {
    ends[index]?.write(bytes);
    await settle();
  };
  return { clock, environment, ends, connector, say, origin: peer('10.0.0.1:80', { protocol: 'http2', maxConnections: 1, ...more }) };
}

describe('a server of HTTP/2', () => {
  test('says GOAWAY between the choice of a connection and the request: it is given back, ends, and another one serves', async () => {
    const { connector, ends, say, origin, clock, environment } = rig({});
    const chosen = await connector.connect(origin);
    await say(settings(10));
    await say(goaway());
    assert.equal(chosen.isReusable, false);
    const other = await connector.connect(origin);
    assert.notEqual(other, chosen);
    connector.release(chosen);
    connector.release(other);
    await settle();
    assert.deepEqual([connector.connectionCount, connector.idleCount], [1, 1]);
    connector.close();
    await settle();
    clock.advance(60_000);
    await settle();
    assert.deepEqual([ends.map(({ state }) => state), environment.deadlines.size], [['closed', 'closed'], 0]);
  });

  test('lowers its limit below what runs and is promised: no place is given until it has room, and then one for each', async () => {
    const { connector, say, origin } = rig({});
    const session = await connector.connect(origin);
    await say(settings(3));
    send(session);
    for (let count = 1; count < 3; count++) assert.equal(connector.take(origin), session);
    send(session);
    await say(settings(1));
    assert.equal(session.isReusable, false, 'the third is promised, and cannot be used');
    const got: ClientSession[] = [];
    for (let count = 0; count < 3; count++)
      void connector.connect(origin).then((given) => {
        got.push(given);
        send(given);
      });
    const check = async (given: number): Promise<void> => {
      await settle();
      assert.deepEqual([got.length, connector.pendingCount], [given, 3 - given]);
    };
    await check(0);
    connector.release(session);
    await check(0);
    await say(answer(1));
    await check(0);
    await say(answer(3));
    await check(1);
    await say(settings(0));
    await say(answer(5));
    await check(1);
    await say(settings(5));
    await check(3);
    connector.close();
  });

  test('never says its SETTINGS: those who wait hear so in time, and nothing is left', async () => {
    const { connector, ends, origin, clock, environment } = rig({ maxConnections: 2 });
    const reasons = new Map<string, number>();
    const count = (reason: string): void => void reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    const asked = Array.from({ length: 300 }, () =>
      connector.connect(origin).then(
        (session) => {
          send(session);
          count('given');
        },
        (error: unknown) => count(isWireError(error) ? error.reason : String(error)),
      ),
    );
    for (let tenth = 0; tenth < 200; tenth++) {
      clock.advance(100);
      await settle();
    }
    await Promise.all(asked);
    // Ten on each connection, as nobody knows how many it takes.
    assert.deepEqual(Object.fromEntries(reasons), { given: 20, UPSTREAM_NO_STREAM: 280 });
    assert.deepEqual([ends.length, connector.connectionCount, environment.deadlines.size], [2, 0, 0]);
  });

  test('answers no PING: the connection is gone, and the next request gets another one', async () => {
    const { connector, ends, say, origin, clock } = rig({ http2: { connection: { pingIntervalMs: 1_000, pingTimeoutMs: 500 } } });
    const session = await connector.connect(origin);
    await say(settings(10));
    send(session);
    for (let tenth = 0; tenth < 20; tenth++) {
      clock.advance(100);
      await settle();
    }
    assert.deepEqual([session.isReusable, connector.connectionCount, ends[0]?.state], [false, 0, 'closed']);
    assert.notEqual(await connector.connect(origin), session);
    connector.close();
  });
});
