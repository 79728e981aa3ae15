/** The log that threads agree by. Two views in one thread stand for two threads: every step of a race can then be put where it hurts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DefinitionLog } from '../src/internal/definition-log.ts';
import { joinMemory, layoutWord, type MemoryLayout, makeMemory } from '../src/internal/memory-layout.ts';
import { resolveMetricRegistryOptions } from '../src/options.ts';

function makeLayout(): MemoryLayout {
  return makeMemory(resolveMetricRegistryOptions({ maxCells: 8, maxTextBytes: 1024, maxWriters: 2 }));
}

function readAll(log: DefinitionLog): readonly string[] {
  const texts: string[] = [];
  for (let text = log.next(); text !== null; text = log.next()) texts.push(text);
  return texts;
}

test('every view reads the same texts in the order in which they were published', () => {
  const layout = makeLayout();
  const [one, other] = [new DefinitionLog(layout), new DefinitionLog(joinMemory(layout.memory))];
  for (const text of ['', 'a', 'ab', 'é\ud800\0']) {
    assert.equal(one.publish(one.write(text)), true);
    assert.equal(one.next(), text);
  }
  assert.equal(one.next(), null);
  assert.deepEqual(readAll(other), ['', 'a', 'ab', 'é\ud800\0']);
  assert.deepEqual(readAll(new DefinitionLog(layout)), ['', 'a', 'ab', 'é\ud800\0']);
});

test('whoever has not read the last text cannot publish', () => {
  const layout = makeLayout();
  const [one, other] = [new DefinitionLog(layout), new DefinitionLog(layout)];
  const [first, second] = [one.write('first'), other.write('second')];
  assert.equal(other.publish(second), true);
  assert.equal(one.publish(first), false);
  assert.equal(one.next(), 'second');
  assert.equal(one.publish(first), true);
  assert.deepEqual(readAll(other), ['second', 'first']);
});

test('what is written and not published is seen by nobody, and does not hold others up', () => {
  const layout = makeLayout();
  const dead = new DefinitionLog(layout);
  dead.write('never published: its thread has ended');
  const alive = new DefinitionLog(layout);
  assert.equal(alive.next(), null);
  assert.equal(alive.publish(alive.write('alive')), true);
  assert.deepEqual(readAll(new DefinitionLog(layout)), ['alive']);
});

test('discarded space is used again, unless somebody else took space after it', () => {
  const layout = makeLayout();
  const log = new DefinitionLog(layout);
  const used = (): number => layout.words[layoutWord.logUsed] as number;
  const first = log.write('12345');
  log.discard(first);
  assert.equal(used(), 0);
  const [second, third] = [log.write('abc'), log.write('de')];
  assert.equal(second, first);
  const before = used();
  log.discard(second);
  assert.equal(used(), before);
  log.discard(third);
  assert.ok(used() < before);
});

test('when there is no room for a text nothing is written, and shorter ones still have room', () => {
  const layout = makeLayout();
  const log = new DefinitionLog(layout);
  // 1024 bytes: two words of head, and the rest is text.
  assert.equal(log.write('x'.repeat(509)), 0);
  const whole = log.write('x'.repeat(508));
  assert.notEqual(whole, 0);
  assert.equal(log.write(''), 0);
  assert.equal(log.publish(whole), true);
  assert.deepEqual(readAll(log), ['x'.repeat(508)]);
  // Its neighbours in memory were not touched.
  assert.ok(layout.stripes.every((cell) => cell === 0));
});
