/** What layers on top ask of a socket's stream: bytes put back, other facts, and the socket itself. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { ioError } from '@ferrata/error';
import { RecordingSink } from '@ferrata/testkit';
import { SocketStream } from '../src/socket/socket-stream.ts';
import { connectedPair, until } from './pairs.ts';

const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

async function withAccepted(body: (stream: SocketStream, peer: SocketStream, connections: () => number) => Promise<void>): Promise<void> {
  const { client, server, listener, close } = await connectedPair();
  assert.ok(server instanceof SocketStream && client instanceof SocketStream);
  try {
    await body(server, client, () => listener.connectionCount);
  } finally {
    client.abort();
    server.abort();
    await close();
  }
}

test('bytes put back come before newer ones, the last put back first', () =>
  withAccepted(async (stream, peer) => {
    stream.unread(ascii('b'));
    stream.unread(ascii('a'));
    stream.unread(new Uint8Array(0));
    peer.attach(new RecordingSink());
    peer.write(ascii('d'));
    const sink = new RecordingSink();
    stream.attach(sink, ascii('0'));
    await sink.untilBytes(4);
    assert.equal(Buffer.concat(sink.chunks()).toString(), '0abd');
    // To the same sink, while bytes flow.
    stream.unread(ascii('c'));
    assert.equal(sink.byteLength, 4, 'never from inside the call');
    await sink.untilBytes(5);
    stream.pause();
    stream.unread(ascii('later'));
    const next = new RecordingSink();
    stream.attach(next);
    await next.untilBytes(5);
    assert.equal(Buffer.concat(next.chunks()).toString(), 'later');
  }));

test('other facts replace those of the socket', () =>
  withAccepted(async (stream) => {
    const info = { ...stream.info, kind: 'known', extension: 7 };
    stream.replaceInfo(info);
    assert.equal(stream.info, info);
  }));

test("a released socket is somebody else's: the stream is closed, and counted until the socket closes", () =>
  withAccepted(async (stream, peer, connections) => {
    const first = new RecordingSink();
    stream.attach(first);
    stream.unread(ascii('put back'));
    const released = stream.releaseHost();
    assert.ok(released !== null);
    assert.equal(Buffer.concat(released.unread).toString(), 'put back');
    assert.equal(stream.state, 'closed');
    assert.equal(stream.write(ascii('x')), false);
    assert.equal(stream.bufferedBytes, 0);
    for (const call of ['pause', 'resume', 'end', 'abort'] as const) stream[call]();
    assert.equal(stream.releaseHost(), null);
    const late = new RecordingSink();
    stream.attach(late);
    stream.pause();
    await late.untilClose();
    assert.equal(late.closeError, null);
    // The socket works still.
    const { host } = released;
    peer.attach(new RecordingSink());
    peer.write(ascii('hello'));
    const data = once(host, 'data') as Promise<[Buffer]>;
    host.resume();
    assert.equal((await data)[0].toString(), 'hello');
    assert.equal(connections(), 1);
    host.destroy();
    await until(() => connections() === 0);
    assert.deepEqual(first.events, [], 'the former sink hears nothing');
  }));

test('abort of what was released resets, as that of the stream would have', () =>
  withAccepted(async (stream, peer) => {
    const sink = new RecordingSink();
    peer.attach(sink);
    stream.releaseHost()?.abort(ioError('TEST'));
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
  }));

test('a socket is not released once a side has ended, or while bytes are still to be sent', async () => {
  await withAccepted(async (stream) => {
    stream.end();
    assert.equal(stream.releaseHost(), null);
  });
  await withAccepted(async (stream, peer) => {
    const sink = new RecordingSink();
    stream.attach(sink);
    peer.end();
    await sink.untilEnd();
    assert.equal(stream.releaseHost(), null);
  });
  await withAccepted(async (stream) => {
    while (stream.write(new Uint8Array(65_536)));
    assert.equal(stream.releaseHost(), null);
  });
  await withAccepted(async (stream) => {
    stream.abort();
    assert.equal(stream.releaseHost(), null);
  });
});
