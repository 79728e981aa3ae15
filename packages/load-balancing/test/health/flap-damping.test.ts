/** Damping of what flaps (RFC 2439). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FlapDamping, type FlapDampingConfig, type FlapDampingOptions, resolveFlapDampingOptions } from '../../src/health/flap-damping.ts';

/** Moves the penalty on millisecond by millisecond, as it is defined, and knows no formula for any point in time. */
class NaiveTwin {
  readonly #config: FlapDampingConfig;
  readonly #factor: number;
  penalty = 0;
  isSuppressed = false;
  #sinceFlip = 0;

  constructor(config: FlapDampingConfig) {
    this.#config = config;
    this.#factor = 0.5 ** (1 / config.halfLifeMs);
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed++) this.penalty *= this.#factor;
    this.#sinceFlip += ms;
  }

  look(): boolean {
    if (this.penalty < this.#config.reusePenalty || this.#sinceFlip >= this.#config.maxSuppressMs) this.isSuppressed = false;
    return this.isSuppressed;
  }

  flip(): void {
    this.penalty = Math.min(this.penalty + this.#config.flipPenalty, this.#config.ceiling);
    this.#sinceFlip = 0;
    if (this.penalty >= this.#config.suppressPenalty) this.isSuppressed = true;
  }

  /** So near to a threshold that the rounding of two ways of reckoning may decide. */
  isOnEdge(): boolean {
    const { reusePenalty, suppressPenalty } = this.#config;
    return [reusePenalty, suppressPenalty].some((edge) => Math.abs(this.penalty - edge) < edge * 1e-6);
  }
}

interface Real {
  readonly damping: FlapDamping;
  now: number;
}

class Pass implements fc.Command<NaiveTwin, Real> {
  readonly #ms: number;
  constructor(ms: number) {
    this.#ms = ms;
  }
  check(): boolean {
    return true;
  }
  run(twin: NaiveTwin, real: Real): void {
    twin.pass(this.#ms);
    real.now += this.#ms;
    const penalty = real.damping.penaltyAt(real.now);
    assert.ok(Math.abs(penalty - twin.penalty) <= 1e-6 * Math.max(1, twin.penalty), `${penalty} is not ${twin.penalty}`);
    if (!twin.isOnEdge()) assert.equal(real.damping.isSuppressedAt(real.now), twin.look());
  }
  toString(): string {
    return `pass ${this.#ms}`;
  }
}

class Flip implements fc.Command<NaiveTwin, Real> {
  check(twin: NaiveTwin): boolean {
    return !twin.isOnEdge();
  }
  run(twin: NaiveTwin, real: Real): void {
    twin.flip();
    real.damping.flip(real.now);
    if (!twin.isOnEdge()) assert.equal(real.damping.isSuppressedAt(real.now), twin.look());
    assert.ok(Math.abs(real.damping.penaltyAt(real.now) - twin.penalty) <= 1e-6 * twin.penalty);
  }
  toString(): string {
    return 'flip';
  }
}

describe('flap damping', () => {
  test('agrees with a twin that lets the penalty decay by the millisecond', () => {
    const options = fc.record({
      halfLifeMs: fc.integer({ min: 20, max: 400 }),
      // Figures that no sum of the others meets.
      flipPenalty: fc.constantFrom(701.3, 1_003.7, 2_111.9),
    });
    const commands = fc.commands([fc.integer({ min: 1, max: 300 }).map((ms) => new Pass(ms)), fc.constant(new Flip())], {
      maxCommands: 40,
    });
    fc.assert(
      fc.property(options, commands, (given, list) => {
        const config = resolveFlapDampingOptions({ ...given, maxSuppressMs: given.halfLifeMs * 4 + 3 });
        fc.modelRun(() => ({ model: new NaiveTwin(config), real: { damping: new FlapDamping(config), now: 0 } }), list);
      }),
      { numRuns: 200 },
    );
  });

  test('holds a backend back from the suppress threshold until the penalty is below the reuse threshold', () => {
    const damping = new FlapDamping(resolveFlapDampingOptions({ halfLifeMs: 1_000, maxSuppressMs: 10_000 }));
    damping.flip(0);
    damping.flip(0);
    assert.equal(damping.isSuppressedAt(0), false);
    damping.flip(0);
    assert.deepEqual([damping.isSuppressedAt(0), damping.penaltyAt(0), damping.penaltyAt(1_000)], [true, 3_000, 1_500]);
    // 3 000 decays to 1 000 in log₂ 3 half-lives.
    assert.deepEqual([damping.isSuppressedAt(1_584), damping.isSuppressedAt(1_586)], [true, false]);
    damping.flip(1_586);
    assert.equal(damping.isSuppressedAt(1_586), false);
  });

  test('holds nobody back for longer than it may, however often it has flipped', () => {
    const damping = new FlapDamping(resolveFlapDampingOptions({}));
    for (let flip = 0; flip < 1_000; flip++) damping.flip(0);
    assert.equal(damping.penaltyAt(0), 16_000);
    assert.deepEqual([damping.isSuppressedAt(239_999), damping.isSuppressedAt(240_000)], [true, false]);
  });

  test('refuses figures that are none, or make no sense together', () => {
    const wrong: FlapDampingOptions[] = [
      { flipPenalty: 0 },
      { flipPenalty: Infinity },
      { reusePenalty: 0 },
      { reusePenalty: 3_000 },
      { halfLifeMs: 0 },
      { halfLifeMs: 1.5 },
      { maxSuppressMs: 0 },
      { maxSuppressMs: 60_000 },
    ];
    for (const options of wrong) assert.throws(() => resolveFlapDampingOptions(options), RangeError, JSON.stringify(options));
  });
});
