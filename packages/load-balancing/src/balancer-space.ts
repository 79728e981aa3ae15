/**
 * What the balancers of a thread stand on: memory that they may share with those of other threads, and a place in it.
 *
 * One of the threads leads: it discovers backends, checks them and lets them back in, for all. When it ends, another takes over at once; when it dies or stands still, within two
 * seconds. What it discovers is published in the memory, so that a thread that is born later knows it as well.
 */
import { toWireError, type WireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import { checkBackend, type PlainBackend, plainBackend } from './backend.ts';
import { BackendTable, makeTableMemory, type TableSize } from './internal/backend-table.ts';
import { Keeper } from './internal/keeper.ts';

/** Options of a space. */
export interface BalancerSpaceOptions {
  /** Clock, timers and chance. Default: one of its own. */
  readonly environment?: HttpEnvironment;
  /** Of `balancerMemory`, the same in all threads. Default: memory of its own, for this thread alone. */
  readonly memory?: SharedArrayBuffer;
  /** Without `memory`: backends that may be known at once, of all balancers together, 1 to 1 048 576. Default 4 096. About 150 bytes each. */
  readonly maxBackends?: number;
}

/** A balancer, as its space knows it. @internal */
export interface SpaceMember {
  readonly name: string;
  onLead(): void;
  onLeaderTick(): void;
  onResign(): void;
  /** One of the threads has discovered these. */
  onPublished(backends: readonly PlainBackend[]): void;
}

/** Memory for several threads: make it in one of them, and give it to all. @throws {RangeError} when a number is out of its range */
export function balancerMemory(size: Partial<TableSize> = {}): SharedArrayBuffer {
  return makeTableMemory({ maxBackends: size.maxBackends ?? 4_096, maxThreads: size.maxThreads ?? 16 });
}

/** The space of one thread. */
export class BalancerSpace implements Disposable {
  readonly environment: HttpEnvironment;
  /** @internal */
  readonly table: BackendTable;
  readonly #keeper: Keeper;
  readonly #members = new Map<string, SpaceMember>();
  /** By balancer: what was published last, as JSON. */
  #published: ReadonlyMap<string, string> = new Map();
  /** What is published is this thread's. */
  #hasPublished = false;
  #version = 0;
  #isClosed = false;

  /** @throws {RangeError} when no place in the memory is free, or a number is out of its range @throws {TypeError} when the memory is none */
  constructor(options: BalancerSpaceOptions = {}) {
    this.environment = options.environment ?? new HttpEnvironment();
    this.table = new BackendTable(options.memory ?? makeTableMemory({ maxBackends: options.maxBackends ?? 4_096, maxThreads: 1 }));
    this.#keeper = new Keeper(this.table, this.environment.deadlines, {
      mayLead: () => this.#members.size > 0,
      onTick: () => this.#adopt(),
      onLead: () => this.#forEach((member) => member.onLead()),
      onLeaderTick: () => this.#forEach((member) => member.onLeaderTick()),
      onResign: () => {
        this.#hasPublished = false;
        this.#forEach((member) => member.onResign());
      },
    });
  }

  /** This thread discovers and checks for all. */
  get leads(): boolean {
    return this.#keeper.leads;
  }

  /** A balancer wants to be looked after. @throws {TypeError} when there is one of that name, or the space is closed @internal */
  join(member: SpaceMember): void {
    if (this.#isClosed) throw new TypeError('the space was closed');
    const namesake = this.#members.get(member.name);
    if (namesake === member) return;
    if (namesake !== undefined) throw new TypeError(`there is a balancer called ${member.name} in this space`);
    const hasLed = this.#keeper.leads;
    this.#read();
    this.#members.set(member.name, member);
    const known = this.#published.get(member.name);
    if (known !== undefined) member.onPublished(JSON.parse(known) as readonly PlainBackend[]);
    // What it does with them may end it, or the space.
    if (this.#members.get(member.name) !== member) return;
    if (hasLed) member.onLead();
    else this.#keeper.start();
  }

  /** @internal */
  leave(member: SpaceMember): void {
    if (this.#members.get(member.name) !== member) return;
    this.#members.delete(member.name);
    if (this.#keeper.leads) member.onResign();
    // Other threads may have something to lead for.
    if (this.#members.size === 0) this.#keeper.yieldLead();
  }

  /**
   * For the leader: all threads are to have this set. One that is wrong is not published: whoever is born later would have nothing else.
   *
   * @throws {WireError} when it cannot be published
   * @internal
   */
  publish(name: string, backends: readonly PlainBackend[]): void {
    try {
      const names = new Set(backends.map((backend) => checkBackend(backend).name));
      const { maxBackends } = this.table;
      if (names.size > maxBackends) throw new RangeError(`there are more than ${maxBackends} backends: raise maxBackends`);
      const text = JSON.stringify(backends.map(plainBackend));
      this.#read();
      if (text !== this.#published.get(name)) this.#write(new Map(this.#published).set(name, text));
    } catch (thrown) {
      throw toWireError(thrown, 'SET_NOT_PUBLISHED') satisfies WireError;
    }
    this.#members.get(name)?.onPublished(backends);
  }

  #write(published: ReadonlyMap<string, string>): void {
    this.table.publish(JSON.stringify(Object.fromEntries(published)));
    this.#published = published;
    this.#version = this.table.setVersion;
    this.#hasPublished = true;
  }

  /** Gives the place back. What balancers have begun may still be ended. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#keeper.stop();
    this.#members.clear();
    this.table.leave();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What others have published since. */
  #adopt(): void {
    const before = this.#published;
    if (this.#hasPublished && this.table.setVersion !== this.#version) {
      // A leader that stood still while it published, and was replaced, has gone on: what it has left may be neither its set nor ours.
      this.#write(before);
      return;
    }
    if (!this.#read()) return;
    this.#forEach((member) => {
      const text = this.#published.get(member.name);
      if (text !== undefined && text !== before.get(member.name)) member.onPublished(JSON.parse(text) as readonly PlainBackend[]);
    });
  }

  /** @returns whether there is something else now */
  #read(): boolean {
    if (this.table.setVersion === this.#version) return false;
    const found = this.table.readSet();
    if (found === null) return false;
    this.#version = found.version;
    this.#published = new Map(Object.entries(JSON.parse(found.text) as Record<string, string>));
    return true;
  }

  #forEach(call: (member: SpaceMember) => void): void {
    // One may end another.
    for (const member of Array.from(this.#members.values())) if (this.#members.get(member.name) === member) call(member);
  }
}
