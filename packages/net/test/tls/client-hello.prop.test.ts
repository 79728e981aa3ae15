/** The ClientHello reader: the same answer however the bytes are cut, nothing but answers for any bytes, and no more bytes held than allowed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import fc from 'fast-check';
import { type ClientHello, ClientHelloReader, type ClientHelloState } from '../../src/tls/client-hello.ts';
import { until } from '../pairs.ts';
import { nodeClient } from './server-rig.ts';

/** A hello written by hand (RFC 8446 §4.1.2), in one handshake message. */
function helloOf(extensions: readonly (readonly [number, readonly number[]])[] | null): number[] {
  const list = extensions?.flatMap(([type, content]) => [...uint16(type), ...vector16(content)]);
  const body = [3, 3, ...new Array<number>(32).fill(7), 0, ...vector16([0x13, 1]), 1, 0, ...(list === undefined ? [] : vector16(list))];
  return [1, 0, ...uint16(body.length), ...body];
}

function records(message: readonly number[], size: number): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < message.length; at += size) bytes.push(22, 3, 1, ...vector16(message.slice(at, at + size)));
  return Uint8Array.from(bytes);
}

const uint16 = (value: number): number[] => [value >> 8, value & 0xff];
const vector16 = (content: readonly number[]): number[] => [...uint16(content.length), ...content];
const ascii = (text: string): number[] => [...Buffer.from(text)];
const nameExtension = (name: string): [number, number[]] => [0, vector16([0, ...vector16(ascii(name))])];
const alpnExtension = (...names: string[]): [number, number[]] => [16, vector16(names.flatMap((name) => [name.length, ...ascii(name)]))];

function read(chunks: readonly Uint8Array[], maxBytes = 32_768): { state: ClientHelloState; hello: ClientHello; held: number } {
  const reader = new ClientHelloReader(maxBytes);
  let state: ClientHelloState = 'partial';
  for (const chunk of chunks) {
    state = reader.feed(chunk);
    if (state !== 'partial') break;
  }
  return { state, hello: reader.hello, held: reader.takeBytes().length };
}

test('the name, the protocols, the wish for a staple and the ticket are read (RFC 6066, RFC 7301, RFC 5077, RFC 8446 §4.2.11)', () => {
  const ticket = Array.from({ length: 40 }, (_, i) => i);
  const identity = Array.from({ length: 40 }, (_, i) => 100 + i);
  const withTicket = helloOf([
    nameExtension('Example.TEST'),
    alpnExtension('h2', 'http/1.1'),
    [5, [1, 0, 0, 0, 0]],
    [35, ticket],
    [9999, []],
  ]);
  const { state, hello } = read([records(withTicket, 16_384)]);
  assert.equal(state, 'complete');
  assert.equal(hello.serverName, 'example.test');
  assert.deepEqual(hello.alpn, ['h2', 'http/1.1']);
  assert.equal(hello.asksForStaple, true);
  assert.deepEqual([...(hello.ticketName ?? [])], ticket.slice(0, 16));
  const psk = [41, [...vector16([...vector16(identity), 0, 0, 0, 0]), 0, 0]] as const;
  assert.deepEqual([...(read([records(helloOf([[35, ticket], psk]), 50)]).hello.ticketName ?? [])], identity.slice(0, 16));
});

test('a hello without extensions, or with an empty name, says nothing', () => {
  assert.deepEqual(read([records(helloOf(null), 100)]), {
    state: 'complete',
    hello: { serverName: null, alpn: null, asksForStaple: false, ticketName: null },
    held: records(helloOf(null), 100).length,
  });
  assert.equal(read([records(helloOf([nameExtension('')]), 100)]).hello.serverName, null);
  assert.equal(read([records(helloOf([[0, []]]), 100)]).hello.serverName, null);
  assert.equal(read([records(helloOf([[0, vector16([9, ...vector16(ascii('x'))])]]), 100)]).hello.serverName, null);
  assert.equal(read([records(helloOf([[41, [0, 1]]]), 100)]).hello.ticketName, null);
});

test('what cannot be understood is left to OpenSSL', () => {
  const whole = helloOf([nameExtension('a')]);
  const wrongs: number[][] = [
    [0x47, 0x45, 0x54],
    [22, 2],
    [22, 3, 1, 0x40, 1],
    [...records([2, ...whole.slice(1)], 500)],
    [...records(helloOf([[16, [0, 9, 2, 0x68]]]), 500)],
    [...records(helloOf([[16, [0, 1, 2]]]), 500)],
    [...records([1, 0, 0, 3, 3, 3, 0], 500)],
    // An extension that is longer than the list of them.
    [...records(whole.slice(0, -1).with(3, (whole[3] as number) - 1), 500)],
  ];
  for (const bytes of wrongs) assert.equal(read([Uint8Array.from(bytes)]).state, 'unclear', bytes.join(' '));
});

test('empty records hide nothing from us that OpenSSL would see', () => {
  const empty = [22, 3, 1, 0, 0];
  const named = helloOf([nameExtension('a.test')]);
  for (const size of [16_384, 3, 1]) {
    const split = [...records(named, size)];
    const bytes = Uint8Array.from([
      ...empty,
      ...empty,
      ...split.slice(0, 5 + Math.min(size, named.length)),
      ...empty,
      ...split.slice(5 + Math.min(size, named.length)),
    ]);
    assert.equal(read([bytes]).hello.serverName, 'a.test');
    assert.equal(read(Array.from(bytes, (byte) => Uint8Array.of(byte))).hello.serverName, 'a.test');
  }
  const many = Uint8Array.from(Array.from({ length: 500 }, () => empty).flat());
  assert.equal(read([many], 2048).state, 'tooLong');
});

test('a hello that comes byte by byte takes no more memory than twice its bytes', () => {
  const reader = new ClientHelloReader(32_768);
  const bytes = records(helloOf([[9999, new Array<number>(20_000).fill(0)]]), 16_384);
  let most = 0;
  for (const [i, byte] of bytes.subarray(0, -1).entries()) {
    reader.feed(Uint8Array.of(byte));
    most = Math.max(most, reader.heldBytes / Math.max(256, 2 * (i + 1)));
  }
  assert.ok(most <= 1, String(most));
  assert.deepEqual(reader.takeBytes(), bytes.subarray(0, -1));
});

test('a hello beyond the limit is told before it is there', () => {
  assert.equal(read([Uint8Array.from([22, 3, 1, 0x10, 0, 1, 1, 0, 0])], 32_768).state, 'tooLong');
  const sprinkled = records(helloOf([nameExtension('x'.repeat(1500))]), 1);
  const { state, held } = read(
    Array.from(sprinkled, (byte) => Uint8Array.of(byte)),
    2048,
  );
  assert.equal(state, 'tooLong');
  assert.equal(held, 2048);
});

test('the answer does not depend on how records and chunks are cut (law: split)', async () => {
  const real = await nodeHello();
  const expected = read([real]);
  assert.equal(expected.state, 'complete');
  assert.deepEqual(expected.hello.alpn, ['h2', 'acme/1']);
  const message = [...real.subarray(5)];
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 700 }),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }),
      (size, cuts) => {
        const bytes = records(message, size);
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + (cuts[i % cuts.length] as number);
          chunks.push(bytes.subarray(at, end));
          at = end;
        }
        const { state, hello } = read(chunks);
        assert.equal(state, 'complete');
        assert.deepEqual(hello, expected.hello);
      },
    ),
    { numRuns: 200 },
  );
});

test('any bytes, and any change of a hello, have an answer; chunks are kept as they came (laws: total, conservation)', async () => {
  const real = await nodeHello();
  const changed = fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
    const bytes = Uint8Array.from(real);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }), changed), fc.integer({ min: 1, max: 64 }), (bytes, size) => {
      const copy = Uint8Array.from(bytes);
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      const { state } = read(chunks);
      assert.ok(['partial', 'complete', 'unclear', 'tooLong'].includes(state));
      assert.deepEqual(bytes, copy);
    }),
    { numRuns: 500 },
  );
});

async function nodeHello(): Promise<Uint8Array> {
  const { a, b } = memoryPair();
  const sink = new RecordingSink();
  b.attach(sink);
  const { socket } = nodeClient(a, { ALPNProtocols: ['h2', 'acme/1'] });
  await until(() => sink.byteLength > 0);
  socket.destroy();
  return Uint8Array.from(Buffer.concat(sink.chunks()));
}
