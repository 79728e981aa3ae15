/**
 * Whoever gives up, and whatever is lost, at whatever moment of connecting: nothing is left behind. The moments are counted in turns of the event loop and in microtasks, so
 * that each `await` between the wish and the connection is met.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import { type ClientSession, HttpEnvironment, HttpServer } from '@ferrata/http';
import { type L4Stream, memoryPair, park } from '@ferrata/stream';
import { type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';
import { assertNothingLeft, settle } from './rig.ts';

const TURNS = 4;
const MICROTASKS = 30;

const handler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** An origin that is a proxy, too, drops a PROXY header, and speaks HTTP/1 and HTTP/2. */
function rig() {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const server = new HttpServer({ onRequest: () => handler }, { environment });
  const ends: L4Stream[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair({ clock });
      ends.push(b);
      b.attach({
        onData: (chunk) => {
          const text = latin1Decode(chunk, 0, chunk.length);
          if (text.startsWith('PROXY')) return;
          if (text.startsWith('CONNECT')) return void b.write(latin1Encode('HTTP/1.1 200 OK\r\n\r\n'));
          park(b, chunk);
          server.accept(b);
        },
        onDrain: () => {},
        onEnd: () => b.end(),
        onClose: () => {},
      });
      return a;
    },
  });
  return { clock, environment, server, ends, connector };
}

const proxy = peer('unix:/run/proxy.sock');

const forms: readonly (readonly [string, () => PeerOptions])[] = [
  ['HTTP/1', () => ({})],
  ['HTTP/2', () => ({ protocol: 'http2' })],
  ['a PROXY header', () => ({ sendProxyHeader: 'v1' })],
  ['through a proxy', () => ({ via: { proxy } })],
  ['through two, and TLS', () => ({ via: { proxy: peer('p:1', { via: { proxy } }) }, tls: new FakeTls(speaks('http/1.1')) })],
  ['TLS, HTTP/2 by choice', () => ({ tls: new FakeTls(speaks('h2')), protocol: 'auto' })],
  ['TLS, HTTP/1 by choice', () => ({ tls: new FakeTls(speaks('http/1.1')), protocol: 'auto' })],
];

/** Waits for a moment: after so many turns, and so many microtasks of the next. */
async function moment(turns: number, microtasks: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => void setImmediate(resolve));
  for (let count = 0; count < microtasks; count++) await Promise.resolve();
}

/** Nobody holds anything: one connection serves, is kept, and ends with the connector, and nothing is left then. */
async function checkClean(parts: ReturnType<typeof rig>, session: ClientSession): Promise<void> {
  const { connector } = parts;
  assert.ok(session.isReusable);
  assert.equal(connector.connectionCount, 1);
  connector.release(session);
  assert.deepEqual([connector.idleCount, connector.pendingCount], [1, 0]);
  await assertNothingLeft(parts);
}

describe('at each moment of connecting', () => {
  for (const [name, options] of forms) {
    test(`${name}: whoever gives up leaves his place to the next, and neither stream nor timer behind`, async () => {
      const seen = { given: 0, refused: 0 };
      for (let turns = 0; turns < TURNS; turns++)
        for (let microtasks = 0; microtasks < MICROTASKS; microtasks++) {
          const world = rig();
          const { connector } = world;
          const origin = peer('origin.test:80', { maxConnections: 1, maxStreamsPerConnection: 1, ...options() });
          const abort = new AbortController();
          // A wish may have come true already: then the connection is given back.
          const first = connector.connect(origin, abort.signal).then(
            (session) => {
              seen.given++;
              connector.release(session);
            },
            (error: unknown) => {
              seen.refused++;
              assert.ok(isWireError(error) && error.reason === 'CONNECT_ABORTED', String(error));
            },
          );
          const second = connector.connect(origin);
          await moment(turns, microtasks);
          abort.abort();
          await first;
          await checkClean(world, await second);
        }
      assert.ok(seen.refused > 0 && seen.given > 0, JSON.stringify(seen));
    });

    test(`${name}: a connection that is lost costs those who wait for it an error at most, and the next is served`, async () => {
      const seen = { given: 0, refused: 0 };
      for (let turns = 0; turns < TURNS; turns++)
        for (let microtasks = 0; microtasks < MICROTASKS; microtasks++) {
          const world = rig();
          const { connector, ends } = world;
          const origin = peer('origin.test:80', { maxConnections: 1, maxStreamsPerConnection: 1, ...options() });
          const asked = [1, 2].map(() =>
            connector.connect(origin).then(
              (session) => {
                seen.given++;
                connector.release(session);
              },
              (error: unknown) => {
                seen.refused++;
                assert.ok(isWireError(error) && error.type === 'connect', String(error));
              },
            ),
          );
          await moment(turns, microtasks);
          ends.at(-1)?.abort();
          await Promise.all(asked);
          await settle();
          await checkClean(world, connector.take(origin) ?? (await connector.connect(origin)));
        }
      assert.ok(seen.given > 0, JSON.stringify(seen));
    });
  }
});
