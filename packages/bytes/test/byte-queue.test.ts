import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteQueue, EMPTY_BYTES, latin1Decode, latin1Encode } from '../src/index.ts';

function queueOf(...texts: string[]): ByteQueue {
  const queue = new ByteQueue();
  for (const text of texts) queue.push(latin1Encode(text));
  return queue;
}

test('bytes come out in the order of their arrival', () => {
  const queue = queueOf('ab', 'cdef', 'g');
  assert.deepEqual([queue.byteLength, queue.chunkCount], [7, 3]);
  assert.equal(latin1Decode(queue.take(3)), 'abc');
  assert.equal(latin1Decode(queue.takeAll()), 'defg');
  assert.deepEqual([queue.byteLength, queue.chunkCount], [0, 0]);
});

test('bytes within one chunk are a view of it, and a whole chunk is the chunk itself', () => {
  const queue = new ByteQueue();
  const chunk = latin1Encode('abcdef');
  queue.push(chunk);
  queue.push(chunk);
  assert.equal(queue.takeChunk(), chunk);
  const part = queue.take(2);
  assert.equal(part.buffer, chunk.buffer);
  assert.equal(part.byteOffset, 0);
  const rest = queue.takeAll();
  assert.equal(rest.buffer, chunk.buffer);
  assert.equal(latin1Decode(rest), 'cdef');
});

test('a chunk that is itself a view keeps its place', () => {
  const queue = new ByteQueue();
  queue.push(latin1Encode('__abcdef').subarray(2));
  queue.take(1);
  assert.equal(latin1Decode(queue.take(3)), 'bcd');
});

test('bytes across chunks are copied', () => {
  const chunk = latin1Encode('ab');
  const queue = new ByteQueue();
  queue.push(chunk);
  queue.push(latin1Encode('cd'));
  const taken = queue.take(3);
  assert.notEqual(taken.buffer, chunk.buffer);
  assert.equal(latin1Decode(taken), 'abc');
});

test('takeUpTo never copies: it ends at the end of the first chunk', () => {
  const queue = queueOf('abc', 'def');
  assert.equal(latin1Decode(queue.takeUpTo(2)), 'ab');
  assert.equal(latin1Decode(queue.takeUpTo(100)), 'c');
  assert.equal(latin1Decode(queue.takeUpTo(Infinity)), 'def');
  assert.equal(queue.takeUpTo(1), EMPTY_BYTES);
  assert.equal(queueOf('abc').takeUpTo(0), EMPTY_BYTES);
  assert.equal(queueOf('abc').takeUpTo(Number.NaN), EMPTY_BYTES);
  assert.equal(queueOf('abc').takeUpTo(2.7).length, 2);
});

test('takeChunk gives the rest of the first chunk, and undefined at the end', () => {
  const queue = queueOf('abc', 'd');
  queue.take(1);
  const texts: string[] = [];
  for (let chunk = queue.takeChunk(); chunk !== undefined; chunk = queue.takeChunk()) texts.push(latin1Decode(chunk));
  assert.deepEqual(texts, ['bc', 'd']);
});

test('nothing is taken from nothing', () => {
  const queue = new ByteQueue();
  assert.equal(queue.take(0), EMPTY_BYTES);
  assert.equal(queue.takeAll(), EMPTY_BYTES);
  assert.equal(queueOf('a').take(0), EMPTY_BYTES);
});

test('take refuses more than there is, and takes nothing then', () => {
  const queue = queueOf('ab', 'c');
  for (const count of [4, -1, 1.5, Number.NaN]) assert.throws(() => queue.take(count), RangeError);
  assert.equal(queue.byteLength, 3);
});

test('empty chunks are ignored, so that no peer can fill the queue with nothing', () => {
  const queue = queueOf('', 'a', '', '');
  assert.deepEqual([queue.byteLength, queue.chunkCount], [1, 1]);
});

test('peekByte looks without taking, and gives -1 where there is no byte', () => {
  const queue = queueOf('ab', 'cd');
  queue.take(1);
  assert.deepEqual(
    [0, 1, 2, 3, -1, Number.NaN].map((index) => queue.peekByte(index)),
    [0x62, 0x63, 0x64, -1, -1, -1],
  );
  assert.equal(queue.byteLength, 3);
});

test('indexOf finds a byte from any place on', () => {
  const queue = queueOf('xa', 'bx', 'cx');
  queue.take(1);
  const x = 0x78;
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 100].map((from) => queue.indexOf(x, from)),
    [2, 2, 2, 4, 4, -1, -1],
  );
  assert.equal(queue.indexOf(x), 2);
  assert.equal(queue.indexOf(x, -7), 2);
  assert.equal(queue.indexOf(0x7a), -1);
  assert.equal(new ByteQueue().indexOf(x), -1);
});

test('clear forgets everything, and the queue can be used again', () => {
  const queue = queueOf('ab', 'cd', 'ef', 'gh', 'ij');
  queue.take(3);
  queue.clear();
  assert.deepEqual([queue.byteLength, queue.chunkCount, queue.peekByte(0)], [0, 0, -1]);
  queue.push(latin1Encode('xy'));
  assert.equal(latin1Decode(queue.takeAll()), 'xy');
});

test('a search that goes on where it ended looks at each chunk once, however many there are', () => {
  // A chunk counts how often it is searched: going through all chunks for each search would be quadratic.
  let searches = 0;
  class CountingChunk extends Uint8Array {
    override indexOf(byte: number, from?: number): number {
      searches++;
      return super.indexOf(byte, from);
    }
  }
  const queue = new ByteQueue();
  const chunks = 2000;
  for (let i = 0; i < chunks; i++) {
    queue.push(CountingChunk.of(0x61));
    assert.equal(queue.indexOf(0x0a, i), -1);
    assert.equal(queue.peekByte(i), 0x61);
  }
  assert.equal(searches, chunks);
});
