/** What flips a backend. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FlipCounter, type FlipThresholds } from '../../src/health/flip-counter.ts';

/** The results since the last flip decide: written as it is said, with the whole history. */
class NaiveTwin {
  readonly #thresholds: FlipThresholds;
  readonly #history: boolean[] = [];
  isHealthy: boolean;

  constructor(thresholds: FlipThresholds, isHealthy: boolean) {
    this.#thresholds = thresholds;
    this.isHealthy = isHealthy;
  }

  add(isGood: boolean): boolean {
    this.#history.push(isGood);
    const wanted = this.isHealthy ? this.#thresholds.unhealthyThreshold : this.#thresholds.healthyThreshold;
    const last = this.#history.slice(-wanted);
    if (last.length < wanted || last.includes(this.isHealthy)) return false;
    this.reset(!this.isHealthy);
    return true;
  }

  reset(isHealthy: boolean): void {
    this.#history.length = 0;
    this.isHealthy = isHealthy;
  }
}

interface Real {
  readonly counter: FlipCounter;
}

class Add implements fc.Command<NaiveTwin, Real> {
  readonly #isGood: boolean;
  constructor(isGood: boolean) {
    this.#isGood = isGood;
  }
  check(): boolean {
    return true;
  }
  run(twin: NaiveTwin, { counter }: Real): void {
    assert.equal(counter.add(this.#isGood), twin.add(this.#isGood));
    assert.equal(counter.isHealthy, twin.isHealthy);
  }
  toString(): string {
    return this.#isGood ? 'good' : 'bad';
  }
}

class Reset implements fc.Command<NaiveTwin, Real> {
  readonly #isHealthy: boolean;
  constructor(isHealthy: boolean) {
    this.#isHealthy = isHealthy;
  }
  check(): boolean {
    return true;
  }
  run(twin: NaiveTwin, { counter }: Real): void {
    counter.reset(this.#isHealthy);
    twin.reset(this.#isHealthy);
    assert.equal(counter.isHealthy, twin.isHealthy);
  }
  toString(): string {
    return `reset ${this.#isHealthy}`;
  }
}

test('a backend flips exactly when as many results in a row as the threshold are against what is thought of it', () => {
  const thresholds = fc.record({ healthyThreshold: fc.integer({ min: 1, max: 4 }), unhealthyThreshold: fc.integer({ min: 1, max: 4 }) });
  const commands = fc.commands(
    [
      fc.boolean().map((isGood) => new Add(isGood)),
      fc.boolean().map((isGood) => new Add(isGood)),
      fc.boolean().map((isHealthy) => new Reset(isHealthy)),
    ],
    { maxCommands: 60 },
  );
  fc.assert(
    fc.property(thresholds, fc.boolean(), commands, (given, isHealthy, list) => {
      fc.modelRun(() => ({ model: new NaiveTwin(given, isHealthy), real: { counter: new FlipCounter(given, isHealthy) } }), list);
    }),
    { numRuns: 300 },
  );
});

test('a result of the same kind takes back what was counted', () => {
  const counter = new FlipCounter({ healthyThreshold: 2, unhealthyThreshold: 3 }, true);
  assert.deepEqual(
    [false, false, true, false, false, false].map((isGood) => counter.add(isGood)),
    [false, false, false, false, false, true],
  );
  assert.deepEqual(
    [true, false, true, true].map((isGood) => counter.add(isGood)),
    [false, false, false, true],
  );
});
