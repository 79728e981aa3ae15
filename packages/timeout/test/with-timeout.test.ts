import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { timeoutError } from '@ferrata/error';
import { DeadlineQueue } from '../src/index.ts';

const tooSlow = (): Error => timeoutError('LOOKUP_TIMEOUT');

function world(): { clock: ManualClock; deadlines: DeadlineQueue } {
  const clock = new ManualClock();
  return { clock, deadlines: new DeadlineQueue({ clock }) };
}

test('a promise that settles in time passes through, and leaves no deadline behind', async () => {
  const { deadlines } = world();
  assert.equal(await deadlines.withTimeout(Promise.resolve(7), 100, tooSlow), 7);
  const failure = new Error('failed by itself');
  await assert.rejects(deadlines.withTimeout(Promise.reject(failure), 100, tooSlow), failure);
  assert.equal(deadlines.size, 0);
});

test('a promise that takes too long is given up with the error made for it', async () => {
  const { clock, deadlines } = world();
  const slow = Promise.withResolvers<number>();
  const timed = deadlines.withTimeout(slow.promise, 100, tooSlow);
  clock.advance(100);
  await assert.rejects(timed, { type: 'timeout', reason: 'LOOKUP_TIMEOUT' });
  slow.resolve(7);
  assert.equal(deadlines.size, 0);
});

test('a rejection after the timeout is not an unhandled one', async () => {
  const { clock, deadlines } = world();
  const slow = Promise.withResolvers<number>();
  const timed = deadlines.withTimeout(slow.promise, 100, tooSlow);
  clock.advance(100);
  await assert.rejects(timed, { reason: 'LOOKUP_TIMEOUT' });
  // The test runner fails the run on an unhandled rejection.
  slow.reject(new Error('too late'));
  await new Promise((resolve) => setImmediate(resolve));
});

test('a throw while the error is made becomes the rejection', async () => {
  const { clock, deadlines } = world();
  const broken = new Error('makeError is broken');
  const timed = deadlines.withTimeout(new Promise(() => {}), 100, () => {
    throw broken;
  });
  clock.advance(100);
  await assert.rejects(timed, broken);
});

test('a delay out of range is a rejection, and what the work rejects with later is not an unhandled one', async () => {
  const { deadlines } = world();
  const slow = Promise.withResolvers<number>();
  await assert.rejects(deadlines.withTimeout(slow.promise, -1, tooSlow), RangeError);
  // The test runner fails the run on an unhandled rejection.
  slow.reject(new Error('too late'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(deadlines.size, 0);
});

test('a thenable whose then throws, or that settles at once, leaves no deadline behind', async () => {
  const { clock, deadlines } = world();
  let made = 0;
  const thenable = (then: (resolve: (value: number) => void, reject: (reason: unknown) => void) => void): PromiseLike<number> =>
    // oxlint-disable-next-line unicorn/no-thenable -- a thenable is what is tested
    ({ then }) as PromiseLike<number>;
  const timed = (work: PromiseLike<number>): Promise<number> =>
    deadlines.withTimeout(work, 100, () => {
      made++;
      return tooSlow();
    });
  const broken = new Error('then is broken');
  const all = [
    timed(
      thenable(() => {
        throw broken;
      }),
    ),
    timed(thenable((resolve) => resolve(7))),
    timed(thenable((_, reject) => reject(broken))),
  ];
  assert.equal(deadlines.size, 0);
  clock.advance(200);
  assert.deepEqual(await Promise.allSettled(all), [
    { status: 'rejected', reason: broken },
    { status: 'fulfilled', value: 7 },
    { status: 'rejected', reason: broken },
  ]);
  assert.equal(made, 0);
});

test('after close there is no time limit', async () => {
  const { clock, deadlines } = world();
  deadlines.close();
  const slow = Promise.withResolvers<number>();
  const timed = deadlines.withTimeout(slow.promise, 100, tooSlow);
  clock.advance(1000);
  slow.resolve(7);
  assert.equal(await timed, 7);
});
