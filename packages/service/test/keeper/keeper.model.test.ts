/**
 * The keeper's mind against whatever processes, operators and time can do, in any order.
 *
 * The naive twin knows only what has been done: which processes have become ready and been told to stop, and what the exit code must be by the signals so far. After
 * each step and at the end everything that must hold is looked at from outside.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KeeperSignal } from '../../src/keeper/signals.ts';
import { type FakeProcess, KeeperWorld, settings, spec } from './keeper-world.ts';

/** What must come of it. */
interface Twin {
  hasServed: boolean;
  isEnding: boolean;
  /** The end was the operator's, not a failure of the first generation. */
  isOrderly: boolean;
  code: number;
  /** So many notices have been looked at. */
  notices: number;
  /** Each configuration that was ever in force, the last one at the end; null: it could not be kept. */
  readonly inForce: (number | null)[];
  /** Generations that died since that changed. */
  deaths: number;
  /** Why what is on disk may be passed over, as long as nobody has asked for it with success, or while nobody served. */
  wrong: { readonly hasNotStarted: boolean; readonly hasDied: boolean };
  /** A reload was asked for, and may not have been answered. */
  owesReload: boolean;
}

type Step = fc.AsyncCommand<Twin, KeeperWorld>;

abstract class Act implements Step {
  abstract act(twin: Twin, world: KeeperWorld): void;

  check(): boolean {
    return true;
  }

  async run(twin: Twin, world: KeeperWorld): Promise<void> {
    this.act(twin, world);
    await world.settle();
    noteFirstFailure(twin, world, 1);
    noteNotices(twin, world);
    checkWorld(twin, world);
  }
}

class Signal extends Act {
  readonly signal: KeeperSignal;

  constructor(signal: KeeperSignal) {
    super();
    this.signal = signal;
  }

  override act(twin: Twin, world: KeeperWorld): void {
    const codes: Partial<Record<KeeperSignal, number>> = { SIGTERM: 143, SIGINT: 130 };
    const code = codes[this.signal];
    if (code !== undefined && world.exitCode === null) {
      if (!twin.isEnding) Object.assign(twin, { isEnding: true, isOrderly: true, code: 0 });
      else if (twin.isOrderly) twin.code = code;
    }
    if (this.signal === 'SIGHUP') {
      const isBusy = world.alive.some((process) => !process.wasKilled && (process.isReady ? !process.has('stop') : !process.isSentAway));
      if (isBusy) twin.owesReload = true;
      else twin.wrong = nothingWrong;
    }
    world.keeper.signal(this.signal);
  }

  override toString(): string {
    return this.signal;
  }
}

/** Something that a process that lives does. */
class Deed extends Act {
  readonly name: string;
  readonly pick: number;
  readonly deed: (process: FakeProcess, twin: Twin, world: KeeperWorld) => void;

  constructor(name: string, pick: number, deed: (process: FakeProcess, twin: Twin, world: KeeperWorld) => void) {
    super();
    this.name = name;
    this.pick = pick;
    this.deed = deed;
  }

  override act(twin: Twin, world: KeeperWorld): void {
    const { alive } = world;
    const process = alive[this.pick % Math.max(1, alive.length)];
    if (process !== undefined) this.deed(process, twin, world);
  }

  override toString(): string {
    return `${this.name}(${this.pick})`;
  }
}

class Advance extends Act {
  readonly ms: number;

  constructor(ms: number) {
    super();
    this.ms = ms;
  }

  override act(_twin: Twin, world: KeeperWorld): void {
    world.clock.advance(this.ms);
  }

  override toString(): string {
    return `advance ${this.ms}`;
  }
}

/** The first generation could not start: the only end that no operator asks for. */
function noteFirstFailure(twin: Twin, world: KeeperWorld, code: number): void {
  if (!twin.hasServed && !twin.isEnding && world.said(/the server could not start/)) Object.assign(twin, { isEnding: true, code });
}

const nothingWrong: Twin['wrong'] = { hasNotStarted: false, hasDied: false };

/** What became of starts and reloads, as the operator hears it. */
function noteNotices(twin: Twin, world: KeeperWorld): void {
  for (const { text } of world.notices.slice(twin.notices)) {
    if (/^(generation \d+ .*|a new generation) could not start/.test(text)) {
      if (twin.owesReload) twin.wrong = nothingWrong;
      // Without anything kept, there is nothing but the disk.
      else if (twin.inForce.at(-1) !== null) twin.wrong = { ...twin.wrong, hasNotStarted: true };
      twin.owesReload = false;
    } else if (text.endsWith('; another one takes its place')) {
      twin.deaths += 1;
      if (twin.owesReload) twin.wrong = nothingWrong;
      else if (twin.deaths >= 2) twin.wrong = { ...twin.wrong, hasDied: true };
      // What takes its place does it.
      twin.owesReload = false;
    } else if (text.startsWith('reloaded') || /has .* to end$/.test(text)) {
      twin.wrong = nothingWrong;
    }
    if (text.includes('reload')) twin.owesReload = false;
  }
  twin.notices = world.notices.length;
}

function keep(twin: Twin, config: number | null): void {
  if (config !== twin.inForce.at(-1)) twin.deaths = 0;
  twin.inForce.push(config);
}

function packed(config: number | null): Uint8Array | null {
  return config === null ? null : Uint8Array.of(config);
}

function hello(process: FakeProcess, twin: Twin): void {
  if (process.isReady || process.isSentAway || process.has('start')) return;
  process.say({ kind: 'hello', protocol: 1 });
  const lastGood = process.has('start') ? process.last('start').lastGood : undefined;
  if (lastGood === undefined) return;
  assert.notEqual(twin.inForce.at(-1), null, 'an older configuration than that in force is offered');
  const { config, insteadBecause } = lastGood;
  assert.ok(twin.inForce.includes(config[0] ?? null), 'a configuration is offered that was never in force');
  const mayPassOver = insteadBecause?.includes('in a row') === true ? twin.wrong.hasDied : twin.wrong.hasNotStarted;
  assert.ok(insteadBecause === null || mayPassOver, `the disk is passed over, because ${insteadBecause}`);
}

function answers(process: FakeProcess, kind: string, keys: readonly number[], inForce: number | null, twin: Twin): void {
  if (!process.has('reload')) return;
  if (kind === 'reloaded' && process.isReady && !process.has('stop')) keep(twin, inForce);
  const outcome = { kind, version: 2, changes: [], why: 'so', sockets: keys.map(spec) };
  process.say({ kind: 'reloaded', id: process.last('reload').id, outcome: outcome as never, config: packed(inForce) });
}

function starts(process: FakeProcess, inForce: number | null, twin: Twin, world: KeeperWorld): void {
  hello(process, twin);
  ready(process, [1], inForce, twin, world);
}

const pick = fc.nat(7);
const config = fc.constantFrom(1, 2, 3, null);
const port = fc.integer({ min: 1, max: 4 });
const ports = fc.uniqueArray(port, { minLength: 0, maxLength: 3 });
const exitCode = fc.constantFrom(0, 1, 2, 9, 256, -1);

function isStarting(process: FakeProcess): boolean {
  return !process.isReady && !process.has('stop');
}

function ready(process: FakeProcess, keys: readonly number[], inForce: number | null, twin: Twin, world: KeeperWorld): void {
  // A generation says so only when it has what it wants.
  const specs = keys.map(spec).filter(({ key }) => world.held.has(key));
  if (process.isReady || process.isSentAway) return;
  const isWanted = isStarting(process) && !process.wasKilled && !twin.isEnding;
  process.ready(specs, packed(inForce));
  if (!isWanted || !world.said(new RegExp(`^generation ${process.number} .*serves`))) return;
  twin.hasServed = true;
  keep(twin, inForce);
}

const becomesReady = fc
  .tuple(pick, ports, config)
  .map(
    ([at, keys, inForce]) =>
      new Deed(`ready ${keys} with ${inForce}`, at, (process, twin, world) => ready(process, keys, inForce, twin, world)),
  );

const steps: fc.Arbitrary<Step>[] = [
  fc.constantFrom<KeeperSignal>('SIGQUIT', 'SIGUSR2', 'SIGHUP', 'SIGQUIT', 'SIGHUP').map((signal) => new Signal(signal)),
  fc.constantFrom<KeeperSignal>('SIGTERM', 'SIGINT').map((signal) => new Signal(signal)),
  becomesReady,
  becomesReady,
  pick.map((at) => new Deed('hello', at, hello)),
  fc.tuple(pick, exitCode).map(
    ([at, code]) =>
      new Deed(`failed ${code}`, at, (process, twin, world) => {
        process.say({ kind: 'failed', why: 'so', exitCode: code });
        noteFirstFailure(twin, world, code === 2 ? 2 : 1);
      }),
  ),
  fc
    .tuple(pick, ports)
    .map(([at, keys]) => new Deed(`need ${keys}`, at, (process) => process.say({ kind: 'need', sockets: keys.map(spec) }))),
  fc.tuple(pick, exitCode).map(
    ([at, code]) =>
      new Deed(`end ${code}`, at, (process, twin, world) => {
        process.end({ code });
        noteFirstFailure(twin, world, 1);
      }),
  ),
  fc.tuple(pick, fc.constantFrom('SIGSEGV', 'SIGINT', 'SIGKILL')).map(
    ([at, signal]) =>
      new Deed(`end ${signal}`, at, (process) => {
        process.end({ signal });
      }),
  ),
  fc.tuple(pick, fc.constantFrom('shutdownStarted', 'running', 'gracefulUpgradeCloseTimeout', 'terminated')).map(
    ([at, phase]) =>
      new Deed(phase, at, (process) => {
        // By itself, too: then it is going to die, and its sockets are wanted by the next one.
        if ((phase === 'shutdownStarted' || phase === 'terminated') && process.has('stop')) process.keys = [];
        process.say({ kind: 'phase', phase: phase as 'running' });
      }),
  ),
  fc
    .tuple(pick, fc.constantFrom('reloaded', 'unchanged', 'refused', 'needsGeneration'), ports, config)
    .map(
      ([at, kind, keys, inForce]) =>
        new Deed(`answers ${kind} ${keys} with ${inForce}`, at, (process, twin) => answers(process, kind, keys, inForce, twin)),
    ),
  fc
    .tuple(pick, fc.constantFrom('reload', 'upgrade', 'descriptors'))
    .map(([at, what]) => new Deed(`asks ${what}`, at, (process) => process.say({ kind: 'ask', what: what as 'reload', id: 1 }))),
  pick.map(
    (at) =>
      new Deed('stopped', at, (process, twin, world) => {
        if (process.has('stop')) process.keys = [];
        process.say({ kind: 'stopped', cut: 1 });
        noteFirstFailure(twin, world, 1);
      }),
  ),
  pick.map((at) => new Deed('pong', at, (process) => process.has('ping') && process.say({ kind: 'pong', id: process.last('ping').id }))),
  fc.constantFrom(1, 150, 1_000, 5_000, 10_000, 60_000).map((ms) => new Advance(ms)),
  port.map(
    (key) =>
      new Deed(
        `takes ${key}`,
        0,
        (_process, _twin, world) =>
          void (world.taken.has(spec(key).key) ? world.taken.delete(spec(key).key) : world.taken.add(spec(key).key)),
      ),
  ),
];

function checkWorld(twin: Twin, world: KeeperWorld): void {
  const serving = world.alive.filter((process) => process.isReady && !process.has('stop') && !process.wasKilled);
  assert.ok(serving.length <= 1, `${serving.map(({ number }) => number)} serve, and none has been told to stop`);
  const starting = world.alive.filter((process) => isStarting(process) && !process.wasKilled && !isSentAway(process));
  assert.ok(starting.length <= 1, `${starting.map(({ number }) => number)} are being started at once`);
  if (twin.isEnding) {
    const untold = world.alive.filter((process) => !process.has('stop') && !process.wasKilled && process.isReady);
    assert.deepEqual(untold, [], 'somebody has not been told that all ends');
    return;
  }
  assert.equal(world.exitCode, null, 'ended, and nobody has asked for it');
  // What accepts is held: were it not, a death would lose its queue.
  for (const process of world.alive)
    for (const key of process.keys) assert.ok(world.held.has(key) || isSentAway(process) || process.wasKilled, `${key} is not held`);
  // Somebody serves, or is being started, or will be.
  assert.ok(serving.length + starting.length > 0 || world.clock.pendingCount > 0, 'nobody serves, and nobody will');
  assert.equal(world.readyCalls, twin.hasServed ? 1 : 0);
}

/** It has said that it ends: that it needs other sockets, or has failed. */
function isSentAway(process: FakeProcess): boolean {
  return process.isSentAway;
}

/** All who were told to end do; who does not is killed, and ends by that. */
async function windUp(twin: Twin, world: KeeperWorld): Promise<void> {
  await new Signal('SIGTERM').run(twin, world);
  for (let round = 0; round < 20 && world.exitCode === null; round++) {
    for (const process of world.alive) if (process.wasKilled) process.end({ signal: 'SIGKILL' });
    world.clock.advance(settings.graceMs + settings.preStopDelayMs + 5_000);
    await world.settle();
  }
  assert.equal(world.exitCode, twin.code);
  assert.deepEqual(world.alive, [], 'a process was forgotten');
  assert.deepEqual([...world.held], [], 'a socket was forgotten');
  assert.equal(world.phases.at(-1), 'terminated');
  world.clock.advance(1_000);
  assert.equal(world.clock.pendingCount, 0, 'a wake-up was forgotten');
}

async function runModel(commands: Iterable<Step>): Promise<void> {
  const twin: Twin = {
    hasServed: false,
    isEnding: false,
    isOrderly: false,
    code: 0,
    notices: 0,
    inForce: [],
    deaths: 0,
    wrong: nothingWrong,
    owesReload: false,
  };
  const world = new KeeperWorld([spec(1), spec(2)]);
  world.run();
  await fc.asyncModelRun(() => ({ model: twin, real: world }), commands);
  await windUp(twin, world);
}

test('whatever happens, one generation serves, nobody and nothing is forgotten, and the exit code is right', async () => {
  await fc.assert(fc.asyncProperty(fc.commands(steps, { maxCommands: 60, size: 'max' }), runModel), { numRuns: 500 });
});

/** The youngest process does something: the one that is being started, or else the one that serves. */
class YoungestDoes extends Deed {
  constructor(name: string, deed: Deed['deed']) {
    super(name, 0, deed);
  }

  override act(twin: Twin, world: KeeperWorld): void {
    const process = world.alive.at(-1);
    if (process !== undefined) this.deed(process, twin, world);
  }
}

/** What configurations go through: starts that mostly come to something, deaths, reloads, and the times that matter to them. */
const stepsOfConfigs: fc.Arbitrary<Step>[] = [
  config.map((inForce) => new YoungestDoes(`starts with ${inForce}`, (process, twin, world) => starts(process, inForce, twin, world))),
  config.map((inForce) => new YoungestDoes(`starts with ${inForce}`, (process, twin, world) => starts(process, inForce, twin, world))),
  fc.constant(
    new YoungestDoes('fails', (process, twin) => {
      if (process.isReady || !twin.hasServed) return;
      hello(process, twin);
      process.say({ kind: 'failed', why: 'so', exitCode: 1 });
      process.end({ code: 1 });
    }),
  ),
  fc.nat(1).map((at) => new Deed('dies', at, (process, twin) => twin.hasServed && process.end({ signal: 'SIGSEGV' }))),
  fc.constant(new YoungestDoes('dies', (process, twin) => twin.hasServed && process.end({ signal: 'SIGSEGV' }))),
  fc.constantFrom<KeeperSignal>('SIGHUP', 'SIGHUP', 'SIGQUIT').map((signal) => new Signal(signal)),
  // Asked for, and answered at once.
  fc.constantFrom('reloaded', 'unchanged').chain((kind) =>
    config.map(
      (inForce) =>
        new YoungestDoes(`is reloaded: ${kind} with ${inForce}`, (process, twin, world) => {
          new Signal('SIGHUP').act(twin, world);
          answers(process, kind, [1], inForce, twin);
        }),
    ),
  ),
  fc
    .tuple(fc.constantFrom('reloaded', 'unchanged', 'refused', 'needsGeneration'), config)
    .map(
      ([kind, inForce]) =>
        new YoungestDoes(`answers ${kind} with ${inForce}`, (process, twin) => answers(process, kind, [1], inForce, twin)),
    ),
  fc.constantFrom(1_000, 1_000, 10_000, 30_000).map((ms) => new Advance(ms)),
  fc.constant(new Advance(1_000)),
];

test('a configuration that is offered was in force, and the one on disk is passed over only if something came of it that was not mended', async () => {
  await fc.assert(fc.asyncProperty(fc.commands(stepsOfConfigs, { maxCommands: 60, size: 'max' }), runModel), { numRuns: 1_500 });
});
