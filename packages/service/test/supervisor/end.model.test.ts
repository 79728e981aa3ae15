/** The end of a generation: whatever happens before, at whatever moment it comes, everything ends, everybody is answered, and nothing is left behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KeeperMessage } from '../../src/keeper/generation-messages.ts';
import { type Mood, settle } from './fixtures/fake-threads.ts';
import { PaperGeneration } from './fixtures/paper-generation.ts';

type Deed =
  | { readonly kind: 'step'; readonly worker: number; readonly times: number }
  | { readonly kind: 'die'; readonly worker: number }
  | { readonly kind: 'mood'; readonly worker: number; readonly mood: Mood }
  | { readonly kind: 'reload'; readonly what: 'value' | 'label' | 'never' }
  | { readonly kind: 'ask'; readonly what: 'reload' | 'upgrade' | 'drain' }
  | { readonly kind: 'say'; readonly message: KeeperMessage }
  | { readonly kind: 'lose' }
  | { readonly kind: 'pass'; readonly ms: number };

const worker = fc.integer({ min: 1, max: 2 });
const is = <Kind extends string>(kind: Kind): fc.Arbitrary<Kind> => fc.constant(kind);
const stop = fc.record({
  kind: is('stop'),
  why: fc.constantFrom('terminate', 'fast', 'superseded'),
  graceMs: fc.constantFrom(0, 1_000, 60_000),
  delayMs: fc.constantFrom(0, 500),
});
const upgrade = fc.constantFrom<KeeperMessage>({ kind: 'upgrading' }, { kind: 'upgradeFailed', why: 'it crashed' });
const deeds: fc.Arbitrary<readonly Deed[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: is('step'), worker, times: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: is('die'), worker }) },
    { weight: 1, arbitrary: fc.record({ kind: is('mood'), worker, mood: fc.constantFrom<Mood>('obeys', 'refuses', 'mute', 'deaf') }) },
    { weight: 4, arbitrary: fc.record({ kind: is('reload'), what: fc.constantFrom('value', 'value', 'label', 'never') }) },
    { weight: 1, arbitrary: fc.record({ kind: is('ask'), what: fc.constantFrom('reload', 'upgrade', 'drain') }) },
    { weight: 3, arbitrary: fc.record({ kind: is('say'), message: fc.oneof(stop, upgrade) }) },
    { weight: 1, arbitrary: fc.record({ kind: is('lose') }) },
    { weight: 2, arbitrary: fc.record({ kind: is('pass'), ms: fc.constantFrom(1, 60, 240, 3_000, 10_000, 60_000) }) },
  ),
  { maxLength: 30 },
);

/** One generation, and what has been wanted of it. */
class Life {
  readonly paper = new PaperGeneration({
    services: [
      { name: 'web', listen: ['127.0.0.1:80'] },
      { name: 'later' },
      { name: 'once', placement: 'oneWorker', listen: ['127.0.0.1:81'] },
      { name: 'beside', placement: 'main' },
    ],
    dependencies: { later: ['web'], once: ['later'] },
    options: { threads: 2, workers: { restartDelayMs: 50, maxRestartDelayMs: 400 } },
    descriptors: 400,
  });
  hasEnded = false;
  reloads = 0;
  asked = 0;
  settled = 0;
  #isStopping = false;

  constructor() {
    void this.paper.exitCode.then(() => {
      this.hasEnded = true;
    });
  }

  do(deed: Deed): void {
    const { paper } = this;
    switch (deed.kind) {
      case 'step':
        for (let time = 0; time < deed.times; time++) paper.threads.of(deed.worker)?.step();
        return;
      case 'die':
        return paper.threads.of(deed.worker)?.die('killed by the test');
      case 'mood': {
        const thread = paper.threads.of(deed.worker);
        if (thread !== undefined) thread.mood = deed.mood;
        return;
      }
      case 'reload':
        this.reloads += 1;
        if (deed.what === 'label') paper.label = `label ${this.reloads}`;
        else paper.config = deed.what === 'never' ? () => new Promise(() => {}) : { value: this.reloads };
        return paper.say({ kind: 'reload', id: this.reloads });
      case 'ask':
        return this.#ask(deed.what);
      case 'say':
        this.#isStopping ||= deed.message.kind === 'stop';
        return paper.say(deed.message);
      case 'lose':
        this.#isStopping = true;
        return paper.lose();
      case 'pass':
        return paper.clock.advance(deed.ms);
      default:
        deed satisfies never;
    }
  }

  #ask(what: 'reload' | 'upgrade' | 'drain'): void {
    if (this.hasEnded) return;
    this.asked += 1;
    const before = this.paper.of('ask').length;
    void this.paper.generation[what]().then(() => {
      this.settled += 1;
    });
    const question = this.paper.of('ask')[before];
    // As a keeper does that is ending.
    if (question !== undefined && this.#isStopping && what !== 'drain') {
      this.paper.say({ kind: 'answer', id: question.id, refused: 'the server is stopping' });
    }
  }
}

async function run(isReady: boolean, script: readonly Deed[]): Promise<void> {
  const life = new Life();
  const { paper } = life;
  if (isReady) await paper.start();
  else paper.begin();
  for (const deed of script) {
    life.do(deed);
    await settle();
  }

  paper.say({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 0 });
  for (let round = 0; round < 12 && !life.hasEnded; round++) await paper.pass(11_000);
  assert.ok(life.hasEnded);
  await paper.quiet();
  assert.equal(paper.threads.live.length, 0);
  assert.equal(paper.clock.pendingCount, 0);
  assert.equal(paper.of('reloaded').length, life.reloads);
  assert.ok(paper.of('stopped').length <= 1 && paper.of('failed').length <= 1);
  assert.ok(paper.of('stopped').length + paper.of('failed').length > 0);
  // One that could not start goes without another word.
  if (paper.of('failed').length === 0) assert.equal(life.settled, life.asked);
}

test('whatever happens, a generation that is to stop ends, with an answer for everybody and nothing left behind', async () => {
  await fc.assert(fc.asyncProperty(fc.boolean(), deeds, run), { numRuns: 400 });
});
