/** Real threads on one memory: what one counts all see, and the one that leads may die. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { balancerMemory } from '@ferrata/load-balancing';
import type { ThreadStatus } from './fixtures/balancer-thread.ts';

interface Thread {
  readonly worker: Worker;
  ask(message: { readonly begin?: number; readonly end?: number }): Promise<ThreadStatus>;
}

function threadOn(memory: SharedArrayBuffer): Thread {
  const worker = new Worker(new URL('./fixtures/balancer-thread.ts', import.meta.url), { workerData: memory });
  return {
    worker,
    async ask(message) {
      const answer = once(worker, 'message');
      worker.postMessage(message);
      const [status] = (await answer) as [ThreadStatus];
      return status;
    },
  };
}

test('three threads count as one, the lead passes on when the leader is killed, and a late one finds the set', async () => {
  const memory = balancerMemory({ maxBackends: 16, maxThreads: 4 });
  const leader = threadOn(memory);
  assert.equal((await leader.ask({ begin: 2 })).leads, true);
  const others = [threadOn(memory), threadOn(memory)] as const;
  const all = [leader, ...others];
  try {
    for (const other of others) {
      const status = await other.ask({ begin: 3 });
      assert.deepEqual([status.names, status.leads], [['a:1', 'b:1'], false]);
    }
    for (const thread of all) assert.equal((await thread.ask({})).inflight, 8);
    // All at once, again and again: no addition is lost.
    await Promise.all(others.map(async (other) => other.ask({ begin: 20_000 })));
    await Promise.all(others.map(async (other) => other.ask({ end: 20_000 })));
    assert.equal((await leader.ask({})).inflight, 8);

    await leader.worker.terminate();
    const late = threadOn(memory);
    all.push(late);
    assert.deepEqual((await late.ask({})).names, ['a:1', 'b:1'], 'what the dead one has published is there');
    const living = all.slice(1);
    for (let tries = 0; tries < 100 && !(await statuses(living)).some(({ leads }) => leads); tries++) await sleep(50);
    assert.equal((await statuses(living)).filter(({ leads }) => leads).length, 1, 'one leads, and only one');
    assert.equal(
      (await late.ask({ begin: 1 })).inflight,
      9,
      'what is under way at the others stays, and that of the dead one for ten seconds',
    );
  } finally {
    await Promise.all(all.map(async ({ worker }) => worker.terminate()));
  }
});

async function statuses(threads: readonly Thread[]): Promise<readonly ThreadStatus[]> {
  return Promise.all(threads.map(async (thread) => thread.ask({})));
}
