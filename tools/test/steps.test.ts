/** How the steps of a check run and how their results add up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSteps, type Step, type StepObserver, type StepResult } from '../check/steps.ts';
import { addTotals, parseTotals, totalsLine } from '../check/totals.ts';

const nobody: StepObserver = { onStart: () => undefined, onFinish: () => undefined };
const good: StepResult = { passed: 1, failed: 0, note: '' };

/** A step that ends when it is told to. */
function held(name: string, after: readonly string[] = []): { step: Step; end: () => void } {
  const { promise, resolve } = Promise.withResolvers<StepResult>();
  return { step: { name, after, run: () => promise }, end: () => resolve(good) };
}

/** Lets everything that can go on do so. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('steps run in order, two at a time, each after those it needs', async () => {
  const started: string[] = [];
  const a = held('a');
  const b = held('b', ['a']);
  const c = held('c');
  const d = held('d');
  const all = runSteps([a.step, b.step, c.step, d.step], 2, { ...nobody, onStart: (name) => started.push(name) });
  await settle();
  assert.deepEqual(started, ['a', 'c']);
  c.end();
  await settle();
  assert.deepEqual(started, ['a', 'c', 'd'], 'b still waits for a');
  a.end();
  await settle();
  assert.deepEqual(started, ['a', 'c', 'd', 'b']);
  b.end();
  d.end();
  assert.deepEqual(
    (await all).map(({ name }) => name),
    ['a', 'b', 'c', 'd'],
    'results come in the order of the steps',
  );
});

test('a step that throws has failed, and those after it run all the same', async () => {
  const broken: Step = { name: 'broken', run: () => Promise.reject(new Error('no disk')) };
  const next: Step = { name: 'next', after: ['broken'], run: () => Promise.resolve(good) };
  const [first, second] = await runSteps([broken, next], 2, nobody);
  assert.equal(first?.failed, 1);
  assert.match(first.output ?? '', /no disk/);
  assert.equal(second?.passed, 1);
});

test('a step whose predecessor is not part of the run does not wait for it', async () => {
  const [only] = await runSteps([{ name: 'only', after: ['absent'], run: () => Promise.resolve(good) }], 1, nobody);
  assert.equal(only?.passed, 1);
});

test('the last totals line of an output is the one that counts', () => {
  assert.deepEqual(parseTotals('3 passed, 1 failed\nmore\n40 passed, 0 failed\n'), { passed: 40, failed: 0 });
  assert.equal(parseTotals('nothing of the kind: 3 passed, 1 failed'), undefined);
  assert.deepEqual(parseTotals(totalsLine({ passed: 7, failed: 2 })), { passed: 7, failed: 2 });
});

test('a program that ends badly is a failure, whatever it says', () => {
  const none = { passed: 0, failed: 0 };
  assert.deepEqual(addTotals(none, undefined, 0), { passed: 1, failed: 0 });
  assert.deepEqual(addTotals(none, undefined, 1), { passed: 0, failed: 1 });
  assert.deepEqual(addTotals(none, { passed: 5, failed: 0 }, 1), { passed: 5, failed: 1 });
  assert.deepEqual(addTotals({ passed: 1, failed: 1 }, { passed: 5, failed: 2 }, 1), { passed: 6, failed: 3 });
});
