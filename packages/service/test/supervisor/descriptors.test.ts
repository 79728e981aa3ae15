/** When a generation asks for another one because its descriptors come to an end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PaperGeneration } from './fixtures/paper-generation.ts';

test('the death of one of many workers asks for no new generation, which would end the connections of all the others', async () => {
  const threads = 32;
  const paper = await new PaperGeneration({
    services: [{ name: 'web', listen: ['127.0.0.1:80'] }],
    // As many as a keeper gives.
    descriptors: threads + 64,
    options: { threads },
  }).start();
  paper.threads.of(1)?.die('oh no');
  await paper.pass(1_000);
  assert.equal(paper.threads.live.length, threads);
  assert.deepEqual(paper.of('ask'), []);
});

test('a service of one worker that uses up its descriptors by failing to start asks for a new generation, too', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web' }, { name: 'once', placement: 'oneWorker', listen: ['127.0.0.1:80'] }],
    descriptors: 2 + 8,
  }).start();
  const other = paper.threads.of(2);
  assert.ok(other !== undefined);
  other.mood = 'refuses';
  paper.threads.of(1)?.die('oh no');
  for (let tries = 0; tries < 20; tries++) await paper.pass(10_000);
  assert.ok(paper.notices.some((text) => text.startsWith('service once did not start in worker 2: no descriptor is left for it')));
  assert.deepEqual(paper.of('ask'), [{ kind: 'ask', what: 'descriptors', id: 1 }]);
});
