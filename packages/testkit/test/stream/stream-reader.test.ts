import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applicationError, ioError, WireError } from '@ferrata/error';
import { type MemoryPair, memoryPair, StreamReader } from '@ferrata/stream';
import fc from 'fast-check';
import { CheckedStream, chunkings, cut, positionalBytes, RecordingSink } from '../../src/index.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : new TextDecoder().decode(bytes));
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function withReader(options?: ConstructorParameters<typeof StreamReader>[1]): MemoryPair & { reader: StreamReader } {
  const { a, b } = memoryPair();
  return { a, b, reader: new StreamReader(b, options) };
}

function failsWith(reason: string): (error: unknown) => boolean {
  return (error) => error instanceof WireError && error.reason === reason;
}

describe('StreamReader', () => {
  test('read gives the chunks as they come, then null for ever', async () => {
    const { a, reader } = withReader();
    const first = reader.read();
    a.write(ascii('one'));
    a.write(ascii('two'));
    assert.equal(text(await first), 'one');
    assert.equal(text(await reader.read()), 'two');
    a.end();
    assert.equal(await reader.read(), null);
    assert.equal(await reader.read(), null);
  });

  test('readExactly joins and splits chunks', async () => {
    const { a, reader } = withReader();
    a.write(ascii('abc'));
    a.write(ascii('defg'));
    assert.equal(text(await reader.readExactly(5)), 'abcde');
    assert.equal(text(await reader.readExactly(0)), '');
    assert.equal(text(await reader.readExactly(2)), 'fg');
    assert.throws(() => reader.readExactly(-1), RangeError);
    assert.throws(() => reader.readExactly(1.5), RangeError);
  });

  test('readExactly at an end that comes too early rejects, and loses nothing', async () => {
    const { a, reader } = withReader();
    a.write(ascii('abc'));
    a.end();
    await assert.rejects(reader.readExactly(4), failsWith('STREAM_ENDED_EARLY'));
    assert.equal(text(await reader.readExactly(3)), 'abc');
  });

  test('readUntil takes the delimiter along, a byte or several, wherever it is cut', async () => {
    const { a, reader } = withReader();
    for (const byte of 'line\nhead\r\r\n\r\n!') a.write(ascii(byte));
    assert.equal(text(await reader.readUntil(0x0a)), 'line\n');
    assert.equal(text(await reader.readUntil(ascii('\r\n\r\n'))), 'head\r\r\n\r\n');
    assert.equal(text(await reader.read()), '!');
    assert.throws(() => reader.readUntil(new Uint8Array(0)), TypeError);
  });

  test('readUntil finds what a naive search finds, for any bytes and any cut (property)', async () => {
    const letters = (max: number, min = 0): fc.Arbitrary<string> =>
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: min, maxLength: max });
    await fc.assert(
      fc.asyncProperty(
        letters(40).chain((bytes) => fc.tuple(fc.constant(bytes), chunkings(bytes.length))),
        letters(4, 1),
        async ([bytes, sizes], delimiter) => {
          const { a, reader } = withReader();
          const found = reader.readUntil(ascii(delimiter)).catch((error: unknown) => error);
          for (const chunk of cut(ascii(bytes), sizes)) {
            a.write(chunk);
            await Promise.resolve();
          }
          a.end();
          const at = bytes.indexOf(delimiter);
          const result = await found;
          if (bytes === '') assert.equal(result, null);
          else if (at < 0) assert.ok(failsWith('STREAM_ENDED_EARLY')(result));
          else assert.equal(text(result as Uint8Array), bytes.slice(0, at + delimiter.length));
        },
      ),
      { numRuns: 200 },
    );
  });

  test('readUntil tells an end between two lines from one inside of a line, which loses nothing', async () => {
    const { a, reader } = withReader();
    a.write(ascii('one\ntw'));
    a.end();
    assert.equal(text(await reader.readUntil(0x0a)), 'one\n');
    await assert.rejects(reader.readUntil(0x0a), failsWith('STREAM_ENDED_EARLY'));
    assert.equal(text(await reader.readExactly(2)), 'tw');
    assert.equal(await reader.readUntil(0x0a), null);
  });

  test('readUntil gives up when the delimiter is too far, before or after it has come', async () => {
    const { a, reader } = withReader();
    a.write(ascii('12345'));
    await assert.rejects(reader.readUntil(0x0a, { maxBytes: 5 }), failsWith('STREAM_DELIMITER_TOO_FAR'));
    a.write(ascii('\n'));
    await turn();
    await assert.rejects(reader.readUntil(0x0a, { maxBytes: 5 }), failsWith('STREAM_DELIMITER_TOO_FAR'));
    assert.equal(text(await reader.readUntil(0x0a, { maxBytes: 6 })), '12345\n');
  });

  test('drained waits for the room that a full stream has again, and rejects when it closes before', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 4 });
    const [writer, other] = [new StreamReader(a), new StreamReader(b, { maxBufferedBytes: 1 })];
    assert.equal(a.write(ascii('12345')), false);
    let hasRoom = false;
    const room = writer.drained().then(() => (hasRoom = true));
    await turn();
    assert.equal(text(await other.readExactly(5)), '12345');
    await room;
    assert.equal(hasRoom, true);
    b.pause();
    assert.equal(a.write(ascii('67890')), false);
    const never = writer.drained();
    b.abort(ioError('CONNECTION_RESET', 'gone'));
    await assert.rejects(never, failsWith('CONNECTION_RESET'));
    assert.equal(a.write(ascii('x')), false);
    await assert.rejects(writer.drained(), failsWith('CONNECTION_RESET'));
  });

  test('who waits for room is rejected by an abort of our own, and so is who comes later', async () => {
    const { a } = memoryPair({ highWaterBytes: 4 });
    const writer = new StreamReader(a);
    a.write(ascii('12345'));
    const waits = writer.drained();
    a.abort();
    await assert.rejects(waits, failsWith('STREAM_ABORTED'));
    await assert.rejects(writer.drained(), failsWith('STREAM_ABORTED'));
  });

  test('nobody waits for room across a detach: it would be told to whoever attaches next', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 4 });
    const writer = new StreamReader(a);
    a.write(ascii('12345'));
    const waits = writer.drained();
    assert.throws(() => writer.detach(), TypeError);
    await new StreamReader(b).readExactly(5);
    await waits;
    writer.detach();
    assert.throws(() => writer.drained(), TypeError);
  });

  test('is an async iterable; leaving the loop leaves the reader usable', async () => {
    const { a, reader } = withReader();
    for (const part of ['a', 'b', 'c']) a.write(ascii(part));
    a.end();
    for await (const chunk of reader) {
      assert.equal(text(chunk), 'a');
      break;
    }
    const rest: (string | null)[] = [];
    for await (const chunk of reader) rest.push(text(chunk));
    assert.deepEqual(rest, ['b', 'c']);
  });

  test('pauses a stream that is ahead, and flows for a read that wants more', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 10 });
    const sinkA = new RecordingSink();
    a.attach(sinkA);
    const reader = new StreamReader(b, { maxBufferedBytes: 8 });
    a.write(positionalBytes(8));
    await turn();
    assert.equal(reader.bufferedBytes, 8);
    a.write(positionalBytes(50, 0, 8));
    await turn();
    assert.equal(a.bufferedBytes, 50, 'paused: the bytes stay with the writer');
    assert.deepEqual(await reader.readExactly(58), positionalBytes(58));
    assert.equal(sinkA.drainCount, 1);
    assert.throws(() => new StreamReader(b, { maxBufferedBytes: 0 }), RangeError);
  });

  test('one read at a time', async () => {
    const { a, reader } = withReader();
    const first = reader.read();
    assert.throws(() => reader.read(), TypeError);
    assert.throws(() => reader.detach(), TypeError);
    a.end();
    assert.equal(await first, null);
  });

  test('detach gives the unread bytes to whoever attaches next', async () => {
    const { a, b } = memoryPair();
    const checked = new CheckedStream(b);
    const reader = new StreamReader(checked, { head: ascii('read before, ') });
    a.write(ascii('CONNECT\r\nfirst bytes'));
    assert.equal(text(await reader.readUntil(0x0a)), 'read before, CONNECT\r\n');
    const head = reader.detach();
    assert.equal(text(head), 'first bytes');
    a.write(ascii(', and more'));
    await turn();
    assert.throws(() => reader.read(), TypeError);
    const sink = new RecordingSink();
    checked.attach(sink, head);
    await sink.untilBytes(21);
    assert.equal(sink.text(), 'first bytes, and more');
    assert.deepEqual(checked.violations, []);
  });

  test('after a failure, what came can be read, then the failure', async () => {
    const { a, reader } = withReader();
    a.write(ascii('abc'));
    a.abort();
    await turn();
    assert.equal(text(await reader.readExactly(2)), 'ab');
    await assert.rejects(reader.readExactly(2), failsWith('CONNECTION_RESET'));
    assert.equal(text(await reader.read()), 'c');
    await assert.rejects(reader.read(), failsWith('CONNECTION_RESET'));
  });

  test('a read that waits is rejected by a failure, and by an abort of our own', async () => {
    const error = applicationError('OWN');
    for (const [abort, reason] of [
      [({ b }: MemoryPair) => b.abort(error), 'OWN'],
      [({ b }: MemoryPair) => b.abort(), 'STREAM_ABORTED'],
      [({ a }: MemoryPair) => a.abort(), 'CONNECTION_RESET'],
    ] as const) {
      const pair = withReader();
      const read = pair.reader.read();
      abort(pair);
      await assert.rejects(read, failsWith(reason));
    }
  });

  test('a failure after the peer has ended takes nothing from the reader', async () => {
    const { a, b, reader } = withReader();
    a.attach(new RecordingSink());
    a.end();
    assert.equal(await reader.read(), null);
    b.abort(applicationError('LATER'));
    await turn();
    assert.equal(await reader.read(), null);
  });

  test('a writer is drained and a reader told nothing of it', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 4 });
    const reader = new StreamReader(a);
    const sink = new RecordingSink();
    b.attach(sink);
    assert.equal(a.write(ascii('12345')), false);
    await sink.untilBytes(5);
    await turn();
    assert.equal(reader.bufferedBytes, 0);
  });
});
