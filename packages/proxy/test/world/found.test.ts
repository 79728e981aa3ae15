/** Minimal cases of what the worlds have found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Defer, faulty, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';

test('a stream whose side a planned fault has ended is closed when its sink is told so (stream contract, state)', () => {
  const tasks: (() => void)[] = [];
  const defer: Defer = (task) => void tasks.push(task);
  const { a, b } = memoryPair({ defer });
  const server = faulty(b, [{ direction: 'outgoing', at: 3, kind: 'end' }], { defer });
  let stateAtClose = '';
  server.attach(new RecordingSink({ onClose: () => void (stateAtClose = server.state) }));
  a.attach(new RecordingSink({ onEnd: () => a.end() }));
  server.write(new Uint8Array(10));
  for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
  assert.equal(stateAtClose, 'closed');
  assert.equal(server.state, 'closed');
});
