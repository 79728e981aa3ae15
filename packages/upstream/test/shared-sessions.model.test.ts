/**
 * A model of the shared connections to one peer: whatever happens in whatever order, no connection carries more than it may, there are never
 * more connections than allowed, those who wait are served in order and none is forgotten, and in the end all is closed.
 *
 * The twin keeps only lists: who asked, who was told what, and what each connection carries. What must hold of them is checked after each step.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { connectError, isWireError } from '@ferrata/error';
import { DeadlineQueue } from '@ferrata/timeout';
import fc from 'fast-check';
import { type ShareableSession, SharedSessions } from '../src/shared-sessions.ts';

const limits = {
  maxStreamsPerConnection: 3,
  maxConnections: 2,
  maxPending: 12,
  pendingTimeoutMs: 5_000,
  connectTimeoutMs: 3_000,
  idleTimeoutMs: 20_000,
  maxConnectionAgeMs: 60_000,
  mayChoose: false,
  place: 'k',
};

const EARLY_STREAMS = 2;

class FakeSession implements ShareableSession {
  readonly #world: World;
  isDraining = false;
  isClosed = false;
  isKnown = false;
  peerMax = 100;
  openStreamCount = 0;
  requestCount = 0;

  constructor(world: World) {
    this.#world = world;
  }
  get hasPeerSettings(): boolean {
    return this.isKnown;
  }
  get availableStreams(): number {
    return this.isDraining ? 0 : Math.max(0, this.peerMax - this.openStreamCount);
  }
  get isReusable(): boolean {
    return !this.isClosed && this.availableStreams > 0;
  }
  begin(): void {
    assert.ok(!this.isClosed, 'a request on a closed connection');
    this.openStreamCount++;
    this.requestCount++;
  }
  finish(): void {
    this.openStreamCount--;
    this.#world.handleRoom(this);
    if (this.openStreamCount === 0) this.#world.pool.handleIdle(this);
  }
  close(): void {
    assert.ok(!this.isClosed, 'closed twice');
    assert.equal(this.openStreamCount, 0, 'closed under a request');
    this.isClosed = true;
  }
}

interface Asker {
  readonly id: number;
  readonly abort: AbortController;
  readonly except: FakeSession | null;
  state: 'waiting' | 'granted' | 'failed' | 'elsewhere';
}

/** A place in somebody's hands. */
interface Held {
  readonly session: FakeSession;
}

class World {
  readonly clock = new ManualClock();
  readonly deadlines = new DeadlineQueue({ clock: this.clock });
  readonly connecting: { readonly signal: AbortSignal; readonly settle: PromiseWithResolvers<FakeSession | null> }[] = [];
  readonly sessions: FakeSession[] = [];
  readonly askers: Asker[] = [];
  readonly held: Held[] = [];
  readonly order: number[] = [];
  failedAt = Number.NEGATIVE_INFINITY;
  /** Connections that came on top of the limit: nobody else is served by them. */
  readonly surplus = new Set<FakeSession>();
  /** Those who were told so in this step. */
  sentElsewhere: readonly Asker[] = [];
  /** What a connection is taken to carry before its SETTINGS, as the last one was allowed. */
  early = EARLY_STREAMS;
  isClosed = false;
  /** The shortest line that somebody was refused for. */
  refusedAt = Number.POSITIVE_INFINITY;
  readonly pool = new SharedSessions<FakeSession>(
    {
      deadlines: this.deadlines,
      recentNow: () => this.clock.now(),
      now: () => this.clock.now(),
      open: (signal) => {
        const settle = Promise.withResolvers<FakeSession | null>();
        this.connecting.push({ signal, settle });
        signal.addEventListener('abort', () => settle.reject(connectError('CONNECT_ABORTED', 'given up')));
        return settle.promise;
      },
      onClosed: () => {},
      onEmpty: () => {},
    },
    limits,
    EARLY_STREAMS,
  );

  ask(except: FakeSession | null = null): void {
    const asker: Asker = { id: this.askers.length, abort: new AbortController(), except, state: 'waiting' };
    const before = this.pool.pendingCount;
    this.askers.push(asker);
    this.pool.request(asker.abort.signal, except).then(
      (session) => {
        asker.state = session === null ? 'elsewhere' : 'granted';
        if (session === null) return;
        if (except === null) this.order.push(asker.id);
        this.held.push({ session });
      },
      (error: unknown) => {
        asker.state = 'failed';
        if (isWireError(error) && error.reason === 'UPSTREAM_TOO_MANY_PENDING') this.refusedAt = Math.min(this.refusedAt, before);
      },
    );
  }

  handleRoom(session: FakeSession): void {
    if (session.isKnown && !session.isDraining && !session.isClosed)
      this.early = Math.max(1, Math.min(EARLY_STREAMS, session.availableStreams + session.openStreamCount));
    this.pool.handleRoom(session);
  }

  /** Pending places of a session, as the holders know them. */
  heldOf(session: FakeSession): number {
    return this.held.filter((held) => held.session === session).length;
  }

  async check(): Promise<void> {
    for (let round = 0; round < 6; round++) await Promise.resolve();
    for (let index = this.connecting.length - 1; index >= 0; index--)
      if (this.connecting[index]?.signal.aborted) this.connecting.splice(index, 1);
    assert.ok(
      this.sentElsewhere.every(({ state }) => state === 'elsewhere'),
      'a peer of another protocol is waited for by nobody',
    );
    this.sentElsewhere = [];
    const waiting = this.askers.filter((asker) => asker.state === 'waiting').length;
    assert.equal(this.pool.pendingCount, waiting, 'who is not told waits');
    const { maxPending, maxConnections, maxStreamsPerConnection } = limits;
    assert.ok(waiting <= maxPending + maxConnections * maxStreamsPerConnection);
    assert.ok(this.refusedAt >= maxPending, 'nobody is refused before the line is full');
    assert.ok(this.pool.openCount <= limits.maxConnections, 'never more connections than allowed');
    assert.deepEqual(
      this.order,
      this.order.toSorted((a, b) => a - b),
      'served in order',
    );
    let hasRoom = false;
    for (const session of this.sessions) {
      const taken = session.openStreamCount + this.heldOf(session);
      const most = session.isKnown ? limits.maxStreamsPerConnection : EARLY_STREAMS;
      assert.ok(taken <= most, 'never more streams than allowed');
      const room = Math.min(session.isKnown ? most : this.early, session.peerMax);
      if (session.isReusable && taken < room && !this.isClosed && !this.surplus.has(session)) hasRoom = true;
    }
    if (waiting > 0) {
      assert.ok(this.pool.openCount > 0, 'nobody waits while nothing stands and nothing is made');
      const mayBeTooOld = this.clock.now() >= limits.maxConnectionAgeMs;
      // Who waits for any connection but one may wait beside that one.
      const isPlain = this.askers.some((asker) => asker.state === 'waiting' && asker.except === null);
      assert.ok(!hasRoom || mayBeTooOld || !isPlain, 'nobody waits beside a free place');
      const isBackingOff = this.clock.now() < this.failedAt + 1_000;
      const isComing = this.connecting.length > 0 || this.sessions.some((it) => !it.isKnown && !it.isClosed && !this.surplus.has(it));
      const isHelped = isComing || this.pool.openCount >= limits.maxConnections || isBackingOff;
      assert.ok(isHelped, 'a connection is made for those who wait');
    }
  }
}

class Step implements fc.AsyncCommand<object, World> {
  readonly #name: string;
  readonly #run: (world: World) => void;
  constructor(name: string, run: (world: World) => void) {
    this.#name = name;
    this.#run = run;
  }
  check(): boolean {
    return true;
  }
  async run(_model: object, world: World): Promise<void> {
    this.#run(world);
    await world.check();
  }
  toString(): string {
    return this.#name;
  }
}

const steps = [
  fc.constant(
    new Step('take', (world) => {
      const session = world.pool.take();
      if (session !== null) world.held.push({ session });
      if (session !== null) assert.equal(world.askers.filter(({ state }) => state === 'waiting').length, 0, 'nobody is overtaken');
    }),
  ),
  fc.constant(new Step('ask', (world) => world.ask())),
  fc
    .integer({ min: 2, max: 8 })
    .map((count) => new Step(`ask ${count} times`, (world) => void Array.from({ length: count }, () => world.ask()))),
  fc.nat(9).map((which) => new Step(`ask, but not ${which}`, (world) => world.ask(world.sessions[which] ?? null))),
  fc.nat(9).map(
    (which) =>
      new Step(`give up ${which}`, (world) =>
        pick(
          world.askers.filter((it) => it.state === 'waiting'),
          which,
        )?.abort.abort(),
      ),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`connected ${which}`, (world) => {
        const made = world.connecting.splice(which % Math.max(1, world.connecting.length), 1)[0];
        if (made === undefined) return;
        const session = new FakeSession(world);
        world.sessions.push(session);
        world.pool.add(session);
        made.settle.resolve(session);
      }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`connected and lost at once ${which}`, (world) => {
        const made = world.connecting.splice(which % Math.max(1, world.connecting.length), 1)[0];
        if (made === undefined) return;
        const session = new FakeSession(world);
        world.sessions.push(session);
        world.pool.add(session);
        made.settle.resolve(session);
        if (which % 2 === 0) die(world, session);
        else session.isDraining = true;
        world.failedAt = world.clock.now();
      }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`another protocol ${which}`, (world) => {
        const made = world.connecting.splice(which % Math.max(1, world.connecting.length), 1)[0];
        if (made === undefined) return;
        const sent = world.askers.filter(({ state }) => state === 'waiting');
        made.settle.resolve(null);
        world.sentElsewhere = sent;
      }),
  ),
  fc.constant(
    new Step('adopt', (world) => {
      const session = new FakeSession(world);
      world.sessions.push(session);
      world.held.push({ session });
      if (world.pool.openCount >= limits.maxConnections) world.surplus.add(session);
      world.pool.adopt(session);
    }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`not connected ${which}`, (world) => {
        const made = world.connecting.splice(which % Math.max(1, world.connecting.length), 1)[0];
        made?.settle.reject(connectError('CONNECT_REFUSED', 'refused', { retry: 'always' }));
        if (made !== undefined) world.failedAt = world.clock.now();
      }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`send ${which}`, (world) => {
        const [held] = world.held.splice(which % Math.max(1, world.held.length), 1);
        if (held === undefined) return;
        if (held.session.isReusable) held.session.begin();
        else world.pool.release(held.session);
      }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`release ${which}`, (world) => {
        const [held] = world.held.splice(which % Math.max(1, world.held.length), 1);
        if (held !== undefined) world.pool.release(held.session);
      }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`finish ${which}`, (world) =>
        pick(
          world.sessions.filter((it) => it.openStreamCount > 0),
          which,
        )?.finish(),
      ),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`goaway ${which}`, (world) => {
        const session = pick(
          world.sessions.filter((it) => !it.isClosed),
          which,
        );
        if (session === undefined) return;
        session.isDraining = true;
        world.handleRoom(session);
      }),
  ),
  fc.nat(9).map(
    (which) =>
      new Step(`die ${which}`, (world) =>
        die(
          world,
          pick(
            world.sessions.filter((it) => !it.isClosed),
            which,
          ),
        ),
      ),
  ),
  fc.tuple(fc.nat(9), fc.nat(3)).map(
    ([which, max]) =>
      new Step(`settings ${which} ${max}`, (world) => {
        const session = pick(
          world.sessions.filter((it) => !it.isClosed),
          which,
        );
        if (session === undefined) return;
        session.peerMax = max;
        session.isKnown = true;
        world.handleRoom(session);
      }),
  ),
  fc.integer({ min: 1, max: 30_000 }).map((ms) => new Step(`wait ${ms}`, (world) => world.clock.advance(ms))),
];

function pick<T>(list: readonly T[], which: number): T | undefined {
  return list[which % Math.max(1, list.length)];
}

function die(world: World, session: FakeSession | undefined): void {
  if (session === undefined) return;
  session.isClosed = true;
  session.isDraining = true;
  session.openStreamCount = 0;
  world.pool.handleClose(session);
}

describe('SharedSessions, against a model', () => {
  test('bounds, order, nobody forgotten, all closed in the end (RFC 9113 §5.1.2, §6.8)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(steps, { maxCommands: 60 }), async (commands) => {
        const world = new World();
        await fc.asyncModelRun(() => ({ model: {}, real: world }), commands);
        await endOf(world);
      }),
      { numRuns: 400 },
    );
  });
});

/** Lets everything end: who holds a place gives it back, who waits is told in time, and nothing is left open or armed. */
async function endOf(world: World): Promise<void> {
  for (const { settle } of world.connecting.splice(0)) settle.reject(connectError('CONNECT_REFUSED', 'refused', { retry: 'always' }));
  world.failedAt = world.clock.now();
  world.isClosed = true;
  world.pool.close();
  for (let round = 0; round < 100 && (world.held.length > 0 || world.sessions.some((it) => it.openStreamCount > 0)); round++) {
    for (const { session } of world.held.splice(0)) world.pool.release(session);
    for (const session of world.sessions) while (session.openStreamCount > 0) session.finish();
    await world.check();
  }
  for (let round = 0; round < 10; round++) {
    world.clock.advance(2_000);
    for (const { settle } of world.connecting.splice(0)) settle.reject(connectError('CONNECT_REFUSED', 'refused', { retry: 'always' }));
    await world.check();
    for (const { session } of world.held.splice(0)) world.pool.release(session);
  }
  assert.equal(world.pool.pendingCount, 0, 'everybody was told');
  assert.equal(world.pool.connectionCount, 0, 'no connection is left');
  assert.ok(
    world.sessions.every((session) => session.isClosed),
    'all are closed',
  );
  world.clock.advance(200_000);
  assert.equal(world.deadlines.size, 0, 'no deadline is left');
}
