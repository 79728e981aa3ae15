import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from '../src/index.ts';

/** The naive twin: chunks as arrays of numbers. */
interface Model {
  chunks: number[][];
}

type Command = fc.Command<Model, ByteQueue>;

function takeFrom(model: Model, count: number): number[] {
  const flat = model.chunks.flat();
  let left = count;
  while (left > 0) {
    const first = model.chunks[0];
    assert.ok(first);
    const cut = first.splice(0, left).length;
    left -= cut;
    if (first.length === 0) model.chunks.shift();
  }
  return flat.slice(0, count);
}

function command(label: string, run: (model: Model, queue: ByteQueue) => void): Command {
  return {
    check: () => true,
    run(model, queue) {
      run(model, queue);
      assert.equal(queue.byteLength, model.chunks.flat().length);
      assert.equal(queue.chunkCount, model.chunks.length);
    },
    toString: () => label,
  };
}

const commands: fc.Arbitrary<Command>[] = [
  fc.uint8Array({ maxLength: 6, max: 3 }).map((chunk) =>
    command(`push(${chunk.join()})`, (model, queue) => {
      if (chunk.length > 0) model.chunks.push([...chunk]);
      queue.push(chunk);
    }),
  ),
  fc.nat(12).map((count) =>
    command(`take(${count})`, (model, queue) => {
      if (count > queue.byteLength) assert.throws(() => queue.take(count), RangeError);
      else assert.deepEqual([...queue.take(count)], takeFrom(model, count));
    }),
  ),
  fc.nat(8).map((count) =>
    command(`takeUpTo(${count})`, (model, queue) => {
      const expected = takeFrom(model, Math.min(count, model.chunks[0]?.length ?? 0));
      assert.deepEqual([...queue.takeUpTo(count)], expected);
    }),
  ),
  fc.constant(
    command('takeChunk', (model, queue) => {
      assert.deepEqual([...(queue.takeChunk() ?? [])], model.chunks.shift() ?? []);
    }),
  ),
  fc.constant(
    command('takeAll', (model, queue) => {
      assert.deepEqual([...queue.takeAll()], model.chunks.flat());
      model.chunks = [];
    }),
  ),
  fc.constant(
    command('clear', (model, queue) => {
      queue.clear();
      model.chunks = [];
    }),
  ),
  fc.nat(20).map((index) =>
    command(`peekByte(${index})`, (model, queue) => {
      assert.equal(queue.peekByte(index), model.chunks.flat()[index] ?? -1);
    }),
  ),
  fc.tuple(fc.nat(3), fc.nat(20)).map(([byte, from]) =>
    command(`indexOf(${byte}, ${from})`, (model, queue) => {
      assert.equal(queue.indexOf(byte, from), model.chunks.flat().indexOf(byte, from));
    }),
  ),
];

test('a byte queue behaves as a list of bytes', () => {
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 120, size: 'max' }), (commands) => {
      fc.modelRun(() => ({ model: { chunks: [] }, real: new ByteQueue() }), commands);
    }),
    { numRuns: 300 },
  );
});
