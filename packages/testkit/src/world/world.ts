/**
 * A world: a network, a clock and chance, all virtual and all from one seed.
 *
 * What runs in it (servers, clients, proxies, scripts) gets its streams from `connect` and `listen`, its time from `clock` or `deadlines`, its
 * chance from `random`. Delivery is cut, merged, delayed and, by fault plans, stalled, half-closed and reset. The same seed gives the same
 * events in the same order, and so the same `trace.hash`; a failing case is its seed.
 *
 * ```ts
 * const world = new World(42, { faults: drawFaultPlan });
 * world.listen('origin', (stream) => serve(stream));
 * world.connect('origin', { onConnected: (stream) => use(stream), onConnectFailed: (error) => {} });
 * await world.run();
 * ```
 */
import { ManualClock, type Random, seededRandom } from '@ferrata/clock';
import { connectError, type WireError } from '@ferrata/error';
import {
  type FaultPlan,
  faulty,
  formatFaultPlan,
  type L4Stream,
  type MemoryCarrier,
  memoryPair,
  type StreamAddress,
} from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { EventTrace } from './event-trace.ts';
import { type LinkNature, WorldLink } from './world-link.ts';

/** A connection as the world knows it, for choosing faults. */
export interface WorldConnection {
  /** The name connected to. */
  readonly name: string;
  /** How many connections there were before, to any name. */
  readonly index: number;
  /** Whose end is to be faulty: the one that connected or the one that accepted. */
  readonly end: 'client' | 'server';
}

/** Options of a `World`. */
export interface WorldOptions extends Partial<LinkNature> {
  /** The faults of one end of a connection, drawn from the world's chance; default none. */
  readonly faults?: (random: Random, connection: WorldConnection) => FaultPlan;
  /** As in `memoryPair`; default 65_536. */
  readonly highWaterBytes?: number;
  /** As in `EventTrace`. */
  readonly maxTraceLines?: number;
}

/** What becomes of a `connect`. */
export interface WorldConnectSink {
  onConnected(stream: L4Stream): void;
  onConnectFailed(error: WireError): void;
}

/** A name that can be connected to. */
export interface WorldListener {
  readonly name: string;
  /** Stops accepting; connections stay. */
  close(): void;
}

/** When `run` stops. */
export interface WorldRunOptions {
  /** Virtual milliseconds from now; default one hour. */
  readonly forMs?: number;
  /** Checked after each event. */
  readonly until?: () => boolean;
  /** Most wake-ups; default 1_000_000. Going over it throws: a world that never rests is a bug. */
  readonly maxSteps?: number;
}

/** A virtual network on a manual clock. */
export class World {
  readonly seed: number;
  readonly clock = new ManualClock();
  readonly deadlines = new DeadlineQueue({ clock: this.clock });
  /** The world's chance; what draws from it takes part in the seed. */
  readonly random: Random;
  readonly trace: EventTrace;
  readonly #options: WorldOptions;
  readonly #nature: LinkNature;
  readonly #listeners = new Map<string, (stream: L4Stream) => void>();
  readonly #streams: L4Stream[] = [];
  readonly #deferred: (() => void)[] = [];
  #connectionCount = 0;
  #streamCount = 0;

  constructor(seed: number, options: WorldOptions = {}) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.trace = new EventTrace(options.maxTraceLines);
    this.#options = options;
    this.#nature = {
      minLatencyMs: options.minLatencyMs ?? 0.05,
      maxLatencyMs: options.maxLatencyMs ?? 20,
      maxChunkBytes: options.maxChunkBytes ?? 65_536,
    };
  }

  /** Streams that have not closed. */
  get openStreamCount(): number {
    return this.#streams.filter((stream) => stream.state !== 'closed').length;
  }

  /** For what runs in the world: runs `task` before the next delivery or wake-up, in order. */
  readonly defer = (task: () => void): void => {
    this.#deferred.push(task);
  };

  /** Accepts connections to `name`. @throws {TypeError} if the name is taken */
  listen(name: string, onStream: (stream: L4Stream) => void): WorldListener {
    if (this.#listeners.has(name)) throw new TypeError(`somebody listens on ${name} already`);
    this.#listeners.set(name, onStream);
    return { name, close: () => void this.#listeners.delete(name) };
  }

  /** Connects to `name`; the outcome comes after a while. Without a listener: `connect CONNECT_REFUSED`. */
  connect(name: string, sink: WorldConnectSink): void {
    const index = this.#connectionCount++;
    this.note(`connect ${name} #${index}`);
    this.clock.schedule(this.#latency(), () => {
      const onStream = this.#listeners.get(name);
      if (onStream === undefined) {
        this.note(`refused ${name} #${index}`);
        sink.onConnectFailed(connectError('CONNECT_REFUSED', `nobody listens on ${name}`));
        return;
      }
      const { client, server } = this.#makeConnection(name, index);
      this.note(`accepted ${name} #${index}`);
      onStream(server);
      sink.onConnected(client);
    });
  }

  /** As `connect`, with a promise. @throws {WireError} rejects with what `onConnectFailed` is told */
  connected(name: string): Promise<L4Stream> {
    return new Promise((resolve, reject) => this.connect(name, { onConnected: resolve, onConnectFailed: reject }));
  }

  /** Adds a line to the trace, with the time. */
  note(line: string): void {
    this.trace.add(`${this.clock.now().toFixed(3)} ${line}`);
  }

  /** Does one thing: all that was deferred, or else the next wake-up. @returns false if there is nothing left to do */
  step(): boolean {
    if (this.#deferred.length > 0) {
      for (let task = this.#deferred.shift(); task !== undefined; task = this.#deferred.shift()) task();
      return true;
    }
    return this.clock.runNext();
  }

  /** Runs until nothing is left to do, or as `options` say. Only for code without promises: microtasks get no turn. */
  runSync(options: WorldRunOptions = {}): void {
    const run = new Run(this, options);
    while (run.goesOn(this.#deferred.length > 0)) this.step();
  }

  /** As `runSync`, and gives promises their turn after each step. */
  async run(options: WorldRunOptions = {}): Promise<void> {
    const run = new Run(this, options);
    await turn();
    while (run.goesOn(this.#deferred.length > 0)) {
      this.step();
      await turn();
    }
  }

  #makeConnection(name: string, index: number): { client: L4Stream; server: L4Stream } {
    const links = new Map<'a' | 'b', WorldLink>();
    const carry: MemoryCarrier = (parcel, deliver, from) => {
      let link = links.get(from);
      if (link === undefined) {
        const { clock, random, trace } = this;
        link = new WorldLink({ name: `#${index}${from === 'a' ? '>' : '<'}`, clock, random, trace, nature: this.#nature }, deliver);
        links.set(from, link);
      }
      link.carry(parcel);
    };
    const { a, b } = memoryPair({
      clock: this.clock,
      defer: this.defer,
      carry,
      nextId: () => ++this.#streamCount,
      kind: 'world',
      addressA: address('10.1.0.1', 40_000 + (index % 20_000)),
      addressB: address('10.0.0.1', 80),
      highWaterBytes: this.#options.highWaterBytes ?? 65_536,
    });
    const client = this.#withFaults(a, { name, index, end: 'client' });
    const server = this.#withFaults(b, { name, index, end: 'server' });
    this.#streams.push(client, server);
    return { client, server };
  }

  #withFaults(stream: L4Stream, connection: WorldConnection): L4Stream {
    const plan = this.#options.faults?.(this.random, connection) ?? [];
    if (plan.length === 0) return stream;
    this.note(`${connection.end} of #${connection.index}: ${formatFaultPlan(plan)}`);
    return faulty(stream, plan, { clock: this.clock, defer: this.defer });
  }

  #latency(): number {
    const { minLatencyMs, maxLatencyMs } = this.#nature;
    return minLatencyMs + this.random.next() * (maxLatencyMs - minLatencyMs);
  }
}

/** Decides how long a run goes on. */
class Run {
  readonly #world: World;
  readonly #endsAt: number;
  readonly #isTimed: boolean;
  readonly #until: (() => boolean) | undefined;
  readonly #maxSteps: number;
  #steps = 0;

  constructor(world: World, options: WorldRunOptions) {
    this.#world = world;
    this.#endsAt = world.clock.now() + (options.forMs ?? 3_600_000);
    this.#isTimed = options.forMs !== undefined;
    this.#until = options.until;
    this.#maxSteps = options.maxSteps ?? 1_000_000;
  }

  goesOn(hasDeferred: boolean): boolean {
    if (this.#until?.() === true) return false;
    const { clock } = this.#world;
    if (!hasDeferred && clock.nextWakeAt > this.#endsAt) {
      // A run of a given time takes that time, also when the rest of it is empty.
      if (this.#isTimed) clock.advanceTo(this.#endsAt);
      return false;
    }
    this.#steps += 1;
    if (this.#steps > this.#maxSteps) throw new Error(`world ${this.#world.seed} did not come to rest in ${this.#maxSteps} steps`);
    return true;
  }
}

function address(host: string, port: number): StreamAddress {
  return { kind: 'ip', host, port };
}

/** Lets all promises that can settle do so. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
