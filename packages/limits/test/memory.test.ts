/** Memory that several objects, or none but one, may have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { Estimator, Gcra, Inflight, KeyedGcra, Rate, TokenBucket } from '../src/index.ts';

const clock = new ManualClock();

test('two structures on the same memory are one', () => {
  const estimator = new Estimator({ hashes: 3, slots: 100 });
  const sameEstimator = new Estimator({ memory: estimator.memory });
  assert.deepEqual([sameEstimator.hashes, sameEstimator.slots], [3, 128]);
  estimator.increment('a');
  assert.equal(sameEstimator.increment('a'), 2);

  const inflight = new Inflight();
  inflight.acquire('a');
  assert.equal(new Inflight({ memory: inflight.memory }).estimate('a'), 1);

  const rate = new Rate({ intervalMs: 50, clock });
  rate.observe('a');
  const sameRate = new Rate({ memory: rate.memory, clock });
  assert.equal(sameRate.observe('a'), 2);
  assert.equal(sameRate.intervalMs, 50);

  const bucket = new TokenBucket({ tokensPerSecond: 0.1, burst: 2, clock });
  bucket.tryTake();
  const sameBucket = new TokenBucket({ memory: bucket.memory, clock });
  assert.equal(sameBucket.remaining(), 1);
  assert.equal(sameBucket.tokensPerSecond, 0.1);

  const gcra = new Gcra({ intervalMs: 10, clock });
  gcra.tryPass();
  assert.equal(new Gcra({ memory: gcra.memory, clock }).tryPass(), false);

  const keyed = new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys: 5, clock });
  keyed.tryTake('a');
  assert.equal(new KeyedGcra({ memory: keyed.memory, clock }).tryTake('a'), false);
});

test('who joins may say the same parameters again, but no others', () => {
  const { memory } = new Rate({ intervalMs: 50, slots: 1000, clock });
  assert.equal(new Rate({ memory, clock, intervalMs: 50, slots: 1000, hashes: 4 }).slots, 1024);
  assert.throws(() => new Rate({ memory, clock, intervalMs: 60 }), new RangeError('intervalMs is 50 in this memory, not 60'));
  assert.throws(() => new Rate({ memory, clock, slots: 4096 }), new RangeError('slots is 1024 in this memory, not 4096'));
  assert.throws(() => new Rate({ memory, clock, slots: 0 }), /^RangeError: slots must be a whole number/);
});

test('memory of something else is refused, with what it is', () => {
  const { memory } = new Estimator({ slots: 16 });
  assert.throws(() => new Inflight({ memory }), new TypeError('memory is of kind Estimator, not Inflight'));
  assert.throws(
    () => new Estimator({ memory: new SharedArrayBuffer(64) }),
    /^TypeError: memory is not of kind Estimator: 64 bytes are less/,
  );
  assert.throws(
    () => new Estimator({ memory: new SharedArrayBuffer(256) }),
    /^TypeError: memory is not of kind Estimator: it was not made/,
  );
  assert.throws(
    () => new Estimator({ memory: new ArrayBuffer(256) as unknown as SharedArrayBuffer }),
    /^TypeError: memory must be the SharedArrayBuffer/,
  );

  const cut = new SharedArrayBuffer(memory.byteLength - 4);
  new Uint8Array(cut).set(new Uint8Array(memory).subarray(0, cut.byteLength));
  assert.throws(() => new Estimator({ memory: cut }), new TypeError('memory of kind Estimator has 380 bytes, not 384'));

  const words = new Int32Array(memory);
  words[1] = 99;
  assert.throws(() => new Estimator({ memory }), /^TypeError: memory is of kind unknown/);
  words[2] = 2;
  assert.throws(() => new Estimator({ memory }), /^TypeError: memory is of version 2 of this package's layout, not 1/);
});

test('a source of chance that is none is refused, where keys are hashed', () => {
  for (const random of [null, {}, 'seed'] as unknown as readonly ReturnType<typeof seededRandom>[]) {
    const message = /^TypeError: random must have a method uint32/;
    assert.throws(() => new Estimator({ random }), message);
    assert.throws(() => new Inflight({ random }), message);
    assert.throws(() => new Rate({ intervalMs: 1, clock, random }), message);
    assert.throws(() => new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys: 1, clock, random }), message);
  }
});

test('in a realm without shared memory all of them work, for one thread', () => {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, 'SharedArrayBuffer');
  assert.ok(descriptor);
  assert.ok(Reflect.deleteProperty(globalThis, 'SharedArrayBuffer'));
  try {
    const random = seededRandom(1);
    const all = [
      new Estimator({ random }),
      new Inflight({ random }),
      new Rate({ intervalMs: 10, clock, random }),
      new TokenBucket({ tokensPerSecond: 1, burst: 1, clock }),
      new Gcra({ intervalMs: 10, clock }),
      new KeyedGcra({ tokensPerSecond: 1, burst: 1, maxKeys: 10, clock, random }),
    ] as const;
    assert.equal(all[0].increment('a'), 1);
    assert.equal(all[1].acquire('a').estimate, 1);
    assert.equal(all[2].observe('a'), 1);
    for (const limiter of [() => all[3].tryTake(), () => all[4].tryPass(), () => all[5].tryTake('a')]) {
      assert.deepEqual([limiter(), limiter()], [true, false]);
    }
    for (const one of all)
      assert.throws(() => one.memory, new TypeError('this realm has no SharedArrayBuffer, so the memory belongs to one thread'));
  } finally {
    Object.defineProperty(globalThis, 'SharedArrayBuffer', descriptor);
  }
});
