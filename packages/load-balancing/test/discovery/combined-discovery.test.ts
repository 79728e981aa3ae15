/** Static discoveries, those made of others, and the follower. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectError, type WireError } from '@ferrata/error';
import type { PlainBackend } from '../../src/backend.ts';
import { filterDiscovery, mapDiscovery, mergeDiscoveries } from '../../src/discovery/combined-discovery.ts';
import type { Discovery, DiscoverySink } from '../../src/discovery/discovery.ts';
import { DiscoveryFollower } from '../../src/discovery/discovery-follower.ts';
import { staticDiscovery } from '../../src/discovery/static-discovery.ts';
import { Heard, manual, settled } from './heard.ts';

/** A discovery that says what the test says. */
class Spoken implements Discovery {
  readonly name: string;
  closed = 0;
  #sink: DiscoverySink | null = null;

  constructor(name = 'spoken') {
    this.name = name;
  }

  watch(sink: DiscoverySink): { close(): void } {
    this.#sink = sink;
    return { close: () => void this.closed++ };
  }

  say(...addresses: readonly string[]): void {
    this.sayBackends(addresses.map((address) => ({ address })));
  }

  sayBackends(backends: readonly PlainBackend[]): void {
    this.#sink?.onBackends(backends);
  }

  fail(reason = 'BROKEN'): void {
    this.#sink?.onFailed(connectError(reason));
  }
}

const { clock, environment } = manual();

describe('a static discovery', () => {
  test('says its backends once, and not inside of the call', async () => {
    const heard = new Heard();
    const watch = staticDiscovery([
      { address: '192.0.2.1:80', weight: 2 },
      { address: { path: '/run/a' }, extension: 1 },
    ]).watch(heard, environment);
    assert.deepEqual(heard.all, []);
    await settled();
    assert.deepEqual(heard.sets, [[{ address: 'tcp://192.0.2.1:80', weight: 2 }, { address: 'unix:/run/a' }]]);
    watch.close();
  });

  test('says nothing after close', async () => {
    const heard = new Heard();
    staticDiscovery([]).watch(heard, environment).close();
    await settled();
    assert.deepEqual(heard.all, []);
  });

  test('refuses what is no set of plain backends', () => {
    for (const wrong of [
      null,
      [1],
      [{ address: 'a' }],
      ['a:80'],
      [{ address: 'a:80' }, { address: 'b:80', name: 'a:80' }],
      [{ address: 'a:80', connect() {} }],
    ])
      assert.throws(() => staticDiscovery(wrong as never), TypeError);
    assert.throws(() => staticDiscovery([{ address: 'a:80', weight: -1 }]), RangeError);
  });
});

describe('merged discoveries', () => {
  function merged(): { one: Spoken; two: Spoken; heard: Heard; close: () => void } {
    const [one, two, heard] = [new Spoken('one'), new Spoken('two'), new Heard()];
    const watch = mergeDiscoveries([one, two]).watch(heard, environment);
    return { one, two, heard, close: () => watch.close() };
  }

  test('say a first set when each has said one, in the order of the list', () => {
    const { one, two, heard } = merged();
    two.say('b:80');
    assert.deepEqual(heard.all, []);
    one.say('a:80');
    assert.deepEqual(heard.all, ['a:80 b:80']);
    two.say('c:80');
    assert.deepEqual(heard.all, ['a:80 b:80', 'a:80 c:80']);
  });

  test('take a failure for an answer, once, and keep the last good set of the one that fails', () => {
    const { one, two, heard } = merged();
    one.say('a:80');
    two.fail();
    assert.deepEqual(heard.all, ['BROKEN', 'a:80']);
    two.say('b:80');
    two.fail('AGAIN');
    one.say('c:80');
    assert.deepEqual(heard.all.slice(2), ['a:80 b:80', 'AGAIN', 'c:80 b:80']);
  });

  test('say no set where all have failed', () => {
    const { one, two, heard } = merged();
    one.fail('ONE');
    two.fail('TWO');
    assert.deepEqual(heard.all, ['ONE', 'TWO']);
    one.say();
    assert.deepEqual(heard.sets, [[]]);
  });

  test('have each name once: the first of the list counts', () => {
    const { one, two, heard } = merged();
    two.sayBackends([
      { address: 'a:80', weight: 9 },
      { address: 'x:80', name: 'b:80' },
    ]);
    one.sayBackends([{ address: 'tcp://a:80', weight: 1 }, { address: 'b:80' }]);
    assert.deepEqual(heard.sets[0], [{ address: 'tcp://a:80', weight: 1 }, { address: 'b:80' }]);
  });

  test('are not said again if nothing has changed in the whole', () => {
    const { one, two, heard } = merged();
    one.say('a:80');
    two.say('a:80', 'b:80');
    two.say('b:80');
    assert.deepEqual(heard.all, ['a:80 b:80']);
  });

  test('tell of what is no backend, and go on', () => {
    const { one, two, heard } = merged();
    one.say('a:80');
    two.say('nonsense');
    assert.deepEqual(heard.all, ['DISCOVERY_BAD_BACKEND']);
    two.say('b:80');
    assert.deepEqual(heard.all, ['DISCOVERY_BAD_BACKEND', 'a:80 b:80']);
  });

  test('are closed together, and say nothing then; so are those that were begun before one that cannot be', () => {
    const { one, two, heard, close } = merged();
    close();
    one.say('a:80');
    two.say('b:80');
    assert.deepEqual([one.closed, two.closed, heard.all], [1, 1, []]);
    const third = new Spoken();
    const broken: Discovery = {
      name: 'broken',
      watch() {
        throw new Error('cannot be watched');
      },
    };
    assert.throws(() => mergeDiscoveries([third, broken]).watch(new Heard(), environment), /cannot be watched/);
    assert.equal(third.closed, 1);
  });

  test('need one at least, and are called by all their names', () => {
    assert.throws(() => mergeDiscoveries([]), TypeError);
    assert.equal(mergeDiscoveries([new Spoken('a'), new Spoken('b')]).name, 'a + b');
  });
});

describe('filters and maps', () => {
  test('a filter takes those away of which it says no', () => {
    const [from, heard] = [new Spoken('from'), new Heard()];
    const discovery = filterDiscovery(from, ({ zone }) => zone === 'a');
    const watch = discovery.watch(heard, environment);
    from.sayBackends([
      { address: 'a:80', zone: 'a' },
      { address: 'b:80', zone: 'b' },
    ]);
    from.sayBackends([
      { address: 'a:80', zone: 'a' },
      { address: 'c:80', zone: 'b' },
    ]);
    from.fail();
    assert.deepEqual(heard.all, ['a:80', 'BROKEN']);
    assert.equal(discovery.name, 'from');
    watch.close();
    from.say('d:80');
    assert.deepEqual([from.closed, heard.all.length], [1, 2]);
  });

  test('a map changes each, and of those that come out with one name the first counts', () => {
    const [from, heard] = [new Spoken(), new Heard()];
    mapDiscovery(from, (backend) => ({
      ...backend,
      zone: backend.metadata?.['zone'] ?? 'none',
      address: backend.address.replace('x', 'a'),
    })).watch(heard, environment);
    from.sayBackends([{ address: 'a:80', metadata: { zone: 'z' } }, { address: 'x:80' }]);
    assert.deepEqual(heard.sets, [[{ address: 'a:80', metadata: { zone: 'z' }, zone: 'z' }]]);
  });

  test('a function that throws, or makes what is no backend, is a failure, and the set before holds on', () => {
    for (const make of [
      (from: Discovery) => filterDiscovery(from, ({ address }) => address !== 'bad:80' || thrown()),
      (from: Discovery) => mapDiscovery(from, (backend) => (backend.address === 'bad:80' ? (null as never) : backend)),
    ]) {
      const [from, heard] = [new Spoken(), new Heard()];
      make(from).watch(heard, environment);
      from.say('a:80');
      from.say('bad:80');
      from.say('a:80');
      assert.deepEqual(heard.all, ['a:80', 'DISCOVERY_FUNCTION_THREW', 'a:80']);
    }
  });

  test('need a function', () => {
    assert.throws(() => filterDiscovery(new Spoken(), 1 as never), TypeError);
    assert.throws(() => mapDiscovery(new Spoken(), null as never), TypeError);
  });
});

describe('a follower', () => {
  test('keeps the last good set, and tells how long it has been failing', () => {
    const [from, heard] = [new Spoken('from'), new Heard()];
    const follower = new DiscoveryFollower(from, environment, {
      onBackends: (backends) => heard.onBackends(backends),
      onFailed: (error) => heard.onFailed(error),
    });
    assert.deepEqual(
      [follower.name, follower.backends, follower.updatedAt, follower.lastError, follower.failures],
      ['from', null, Number.NaN, null, 0],
    );
    assert.equal(follower.isStale(0, 1e9), true);
    follower.start();
    follower.start();
    clock.advance(1_000);
    const began = clock.now();
    from.say('a:80');
    assert.equal(follower.updatedAt, began);
    // Silence is no failure.
    assert.equal(follower.isStale(began + 1e9, 1_000), false);
    clock.advance(5_000);
    from.fail('ONE');
    clock.advance(100);
    from.fail('TWO');
    assert.equal(follower.failures, 2);
    assert.equal(follower.lastError?.reason, 'TWO');
    assert.equal(follower.backends?.length, 1);
    assert.equal(follower.isStale(began + 5_000 + 1_000, 1_000), false);
    assert.equal(follower.isStale(began + 5_000 + 1_001, 1_000), true);
    from.say('a:80');
    assert.deepEqual([follower.failures, follower.lastError, follower.isStale(1e12, 0)], [0, null, false]);
    assert.deepEqual(heard.all, ['a:80', 'ONE', 'TWO', 'a:80']);
    follower.close();
  });

  test('says nothing after close, and is not started again', () => {
    const [from, heard] = [new Spoken(), new Heard()];
    const follower = new DiscoveryFollower(from, environment, { onBackends: (backends) => heard.onBackends(backends) });
    follower.start();
    from.say('a:80');
    follower.close();
    follower.close();
    from.say('b:80');
    from.fail();
    follower.start();
    assert.deepEqual([from.closed, heard.all, follower.failures], [1, ['a:80'], 0]);
    assert.equal(follower.backends?.[0]?.address, 'a:80');
  });

  test('takes a set that is refused, at once or later, for a failure, and keeps the one before', async () => {
    const from = new Spoken();
    const errors: WireError[] = [];
    let isLate = false;
    const follower = new DiscoveryFollower(from, environment, {
      onBackends: (backends) => {
        if (backends.length !== 2) return undefined;
        // A program may give an async function where nothing is to be returned.
        return isLate ? (Promise.reject(new Error('not two')) as never) : thrown();
      },
      onFailed: (error) => {
        errors.push(error);
        throw error;
      },
      now: () => 7,
    });
    follower.start();
    from.say('a:80');
    for (isLate of [false, true]) {
      from.say('b:80', 'c:80');
      await settled();
      assert.equal(follower.backends?.[0]?.address, 'a:80');
      assert.equal(follower.lastError?.reason, 'DISCOVERY_SET_REFUSED');
    }
    assert.equal(errors.length, 2);
    assert.equal(follower.failures, 2);
    assert.equal(follower.updatedAt, 7);
    follower[Symbol.dispose]();
  });

  test('needs nobody to tell', async () => {
    using follower = new DiscoveryFollower(staticDiscovery([{ address: 'a:80' }]), environment);
    follower.start();
    await settled();
    assert.equal(follower.backends?.length, 1);
  });
});

function thrown(): never {
  throw new Error('thrown');
}
