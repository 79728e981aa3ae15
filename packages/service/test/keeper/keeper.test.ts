/** The keeper's mind, case by case. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeeperWorld, settings, spec } from './keeper-world.ts';

test('a generation that has said hello is told its number and its sockets', () => {
  const world = new KeeperWorld();
  world.run();
  world.process(1).say({ kind: 'hello', protocol: 1 });
  assert.deepEqual(world.process(1).last('start'), { kind: 'start', protocol: 1, generation: 1, sockets: [] });
});

test('a first generation that comes to nothing ends the server: with code 2 if it says that the configuration is wrong, else with 1', async () => {
  const ways: [act: (world: KeeperWorld) => void, code: number, why: RegExp][] = [
    [({ processes: [first] }) => first?.end({ code: 2 }), 1, /it ended with code 2 before it was ready/],
    [({ processes: [first] }) => first?.end({ code: 0 }), 1, /it ended with code 0 before it was ready/],
    [({ processes: [first] }) => first?.end({ signal: 'SIGSEGV' }), 1, /it was ended by SIGSEGV before it was ready/],
    [({ processes: [first] }) => first?.say({ kind: 'failed', why: 'so', exitCode: 2 }), 2, /could not start: so/],
    [({ processes: [first] }) => first?.say({ kind: 'hello', protocol: 0 }), 1, /it speaks version 0 of the protocol/],
    [({ clock }) => clock.advance(settings.readyTimeoutMs), 1, /it was not ready within 10 s/],
  ];
  for (const [act, code, why] of ways) {
    const world = new KeeperWorld();
    world.run();
    act(world);
    world.process(1).end({ signal: 'SIGKILL' });
    await world.settle();
    assert.equal(world.exitCode, code);
    assert.ok(world.said(why), String(why));
    assert.equal(world.held.size, 0);
  }
});

test('a generation that does not end in its time and some seconds is killed', async () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGTERM');
  assert.deepEqual(world.process(1).last('stop'), { kind: 'stop', why: 'terminate', graceMs: 60_000, delayMs: 3_000 });
  world.clock.advance(60_000 + 3_000 + 4_999);
  assert.equal(world.process(1).wasKilled, false);
  world.clock.advance(1);
  assert.equal(world.process(1).wasKilled, true);
  world.process(1).end({ signal: 'SIGKILL' });
  await world.settle();
  assert.equal(world.exitCode, 0);
});

test('a server that stops lets go of its sockets when nothing accepts on them any more, and of that of the admin endpoint at the end', async () => {
  const world = KeeperWorld.serving([spec(1), spec(2)]);
  // An upgrade may bring the admin endpoint, or put it elsewhere.
  world.keeper.signal('SIGQUIT');
  world.process(2).say({ kind: 'need', sockets: [spec(1), spec(2), spec(9)] });
  await world.settle();
  world.process(3).ready([spec(1), spec(2), spec(9)]);
  for (const number of [1, 2]) world.process(number).end();
  world.keeper.signal('SIGTERM');
  world.process(3).say({ kind: 'phase', phase: 'gracefulTerminate' });
  await world.settle();
  assert.equal(world.held.size, 3);
  world.process(3).say({ kind: 'phase', phase: 'shutdownStarted' });
  await world.settle();
  assert.deepEqual([...world.held], [spec(9).key]);
  world.process(3).end();
  await world.settle();
  assert.equal(world.held.size, 0);
});

test('connections that had to be cut are told of, unless they were to be cut', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(2).ready([spec(1)]);
  world.process(1).say({ kind: 'stopped', cut: 1 });
  assert.ok(world.said(/^generation 1 .*: 1 connection was still busy after the grace and had to be cut$/));
  world.keeper.signal('SIGINT');
  world.process(2).say({ kind: 'stopped', cut: 2 });
  assert.ok(!world.said(/2 connections/));
});

test('a stop reaches all: what serves, what drains, and what is being started', async () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(2).ready([spec(1)]);
  world.keeper.signal('SIGQUIT');
  world.process(3).ready([spec(1)]);
  world.keeper.signal('SIGUSR2');
  assert.deepEqual(
    world.alive.map(({ number }) => number),
    [1, 2, 3, 4],
  );
  world.keeper.signal('SIGTERM');
  assert.equal(world.process(1).last('stop').why, 'terminate');
  assert.equal(world.process(2).last('stop').why, 'terminate');
  assert.equal(world.process(3).last('stop').delayMs, 3_000);
  assert.deepEqual(world.process(4).last('stop'), { kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
  // It becomes ready all the same, and is not wanted any more.
  world.process(4).ready([spec(1)]);
  for (const process of world.alive) process.end();
  await world.settle();
  assert.equal(world.exitCode, 0);
  assert.equal(world.held.size, 0);
  assert.equal(world.phases.at(-1), 'terminated');
});

test('upgrades that are asked for during one are one more behind it', () => {
  const world = KeeperWorld.serving();
  for (let count = 0; count < 5; count++) world.keeper.signal('SIGQUIT');
  assert.equal(world.processes.length, 2);
  world.process(2).ready([spec(1)]);
  assert.equal(world.processes.length, 3);
  world.process(3).ready([spec(1)]);
  assert.equal(world.processes.length, 3);
});

test('an upgrade is refused while the server starts, and while it stops', () => {
  const world = new KeeperWorld();
  world.run();
  world.keeper.signal('SIGQUIT');
  assert.ok(world.said(/SIGQUIT is ignored: the server is still starting/));
  world.process(1).ready([spec(1)]);
  world.keeper.signal('SIGTERM');
  world.keeper.signal('SIGUSR2');
  world.keeper.signal('SIGHUP');
  assert.ok(world.said(/SIGUSR2 is ignored: the server is stopping/));
  assert.ok(world.said(/SIGHUP is ignored: the server is stopping/));
  assert.equal(world.processes.length, 1);
});

test('a SIGHUP before the server is ready is a reload when it is', () => {
  const world = new KeeperWorld();
  world.run();
  world.keeper.signal('SIGHUP');
  assert.equal(world.process(1).has('reload'), false);
  world.process(1).ready([spec(1)]);
  assert.equal(world.process(1).has('reload'), true);
});

test('a storm of SIGHUPs is two reloads: the one that runs, and one that comes last', () => {
  const world = KeeperWorld.serving();
  for (let count = 0; count < 100; count++) world.keeper.signal('SIGHUP');
  const reloads = (): number => world.process(1).received.filter(({ kind }) => kind === 'reload').length;
  assert.equal(reloads(), 1);
  world.process(1).say({ kind: 'reloaded', id: 1, outcome: { kind: 'reloaded', version: 2, changes: ['a'] } });
  assert.equal(reloads(), 2);
  world.process(1).say({ kind: 'reloaded', id: 2, outcome: { kind: 'unchanged', version: 2 } });
  assert.equal(reloads(), 2);
  assert.deepEqual(world.told, ['ready', 'reloading', 'ready', 'reloading', 'ready']);
});

test('a reload that is done by an upgrade is told of to the service manager: its beginning, and its end', () => {
  const world = KeeperWorld.serving();
  for (const signal of ['SIGQUIT', 'SIGHUP', 'SIGQUIT'] as const) world.keeper.signal(signal);
  assert.deepEqual(world.told, ['ready']);
  world.process(2).ready([spec(1)]);
  assert.deepEqual(world.told, ['ready', 'ready', 'reloading']);
  world.process(3).ready([spec(1)]);
  assert.deepEqual(world.told, ['ready', 'ready', 'reloading', 'ready']);
  assert.equal(world.process(3).has('reload'), false);
});

test('a reload that is never answered is given up, and the next one is asked for', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGHUP');
  world.clock.advance(settings.readyTimeoutMs);
  assert.ok(world.said(/has not said within 10 s what became of the reload/));
  world.keeper.signal('SIGHUP');
  assert.equal(world.process(1).last('reload').id, 2);
  // The late answer to the first one means nothing.
  world.process(1).say({ kind: 'reloaded', id: 1, outcome: { kind: 'refused', why: 'late' } });
  assert.equal(world.said(/late/), false);
});

test('a reload whose sockets cannot be opened is refused, and nothing has changed', async () => {
  const world = KeeperWorld.serving();
  world.taken.add(spec(2).key);
  world.keeper.signal('SIGHUP');
  world
    .process(1)
    .say({ kind: 'reloaded', id: 1, outcome: { kind: 'needsGeneration', sockets: [spec(1), spec(2), spec(3)], changes: [] } });
  await world.settle();
  assert.match(world.process(1).last('upgradeFailed').why, /is in use/);
  assert.deepEqual([...world.held], [spec(1).key]);
  assert.equal(world.processes.length, 1);
});

test('a reload that waits behind one that comes to nothing is done after it', async () => {
  const world = KeeperWorld.serving();
  world.taken.add(spec(2).key);
  world.keeper.signal('SIGHUP');
  world.keeper.signal('SIGHUP');
  world.process(1).say({ kind: 'reloaded', id: 1, outcome: { kind: 'needsGeneration', sockets: [spec(2)], changes: [] } });
  await world.settle();
  assert.ok(world.process(1).has('upgradeFailed'));
  assert.equal(world.process(1).last('reload').id, 2);
});

test('a socket that is wanted no more is held until the old generation has stopped accepting on it', async () => {
  const world = KeeperWorld.serving([spec(1), spec(2)]);
  world.keeper.signal('SIGQUIT');
  world.process(2).ready([spec(2)]);
  world.process(1).say({ kind: 'phase', phase: 'gracefulUpgradeCloseTimeout' });
  await world.settle();
  assert.deepEqual([...world.held], [spec(1).key, spec(2).key]);
  world.process(1).say({ kind: 'phase', phase: 'shutdownStarted' });
  await world.settle();
  assert.deepEqual([...world.held], [spec(2).key]);
});

test('sockets that were opened for a successor are closed again if none came of it', async () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(2).say({ kind: 'need', sockets: [spec(1), spec(2)] });
  await world.settle();
  assert.equal(world.held.size, 2);
  world.process(3).say({ kind: 'failed', why: 'so', exitCode: 1 });
  await world.settle();
  assert.deepEqual([...world.held], [spec(1).key]);
  // Both leave in their time, or are killed.
  world.clock.advance(5_000);
  assert.ok(world.process(2).wasKilled && world.process(3).wasKilled);
});

test('a successor that is not ready in time is killed, and the old one goes on', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(2).say({ kind: 'hello', protocol: 1 });
  world.clock.advance(settings.readyTimeoutMs - 1);
  assert.equal(world.process(2).wasKilled, false);
  world.clock.advance(1);
  assert.equal(world.process(2).wasKilled, true);
  assert.match(world.process(1).last('upgradeFailed').why, /it was not ready within 10 s/);
  assert.equal(world.process(1).has('stop'), false);
  // Too late.
  world.process(2).ready([spec(1)]);
  assert.equal(world.process(1).has('stop'), false);
});

test('a successor that needs other sockets each time is given up', async () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  for (let number = 2; number <= 5; number++) {
    world.process(number).say({ kind: 'need', sockets: [spec(number)] });
    await world.settle();
  }
  assert.equal(world.processes.length, 5);
  assert.match(world.process(1).last('upgradeFailed').why, /other sockets each time/);
  await world.settle();
  assert.deepEqual([...world.held], [spec(1).key]);
});

test('a successor with more threads gets descriptors for them', async () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(2).say({ kind: 'need', sockets: [spec(1)], threads: 80 });
  await world.settle();
  world.process(3).say({ kind: 'ready', threads: 80, sockets: [spec(1)] });
  // Fewer would do for what is on disk by now: it may be more again.
  world.keeper.signal('SIGQUIT');
  assert.deepEqual(
    world.processes.map(({ threads }) => threads),
    [2, 2, 80, 80],
  );
});

/** Milliseconds until the next process is started. */
function delayOfNext(world: KeeperWorld): number {
  const { length } = world.processes;
  const before = world.clock.now();
  while (world.processes.length === length) world.clock.runNext();
  return world.clock.now() - before;
}

test('delays between failed starts double up to ten seconds, and are short again after a quiet minute', () => {
  const world = KeeperWorld.serving();
  const delays: number[] = [];
  for (let number = 1; number <= 9; number++) {
    world.process(number).end({ code: 1 });
    delays.push(delayOfNext(world));
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
  world.process(10).ready([spec(1)]);
  world.clock.advance(60_000);
  world.process(10).end({ code: 1 });
  assert.equal(delayOfNext(world), 100);
});

test('after the death of a generation that has served nobody waits more than a second for the next one to be started', () => {
  const world = KeeperWorld.serving();
  const delays: number[] = [];
  for (let number = 1; number <= 7; number++) {
    world.process(number).end({ signal: 'SIGSEGV' });
    delays.push(delayOfNext(world));
    world.process(number + 1).ready([spec(1)]);
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

/** A world in which the one that served has died, and the next start is ten seconds away. */
function waitingWorld(): KeeperWorld {
  const world = KeeperWorld.serving();
  world.process(1).end({ code: 1 });
  for (let number = 2; number <= 8; number++) {
    delayOfNext(world);
    world.process(number).end({ code: 1 });
  }
  return world;
}

test('who asks for a reload or an upgrade while nobody serves does not wait for the next try', () => {
  for (const signal of ['SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const) {
    const world = waitingWorld();
    assert.equal(world.processes.length, 8);
    world.told.length = 0;
    world.keeper.signal(signal);
    assert.equal(world.processes.length, 9);
    assert.ok(!world.said(/is ignored/));
    // It was that try, and no other one comes beside it; when it serves, all is done.
    world.process(9).ready([spec(1)]);
    world.clock.advance(60_000);
    assert.equal(world.processes.length, 9);
    assert.equal(world.process(9).has('reload'), false);
    assert.deepEqual(world.told, signal === 'SIGHUP' ? ['reloading', 'ready'] : ['ready']);
  }
});

test('what is asked for while one is being started that comes to nothing is the next try, at once; then the delays go on', () => {
  for (const signal of ['SIGHUP', 'SIGQUIT'] as const) {
    const world = waitingWorld();
    delayOfNext(world);
    world.keeper.signal(signal);
    assert.equal(world.processes.length, 9);
    world.process(9).end({ code: 1 });
    assert.equal(world.processes.length, 10);
    world.process(10).end({ code: 1 });
    assert.equal(world.processes.length, 10);
    assert.equal(delayOfNext(world), 10_000);
  }
});

test('an upgrade that is asked for while a dead generation is being replaced follows', () => {
  const world = KeeperWorld.serving();
  world.process(1).end({ signal: 'SIGKILL' });
  delayOfNext(world);
  world.keeper.signal('SIGQUIT');
  world.process(2).ready([spec(1)]);
  assert.equal(world.processes.length, 3);
});

test('a generation that dies during an upgrade is replaced by its successor', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(1).end({ signal: 'SIGKILL' });
  world.clock.advance(9_000);
  assert.equal(world.processes.length, 2);
  world.process(2).ready([spec(1)]);
  assert.equal(world.exitCode, null);
});

test('and if the successor dies, too, a third one is started', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(1).end({ signal: 'SIGKILL' });
  world.process(2).end({ signal: 'SIGKILL' });
  world.clock.advance(100);
  assert.equal(world.processes.length, 3);
});

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

/** What process `number` was offered at its start. */
function offered(world: KeeperWorld, number: number): unknown {
  world.process(number).say({ kind: 'hello', protocol: 1 });
  return world.process(number).last('start').lastGood;
}

test('what takes the place of a dead generation is offered the configuration that was last in force, an upgrade is not', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  assert.equal(offered(world, 2), undefined);
  world.process(2).ready([spec(1)], bytes(1));
  world.keeper.signal('SIGHUP');
  world.process(2).say({ kind: 'reloaded', id: 1, outcome: { kind: 'unchanged', version: 1 } });
  world.keeper.signal('SIGHUP');
  world.clock.advance(settings.readyTimeoutMs);
  // Too late to be heard as an answer; in force it is all the same.
  world.process(2).say({ kind: 'reloaded', id: 2, outcome: { kind: 'reloaded', version: 2, changes: [] }, config: bytes(2) });
  world.keeper.signal('SIGQUIT');
  assert.equal(offered(world, 3), undefined);
  world.process(2).end({ signal: 'SIGKILL' });
  world.process(3).say({ kind: 'failed', why: 'broken', exitCode: 2 });
  delayOfNext(world);
  assert.deepEqual(offered(world, 4), { config: bytes(2), insteadBecause: 'broken' });
  // One that serves says what it serves with; without it nothing is offered.
  world.process(4).ready([spec(1)]);
  world.process(4).end({ signal: 'SIGKILL' });
  delayOfNext(world);
  assert.equal(offered(world, 5), undefined);
});

test('what takes the place of a dead generation is born with the options of the file that were last read, an upgrade is not', () => {
  const world = new KeeperWorld();
  world.run();
  const serves = (number: number, fileOptions?: string | null): void =>
    world.process(number).say({ kind: 'ready', threads: 2, sockets: [spec(1)], ...(fileOptions === undefined ? null : { fileOptions }) });
  serves(1, 'read by 1');
  world.keeper.signal('SIGQUIT');
  world.process(2).say({ kind: 'failed', why: 'broken', exitCode: 2 });
  world.process(1).end({ signal: 'SIGKILL' });
  delayOfNext(world);
  // It does not become ready, and another one takes its place.
  world.process(3).end({ code: 1 });
  delayOfNext(world);
  // One that says nothing of a file has none; more than can be handed on is kept by nobody.
  for (const [number, fileOptions] of [
    [4, undefined],
    [5, null],
    [6, 'x'.repeat(65_537)],
  ] as const) {
    serves(number, fileOptions);
    world.process(number).end({ signal: 'SIGKILL' });
    delayOfNext(world);
  }
  assert.deepEqual(
    world.processes.map(({ keptOptions }) => keptOptions),
    [null, null, 'read by 1', 'read by 1', null, null, null],
  );
});

test('a configuration on disk that is read and does not start gives way to the last good one, and is tried again after that', async () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGHUP');
  world.process(1).say({ kind: 'reloaded', id: 1, outcome: { kind: 'reloaded', version: 2, changes: [] }, config: bytes(7) });
  world.process(1).end({ signal: 'SIGKILL' });
  delayOfNext(world);
  assert.deepEqual(offered(world, 2), { config: bytes(7), insteadBecause: null });
  world.taken.add(spec(2).key);
  world.process(2).say({ kind: 'need', sockets: [spec(2)] });
  await world.settle();
  delayOfNext(world);
  assert.deepEqual(offered(world, 3), { config: bytes(7), insteadBecause: `${spec(2).key} is in use` });
  world.process(3).end({ code: 1 });
  delayOfNext(world);
  assert.deepEqual(offered(world, 4), { config: bytes(7), insteadBecause: null });
});

test('who asks for a reload has mended the configuration: it is read, and the last good one is there for the case that it is not', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGHUP');
  world.process(1).say({ kind: 'reloaded', id: 1, outcome: { kind: 'reloaded', version: 2, changes: [] }, config: bytes(7) });
  world.process(1).end({ signal: 'SIGKILL' });
  delayOfNext(world);
  world.process(2).say({ kind: 'failed', why: 'broken', exitCode: 1 });
  world.keeper.signal('SIGHUP');
  assert.deepEqual(offered(world, 3), { config: bytes(7), insteadBecause: null });
});

/** A server that has served long with one configuration, and has just been given another one. */
function reloadedWorld(): KeeperWorld {
  const world = new KeeperWorld();
  world.run();
  world.process(1).ready([spec(1)], bytes(1));
  world.clock.advance(30_000);
  world.keeper.signal('SIGHUP');
  world.process(1).say({ kind: 'reloaded', id: 1, outcome: { kind: 'reloaded', version: 2, changes: [] }, config: bytes(2) });
  return world;
}

/** The generation that serves dies, and the next one serves with a configuration. @returns what that one was offered */
function dieAndServe(world: KeeperWorld, config: Uint8Array): unknown {
  const number = world.processes.length;
  world.process(number).end({ signal: 'SIGSEGV' });
  delayOfNext(world);
  const lastGood = offered(world, number + 1);
  world.process(number + 1).ready([spec(1)], config);
  return lastGood;
}

test('a configuration with which generation after generation dies at once gives way to the one before, until a reload is asked for', () => {
  const insteadBecause = '2 generations in a row have ended within 30 s of taking it on';
  const world = reloadedWorld();
  // Once is nobody's fault yet.
  assert.deepEqual(dieAndServe(world, bytes(2)), { config: bytes(2), insteadBecause: null });
  assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause });
  // That one dies, too, for whatever reason: what is on disk is still what it was.
  world.clock.advance(60_000);
  assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause });
  world.keeper.signal('SIGHUP');
  world.process(4).say({ kind: 'reloaded', id: 2, outcome: { kind: 'reloaded', version: 2, changes: [] }, config: bytes(3) });
  assert.deepEqual(dieAndServe(world, bytes(3)), { config: bytes(3), insteadBecause: null });
});

test('a configuration that was in force for 30 s is a good one, and those of others do not count against one', () => {
  const proven = reloadedWorld();
  dieAndServe(proven, bytes(2));
  proven.clock.advance(30_000);
  for (let death = 0; death < 3; death++) assert.deepEqual(dieAndServe(proven, bytes(2)), { config: bytes(2), insteadBecause: null });
  const changed = reloadedWorld();
  // After the first death something else is on disk.
  dieAndServe(changed, bytes(3));
  assert.deepEqual(dieAndServe(changed, bytes(3)), { config: bytes(3), insteadBecause: null });
  assert.deepEqual(dieAndServe(changed, bytes(1)), {
    config: bytes(1),
    insteadBecause: '2 generations in a row have ended within 30 s of taking it on',
  });
});

const twoDeaths = '2 generations in a row have ended within 30 s of taking it on';

/** It serves with the good one before that on disk, of which two generations have died. */
function wentBackWorld(): KeeperWorld {
  const world = reloadedWorld();
  dieAndServe(world, bytes(2));
  assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause: twoDeaths });
  return world;
}

test('the time in which nobody served proves nothing of a configuration', () => {
  const world = reloadedWorld();
  world.process(1).end({ signal: 'SIGSEGV' });
  delayOfNext(world);
  for (let number = 2; world.clock.now() < 90_000; number++) {
    world.clock.advance(9_000);
    world.process(number).end({ code: 1 });
    delayOfNext(world);
  }
  world.processes.at(-1)?.ready([spec(1)], bytes(2));
  assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause: twoDeaths });
});

test('a reload that finds on disk what is in force says that it has been mended, too', () => {
  const world = wentBackWorld();
  world.keeper.signal('SIGHUP');
  world.process(3).say({ kind: 'reloaded', id: 2, outcome: { kind: 'unchanged', version: 1 } });
  assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause: null });
});

test('a reload that a death overtakes is done by the generation that takes the place: that one looks at the disk', () => {
  for (const signals of [1, 2]) {
    const world = wentBackWorld();
    for (let signal = 0; signal < signals; signal++) world.keeper.signal('SIGHUP');
    world.told.length = 0;
    assert.deepEqual(dieAndServe(world, bytes(3)), { config: bytes(1), insteadBecause: null });
    assert.deepEqual(world.told, ['reloading', 'ready']);
  }
});

test('an upgrade that comes to nothing after the death of the one before it has found the disk no good', () => {
  const world = wentBackWorld();
  world.keeper.signal('SIGQUIT');
  world.process(3).end({ signal: 'SIGSEGV' });
  world.process(4).say({ kind: 'failed', why: 'broken', exitCode: 1 });
  delayOfNext(world);
  assert.deepEqual(offered(world, 5), { config: bytes(1), insteadBecause: 'broken' });
});

test('a failed start says nothing of a configuration that is kept only later', () => {
  const world = KeeperWorld.serving();
  world.process(1).end({ signal: 'SIGSEGV' });
  delayOfNext(world);
  world.process(2).say({ kind: 'failed', why: 'broken', exitCode: 1 });
  delayOfNext(world);
  world.process(3).ready([spec(1)], bytes(1));
  assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause: null });
});

test('without a configuration before it, there is nothing to go back to', () => {
  const world = new KeeperWorld();
  world.run();
  world.process(1).ready([spec(1)], bytes(1));
  for (let death = 0; death < 4; death++) assert.deepEqual(dieAndServe(world, bytes(1)), { config: bytes(1), insteadBecause: null });
});

test('a generation that goes deaf by itself is going to die: its sockets are kept for the next one', async () => {
  const world = KeeperWorld.serving();
  world.process(1).say({ kind: 'phase', phase: 'shutdownStarted' });
  world.process(1).say({ kind: 'stopped', cut: 0 });
  world.process(1).say({ kind: 'phase', phase: 'terminated' });
  await world.settle();
  assert.deepEqual([...world.held], [spec(1).key]);
  world.clock.advance(5_000);
  assert.ok(world.process(1).wasKilled);
  world.process(1).end({ signal: 'SIGKILL' });
  delayOfNext(world);
  assert.equal(world.processes.length, 2);
});

test('a socket that cannot be as a new generation wants it is told of', () => {
  const world = KeeperWorld.serving();
  world.keeper.signal('SIGQUIT');
  world.process(2).ready([{ ...spec(1), mode: 0o600 }]);
  assert.ok(world.said(/has another mode/));
});

test('silence is told of once, and the watchdog is not fed until it ends', () => {
  const world = KeeperWorld.serving(undefined, 4_000);
  world.clock.advance(3_000);
  const silent = world.process(1);
  for (const message of silent.received) if (message.kind === 'ping') silent.say({ kind: 'pong', id: message.id });
  world.told.length = 0;
  world.clock.advance(15_000);
  assert.deepEqual(world.told, ['watchdog']);
  assert.equal(world.notices.filter(({ text }) => text.includes('has not answered')).length, 1);
  silent.say({ kind: 'pong', id: silent.last('ping').id });
  assert.ok(world.said(/answers again/));
  world.clock.advance(2_000);
  assert.deepEqual(world.told, ['watchdog', 'watchdog']);
});

test('what the admin endpoint asks for is answered, and done; a generation that is leaving is refused', () => {
  const world = KeeperWorld.serving();
  world.process(1).say({ kind: 'ask', what: 'upgrade', id: 7 });
  assert.deepEqual(world.process(1).last('answer'), { kind: 'answer', id: 7, refused: null });
  world.process(2).ready([spec(1)]);
  world.process(1).say({ kind: 'ask', what: 'reload', id: 8 });
  assert.equal(world.process(1).last('answer').refused, 'another generation serves');
  world.process(2).say({ kind: 'ask', what: 'drain', id: 9 });
  assert.equal(world.process(2).last('answer').refused, null);
  assert.equal(world.process(2).last('stop').why, 'terminate');
  // Once more does not hasten.
  world.process(2).say({ kind: 'ask', what: 'drain', id: 10 });
  assert.equal(world.process(2).received.filter(({ kind }) => kind === 'stop').length, 1);
});

test('a generation without spare descriptors is replaced; one that was asked for during an upgrade is not needed any more', () => {
  const world = KeeperWorld.serving();
  world.process(1).say({ kind: 'ask', what: 'descriptors', id: 1 });
  world.process(1).say({ kind: 'ask', what: 'descriptors', id: 2 });
  world.process(2).ready([spec(1)]);
  assert.equal(world.processes.length, 2);
});

test('stopped before it has begun, a server starts nothing', async () => {
  const world = new KeeperWorld();
  world.keeper.signal('SIGTERM');
  world.run();
  await world.settle();
  assert.equal(world.exitCode, 0);
  assert.equal(world.processes.length, 0);
  assert.equal(world.held.size, 0);
});

test('no wake-up is left when a server has ended', async () => {
  const world = KeeperWorld.serving(undefined, 4_000);
  world.keeper.signal('SIGHUP');
  world.keeper.signal('SIGQUIT');
  world.keeper.signal('SIGTERM');
  world.process(1).end();
  await world.settle();
  assert.equal(world.exitCode, 0);
  assert.equal(world.clock.pendingCount, 0);
});
