/** Who waits for a place, who gives way, and that a burst of honest clients is served to the last one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, ManualClock, systemClock } from '@ferrata/clock';
import { memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { listen } from '../../src/accept/listener.ts';
import { connect } from '../../src/connect/connect.ts';
import { HandshakePlaces, type PlaceHolder, type PlaceLimits, type ShedCause } from '../../src/tls/tls-server-places.ts';
import { until } from '../pairs.ts';
import { makeRig, nodeClient, securePair } from './server-rig.ts';

const { clientHello, pki, serverWith, shake, trust } = await makeRig();

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

/** Lets time pass, and all that it wakes happen. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    for (let i = 0; i < 6; i++) await turn();
  }
}

test('a place is taken back only for one that waits, from a client that was waited for for 3 s, the oldest first', async () => {
  const { clock, places, log, enter } = placesWith({});
  places.request(enter('a'));
  await pass(clock, 500);
  places.request(enter('b'));
  await pass(clock, 5000);
  assert.deepEqual(log, [], 'nobody waits');
  places.request(enter('c'));
  await pass(clock, 100);
  assert.deepEqual(log.splice(0), ['a is shed: slowPeer', 'c has its turn']);
  places.request(enter('d'));
  await pass(clock, 100);
  assert.deepEqual(log.splice(0), ['b is shed: slowPeer', 'd has its turn']);
  const fresh = placesWith({});
  fresh.places.request(fresh.enter('a'));
  fresh.places.request(fresh.enter('b'));
  fresh.places.request(fresh.enter('c'));
  await pass(fresh.clock, 2900);
  assert.deepEqual(fresh.log, []);
  await pass(fresh.clock, 200);
  assert.deepEqual(fresh.log, ['a is shed: slowPeer', 'c has its turn']);
});

for (const [beganAfter, isOvertaken] of [
  [1100, true],
  [900, false],
] as const) {
  test(`one that is overtaken by a handshake that began ${beganAfter} ms later ${isOvertaken ? 'has 1 s' : 'keeps its 3 s'}`, async () => {
    const { clock, places, log, enter } = placesWith({});
    places.request(enter('slow'));
    await pass(clock, beganAfter);
    const fast = enter('fast');
    places.request(fast);
    await pass(clock, 200);
    places.markDone(fast);
    places.leave(fast);
    places.request(enter('next'));
    places.request(enter('waits'));
    await pass(clock, 200);
    const expected: string[] = isOvertaken ? ['slow is shed: slowPeer', 'waits has its turn'] : [];
    assert.deepEqual(log, expected);
  });
}

test('each that is cut as slow makes patience shorter, down to 800 ms, each that is completed longer again', async () => {
  const { clock, places, log, enter } = placesWith({ maxHandshakes: 10 });
  const all = Array.from({ length: 30 }, (_, i) => enter(String(i)));
  for (const holder of all) places.request(holder);
  const waves: number[] = [];
  for (let ms = 0; ms < 10_000; ms += 100) {
    await pass(clock, 100);
    const count = log.splice(0).filter((line) => line.endsWith('its turn')).length;
    if (count > 0) waves.push(ms + 100);
  }
  // With 10 places and 20 that wait it is 3 s first; then 800 ms, and the looks are 100 ms apart.
  assert.deepEqual(waves, [3000, 3800]);
  for (const holder of all.slice(20)) {
    places.markDone(holder);
    places.leave(holder);
  }
  for (let i = 0; i < 11; i++) places.request(enter(`later ${i}`));
  await pass(clock, 2900);
  assert.deepEqual(log, []);
  await pass(clock, 200);
  assert.deepEqual(log, ['later 0 is shed: slowPeer', 'later 10 has its turn']);
});

test('who stalled in a crowd that is over costs the next one no patience', async () => {
  const { clock, places, log, enter } = placesWith({ maxHandshakes: 4 });
  const stalled = Array.from({ length: 8 }, (_, i) => enter(`stalls ${i}`));
  for (const holder of stalled) places.request(holder);
  await pass(clock, 5000);
  assert.equal(log.splice(0).filter((line) => line.endsWith('slowPeer')).length, 4);
  for (const holder of stalled.slice(4)) places.leave(holder);
  await pass(clock, 1000);
  for (let i = 0; i < 8; i++) places.request(enter(`honest ${i}`));
  await pass(clock, 2900);
  assert.deepEqual(log, []);
});

test('whose callback has answered while it kept its place is waited for no longer than others', async () => {
  const { clock, places, log, enter } = placesWith({ maxHandshakes: 1, maxPendingCallbacks: 0 });
  const holder = enter('answered');
  places.request(holder);
  places.beginCallback(holder);
  assert.equal(holder.phase, 'held');
  assert.equal(places.request(enter('waits')), false);
  await pass(clock, 5000);
  assert.equal(places.endCallback(holder), true);
  await pass(clock, 3100);
  assert.deepEqual(log, ['answered is shed: slowPeer', 'waits has its turn']);
});

test('large hellos whose callback has answered, and that find no place, give way before small ones that wait', () => {
  const { places, log, enter } = placesWith({ maxHandshakes: 1, maxPendingCallbacks: 10, maxPendingBytes: 10_000 });
  const large = Array.from({ length: 5 }, (_, i) => enter(`large ${i}`));
  for (const holder of large) {
    places.request(holder);
    places.beginCallback(holder);
    places.hold(holder, 4000);
  }
  places.request(enter('in a place'));
  for (let i = 0; i < 4; i++) {
    const small = enter(`small ${i}`);
    places.request(small);
    places.hold(small, 500);
  }
  for (const holder of large) assert.equal(places.endCallback(holder), false);
  places.hold(enter('half'), 100);
  assert.deepEqual(
    log,
    [0, 1, 2, 3].map((i) => `large ${i} is shed: tooManyBytes`),
  );
  assert.equal(places.heldBytes, 6100);
});

test('when more than twice the places wait, patience is shorter from the start', async () => {
  const { clock, places, log, enter } = placesWith({ maxHandshakes: 10 });
  for (let i = 0; i < 50; i++) places.request(enter(String(i)));
  await pass(clock, 1400);
  assert.equal(log.length, 0);
  await pass(clock, 200);
  assert.equal(log.filter((line) => line.endsWith('slowPeer')).length, 10);
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

test('what waits for a callback holds none of the bytes that others may', () => {
  const { places, log, enter } = placesWith({ maxPendingBytes: 3000 });
  const [asked, held, other] = ['asked', 'held', 'other'].map(enter) as [Holder, Holder, Holder];
  for (const holder of [asked, held]) {
    places.hold(holder, 1500);
    places.request(holder);
    places.beginCallback(holder);
    places.hold(holder, 2500);
  }
  assert.deepEqual([asked.phase, held.phase], ['callback', 'held']);
  assert.equal(places.heldBytes, 0);
  places.hold(other, 2900);
  assert.deepEqual(log, []);
  // The place is somebody else's by now.
  places.request(other);
  places.hold(other, 0);
  places.endCallback(asked);
  assert.equal(asked.phase, 'returning');
  assert.equal(places.heldBytes, 2500);
});

test('beyond maxPendingBytes the oldest half hello gives way, and who waits for certificateFor does not count', async () => {
  let asked = 0;
  const server = serverWith({
    maxHelloBytes: 1024,
    maxPendingBytes: 2048,
    certificateFor: () => {
      asked++;
      return new Promise(() => undefined);
    },
  });
  const failures: string[] = [];
  const send = (bytes: Uint8Array, name: string) => {
    const { a, b } = memoryPair();
    a.attach(new RecordingSink());
    server.accept(b, {
      onSecure: () => assert.fail('it never finished'),
      onHandshakeFailed: ({ reason, message }) => failures.push(`${name} ${reason} ${message.includes('2048 bytes')}`),
    });
    a.write(bytes);
  };
  // Small enough for the limit: without the key share of 1 184 bytes that OpenSSL sends by default.
  const hello = await clientHello({ maxVersion: 'TLSv1.2' });
  for (let i = 1; i <= 16; i++) send(Uint8Array.from(hello), `asked ${i}`);
  await until(() => asked === 16);
  assert.ok(16 * hello.length > 2048);
  const half = Uint8Array.of(22, 3, 1, 3, 252, 1, 0, 3, 248, ...new Uint8Array(891));
  for (let i = 1; i <= 3; i++) send(half, `half ${i}`);
  await until(() => failures.length > 0);
  await turn();
  assert.deepEqual(failures, ['half 1 TLS_HANDSHAKE_SHED true']);
});

test('who stalls is overtaken by who completes', async () => {
  const clock = new ManualClock({ wallNow: Date.now() });
  const server = serverWith({ clock, maxHandshakes: 2 });
  const hello = await clientHello();
  const failures: string[] = [];
  const stall = (name: string) => {
    const { a, b } = memoryPair();
    a.attach(new RecordingSink());
    server.accept(b, { onSecure: () => assert.fail('it never finished'), onHandshakeFailed: () => failures.push(name) });
    a.write(Uint8Array.from(hello));
  };
  stall('first');
  await pass(clock, 1300);
  (await shake(server)).client.abort();
  stall('second');
  stall('third');
  await pass(clock, 300);
  assert.deepEqual(failures, ['first']);
  assert.equal(server.waitingCount, 0);
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

test('behind 5 000 that send a whole hello and no more, by default, others are served within 5 s, and memory is bounded', {
  timeout: 120_000,
}, async (t) => {
  const clock = new ManualClock({ wallNow: Date.now() });
  const server = serverWith({ clock });
  const hello = await clientHello();
  const before = process.memoryUsage();
  for (let i = 0; i < 5000; i++) {
    const { a, b } = memoryPair();
    a.attach(new RecordingSink());
    server.accept(b, { onSecure: () => assert.fail('it never finished'), onHandshakeFailed() {} });
    a.write(Uint8Array.from(hello));
  }
  await until(() => server.waitingCount === 5000 - 1024);
  const grown = process.memoryUsage().rss - before.rss;
  t.diagnostic(`resident memory grown by ${Math.round(grown / 1_048_576)} MiB`);
  // Had all begun, they would take 350 MiB.
  assert.ok(grown < 192 * 1_048_576, `${grown} bytes`);
  await pass(clock, 500);
  const cameAt = clock.now();
  let servedAfter = Infinity;
  const pair = shake(server);
  void pair.then(() => (servedAfter = clock.now() - cameAt));
  while (servedAfter === Infinity && clock.now() - cameAt < 5000) {
    clock.advance(100);
    // Enough for all that a tenth of a second has room for, 32 handshakes a turn.
    for (let turns = 0; turns < 10; turns++) await turn();
  }
  t.diagnostic(`served after ${servedAfter} ms, ${server.counts.shed} were cut`);
  assert.ok(servedAfter < 5000);
  (await pair).client.abort();
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
