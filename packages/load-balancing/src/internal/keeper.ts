/**
 * What goes on beside the requests, four times a second in each thread: it says that it lives, sees who does not, and, in one of the threads, does what is to be done once.
 *
 * Who must be dead is told by our own ticks, not by the clock: where the whole process was stopped for a while, nobody has missed anything.
 */
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { BackendTable } from './backend-table.ts';

const TICK_MS = 250;

/** Ticks without a beat of the leader, after which another thread leads: 2 s. */
const LEADER_PATIENCE = 8;

/** Ticks without a beat of a thread, after which what it had under way is forgotten: 10 s. */
const THREAD_PATIENCE = 40;

/** What a keeper keeps. */
export interface KeeperHost {
  /** There is something to lead for. */
  mayLead(): boolean;
  /** In each thread, with each tick. */
  onTick(): void;
  /** This thread leads from now on. */
  onLead(): void;
  /** With each tick while it does. */
  onLeaderTick(): void;
  /** It does not any more. */
  onResign(): void;
}

/** What another thread was last seen to do. */
interface Neighbour {
  owner: number;
  beats: number;
  /** Our ticks since. */
  silent: number;
}

/** The keeper of one thread. */
export class Keeper {
  readonly #table: BackendTable;
  readonly #host: KeeperHost;
  readonly #deadline: Deadline;
  readonly #neighbours = new Map<number, Neighbour>();
  #isRunning = false;
  #leads = false;

  constructor(table: BackendTable, deadlines: DeadlineQueue, host: KeeperHost) {
    this.#table = table;
    this.#host = host;
    this.#deadline = deadlines.deadline(() => this.#tick());
  }

  get leads(): boolean {
    return this.#leads;
  }

  start(): void {
    if (this.#isRunning) {
      this.#tryLead();
      return;
    }
    this.#isRunning = true;
    this.#tick();
  }

  /** Gives up the lead, and goes on otherwise. */
  yieldLead(): void {
    if (!this.#leads) return;
    this.#table.resign();
    this.#resign();
  }

  /** Gives up the lead, if it has it. */
  stop(): void {
    this.#isRunning = false;
    this.#deadline.cancel();
    this.#resign();
  }

  #tick(): void {
    if (!this.#isRunning) return;
    this.#deadline.arm(TICK_MS);
    const table = this.#table;
    if (table.beat()) {
      this.#watchOthers();
      if (!table.isLeader) this.#resign();
      this.#tryLead();
    } else this.#resign();
    this.#host.onTick();
    if (this.#leads) this.#host.onLeaderTick();
  }

  #tryLead(): void {
    const table = this.#table;
    if (this.#leads || !this.#host.mayLead()) return;
    if (table.leaderPlace === -1) table.lead(-1);
    if (!table.isLeader) return;
    this.#leads = true;
    this.#host.onLead();
  }

  #resign(): void {
    if (!this.#leads) return;
    this.#leads = false;
    this.#host.onResign();
  }

  #watchOthers(): void {
    const table = this.#table;
    for (let place = 0; place < table.maxThreads; place++) {
      if (place === table.place) continue;
      const owner = table.ownerOf(place);
      const beats = table.beatsOf(place);
      const neighbour = this.#neighbours.get(place);
      if (neighbour === undefined || neighbour.owner !== owner || neighbour.beats !== beats) {
        this.#neighbours.set(place, { owner, beats, silent: 0 });
        continue;
      }
      // Who has never beaten has not been started: it may have requests all the same. A negative owner is nobody who could be.
      if (owner === 0 || (owner > 0 && beats === 0)) continue;
      neighbour.silent++;
      if (neighbour.silent >= THREAD_PATIENCE) table.evict(place, owner);
      else if (neighbour.silent >= LEADER_PATIENCE && this.#host.mayLead() && table.leaderPlace === place) table.lead(place);
    }
  }
}
