import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callUser, isThenable, watchAnswer } from '../src/index.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const messages = (told: readonly unknown[]): string[] => told.map((thrown) => (thrown as Error).message);
/** An object that looks like a promise. */
const withThen = (then: unknown): object => Object.defineProperty({}, THEN, { value: then });
const THEN = ['then'][0] as string;

test('what a callback throws, and what its promise rejects with, reaches the caller once; an answer does not', async () => {
  const told: unknown[] = [];
  const tell = (thrown: unknown): void => void told.push(thrown);
  callUser(() => {
    throw new Error('at once');
  }, tell);
  callUser(async () => {
    throw new Error('later');
  }, tell);
  callUser(() => 1, tell);
  callUser(async () => 2, tell);
  await turn();
  assert.deepEqual(messages(told), ['at once', 'later']);
});

test('a thenable that throws from its `then`, or calls back twice, is heard once', async () => {
  const told: unknown[] = [];
  const thrower = withThen(() => {
    throw new Error('from then');
  });
  const twice = withThen((_resolve: () => void, reject: (thrown: unknown) => void) => {
    reject(new Error('first'));
    reject(new Error('second'));
  });
  for (const answer of [thrower, twice, withThen(5), null, undefined, 'then']) watchAnswer(answer, (thrown) => told.push(thrown));
  await turn();
  assert.deepEqual(messages(told), ['from then', 'first']);
  assert.deepEqual([isThenable(twice), isThenable(withThen(5)), isThenable(null)], [true, false, false]);
});
