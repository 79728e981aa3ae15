/** Reloads and upgrades that meet something awkward. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PaperGeneration } from './fixtures/paper-generation.ts';

/** Anchors of anchors: small in memory, and 2⁶⁰ values when written out. */
function nested(leaf: number): unknown {
  let value: unknown = { leaf };
  for (let depth = 0; depth < 60; depth++) value = { left: value, right: value };
  return value;
}

test('a configuration whose parts are shared many times over is compared in no time', async () => {
  const paper = new PaperGeneration();
  paper.config = nested(1);
  await paper.start();
  paper.config = nested(1);
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'unchanged', version: 1 });
  paper.config = nested(2);
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  assert.equal(paper.of('reloaded')[1]?.outcome.kind, 'reloaded');
});

test('a value that becomes undefined instead of being left out is a change', async () => {
  const paper = await new PaperGeneration().start();
  paper.config = { value: 1, more: undefined };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'reloaded', version: 2, changes: ['more: (none) → undefined'] });
});

test('an upgrade that waits behind another successor does not end with that one', async () => {
  const paper = await new PaperGeneration().start();
  // Of a reload by a signal, say, which needs another generation.
  paper.say({ kind: 'upgrading' });
  let settled: unknown = null;
  const asked = paper.generation.upgrade().then((outcome) => (settled = outcome));
  paper.say({ kind: 'answer', id: 1, refused: null });
  paper.say({ kind: 'upgradeFailed', why: 'a port is in use' });
  await paper.quiet();
  assert.equal(settled, null);
  paper.say({ kind: 'upgrading' });
  paper.say({ kind: 'stop', why: 'superseded', graceMs: 10, delayMs: 0 });
  assert.deepEqual(await asked, { outcome: 'replaced' });
});

test('a configuration that every worker takes and that ends all of them stays in force, and the next one finds its way', async () => {
  const paper = await new PaperGeneration().start();
  paper.config = { value: 'deadly' };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.equal(paper.of('reloaded')[0]?.outcome.kind, 'reloaded');
  for (let round = 0; round < 5; round++) {
    for (const thread of paper.threads.live) thread.die('the configuration');
    await paper.pass(10_000);
    assert.deepEqual(
      paper.threads.live.map(({ version }) => version),
      [2, 2],
    );
  }
  for (const thread of paper.threads.live) thread.die('the configuration');
  paper.config = { value: 'mended' };
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[1]?.outcome, { kind: 'reloaded', version: 3, changes: ['value: "deadly" → "mended"'] });
  await paper.pass(10_000);
  assert.deepEqual(
    paper.threads.live.map(({ version }) => version),
    [3, 3],
  );
  assert.equal(paper.generation.status().ready, true);
  assert.deepEqual(paper.of('failed'), []);
});
