/** The mind of a generation, with threads, time and keeper of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serialize } from 'node:v8';
import { setEnvironmentData } from 'node:worker_threads';
import { MAX_KEPT_CONFIG_BYTES, unpackConfig } from '../../src/keeper/kept-config.ts';
import { type FileReading, keepFileReading, MAX_KEPT_OPTIONS_BYTES, unpackFileReading } from '../../src/kept-options.ts';
import type { FakeThread } from './fixtures/fake-threads.ts';
import { settle } from './fixtures/fake-threads.ts';
import { PaperGeneration } from './fixtures/paper-generation.ts';

function thread(paper: PaperGeneration, worker: number): FakeThread {
  const found = paper.threads.of(worker);
  assert.ok(found, `worker ${worker} lives`);
  return found;
}

const patient = { workers: { blockedLimitMs: Infinity, blockedWarningMs: 2_147_483_647 } } as const;

// ---- Start

test('a generation says hello first, and goes through the phases until it is ready', async () => {
  const paper = await new PaperGeneration().start();
  assert.deepEqual(paper.sent[0], { kind: 'hello', protocol: 1 });
  assert.deepEqual(paper.phases, ['bootstrap', 'bootstrapComplete', 'running']);
  assert.deepEqual(
    paper.of('ready').map(({ threads, sockets }) => [threads, sockets]),
    [[2, []]],
  );
  const kinds = paper.sent
    .filter(({ kind }) => kind === 'ready' || kind === 'phase')
    .map((message) => (message.kind === 'phase' ? message.phase : 'ready'));
  assert.deepEqual(kinds, ['bootstrap', 'bootstrapComplete', 'ready', 'running']);
  assert.deepEqual(paper.generation.status(), { phase: 'running', ready: true, healthy: true, generation: 3, configVersion: 1 });
});

test('sockets that are missing are asked for, all of the configuration, and the process ends', async () => {
  const paper = new PaperGeneration({ services: [{ name: 'web', listen: ['127.0.0.1:80', '127.0.0.1:81'] }] });
  paper.say({ kind: 'start', protocol: 1, generation: 1, sockets: paper.sockets.slice(0, 1) });
  assert.equal(await paper.exitCode, 0);
  assert.deepEqual(
    paper.of('need').map(({ sockets }) => sockets.map(({ key }) => key)),
    [['tcp 127.0.0.1:80', 'tcp 127.0.0.1:81']],
  );
  assert.equal(paper.threads.all.length, 0);
});

test('a program that has more threads than descriptors of a socket asks for as many', async () => {
  const paper = new PaperGeneration({ services: [{ name: 'web', listen: ['127.0.0.1:80'] }], options: { threads: 9 }, descriptors: 8 });
  paper.begin();
  assert.equal(await paper.exitCode, 0);
  assert.deepEqual(
    paper.of('need').map(({ threads }) => threads),
    [9],
  );
});

test('a keeper of another protocol is refused', async () => {
  const paper = new PaperGeneration();
  paper.say({ kind: 'start', protocol: 2, generation: 1, sockets: [] });
  assert.equal(await paper.exitCode, 1);
  assert.match(paper.of('failed')[0]?.why ?? '', /version 2 of the protocol/);
});

test('a configuration that cannot be loaded ends the start with exit code 2 and its own sentence', async () => {
  const paper = new PaperGeneration();
  paper.config = () => {
    throw new Error('config.yaml:3: threads must be a number');
  };
  paper.begin();
  assert.equal(await paper.exitCode, 2);
  assert.deepEqual(paper.of('failed'), [{ kind: 'failed', why: 'config.yaml:3: threads must be a number', exitCode: 2 }]);
});

test('a configuration that a service finds wrong ends the start with exit code 2 and the name of the service', async () => {
  const paper = new PaperGeneration({
    check: () => {
      throw new Error('port 99999 is none');
    },
  });
  paper.begin();
  assert.equal(await paper.exitCode, 2);
  assert.deepEqual(paper.of('failed'), [{ kind: 'failed', why: 'service web: port 99999 is none', exitCode: 2 }]);
});

test('a configuration that cannot be cloned is refused', async () => {
  const paper = new PaperGeneration();
  paper.config = () => ({ handler: () => {} });
  paper.begin();
  assert.equal(await paper.exitCode, 2);
});

test('a source that never answers is given up after the time to become ready', async () => {
  const paper = new PaperGeneration({ options: { readyTimeoutMs: 500 } });
  paper.config = () => new Promise(() => {});
  paper.begin();
  await settle();
  paper.clock.advance(500);
  assert.equal(await paper.exitCode, 2);
  assert.match(paper.of('failed')[0]?.why ?? '', /longer than 475 ms/);
});

test('services that depend on each other in a circle end the start', async () => {
  const paper = new PaperGeneration({ services: [{ name: 'a' }, { name: 'b' }], dependencies: { a: ['b'], b: ['a'] } });
  paper.begin();
  assert.equal(await paper.exitCode, 2);
  assert.match(paper.of('failed')[0]?.why ?? '', /Circular.*a → b → a/);
});

test('a dependent service starts only when the one that it needs is ready in every worker', async () => {
  const paper = new PaperGeneration({ services: [{ name: 'first' }, { name: 'second' }], dependencies: { second: ['first'] } });
  paper.begin();
  await settle();
  const [one, two] = [thread(paper, 1), thread(paper, 2)];
  two.mood = 'deaf';
  one.run();
  paper.clock.advance(30);
  assert.deepEqual([...one.started], ['first']);
  two.mood = 'obeys';
  await paper.quiet();
  assert.deepEqual([...one.started], ['first', 'second']);
  const start = two.received.find((message) => message.kind === 'startService' && message.name === 'second');
  assert.ok(start?.kind === 'startService');
  assert.equal(start.waitedMs, 30);
});

test('a worker that dies before all is ready ends the start', async () => {
  const paper = new PaperGeneration();
  paper.begin();
  await settle();
  thread(paper, 2).die('it threw: oh no');
  await paper.quiet();
  assert.equal(await paper.exitCode, 1);
  assert.deepEqual(paper.of('failed'), [{ kind: 'failed', why: 'worker 2 died: it threw: oh no', exitCode: 1 }]);
  assert.equal(paper.threads.live.length, 0);
});

test('a service that does not start ends the start, with its name', async () => {
  const paper = new PaperGeneration();
  paper.begin();
  await settle();
  thread(paper, 1).mood = 'refuses';
  await paper.quiet();
  assert.equal(await paper.exitCode, 1);
  assert.match(paper.of('failed')[0]?.why ?? '', /^service web did not start in worker 1: it does not want to$/);
});

test('a module that adds other services in a worker ends the start', async () => {
  const paper = new PaperGeneration();
  Object.assign(paper.threads, { services: ['web', 'other'] });
  paper.begin();
  await paper.quiet();
  assert.equal(await paper.exitCode, 1);
  assert.match(paper.of('failed')[0]?.why ?? '', /adds other services \(web, other\) than that of the main thread \(web\)/);
});

// ---- The last good configuration

const notGood = (): never => {
  throw new Error('line 3 is wrong');
};

test('the keeper gets the configuration in force, at the start and with each reload', async () => {
  const paper = await new PaperGeneration().start();
  paper.config = { value: 2n, when: new Date(0) };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  const kept = [paper.of('ready')[0]?.config, paper.of('reloaded')[0]?.config];
  assert.deepEqual(
    kept.map((bytes) => unpackConfig(bytes ?? new Uint8Array())),
    [{ value: 1 }, { value: 2n, when: new Date(0) }],
  );
  paper.config = notGood;
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  assert.equal('config' in (paper.of('reloaded')[1] ?? {}), false);
});

test('the keeper gets what was read from the server’s file, as a text that comes back as it went, and nothing of more than 64 KiB', async () => {
  const reading = { file: 'a.yaml', options: { threads: 2, workers: { blockedLimitMs: Infinity } } };
  const readyWith = async (kept: FileReading): Promise<string | null | undefined> => {
    keepFileReading(kept);
    const paper = await new PaperGeneration().start();
    return paper.of('ready')[0]?.fileOptions;
  };
  try {
    assert.deepEqual(unpackFileReading((await readyWith(reading)) ?? ''), reading);
    assert.equal(await readyWith({ ...reading, file: 'ä'.repeat(MAX_KEPT_OPTIONS_BYTES / 2) }), null);
  } finally {
    setEnvironmentData('ferrata: options of the file', undefined);
  }
  const paper = await new PaperGeneration().start();
  assert.equal(paper.of('ready')[0]?.fileOptions, null);
});

test('a configuration that is too large to be kept is told of once', async () => {
  const paper = new PaperGeneration();
  const large = { text: 'x'.repeat(MAX_KEPT_CONFIG_BYTES) };
  paper.config = large;
  await paper.start();
  paper.config = { ...large, value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.deepEqual([paper.of('ready')[0]?.config, paper.of('reloaded')[0]?.config], [null, null]);
  assert.equal(paper.notices.filter((text) => text.includes('cannot be kept (it has 4194')).length, 1);
});

test('a generation that replaces a dead one serves the last good configuration while that on disk is broken', async () => {
  const paper = new PaperGeneration();
  paper.lastGood = { config: serialize({ value: 7 }), insteadBecause: null };
  paper.config = notGood;
  await paper.start();
  assert.deepEqual(paper.notices, [
    'the configuration is broken, and the last good one is served until a reload succeeds: line 3 is wrong',
  ]);
  assert.equal(paper.of('notice')[0]?.notice.severity, 'warning');
  assert.deepEqual(thread(paper, 1).seed.snapshot.config, { value: 7 });
  assert.deepEqual(unpackConfig(paper.of('ready')[0]?.config ?? new Uint8Array()), { value: 7 });
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'refused', why: 'line 3 is wrong' });
  paper.config = { value: 8 };
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[1]?.outcome, { kind: 'reloaded', version: 2, changes: ['value: 7 → 8'] });
});

test('a good configuration on disk goes before the last good one', async () => {
  const paper = new PaperGeneration();
  paper.lastGood = { config: serialize({ value: 7 }), insteadBecause: null };
  await paper.start();
  assert.deepEqual(paper.notices, []);
  assert.deepEqual(thread(paper, 1).seed.snapshot.config, { value: 1 });
});

test('one with which no generation could serve is not looked at', async () => {
  const paper = new PaperGeneration();
  let loads = 0;
  paper.config = () => {
    loads += 1;
    return {};
  };
  paper.lastGood = { config: serialize({ value: 7 }), insteadBecause: 'service web did not start' };
  await paper.start();
  assert.equal(loads, 0);
  assert.match(paper.notices[0] ?? '', /^no generation could serve with the configuration on disk, .*: service web did not start$/);
});

test('a last good configuration that is of no use either fails with what is wrong on disk', async () => {
  for (const config of [serialize({ value: 7 }), new Uint8Array([1, 2, 3])]) {
    const paper = new PaperGeneration({
      check: () => {
        throw new Error('never good');
      },
    });
    paper.lastGood = { config, insteadBecause: null };
    paper.config = notGood;
    paper.begin();
    assert.equal(await paper.exitCode, 2);
    assert.deepEqual(paper.of('failed'), [{ kind: 'failed', why: 'line 3 is wrong', exitCode: 2 }]);
  }
});

test('a stop while a broken configuration loads has one end', async () => {
  const paper = new PaperGeneration();
  paper.config = async () => {
    await settle();
    notGood();
  };
  paper.begin();
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 10, delayMs: 5_000 });
  await paper.quiet();
  paper.clock.advance(5_000);
  await paper.quiet();
  assert.equal(await paper.exitCode, 0);
  assert.equal(paper.of('failed').length, 0);
});

// ---- Deaths

test('a worker that dies is replaced with a delay that doubles, and the others hear nothing of it', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  const heard = thread(paper, 2).received.length;
  for (const delayMs of [50, 100, 200]) {
    thread(paper, 1).die('it threw: oh no');
    assert.equal(paper.notices.at(-1), `worker 1 died: it threw: oh no; another takes its place in ${delayMs} ms`);
    paper.clock.advance(delayMs - 1);
    assert.equal(paper.threads.of(1), undefined);
    paper.clock.advance(1);
    await paper.quiet();
    assert.equal(paper.notices.at(-1), 'worker 1 is replaced, and runs');
  }
  assert.equal(thread(paper, 2).received.length, heard);
  assert.equal(paper.generation.status().ready, true);
});

test('while no other worker runs, one that had served is replaced soon, however often it dies', async () => {
  const paper = await new PaperGeneration({ options: { ...patient, threads: 2 } }).start();
  for (let round = 0; round < 12; round++) {
    for (const { seed } of paper.threads.live) thread(paper, seed.worker).die('a deadly request');
    paper.clock.advance(200);
    await paper.quiet();
    assert.ok(paper.threads.live.length > 0, `after ${round} rounds`);
  }
});

test('a replacement that dies at its start again and again ends nothing', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  for (let round = 0; round < 20; round++) {
    thread(paper, 1).die('oh no');
    paper.clock.advance(10_000);
  }
  await paper.quiet();
  assert.deepEqual(paper.phases.at(-1), 'running');
  assert.equal(paper.of('failed').length, 0);
  assert.equal(paper.threads.live.length, 2);
});

test('a replacement whose service does not start is replaced again', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 1).die('oh no');
  paper.clock.advance(50);
  thread(paper, 1).mood = 'refuses';
  await paper.quiet();
  assert.match(
    paper.notices.at(-1) ?? '',
    /^worker 1 died: service web did not start: it does not want to; another takes its place in 100 ms$/,
  );
  paper.clock.advance(100);
  await paper.quiet();
  assert.equal(thread(paper, 1).started.has('web'), true);
});

test('a replacement that never gets ready is replaced after the time to become ready', async () => {
  const paper = await new PaperGeneration({ options: { ...patient, readyTimeoutMs: 1_000 } }).start();
  thread(paper, 1).die('oh no');
  paper.clock.advance(50);
  const silent = thread(paper, 1);
  silent.mood = 'deaf';
  paper.clock.advance(1_000);
  await paper.quiet();
  assert.equal(silent.isAlive, false);
  assert.match(paper.notices.at(-1) ?? '', /it was not ready within 1000 ms/);
});

test('every worker gets descriptors of its own, a replacement new ones', async () => {
  const paper = await new PaperGeneration({ services: [{ name: 'web', listen: ['127.0.0.1:80'] }], options: { ...patient } }).start();
  const before = [1, 2].map((worker) => thread(paper, worker).sockets[0]?.fd);
  assert.deepEqual(before, [100, 101]);
  thread(paper, 2).die('oh no');
  paper.clock.advance(50);
  await paper.quiet();
  assert.deepEqual(thread(paper, 2).sockets[0]?.fd, 102);
});

test('descriptors that a thread never came to listen on are given to the next one', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web', listen: ['127.0.0.1:80'] }],
    descriptors: 3,
    options: { ...patient },
  }).start();
  for (let round = 0; round < 5; round++) {
    thread(paper, 2).die('the module does not compile');
    paper.clock.advance(10_000);
  }
  await paper.quiet();
  assert.equal(thread(paper, 2).sockets[0]?.fd, 102);
});

test('descriptors of a service that a thread was asked to start, and never did, are given to the next one', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web', listen: ['127.0.0.1:80'] }],
    descriptors: 3,
    options: { ...patient },
  }).start();
  thread(paper, 2).die('oh no');
  for (let round = 0; round < 5; round++) {
    paper.clock.advance(10_000);
    await settle();
    const coming = thread(paper, 2);
    coming.step();
    assert.ok(
      coming.received.some(({ kind }) => kind === 'startService'),
      'it was asked',
    );
    coming.die('it threw before it listened');
  }
  paper.clock.advance(10_000);
  await paper.quiet();
  assert.equal(thread(paper, 2).sockets[0]?.fd, 102);
});

test('a thread that dies on its way when nothing is accepted any more leaves no descriptor open', async () => {
  const paper = await new PaperGeneration({
    services: [
      { name: 'web', listen: ['127.0.0.1:80'] },
      { name: 'once', placement: 'oneWorker', listen: ['127.0.0.1:90'] },
    ],
    descriptors: 4,
    options: { ...patient },
  }).start();
  thread(paper, 1).die('oh no');
  paper.clock.advance(50);
  // Asked to start its service, and the other one the one that has moved to it; neither comes to it.
  thread(paper, 1).step();
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 60_000, delayMs: 0 });
  await settle();
  thread(paper, 2).die('oh no');
  thread(paper, 1).die('oh no');
  await paper.quiet();
  assert.equal(await paper.exitCode, 0);
  const taken = new Set(paper.threads.all.flatMap(({ sockets }) => sockets.map(({ fd }) => fd)));
  const all = paper.sockets.flatMap(({ descriptors }) => descriptors.flat());
  assert.deepEqual(
    paper.closed.toSorted((a, b) => a - b),
    all.filter((fd) => !taken.has(fd)),
  );
});

test('a new generation is asked for while some descriptors are left, once, and again when none came of it', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web', listen: ['127.0.0.1:80'] }],
    descriptors: 12,
    options: { ...patient },
  }).start();
  const kill = async (): Promise<void> => {
    thread(paper, 1).die('oh no');
    paper.clock.advance(10_000);
    await paper.quiet();
  };
  await kill();
  await kill();
  assert.equal(paper.of('ask').length, 0);
  for (let round = 0; round < 4; round++) await kill();
  assert.deepEqual(paper.of('ask'), [{ kind: 'ask', what: 'descriptors', id: 1 }]);
  paper.say({ kind: 'answer', id: 1, refused: null });
  paper.say({ kind: 'upgrading' });
  assert.equal(paper.phases.at(-1), 'gracefulUpgradeTransferringFds');
  paper.say({ kind: 'upgradeFailed', why: 'it did not become ready' });
  assert.equal(paper.phases.at(-1), 'running');
  await kill();
  assert.equal(paper.of('ask').length, 2);
});

test('without any descriptor left, a worker waits for the new generation, and the others serve', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web', listen: ['127.0.0.1:80'] }],
    descriptors: 2,
    options: { ...patient },
  }).start();
  thread(paper, 1).die('oh no');
  paper.clock.advance(50);
  await paper.quiet();
  assert.equal(paper.threads.live.length, 1);
  assert.ok(paper.notices.some((text) => text.startsWith('worker 1 cannot be replaced: no descriptor is left for it')));
  assert.equal(paper.generation.status().ready, true);
});

// ---- Blocked event loops

test('a worker whose loop stands still is told of with its place, then replaced', async () => {
  const paper = await new PaperGeneration({ options: { workers: { blockedWarningMs: 1_000, blockedLimitMs: 3_000 } } }).start();
  await paper.pass(500);
  const hung = thread(paper, 1);
  hung.mood = 'deaf';
  await paper.pass(1_400);
  assert.match(paper.notices.at(-1) ?? '', /^worker 1 does not turn its event loop since 1\d\d\d ms, at spin \(app\.ts:1:1\)$/);
  assert.equal(hung.isAlive, true);
  await paper.pass(2_000);
  assert.equal(hung.isAlive, false);
  assert.ok(paper.notices.some((text) => /^worker 1 died: its event loop had stood still for 3\d\d\d ms; another/.test(text)));
  await paper.pass(400);
  assert.equal(paper.threads.live.length, 2);
});

test('a worker that turns its loop again is left alone', async () => {
  const paper = await new PaperGeneration({ options: { workers: { blockedWarningMs: 1_000, blockedLimitMs: 3_000 } } }).start();
  await paper.pass(500);
  const hung = thread(paper, 1);
  hung.mood = 'deaf';
  await paper.pass(2_000);
  hung.mood = 'obeys';
  await paper.pass(5_000);
  assert.equal(hung.isAlive, true);
  assert.match(paper.notices.at(-1) ?? '', /^worker 1 runs again, after its event loop had stood still for 2\d\d\d ms$/);
});

test('a worker that hangs again while it is still being asked where is asked once', async () => {
  const paper = await new PaperGeneration({ options: { workers: { blockedWarningMs: 1_000, blockedLimitMs: 60_000 } } }).start();
  const answers: PromiseWithResolvers<string | null>[] = [];
  paper.whereItHangs = (): Promise<string | null> => {
    const answer = Promise.withResolvers<string | null>();
    answers.push(answer);
    return answer.promise;
  };
  const hung = thread(paper, 1);
  const hangTwice = async (): Promise<void> => {
    for (let time = 0; time < 2; time++) {
      await paper.pass(500);
      hung.mood = 'deaf';
      await paper.pass(2_000);
      hung.mood = 'obeys';
      await paper.pass(500);
    }
  };
  await hangTwice();
  assert.equal(answers.length, 1);
  answers[0]?.resolve('spin (app.ts:1:1)');
  await hangTwice();
  assert.equal(answers.length, 2);
});

test('a process that stood still as a whole blames no worker', async () => {
  const paper = await new PaperGeneration({ options: { workers: { blockedWarningMs: 1_000, blockedLimitMs: 3_000 } } }).start();
  await paper.pass(500);
  const told = paper.notices.length;
  // What SIGSTOP does: time goes on, and the timers of all threads are late together.
  let late = false;
  const { clock } = paper;
  const now = clock.now.bind(clock);
  Object.assign(clock, { now: () => now() + (late ? 10_000 : 0) });
  late = true;
  paper.clock.advance(250);
  assert.equal(paper.notices.length, told);
  await paper.pass(3_000);
  assert.equal(paper.notices.length, told);
  assert.equal(paper.threads.all.length, 2);
});

// ---- One worker

test('a service of one worker runs in the lowest live one, and moves when that dies', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web' }, { name: 'once', placement: 'oneWorker', listen: ['127.0.0.1:90'] }],
    options: { ...patient, threads: 3 },
  }).start();
  const where = (): readonly number[] => paper.threads.live.filter(({ started }) => started.has('once')).map(({ seed }) => seed.worker);
  assert.deepEqual(where(), [1]);
  assert.deepEqual(
    thread(paper, 1).sockets.map(({ fd }) => fd),
    [100],
  );
  thread(paper, 1).die('oh no');
  await paper.quiet();
  assert.deepEqual(where(), [2]);
  assert.deepEqual(
    thread(paper, 2).sockets.map(({ fd }) => fd),
    [101],
  );
  paper.clock.advance(50);
  await paper.quiet();
  assert.deepEqual(where(), [2], 'it stays where it is when the first one is back');
});

test('with one worker only, its service comes back with it', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'once', placement: 'oneWorker' }],
    options: { ...patient, threads: 1 },
  }).start();
  thread(paper, 1).die('oh no');
  paper.clock.advance(50);
  await paper.quiet();
  assert.deepEqual([...thread(paper, 1).started], ['once']);
});

test('a service of one worker that does not start elsewhere is tried again, and that worker goes on', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web' }, { name: 'once', placement: 'oneWorker' }],
    options: { ...patient },
  }).start();
  const second = thread(paper, 2);
  second.mood = 'refuses';
  thread(paper, 1).die('oh no');
  await paper.quiet();
  assert.match(paper.notices.at(-1) ?? '', /^service once did not start in worker 2: it does not want to; tried again in 50 ms$/);
  second.mood = 'obeys';
  paper.clock.advance(50);
  await paper.quiet();
  assert.equal(second.started.has('once'), true);
  assert.equal(second.isAlive, true);
});

// ---- Reload

test('a reload reaches every worker, and says what has changed', async () => {
  const paper = await new PaperGeneration().start();
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 7 });
  await paper.quiet();
  assert.deepEqual(
    paper.of('reloaded').map(({ id, outcome }) => [id, outcome]),
    [[7, { kind: 'reloaded', version: 2, changes: ['value: 1 → 2'] }]],
  );
  assert.deepEqual(
    paper.threads.live.map(({ version }) => version),
    [2, 2],
  );
  assert.equal(paper.generation.status().configVersion, 2);
});

test('the same configuration is no reload', async () => {
  const paper = await new PaperGeneration().start();
  paper.config = { value: 1 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'unchanged', version: 1 });
});

test('a worker that refuses keeps the old configuration in force everywhere, and the next reload has the next version', async () => {
  const paper = await new PaperGeneration().start();
  thread(paper, 2).mood = 'refuses';
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'refused', why: 'worker 2: it does not want to' });
  for (const { received } of paper.threads.live) assert.deepEqual(received.at(-1), { kind: 'discard', version: 2 });
  thread(paper, 2).mood = 'obeys';
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[1]?.outcome, { kind: 'reloaded', version: 2, changes: ['value: 1 → 2'] });
});

test('a worker that does not answer refuses the reload after ten seconds, and its late answer is for nothing', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  const late = thread(paper, 2);
  late.mood = 'deaf';
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  paper.clock.advance(10_000);
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'refused', why: 'worker 2: no answer within 10000 ms' });
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  late.mood = 'obeys';
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[1]?.outcome, { kind: 'reloaded', version: 3, changes: ['value: 1 → 2'] });
});

test('a worker that dies while it looks at the configuration refuses it', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 2).mood = 'deaf';
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  thread(paper, 2).die('ERR_WORKER_OUT_OF_MEMORY');
  await paper.quiet();
  assert.deepEqual(paper.of('reloaded')[0]?.outcome, { kind: 'refused', why: 'worker 2: it died: ERR_WORKER_OUT_OF_MEMORY' });
  paper.clock.advance(50);
  await paper.quiet();
  assert.deepEqual(
    paper.threads.live.map(({ version }) => version),
    [1, 1],
  );
});

test('a worker that dies between its yes and the commit is born again with the new configuration', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await settle();
  thread(paper, 1).step();
  thread(paper, 2).step();
  await settle();
  thread(paper, 2).die('oh no');
  await paper.quiet();
  assert.equal(paper.of('reloaded')[0]?.outcome.kind, 'reloaded');
  paper.clock.advance(50);
  await paper.quiet();
  assert.equal(thread(paper, 2).seed.snapshot.version, 2);
});

test('a worker that does not carry out the commit is replaced by one that has the new configuration', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await settle();
  const stubborn = thread(paper, 2);
  stubborn.step();
  stubborn.mood = 'deaf';
  await paper.quiet();
  assert.equal(paper.of('reloaded').length, 0);
  paper.clock.advance(10_000);
  await paper.quiet();
  assert.equal(paper.of('reloaded')[0]?.outcome.kind, 'reloaded');
  assert.equal(stubborn.isAlive, false);
  paper.clock.advance(50);
  await paper.quiet();
  assert.equal(thread(paper, 2).version, 2);
});

test('a worker whose time to be born comes during a reload is born after it, with what is in force then', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 1).die('oh no');
  thread(paper, 2).mood = 'deaf';
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  paper.clock.advance(50);
  await paper.quiet();
  assert.equal(paper.threads.of(1), undefined);
  thread(paper, 2).mood = 'obeys';
  await paper.quiet();
  assert.equal(thread(paper, 1).seed.snapshot.version, 2);
  assert.equal(thread(paper, 1).started.has('web'), true);
});

test('a reload waits for a worker that is on its way', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 1).die('oh no');
  paper.clock.advance(50);
  const coming = thread(paper, 1);
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await settle();
  thread(paper, 2).run();
  assert.equal(
    thread(paper, 2).received.some(({ kind }) => kind === 'prepare'),
    false,
  );
  await paper.quiet();
  assert.equal(coming.version, 2);
  assert.equal(coming.isAlive, true);
});

test('a service of one worker that waits to be tried again holds up no reload', async () => {
  const paper = await new PaperGeneration({
    services: [{ name: 'web' }, { name: 'once', placement: 'oneWorker' }],
    options: { ...patient, workers: { ...patient.workers, restartDelayMs: 5_000 } },
  }).start();
  const second = thread(paper, 2);
  second.mood = 'refuses';
  thread(paper, 1).die('oh no');
  await paper.quiet();
  second.mood = 'obeys';
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.equal(paper.of('reloaded')[0]?.outcome.kind, 'reloaded');
});

test('another label of a listener needs another generation: those that listen already were accepting by the old one', async () => {
  const paper = new PaperGeneration({ services: [{ name: 'web', listen: ['127.0.0.1:80'] }] });
  paper.label = 'plain';
  await paper.start();
  paper.label = 'tls';
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  assert.equal(paper.of('reloaded')[0]?.outcome.kind, 'needsGeneration');
});

test('a storm of reloads becomes two, and the last configuration wins', async () => {
  const paper = new PaperGeneration();
  let loads = 0;
  let value = 1;
  paper.config = () => {
    loads += 1;
    return { value };
  };
  await paper.start();
  for (let id = 1; id <= 50; id++) {
    value = id + 1;
    paper.say({ kind: 'reload', id });
  }
  await paper.quiet();
  assert.equal(loads, 3);
  const outcomes = paper.of('reloaded');
  assert.equal(outcomes.length, 50);
  assert.equal(thread(paper, 1).seed.snapshot.version, 1);
  const last = thread(paper, 1).received.findLast(({ kind }) => kind === 'prepare');
  assert.deepEqual(last?.kind === 'prepare' && last.snapshot.config, { value: 51 });
});

test('other sockets need another generation, and change nothing here', async () => {
  let listen = '127.0.0.1:80';
  const paper = new PaperGeneration({ services: [{ name: 'web', listen: [listen] }] });
  await paper.start();
  listen = '127.0.0.1:81';
  paper.config = { value: 1, moved: true };
  paper.listenersOf = (): readonly string[] => [listen];
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  const outcome = paper.of('reloaded')[0]?.outcome;
  assert.ok(outcome?.kind === 'needsGeneration');
  assert.deepEqual(
    outcome.sockets.map(({ key }) => key),
    ['tcp 127.0.0.1:81'],
  );
  assert.deepEqual(outcome.changes, ['moved: (none) → true']);
  assert.equal(paper.generation.status().configVersion, 1);
});

test('reloads are refused while the server stops, the running one among them', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 2).mood = 'deaf';
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 1 });
  await paper.quiet();
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 1_000, delayMs: 500 });
  paper.say({ kind: 'reload', id: 2 });
  await paper.quiet();
  assert.deepEqual(
    paper.of('reloaded').map(({ id, outcome }) => [id, outcome.kind === 'refused' && outcome.why]),
    [
      [2, 'the server is stopping'],
      [1, 'the server is stopping'],
    ],
  );
  for (const { version } of paper.threads.live) assert.equal(version, 1);
});

// ---- End

test('an end in order: the delay with connections still accepted, then the drain, then all threads end', async () => {
  const paper = await new PaperGeneration({ services: [{ name: 'web', listen: ['127.0.0.1:80'] }], options: { ...patient } }).start();
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 30_000, delayMs: 5_000 });
  await paper.quiet();
  assert.equal(paper.phases.at(-1), 'gracefulTerminate');
  assert.equal(paper.generation.status().ready, false);
  assert.deepEqual(paper.closed, []);
  paper.clock.advance(5_000);
  await paper.quiet();
  assert.deepEqual(paper.phases.slice(3), [
    'gracefulTerminate',
    'shutdownStarted',
    'shutdownGracePeriod',
    'shutdownRuntimes',
    'terminated',
  ]);
  assert.deepEqual(paper.closed, [102, 103, 104, 105, 106, 107], 'or the kernel would go on taking connections');
  assert.deepEqual(paper.of('stopped'), [{ kind: 'stopped', cut: 2 }]);
  assert.equal(await paper.exitCode, 0);
  assert.equal(paper.threads.live.length, 0);
});

test('a fast end goes through no period of grace', async () => {
  const paper = await new PaperGeneration().start();
  paper.say({ kind: 'stop', why: 'fast', graceMs: 0, delayMs: 5_000 });
  await paper.quiet();
  assert.deepEqual(paper.phases.slice(3), ['shutdownStarted', 'shutdownRuntimes', 'terminated']);
  assert.deepEqual(
    paper.threads.all.map(({ received }) => received.find(({ kind }) => kind === 'drain')),
    [
      { kind: 'drain', graceMs: 0 },
      { kind: 'drain', graceMs: 0 },
    ],
  );
});

test('a second stop hastens the first, in the delay and in the drain, and never puts it off', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 1).mood = 'deaf';
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 60_000, delayMs: 60_000 });
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 90_000, delayMs: 0 });
  await paper.quiet();
  assert.equal(paper.phases.at(-1), 'shutdownGracePeriod');
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 90_000, delayMs: 0 });
  paper.say({ kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
  const drains = thread(paper, 1).received.filter(({ kind }) => kind === 'drain');
  assert.deepEqual(drains, [
    { kind: 'drain', graceMs: 60_000 },
    { kind: 'drain', graceMs: 0 },
  ]);
  paper.clock.advance(5_000);
  await paper.quiet();
  assert.equal(await paper.exitCode, 0, 'the deaf one was not waited for');
  assert.equal(paper.threads.live.length, 0);
});

test('a worker that does not end when it is told to is ended', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  const stubborn = thread(paper, 2);
  paper.say({ kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
  stubborn.step();
  stubborn.step();
  await settle();
  stubborn.step();
  stubborn.mood = 'deaf';
  await paper.quiet();
  paper.clock.advance(5_000);
  await paper.quiet();
  paper.clock.advance(5_000);
  await paper.quiet();
  assert.equal(stubborn.wasTerminated, true);
  assert.equal(await paper.exitCode, 0);
});

test('a worker that dies while it drains holds up nobody', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 1).mood = 'deaf';
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 60_000, delayMs: 0 });
  await paper.quiet();
  thread(paper, 1).die('oh no');
  await paper.quiet();
  assert.equal(await paper.exitCode, 0);
  assert.deepEqual(paper.of('stopped'), [{ kind: 'stopped', cut: 1 }]);
  assert.equal(paper.threads.all.length, 2, 'nobody takes its place');
});

test('a stop before anything runs ends at once', async () => {
  const paper = new PaperGeneration();
  paper.config = () => new Promise(() => {});
  paper.begin();
  await settle();
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 60_000, delayMs: 0 });
  await paper.quiet();
  assert.equal(await paper.exitCode, 0);
  assert.deepEqual(paper.of('stopped'), [{ kind: 'stopped', cut: 0 }]);
});

test('a stop while workers start ends them', async () => {
  const paper = new PaperGeneration();
  paper.begin();
  await settle();
  assert.equal(paper.threads.live.length, 2);
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 60_000, delayMs: 0 });
  await paper.quiet();
  assert.equal(await paper.exitCode, 0);
  assert.equal(paper.of('failed').length, 0);
  assert.equal(paper.threads.live.length, 0);
});

test('a generation whose keeper is gone drains for five seconds at most, and ends with 1', async () => {
  const paper = await new PaperGeneration({ options: { ...patient } }).start();
  thread(paper, 1).mood = 'deaf';
  paper.lose();
  await paper.quiet();
  assert.deepEqual(
    thread(paper, 1).received.find(({ kind }) => kind === 'drain'),
    { kind: 'drain', graceMs: 5_000 },
  );
  paper.clock.advance(10_000);
  await paper.quiet();
  assert.equal(await paper.exitCode, 1);
});

test('a superseded generation goes through the phases of an upgrade', async () => {
  const paper = await new PaperGeneration().start();
  paper.say({ kind: 'upgrading' });
  paper.say({ kind: 'stop', why: 'superseded', graceMs: 10, delayMs: 0 });
  await paper.quiet();
  assert.deepEqual(paper.phases.slice(3), [
    'gracefulUpgradeTransferringFds',
    'gracefulUpgradeCloseTimeout',
    'shutdownStarted',
    'shutdownGracePeriod',
    'shutdownRuntimes',
    'terminated',
  ]);
});

test('pings are answered', async () => {
  const paper = await new PaperGeneration().start();
  paper.say({ kind: 'ping', id: 12 });
  assert.deepEqual(paper.of('pong'), [{ kind: 'pong', id: 12 }]);
});

test('workers hear of the phases', async () => {
  const paper = await new PaperGeneration().start();
  paper.say({ kind: 'upgrading' });
  assert.deepEqual(thread(paper, 1).received.at(-1), { kind: 'phase', phase: 'gracefulUpgradeTransferringFds' });
});

// ---- Asks of the admin endpoint

test('an upgrade that was asked for settles when a successor serves', async () => {
  const paper = await new PaperGeneration().start();
  const asked = paper.generation.upgrade();
  paper.say({ kind: 'answer', id: 1, refused: null });
  paper.say({ kind: 'upgrading' });
  paper.say({ kind: 'stop', why: 'superseded', graceMs: 10, delayMs: 0 });
  assert.deepEqual(await asked, { outcome: 'replaced' });
});

test('an upgrade of which nothing came says why', async () => {
  const paper = await new PaperGeneration().start();
  const asked = paper.generation.upgrade();
  paper.say({ kind: 'answer', id: 1, refused: null });
  paper.say({ kind: 'upgrading' });
  paper.say({ kind: 'upgradeFailed', why: 'it crashed' });
  assert.deepEqual(await asked, { outcome: 'failed', why: 'it crashed' });
});

test('a reload that was asked for settles with its outcome', async () => {
  const paper = await new PaperGeneration().start();
  const asked = paper.generation.reload();
  paper.say({ kind: 'answer', id: 1, refused: null });
  paper.config = { value: 2 };
  paper.say({ kind: 'reload', id: 44 });
  await paper.quiet();
  assert.deepEqual(await asked, { outcome: 'reloaded', version: 2, changes: ['value: 1 → 2'] });
});

test('a reload that had begun before it was asked for is no answer: the next one is', async () => {
  const paper = await new PaperGeneration().start();
  const loading = Promise.withResolvers<unknown>();
  paper.config = () => loading.promise;
  paper.say({ kind: 'reload', id: 44 });
  await settle();
  const asked = paper.generation.reload();
  paper.say({ kind: 'answer', id: 1, refused: null });
  loading.resolve({ value: 2 });
  await paper.quiet();
  assert.equal(paper.of('reloaded').length, 1);
  paper.config = { value: 3 };
  paper.say({ kind: 'reload', id: 45 });
  await paper.quiet();
  assert.deepEqual(await asked, { outcome: 'reloaded', version: 3, changes: ['value: 2 → 3'] });
});

test('a reload that was asked for before the keeper says yes is seen, too', async () => {
  const paper = await new PaperGeneration().start();
  const asked = paper.generation.reload();
  paper.say({ kind: 'reload', id: 1 });
  paper.say({ kind: 'answer', id: 1, refused: null });
  await paper.quiet();
  assert.deepEqual(await asked, { outcome: 'unchanged', version: 1 });
});

test('what the keeper refuses is busy', async () => {
  const paper = await new PaperGeneration().start();
  const asked = paper.generation.upgrade();
  paper.say({ kind: 'answer', id: 1, refused: 'an upgrade is under way' });
  assert.deepEqual(await asked, { outcome: 'busy', why: 'an upgrade is under way' });
});

test('a drain that was asked for settles with the connections that were cut', async () => {
  const paper = await new PaperGeneration().start();
  const asked = paper.generation.drain();
  paper.say({ kind: 'answer', id: 1, refused: null });
  paper.say({ kind: 'stop', why: 'terminate', graceMs: 10, delayMs: 0 });
  await paper.quiet();
  assert.deepEqual(await asked, { outcome: 'drained', cut: 2 });
});

test('a worker that does not answer has no counts, and the others have', async () => {
  const paper = await new PaperGeneration({ options: { workers: { blockedWarningMs: 500, blockedLimitMs: 60_000 } } }).start();
  await paper.pass(400);
  thread(paper, 2).mood = 'deaf';
  await paper.pass(1_000);
  const asking = paper.generation.workers();
  await paper.quiet();
  await paper.pass(1_000);
  const [one, two] = await asking;
  assert.deepEqual([one?.state, one?.services], ['running', { web: { connections: 1, accepted: 0, shed: 0 } }]);
  assert.deepEqual([two?.state, two?.services, two?.heapUsedBytes], ['blocked', null, null]);
  assert.ok((two?.blockedMs ?? 0) >= 1_500);
});

test('services of the main thread are counted at once, those that listen and the others', async () => {
  const paper = new PaperGeneration({
    services: [{ name: 'web' }, { name: 'door', placement: 'main', listen: ['127.0.0.1:80'] }, { name: 'health', placement: 'main' }],
  });
  assert.deepEqual(paper.generation.main(), {});
  await paper.start();
  assert.deepEqual(Object.keys(paper.generation.main()).toSorted(), ['door', 'health']);
});
