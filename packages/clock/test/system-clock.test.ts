import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mock, type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../src/index.ts';

/** Node's mocked timers, with a `performance.now` that the test moves by itself. */
function fakePlatform(t: TestContext): { now: number } {
  const time = { now: 1000 };
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.method(performance, 'now', () => time.now);
  return time;
}

test('now never goes back and wallNow is the time of day', (t) => {
  const first = systemClock.now();
  assert.ok(systemClock.now() >= first);
  t.mock.method(Date, 'now', () => 1_700_000_000_000);
  assert.equal(systemClock.wallNow(), 1_700_000_000_000);
});

test('a wake-up comes once its delay has passed', (t) => {
  const time = fakePlatform(t);
  const wake = mock.fn();
  systemClock.schedule(50, wake);
  time.now += 49;
  t.mock.timers.tick(49);
  assert.equal(wake.mock.callCount(), 0);
  time.now += 1;
  t.mock.timers.tick(1);
  assert.equal(wake.mock.callCount(), 1);
});

test('a platform timer that fires too soon is armed again for the rest', (t) => {
  const time = fakePlatform(t);
  const wake = mock.fn();
  systemClock.schedule(50, wake);
  time.now += 49.4;
  t.mock.timers.tick(50);
  assert.equal(wake.mock.callCount(), 0, 'the timer has fired, but 0.6 ms are missing');
  time.now += 0.6;
  t.mock.timers.tick(1);
  assert.equal(wake.mock.callCount(), 1);
});

test('a delay longer than the platform can take is made of several timers', (t) => {
  const time = fakePlatform(t);
  const wake = mock.fn();
  const delay = 0x7fff_ffff + 500;
  systemClock.schedule(delay, wake);
  time.now += 0x7fff_ffff;
  t.mock.timers.tick(0x7fff_ffff);
  assert.equal(wake.mock.callCount(), 0);
  time.now += 500;
  t.mock.timers.tick(500);
  assert.equal(wake.mock.callCount(), 1);
});

test('a cancelled wake-up does not come, also after it was armed again', (t) => {
  const time = fakePlatform(t);
  const wake = mock.fn();
  systemClock.schedule(50, wake).cancel();
  const second = systemClock.schedule(50, wake);
  time.now += 49.5;
  t.mock.timers.tick(50);
  second.cancel();
  time.now += 100;
  t.mock.timers.tick(100);
  assert.equal(wake.mock.callCount(), 0);
});

test('delays that are no delays are refused', () => {
  for (const delay of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => systemClock.schedule(delay, () => {}), RangeError);
  }
});

test('on a platform whose timers are numbers, scheduling and cancelling work as well', (t) => {
  const cleared: unknown[] = [];
  t.mock.method(globalThis, 'setTimeout', (() => 7) as unknown as typeof setTimeout);
  t.mock.method(globalThis, 'clearTimeout', ((timer: unknown) => void cleared.push(timer)) as typeof clearTimeout);
  systemClock.schedule(1, () => {}).cancel();
  assert.deepEqual(cleared, [7]);
});

test('a pending wake-up does not keep the process alive, and one that is waited for does come', () => {
  const source = new URL('../src/index.ts', import.meta.url).href;
  const program = `
    import { systemClock } from ${JSON.stringify(source)};
    systemClock.schedule(3_600_000, () => console.log('an hour later'));
    const keepAlive = setInterval(() => {}, 3_600_000);
    const start = performance.now();
    systemClock.schedule(5, () => { console.log(performance.now() - start >= 5 ? 'in time' : 'early'); clearInterval(keepAlive); });
  `;
  const { stdout, status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  assert.deepEqual({ stdout, status, stderr }, { stdout: 'in time\n', status: 0, stderr: '' });
});

test('all threads of a process see the same time', async () => {
  const source = `
    import { parentPort } from 'node:worker_threads';
    const { systemClock } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)});
    parentPort.on('message', () => parentPort.postMessage(systemClock.now()));
    parentPort.postMessage('ready');`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  try {
    await once(worker, 'message');
    const before = systemClock.now();
    worker.postMessage('');
    const [there] = (await once(worker, 'message')) as [number];
    // The origins are read with an error of microseconds.
    assert.ok(there > before - 1 && there < systemClock.now() + 1, `${before} ${there} ${systemClock.now()}`);
  } finally {
    await worker.terminate();
  }
});
