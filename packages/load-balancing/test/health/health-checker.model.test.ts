/** The checker under commands at random, against a twin that knows only the rules: results in a row, and who is there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backendsOf, checkerRig } from './rig.ts';

const NAMES = 4;
const all = backendsOf(NAMES);

/** What should be thought of each backend that is there, after each round. */
class Twin {
  readonly thresholds: { readonly healthyThreshold: number; readonly unhealthyThreshold: number };
  readonly healthy: boolean[] = Array.from({ length: NAMES }, () => true);
  readonly down: boolean[] = Array.from({ length: NAMES }, () => false);
  readonly hanging: boolean[] = Array.from({ length: NAMES }, () => false);
  readonly present: boolean[] = Array.from({ length: NAMES }, () => true);
  readonly streak: number[] = Array.from({ length: NAMES }, () => 0);
  changes = 0;

  constructor(thresholds: Twin['thresholds']) {
    this.thresholds = thresholds;
  }

  round(): void {
    for (let index = 0; index < NAMES; index++) {
      if (this.present[index] === false) continue;
      const isGood = this.down[index] === false && this.hanging[index] === false;
      const isHealthy = this.healthy[index] ?? true;
      this.streak[index] = isGood === isHealthy ? 0 : (this.streak[index] ?? 0) + 1;
      const wanted = isGood ? this.thresholds.healthyThreshold : this.thresholds.unhealthyThreshold;
      if (this.streak[index] !== wanted) continue;
      this.streak[index] = 0;
      this.healthy[index] = isGood;
      this.changes++;
    }
  }
}

type Rig = ReturnType<typeof checkerRig>;

class Switch implements fc.AsyncCommand<Twin, Rig> {
  readonly #what: 'down' | 'hanging';
  readonly #index: number;
  readonly #isOn: boolean;
  constructor(what: 'down' | 'hanging', index: number, isOn: boolean) {
    this.#what = what;
    this.#index = index;
    this.#isOn = isOn;
  }
  check(): boolean {
    return true;
  }
  run(twin: Twin, { check }: Rig): Promise<void> {
    twin[this.#what][this.#index] = this.#isOn;
    if (this.#isOn) check[this.#what].add(`b${this.#index}`);
    else check[this.#what].delete(`b${this.#index}`);
    return Promise.resolve();
  }
  toString(): string {
    return `${this.#what} b${this.#index} ${this.#isOn}`;
  }
}

/** One comes or goes; whoever comes begins to count anew. */
class Move implements fc.AsyncCommand<Twin, Rig> {
  readonly #index: number;
  constructor(index: number) {
    this.#index = index;
  }
  check(): boolean {
    return true;
  }
  run(twin: Twin, { target, checker }: Rig): Promise<void> {
    twin.present[this.#index] = twin.present[this.#index] === false;
    twin.streak[this.#index] = 0;
    target.backends = all.filter((_, index) => twin.present[index]);
    checker.refresh();
    return Promise.resolve();
  }
  toString(): string {
    return `move b${this.#index}`;
  }
}

class Round implements fc.AsyncCommand<Twin, Rig> {
  check(): boolean {
    return true;
  }
  async run(twin: Twin, { target, check, checker, pass }: Rig): Promise<void> {
    const begun = check.begun.length;
    const checked = checker.checkNow();
    // One after another, each for as long as its time-out allows.
    await pass(60 * NAMES + 20, 20);
    await checked;
    twin.round();
    assert.equal(check.begun.length - begun, twin.present.filter(Boolean).length);
    for (const [index, backend] of all.entries()) assert.equal(target.isHealthy(backend), twin.healthy[index], backend.name);
    assert.deepEqual([checker.counts.changes, target.told.length], [twin.changes, twin.changes]);
    assert.deepEqual([check.mostOfOne <= 1, check.runningCount, checker.runningCount], [true, 0, 0]);
  }
  toString(): string {
    return 'round';
  }
}

test('whatever comes, goes, fails and hangs, backends are what results in a row make them, and each change is told once', async () => {
  const index = fc.nat({ max: NAMES - 1 });
  const commands = fc.commands(
    [
      fc.tuple(index, fc.boolean()).map(([which, isOn]) => new Switch('down', which, isOn)),
      fc.tuple(index, fc.boolean()).map(([which, isOn]) => new Switch('hanging', which, isOn)),
      index.map((which) => new Move(which)),
      fc.constant(new Round()),
      fc.constant(new Round()),
    ],
    { maxCommands: 30 },
  );
  const thresholds = fc.record({ healthyThreshold: fc.integer({ min: 1, max: 3 }), unhealthyThreshold: fc.integer({ min: 1, max: 3 }) });
  await fc.assert(
    fc.asyncProperty(thresholds, fc.integer({ min: 1, max: 5 }), commands, async (given, maxParallel, list) => {
      await fc.asyncModelRun(
        () => ({ model: new Twin(given), real: checkerRig(all, { ...given, maxParallel, timeoutMs: 40, intervalMs: 50 }) }),
        list,
      );
    }),
    { numRuns: 100 },
  );
});
