/** What a program, a discovery or another thread may do to a balancer that it should survive. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import {
  type Backend,
  type BackendInit,
  BalancerSpace,
  balancerMemory,
  customCheck,
  type Discovery,
  type DiscoverySink,
  LoadBalancer,
  type LoadBalancerOptions,
  Outcome,
  type PlainBackend,
  roundRobin,
  type SelectionAlgorithm,
} from '@ferrata/load-balancing';

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];
const because = { check: 'test', error: new Error('it is down') };

function rig(): { readonly clock: ManualClock; readonly environment: HttpEnvironment } {
  const clock = new ManualClock({ now: 1_000 });
  return { clock, environment: new HttpEnvironment({ clock, random: seededRandom(7) }) };
}

function listOf(addresses: readonly string[]): BackendInit<undefined>[] {
  return addresses.map((address) => ({ address }));
}

function manyOf(net: number, count: number): BackendInit<undefined>[] {
  return listOf(Array.from({ length: count }, (_, index) => `10.${net}.${index >> 8}.${index & 255}:80`));
}

function balancerOf(addresses: readonly string[], options: LoadBalancerOptions<undefined> = {}): LoadBalancer {
  return new LoadBalancer({ environment: rig().environment, backends: listOf(addresses), ...options });
}

function named(balancer: LoadBalancer, name: string): Backend<undefined> {
  const backend = balancer.find(name);
  assert.ok(backend !== null, `${name} is not in the set`);
  return backend;
}

function names(balancer: LoadBalancer): string[] {
  return balancer.backends.map(({ name }) => name);
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

/** A discovery moved by hand. */
class HandDiscovery implements Discovery {
  readonly name = 'hand';
  watching = 0;
  #sink: DiscoverySink | null = null;

  watch(sink: DiscoverySink): { close(): void } {
    this.#sink = sink;
    this.watching++;
    return { close: () => void this.watching-- };
  }

  say(backends: readonly PlainBackend[]): void {
    this.#sink?.onBackends(backends);
  }
}

describe('accept', () => {
  test('may select plainly, and is asked all the same about who is chosen', () => {
    const balancer = balancerOf(THREE);
    const chosen = balancer.select(null, {
      accept: ({ name }) => {
        balancer.select();
        return name === '10.0.0.3:80';
      },
    });
    assert.equal(chosen?.name, '10.0.0.3:80');
    assert.equal(
      balancer.select(null, { accept: () => balancer.select() === null }),
      null,
      'a choice within another is not bound by what that one asks for',
    );
  });

  test('may select where a breaker holds', () => {
    const balancer = balancerOf(['a:1', 'b:1'], { breaker: { maxRequests: 5 } });
    const chosen = balancer.select(null, { accept: (backend) => balancer.select() !== null && backend.name === 'b:1' });
    assert.equal(chosen?.name, 'b:1');
  });

  test('may change what is ready: the choice that asks goes by what was', () => {
    const refreshed: string[] = [];
    const algorithm: SelectionAlgorithm = {
      name: 'watching',
      *build(members, tools) {
        const built = roundRobin().build(members, tools);
        const inner = 'pick' in built ? built : yield* built;
        return {
          refresh: (candidates) => {
            refreshed.push('refresh');
            inner.refresh?.(candidates);
          },
          pick: (key, candidates) => {
            refreshed.push('pick');
            const member = inner.pick(key, candidates);
            refreshed.push('picked');
            return member;
          },
        };
      },
    };
    const balancer = balancerOf(THREE, { algorithm });
    const chosen = balancer.select(null, {
      accept: (backend) => {
        balancer.setHealthy(backend, false, because);
        balancer.select();
        return backend.name === '10.0.0.3:80';
      },
    });
    assert.equal(chosen?.name, '10.0.0.3:80');
    let depth = 0;
    for (const what of refreshed) {
      if (what === 'refresh') assert.equal(depth, 0, 'a picker was told of a change within a pick');
      else depth += what === 'pick' ? 1 : -1;
    }
    for (let count = 0; count < 3; count++) assert.notEqual(balancer.select()?.name, '10.0.0.3:80', 'afterwards it holds');
  });
});

describe('slots', () => {
  test('balancers that replace each other while requests are under way leave none taken', () => {
    const space = new BalancerSpace({ ...rig(), maxBackends: 8 });
    let last: { readonly balancer: LoadBalancer; end(): void } | null = null;
    for (let round = 0; round < 100; round++) {
      const balancer: LoadBalancer = new LoadBalancer({ space, backends: [{ address: `10.0.0.${round}:80` }, { address: 'same:1' }] });
      const flights = balancer.backends.map((backend) => balancer.begin(backend));
      last?.balancer.close();
      last?.end();
      last = { balancer, end: () => flights.forEach((flight) => flight.end()) };
    }
    last?.balancer.close();
    last?.end();
    const fresh = new LoadBalancer({ space, backends: manyOf(1, 8) });
    fresh.update(manyOf(2, 8));
    assert.equal(space.table.sum(fresh.backends[0]?.slot ?? -1, 0), 1);
    assert.equal(claims(space), 8);
    space.close();
  });

  test('an update of a balancer that is closed, or is closed while it builds, leaves none taken', async () => {
    const space = new BalancerSpace({ maxBackends: 60_000 });
    const closed = new LoadBalancer({ space });
    const slow = closed.updateInSlices(manyOf(1, 50_000));
    assert.ok(claims(space) >= 0 && closed.status().version === 0, 'it is under way');
    closed.close();
    assert.equal(await slow, null);
    assert.equal(closed.update(listOf(THREE)), null);
    assert.equal(await closed.updateInSlices(listOf(THREE)), null);
    assert.equal(claims(space), 0);
    space.close();
  });

  test('an update begun by `extend` of another overtakes it, and leaves none taken', () => {
    const space = new BalancerSpace(rig());
    let isWithin = false;
    const balancer: LoadBalancer<number> = new LoadBalancer<number>({
      space,
      extend: () => {
        if (!isWithin) {
          isWithin = true;
          balancer.update([{ address: 'inner:1', extension: 1 }]);
        }
        return 0;
      },
    });
    assert.equal(balancer.update([{ address: 'outer:1' }]), null);
    assert.deepEqual(
      balancer.backends.map(({ name }) => name),
      ['inner:1'],
    );
    assert.equal(claims(space), 1);
    space.close();
  });

  test('an `extend` that throws, and an algorithm that fails in a later step, leave none taken', async () => {
    const space = new BalancerSpace(rig());
    let mood = 'well';
    const balancer = new LoadBalancer<number>({
      space,
      extend: () => {
        if (mood === 'extend') throw new Error('cannot extend');
        return 1;
      },
      algorithm: {
        name: 'late',
        *build() {
          yield;
          if (mood === 'build') throw new RangeError('cannot build');
          return { pick: (_key, { ready, readyCount }) => (readyCount === 0 ? -1 : (ready[0] as number)) };
        },
      },
    });
    for (mood of ['extend', 'build']) {
      assert.throws(() => balancer.update([{ address: 'a:1' }]), new RegExp(`cannot ${mood}`));
      await assert.rejects(balancer.updateInSlices([{ address: 'a:1' }]), new RegExp(`cannot ${mood}`));
    }
    assert.equal(claims(space), 0);
    mood = 'well';
    assert.equal(balancer.update([{ address: 'a:1' }])?.total, 1);
    space.close();
  });

  function claims(space: BalancerSpace): number {
    let sum = 0;
    for (let slot = 0; slot < space.table.capacity; slot++) sum += space.table.sum(slot, 0);
    return sum;
  }
});

describe('observers', () => {
  test('may update within onUpdate, and close within onEjected', () => {
    const { clock, environment } = rig();
    const balancer: LoadBalancer = new LoadBalancer({
      environment,
      outliers: { consecutiveFailures: 1 },
      observer: {
        onUpdate: ({ version }) => {
          if (version < 4) balancer.update(listOf([...THREE, `more${version}:1`]));
        },
        onEjected: () => balancer.close(),
      },
    });
    balancer.start();
    balancer.update(listOf(THREE));
    assert.deepEqual(names(balancer), [...THREE, 'more3:1']);
    balancer.report(named(balancer, '10.0.0.1:80'), Outcome.failure);
    assert.throws(() => balancer.start(), /closed/);
    clock.advance(10_000);
    assert.equal(environment.deadlines.size, 0);
  });

  test('may close one balancer from what another tells: it begins nothing any more', () => {
    const { environment } = rig();
    const space = new BalancerSpace({ environment });
    const discovery = new HandDiscovery();
    const victim = new LoadBalancer({ space, name: 'victim', discovery });
    const first = new LoadBalancer({
      space,
      name: 'first',
      discovery: {
        name: 'closing',
        watch: () => {
          victim.close();
          return { close: () => {} };
        },
      },
    });
    const memory = new LoadBalancer({ space, name: 'unrelated' });
    memory.start();
    first.start();
    assert.throws(() => victim.start(), TypeError);
    assert.equal(discovery.watching, 0);
    space.close();
    assert.equal(environment.deadlines.size, 0);
  });

  test('a space that is closed by what the first set brings stays closed', async () => {
    const { clock, environment } = rig();
    const memory = balancerMemory({ maxThreads: 2 });
    const leader = new BalancerSpace({ environment, memory });
    const hand = new HandDiscovery();
    new LoadBalancer({ space: leader, discovery: hand }).start();
    hand.say([{ address: 'a:1' }]);
    const late = new BalancerSpace({ environment, memory });
    new LoadBalancer({ space: late, discovery: hand, observer: { onUpdate: () => late.close() } }).start();
    clock.advance(1_000);
    await settled();
    assert.equal(leader.table.ownerOf(1), 0, 'its place was taken again');
    leader.close();
    assert.equal(environment.deadlines.size, 0);
  });
});

describe('discovery', () => {
  function discovered(
    options: LoadBalancerOptions<undefined> = {},
    { clock, environment } = rig(),
  ): {
    readonly clock: ManualClock;
    readonly memory: SharedArrayBuffer;
    readonly environment: HttpEnvironment;
    readonly space: BalancerSpace;
    readonly balancer: LoadBalancer;
    readonly hand: HandDiscovery;
    readonly told: string[];
  } {
    const memory = balancerMemory({ maxThreads: 4, maxBackends: 8_000 });
    const space = new BalancerSpace({ environment, memory });
    const hand = new HandDiscovery();
    const told: string[] = [];
    const balancer = new LoadBalancer({
      space,
      discovery: hand,
      observer: { onDiscoveryFailed: (error) => told.push((error as Error & { reason: string }).reason) },
      ...options,
    });
    balancer.start();
    return { clock, memory, environment, space, balancer, hand, told };
  }

  test('that says what is wrong changes nothing for anybody, those included that are born later', async () => {
    const { memory, environment, space, balancer, hand, told } = discovered();
    hand.say([{ address: 'good:1' }]);
    for (const wrong of [{ address: 'a:1', weight: -1 }, { address: 'none' }, { address: 'a:1', metadata: 7 }, null])
      hand.say([{ address: 'fine:1' }, wrong as unknown as PlainBackend]);
    hand.say(manyOf(1, 8_001) as PlainBackend[]);
    await settled();
    assert.deepEqual(
      told,
      Array.from({ length: 5 }, () => 'SET_NOT_PUBLISHED'),
    );
    assert.equal(balancer.status().discoveryError?.reason, 'SET_NOT_PUBLISHED');
    const late = new BalancerSpace({ environment, memory });
    const born = new LoadBalancer({ space: late, discovery: hand });
    born.start();
    await settled();
    assert.deepEqual([names(balancer), names(born)], [['good:1'], ['good:1']]);
    hand.say([{ address: 'good:1' }]);
    assert.equal(balancer.status().discoveryError, null);
    late.close();
    space.close();
  });

  test('that says sets faster than they can be built does not keep all of them from being put in force', async () => {
    const { space, balancer, hand } = discovered({}, { ...rig(), environment: new HttpEnvironment() });
    let updates = 0;
    for (let round = 0; round < 30 && balancer.status().version === 0; round++) {
      hand.say(manyOf(round % 200, 8_000) as PlainBackend[]);
      updates++;
      await new Promise(setImmediate);
    }
    assert.ok(balancer.status().version > 0, `none of ${updates} was put in force`);
    space.close();
  });

  test('that cannot be put in force is told, and stands in the status until the next one', async () => {
    let mayBuild = false;
    const { space, balancer, hand, told } = discovered({
      algorithm: {
        name: 'moody',
        build() {
          if (!mayBuild) throw new RangeError('not today');
          return { pick: () => 0 };
        },
      },
    });
    hand.say([{ address: 'a:1' }]);
    await settled();
    assert.deepEqual([told, balancer.status().discoveryError?.reason], [['SET_REFUSED'], 'SET_REFUSED']);
    mayBuild = true;
    hand.say([{ address: 'a:1' }]);
    await settled();
    assert.deepEqual([names(balancer), balancer.status().discoveryError], [['a:1'], null]);
    space.close();
  });

  test('that cannot be watched is a failure, and the rest goes on', () => {
    let checks = 0;
    const { clock, space, balancer, told } = discovered({
      discovery: {
        name: 'broken',
        watch() {
          throw new Error('no such thing');
        },
      },
      health: { check: customCheck('count', async () => void checks++), intervalMs: 100 },
    });
    assert.deepEqual([told.length, balancer.status().discoveryError?.reason], [1, 'DISCOVERY_NOT_STARTED']);
    balancer.update(listOf(['a:1']));
    clock.advance(2_000);
    assert.ok(checks > 0);
    space.close();
  });

  test('of a balancer with a name that objects have of themselves is its own', async () => {
    const { space, balancer, hand } = discovered({ name: 'constructor' });
    hand.say([{ address: 'a:1' }]);
    await settled();
    assert.deepEqual(names(balancer), ['a:1']);
    space.close();
  });

  test('what a leader that was replaced publishes late gives way to what the one in office has published', async () => {
    const { clock, memory, environment, space, balancer, hand } = discovered();
    hand.say([{ address: 'right:1' }]);
    const other = new BalancerSpace({ environment, memory });
    other.table.publish('{"backends":"[]"}');
    clock.advance(300);
    await settled();
    assert.deepEqual(names(balancer), ['right:1']);
    assert.ok(space.table.readSet()?.text.includes('right:1'));
    other.close();
    space.close();
  });

  test('is looked after by another thread as soon as this one has no balancer left', () => {
    const { clock, memory, environment, space, balancer } = discovered();
    const other = new BalancerSpace({ environment, memory });
    const hand = new HandDiscovery();
    new LoadBalancer({ space: other, discovery: hand }).start();
    assert.equal(hand.watching, 0);
    balancer.close();
    clock.advance(300);
    assert.deepEqual([space.leads, other.leads, hand.watching], [false, true, 1]);
    other.close();
    assert.equal(hand.watching, 0);
    new LoadBalancer({ space }).start();
    assert.equal(space.leads, true);
    space.close();
    assert.equal(environment.deadlines.size, 0);
  });

  test('what is wrong with the options of health checks is said at once, and a second start does nothing', () => {
    assert.throws(() => new LoadBalancer({ health: { check: customCheck('x', async () => {}), intervalMs: -1 } }), RangeError);
    const { space, balancer, hand } = discovered();
    balancer.start();
    assert.equal(hand.watching, 1);
    space.close();
  });
});

describe('passive health', () => {
  interface Pair {
    readonly clock: ManualClock;
    readonly spaces: readonly BalancerSpace[];
    readonly balancers: readonly LoadBalancer[];
    readonly told: string[];
  }

  function pair(outliers: NonNullable<LoadBalancerOptions['outliers']>): Pair {
    const { clock, environment } = rig();
    const memory = balancerMemory({ maxThreads: 2 });
    const told: string[] = [];
    const spaces = [0, 1].map(() => new BalancerSpace({ environment, memory }));
    const observer = { onEjected: ({ name }: Backend, { cause }: { readonly cause: string }): void => void told.push(`${name} ${cause}`) };
    const balancers = spaces.map((space) => new LoadBalancer<undefined>({ space, backends: listOf(THREE), outliers, observer }));
    for (const balancer of balancers) balancer.start();
    return { clock, spaces, balancers, told };
  }

  test('is not misled by a thread that ends', () => {
    const { clock, spaces, balancers, told } = pair({
      consecutiveFailures: Infinity,
      intervalMs: 1_000,
      minRequests: 10,
      maxLatencyFactor: 3,
    });
    const [one, two] = balancers as [LoadBalancer, LoadBalancer];
    for (const backend of two.backends) for (let count = 0; count < 1_000; count++) two.report(backend, Outcome.success, 500);
    clock.advance(1_300);
    for (const backend of one.backends) {
      for (let count = 0; count < 900; count++) one.report(backend, Outcome.success, 5);
      for (let count = 0; count < 50; count++) one.report(backend, Outcome.failure);
    }
    spaces[1]?.close();
    clock.advance(1_300);
    assert.deepEqual(told, [], 'one of twenty has failed');
    assert.equal(one.stateOf(named(one, '10.0.0.1:80')).succeeded, 1_900);
    spaces[0]?.close();
  });

  test('does not charge a backend with what the one before it in its slot has done', () => {
    const { clock, environment } = rig();
    const told: string[] = [];
    const balancer = new LoadBalancer({
      environment,
      maxBackends: 2,
      backends: listOf(['a:1', 'b:1']),
      outliers: { consecutiveFailures: Infinity, intervalMs: 1_000, minRequests: 10 },
      observer: { onEjected: ({ name }) => told.push(name) },
    });
    balancer.start();
    for (const backend of balancer.backends) for (let count = 0; count < 1_000; count++) balancer.report(backend, Outcome.success, 1);
    clock.advance(1_300);
    for (let round = 0; round < 40; round++) {
      balancer.update([]);
      balancer.update(listOf([`x${round}:1`, `y${round}:1`]));
      for (const backend of balancer.backends) for (let count = 0; count < 12; count++) balancer.report(backend, Outcome.failure);
      for (const backend of balancer.backends) for (let count = 0; count < 30; count++) balancer.report(backend, Outcome.success, 1);
      clock.advance(1_300);
    }
    assert.deepEqual(told, []);
    balancer.close();
  });

  test('goes on when counters and clocks wrap around', () => {
    const clock = new ManualClock({ now: 2 ** 32 - 3_000 });
    const environment = new HttpEnvironment({ clock });
    const told: string[] = [];
    const balancer = new LoadBalancer({
      environment,
      backends: listOf(THREE),
      slowStartMs: 1_000,
      outliers: { consecutiveFailures: 2, baseEjectionMs: 5_000, maxErrorShare: 0.3, intervalMs: 1_000, minRequests: 10 },
      observer: { onEjected: ({ name }, { cause }) => told.push(`${name} ${cause}`), onReturned: ({ name }) => told.push(`${name} back`) },
    });
    balancer.start();
    const a = named(balancer, '10.0.0.1:80');
    balancer.report(a, Outcome.failure);
    balancer.report(a, Outcome.failure);
    clock.advance(4_700);
    assert.equal(told.length, 1);
    clock.advance(600);
    assert.deepEqual(told, ['10.0.0.1:80 consecutiveFailures', '10.0.0.1:80 back']);
    assert.equal(balancer.stateOf(a).isWarming, true);
    clock.advance(1_300);
    assert.equal(balancer.stateOf(a).isWarming, false);
    balancer.close();
  });

  test('latencies of a month ago are forgotten', () => {
    const { clock, environment } = rig();
    const balancer = new LoadBalancer({ environment, backends: listOf(['a:1']) });
    const a = named(balancer, 'a:1');
    balancer.report(a, Outcome.success, 1_000);
    clock.advance(30 * 86_400_000);
    assert.equal(balancer.stateOf(a).latencyMs, 0);
    balancer.report(a, Outcome.success, 10);
    assert.equal(balancer.stateOf(a).latencyMs, 10);
  });

  test('what is reported after the end of a try counts for nobody', () => {
    const balancer = balancerOf(THREE, { outliers: { consecutiveFailures: 1 } });
    const a = named(balancer, '10.0.0.1:80');
    const flight = balancer.begin(a);
    flight.connected();
    flight.connected();
    flight.report(Outcome.unknown);
    flight.report(Outcome.failure);
    flight[Symbol.dispose]();
    flight.connected();
    flight.report(Outcome.failure);
    const other = balancer.begin(a);
    other.end();
    other.report(Outcome.failure);
    balancer.report(a, Outcome.success, Number.NaN);
    assert.deepEqual([balancer.stateOf(a).failed, balancer.stateOf(a).pending, balancer.stateOf(a).inflight], [0, 0, 0]);
  });
});

describe('sets', () => {
  test('the first mention of a name keeps its extension, whatever the weight of a later one', () => {
    const balancer = new LoadBalancer<string>({
      backends: [
        { address: 'a:1', extension: 'mine' },
        { address: 'a:1', weight: 5 },
      ],
      extend: () => 'made',
    });
    assert.deepEqual([balancer.backends[0]?.extension, balancer.backends[0]?.weight], ['mine', 5]);
    balancer.update([
      { address: 'a:1', weight: 5 },
      { address: 'a:1', weight: 9 },
    ]);
    assert.deepEqual([balancer.backends[0]?.extension, balancer.backends[0]?.weight], ['mine', 9]);
  });

  test('a backend that another thread knows already does not begin slowly again when this one hears of it', () => {
    const { clock, environment } = rig();
    const memory = balancerMemory({ maxThreads: 2 });
    const balancers = [0, 1].map(
      () => new LoadBalancer({ space: new BalancerSpace({ environment, memory }), backends: listOf(['a:1']), slowStartMs: 10_000 }),
    );
    const [one, two] = balancers as [LoadBalancer, LoadBalancer];
    one.start();
    one.update(listOf(['a:1', 'b:1']));
    assert.equal(one.stateOf(named(one, 'b:1')).isWarming, true);
    clock.advance(11_000);
    assert.equal(one.stateOf(named(one, 'b:1')).isWarming, false);
    two.update(listOf(['a:1', 'b:1']));
    assert.equal(one.stateOf(named(one, 'b:1')).isWarming, false);
    one.close();
  });

  test('why there is none is said of the subset that was asked for', () => {
    const balancer = new LoadBalancer({
      backends: [
        { address: 'a:1', metadata: { v: '1' } },
        { address: 'b:1', metadata: { v: '2' } },
      ],
    });
    assert.equal(balancer.whyNone({ subset: { v: '3' } }).reason, 'NO_BACKENDS');
    balancer.setHealthy(named(balancer, 'a:1'), false, because);
    assert.equal(balancer.whyNone({ subset: { v: '1' } }).reason, 'NO_BACKEND_READY');
    assert.equal(balancer.whyNone({ subset: { v: '2' }, exclude: [named(balancer, 'b:1')] }).reason, 'NO_OTHER_BACKEND');
  });

  test('a subset that is in use is not displaced by many that are not there', () => {
    let builds = 0;
    const inner = roundRobin();
    const algorithm: SelectionAlgorithm = {
      name: 'counted',
      build: (members, tools) => {
        if (members.count > 0) builds++;
        return inner.build(members, tools);
      },
    };
    const balancer = new LoadBalancer({
      algorithm,
      maxSubsets: 4,
      backends: [{ address: 'a:1', metadata: { v: '1' } }, { address: 'b:1' }],
    });
    const before = builds;
    for (let index = 0; index < 100; index++) {
      assert.equal(balancer.select(null, { subset: { v: '1' } })?.name, 'a:1');
      assert.equal(balancer.select(null, { subset: { v: `no ${index}` } }), null);
    }
    assert.equal(builds - before, 1);
  });
});

describe('levels', () => {
  test('where all weights are 0, or all are drained, the next level has all of it, and then nobody', () => {
    const balancer = new LoadBalancer({
      environment: rig().environment,
      panicThreshold: 0.5,
      overprovisioning: Infinity,
      zone: 'north',
      backends: [
        { address: 'zero:1', weight: 0 },
        { address: 'near:1', priority: 1, zone: 'north' },
        { address: 'far:1', priority: 1, zone: 'south' },
        { address: 'last:1', priority: 2, zone: 'north' },
      ],
    });
    const chosen = (): readonly string[] => [
      ...new Set(Array.from({ length: 50 }, (_, index) => balancer.select(index % 2 === 0 ? null : `key ${index}`)?.name ?? 'none')),
    ];
    for (const name of ['near:1', 'far:1', 'last:1']) {
      assert.deepEqual(chosen(), [name]);
      balancer.drain(named(balancer, name));
    }
    assert.deepEqual(chosen(), ['none']);
    assert.equal(balancer.status().distress, 'nothingReady');
    assert.equal(
      balancer.select(null, { accept: ({ name }, isReady) => !isReady && name === 'far:1', exclude: [named(balancer, 'near:1')] })?.name,
      'far:1',
    );
    balancer.update([]);
    assert.equal(balancer.select(null, { accept: () => true }), null);
  });

  test('what the chosen level cannot take goes to any other that is open', () => {
    const balancer = new LoadBalancer({ breaker: { maxRequests: 1 }, backends: [{ address: 'a:1' }, { address: 'b:1', priority: 1 }] });
    const flight = balancer.begin(named(balancer, 'a:1'));
    assert.equal(balancer.select()?.name, 'b:1');
    assert.equal(balancer.select(null, { exclude: [named(balancer, 'b:1')] }), null);
    flight.end();
  });
});
