import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeThrown } from '../src/describe-thrown.ts';

test('an error is half a sentence: its code where that says more, its text, its place', () => {
  assert.match(describeThrown(new Error('a bug')), /^a bug \(at .*describe-thrown\.test\.ts:\d+:\d+\)+$/);
  // As it comes from another thread: no Error any more.
  assert.equal(
    describeThrown({ code: 'ERR_X', message: 'it broke', stack: 'Error: it broke\n    at here:1:2\n    at there:3:4' }).split(' (')[1],
    'at here:1:2)',
  );
  assert.match(
    describeThrown(Object.assign(new Error('no memory'), { code: 'ERR_WORKER_OUT_OF_MEMORY' })),
    /^ERR_WORKER_OUT_OF_MEMORY: no memory \(at /,
  );
  assert.match(describeThrown(Object.assign(new Error('EPIPE: gone'), { code: 'EPIPE' })), /^EPIPE: gone \(at /);
  assert.equal(describeThrown('a text'), 'a text');
});

test('the place is looked for in each line by itself: blanks over many lines would take the square of their number', () => {
  const stack = `Error: a${'\n \t'.repeat(1_000)}\n\nat home\n    at here:1:2`;
  assert.equal(describeThrown({ stack }), '[object Object] (at here:1:2)');
});

test('it is of a bounded length, and nothing that is thrown makes it throw', () => {
  assert.equal(describeThrown('x'.repeat(100_000)).length, 1_001);
  const odd = new Proxy(new Error('odd'), {
    get() {
      throw new Error('never');
    },
  });
  const getter = Object.defineProperty(new Error('a bug'), 'stack', {
    get() {
      throw new Error('never');
    },
  });
  for (const thrown of [odd, getter, null, undefined, Symbol('s'), Object.create(null)])
    assert.equal(typeof describeThrown(thrown), 'string');
});
