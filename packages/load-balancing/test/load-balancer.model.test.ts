/** The balancers of two threads on one memory, beside a naive twin that remembers everything in plain maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { BalancerSpace, balancerMemory, type Flight, LoadBalancer, Outcome } from '@ferrata/load-balancing';
import fc from 'fast-check';

const MAX_REQUESTS = 3;
const NAMES = ['a:1', 'b:1', 'c:1', 'd:1', 'e:1'];

interface Known {
  weight: number;
  priority: number;
}

/** What is true, by a twin without threads, slots or epochs. */
class Model {
  /** For each thread its set. */
  readonly sets = [new Map<string, Known>(), new Map<string, Known>()];
  readonly unhealthy = new Set<string>();
  readonly drained = new Set<string>();
  readonly flights: { readonly name: string; readonly thread: number; readonly flight: Flight<undefined> }[] = [];

  inflight(name: string): number {
    return this.flights.filter((flight) => flight.name === name).length;
  }

  /** A backend that nobody has, and that has nothing under way, is forgotten. */
  forget(): void {
    for (const name of NAMES) {
      if (this.sets.some((set) => set.has(name)) || this.inflight(name) > 0) continue;
      this.unhealthy.delete(name);
      this.drained.delete(name);
    }
  }

  isReady(thread: number, name: string): boolean {
    const known = this.sets[thread]?.get(name);
    return known !== undefined && known.weight > 0 && !this.unhealthy.has(name) && !this.drained.has(name);
  }
}

const action = fc.record({
  thread: fc.nat(1),
  what: fc.constantFrom(
    ...(['update', 'update', 'healthy', 'unhealthy', 'drain', 'undrain', 'begin', 'begin', 'begin', 'end', 'end', 'tick', 'fail'] as const),
  ),
  name: fc.constantFrom(...NAMES),
  set: fc.uniqueArray(fc.record({ name: fc.constantFrom(...NAMES), weight: fc.nat(3), priority: fc.nat(1) }), {
    selector: ({ name }) => name,
    maxLength: 5,
  }),
  exclude: fc.subarray(NAMES),
});

test('whoever is chosen is in the set of the thread, ready, open and not excluded, and nobody is only when nobody could be', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const clock = new ManualClock({ now: 1 });
      const environment = new HttpEnvironment({ clock, random: seededRandom(3) });
      const memory = balancerMemory({ maxBackends: 8, maxThreads: 2 });
      const spaces = [0, 1].map(() => new BalancerSpace({ environment, memory }));
      const balancers = spaces.map((space) => new LoadBalancer({ space, breaker: { maxRequests: MAX_REQUESTS } }));
      for (const balancer of balancers) balancer.start();
      const model = new Model();
      for (const { thread, what, name, set, exclude } of actions) {
        const balancer = balancers[thread] as LoadBalancer;
        const backend = balancer.find(name);
        if (what === 'update') {
          balancer.update(set.map(({ name: address, weight, priority }) => ({ address, weight, priority })));
          model.sets[thread] = new Map(set.map(({ name: known, ...rest }) => [known, rest]));
        } else if (what === 'begin') {
          const chosen = balancer.select(null, { exclude: balancer.backends.filter((one) => exclude.includes(one.name)) });
          const open = NAMES.filter((one) => model.isReady(thread, one) && !exclude.includes(one) && model.inflight(one) < MAX_REQUESTS);
          if (chosen === null) assert.deepEqual(open, []);
          else {
            assert.ok(open.includes(chosen.name), `${chosen.name} is not one of ${open.join()}`);
            model.flights.push({ name: chosen.name, thread, flight: balancer.begin(chosen) });
          }
        } else if (what === 'end') model.flights.shift()?.flight.end(Outcome.success, 1);
        else if (what === 'tick') clock.advance(260);
        else if (backend !== null) {
          if (what === 'healthy' || what === 'unhealthy') {
            balancer.setHealthy(backend, what === 'healthy', { check: 'model', error: null });
            if (what === 'healthy') model.unhealthy.delete(name);
            else model.unhealthy.add(name);
          } else if (what === 'drain' || what === 'undrain') {
            balancer.drain(backend, what === 'drain');
            if (what === 'drain') model.drained.add(name);
            else model.drained.delete(name);
          } else balancer.report(backend, Outcome.failure);
        }
        model.forget();
        for (const one of balancers)
          for (const known of one.backends) {
            assert.equal(one.stateOf(known).inflight, model.inflight(known.name));
            assert.equal(one.isHealthy(known), !model.unhealthy.has(known.name));
          }
        assert.ok(balancers.filter((one) => one.status().leads).length <= 1);
      }
      for (const { flight } of model.flights) flight.end();
      for (const space of spaces) space.close();
    }),
    { numRuns: 300 },
  );
});
