import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applicationError } from '@ferrata/error';
import { memoryPair } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '@ferrata/testkit';
import { toWeb } from '../src/index.ts';

async function readAll(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readable as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('bytes, ends and the head pass both ways', async () => {
  const { a, b } = memoryPair();
  const sink = new RecordingSink();
  b.attach(sink);
  const { readable, writable } = toWeb(a, Buffer.from('head '));
  b.write(Buffer.from('and body'));
  b.end();
  const writer = writable.getWriter();
  await writer.write(Buffer.from('answer'));
  await writer.close();
  assert.equal(Buffer.from(await readAll(readable)).toString(), 'head and body');
  await sink.untilClose();
  assert.equal(sink.text(), 'answer');
  assert.equal(sink.closeError, null);
});

test('a slow reader pauses the stream, and a full stream holds the writer', async () => {
  const { a, b } = memoryPair();
  const { readable, writable } = toWeb(a, undefined, 1_000);
  const peer = new RecordingSink();
  b.attach(peer);
  let written = 0;
  while (b.write(positionalBytes(10_000, 0, written))) {
    written += 10_000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  written += 10_000;
  b.end();
  const read = await readAll(readable);
  assert.equal(read.byteLength, written);
  assert.equal(firstMisplacedByte(read), -1);

  b.pause();
  const writer = writable.getWriter();
  let isWritten = false;
  const write = writer.write(positionalBytes(100_000)).then(() => (isWritten = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isWritten, false);
  b.resume();
  await write;
  await writer.close();
});

test('a reset of the peer is an error of both halves', async () => {
  const { a, b } = memoryPair();
  const { readable, writable } = toWeb(a);
  const reader = readable.getReader();
  const writer = writable.getWriter();
  b.abort(applicationError('TEST'));
  await assert.rejects(reader.read(), { reason: 'CONNECTION_RESET' });
  await assert.rejects(writer.closed, { reason: 'CONNECTION_RESET' });
});

test('an abort of the stream from elsewhere ends a pending read', async () => {
  const { a } = memoryPair();
  const { readable, writable } = toWeb(a);
  const reader = readable.getReader();
  const read = reader.read();
  writable.getWriter().closed.catch(() => {});
  a.abort();
  await assert.rejects(read, { reason: 'CONNECTION_CLOSED_EARLY' });
});

test('cancelling the readable or aborting the writable aborts the stream', async () => {
  for (const half of ['readable', 'writable'] as const) {
    const { a, b } = memoryPair();
    const sink = new RecordingSink();
    b.attach(sink);
    const web = toWeb(a);
    if (half === 'readable') await web.readable.cancel(new Error('enough'));
    else await web.writable.abort();
    await sink.untilClose();
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
    assert.equal(a.state, 'closed');
  }
});
