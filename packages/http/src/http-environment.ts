/** What all sessions of one server or one pool share: the clock, the deadlines, the output buffer, the text of the Date field. */
import { ByteWriter } from '@ferrata/bytes';
import { type Clock, type Random, systemClock, systemRandom } from '@ferrata/clock';
import { throwCollected } from '@ferrata/error';
import { type Defer, deferToMicrotask } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';

/** Where an `HttpEnvironment` takes time from. */
export interface HttpEnvironmentOptions {
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Default: a queue of its own on `clock`. Give one to share timers. */
  readonly deadlines?: DeadlineQueue;
  /** Spreads the ages of connections. Default `systemRandom`. */
  readonly random?: Random;
  /**
   * Runs a task when the event loop has handled what came in this turn: shared connections write then, so that what many others caused leaves in
   * one write. Default: `setImmediate` where there is one and `clock` is the system's, else a microtask.
   */
  readonly endOfTurn?: Defer;
}

/** What is to be done at the end of a turn of the event loop. */
export interface TurnTask {
  runAtEndOfTurn(): void;
}

/** Shared by the sessions of one thread. */
export class HttpEnvironment {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly random: Random;
  /** Joins small writes; empty between uses, so all sessions can share it. */
  readonly writer: ByteWriter = new ByteWriter({ initialCapacity: 32_768 });
  /** The time last read by `now`: as good as fresh within a turn of the event loop that began with reading it, and a call of the system cheaper. */
  recentNow = 0;
  readonly #endOfTurn: Defer;
  #turnTasks: TurnTask[] = [];
  #dateSecond = -1;
  #dateLine = '';

  constructor(options: HttpEnvironmentOptions = {}) {
    this.clock = options.clock ?? options.deadlines?.clock ?? systemClock;
    this.deadlines = options.deadlines ?? new DeadlineQueue({ clock: this.clock });
    this.random = options.random ?? systemRandom;
    this.#endOfTurn = options.endOfTurn ?? (this.clock === systemClock ? deferToEndOfTurn : deferToMicrotask);
  }

  /** Has a task run once at the end of this turn of the event loop. */
  atEndOfTurn(task: TurnTask): void {
    if (this.#turnTasks.push(task) === 1) this.#endOfTurn(this.#runTurnTasks);
  }

  readonly #runTurnTasks = (): void => {
    const tasks = this.#turnTasks;
    this.#turnTasks = [];
    this.now();
    const thrown: unknown[] = [];
    for (const task of tasks) {
      try {
        task.runAtEndOfTurn();
      } catch (error) {
        // The others must still write.
        thrown.push(error);
      }
    }
    throwCollected(thrown, `${thrown.length} tasks at the end of a turn threw`);
  };

  /** The time, read afresh. */
  now(): number {
    return (this.recentNow = this.clock.now());
  }

  /** The value of a `Date` field for now (RFC 9110 §6.6.1), made once a second. */
  date(): string {
    const second = Math.floor(this.clock.wallNow() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#dateLine = new Date(second * 1000).toUTCString();
    }
    return this.#dateLine;
  }
}

/**
 * Node and its kin run immediates when all input of a turn has been handled. A microtask runs after each piece of it: with answers from a hundred
 * upstream connections in one turn, that would be a hundred writes to the client who waits for all of them.
 */
const { setImmediate } = globalThis as { readonly setImmediate?: (task: () => void) => unknown };
const deferToEndOfTurn: Defer = setImmediate === undefined ? deferToMicrotask : (task) => void setImmediate(task);
