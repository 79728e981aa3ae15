import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { heartbeatMemory } from '../../src/supervisor/heartbeats.ts';
import type { SupervisorMessage, WorkerMessage, WorkerSeed } from '../../src/supervisor/worker-messages.ts';
import { compileCache, PATIENCE_MS } from '../fixtures/test-processes.ts';

type Kind = WorkerMessage['kind'];

/** The main thread's end of a worker, as a test plays it. */
class Thread implements AsyncDisposable {
  readonly worker: Worker;
  readonly heartbeats = heartbeatMemory(2);
  readonly messages: WorkerMessage[] = [];
  readonly ended: Promise<number>;
  error: Error | null = null;
  #hasEnded = false;

  constructor({ uncaught = 'replace', holds = false }: { readonly uncaught?: 'replace' | 'report'; readonly holds?: boolean } = {}) {
    const ferrataService: WorkerSeed = {
      worker: 2,
      threads: 2,
      snapshot: { version: 1, config: { word: 'one' } },
      sockets: { web: [{ listen: { address: '127.0.0.1:0' }, fd: null, address: { kind: 'unset' } }] },
      shared: {},
      heartbeats: this.heartbeats,
      phase: 'bootstrap',
      uncaught,
    };
    this.worker = new Worker(new URL('./fixtures/worker-program.ts', import.meta.url), {
      workerData: { ferrataService, holds },
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
    });
    this.worker.on('message', (message: WorkerMessage) => this.messages.push(message));
    this.worker.on('error', (error: Error) => (this.error = error));
    this.ended = new Promise((resolve) => {
      this.worker.once('exit', (code: number) => {
        this.#hasEnded = true;
        resolve(code);
      });
    });
  }

  post(message: SupervisorMessage): void {
    this.worker.postMessage(message);
  }

  /** The next message of a kind; those before it stay. @throws if the thread ends before, or says nothing for long */
  async next<K extends Kind>(kind: K): Promise<Extract<WorkerMessage, { kind: K }>> {
    for (;;) {
      const at = this.messages.findIndex((message) => message.kind === kind);
      if (at !== -1) return this.messages.splice(at, 1)[0] as Extract<WorkerMessage, { kind: K }>;
      if (this.#hasEnded) throw new Error(`the thread has ended, and no ${kind} came: ${JSON.stringify(this.messages)} ${this.error}`);
      await Promise.race([once(this.worker, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) }), this.ended]);
    }
  }

  async start(name: string): Promise<void> {
    this.post({ kind: 'startService', name, waitedMs: 0, sockets: null });
    await this.next('started');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.terminate();
  }
}

test('a worker starts, reloads, counts, drains and ends by itself', async () => {
  await using thread = new Thread();
  assert.deepEqual((await thread.next('up')).services, ['web', 'bad', 'bomb', 'lateBomb', 'main']);
  assert.ok((new Int32Array(thread.heartbeats)[1] as number) > 0);
  await thread.start('web');
  assert.deepEqual((await thread.next('notice')).notice, { severity: 'info', text: 'made one', service: 'web', worker: 2 });
  thread.post({ kind: 'startService', name: 'bad', waitedMs: 0, sockets: null });
  assert.match((await thread.next('startFailed')).why, /^it cannot \(at /);
  thread.post({ kind: 'startService', name: 'main', waitedMs: 0, sockets: null });
  assert.match((await thread.next('startFailed')).why, /there is no service main in this thread/);
  thread.post({ kind: 'phase', phase: 'running' });
  thread.post({ kind: 'prepare', snapshot: { version: 2, config: { word: 'bad' } } });
  assert.deepEqual(await thread.next('prepared'), { kind: 'prepared', version: 2, why: 'not that word' });
  thread.post({ kind: 'discard', version: 2 });
  thread.post({ kind: 'prepare', snapshot: { version: 3, config: { word: 'three' } } });
  assert.deepEqual(await thread.next('prepared'), { kind: 'prepared', version: 3, why: null });
  thread.post({ kind: 'commit', version: 3 });
  assert.deepEqual(await thread.next('committed'), { kind: 'committed', version: 3 });
  thread.post({ kind: 'counts', id: 9 });
  const { id, counts, heapUsedBytes } = await thread.next('counts');
  assert.deepEqual([id, counts], [9, { web: { connections: 0, accepted: 0, shed: 0 } }]);
  assert.ok(heapUsedBytes > 1_000_000);
  thread.post({ kind: 'drain', graceMs: 600_000 });
  thread.post({ kind: 'drain', graceMs: 10 });
  assert.deepEqual(await thread.next('drained'), { kind: 'drained', cut: 0 });
  thread.post({ kind: 'close' });
  assert.equal(await thread.ended, 0);
  assert.deepEqual(
    thread.messages.filter(({ kind }) => kind === 'drained'),
    [],
  );
});

test('a worker that is closed ends, whatever of the user’s would keep it alive', async () => {
  await using thread = new Thread({ holds: true });
  await thread.next('up');
  thread.post({ kind: 'close' });
  assert.equal(await thread.ended, 0);
});

test('an exception that nobody caught ends the thread, which says what it was', async () => {
  await using thread = new Thread();
  await thread.next('up');
  thread.post({ kind: 'startService', name: 'bomb', waitedMs: 0, sockets: null });
  assert.equal(await thread.ended, 1);
  assert.match(String(thread.error), /nobody caught me/);
});

test('where it is only to be reported, the worker goes on', async () => {
  await using thread = new Thread({ uncaught: 'report' });
  await thread.next('up');
  await thread.start('bomb');
  const { notice } = await thread.next('notice');
  assert.match(notice.text, /^an exception that nobody caught; the worker goes on: nobody caught me \(at /);
  assert.deepEqual([notice.severity, notice.worker], ['error', 2]);
  await thread.start('web');
  // There were fifty of them at once: told of once a second at most.
  assert.ok(thread.messages.length < 25);
  thread.post({ kind: 'close' });
  assert.equal(await thread.ended, 0);
});

test('while it drains, an exception is only reported: nobody would take its place', async () => {
  await using thread = new Thread();
  await thread.next('up');
  await thread.start('lateBomb');
  thread.post({ kind: 'drain', graceMs: 600_000 });
  assert.match((await thread.next('notice')).notice.text, /the worker goes on: nobody caught me/);
  assert.deepEqual(await thread.next('drained'), { kind: 'drained', cut: 5 });
  thread.post({ kind: 'close' });
  assert.equal(await thread.ended, 0);
});
