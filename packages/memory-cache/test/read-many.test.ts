/** Many keys at once: one look-up for all that are missing, and nothing lost when it fails. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ioError } from '@ferrata/error';
import { type Answer, settled, World } from './fixtures/source.ts';

/** A `lookUpMany` that answers when the test says so. */
class ManySource {
  readonly calls: { readonly keys: readonly string[]; readonly extra: string | undefined }[] = [];
  #pending = Promise.withResolvers<readonly Answer[]>();

  readonly lookUpMany = (keys: readonly string[], extra: string | undefined): Promise<readonly Answer[]> => {
    this.calls.push({ keys, extra });
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  };

  answer(...values: string[]): Promise<void> {
    this.#pending.resolve(values.map((value) => ({ value })));
    return settled();
  }

  give(results: unknown): Promise<void> {
    this.#pending.resolve(results as readonly Answer[]);
    return settled();
  }

  fail(thrown: unknown): Promise<void> {
    this.#pending.reject(thrown);
    return settled();
  }
}

function makeWorld(): { world: World; source: ManySource } {
  const source = new ManySource();
  return { world: new World({ lookUpMany: source.lookUpMany, lockTimeoutMs: Infinity }), source };
}

describe('getMany and readMany', () => {
  test('one look-up finds all that the cache lacks, each key once', async () => {
    const { world, source } = makeWorld();
    world.cache.put('b', '2');
    const many = world.through.getMany(['a', 'b', 'c', 'a', 'b'], { extra: 'x', ttlMs: 100 });
    assert.deepEqual(source.calls, [{ keys: ['a', 'c'], extra: 'x' }]);
    await source.answer('1', '3');
    assert.deepEqual(
      await many,
      new Map([
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ]),
    );
    assert.equal(world.cache.get('c'), '3');
    world.clock.advance(100);
    assert.deepEqual([...world.cache.getMany(['a', 'b', 'c']).hits.keys()], ['b']);
    assert.equal(world.through.pendingCount, 0);
  });

  test('nothing is looked up when nothing is missing', async () => {
    const { world, source } = makeWorld();
    world.cache.put('a', '1');
    assert.deepEqual(await world.through.getMany(['a']), new Map([['a', '1']]));
    assert.deepEqual(await world.through.getMany([]), new Map());
    assert.equal(source.calls.length, 0);
  });

  test('each value says where it comes from', async () => {
    const { world, source } = makeWorld();
    world.cache.put('hit', '1');
    world.cache.put('stale', '2', 100);
    world.cache.put('expired', '3', 50);
    world.clock.advance(110);
    const many = world.through.readMany(['hit', 'stale', 'expired', 'miss'], { maxStaleMs: 20, whenStale: 'update' });
    await source.answer('4', '5');
    const { reads, error } = await many;
    assert.equal(error, null);
    assert.deepEqual(
      [...reads].map(([key, read]) => [key, read.status, read.value, read.staleMs]),
      [
        ['hit', 'hit', '1', 0],
        ['stale', 'stale', '2', 10],
        ['expired', 'expired', '4', 0],
        ['miss', 'miss', '5', 0],
      ],
    );
    assert.equal(world.only().key, 'stale');
  });

  test('an error does not lose the hits', async () => {
    const { world, source } = makeWorld();
    world.cache.put('a', '1');
    const many = world.through.readMany(['a', 'b']);
    await source.fail(ioError('DOWN'));
    const { reads, error } = await many;
    assert.deepEqual([...reads], [['a', { status: 'hit', value: '1', staleMs: 0 }]]);
    assert.match(String(error), /io CACHE_LOOK_UP_FAILED: io DOWN/);

    const again = assert.rejects(world.through.getMany(['a', 'b']), { reason: 'CACHE_LOOK_UP_FAILED' });
    await source.fail(new Error('down'));
    await again;
  });

  test('as many results as keys are wanted', async () => {
    for (const wrong of [[], [{ value: '1' }], undefined, 'ab']) {
      const { world, source } = makeWorld();
      const fails = assert.rejects(world.through.getMany(['a', 'b']), { name: 'TypeError', message: /lookUpMany must/ });
      await source.give(wrong);
      await fails;
      assert.equal(world.cache.size, 0);
      assert.equal(world.through.pendingCount, 0);
    }
  });

  test('a result in the wrong shape loses its own key only, and who waits for that looks it up', async () => {
    for (const wrong of [{}, undefined, null, 'text']) {
      const { world, source } = makeWorld();
      const many = world.through.readMany(['a', 'b', 'c']);
      const waiting = world.through.get('b');
      await source.give([{ value: '1' }, wrong, { value: '3' }]);
      const { reads, error } = await many;
      assert.deepEqual([...reads.keys()], ['a', 'c']);
      assert.ok(error instanceof TypeError);
      assert.match(error.message, /lookUpMany must/);
      assert.deepEqual([world.cache.get('a'), world.cache.get('c')], ['1', '3']);
      await world.only().answer('2');
      assert.equal(await waiting, '2');
      assert.equal(world.through.pendingCount, 0);
    }
  });

  test('a result that cannot be stored is given all the same, with the first error, and the others are stored', async () => {
    const { world, source } = makeWorld();
    const many = world.through.readMany(['a', 'b', 'c', 'd']);
    const waiting = world.through.read('b');
    await source.give([{ value: '1' }, { value: '2', ttlMs: -1 }, { value: '3', ttlMs: -2 }, { value: '4' }]);
    const { reads, error } = await many;
    assert.deepEqual([...reads.values()].map(({ value }) => value).join(), '1,2,3,4');
    assert.ok(error instanceof RangeError);
    assert.match(error.message, /ttlMs .* not -1/);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((key) => world.cache.get(key)),
      ['1', undefined, undefined, '4'],
    );
    assert.deepEqual(await waiting, { status: 'lockHit', value: '2', staleMs: 0 });
    assert.equal(world.lookUps.length, 0);
    assert.equal(world.through.pendingCount, 0);
  });

  test('a weigh that throws for one key loses no other', async () => {
    const source = new ManySource();
    const weigh = (value: string): number => {
      if (value === '2') throw new Error('weigh broke');
      return 1;
    };
    const world = new World({ lookUpMany: source.lookUpMany, weigh });
    const many = world.through.readMany(['a', 'b', 'c']);
    await source.answer('1', '2', '3');
    const { reads, error } = await many;
    assert.deepEqual([reads.size, error?.message], [3, 'weigh broke']);
    assert.deepEqual([world.cache.get('a'), world.cache.get('c')], ['1', '3']);
  });

  test('keys of which as many look-ups go on as may are waited for, the others are looked up', async () => {
    const source = new ManySource();
    const world = new World({ lookUpMany: source.lookUpMany, maxPendingLookUps: 2, lockTimeoutMs: Infinity });
    const early = [world.through.getMany(['a']), world.through.getMany(['a'])];
    const late = world.through.readMany(['a', 'b']);
    const later = world.through.readMany(['a']);
    assert.deepEqual(
      source.calls.map(({ keys }) => keys.join()),
      ['a', 'a', 'b'],
    );
    world.through.put('a', '1');
    await source.answer('2');
    const { reads, error } = await late;
    assert.equal(error, null);
    assert.deepEqual([...reads].map(([key, { status, value }]) => `${key} ${status} ${value}`).toSorted(), ['a lockHit 1', 'b miss 2']);
    assert.equal((await later).reads.get('a')?.value, '1');
    assert.equal(early.length, 2);
  });

  test('others wait for the look-up of many; it waits for nobody', async () => {
    const { world, source } = makeWorld();
    const single = world.through.get('a');
    const many = world.through.getMany(['a', 'b']);
    const waiting = [world.through.get('a'), world.through.get('b')];
    const lookUp = world.only();
    await source.answer('1', '2');
    assert.deepEqual([...(await many).values()], ['1', '2']);
    assert.deepEqual(await Promise.all(waiting), ['1', '2']);
    // It began earlier, so what it finds later is old.
    await lookUp.answer('old');
    // Whoever made it has had the newer answer meanwhile.
    assert.equal(await single, '1');
    assert.equal(world.cache.get('a'), '1');
  });

  test('when the look-up of many fails, those who wait for its keys look up', async () => {
    const { world, source } = makeWorld();
    const fails = assert.rejects(world.through.getMany(['a', 'b']));
    const waiting = [world.through.get('a'), world.through.get('a')];
    assert.equal(world.lookUps.length, 0);
    await source.fail(new Error('down'));
    await fails;
    await world.only().answer('1');
    assert.deepEqual(await Promise.all(waiting), ['1', '1']);
  });

  test('when the look-up of many fails beside a single one, that is still waited for', async () => {
    const { world, source } = makeWorld();
    const single = world.through.get('a');
    const lookUp = world.only();
    const fails = assert.rejects(world.through.getMany(['a']));
    const waiting = world.through.get('a');
    await source.fail(new Error('down'));
    await fails;
    assert.equal(world.lookUps.length, 0);
    await lookUp.answer('1');
    assert.deepEqual([await single, await waiting], ['1', '1']);
  });

  test('delete keeps the look-up of many from bringing a value back', async () => {
    const { world, source } = makeWorld();
    const many = world.through.getMany(['a', 'b']);
    world.through.delete('a');
    await source.answer('1', '2');
    assert.equal((await many).size, 2);
    assert.deepEqual([world.cache.has('a'), world.cache.has('b')], [false, true]);
  });
});

describe('without lookUpMany', () => {
  test('each missing key has a look-up of its own, which others share', async () => {
    const world = new World();
    world.cache.put('b', '2');
    const single = world.through.get('a');
    const many = world.through.readMany(['a', 'b', 'c']);
    await world.next().answer('1');
    await world.only().answer('3');
    const { reads, error } = await many;
    assert.equal(error, null);
    assert.deepEqual([...reads].map(([key, read]) => `${key} ${read.status} ${read.value}`).toSorted(), [
      'a lockHit 1',
      'b hit 2',
      'c miss 3',
    ]);
    assert.equal(await single, '1');
  });

  test('the first error is told, and what was found is not lost', async () => {
    const world = new World();
    const many = world.through.readMany(['a', 'b', 'c']);
    const [a, b, c] = [world.next(), world.next(), world.next()];
    await b.fail(new Error('first'));
    await a.fail(new Error('second'));
    await c.answer('3');
    const { reads, error } = await many;
    assert.deepEqual([...reads.keys()], ['c']);
    assert.match(String(error), /first/);
  });
});
