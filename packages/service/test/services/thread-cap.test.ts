import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpEnvironment } from '@ferrata/http';
import { descriptorLimit } from '@ferrata/net';
import type { ServiceContext } from '../../src/service.ts';
import { threadCap } from '../../src/services/thread-cap.ts';

function capOf(worker: number, threads: number, environment = new HttpEnvironment()): ReturnType<typeof threadCap> {
  return threadCap({ environment, threads, worker } as ServiceContext<unknown>);
}

test('all threads together, the main thread too, stay below the limit of descriptors, with room for files and connections to elsewhere', () => {
  const limit = descriptorLimit();
  for (const threads of [1, 2, 8]) {
    const all = capOf(0, threads).max + threads * capOf(1, threads).max;
    assert.ok(limit === Infinity ? all === Infinity : all < limit - Math.min(128, limit / 4), `${all} of ${limit} for ${threads} workers`);
  }
});

test('the services of a thread share one cap', () => {
  const environment = new HttpEnvironment();
  assert.equal(capOf(1, 2, environment), capOf(1, 2, environment));
  assert.notEqual(capOf(1, 2), capOf(1, 2));
});
