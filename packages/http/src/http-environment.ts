/** What all sessions of one server or one pool share: the clock, the deadlines, the output buffer, the text of the Date field. */
import { ByteWriter } from '@ferrata/bytes';
import { type Clock, type Random, systemClock, systemRandom } from '@ferrata/clock';
import { DeadlineQueue } from '@ferrata/timeout';

/** Where an `HttpEnvironment` takes time from. */
export interface HttpEnvironmentOptions {
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Default: a queue of its own on `clock`. Give one to share timers. */
  readonly deadlines?: DeadlineQueue;
  /** Spreads the ages of connections. Default `systemRandom`. */
  readonly random?: Random;
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
  #dateSecond = -1;
  #dateLine = '';

  constructor(options: HttpEnvironmentOptions = {}) {
    this.clock = options.clock ?? options.deadlines?.clock ?? systemClock;
    this.deadlines = options.deadlines ?? new DeadlineQueue({ clock: this.clock });
    this.random = options.random ?? systemRandom;
  }

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
