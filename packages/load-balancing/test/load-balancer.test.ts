import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Clock, ManualClock, seededRandom } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import {
  type Backend,
  type BackendInit,
  BalancerSpace,
  balancerMemory,
  type Discovery,
  type DiscoverySink,
  LoadBalancer,
  type LoadBalancerOptions,
  Outcome,
  type SelectionAlgorithm,
  type SetUpdate,
} from '@ferrata/load-balancing';
import { MetricRegistry, writePrometheusText } from '@ferrata/metrics';

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];

interface Rig {
  readonly clock: ManualClock;
  readonly environment: HttpEnvironment;
}

function rig(): Rig {
  const clock = new ManualClock({ now: 1_000 });
  return { clock, environment: new HttpEnvironment({ clock, random: seededRandom(7) }) };
}

function listOf(addresses: readonly string[], more: Partial<BackendInit> = {}): BackendInit<undefined>[] {
  return addresses.map((address) => ({ ...more, address }) as BackendInit<undefined>);
}

function balancerOf(addresses: readonly string[], options: LoadBalancerOptions<undefined> = {}): LoadBalancer {
  return new LoadBalancer({ environment: rig().environment, backends: listOf(addresses), ...options });
}

function picks(balancer: LoadBalancer, count: number, ...args: Parameters<LoadBalancer['select']>): string[] {
  return Array.from({ length: count }, () => balancer.select(...args)?.name ?? 'none');
}

function named(balancer: LoadBalancer, name: string): Backend<undefined> {
  const backend = balancer.find(name);
  assert.ok(backend !== null, `${name} is not in the set`);
  return backend;
}

const because = { check: 'test', error: new Error('it is down') };

describe('the set', () => {
  test('a static list is there after creation (294)', () => {
    const balancer = balancerOf(THREE);
    assert.deepEqual(
      balancer.backends.map(({ name }) => name),
      THREE,
    );
    assert.deepEqual(picks(balancer, 4), [...THREE, THREE[0]]);
    assert.equal(balancer.status().version, 1);
  });

  test('an update that brings the same list again changes nothing, and tells nobody (295)', () => {
    const told: SetUpdate[] = [];
    const balancer = balancerOf(THREE, { observer: { onUpdate: (update) => told.push(update) } });
    const before = balancer.backends;
    assert.equal(balancer.update(listOf(THREE)), null);
    assert.equal(balancer.backends, before);
    const update = balancer.update(listOf(THREE.slice(1)));
    assert.deepEqual([update?.total, update?.added, update?.removed, update?.changed], [2, 0, 1, 0]);
    assert.deepEqual(
      told.map(({ version }) => version),
      [1, 2],
    );
  });

  test('whoever is not enabled, or has no weight, is known and gets nothing (296)', () => {
    const balancer = new LoadBalancer({
      backends: [{ address: 'a:1', isEnabled: false }, { address: 'b:1', weight: 0 }, { address: 'c:1' }],
    });
    assert.deepEqual(picks(balancer, 3), ['c:1', 'c:1', 'c:1']);
    assert.equal(balancer.isReady(named(balancer, 'a:1')), false);
    assert.equal(balancer.status().total, 3);
  });

  test('extensions survive updates, and are no part of what a backend is (297)', () => {
    const made: string[] = [];
    const balancer = new LoadBalancer<{ readonly of: string }>({
      backends: [{ address: 'a:1', extension: { of: 'given' } }, { address: 'b:1' }],
      extend: ({ name }) => {
        made.push(name);
        return { of: `made for ${name}` };
      },
    });
    const [a, b] = balancer.backends;
    assert.deepEqual([a?.extension.of, b?.extension.of, made], ['given', 'made for b:1', ['b:1']]);
    balancer.update([{ address: 'b:1', weight: 2 }, { address: 'a:1' }]);
    assert.equal(balancer.find('a:1')?.extension, a?.extension);
    assert.equal(balancer.find('b:1')?.extension, b?.extension);
    assert.deepEqual(made, ['b:1']);
  });

  test('an update says how long building took (298)', () => {
    const balancer = new LoadBalancer();
    assert.ok(Number.isNaN(balancer.status().updatedAt));
    const update = balancer.update(listOf(Array.from({ length: 2_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`)));
    assert.ok((update?.buildMs ?? 0) > 0);
    assert.ok(balancer.status().updatedAt > 0);
  });

  test('an empty set is a set: nothing is chosen, and it says so with 503', () => {
    const balancer = balancerOf([]);
    assert.equal(balancer.select(), null);
    assert.equal(balancer.whyNone().reason, 'NO_BACKENDS');
    assert.equal(balancer.whyNone().wire.status, 503);
    balancer.update(listOf(THREE));
    assert.notEqual(balancer.select(), null);
    balancer.update([]);
    assert.equal(balancer.select(), null);
  });

  test('an address that is given again is one backend, with the greatest weight', () => {
    const balancer = new LoadBalancer({
      backends: [
        { address: 'a:1', weight: 2, zone: 'first' },
        { address: { host: 'a', port: 1 }, weight: 5, zone: 'second' },
        { address: 'a:1' },
      ],
    });
    assert.deepEqual(
      balancer.backends.map(({ name, weight, zone }) => [name, weight, zone]),
      [['a:1', 5, 'first']],
    );
  });

  for (const [what, list, error] of [
    ['a negative weight', [{ address: 'a:1', weight: -1 }], /weight of a:1 must be a whole number from 0 to 65535, not -1/],
    ['a weight that is no number', [{ address: 'a:1', weight: Number.NaN }], RangeError],
    ['a broken weight', [{ address: 'a:1', weight: 1.5 }], RangeError],
    ['an address without a port', [{ address: 'a' }], TypeError],
    ['no address', [{}], TypeError],
    ['a priority beyond all', [{ address: 'a:1', priority: 128 }], RangeError],
    ['metadata that are no text', [{ address: 'a:1', metadata: { version: 2 } }], TypeError],
    ['a name with a line break', [{ address: 'a:1', name: 'a\nb' }], TypeError],
    ['a text for the list', 'a:1', TypeError],
    ['nothing for a backend', [null], TypeError],
  ] as const)
    test(`${what} refuses the whole list, and the set before stays`, () => {
      const balancer = balancerOf(THREE);
      assert.throws(() => balancer.update([{ address: 'new:1' }, ...(list as unknown as BackendInit<undefined>[])]), error);
      assert.deepEqual(picks(balancer, 3), THREE);
      assert.throws(() => new LoadBalancer({ backends: list as unknown as BackendInit<undefined>[] }), error);
    });

  test('more backends than there is room for refuse the list; what it had claimed is free again', () => {
    const balancer = new LoadBalancer({ maxBackends: 100, backends: listOf(THREE) });
    const many = listOf(Array.from({ length: 101 }, (_, index) => `10.1.0.${index}:80`));
    for (let round = 0; round < 50; round++) assert.throws(() => balancer.update(many), /more than 100 backends: raise maxBackends/);
    assert.deepEqual(picks(balancer, 3), THREE);
    assert.equal(balancer.update(many.slice(0, 100))?.total, 100);
  });

  test('sets that come and go for long leave no slot taken', () => {
    const balancer = new LoadBalancer({ maxBackends: 64 });
    for (let round = 0; round < 500; round++)
      assert.equal(
        balancer.update(listOf(Array.from({ length: 64 }, (_, index) => `10.${round >> 8}.${round & 255}.${index}:80`)))?.total,
        64,
      );
  });

  test('a million backends are taken where there is room for them', () => {
    const balancer = new LoadBalancer({ maxBackends: 1_000_000 });
    const million = listOf(Array.from({ length: 1_000_000 }, (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:80`));
    assert.equal(balancer.update(million)?.total, 1_000_000);
    assert.deepEqual(picks(balancer, 2), ['10.0.0.0:80', '10.0.0.1:80']);
    balancer.close();
  });
});

describe('choosing', () => {
  test('excluded backends are not chosen again; when all are, nobody is, and it says so', () => {
    const balancer = balancerOf(THREE);
    const [a, b, c] = balancer.backends as [Backend<undefined>, Backend<undefined>, Backend<undefined>];
    assert.deepEqual(picks(balancer, 3, null, { exclude: [a, c] }), [b.name, b.name, b.name]);
    assert.equal(balancer.select(null, { exclude: [a, b, c] }), null);
    assert.equal(balancer.whyNone({ exclude: [a, b, c] }).reason, 'NO_OTHER_BACKEND');
  });

  test('a backend is the same one for exclude after its weight has changed', () => {
    const balancer = balancerOf(['a:1', 'b:1']);
    const before = named(balancer, 'a:1');
    balancer.update([{ address: 'a:1', weight: 9 }, { address: 'b:1' }]);
    assert.deepEqual(picks(balancer, 3, null, { exclude: [before] }), ['b:1', 'b:1', 'b:1']);
  });

  test('accept decides, is offered the ready ones first, and then the others', () => {
    const balancer = balancerOf(THREE);
    balancer.setHealthy(named(balancer, '10.0.0.2:80'), false, because);
    const offered: [string, boolean][] = [];
    const chosen = balancer.select(null, {
      accept: ({ name }, isReady) => {
        offered.push([name, isReady]);
        return !isReady;
      },
    });
    assert.equal(chosen?.name, '10.0.0.2:80');
    assert.deepEqual(
      offered.slice(0, 2).map(([, isReady]) => isReady),
      [true, true],
    );
    assert.deepEqual(offered.at(-1), ['10.0.0.2:80', false]);
    assert.deepEqual(picks(balancer, 2, null, { accept: ({ name }) => name.startsWith('10.0.0.3') }), ['10.0.0.3:80', '10.0.0.3:80']);
  });

  test('accept may itself select', () => {
    const balancer = balancerOf(THREE);
    const chosen = balancer.select(null, {
      accept: (backend) => balancer.select(null, { accept: (other) => other !== backend }) !== null && backend.name === '10.0.0.3:80',
    });
    assert.equal(chosen?.name, '10.0.0.3:80');
  });

  test('subsets are chosen from by metadata, and follow the set', () => {
    const balancer = new LoadBalancer({
      backends: [
        { address: 'a:1', metadata: { version: '1', stage: 'live' } },
        { address: 'b:1', metadata: { version: '2', stage: 'live' } },
        { address: 'c:1', metadata: { version: '2', stage: 'test' } },
      ],
    });
    assert.deepEqual(picks(balancer, 3, null, { subset: { version: '2' } }), ['b:1', 'c:1', 'b:1']);
    assert.deepEqual(picks(balancer, 2, null, { subset: { stage: 'live', version: '2' } }), ['b:1', 'b:1']);
    assert.equal(balancer.select(null, { subset: { version: '3' } }), null);
    balancer.setHealthy(named(balancer, 'b:1'), false, because);
    assert.deepEqual(picks(balancer, 2, null, { subset: { version: '2' } }), ['c:1', 'c:1']);
    balancer.update([{ address: 'd:1', metadata: { version: '3' } }]);
    assert.equal(balancer.select(null, { subset: { version: '3' } })?.name, 'd:1');
    for (let index = 0; index < 1_000; index++) assert.equal(balancer.select(null, { subset: { version: `no ${index}` } }), null);
  });

  test('an algorithm of a program’s own is a dozen lines', () => {
    const fewestDigits: SelectionAlgorithm = {
      name: 'fewest digits',
      build: ({ name }) => ({
        pick(_key, candidates) {
          let best = -1;
          for (let index = 0; index < candidates.readyCount; index++) {
            const member = candidates.ready[index] as number;
            if (candidates.isOpen(member) && (best === -1 || name(member).length < name(best).length)) best = member;
          }
          return best;
        },
      }),
    };
    const balancer = balancerOf(['host-long:80', 'h:80', 'hos:80'], { algorithm: fewestDigits });
    assert.equal(balancer.select()?.name, 'h:80');
    assert.equal(balancer.select(null, { exclude: [named(balancer, 'h:80')] })?.name, 'hos:80');
  });

  test('an algorithm that picks what is not there is told so', () => {
    const balancer = balancerOf(THREE, { algorithm: { name: 'broken', build: () => ({ pick: () => 7 }) } });
    assert.throws(() => balancer.select(), /a picker gave 7, which is not ready/);
  });

  test('an algorithm that cannot build refuses the update', () => {
    let mayBuild = true;
    const algorithm: SelectionAlgorithm = {
      name: 'moody',
      build() {
        if (!mayBuild) throw new RangeError('not today');
        return { pick: (_key, { ready }) => ready[0] ?? -1 };
      },
    };
    const balancer = balancerOf(THREE, { algorithm });
    mayBuild = false;
    assert.throws(() => balancer.update(listOf(['new:1'])), /not today/);
    assert.equal(balancer.select()?.name, THREE[0]);
  });
});

describe('levels', () => {
  test('a backup gets nothing as long as the first choice can carry it, and all when nobody else is left', () => {
    const balancer = new LoadBalancer({
      overprovisioning: Infinity,
      backends: [{ address: 'a:1' }, { address: 'b:1' }, { address: 'backup:1', priority: 1 }],
    });
    assert.ok(!picks(balancer, 100).includes('backup:1'));
    balancer.setHealthy(named(balancer, 'a:1'), false, because);
    assert.ok(!picks(balancer, 100).includes('backup:1'));
    balancer.setHealthy(named(balancer, 'b:1'), false, because);
    assert.deepEqual(picks(balancer, 3), ['backup:1', 'backup:1', 'backup:1']);
    balancer.setHealthy(named(balancer, 'a:1'), true, { ...because, error: null });
    assert.deepEqual(picks(balancer, 3), ['a:1', 'a:1', 'a:1']);
  });

  test('of a level that is half there, 70 % of the traffic stay, and the rest goes to the next', () => {
    const balancer = new LoadBalancer({
      environment: rig().environment,
      backends: [...listOf(['a:1', 'b:1']), ...listOf(['c:1', 'd:1'], { priority: 3 })],
    });
    balancer.setHealthy(named(balancer, 'a:1'), false, because);
    const share = picks(balancer, 20_000).filter((name) => name === 'b:1').length / 20_000;
    assert.ok(Math.abs(share - 0.7) < 0.02, `${share}`);
    for (let index = 0; index < 100; index++) {
      const key = `key ${index}`;
      const first = balancer.select(key)?.priority;
      assert.equal(balancer.select(key)?.priority, first, 'a key stays at its level');
    }
  });

  test('a near zone comes first, and spills over when it cannot carry all', () => {
    const balancer = new LoadBalancer({
      environment: rig().environment,
      zone: 'north',
      backends: [...listOf(['n1:1', 'n2:1', 'n3:1', 'n4:1'], { zone: 'north' }), ...listOf(['s1:1', 's2:1'], { zone: 'south' })],
    });
    assert.ok(picks(balancer, 200).every((name) => name.startsWith('n')));
    balancer.setHealthy(named(balancer, 'n1:1'), false, because);
    assert.ok(
      picks(balancer, 200).every((name) => name.startsWith('n')),
      'three of four can carry it',
    );
    balancer.setHealthy(named(balancer, 'n2:1'), false, because);
    const share = picks(balancer, 20_000).filter((name) => name.startsWith('n')).length / 20_000;
    assert.ok(Math.abs(share - 0.7) < 0.02, `${share}`);
  });

  test('below the panic threshold checks are not believed', () => {
    const balancer = balancerOf(THREE, { panicThreshold: 0.5 });
    balancer.setHealthy(named(balancer, THREE[0] as string), false, because);
    assert.ok(!picks(balancer, 30).includes(THREE[0] as string));
    balancer.setHealthy(named(balancer, THREE[1] as string), false, because);
    assert.deepEqual(new Set(picks(balancer, 30)), new Set(THREE));
    assert.equal(balancer.status().distress, 'panic');
    assert.equal(balancer.status().ready, 1);
  });

  test('without panic nobody is chosen that checks have found to be down', () => {
    const balancer = balancerOf(THREE);
    for (const backend of balancer.backends) balancer.setHealthy(backend, false, because);
    assert.equal(balancer.select(), null);
    assert.equal(balancer.whyNone().reason, 'NO_BACKEND_READY');
    assert.equal(balancer.status().distress, 'nothingReady');
  });
});

describe('health and what is under way', () => {
  test('survive an update, also when the weight changes; a backend that comes back later is new', () => {
    const balancer = balancerOf(THREE);
    const a = named(balancer, '10.0.0.1:80');
    balancer.setHealthy(a, false, because);
    const flight = balancer.begin(a);
    balancer.update([{ address: '10.0.0.1:80', weight: 7 }]);
    assert.equal(balancer.select(), null);
    assert.equal(balancer.stateOf(named(balancer, '10.0.0.1:80')).inflight, 1);
    balancer.update(listOf(['10.0.0.2:80']));
    balancer.update(listOf(THREE));
    assert.equal(balancer.isHealthy(named(balancer, '10.0.0.1:80')), false, 'a request is under way there: it is the same one');
    flight.end();
    flight.end();
    balancer.update(listOf(['10.0.0.2:80']));
    balancer.update(listOf(THREE));
    assert.equal(balancer.isHealthy(named(balancer, '10.0.0.1:80')), true);
    assert.equal(balancer.stateOf(named(balancer, '10.0.0.1:80')).inflight, 0);
  });

  test('the observer is told once for each change (301)', () => {
    const told: string[] = [];
    const balancer = balancerOf(THREE, { observer: { onHealthChange: ({ name }, isHealthy) => told.push(`${name} ${isHealthy}`) } });
    const a = named(balancer, '10.0.0.1:80');
    for (const isHealthy of [true, false, false, true, true]) balancer.setHealthy(a, isHealthy, because);
    assert.deepEqual(told, ['10.0.0.1:80 false', '10.0.0.1:80 true']);
  });

  test('an observer that throws changes nothing', () => {
    const balancer = balancerOf(THREE, {
      observer: {
        onHealthChange: () => {
          throw new Error('mine');
        },
      },
    });
    balancer.setHealthy(named(balancer, '10.0.0.1:80'), false, because);
    assert.ok(!picks(balancer, 10).includes('10.0.0.1:80'));
  });

  test('a drained backend gets nothing new, and is not missed', () => {
    const balancer = balancerOf(THREE, { panicThreshold: 0.9 });
    balancer.drain(named(balancer, '10.0.0.1:80'));
    assert.ok(!picks(balancer, 10).includes('10.0.0.1:80'));
    assert.equal(balancer.status().distress, 'none');
    balancer.drain(named(balancer, '10.0.0.1:80'), false);
    assert.ok(picks(balancer, 10).includes('10.0.0.1:80'));
  });

  test('a breaker sends what is too much elsewhere, and when all are full nowhere', () => {
    const balancer = balancerOf(['a:1', 'b:1'], { breaker: { maxRequests: 2 } });
    const flights = Array.from({ length: 4 }, () => {
      const backend = balancer.select();
      assert.ok(backend !== null);
      return balancer.begin(backend);
    });
    assert.deepEqual(flights.map(({ backend }) => backend.name).toSorted(), ['a:1', 'a:1', 'b:1', 'b:1']);
    assert.equal(balancer.select(), null);
    assert.equal(balancer.whyNone().reason, 'BACKENDS_FULL');
    flights[0]?.end(Outcome.success);
    assert.equal(balancer.select()?.name, flights[0]?.backend.name);
  });

  test('a breaker of pending tries lets go of those that are connected', () => {
    const balancer = balancerOf(['a:1'], { breaker: { maxPending: 1 } });
    const flight = balancer.begin(named(balancer, 'a:1'));
    assert.equal(balancer.select(), null);
    flight.connected();
    assert.equal(balancer.select()?.name, 'a:1');
    flight.end();
    assert.equal(balancer.stateOf(named(balancer, 'a:1')).pending, 0);
  });

  test('a breaker of connections lets in as many as can have an idle one', () => {
    const balancer = balancerOf(['a:1'], { breaker: { maxConnections: 1 } });
    const a = named(balancer, 'a:1');
    balancer.countConnections(a, 1);
    assert.equal(balancer.select()?.name, 'a:1', 'it is idle');
    const flight = balancer.begin(a);
    assert.equal(balancer.select(), null);
    flight.end();
    assert.equal(balancer.select()?.name, 'a:1');
    balancer.countConnections(a, -1);
  });

  test('retries are counted for the whole set', () => {
    const balancer = balancerOf(THREE, { breaker: { maxRetries: 1 } });
    assert.equal(balancer.tryRetry(), true);
    assert.equal(balancer.tryRetry(), false);
    balancer.endRetry();
    assert.equal(balancer.tryRetry(), true);
  });
});

describe('passive health', () => {
  function failing(options: LoadBalancerOptions<undefined> = {}): {
    readonly balancer: LoadBalancer;
    readonly clock: ManualClock;
    readonly told: string[];
  } {
    const { clock, environment } = rig();
    const told: string[] = [];
    const balancer = new LoadBalancer({
      environment,
      backends: listOf(THREE),
      outliers: { consecutiveFailures: 3, baseEjectionMs: 5_000, intervalMs: 10_000 },
      observer: {
        onEjected: ({ name }, { cause, forMs }) => told.push(`${name} out by ${cause} for ${forMs}`),
        onReturned: ({ name }) => told.push(`${name} back`),
      },
      ...options,
    });
    balancer.start();
    return { balancer, clock, told };
  }

  test('failures in a row put a backend out, for longer each time', () => {
    const { balancer, clock, told } = failing();
    const a = named(balancer, '10.0.0.1:80');
    for (let round = 0; round < 2; round++) {
      balancer.report(a, Outcome.failure);
      balancer.report(a, Outcome.failure);
      balancer.report(a, Outcome.success);
    }
    assert.deepEqual(told, [], 'a success in between counts');
    for (let count = 0; count < 3; count++) balancer.report(a, Outcome.failure);
    assert.deepEqual(told, ['10.0.0.1:80 out by consecutiveFailures for 5000']);
    assert.ok(!picks(balancer, 10).includes('10.0.0.1:80'));
    clock.advance(4_900);
    assert.ok(!picks(balancer, 10).includes('10.0.0.1:80'));
    clock.advance(500);
    assert.ok(picks(balancer, 10).includes('10.0.0.1:80'));
    for (let count = 0; count < 3; count++) balancer.report(a, Outcome.failure);
    assert.equal(told.at(-1), '10.0.0.1:80 out by consecutiveFailures for 10000');
    clock.advance(60_000);
    for (let count = 0; count < 3; count++) balancer.report(a, Outcome.failure);
    assert.equal(told.at(-1), '10.0.0.1:80 out by consecutiveFailures for 5000', 'good times are counted too');
    balancer.close();
  });

  test('no more than the share that may is out at once', () => {
    const { balancer, told } = failing({ outliers: { consecutiveFailures: 1, maxEjectedShare: 0.4 } });
    for (const backend of balancer.backends) balancer.report(backend, Outcome.failure);
    assert.equal(told.length, 1);
    assert.equal(balancer.status().ready, 2);
    balancer.close();
  });

  test('one backend alone is never put out', () => {
    const balancer = balancerOf(['a:1'], { outliers: { consecutiveFailures: 1, maxEjectedShare: 1 } });
    balancer.report(named(balancer, 'a:1'), Outcome.failure);
    assert.equal(balancer.select()?.name, 'a:1');
  });

  test('when all are out, all are tried: nobody else is left', () => {
    const balancer = balancerOf(['a:1', 'b:1'], { outliers: { consecutiveFailures: 1, maxEjectedShare: 1 } });
    for (const backend of balancer.backends) balancer.report(backend, Outcome.failure);
    assert.deepEqual(new Set(picks(balancer, 4)), new Set(['a:1', 'b:1']));
    assert.equal(balancer.status().distress, 'lastResort');
  });

  test('a share of errors puts a backend out at the end of an interval, if there were enough requests', () => {
    const { balancer, clock, told } = failing({
      outliers: { consecutiveFailures: Infinity, maxErrorShare: 0.3, intervalMs: 1_000, minRequests: 10 },
    });
    const [a, b, c] = balancer.backends as [Backend<undefined>, Backend<undefined>, Backend<undefined>];
    for (let count = 0; count < 20; count++) {
      balancer.report(a, count % 5 < 2 ? Outcome.failure : Outcome.success, 1);
      balancer.report(b, count % 5 < 1 ? Outcome.failure : Outcome.success, 1);
      if (count < 8) balancer.report(c, Outcome.failure);
    }
    assert.deepEqual(told, []);
    clock.advance(1_300);
    assert.deepEqual(told, ['10.0.0.1:80 out by errorShare for 30000']);
    balancer.close();
  });

  test('answers that take many times longer than those of the others put a backend out', () => {
    const { balancer, clock, told } = failing({ outliers: { maxLatencyFactor: 5, intervalMs: 1_000, minRequests: 10 } });
    for (let count = 0; count < 20; count++)
      for (const [index, backend] of balancer.backends.entries()) balancer.report(backend, Outcome.success, index === 1 ? 400 : 10);
    clock.advance(1_300);
    assert.deepEqual(told, ['10.0.0.2:80 out by latency for 30000']);
    balancer.close();
  });

  test('among quick ones nobody is an outlier', () => {
    const { balancer, clock, told } = failing({ outliers: { maxLatencyFactor: 3, intervalMs: 1_000, minRequests: 10 } });
    for (let count = 0; count < 20; count++)
      for (const [index, backend] of balancer.backends.entries()) balancer.report(backend, Outcome.success, index === 1 ? 8 : 1);
    clock.advance(1_300);
    assert.deepEqual(told, []);
    balancer.close();
  });
});

describe('coming back', () => {
  test('a backend that is well again gets its weight bit by bit', () => {
    const { clock, environment } = rig();
    const balancer = new LoadBalancer({ environment, backends: listOf(['a:1', 'b:1']), slowStartMs: 10_000 });
    balancer.start();
    const a = named(balancer, 'a:1');
    const shareOfA = (): number => picks(balancer, 1_000).filter((name) => name === 'a:1').length / 1_000;
    assert.equal(shareOfA(), 0.5, 'those of the first set are not new');
    balancer.setHealthy(a, false, because);
    assert.equal(shareOfA(), 0);
    balancer.setHealthy(a, true, because);
    assert.ok(shareOfA() < 0.12);
    clock.advance(5_000);
    assert.ok(Math.abs(shareOfA() - 1 / 3) < 0.03);
    clock.advance(6_000);
    assert.ok(Math.abs(shareOfA() - 0.5) < 0.01);
    assert.equal(balancer.stateOf(a).isWarming, false);
    balancer.update([...listOf(['a:1', 'b:1', 'c:1'])]);
    assert.equal(balancer.stateOf(named(balancer, 'c:1')).isWarming, true);
    balancer.close();
  });

  test('latencies rise at once, fall by and by, and are forgotten in silence', () => {
    const { clock, environment } = rig();
    const balancer = new LoadBalancer({ environment, backends: listOf(['a:1']), latencyWindowMs: 1_000 });
    const a = named(balancer, 'a:1');
    balancer.report(a, Outcome.success, 10);
    balancer.report(a, Outcome.success, 100);
    assert.equal(balancer.stateOf(a).latencyMs, 100);
    clock.advance(1_000);
    balancer.report(a, Outcome.success, 10);
    assert.ok(Math.abs(balancer.stateOf(a).latencyMs - (100 / Math.E + 10 * (1 - 1 / Math.E))) < 0.1);
    clock.advance(20_000);
    assert.ok(balancer.stateOf(a).latencyMs < 0.01);
  });
});

/** A discovery moved by hand. */
class HandDiscovery implements Discovery {
  readonly name = 'hand';
  watching = 0;
  #sink: DiscoverySink | null = null;

  watch(sink: DiscoverySink): { close(): void } {
    this.#sink = sink;
    this.watching++;
    return {
      close: () => {
        this.watching--;
        if (this.#sink === sink) this.#sink = null;
      },
    };
  }

  say(addresses: readonly string[]): void {
    this.#sink?.onBackends(addresses.map((address) => ({ address })));
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

describe('several threads', () => {
  interface Thread {
    readonly balancer: LoadBalancer;
    readonly space: BalancerSpace;
    readonly discovery: HandDiscovery;
  }

  function threads(count: number): { readonly clock: ManualClock; readonly all: readonly Thread[] } {
    const { clock, environment } = rig();
    const memory = balancerMemory({ maxThreads: 8 });
    const all = Array.from({ length: count }, () => {
      const space = new BalancerSpace({ environment, memory });
      const discovery = new HandDiscovery();
      const balancer = new LoadBalancer({ space, discovery });
      balancer.start();
      return { balancer, space, discovery };
    });
    return { clock, all };
  }

  test('one discovers for all, and who is born later knows it too', async () => {
    const { clock, all } = threads(3);
    const [one, two, three] = all as [Thread, Thread, Thread];
    assert.deepEqual(
      all.map(({ discovery }) => discovery.watching),
      [1, 0, 0],
    );
    one.discovery.say(THREE);
    clock.advance(300);
    await settled();
    for (const { balancer } of all) assert.deepEqual(picks(balancer, 3), THREE);
    one.discovery.say(['new:1']);
    one.discovery.say(['newer:1']);
    clock.advance(300);
    await settled();
    for (const { balancer } of all) assert.equal(balancer.select()?.name, 'newer:1');
    two.space.close();
    three.space.close();
    for (const { space } of all) space.close();
  });

  test('whoever waits for the first set gets it, or is told in time that there is none', async () => {
    const { clock, all } = threads(2);
    const [one, two] = all as [Thread, Thread];
    const inVain = one.balancer.whenKnown(1_000);
    clock.advance(1_100);
    assert.equal(await inVain, false);
    const waits = all.map(({ balancer }) => balancer.whenKnown(5_000));
    one.discovery.say(THREE);
    clock.advance(300);
    assert.deepEqual(await Promise.all(waits), [true, true]);
    assert.equal(await two.balancer.whenKnown(1), true);
    const { balancer, space } = threads(1).all[0] as Thread;
    const cut = balancer.whenKnown(60_000);
    balancer.close();
    assert.equal(await cut, false);
    space.close();
    for (const thread of all) thread.space.close();
  });

  test('when the one that leads ends, another leads at once, and begins with what is known', async () => {
    const { clock, all } = threads(2);
    const [one, two] = all as [Thread, Thread];
    one.discovery.say(THREE);
    clock.advance(300);
    one.balancer.close();
    one.space.close();
    clock.advance(300);
    await settled();
    assert.equal(two.discovery.watching, 1);
    assert.deepEqual(picks(two.balancer, 3), THREE);
    assert.equal(two.balancer.status().leads, true);
    two.space.close();
  });

  test('health, requests under way, ejections and drains are those of all', async () => {
    const { clock, all } = threads(2);
    const [one, two] = all as [Thread, Thread];
    one.discovery.say(THREE);
    clock.advance(300);
    await settled();
    const a = named(one.balancer, '10.0.0.1:80');
    one.balancer.setHealthy(a, false, because);
    assert.ok(!picks(two.balancer, 10).includes('10.0.0.1:80'));
    const flight = two.balancer.begin(named(two.balancer, '10.0.0.2:80'));
    assert.equal(one.balancer.stateOf(named(one.balancer, '10.0.0.2:80')).inflight, 1);
    flight.end();
    two.balancer.drain(named(two.balancer, '10.0.0.3:80'));
    assert.deepEqual(picks(one.balancer, 2), ['10.0.0.2:80', '10.0.0.2:80']);
    for (const { space } of all) space.close();
  });

  test('two balancers of one space have backends of their own', () => {
    const space = new BalancerSpace(rig());
    const one = new LoadBalancer({ space, name: 'one', backends: listOf(THREE) });
    const two = new LoadBalancer({ space, name: 'two', backends: listOf(THREE) });
    one.setHealthy(named(one, '10.0.0.1:80'), false, because);
    assert.equal(two.isHealthy(named(two, '10.0.0.1:80')), true);
    one.start();
    two.start();
    assert.throws(() => new LoadBalancer({ space, name: 'two' }).start(), /there is a balancer called two/);
    space.close();
  });
});

describe('updates in slices', () => {
  test('the last of several that overlap counts, and the others take back what they had', async () => {
    const balancer = new LoadBalancer({ maxBackends: 20_000 });
    const sets = [0, 1, 2].map((set) => listOf(Array.from({ length: 15_000 }, (_, index) => `10.${set}.${index >> 8}.${index & 255}:80`)));
    const updates = await Promise.all(sets.map((set) => balancer.updateInSlices(set)));
    assert.deepEqual(
      updates.map((update) => update?.total ?? null),
      [null, null, 15_000],
    );
    assert.equal(balancer.backends[0]?.name, '10.2.0.0:80');
    for (let round = 0; round < 4; round++) assert.equal((await balancer.updateInSlices(sets[round % 2] ?? []))?.total, 15_000);
  });

  test('of 3 000 backends nobody sees a half-built set, and a choice can be made as soon as a set is there (299)', async () => {
    const sets = ['a', 'b'].map((version) =>
      Array.from({ length: 3_000 }, (_, index) => ({
        address: `10.${version === 'a' ? 1 : 2}.${index >> 8}.${index & 255}:80`,
        metadata: { version },
      })),
    );
    // A millisecond goes by with each look at the clock, so that there are pauses however fast the machine is.
    let now = 0;
    const clock: Clock = { now: () => ++now, wallNow: () => now, schedule: () => ({ cancel() {} }) };
    const environment = new HttpEnvironment({ clock });
    const balancer = new LoadBalancer({ environment, backends: sets[0] ?? [], maxBackends: 6_000 });
    let looks = 0;
    for (let round = 1; round <= 10; round++) {
      let isDone = false;
      const update = balancer.updateInSlices(sets[round % 2] ?? []).finally(() => (isDone = true));
      while (!isDone) {
        looks++;
        const versions = new Set(balancer.backends.map(({ metadata }) => metadata['version']));
        assert.equal(balancer.backends.length, 3_000);
        assert.equal(versions.size, 1);
        assert.ok(versions.has(balancer.select()?.metadata['version'] ?? ''));
        await new Promise(setImmediate);
      }
      await update;
      assert.equal(balancer.select()?.metadata['version'], round % 2 === 1 ? 'b' : 'a');
    }
    assert.ok(looks > 20, `${looks} looks in 10 updates: they made no pauses`);
  });

  test('one that is wrong rejects, and the set stays', async () => {
    const balancer = balancerOf(THREE);
    await assert.rejects(balancer.updateInSlices([{ address: 'a:1', weight: -1 }]), RangeError);
    assert.deepEqual(picks(balancer, 3), THREE);
  });
});

test('options that make no sense are refused', () => {
  const space = new BalancerSpace();
  for (const options of [
    { overprovisioning: 0.9 },
    { panicThreshold: 1.1 },
    { slowStartMs: -1 },
    { slowStartMinShare: 0 },
    { breaker: { maxRequests: 0 } },
    { outliers: { consecutiveFailures: 0 } },
    { outliers: { maxEjectedShare: 2 } },
    { maxSubsets: 0 },
    { maxBackends: 0 },
    { maxBackends: 2_000_000 },
  ])
    assert.throws(() => new LoadBalancer(options), RangeError, JSON.stringify(options));
  assert.throws(() => new LoadBalancer({ space, maxBackends: 5 }), TypeError);
  assert.throws(() => new LoadBalancer({ backends: [], discovery: new HandDiscovery() }), TypeError);
  assert.throws(() => new LoadBalancer({ algorithm: {} as SelectionAlgorithm }), TypeError);
});

test('what happens is counted in a registry, by the name of the balancer', () => {
  const { clock, environment } = rig();
  const metrics = new MetricRegistry();
  const balancer = new LoadBalancer({ environment, name: 'shop', metrics, backends: listOf(THREE), outliers: { consecutiveFailures: 1 } });
  balancer.start();
  balancer.setHealthy(named(balancer, THREE[0] as string), false, because);
  balancer.report(named(balancer, THREE[1] as string), Outcome.failure);
  clock.advance(300);
  const text = writePrometheusText(metrics.snapshot());
  for (const line of [
    'balancer_backends{balancer="shop"} 3',
    'balancer_backends_ready{balancer="shop"} 1',
    'balancer_health_changes_total{balancer="shop",to="down"} 1',
    'balancer_ejections_total{balancer="shop",cause="consecutiveFailures"} 1',
    'balancer_updates_total{balancer="shop"} 1',
    'balancer_discovery_failures_total{balancer="shop"} 0',
  ])
    assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  balancer.close();
});
