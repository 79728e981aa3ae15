/** The round of checks: when, how many at a time, what is told, and what a check may do wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { customCheck } from '../../src/health/custom-check.ts';
import { HealthChecker } from '../../src/health/health-checker.ts';
import { settle } from '../internal/http-rig.ts';
import { backendOf, backendsOf, checkerRig, RecordingTarget, ScriptedCheck } from './rig.ts';

/** What the target was told, in short. */
function toldOf(target: RecordingTarget): string[] {
  return target.told.map(({ name, isHealthy, change }) => {
    const { error } = change;
    const reason = error === null ? 'well' : 'reason' in error ? String(error.reason) : error.message;
    return `${name} ${isHealthy ? 'up' : 'down'} ${reason}`;
  });
}

describe('what is told', () => {
  test('a backend is what the target says until a check flips it, and its change is told once', async () => {
    const rig = checkerRig(backendsOf(3));
    rig.target.sick.add('b1');
    rig.check.down.add('b2');
    await rig.checker.checkNow();
    assert.deepEqual(toldOf(rig.target), ['b1 up well', 'b2 down HEALTH_CHECK_THREW']);
    await rig.checker.checkNow();
    assert.equal(rig.target.told.length, 2);
    rig.check.down.clear();
    await rig.checker.checkNow();
    assert.deepEqual(toldOf(rig.target).slice(2), ['b2 up well']);
    assert.deepEqual(rig.checker.counts, { checks: 9, failures: 2, timeouts: 0, changes: 3 });
    assert.match(rig.target.told[1]?.change.error?.message ?? '', /b2 is down/);
  });

  test('as many results in a row as the threshold flip a backend, and one of the other kind begins again', async () => {
    const rig = checkerRig(backendsOf(1), { unhealthyThreshold: 3, healthyThreshold: 2 });
    const look = async (isDown: boolean): Promise<string> => {
      if (isDown) rig.check.down.add('b0');
      else rig.check.down.clear();
      await rig.checker.checkNow();
      return rig.checker.statusOf(rig.target.backends[0] as never);
    };
    const seen: string[] = [];
    for (const isDown of [true, true, false, true, true, true, false, true, false, false]) seen.push(await look(isDown));
    const letters = seen.map((status) => (status === 'healthy' ? '+' : '-')).join('');
    assert.equal(letters, '+++++----+');
  });

  test('what somebody else tells the target holds until checks say otherwise', async () => {
    const rig = checkerRig(backendsOf(1), { healthyThreshold: 2 });
    await rig.checker.checkNow();
    rig.target.sick.add('b0');
    await rig.checker.checkNow();
    assert.deepEqual(toldOf(rig.target), []);
    await rig.checker.checkNow();
    assert.deepEqual(toldOf(rig.target), ['b0 up well']);
  });

  test('a callback that throws or rejects, or a target that does, ends nothing', async () => {
    let calls = 0;
    const rig = checkerRig(backendsOf(2), {
      onChange: () => {
        calls++;
        throw new Error('of the program');
      },
      onResult: () => Promise.reject(new Error('of the program')) as never,
    });
    rig.target.setHealthy = () => assert.fail('of the target');
    rig.check.down.add('b0').add('b1');
    await rig.checker.checkNow();
    assert.equal(calls, 2);
    rig.target.isHealthy = () => assert.fail('of the target');
    rig.check.down.clear();
    await rig.checker.checkNow();
    assert.equal(calls, 4);
  });

  test('every result is told, with how long it took', async () => {
    const results: unknown[] = [];
    const rig = checkerRig(backendsOf(1), {
      onResult: ({ name }, { check, error, durationMs }) => void results.push([name, check, error?.reason ?? null, durationMs]),
    });
    rig.check.delayMs = 30;
    rig.checker.start();
    await rig.pass(100);
    rig.check.down.add('b0');
    await rig.pass(5_000);
    assert.deepEqual(results, [
      ['b0', 'scripted', null, 30],
      ['b0', 'scripted', 'HEALTH_CHECK_THREW', 30],
    ]);
    rig.checker.close();
  });
});

describe('when', () => {
  test('checks begin at once, and then every interval from the start of the one before', async () => {
    const rig = checkerRig(backendsOf(1), { intervalMs: 1_000 });
    rig.check.delayMs = 200;
    rig.checker.start();
    rig.checker.start();
    await rig.pass(3_500);
    assert.deepEqual(
      rig.check.timesOf('b0').map((at) => Math.round(at / 100)),
      [0, 10, 20, 30],
    );
    rig.checker.close();
  });

  test('a backend that is not well is checked at an interval of its own, and is back within one of them', async () => {
    const rig = checkerRig(backendsOf(2), { intervalMs: 1_000, unhealthyIntervalMs: 200, jitter: 0.1 });
    rig.check.down.add('b0');
    rig.checker.start();
    await rig.pass(2_000);
    assert.ok(rig.check.timesOf('b0').length >= 9);
    assert.ok(rig.check.timesOf('b1').length <= 4);
    rig.check.down.clear();
    await rig.pass(200 * 1.1 + 20);
    assert.equal(rig.target.isHealthy(rig.target.backends[0] as never), true);
    rig.checker.close();
  });

  test('a backend is well again within an interval and its jitter, whatever chance does', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const rig = checkerRig(backendsOf(1), { intervalMs: 500, jitter: 0.4 }, seed);
      rig.check.down.add('b0');
      rig.checker.start();
      await rig.pass(1_000 + 37 * seed, 37);
      assert.deepEqual(toldOf(rig.target), ['b0 down HEALTH_CHECK_THREW']);
      rig.check.down.clear();
      await rig.pass(500 * 1.4 + 20, 20);
      assert.equal(rig.target.told.length, 2, `seed ${seed}`);
      rig.checker.close();
    }
  });

  test('intervals differ by the jitter, and the same seed gives the same times', async () => {
    const run = async (seed: number): Promise<number[]> => {
      const rig = checkerRig(backendsOf(1), { intervalMs: 1_000, jitter: 0.5 }, seed);
      rig.checker.start();
      await rig.pass(20_000, 50);
      rig.checker.close();
      return rig.check.timesOf('b0');
    };
    const times = await run(7);
    assert.deepEqual(await run(7), times);
    assert.notDeepEqual(await run(8), times);
    const intervals = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    assert.ok(
      intervals.every((ms) => ms >= 490 && ms <= 1_560),
      intervals.join(),
    );
    assert.ok(Math.max(...intervals) - Math.min(...intervals) > 200, intervals.join());
  });

  test('a check that takes longer than the interval is followed at once, and never joined', async () => {
    const rig = checkerRig(backendsOf(1), { intervalMs: 100, timeoutMs: 1_000 });
    rig.check.delayMs = 350;
    rig.checker.start();
    await rig.pass(2_000);
    assert.equal(rig.check.mostOfOne, 1);
    assert.ok(rig.check.begun.length >= 5, String(rig.check.begun.length));
    rig.checker.close();
  });

  test('ten thousand backends cost two wake-ups of the clock, and begin no burst', async () => {
    const rig = checkerRig(backendsOf(10_000), { intervalMs: 10_000, jitter: 0.1, maxParallel: 64 });
    rig.check.delayMs = 1;
    rig.checker.start();
    assert.ok(rig.clock.pendingCount <= 2, String(rig.clock.pendingCount));
    await rig.pass(1_500, 1);
    assert.equal(rig.check.most, 64);
    assert.equal(new Set(rig.check.begun.map(({ name }) => name)).size, 10_000);
    // All have begun together; from their second checks on they are spread over the interval.
    await rig.pass(10_500);
    const seconds = Array.from({ length: 12 }, () => 0);
    for (const { at } of rig.check.begun) seconds[Math.floor(at / 1_000)] = (seconds[Math.floor(at / 1_000)] ?? 0) + 1;
    assert.ok(
      seconds.slice(2, 10).every((count) => count > 800 && count < 1_200),
      seconds.join(),
    );
    rig.checker.close();
    assert.equal(rig.check.mostOfOne, 1);
  });
});

describe('how many at a time', () => {
  test('no more than maxParallel, by hand too, and all of them', async () => {
    for (const maxParallel of [1, 3, 16]) {
      const rig = checkerRig(backendsOf(20), { maxParallel });
      rig.check.delayMs = 10;
      const checked = rig.checker.checkNow();
      await rig.pass(300);
      await checked;
      assert.deepEqual([rig.check.most, rig.check.begun.length], [maxParallel, 20]);
    }
  });

  test('those that hang hold their places no longer than the time-out', async () => {
    const rig = checkerRig(backendsOf(5), { maxParallel: 2, timeoutMs: 100, intervalMs: 10_000 });
    for (const name of ['b0', 'b1', 'b2']) rig.check.deaf.add(name);
    rig.checker.start();
    await rig.pass(260);
    assert.equal(rig.check.begun.length, 5);
    assert.deepEqual(toldOf(rig.target), ['b0 down HEALTH_CHECK_TIMEOUT', 'b1 down HEALTH_CHECK_TIMEOUT', 'b2 down HEALTH_CHECK_TIMEOUT']);
    assert.equal(rig.checker.runningCount, 0);
    rig.checker.close();
  });

  test('one that was asked for while one runs comes after it, and what the running one finds does not count for it', async () => {
    const rig = checkerRig(backendsOf(1));
    rig.check.delayMs = 50;
    rig.checker.start();
    await rig.pass(20);
    let isDone = false;
    const checked = rig.checker.checkNow().then(() => (isDone = true));
    await rig.pass(40);
    assert.deepEqual([isDone, rig.check.begun.length], [false, 2]);
    await rig.pass(60);
    await checked;
    assert.equal(rig.check.mostOfOne, 1);
    rig.checker.close();
  });
});

describe('a check that goes wrong', () => {
  test('and hangs is given up at its time, and has failed', async () => {
    const rig = checkerRig(backendsOf(1), { timeoutMs: 300, intervalMs: 1_000 });
    rig.check.hanging.add('b0');
    rig.checker.start();
    await rig.pass(290);
    assert.deepEqual(rig.target.told, []);
    await rig.pass(40);
    assert.deepEqual(toldOf(rig.target), ['b0 down HEALTH_CHECK_TIMEOUT']);
    assert.deepEqual([rig.check.runningCount, rig.checker.counts.timeouts], [0, 1]);
    rig.check.hanging.clear();
    await rig.pass(1_000);
    assert.deepEqual(toldOf(rig.target).slice(1), ['b0 up well']);
    rig.checker.close();
  });

  test('and never comes back is not begun again: each further one that is due has failed', async () => {
    const reasons: (string | null)[] = [];
    const rig = checkerRig(backendsOf(1), {
      timeoutMs: 100,
      intervalMs: 500,
      unhealthyThreshold: 3,
      onResult: (_backend, { error }) => void reasons.push(error?.reason ?? null),
    });
    rig.check.deaf.add('b0');
    rig.checker.start();
    await rig.pass(1_200);
    assert.deepEqual(reasons, ['HEALTH_CHECK_TIMEOUT', 'HEALTH_CHECK_STUCK', 'HEALTH_CHECK_STUCK']);
    assert.deepEqual([rig.check.begun.length, toldOf(rig.target)], [1, ['b0 down HEALTH_CHECK_STUCK']]);
    rig.checker.close();
  });

  test('and never comes back keeps nobody waiting who asks for checks by hand', async () => {
    const rig = checkerRig(backendsOf(2), { timeoutMs: 100 });
    rig.check.deaf.add('b0');
    for (let round = 0; round < 2; round++) {
      const checked = rig.checker.checkNow();
      await rig.pass(250);
      await checked;
    }
    assert.deepEqual([rig.check.timesOf('b0').length, rig.check.timesOf('b1').length], [1, 2]);
    assert.equal(rig.checker.statusOf(rig.target.backends[0] as never), 'unhealthy');
  });

  test('and throws at once, returns nothing, or rejects with anything, is a result like others', async () => {
    const thrown: unknown[] = [new Error('one'), 'text', undefined, null, { message: 1 }];
    for (const one of thrown) {
      const rig = checkerRig(backendsOf(1), {
        check: {
          name: 'wrong',
          check: () => {
            throw one;
          },
        },
      });
      await rig.checker.checkNow();
      assert.deepEqual(toldOf(rig.target), ['b0 down HEALTH_CHECK_THREW']);
    }
    const rig = checkerRig(backendsOf(1), { check: { name: 'wrong', check: (): never => undefined as never } });
    rig.target.sick.add('b0');
    await rig.checker.checkNow();
    assert.deepEqual(toldOf(rig.target), ['b0 up well']);
  });
});

describe('backends that come and go', () => {
  test('a new one is checked at once, spread within the jitter, and one that is gone no more', async () => {
    const [b0, b1, b2] = backendsOf(3) as [never, never, never];
    const rig = checkerRig([b0, b1], { intervalMs: 2_000, jitter: 0.1 });
    rig.checker.start();
    await rig.pass(500);
    assert.equal(rig.check.begun.length, 2);
    rig.target.backends = [b1, b2];
    rig.checker.refresh();
    await rig.pass(220);
    assert.deepEqual(
      rig.check.begun.map(({ name }) => name).toSorted((a, b) => a.localeCompare(b)),
      ['b0', 'b1', 'b2'],
    );
    await rig.pass(4_000);
    assert.equal(rig.check.timesOf('b0').length, 1);
    rig.checker.close();
  });

  test('a change that nobody tells of is found within a second', async () => {
    const [b0, b1] = backendsOf(2) as [never, never];
    const rig = checkerRig([b0], { intervalMs: 60_000 });
    rig.checker.start();
    await rig.pass(500);
    rig.target.backends = [b0, b1];
    await rig.pass(1_050);
    assert.equal(rig.check.timesOf('b1').length, 1);
    rig.checker.close();
  });

  test('one that is disabled is not checked, and one that comes back begins anew with what the target says', async () => {
    const on = backendOf({ address: '127.0.0.1:9', name: 'b0' });
    const off = backendOf({ address: '127.0.0.1:9', name: 'b0', isEnabled: false });
    const rig = checkerRig([off], { intervalMs: 100, unhealthyThreshold: 2 });
    rig.check.down.add('b0');
    rig.checker.start();
    await rig.pass(500);
    assert.equal(rig.check.begun.length, 0);
    rig.target.backends = [on];
    await rig.pass(110);
    assert.equal(rig.check.begun.length, 1);
    rig.target.backends = [off];
    await rig.pass(110);
    rig.target.backends = [on];
    const before = rig.check.begun.length;
    await rig.pass(110);
    assert.ok(rig.check.begun.length > before);
    rig.checker.close();
  });

  test('the check of one that goes is given up, and its result is nobody’s', async () => {
    const rig = checkerRig(backendsOf(2), { timeoutMs: 5_000 });
    rig.check.hanging.add('b0');
    rig.checker.start();
    await rig.pass(50);
    assert.equal(rig.checker.runningCount, 1);
    rig.target.backends = rig.target.backends.slice(1);
    rig.checker.refresh();
    await settle();
    assert.deepEqual([rig.checker.runningCount, rig.check.runningCount, rig.target.told.length], [0, 0, 0]);
    rig.checker.close();
  });

  test('one that comes back before its check has is checked when that has, and never by two at once', async () => {
    const all = backendsOf(1);
    const rig = checkerRig(all, { timeoutMs: 1_000, intervalMs: 60_000 });
    rig.check.delayMs = 400;
    rig.checker.start();
    await rig.pass(50);
    rig.target.backends = [];
    rig.checker.refresh();
    rig.target.backends = [...all];
    rig.checker.refresh();
    await rig.pass(800);
    assert.deepEqual([rig.check.begun.length, rig.check.mostOfOne], [2, 1]);
    assert.deepEqual(toldOf(rig.target), []);
    rig.checker.close();
  });

  test('one that stands elsewhere is checked there at once, and what was found at the old place says nothing', async () => {
    const here = backendOf({ address: '127.0.0.1:9', name: 'b0' });
    const there = backendOf({ address: '127.0.0.1:10', name: 'b0' });
    const heavier = backendOf({ address: '127.0.0.1:10', name: 'b0', weight: 7 });
    const rig = checkerRig([here], { timeoutMs: 1_000, intervalMs: 60_000 });
    rig.check.delayMs = 100;
    rig.check.down.add('b0');
    rig.checker.start();
    await rig.pass(50);
    rig.target.backends = [there];
    rig.checker.refresh();
    rig.check.down.clear();
    await rig.pass(300);
    assert.deepEqual(
      rig.check.begun.map(({ backend }) => backend),
      [here, there],
    );
    assert.deepEqual(toldOf(rig.target), []);
    rig.target.backends = [heavier];
    rig.checker.refresh();
    await rig.pass(300);
    assert.equal(rig.check.begun.length, 2);
    rig.checker.close();
  });
});

describe('the end', () => {
  test('gives up what runs, tells nobody, lets go of the check, and leaves no timer', async () => {
    const rig = checkerRig(backendsOf(4), { maxParallel: 2 });
    rig.check.hanging.add('b0').add('b1');
    rig.checker.start();
    const checked = rig.checker.checkNow();
    await rig.pass(50);
    assert.equal(rig.check.runningCount, 2);
    rig.checker.close();
    rig.checker.close();
    await checked;
    await settle();
    assert.deepEqual([rig.check.runningCount, rig.check.closed, rig.target.told.length, rig.checker.runningCount], [0, 1, 0, 0]);
    rig.clock.advance(100_000);
    await settle();
    assert.deepEqual([rig.check.begun.length, rig.environment.deadlines.size], [2, 0]);
    assert.throws(() => rig.checker.start(), TypeError);
    await rig.checker.checkNow();
    assert.equal(rig.check.begun.length, 2);
  });

  test('may come from inside a callback', async () => {
    const rig = checkerRig(backendsOf(4), { onChange: () => rig.checker.close(), maxParallel: 1 });
    for (const { name } of rig.target.backends) rig.check.down.add(name);
    rig.checker.start();
    await rig.pass(100);
    assert.deepEqual([rig.check.begun.length, rig.target.told.length], [1, 1]);
  });
});

describe('damping', () => {
  test('holds back a backend that flaps, says so once, and lets it go when the penalty is gone', async () => {
    const changes: string[] = [];
    const rig = checkerRig(backendsOf(1), {
      intervalMs: 100,
      flap: { halfLifeMs: 1_000, maxSuppressMs: 4_000 },
      onChange: ({ name }, isHealthy, { before, status, error }) =>
        void changes.push(
          `${name} ${before}→${status} ${isHealthy} ${error === null ? 'well' : 'reason' in error ? String(error.reason) : ''}`,
        ),
    });
    rig.checker.start();
    await rig.pass(50);
    for (const isDown of [true, false, true, false, true]) {
      if (isDown) rig.check.down.add('b0');
      else rig.check.down.clear();
      await rig.pass(100);
    }
    rig.check.down.clear();
    const suppressedAt = rig.clock.now();
    assert.deepEqual(changes, [
      'b0 healthy→unhealthy false HEALTH_CHECK_THREW',
      'b0 unhealthy→healthy true well',
      'b0 healthy→unhealthy false HEALTH_CHECK_THREW',
      'b0 unhealthy→suppressed false HEALTH_SUPPRESSED',
    ]);
    assert.equal(rig.target.told.length, 3);
    assert.equal(rig.checker.statusOf(rig.target.backends[0] as never), 'suppressed');
    await rig.pass(4_200);
    assert.deepEqual(changes.slice(4), ['b0 suppressed→healthy true well']);
    assert.deepEqual(toldOf(rig.target).slice(3), ['b0 up well']);
    assert.ok(rig.clock.now() - suppressedAt > 1_500);
    rig.checker.close();
  });
});

describe('options', () => {
  test('that are out of range, or of the wrong kind, are refused at once', () => {
    const target = new RecordingTarget([]);
    const { environment } = checkerRig([]);
    const check = new ScriptedCheck();
    const make = (options: object) => new HealthChecker(target, environment, { check, ...options });
    for (const wrong of [
      { intervalMs: 9 },
      { unhealthyIntervalMs: Infinity },
      { jitter: 1.1 },
      { jitter: -1 },
      { timeoutMs: 0 },
      { healthyThreshold: 0 },
      { unhealthyThreshold: 1.5 },
      { maxParallel: 0 },
      { flap: { halfLifeMs: 0 } },
    ])
      assert.throws(() => make(wrong), RangeError, JSON.stringify(wrong));
    for (const wrong of [{ check: {} }, { check: null }, { onChange: 1 }, { onResult: 'x' }]) assert.throws(() => make(wrong), TypeError);
    assert.throws(() => customCheck('', () => {}), TypeError);
    assert.throws(() => customCheck('own', null as never), TypeError);
  });
});
