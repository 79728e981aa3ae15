/** Reloads against deaths: whatever dies, refuses or keeps silent at whatever moment, no mix of configurations remains. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Mood } from './fixtures/fake-threads.ts';
import { settle } from './fixtures/fake-threads.ts';
import { PaperGeneration } from './fixtures/paper-generation.ts';

const THREADS = 2;

type Deed =
  | { readonly kind: 'step'; readonly worker: number; readonly times: number }
  | { readonly kind: 'die'; readonly worker: number }
  | { readonly kind: 'mood'; readonly worker: number; readonly mood: Mood }
  | { readonly kind: 'reload'; readonly value: number }
  | { readonly kind: 'pass'; readonly ms: number };

const worker = fc.integer({ min: 1, max: THREADS });
const deeds: fc.Arbitrary<readonly Deed[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('step' as const), worker, times: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('die' as const), worker }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('mood' as const),
        worker,
        mood: fc.constantFrom<Mood>('obeys', 'obeys', 'refuses', 'mute', 'deaf'),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('reload' as const), value: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 60, 60, 240, 3_000, 10_000) }) },
  ),
  { maxLength: 40 },
);

/** Watches one generation, and what it says of its reloads. */
class Watcher {
  readonly paper: PaperGeneration;
  inForce = 1;
  #seen = 0;
  #asked = 0;

  constructor(paper: PaperGeneration) {
    this.paper = paper;
  }

  reload(value: number): void {
    this.paper.config = { value };
    this.paper.say({ kind: 'reload', id: ++this.#asked });
  }

  /** Each answer to a reload is a moment of truth: nobody who serves has another configuration than the one in force. */
  check(): void {
    const answers = this.paper.of('reloaded');
    for (const { outcome } of answers.slice(this.#seen)) {
      if (outcome.kind === 'reloaded') {
        assert.ok(outcome.version >= this.inForce, 'versions count up; coalesced reloads have the same answer');
        this.inForce = outcome.version;
      } else if (outcome.kind === 'unchanged') {
        assert.equal(outcome.version, this.inForce);
      }
    }
    if (answers.length > this.#seen && answers.length === this.#asked) this.checkMix();
    this.#seen = answers.length;
    for (let number = 1; number <= THREADS; number++) {
      const living = this.paper.threads.live.filter(({ seed }) => seed.worker === number);
      assert.ok(living.length <= 1, `worker ${number} has ${living.length} threads`);
    }
  }

  /** No reload is under way: all who live have the configuration in force, but for those that are being ended. */
  checkMix(): void {
    for (const { version, wasTerminated, seed } of this.paper.threads.live) {
      if (!wasTerminated) assert.equal(version, this.inForce, `worker ${seed.worker} has another configuration`);
    }
  }

  get areAllAnswered(): boolean {
    return this.paper.of('reloaded').length === this.#asked;
  }
}

async function run(script: readonly Deed[]): Promise<void> {
  const paper = await new PaperGeneration({
    services: [{ name: 'web', listen: ['127.0.0.1:80'] }, { name: 'later' }, { name: 'once', placement: 'oneWorker' }],
    dependencies: { later: ['web'] },
    options: {
      threads: THREADS,
      workers: { blockedLimitMs: Infinity, blockedWarningMs: 2_147_483_647, restartDelayMs: 50, maxRestartDelayMs: 400 },
    },
    descriptors: 400,
  }).start();
  const watcher = new Watcher(paper);
  for (const deed of script) {
    if (deed.kind === 'step') for (let time = 0; time < deed.times; time++) paper.threads.of(deed.worker)?.step();
    else if (deed.kind === 'die') paper.threads.of(deed.worker)?.die('killed by the test');
    else if (deed.kind === 'reload') watcher.reload(deed.value);
    else if (deed.kind === 'pass') paper.clock.advance(deed.ms);
    else {
      const thread = paper.threads.of(deed.worker);
      if (thread !== undefined) thread.mood = deed.mood;
    }
    await settle();
    watcher.check();
  }

  // Everybody comes to reason: in the end all is well, whatever has happened.
  for (let round = 0; round < 8; round++) {
    for (const thread of paper.threads.live) thread.mood = 'obeys';
    await paper.pass(11_000);
    watcher.check();
  }
  // A thread whose start was refused to answer has its own, longer limit.
  for (let round = 0; round < 2; round++) await paper.pass(61_000);
  assert.ok(watcher.areAllAnswered, 'each reload is answered');
  assert.equal(paper.threads.live.length, THREADS, 'exactly as many workers as there should be');
  watcher.checkMix();
  for (const { started } of paper.threads.live) assert.ok(started.has('web') && started.has('later'));
  assert.equal(paper.threads.live.filter(({ started }) => started.has('once')).length, 1, 'one worker has the service of one');
  const descriptors = paper.threads.all.flatMap(({ sockets }) => sockets.map(({ fd }) => fd));
  assert.equal(new Set(descriptors).size, descriptors.length, 'no descriptor was listened on twice');

  const asking = paper.generation.workers();
  await paper.quiet();
  const told = await asking;
  assert.deepEqual(
    told.map(({ worker: number, state }) => [number, state]),
    Array.from({ length: THREADS }, (_, index) => [index + 1, 'running']),
  );
  for (const { worker: number, services, restarts } of told) {
    assert.equal(services?.['web']?.connections, paper.threads.of(number)?.threadId);
    assert.equal(restarts, paper.threads.all.filter(({ seed }) => seed.worker === number).length - 1);
  }

  watcher.reload(99);
  await paper.quiet();
  watcher.check();
  assert.equal(paper.of('reloaded').at(-1)?.outcome.kind, 'reloaded', 'and it can still be reloaded');

  paper.say({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 0 });
  await paper.quiet();
  assert.equal(await paper.exitCode, 0);
  assert.equal(paper.of('stopped')[0]?.cut, THREADS);
  assert.equal(paper.threads.live.length, 0);
}

test('whatever dies, refuses or keeps silent during reloads, all workers end up with one configuration', async () => {
  await fc.assert(fc.asyncProperty(deeds, run), { numRuns: 300 });
});
