/** Laws of the flood guard: what passes is bounded by what was paid, whatever the mixture and whenever it comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType } from '@ferrata/http2-framing';
import fc from 'fast-check';
import { FloodGuard } from '../src/flood-guard.ts';
import { resolveFloodGuardOptions } from '../src/flood-guard-options.ts';

const OPTIONS = resolveFloodGuardOptions({
  pings: { burst: 5, perSecond: 10 },
  settings: { burst: 3, perSecond: 1 },
  glitches: { burst: 4, perSecond: 2 },
  resets: { burst: 6, perSecond: 5 },
});

type Kind = 'ping' | 'settings' | 'glitch' | 'reset' | 'data' | 'complete' | 'wait';

/** A bucket as one would write it down: no arrays, and time looked at for each event. */
class NaiveBucket {
  #left: number;
  #at = 0;
  readonly #burst: number;
  readonly #perSecond: number;
  constructor(burst: number, perSecond: number) {
    this.#left = burst;
    this.#burst = burst;
    this.#perSecond = perSecond;
  }
  earn(amount: number, now: number): void {
    this.#flow(now);
    this.#left = Math.min(this.#burst, this.#left + amount);
  }
  take(now: number): boolean {
    this.#flow(now);
    this.#left -= 1;
    return this.#left >= -1e-9;
  }
  #flow(now: number): void {
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
  }
}

const event = fc.record({
  kind: fc.constantFrom<Kind>('ping', 'settings', 'glitch', 'reset', 'data', 'complete', 'wait', 'wait'),
  ms: fc.integer({ min: 0, max: 500 }),
});

test('the guard trips at the very event at which a naive set of buckets is empty, and stays tripped', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 300 }), (events) => {
      const guard = new FloodGuard(OPTIONS, { isServer: true, maxConcurrentStreams: 100 }, 0);
      const pings = new NaiveBucket(5, 10);
      const settings = new NaiveBucket(3, 1);
      const glitches = new NaiveBucket(4, 2);
      const resets = new NaiveBucket(6, 5);
      let now = 0;
      let tripped: string | null = null;
      for (const { kind, ms } of events) {
        let reason: string | null = guard.reason;
        let isPaid = true;
        switch (kind) {
          case 'wait':
            now += ms;
            guard.beginInput(now);
            break;
          case 'ping':
            reason = guard.onFrame(FrameType.ping, 0, 8);
            isPaid = pings.take(now);
            break;
          case 'settings':
            reason = guard.onFrame(FrameType.settings, 0, 0);
            isPaid = settings.take(now);
            break;
          case 'glitch':
            reason = guard.onGlitch();
            isPaid = glitches.take(now);
            break;
          case 'reset':
            reason = guard.onPeerReset(true);
            isPaid = resets.take(now);
            break;
          case 'data':
            reason = guard.onData(1_000, 0, false);
            pings.earn(1, now);
            break;
          case 'complete':
            guard.onStreamComplete();
            resets.earn(0.25, now);
            glitches.earn(1, now);
            pings.earn(1, now);
            break;
        }
        if (tripped === null && !isPaid) tripped = reason ?? 'not noticed';
        assert.equal(reason, tripped);
      }
    }),
    { numRuns: 500, seed: 44487 },
  );
});

test('any mixture without content is over within the sum of all bursts', () => {
  const types = [...Object.values(FrameType), 0x42].filter((type) => type !== FrameType.data && type !== FrameType.headers);
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 0, max: 300 }),
      (pattern, length) => {
        const guard = new FloodGuard(resolveFloodGuardOptions(), { isServer: true, maxConcurrentStreams: 100 }, 0);
        let frames = 0;
        while (guard.reason === null && frames < 200_000) {
          const type = pattern[frames % pattern.length] as number;
          if (guard.onFrame(type, 0, length) === null && type === FrameType.windowUpdate) guard.onWindowUpdate(65_535);
          frames++;
        }
        assert.notEqual(guard.reason, null);
        assert.ok(frames <= 0x1_0001, `${frames} frames`);
      },
    ),
    { numRuns: 200, seed: 9512 },
  );
});
