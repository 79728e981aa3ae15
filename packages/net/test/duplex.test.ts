import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { Duplex, duplexPair, PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import { applicationError, WireError } from '@ferrata/error';
import { type L4Sink, memoryPair } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '@ferrata/testkit';
import { fromDuplex, listen, toDuplex } from '../src/index.ts';

describe('toDuplex', () => {
  test('works in a pipeline, with back-pressure both ways', async () => {
    const { a, b } = memoryPair();
    b.attach(new RecordingSink({ onData: (chunk) => void b.write(chunk), onEnd: () => b.end() }));
    const duplex = toDuplex(a);
    const blocks = Array.from({ length: 40 }, (_, i) => positionalBytes(25_000, 0, i * 25_000));
    const [echoed] = await Promise.all([buffer(duplex), pipeline(Readable.from(blocks, { objectMode: false }), new PassThrough(), duplex)]);
    assert.equal(echoed.byteLength, 1_000_000);
    assert.equal(firstMisplacedByte(echoed), -1);
  });

  test('the head comes first', async () => {
    const { a, b } = memoryPair();
    b.write(Buffer.from(' and more'));
    b.end();
    const duplex = toDuplex(a, Buffer.from('head'));
    assert.equal((await buffer(duplex)).toString(), 'head and more');
    duplex.end();
    b.attach(new RecordingSink());
    await once(duplex, 'close');
  });

  test('a slow reader of the duplex pauses the stream', async () => {
    const { a, b } = memoryPair();
    const duplex = toDuplex(a);
    const writer = new RecordingSink();
    b.attach(writer);
    let written = 0;
    while (b.write(positionalBytes(10_000, 0, written))) {
      written += 10_000;
      await new Promise((resolve) => setImmediate(resolve));
    }
    written += 10_000;
    assert.ok(duplex.readableLength > 0);
    b.end();
    const read = await buffer(duplex);
    assert.equal(read.byteLength, written);
    assert.equal(firstMisplacedByte(read), -1);
    duplex.end();
  });

  test('a full stream holds the callback of a write until it drains', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 10 });
    const duplex = toDuplex(a);
    let isWritten = false;
    duplex.write(positionalBytes(20), () => (isWritten = true));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isWritten, false);
    const drained = new Promise((resolve) => duplex.write(positionalBytes(3), resolve));
    b.attach(new RecordingSink());
    await drained;
    assert.equal(isWritten, true);
    duplex.destroy();
  });

  test('destroy answers a write in flight with an error, as every duplex of Node does', async () => {
    const { a } = memoryPair({ highWaterBytes: 10 });
    const duplex = toDuplex(a);
    const written = new Promise<Error | null | undefined>((resolve) => duplex.write(positionalBytes(20), resolve));
    await new Promise((resolve) => setImmediate(resolve));
    duplex.destroy();
    assert.ok((await written) instanceof Error);
  });

  test('destroy with an error aborts the stream with it as the cause, and close follows', async () => {
    const { a, b } = memoryPair();
    const sink = new RecordingSink();
    b.attach(sink);
    const duplex = toDuplex(a);
    const seen = once(duplex, 'error');
    const error = new Error('a bug');
    duplex.destroy(error);
    assert.deepEqual(await seen, [error]);
    assert.equal(a.state, 'closed');
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
  });

  test('an error of the stream destroys the duplex with that WireError, also while a write waits', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 10 });
    const duplex = toDuplex(a);
    duplex.write(positionalBytes(20));
    duplex.write(positionalBytes(20));
    const seen = once(duplex, 'error');
    b.abort(applicationError('TEST'));
    const [error] = (await seen) as [unknown];
    assert.ok(error instanceof WireError);
    assert.equal(error.reason, 'CONNECTION_RESET');
    duplex.destroy();
  });

  test('a write that waits when the stream closes without an error is told that it was lost, and no error is emitted', async () => {
    const { a } = memoryPair({ highWaterBytes: 10 });
    const duplex = toDuplex(a);
    duplex.on('error', () => assert.fail('a bare abort is no error of the duplex'));
    const written = [20, 3].map(
      (length) => new Promise<Error | null | undefined>((resolve) => duplex.write(positionalBytes(length), resolve)),
    );
    await new Promise((resolve) => setImmediate(resolve));
    a.abort();
    await once(duplex, 'close');
    for (const error of await Promise.all(written)) assert.ok(error instanceof Error);
  });

  test('a write from inside which the stream closes is told that it was lost', async () => {
    const { a } = memoryPair();
    const error = applicationError('TEST');
    let sink: L4Sink | null = null;
    const closing = new Proxy(a, {
      get(stream, name) {
        if (name === 'attach') return (attached: L4Sink) => (sink = attached);
        if (name !== 'write') return Reflect.get(stream, name, stream) as unknown;
        return () => {
          sink?.onClose(error);
          return false;
        };
      },
    });
    const duplex = toDuplex(closing);
    const emitted = once(duplex, 'error');
    assert.equal(await new Promise((resolve) => duplex.write(positionalBytes(20), resolve)), error);
    assert.deepEqual(await emitted, [error]);
  });

  test('an abort of the stream from elsewhere closes the duplex', async () => {
    const { a } = memoryPair();
    const duplex = toDuplex(a);
    a.abort();
    await once(duplex, 'close');
    assert.equal(duplex.destroyed, true);
  });
});

describe('fromDuplex', () => {
  test('a duplex that emits from inside write does not call the sink from inside write (contract line 2)', async () => {
    const stream = fromDuplex(new PassThrough());
    let isInside = false;
    const sink: RecordingSink = new RecordingSink({ onData: () => assert.equal(isInside, false) });
    stream.attach(sink);
    await new Promise((resolve) => setImmediate(resolve));
    for (const text of ['a', 'b', 'c']) {
      isInside = true;
      stream.write(Buffer.from(text));
      isInside = false;
    }
    await sink.untilBytes(3);
    stream.end();
    await sink.untilClose();
    assert.equal(sink.text(), 'abc');
    assert.equal(sink.closeError, null);
  });

  test('a duplex in object mode, with an encoding, or wrapped already is refused', () => {
    assert.throws(() => fromDuplex(new PassThrough({ objectMode: true })), /object mode/);
    assert.throws(() => fromDuplex(new PassThrough({ encoding: 'utf8' })), /encoding/);
    const duplex = new PassThrough();
    fromDuplex(duplex);
    assert.throws(() => fromDuplex(duplex), /a stream already/);
  });

  test('a duplex that was destroyed before closes with CONNECTION_CLOSED_EARLY', async () => {
    const duplex = new PassThrough();
    duplex.destroy();
    const stream = fromDuplex(duplex);
    assert.equal(stream.state, 'closed');
    const sink = new RecordingSink();
    stream.attach(sink);
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_CLOSED_EARLY');
  });

  test('a duplex whose sides had ended before tells of it', async () => {
    const duplex = new PassThrough({ allowHalfOpen: true, autoDestroy: false });
    duplex.end();
    duplex.resume();
    await once(duplex, 'end');
    const stream = fromDuplex(duplex);
    assert.equal(stream.state, 'ended');
    const sink = new RecordingSink();
    stream.attach(sink);
    await sink.untilEnd();
    assert.equal(stream.state, 'closed');
    stream.abort();
    await sink.untilClose();
  });

  test('a duplex that somebody else destroys closes with CONNECTION_CLOSED_EARLY', async () => {
    const duplex = new PassThrough();
    const stream = fromDuplex(duplex);
    const sink = new RecordingSink();
    stream.attach(sink);
    duplex.destroy();
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_CLOSED_EARLY');
  });

  test('an abort tells of the close of a duplex that had closed in good order while the stream was paused (contract line 1)', async () => {
    const [near, far] = duplexPair();
    const stream = fromDuplex(near);
    const peer = fromDuplex(far);
    const sink = new RecordingSink();
    const peerSink = new RecordingSink();
    stream.attach(sink);
    peer.attach(peerSink);
    stream.pause();
    stream.end();
    peer.end();
    await peerSink.untilClose();
    while (!near.closed) await new Promise((resolve) => void setImmediate(resolve));
    assert.equal(sink.isClosed, false, 'the end waits for the sink to resume');
    stream.abort(applicationError('TEST_ABORT'));
    await sink.untilClose();
    assert.equal((sink.closeError as WireError).reason, 'TEST_ABORT');
  });

  test('an error of a duplex that does not destroy itself closes the stream', async () => {
    const duplex = new Duplex({ autoDestroy: false, read() {}, write: (_chunk, _encoding, done) => done(new Error('disk full')) });
    const stream = fromDuplex(duplex);
    const sink = new RecordingSink();
    stream.attach(sink);
    stream.write(Buffer.from('x'));
    await sink.untilClose();
    assert.match(sink.closeError?.message ?? '', /disk full/);
  });

  test('a duplex that ends by itself when its peer ends is kept half open', async () => {
    const written: Uint8Array[] = [];
    const duplex = new Duplex({
      allowHalfOpen: false,
      read() {
        this.push(Buffer.from('question'));
        this.push(null);
      },
      write: (chunk: Uint8Array, _encoding, done) => {
        written.push(chunk);
        done();
      },
    });
    const stream = fromDuplex(duplex);
    const sink = new RecordingSink();
    stream.attach(sink);
    await sink.untilEnd();
    stream.write(Buffer.from('answer'));
    stream.end();
    await sink.untilClose();
    assert.equal(Buffer.concat(written).toString(), 'answer');
  });

  test('a socket brings its addresses, and given info wins', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.attach(new RecordingSink({ onEnd: () => stream.end() })));
    const port = listener.address.kind === 'ip' ? listener.address.port : 0;
    const socket = connectSocket({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    const stream = fromDuplex(socket);
    assert.equal(stream.info.kind, 'tcp');
    assert.deepEqual(stream.info.remoteAddress, listener.address);
    const sink = new RecordingSink();
    stream.attach(sink);
    stream.end();
    await sink.untilClose();
    assert.equal(sink.closeError, null);

    const plain = fromDuplex(new PassThrough());
    assert.deepEqual(
      [plain.info.kind, plain.info.localAddress, plain.info.remoteAddress],
      ['duplex', { kind: 'unset' }, { kind: 'unset' }],
    );
    assert.equal(fromDuplex(new PassThrough(), stream.info).info, stream.info);
  });
});
