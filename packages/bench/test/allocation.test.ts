import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { AllocationMeter } from '../proxy/matrix/allocation.ts';
import { withProcesses } from '../proxy/processes.ts';

const skip = process.platform === 'linux' ? false : 'the benches end their processes by way of /proc, which only Linux has';
const OBJECTS = 200_000;
/** An array of 100 elements, with what describes it. */
const OBJECT_BYTES = 848;
/** Two threads that allocate when told to; what one says on standard output, the other does too. */
const PROGRAM = `
const { isMainThread, Worker, parentPort } = require('node:worker_threads');
let kept = null;
const allocate = () => { for (let i = 0; i < ${OBJECTS}; i++) kept = new Array(100).fill(i); };
if (isMainThread) {
  const worker = new Worker(process.argv[1]);
  worker.on('message', () => console.log('done'));
  process.on('SIGUSR2', () => { allocate(); worker.postMessage('go'); });
  worker.once('online', () => console.log('up'));
} else {
  parentPort.on('message', () => { allocate(); parentPort.postMessage('done'); });
}`;

test('what all threads of a program allocate is counted, though nothing of it stays', { skip }, async () => {
  await withProcesses(async (processes) => {
    const folder = processes.makeFolder('allocation');
    const script = `${folder}/program.cjs`;
    writeFileSync(script, PROGRAM);
    const meter = await AllocationMeter.open(folder);
    try {
      const done = Promise.withResolvers<void>();
      const running = await processes.start({
        name: 'program',
        command: process.execPath,
        args: [...meter.nodeFlags, script],
        cores: null,
        onLine: (line) => {
          if (line === 'done') done.resolve();
        },
      });
      await untilConnected(meter, 2);
      const { count } = await meter.measure(async () => {
        process.kill(running.pid, 'SIGUSR2');
        await done.promise;
      });
      const perObject = count.heapBytes / (2 * OBJECTS);
      assert.ok(perObject > OBJECT_BYTES * 0.95 && perObject < OBJECT_BYTES * 1.1, `${perObject} bytes`);
      assert.ok(count.collections > 10, `${count.collections} collections`);
    } finally {
      meter.close();
    }
  });
});

test('a program without the probe is not taken for one that allocates nothing', { skip }, async () => {
  await withProcesses(async (processes) => {
    const meter = await AllocationMeter.open(processes.makeFolder('allocation'));
    try {
      await assert.rejects(
        meter.measure(async () => {}),
        /no thread of the program/,
      );
    } finally {
      meter.close();
    }
  });
});

/** Threads connect by themselves when they begin. */
async function untilConnected(meter: AllocationMeter, threads: number): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (meter.threadCount < threads) {
    if (performance.now() > deadline) throw new Error(`${meter.threadCount} of ${threads} threads have come`);
    await delay(10);
  }
}
