/** What a balancer tells its picker of a request that comes again. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { boundedLoad, LoadBalancer, roundRobin, smoothWeighted } from '@ferrata/load-balancing';

describe('a backend that fails each time', () => {
  for (const algorithm of [roundRobin(), smoothWeighted(), boundedLoad({ over: roundRobin() })]) {
    test(`gets its share of the first requests and no more, by ${algorithm.name}`, () => {
      const balancer = new LoadBalancer({
        algorithm,
        backends: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'].map((address) => ({ address })),
      });
      const firsts = new Map<string, number>();
      const seconds = new Map<string, number>();
      for (let request = 0; request < 300; request++) {
        const first = balancer.select();
        assert.ok(first !== null);
        firsts.set(first.name, (firsts.get(first.name) ?? 0) + 1);
        if (first.name !== '10.0.0.1:80') continue;
        const second = balancer.select(null, { exclude: [first] });
        assert.ok(second !== null);
        seconds.set(second.name, (seconds.get(second.name) ?? 0) + 1);
      }
      assert.deepEqual(Object.fromEntries(firsts), { '10.0.0.1:80': 100, '10.0.0.2:80': 100, '10.0.0.3:80': 100 });
      assert.deepEqual(Object.fromEntries(seconds), { '10.0.0.2:80': 50, '10.0.0.3:80': 50 });
      balancer.close();
    });
  }
});
