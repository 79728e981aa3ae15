/** Connections that break at every place, come byte by byte, and carry many tunnels at once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { ioError, WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type L4Stream, type MemoryCarrier, memoryPair } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '@ferrata/testkit';
import { ConnectServer, connectThrough } from '@ferrata/tunnel';
import { AUTHORITY, clientOn, ProxyRig, settle, VERSIONS, type Version } from './rig.ts';

/** What became of one conversation. */
interface Outcome {
  /** Bytes that the cut side has sent, if they all came. */
  readonly sentBytes: number;
  readonly error: unknown;
  readonly received: number;
}

/** A tunnel of which one direction of the connection below is reset after so many bytes. */
async function cutAfter(version: Version, side: 'a' | 'b', cutBytes: number): Promise<Outcome> {
  const environment = new HttpEnvironment();
  let sentBytes = 0;
  const carry: MemoryCarrier = (parcel, deliver, from) => {
    if (from !== side || parcel.kind !== 'data') {
      deliver(parcel);
      return;
    }
    const left = cutBytes - sentBytes;
    sentBytes += parcel.chunk.length;
    if (left < 0) return;
    if (left > 0) deliver({ kind: 'data', chunk: parcel.chunk.slice(0, left) });
    if (left >= parcel.chunk.length) return;
    const error = ioError('CONNECTION_RESET', 'cut');
    deliver({ kind: 'reset', error });
    queueMicrotask(() => below[from].abort(error));
  };
  const below = memoryPair({ carry });
  const onTunnel = (stream: L4Stream): void => {
    const echo = new RecordingSink({ onData: (chunk) => void stream.write(chunk), onEnd: () => stream.end() });
    stream.attach(echo);
  };
  const server = new HttpServer(new ConnectServer({ environment, decide: () => true, onTunnel }), { environment });
  server.accept(below.b);
  const session = clientOn(below.a, version, environment);
  const sink = new RecordingSink();
  let error: unknown = null;
  try {
    const stream = await connectThrough(session, AUTHORITY, { environment });
    stream.attach(sink);
    stream.write(positionalBytes(40));
    stream.end();
    await sink.untilClose();
    error = sink.closeError;
  } catch (thrown) {
    error = thrown;
  }
  session.close();
  below.a.abort();
  below.b.abort();
  await settle();
  assert.equal(server.connectionCount, 0);
  assert.equal(environment.deadlines.size, 0);
  assert.equal(firstMisplacedByte(sink.bytes()), -1);
  return { sentBytes, error, received: sink.byteLength };
}

for (const version of VERSIONS) {
  describe(`a connection of ${version} with a tunnel`, () => {
    for (const side of ['a', 'b'] as const) {
      it(`may be reset behind every byte that the ${side === 'a' ? 'client' : 'proxy'} sends: an error each time, and nothing left behind`, async () => {
        const whole = await cutAfter(version, side, Number.MAX_SAFE_INTEGER);
        assert.equal(whole.error, null);
        assert.equal(whole.received, 40);
        let early = 0;
        for (let cut = 0; cut < whole.sentBytes; cut++) {
          const { error } = await cutAfter(version, side, cut);
          // The last bytes of a connection of HTTP/2 are acknowledgements that the tunnel does not need.
          if (error === null) continue;
          assert.ok(error instanceof WireError, `cut after ${cut}`);
          assert.equal(error.retry === 'always', false, `cut after ${cut}: ${error.reason}`);
          early++;
        }
        assert.ok(early > 40, `${early} of ${whole.sentBytes} cuts were errors`);
      });
    }

    it('may come byte by byte', async () => {
      const environment = new HttpEnvironment();
      const carry: MemoryCarrier = (parcel, deliver) => {
        if (parcel.kind !== 'data') deliver(parcel);
        else for (const byte of parcel.chunk) deliver({ kind: 'data', chunk: Uint8Array.of(byte) });
      };
      const below = memoryPair({ carry });
      const onTunnel = (stream: L4Stream): void => {
        stream.attach(new RecordingSink({ onData: (chunk) => void stream.write(chunk), onEnd: () => stream.end() }));
      };
      new HttpServer(new ConnectServer({ environment, decide: () => true, onTunnel }), { environment }).accept(below.b);
      const stream = await connectThrough(clientOn(below.a, version, environment), AUTHORITY, { environment });
      const sink = new RecordingSink();
      stream.attach(sink);
      stream.write(positionalBytes(300));
      stream.end();
      await sink.untilClose();
      assert.equal(sink.closeError, null);
      assert.equal(sink.byteLength, 300);
      assert.equal(firstMisplacedByte(sink.bytes()), -1);
      below.a.abort();
    });
  });
}

describe('many tunnels on one connection of HTTP/2', () => {
  it('carry each its own, and all end in order', async () => {
    const rig = new ProxyRig('http2');
    const pairs: { readonly a: L4Stream; readonly b: L4Stream }[] = [];
    for (let i = 0; i < 60; i++) pairs.push(await rig.pair());
    const sinks = pairs.map(({ a, b }, i) => {
      const ends = { a: new RecordingSink(), b: new RecordingSink() };
      a.attach(ends.a);
      b.attach(ends.b);
      a.write(positionalBytes(20_000, i));
      b.write(positionalBytes(30_000, 100 + i));
      a.end();
      b.end();
      return ends;
    });
    for (const [i, { a, b }] of sinks.entries()) {
      await Promise.all([a.untilClose(), b.untilClose()]);
      assert.deepEqual([a.closeError, b.closeError], [null, null]);
      assert.deepEqual([a.byteLength, b.byteLength], [30_000, 20_000]);
      assert.equal(firstMisplacedByte(b.bytes(), i), -1);
      assert.equal(firstMisplacedByte(a.bytes(), 100 + i), -1);
    }
    assert.equal(rig.session.isReusable, true);
    await settle();
    assert.equal(rig.told.at(-1), 'idle');
    rig.close();
  });

  for (const side of ['a', 'b'] as const) {
    it(`may end by reset, thousands in no time, without harm to their neighbours (${side === 'a' ? 'clients' : 'servers'} reset)`, async () => {
      const rig = new ProxyRig('http2', {}, new HttpEnvironment({ clock: new ManualClock() }));
      const neighbour = await rig.pair();
      const sink = new RecordingSink();
      neighbour.a.attach(sink);
      for (let count = 0; count < 2_000; count += 50) {
        const pairs = [];
        for (let i = 0; i < 50; i++) pairs.push(await rig.pair());
        for (const { a, b } of pairs) {
          const heard = new RecordingSink();
          a.attach(heard);
          b.attach(new RecordingSink());
          b.write(positionalBytes(1));
          await heard.untilBytes(1);
        }
        for (const pair of pairs) pair[side].abort();
      }
      neighbour.b.attach(new RecordingSink());
      neighbour.b.write(positionalBytes(10));
      await sink.untilBytes(10);
      rig.close();
    });
  }

  it('that are reset one after the other without having carried anything end the connection, as a flood of requests does (CVE-2023-44487)', async () => {
    const rig = new ProxyRig('http2', {}, new HttpEnvironment({ clock: new ManualClock() }));
    let made = 0;
    for (; made < 300; made++) {
      const stream = await rig.open().catch(() => null);
      if (stream === null) break;
      stream.abort();
    }
    assert.ok(made >= 199 && made < 300, `${made} tunnels`);
    assert.equal(rig.session.isReusable, false);
    rig.close();
  });

  it('are all told when it is lost', async () => {
    const rig = new ProxyRig('http2');
    const sinks: RecordingSink[] = [];
    for (let i = 0; i < 20; i++) {
      for (const stream of Object.values(await rig.pair()).slice(0, 2) as L4Stream[]) {
        const sink = new RecordingSink();
        stream.attach(sink);
        sinks.push(sink);
      }
    }
    rig.clientEnd.abort();
    for (const sink of sinks) await sink.untilClose();
    assert.equal(sinks.length, 40);
    assert.equal(rig.server.connectionCount, 0);
  });
});

describe('a connection that speaks no HTTP', () => {
  for (const version of VERSIONS) {
    it(`is no tunnel over ${version}`, async () => {
      const environment = new HttpEnvironment();
      const { a, b } = memoryPair();
      const session = clientOn(a, version, environment);
      const promise = connectThrough(session, AUTHORITY, { environment });
      b.attach(new RecordingSink());
      b.write(positionalBytes(200));
      await assert.rejects(promise, { reason: 'TUNNEL_CLOSED' });
    });
  }
});
