/** Looking at a ClientHello without taking it: on streams of every kind, whatever comes, however it is cut. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { isWireError, protocolError } from '@ferrata/error';
import { type L4Stream, memoryPair, type RelayResult, relayed, tapped } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { connect, listen, type PeekedHello, peekClientHello, TlsServer } from '../../src/index.ts';
import { connectedPair, temporaryDirectory, until } from '../pairs.ts';
import { makeRig } from './server-rig.ts';

const rig = await makeRig();
const hello = await rig.clientHello({ servername: 'Climb.Example.TEST', ALPNProtocols: ['h2', 'acme/1'] });
const expected: PeekedHello = { serverName: 'climb.example.test', alpn: ['h2', 'acme/1'] };

const uint16 = (value: number): number[] => [value >> 8, value & 0xff];
const vector16 = (content: readonly number[]): number[] => [...uint16(content.length), ...content];
const nameExtension = (...names: string[]): number[] => [
  ...uint16(0),
  ...vector16(vector16(names.flatMap((name) => [0, ...vector16([...Buffer.from(name, 'latin1')])]))),
];

/** A hello written by hand (RFC 8446 §4.1.2). */
function helloWith(...extensions: readonly number[][]): Uint8Array {
  const body = [3, 3, ...new Array<number>(32).fill(7), 0, ...vector16([0x13, 1]), 1, 0, ...vector16(extensions.flat())];
  const message = [1, 0, ...uint16(body.length), ...body];
  return Uint8Array.from([22, 3, 1, ...vector16(message)]);
}

/** What the next sink gets, until the peer has ended. */
async function bytesOf(stream: L4Stream): Promise<Buffer> {
  const sink = new RecordingSink();
  stream.attach(sink);
  await until(() => sink.hasEnded || sink.isClosed);
  return Buffer.concat(sink.chunks());
}

async function outcomeOf(peeked: Promise<PeekedHello>): Promise<PeekedHello | string> {
  return peeked.catch((error: unknown) => {
    assert.ok(isWireError(error), String(error));
    return error.reason;
  });
}

describe('peekClientHello', () => {
  test('tells name and protocols, and the next sink gets every byte from the first on', async () => {
    const { a, b } = memoryPair();
    a.write(Uint8Array.from(hello));
    a.write(Uint8Array.of(1, 2, 3));
    assert.deepEqual(await peekClientHello(b), expected);
    a.end();
    assert.deepEqual(await bytesOf(b), Buffer.concat([hello, Uint8Array.of(1, 2, 3)]));
  });

  test('the same wherever the hello is cut in two', async () => {
    for (let at = 1; at < hello.length; at++) {
      const { a, b } = memoryPair();
      const peeked = peekClientHello(b);
      a.write(Uint8Array.from(hello.subarray(0, at)));
      await Promise.resolve();
      a.write(Uint8Array.from(hello.subarray(at)));
      a.end();
      assert.deepEqual(await peeked, expected, String(at));
      assert.deepEqual(await bytesOf(b), hello, String(at));
    }
  });

  test('any cuts, and whatever comes behind: one answer, and the same bytes (laws: split, conservation)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 12 }),
        fc.uint8Array({ maxLength: 200 }),
        async (sizes, behind) => {
          const all = Buffer.concat([hello, behind]);
          const { a, b } = memoryPair();
          const peeked = peekClientHello(b);
          for (let at = 0, i = 0; at < all.length; i++) {
            const size = sizes[i % sizes.length] as number;
            a.write(Uint8Array.from(all.subarray(at, at + size)));
            at += size;
          }
          a.end();
          assert.deepEqual(await peeked, expected);
          assert.deepEqual(await bytesOf(b), all);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('any bytes, and any change of a hello, have an answer, and are put back whatever it is (laws: total, conservation)', async () => {
    const changed = fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 5 }).map((changes) => {
      const bytes = Uint8Array.from(hello);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    const bytes = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }), changed);
    await fc.assert(
      fc.asyncProperty(bytes, fc.integer({ min: 1, max: 2_000 }), fc.constantFrom(1_024, 32_768), async (sent, size, maxBytes) => {
        const { a, b } = memoryPair();
        const outcome = outcomeOf(peekClientHello(b, { maxBytes }));
        for (let at = 0; at < sent.length; at += size) a.write(sent.slice(at, at + size));
        a.end();
        const answer = await outcome;
        if (typeof answer === 'string') assert.match(answer, /^TLS_(?:NOT_TLS|HELLO_MALFORMED|HELLO_TOO_LONG|HANDSHAKE_CUT)$/);
        assert.deepEqual(await bytesOf(b), Buffer.from(sent));
      }),
      { numRuns: 300 },
    );
  });

  test('a client that names nothing wants nothing in particular', async () => {
    for (const [bytes, serverName] of [
      [helloWith(), null],
      [helloWith(nameExtension('a.test.')), 'a.test'],
      [helloWith(nameExtension('127.0.0.1')), '127.0.0.1'],
      [helloWith(nameExtension('_svc.a-b.test')), '_svc.a-b.test'],
    ] as const) {
      const { a, b } = memoryPair();
      a.write(Uint8Array.from(bytes));
      assert.deepEqual(await peekClientHello(b), { serverName, alpn: [] });
    }
  });

  test('a name that others may read in another way is refused (RFC 6066 §3, RFC 8446 §4.2)', async () => {
    const twice = [nameExtension('a.test'), nameExtension('b.test')];
    const trailing = [...uint16(0), ...vector16([...vector16([0, ...vector16([0x61])]), 0])];
    const wrongs = [
      helloWith(...twice),
      helloWith(nameExtension('a.test', 'b.test')),
      helloWith(trailing),
      helloWith(nameExtension('')),
      helloWith(nameExtension('*.test')),
      helloWith(nameExtension('a.test\0.evil.test')),
      helloWith(nameExtension('a..test')),
      helloWith(nameExtension('a b')),
      helloWith(nameExtension('a\nb')),
      helloWith(nameExtension('bücher.test')),
      helloWith(nameExtension('x'.repeat(300))),
      helloWith([...uint16(0), ...vector16([])]),
      helloWith([...uint16(0), ...vector16(vector16([1, ...vector16([0x61])]))]),
      helloWith([...uint16(16), ...vector16(vector16([1, 0x61]))], [...uint16(16), ...vector16(vector16([1, 0x62]))]),
    ];
    for (const bytes of wrongs) {
      const { a, b } = memoryPair();
      a.write(Uint8Array.from(bytes));
      assert.equal(await outcomeOf(peekClientHello(b)), 'TLS_HELLO_MALFORMED', Buffer.from(bytes).toString('latin1'));
    }
  });

  test('another protocol is told at its first byte, and can be served', async () => {
    const { a, b } = memoryPair();
    a.write(new TextEncoder().encode('GET / HTTP/1.1\r\n'));
    await assert.rejects(peekClientHello(b), { type: 'tls', reason: 'TLS_NOT_TLS', source: 'downstream' });
    assert.equal(b.state, 'open');
    a.end();
    assert.equal(String(await bytesOf(b)), 'GET / HTTP/1.1\r\n');
  });

  test('a hello above maxBytes is refused before it is whole', async () => {
    const { a, b } = memoryPair();
    a.write(Uint8Array.from([22, 3, 1, 0x10, 0, 1, 0, 0x10, 0]));
    await assert.rejects(peekClientHello(b, { maxBytes: 1_024 }), { type: 'limit', reason: 'TLS_HELLO_TOO_LONG' });
  });

  test('a client that takes too long is told of, and its bytes are put back', async () => {
    for (const shared of [false, true]) {
      const clock = new ManualClock();
      const deadlines = new DeadlineQueue({ clock });
      const { a, b } = memoryPair();
      const peeked = peekClientHello(b, { timeoutMs: 100, ...(shared ? { deadlines } : { clock }) });
      const refused = assert.rejects(peeked, { type: 'timeout', reason: 'TLS_HELLO_TIMEOUT' });
      a.write(Uint8Array.from(hello.subarray(0, 50)));
      await new Promise(setImmediate);
      clock.advance(5_000);
      await refused;
      a.write(Uint8Array.from(hello.subarray(50)));
      a.end();
      assert.deepEqual(await bytesOf(b), hello);
      assert.equal(clock.pendingCount, 0);
    }
  });

  test('an end, a reset or a close before the hello is whole', async () => {
    const ended = memoryPair();
    ended.a.write(Uint8Array.from(hello.subarray(0, 50)));
    ended.a.end();
    assert.equal(await outcomeOf(peekClientHello(ended.b)), 'TLS_HANDSHAKE_CUT');
    // The half that is open can still say something.
    assert.deepEqual(await bytesOf(ended.b), hello.subarray(0, 50));
    assert.equal(ended.b.state, 'peerEnded');

    const clock = new ManualClock();
    const reset = memoryPair();
    const peeked = outcomeOf(peekClientHello(reset.b, { clock }));
    reset.a.abort(protocolError('TEST', 'gone'));
    assert.equal(await peeked, 'TLS_HANDSHAKE_CUT');
    assert.equal(clock.pendingCount, 0);
    assert.equal(await outcomeOf(peekClientHello(reset.b)), 'TLS_HANDSHAKE_CUT');
  });

  test('who resumes the stream before attaching to it loses nothing', async () => {
    const { a, b } = memoryPair();
    a.write(Uint8Array.from(hello));
    await peekClientHello(b);
    b.resume();
    await new Promise(setImmediate);
    a.end();
    assert.deepEqual(await bytesOf(b), hello);
  });

  test('works on sockets, and on streams over streams', async () => {
    using directory = temporaryDirectory();
    for (const where of ['127.0.0.1:0', `unix:${directory.file('a.sock')}`]) {
      for (const over of [(stream: L4Stream) => stream, (stream: L4Stream) => tapped(stream, {})]) {
        const { client, server, close } = await connectedPair(where);
        const stream = over(server);
        const peeked = peekClientHello(stream);
        client.write(Uint8Array.from(hello.subarray(0, 7)));
        await new Promise(setImmediate);
        client.write(Uint8Array.from(hello.subarray(7)));
        assert.deepEqual(await peeked, expected);
        client.write(Uint8Array.of(1));
        client.end();
        assert.deepEqual(await bytesOf(stream), Buffer.concat([hello, Uint8Array.of(1)]));
        stream.abort();
        client.abort();
        await close();
      }
    }
  });

  test('malformed options are refused at once', () => {
    const { b } = memoryPair();
    assert.throws(() => peekClientHello(b, { timeoutMs: 0 }), RangeError);
    assert.throws(() => peekClientHello(b, { maxBytes: 100 }), RangeError);
    assert.throws(() => peekClientHello(b, { deadlines: {} as DeadlineQueue }), TypeError);
    assert.throws(() => peekClientHello(b, { patience: 1 } as object), TypeError);
  });
});

test('a pass-through by name: the client is at the server that it has named, and nobody between has seen more than the name', async () => {
  const names = ['a.test', 'b.test'];
  const backends = await Promise.all(
    names.map(async (name) => {
      const issued = await rig.pki.authority.issue({ names: [name] });
      const tls = new TlsServer({ certificates: [{ certificate: issued.chain, key: issued.key }] });
      const listener = await listen({ address: '127.0.0.1:0', tls }, (stream) => {
        stream.attach({ onData() {}, onDrain() {}, onEnd: () => stream.end(), onClose() {} });
        stream.write(new TextEncoder().encode(name));
      });
      return { name, listener, tls };
    }),
  );
  const relays: Promise<RelayResult>[] = [];
  const front = await listen('127.0.0.1:0', async (stream) => {
    const { serverName } = await peekClientHello(stream);
    const backend = backends.find(({ name }) => name === serverName);
    if (backend === undefined) return stream.abort();
    relays.push(relayed(stream, await connect(backend.listener.address)));
  });
  try {
    for (const name of names) {
      const client = await connect(front.address, { tls: { serverName: name, ca: rig.trust.ca } });
      const sink = new RecordingSink();
      client.attach(sink);
      await until(() => sink.byteLength === name.length);
      assert.equal(String(Buffer.concat(sink.chunks())), name);
      client.end();
      await sink.untilClose();
    }
    for (const { error } of await Promise.all(relays)) assert.equal(error, null);
  } finally {
    await front.close();
    for (const { listener, tls } of backends) {
      await listener.close();
      await tls.close();
    }
  }
});
