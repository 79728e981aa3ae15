import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { applicationError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '@ferrata/testkit';
import { listen } from '../src/index.ts';
import { type ConnectedPair, connectedPair, until } from './pairs.ts';

/** A stream of ours joined to a bare socket of Node's, an independent witness. */
async function withBareSocket(body: (stream: L4Stream, socket: Socket) => Promise<void>): Promise<void> {
  const accepted = Promise.withResolvers<L4Stream>();
  await using listener = await listen('127.0.0.1:0', accepted.resolve);
  const port = listener.address.kind === 'ip' ? listener.address.port : 0;
  const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [stream] = await Promise.all([accepted.promise, once(socket, 'connect')]);
  try {
    await body(stream, socket);
  } finally {
    stream.abort();
    socket.destroy();
  }
}

async function withPair(body: (pair: ConnectedPair) => Promise<void>): Promise<void> {
  const pair = await connectedPair();
  try {
    await body(pair);
  } finally {
    pair.client.abort();
    pair.server.abort();
    await pair.close();
  }
}

describe('half-close', () => {
  test('we end, the peer goes on for a megabyte, then ends: closed in order', () =>
    withBareSocket(async (stream, socket) => {
      const sink = new RecordingSink();
      stream.attach(sink);
      stream.end();
      socket.resume();
      await once(socket, 'end');
      assert.equal(stream.state, 'ended');
      socket.end(positionalBytes(1_000_000));
      await sink.untilClose();
      assert.equal(sink.byteLength, 1_000_000);
      assert.equal(firstMisplacedByte(sink.bytes()), -1);
      assert.deepEqual(sink.kinds(), ['data', 'end', 'close']);
      assert.equal(sink.closeError, null);
    }));

  test('the peer ends, we go on for a megabyte, then end: closed in order', () =>
    withBareSocket(async (stream, socket) => {
      const sink = new RecordingSink();
      stream.attach(sink);
      socket.end();
      await sink.untilEnd();
      assert.equal(stream.state, 'peerEnded');
      let received = 0;
      socket.on('data', (chunk) => (received += chunk.length));
      stream.write(positionalBytes(1_000_000));
      stream.end();
      await sink.untilClose();
      await once(socket, 'end');
      assert.equal(received, 1_000_000);
      assert.equal(sink.closeError, null);
    }));
});

describe('resets and aborts', () => {
  test('a reset by the peer is CONNECTION_RESET, retryable on a reused connection', () =>
    withBareSocket(async (stream, socket) => {
      const sink = new RecordingSink();
      stream.attach(sink);
      socket.resetAndDestroy();
      await sink.untilClose();
      assert.deepEqual([sink.closeError?.reason, sink.closeError?.retry], ['CONNECTION_RESET', 'ifReused']);
      assert.deepEqual(sink.kinds(), ['close']);
    }));

  test('abort with an error resets, so that the peer cannot take the cut for an end', () =>
    withBareSocket(async (stream, socket) => {
      const sink = new RecordingSink();
      stream.attach(sink);
      socket.resume();
      const error = applicationError('TEST');
      stream.abort(error);
      const [seen] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.equal(seen.code, 'ECONNRESET');
      await sink.untilClose();
      assert.equal(sink.closeError, error);
    }));

  test('abort without an error looks like an end to the peer', () =>
    withBareSocket(async (stream, socket) => {
      stream.attach(new RecordingSink());
      socket.resume();
      stream.abort();
      await once(socket, 'end');
    }));

  test('abort while an end waits behind unsent bytes is a reset, not an early end', () =>
    withBareSocket(async (stream, socket) => {
      const reset = once(socket, 'error');
      const sink = new RecordingSink();
      stream.attach(sink);
      while (stream.write(positionalBytes(65_536)));
      stream.end();
      stream.abort(applicationError('TEST'));
      await sink.untilClose();
      assert.equal(stream.bufferedBytes, 0);
      socket.resume();
      const [error] = (await reset) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNRESET');
      assert.equal(socket.readableEnded, false);
    }));

  test('a throw from onClose is a warning', (t) =>
    withPair(async ({ client }) => {
      const warnings: unknown[] = [];
      t.mock.method(process, 'emitWarning', (warning: unknown) => warnings.push(warning));
      for (const thrown of [new Error('a bug'), new Error('another')]) {
        const sink = new RecordingSink({
          onClose: () => {
            throw thrown;
          },
        });
        client.attach(sink);
        client.abort();
        await sink.untilClose();
        await until(() => warnings.at(-1) === thrown);
      }
    }));
});

describe('back-pressure', () => {
  test('a paused reader stops a writer after a bounded number of bytes, and all arrive in the end', () =>
    withPair(async ({ client, server }) => {
      const reader = new RecordingSink();
      const writer = new RecordingSink();
      client.attach(reader);
      server.attach(writer);
      client.pause();
      let written = 0;
      const block = 16_384;
      while (server.write(positionalBytes(block, 0, written))) written += block;
      written += block;
      assert.ok(server.bufferedBytes >= 65_536);
      assert.ok(server.bufferedBytes < 65_536 + block);
      assert.equal(reader.byteLength, 0);
      client.resume();
      await writer.until(() => writer.drainCount > 0);
      await reader.untilBytes(written);
      assert.equal(firstMisplacedByte(reader.bytes()), -1);
    }));

  test('a reader that pauses in every onData loses, doubles and reorders nothing', async () => {
    for (const side of ['client', 'server'] as const) {
      await withPair(async (pair) => {
        const [reading, writing] = side === 'client' ? [pair.client, pair.server] : [pair.server, pair.client];
        const reader = new RecordingSink({
          onData: () => {
            reading.pause();
            setImmediate(() => reading.resume());
          },
        });
        reading.attach(reader);
        writing.attach(new RecordingSink());
        writing.write(positionalBytes(700_001));
        writing.end();
        await reader.untilEnd();
        assert.equal(reader.byteLength, 700_001);
        assert.equal(firstMisplacedByte(reader.bytes()), -1);
      });
    }
  });

  test('resume and pause in one tick leave a stream paused, with at most one read of the socket held', () =>
    withPair(async ({ client, server }) => {
      const reader = new RecordingSink();
      client.attach(reader);
      client.pause();
      client.resume();
      client.pause();
      server.attach(new RecordingSink());
      while (server.write(positionalBytes(65_536)));
      assert.ok(server.bufferedBytes > 0, 'the writer is stopped');
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(reader.byteLength, 0);
    }));

  test('one write larger than every buffer goes out in pieces (partial writes)', () =>
    withPair(async ({ client, server }) => {
      const reader = new RecordingSink();
      const writer = new RecordingSink();
      client.attach(reader);
      server.attach(writer);
      assert.equal(server.write(positionalBytes(12_000_000)), false);
      server.end();
      await reader.untilEnd();
      assert.equal(reader.byteLength, 12_000_000);
      assert.equal(firstMisplacedByte(reader.bytes()), -1);
      assert.ok(reader.chunks().length > 12);
    }));

  test('a writer that never waits is cut off at the hard limit', () =>
    withPair(async ({ client, server }) => {
      const writer = new RecordingSink();
      server.attach(writer);
      client.attach(new RecordingSink());
      client.pause();
      for (let i = 0; i < 2_000 && server.state === 'open'; i++) server.write(positionalBytes(65_536));
      await writer.untilClose();
      assert.deepEqual([writer.closeError?.reason, writer.closeError?.fault], ['STREAM_WRITE_OVERFLOW', 'local']);
    }));

  test('writev above and below the size that is copied writes the same bytes', () =>
    withPair(async ({ client, server }) => {
      const reader = new RecordingSink();
      client.attach(reader);
      let at = 0;
      for (const sizes of [[], [0], [1, 2, 3], [0, 4_000, 96], [4_000, 97], [70_000, 0, 1, 100_000], [5_000]]) {
        server.writev(sizes.map((size) => positionalBytes(size, 0, (at += size) - size)));
      }
      server.end();
      server.attach(new RecordingSink());
      await reader.untilEnd();
      assert.equal(reader.byteLength, at);
      assert.equal(firstMisplacedByte(reader.bytes()), -1);
      assert.equal(server.writev([positionalBytes(5_000), positionalBytes(5_000)]), false);
    }));

  test('writev answers false when full, and is cut off at the hard limit too', () =>
    withPair(async ({ client, server }) => {
      const writer = new RecordingSink();
      server.attach(writer);
      client.attach(new RecordingSink());
      client.pause();
      while (server.writev([positionalBytes(100), positionalBytes(60_000)]));
      for (let i = 0; i < 100; i++) server.writev([positionalBytes(100), positionalBytes(60_000)]);
      await writer.untilClose();
      assert.equal(writer.closeError?.reason, 'STREAM_WRITE_OVERFLOW');
    }));
});

describe('the facts about a stream', () => {
  test('addresses read once stay known after the close; read later they are unset', () =>
    withPair(async ({ client, server, listener }) => {
      assert.deepEqual(client.info.remoteAddress, listener.address);
      const sinks = [client, server].map((stream) => {
        const sink = new RecordingSink();
        stream.attach(sink);
        stream.end();
        return sink;
      });
      await Promise.all(sinks.map((sink) => sink.untilClose()));
      assert.deepEqual(client.info.remoteAddress, listener.address);
      assert.deepEqual(server.info.remoteAddress, { kind: 'unset' });
    }));
});

describe('ownership of chunks (contract line 3)', () => {
  test('chunks of many connected sockets, small and full reads mixed, are never rewritten', async () => {
    const pairs = await Promise.all(Array.from({ length: 8 }, () => connectedPair()));
    const sizes = [1, 65_536, 100, 32_768, 200_000, 4_095, 32_769, 65_536, 65_537, 3, 300_000];
    const readers = pairs.map(({ client, server }, seed) => {
      const copies: Uint8Array[] = [];
      const reader = new RecordingSink({ onData: (chunk) => copies.push(chunk.slice()) });
      client.attach(reader);
      server.attach(new RecordingSink());
      return { reader, copies, seed };
    });
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    let at = 0;
    for (const size of sizes) {
      pairs.forEach(({ server }, seed) => server.write(positionalBytes(size, seed, at)));
      at += size;
      await turn();
      await turn();
    }
    await Promise.all(readers.map(({ reader }) => reader.untilBytes(at)));
    for (const { reader, copies, seed } of readers) {
      assert.deepEqual(reader.chunks(), copies);
      assert.equal(firstMisplacedByte(reader.bytes(), seed), -1);
    }
    for (const { client, server, close } of pairs) {
      client.abort();
      server.abort();
      await close();
    }
  });
});
