/** Who waits for a place, who gives way, and that a burst of honest clients is served to the last one. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Clock, ManualClock, systemClock } from '@ferrata/clock';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { connect } from '../../src/connect.ts';
import { listen } from '../../src/listener.ts';
import type { TlsServer } from '../../src/tls/tls-server.ts';
import type { TlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { HandshakePlaces, type PlaceHolder, type PlaceLimits, type ShedCause } from '../../src/tls/tls-server-places.ts';
import { until } from '../pairs.ts';
import { makePki, nodeClient, securePair, tlsServer } from './server-rig.ts';

const pki = await makePki();
const trust = { ca: pki.authority.certificate };
const servers: TlsServer[] = [];
after(async () => {
  for (const server of servers) await server.close();
});

function serverWith(options: TlsServerOptions = {}): TlsServer {
  const server = tlsServer(pki, options);
  servers.push(server);
  return server;
}

/** A clock on which a busy machine does not count as a slow peer: it runs at a fiftieth of the speed. */
const slowClock: Clock = {
  now: () => systemClock.now() / 50,
  wallNow: () => systemClock.wallNow(),
  schedule: (delayMs, wake) => systemClock.schedule(delayMs * 50, wake),
};

class Holder implements PlaceHolder {
  phase: PlaceHolder['phase'] = null;
  heldBytes = 0;
  since = 0;
  readonly name: string;
  readonly #places: HandshakePlaces;
  readonly #log: string[];

  constructor(name: string, places: HandshakePlaces, log: string[]) {
    this.name = name;
    this.#places = places;
    this.#log = log;
    places.enter(this);
  }

  handleTurn(): void {
    this.#log.push(`${this.name} has its turn`);
  }

  handleShed(cause: ShedCause): void {
    this.#log.push(`${this.name} is shed: ${cause}`);
    this.#places.leave(this);
  }
}

function placesWith(limits: Partial<PlaceLimits>) {
  const clock = new ManualClock();
  const places = new HandshakePlaces({
    maxHandshakes: 2,
    maxPending: 100,
    maxPendingBytes: 10_000,
    maxPendingCallbacks: 1,
    clock,
    ...limits,
  });
  const log: string[] = [];
  return { clock, places, log, enter: (name: string) => new Holder(name, places, log) };
}

const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

test('whoever finds all places taken waits for one, first come first served', async () => {
  const { places, log, enter } = placesWith({});
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(enter) as [Holder, Holder, Holder, Holder];
  assert.deepEqual(
    [a, b, c, d].map((holder) => places.request(holder)),
    [true, true, false, false],
  );
  assert.equal(places.waitingCount, 2);
  assert.equal(places.waitedCount, 2);
  places.leave(b);
  assert.deepEqual(log, []);
  await turn();
  assert.deepEqual(log, ['c has its turn']);
  places.leave(a);
  places.leave(c);
  await turn();
  assert.deepEqual(log, ['c has its turn', 'd has its turn']);
});

test('a place is taken back only for one that waits, from a client that was waited for too long, the oldest first', async () => {
  const { clock, places, log, enter } = placesWith({});
  const advance = async (ms: number) => {
    clock.advance(ms);
    for (let i = 0; i < 4; i++) await turn();
  };
  places.request(enter('a'));
  await advance(500);
  places.request(enter('b'));
  await advance(5000);
  assert.deepEqual(log, [], 'nobody waits');
  places.request(enter('c'));
  await advance(100);
  assert.deepEqual(log.splice(0), ['a is shed: slowPeer', 'c has its turn']);
  const d = enter('d');
  places.request(d);
  await advance(100);
  assert.deepEqual(log.splice(0), ['b is shed: slowPeer', 'd has its turn']);
  places.request(enter('e'));
  for (let i = 0; i < 14; i++) await advance(100);
  assert.deepEqual(log, [], 'c is as slow as all others');
  places.markDone(d);
  await advance(100);
  assert.deepEqual(log.splice(0), ['c is shed: slowPeer', 'e has its turn'], 'd has overtaken it');
  places.request(enter('f'));
  for (let i = 0; i < 16; i++) await advance(100);
  assert.deepEqual(log.splice(0), ['d is shed: slowPeer', 'f has its turn']);
  places.request(enter('g'));
  for (let i = 0; i < 13; i++) await advance(100);
  assert.deepEqual(log, []);
  await advance(100);
  assert.deepEqual(log.splice(0), ['e is shed: slowPeer', 'g has its turn']);
});

test('who waits for a callback of the program takes no place, or keeps the one it has, and is not shed for its age', async () => {
  const { clock, places, log, enter } = placesWith({});
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(enter) as [Holder, Holder, Holder, Holder];
  places.request(a);
  places.request(b);
  places.beginCallback(a);
  places.beginCallback(b);
  assert.deepEqual([a.phase, b.phase], ['callback', 'held']);
  assert.equal(places.request(c), true);
  places.request(d);
  places.beginCallback(c);
  assert.equal(c.phase, 'held');
  clock.advance(60_000);
  await turn();
  assert.deepEqual(log, []);
  assert.equal(places.endCallback(a), false, 'both places are held');
  assert.equal(places.endCallback(b), true);
  places.leave(b);
  await turn();
  assert.deepEqual(log, ['a has its turn'], 'who has been chosen for goes before who has not');
  places.leave(c);
  await turn();
  assert.deepEqual(log, ['a has its turn', 'd has its turn']);
});

test('beyond the caps the oldest of the most numerous kind gives way', () => {
  const { places, log, enter } = placesWith({ maxPending: 4, maxHandshakes: 1 });
  places.request(enter('in a place'));
  places.request(enter('waits 1'));
  const partial = enter('partial');
  places.hold(partial, 3000);
  enter('silent 1');
  enter('silent 2');
  assert.deepEqual(log, []);
  enter('silent 3');
  assert.deepEqual(log, ['silent 1 is shed: tooMany']);
  places.hold(enter('greedy'), 7001);
  assert.deepEqual(log.slice(1), ['silent 2 is shed: tooMany', 'partial is shed: tooManyBytes']);
  assert.equal(places.heldBytes, 7001);
  places.hold(partial, 0);
});

test('1 500 clients at once are all served (RFC 8446 §2)', { timeout: 120_000 }, async (t) => {
  const server = serverWith({ clock: slowClock });
  let served = 0;
  const failures: string[] = [];
  await using listener = await listen({ address: '127.0.0.1:0', backlog: 4096 }, (stream) => {
    server.accept(stream, {
      onSecure(secure) {
        served++;
        secure.abort();
      },
      onHandshakeFailed: (error) => failures.push(`${error.reason} ${error.message}`),
    });
  });
  const clients = await Promise.all(Array.from({ length: 1500 }, () => connect(listener.address)));
  // Node accepts one connection a turn: without this it would be no burst.
  await until(() => server.counts.started === 1500);
  const sockets = clients.map((client) => nodeClient(client, trust).socket);
  await until(() => served + failures.length === 1500);
  for (const socket of sockets) socket.destroy();
  assert.deepEqual(failures, []);
  assert.equal(served, 1500);
  t.diagnostic(`${server.counts.waited} had to wait`);
  assert.ok(server.counts.waited > 0);
});

test('5 000 that send a whole hello and no more hold the places for seconds at most, and little memory', {
  timeout: 120_000,
}, async (t) => {
  const clock = new ManualClock({ wallNow: Date.now() });
  const server = serverWith({ clock, maxHandshakes: 8, handshakeTimeoutMs: 600_000 });
  const hello = await clientHello();
  const before = process.memoryUsage();
  let cut = 0;
  const silent: L4Stream[] = [];
  for (let i = 0; i < 5000; i++) {
    const { a, b } = memoryPair();
    a.attach(new RecordingSink());
    server.accept(b, { onSecure: () => assert.fail('it never finished'), onHandshakeFailed: () => cut++ });
    a.write(Uint8Array.from(hello));
    silent.push(a);
  }
  await until(() => server.waitingCount === 5000 - 8);
  const grown = process.memoryUsage().rss - before.rss;
  t.diagnostic(`resident memory grown by ${Math.round(grown / 1024)} KiB`);
  assert.ok(grown < 192 * 1024 * 1024);
  for (const stream of silent.slice(100)) stream.abort();
  await until(() => cut === 4900);
  const { a, b } = memoryPair();
  const pair = securePair({ client: a, server: b }, server, trust);
  let isServed = false;
  void pair.then(() => (isServed = true));
  for (let second = 0; second < 100 && !isServed; second++) {
    clock.advance(1000);
    for (let turns = 0; turns < 20; turns++) await turn();
  }
  await pair;
  assert.equal(server.counts.shed, cut - 4900);
  assert.ok(server.counts.shed <= 100);
});

test('a client that gives up while a callback is waited for is seen to, and what it sends behind its hello is bounded', async () => {
  let asked = 0;
  const server = serverWith({
    certificateFor: () => {
      asked++;
      return new Promise(() => undefined);
    },
    maxHelloBytes: 2048,
  });
  const hello = await clientHello();
  const reasons: string[] = [];
  const { a, b } = memoryPair();
  server.accept(b, { onSecure: () => assert.fail('it gave up'), onHandshakeFailed: (error) => reasons.push(error.reason) });
  a.attach(new RecordingSink());
  a.write(hello);
  await until(() => asked === 1);
  a.end();
  await until(() => reasons.length === 1);
  assert.deepEqual(reasons, ['TLS_HANDSHAKE_CUT']);
  const talker = memoryPair();
  server.accept(talker.b, { onSecure() {}, onHandshakeFailed() {} });
  talker.a.attach(new RecordingSink());
  talker.a.write(hello);
  await until(() => asked === 2);
  let written = 0;
  while (talker.a.write(new Uint8Array(1024)) && written < 10_000) written++;
  assert.ok(written < 10_000, 'the stream is paused');
});

test('a callback that takes its time costs nobody else a place, and the certificate that it finds is served', async () => {
  const answers: (() => void)[] = [];
  const slow = await pki.authority.issue({ names: ['slow.test'] });
  const server = serverWith({
    maxHandshakes: 1,
    certificateFor: (name) =>
      name === 'slow.test' ? new Promise((resolve) => answers.push(() => resolve({ certificate: slow.chain, key: slow.key }))) : null,
    handshakeComplete: (tls) => (tls.serverName === 'slow.test' ? new Promise<void>((resolve) => answers.push(resolve)) : undefined),
  });
  const begin = (servername: string) => {
    const { a, b } = memoryPair();
    return securePair({ client: a, server: b }, server, { ...trust, servername });
  };
  const late = begin('slow.test');
  await until(() => answers.length === 1);
  (await begin('localhost')).client.abort();
  answers[0]?.();
  await until(() => answers.length === 2);
  (await begin('localhost')).client.abort();
  answers[1]?.();
  assert.equal((await late).server.info.tls?.serverName, 'slow.test');
  assert.equal(server.counts.completed, 3);
});

/** What Node's client says first. */
async function clientHello(): Promise<Buffer> {
  const { a, b } = memoryPair();
  const sink = new RecordingSink();
  b.attach(sink);
  const { socket } = nodeClient(a, trust);
  await until(() => sink.byteLength > 0);
  socket.destroy();
  return Buffer.concat(sink.chunks());
}
