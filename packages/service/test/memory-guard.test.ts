/** The stages of memory pressure: up at once, down with a distance, garbage left out of account. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ManualClock } from '@ferrata/clock';
import { MemoryGuard, type MemoryGuardOptions } from '../src/worker/memory-guard.ts';
import { type MemorySample, MemorySampler } from '../src/worker/memory-sampler.ts';

const IDLE: MemorySample = {
  heapUsedBytes: 100,
  heapSurvivedBytes: Infinity,
  heapLimitBytes: 1_000,
  residentBytes: 100,
  residentLimitBytes: Infinity,
};

/** A guard whose samples are set by hand. */
class Rig {
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  samples = 0;
  sample: MemorySample = IDLE;
  readonly guard: MemoryGuard;

  constructor(options: Partial<MemoryGuardOptions> = {}) {
    this.guard = new MemoryGuard({
      clock: this.clock,
      sample: () => {
        this.samples++;
        return this.sample;
      },
      onPressure: (stage, share) => void this.told.push(`${stage} ${Math.round(share * 100)}`),
      ...options,
    });
  }

  /** What is told at the next sample. */
  next(sample: Partial<MemorySample>): string[] {
    this.sample = { ...IDLE, ...sample };
    this.told.length = 0;
    this.clock.advance(250);
    return [...this.told];
  }
}

function started(options?: Partial<MemoryGuardOptions>): Rig {
  const rig = new Rig(options);
  rig.guard.start();
  return rig;
}

test('looks at once, and then every 250 ms, until it is closed', () => {
  const rig = new Rig();
  rig.clock.advance(10_000);
  assert.equal(rig.samples, 0);
  rig.guard.start();
  rig.guard.start();
  assert.equal(rig.samples, 1);
  rig.clock.advance(1_000);
  assert.deepEqual([rig.samples, rig.told, rig.guard.stage], [5, [], 'none']);
  rig.guard.close();
  rig.clock.advance(1_000);
  assert.deepEqual([rig.samples, rig.clock.pendingCount], [5, 0]);
});

test('the stages begin at 85, 92 and 97 % of the memory of the process', () => {
  const rig = started();
  const at = (residentBytes: number): string[] => rig.next({ residentBytes, residentLimitBytes: 1_000 });
  assert.deepEqual(at(849), []);
  assert.deepEqual(at(850), ['tight 85']);
  assert.deepEqual(at(919), []);
  assert.deepEqual(at(920), ['critical 92']);
  assert.deepEqual(at(969), []);
  assert.deepEqual(at(970), ['last 97']);
  assert.equal(rig.guard.stage, 'last');
});

test('the last stage is told at each sample while it lasts', () => {
  const rig = started();
  assert.deepEqual(rig.next({ residentBytes: 980, residentLimitBytes: 1_000 }), ['last 98']);
  assert.deepEqual(rig.next({ residentBytes: 980, residentLimitBytes: 1_000 }), ['last 98']);
  assert.deepEqual(rig.next({ residentBytes: 925, residentLimitBytes: 1_000 }), ['last 93']);
  assert.deepEqual(rig.next({ residentBytes: 915, residentLimitBytes: 1_000 }), ['critical 92']);
  assert.deepEqual(rig.next({ residentBytes: 915, residentLimitBytes: 1_000 }), []);
});

test('a stage ends 5 % below where it begins, and several may be passed at once, up and down', () => {
  const rig = started();
  const at = (residentBytes: number): string[] => rig.next({ residentBytes, residentLimitBytes: 1_000 });
  assert.deepEqual(at(860), ['tight 86']);
  assert.deepEqual(at(801), []);
  assert.deepEqual(at(799), ['none 80']);
  assert.deepEqual(at(849), []);
  assert.deepEqual(at(990), ['last 99']);
  assert.deepEqual(at(100), ['none 10']);
});

test('a process that does not grow any more is tight at most after ten seconds, and whatever it is again as soon as it grows', () => {
  const rig = started();
  const at = (residentBytes: number): string[] => rig.next({ residentBytes, residentLimitBytes: 10_000 });
  const settle = (residentBytes: number): string[] => {
    const told: string[] = [];
    for (let time = 0; time < 10_000; time += 250) told.push(...at(residentBytes));
    return [...new Set(told)];
  };
  assert.deepEqual(at(9_900), ['last 99']);
  // All was let go of, and the allocator keeps it.
  assert.deepEqual(settle(9_900), ['last 99', 'tight 99']);
  assert.deepEqual(settle(9_905), []);
  assert.deepEqual(settle(9_600), []);
  // Given out again; below what it had once is nothing new.
  assert.deepEqual(settle(9_900), []);
  assert.deepEqual(at(9_910), ['last 99']);
  assert.deepEqual(at(9_920), ['last 99']);
  assert.deepEqual(settle(9_300), ['last 93', 'tight 93']);
  assert.deepEqual(at(7_999), ['none 80']);
  assert.deepEqual(at(9_300), ['critical 93']);
  // Little by little is growing, too.
  for (let residentBytes = 9_300; residentBytes <= 9_700; residentBytes += 5) at(residentBytes);
  assert.equal(rig.guard.stage, 'last');
});

test('of the heap and the process the worse one counts', () => {
  const rig = started();
  assert.deepEqual(rig.next({ heapUsedBytes: 930, heapSurvivedBytes: 930, residentBytes: 860, residentLimitBytes: 1_000 }), [
    'critical 93',
  ]);
  assert.deepEqual(rig.next({ heapUsedBytes: 300, heapSurvivedBytes: 300, residentBytes: 860, residentLimitBytes: 1_000 }), ['tight 86']);
  assert.deepEqual(rig.next({ heapUsedBytes: 300, heapSurvivedBytes: 300, residentBytes: 860 }), ['none 30']);
});

test('a heap that nobody has seen collected is tight at most, and then what the collection left counts', () => {
  const rig = started();
  assert.deepEqual(rig.next({ heapUsedBytes: 990 }), ['tight 99']);
  assert.deepEqual(rig.next({ heapUsedBytes: 999 }), []);
  assert.deepEqual(rig.next({ heapUsedBytes: 990, heapSurvivedBytes: 400 }), ['none 40']);
  assert.deepEqual(rig.next({ heapUsedBytes: 990, heapSurvivedBytes: 930 }), ['critical 93']);
  // More cannot have survived than is there.
  assert.deepEqual(rig.next({ heapUsedBytes: 100, heapSurvivedBytes: 930 }), ['none 10']);
});

test('samples that make no sense, and one that throws, say nothing of pressure', () => {
  const rig = started();
  for (const residentLimitBytes of [0, -1, Number.NaN, Infinity])
    assert.deepEqual(rig.next({ residentBytes: 999, residentLimitBytes }), []);
  assert.deepEqual(rig.next({ heapUsedBytes: Number.NaN, heapLimitBytes: 0 }), []);
  let isBroken = true;
  const broken = started({
    sample: () => {
      if (isBroken) throw new Error('no /proc');
      return { ...IDLE, residentBytes: 860, residentLimitBytes: 1_000 };
    },
  });
  broken.clock.advance(1_000);
  assert.deepEqual(broken.told, []);
  isBroken = false;
  broken.clock.advance(250);
  assert.deepEqual(broken.told, ['tight 86']);
});

test('a callback that throws, rejects or closes the guard harms nobody', async () => {
  const sample = (): MemorySample => ({ ...IDLE, residentBytes: 990, residentLimitBytes: 1_000 });
  let calls = 0;
  const throwing = started({
    sample,
    onPressure: () => {
      calls++;
      throw new Error('bug');
    },
  });
  throwing.clock.advance(500);
  assert.equal(calls, 3);
  const rejecting = started({ sample, onPressure: () => Promise.reject(new Error('bug')) as unknown as undefined });
  rejecting.clock.advance(500);
  await Promise.resolve();
  const closing = started({ sample, onPressure: () => closing?.guard.close() });
  closing.clock.advance(500);
  assert.equal(closing.clock.pendingCount, 0);
});

test('options that make no sense are refused', () => {
  const onPressure = (): void => {};
  for (const wrong of [
    { intervalMs: 0 },
    { intervalMs: 100_000 },
    { tightShare: 0 },
    { tightShare: 0.95, criticalShare: 0.9 },
    { lastShare: 1.1 },
    { hysteresis: -0.1 },
    { hysteresis: 0.5 },
  ]) {
    assert.throws(() => new MemoryGuard({ onPressure, ...wrong }), RangeError, JSON.stringify(wrong));
  }
  for (const wrong of [{}, { onPressure: 1 }, { onPressure, sample: 1 }]) {
    assert.throws(() => new MemoryGuard(wrong as unknown as MemoryGuardOptions), TypeError);
  }
});

test('the sampler measures this thread and this process, and asks for the process once a second at most', (t) => {
  const clock = new ManualClock();
  const rss = t.mock.method(process.memoryUsage, 'rss');
  const sampler = new MemorySampler(clock, 0.8);
  const sample = sampler.take();
  assert.ok(sample.heapUsedBytes > 1_000_000 && sample.heapUsedBytes < sample.heapLimitBytes);
  assert.ok(sample.residentBytes > sample.heapUsedBytes && sample.residentBytes < sample.residentLimitBytes);
  assert.ok(sample.residentLimitBytes < Infinity);
  for (let at = 0; at < 3; at++) {
    clock.advance(250);
    sampler.take();
  }
  assert.equal(rss.mock.callCount(), 1);
  clock.advance(250);
  sampler.take();
  assert.equal(rss.mock.callCount(), 2);
  sampler.close();
});

test('in a thread whose heap fills up it is critical before the thread dies, and none when all was let go', async () => {
  const worker = new Worker(new URL('./memory-guard-thread.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 },
  });
  const [stages] = (await once(worker, 'message')) as [string[]];
  await worker.terminate();
  assert.ok(stages.includes('critical') || stages.includes('last'), stages.join());
  assert.equal(stages.at(-1), 'none');
});
