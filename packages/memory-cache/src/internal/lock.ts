/**
 * What is going on about one key: its look-ups, and who waits for them.
 *
 * ```
 *                     a young look-up goes on, or too many do
 *   caller ────────────────────────────────────────────────▶ queue ──▶ served by any answer that is new enough
 *      │ none                                                  │  │
 *      ▼            the newest is late or has failed           │  │ lockTimeoutMs over
 *   look-up ◀──────────────────────────────────────────────────┘  ▼
 *   (its maker)                                              rides on a look-up that began since it came
 * ```
 * Look-ups are numbered in the order in which they begin (`ticket`). Numbers up to `floor` no longer count: a later look-up has answered,
 * or `put`, `delete` or `clear` came in between. Each caller keeps the floor that it found when it came, and takes answers above that: so
 * those who came before a `delete` may have an older answer, and those who came after may not. Floors only rise, so who may have an answer
 * stands in front of who may not.
 */
import type { Deadline } from '@ferrata/timeout';

/** Where a value comes from that the cache didn't have. */
export type FoundStatus = 'miss' | 'expired' | 'lockHit';

/** One who wants the value of a key that the cache doesn't have, and a link in the list of those who wait. */
export class Caller<K, V, E> {
  readonly key: K;
  readonly extra: E | undefined;
  readonly ttlMs: number | undefined;
  /** What the cache knew when the caller came. */
  readonly status: 'miss' | 'expired';
  readonly resolve: (value: V, status: FoundStatus) => void;
  readonly reject: (error: Error) => void;
  /** Set once, however often what it waits for changes. */
  waitingSince = 0;
  /** Answers with numbers above this one are new enough. */
  floor = 0;
  /** The number of the last look-up that had begun when the caller came. */
  cameAfter = 0;
  next: Caller<K, V, E> | null = null;

  constructor(wish: Pick<Caller<K, V, E>, 'key' | 'extra' | 'ttlMs' | 'status' | 'resolve' | 'reject'>) {
    this.key = wish.key;
    this.extra = wish.extra;
    this.ttlMs = wish.ttlMs;
    this.status = wish.status;
    this.resolve = wish.resolve;
    this.reject = wish.reject;
  }
}

/** Callers in the order in which they came. */
class CallerQueue<K, V, E> {
  first: Caller<K, V, E> | null = null;
  last: Caller<K, V, E> | null = null;
  count = 0;

  add(caller: Caller<K, V, E>): void {
    if (this.last === null) this.first = caller;
    else this.last.next = caller;
    this.last = caller;
    this.count++;
  }

  take(): Caller<K, V, E> | undefined {
    const caller = this.first;
    if (caller === null) return undefined;
    this.first = caller.next;
    if (caller.next === null) this.last = null;
    // It may wait again, at another place.
    caller.next = null;
    this.count--;
    return caller;
  }
}

/** A look-up that goes on. */
export class LookUp<K, V, E> {
  readonly ticket: number;
  readonly begunAt: number;
  /** Who made it; null when nobody waits for it, or its maker has been served by another answer. */
  maker: Caller<K, V, E> | null;
  /** Those whose `lockTimeoutMs` is over, and who end as this look-up does. */
  readonly riders = new CallerQueue<K, V, E>();

  constructor(ticket: number, begunAt: number, maker: Caller<K, V, E> | null) {
    this.ticket = ticket;
    this.begunAt = begunAt;
    this.maker = maker;
  }
}

export class Lock<K, V, E> {
  readonly key: K;
  /** For the first of those who wait; made when somebody waits. */
  deadline: Deadline | null = null;
  /** What the deadline is armed for. */
  dueAt = Infinity;
  readonly #lockAgeMs: number;
  readonly #maxLookUps: number;
  /** In the order in which they began. */
  readonly #lookUps: LookUp<K, V, E>[] = [];
  readonly #queue = new CallerQueue<K, V, E>();
  #lastTicket = 0;
  #floor = 0;
  #riderCount = 0;

  constructor(key: K, lockAgeMs: number, maxLookUps: number) {
    this.key = key;
    this.#lockAgeMs = lockAgeMs;
    this.#maxLookUps = maxLookUps;
  }

  /** True if nothing is going on any more. */
  get isIdle(): boolean {
    return this.#lookUps.length === 0 && this.#queue.count === 0;
  }

  /** True if one more look-up may begin. */
  get hasRoom(): boolean {
    return this.#lookUps.length < this.#maxLookUps;
  }

  /** All who wait for a look-up that they have not made. */
  get waiterCount(): number {
    return this.#queue.count + this.#riderCount;
  }

  /** Notes what a caller that has just come may be served with. */
  welcome(caller: Caller<K, V, E>, now: number): void {
    caller.waitingSince = now;
    caller.floor = this.#floor;
    caller.cameAfter = this.#lastTicket;
  }

  /** True if one who comes now should wait: a look-up whose answer counts is young. With a clock that goes back: for longer by as much. */
  isLedAt(now: number): boolean {
    return this.#isLed(now, this.#floor);
  }

  /** True if nobody makes the look-up that those in the queue wait for, or it is late, and another may begin. */
  needsLookUp(now: number): boolean {
    const { last } = this.#queue;
    return last !== null && this.hasRoom && !this.#isLed(now, last.floor);
  }

  /** When something has to be done for those who wait; `Infinity`: only when a look-up ends. */
  nextDueAt(lockTimeoutMs: number): number {
    const { first, last } = this.#queue;
    let dueAt = Infinity;
    if (first !== null && last !== null) {
      dueAt = first.waitingSince + lockTimeoutMs;
      const newest = this.#lookUps.at(-1);
      if (newest !== undefined && this.hasRoom) dueAt = Math.min(dueAt, this.#lateAt(newest));
    }
    if (this.#riderCount > 0) {
      for (const lookUp of this.#lookUps) if (lookUp.riders.count > 0) dueAt = Math.min(dueAt, this.#lateAt(lookUp));
    }
    return dueAt;
  }

  /** Notes that a look-up begins. */
  begin(now: number, maker: Caller<K, V, E> | null): LookUp<K, V, E> {
    const lookUp = new LookUp(++this.#lastTicket, now, maker);
    this.#lookUps.push(lookUp);
    return lookUp;
  }

  /** Notes that a look-up has found something. @returns false if that doesn't count any more */
  count({ ticket }: LookUp<K, V, E>): boolean {
    if (ticket <= this.#floor) return false;
    this.#floor = ticket;
    return true;
  }

  /** From now on no look-up counts that has begun already. */
  invalidate(): void {
    this.#floor = this.#lastTicket;
  }

  /** Gives what a look-up has found to all who may have it. */
  serve(value: V, ticket = Infinity): void {
    serveQueue(this.#queue, value, ticket);
    for (const lookUp of this.#lookUps) {
      const { maker, riders } = lookUp;
      if (maker !== null && maker.floor < ticket) {
        lookUp.maker = null;
        maker.resolve(value, 'lockHit');
      }
      this.#riderCount -= serveQueue(riders, value, ticket);
    }
  }

  /** Tells all who depend on a look-up that it has failed. */
  fail(lookUp: LookUp<K, V, E>, error: Error): void {
    lookUp.maker?.reject(error);
    lookUp.maker = null;
    this.#rejectRiders(lookUp, error);
  }

  /** Notes that a look-up is over. */
  end(lookUp: LookUp<K, V, E>): void {
    this.#lookUps.splice(this.#lookUps.indexOf(lookUp), 1);
  }

  addWaiter(caller: Caller<K, V, E>): void {
    this.#queue.add(caller);
  }

  /** Takes the one out of the queue who has been waiting longest. */
  takeWaiter(): Caller<K, V, E> | undefined {
    return this.#queue.take();
  }

  /** Takes one out of the queue who has waited long enough for others. */
  takeOverdue(now: number, lockTimeoutMs: number): Caller<K, V, E> | undefined {
    const { first } = this.#queue;
    return first !== null && first.waitingSince + lockTimeoutMs <= now ? this.#queue.take() : undefined;
  }

  /** Has an overdue caller share a look-up that is young and began after it came. @returns false if there is none */
  ride(caller: Caller<K, V, E>, now: number): boolean {
    if (!this.#isLed(now, caller.cameAfter)) return false;
    this.#lookUps.at(-1)?.riders.add(caller);
    this.#riderCount++;
    return true;
  }

  /** Rejects those who share look-ups that are late: they have waited long enough. */
  rejectLateRiders(now: number, makeError: () => Error): void {
    if (this.#riderCount === 0) return;
    for (const lookUp of this.#lookUps) {
      if (lookUp.riders.count > 0 && this.#lateAt(lookUp) <= now) this.#rejectRiders(lookUp, makeError());
    }
  }

  #rejectRiders({ riders }: LookUp<K, V, E>, error: Error): void {
    this.#riderCount -= riders.count;
    for (let caller = riders.take(); caller !== undefined; caller = riders.take()) caller.reject(error);
  }

  /** True if the newest look-up is above a floor, and young. */
  #isLed(now: number, floor: number): boolean {
    const newest = this.#lookUps.at(-1);
    return newest !== undefined && newest.ticket > floor && now < this.#lateAt(newest);
  }

  #lateAt({ begunAt }: LookUp<K, V, E>): number {
    return begunAt + this.#lockAgeMs;
  }
}

/** @returns how many it has served */
function serveQueue<K, V, E>(queue: CallerQueue<K, V, E>, value: V, ticket: number): number {
  let served = 0;
  for (; queue.first !== null && queue.first.floor < ticket; served++) queue.take()?.resolve(value, 'lockHit');
  return served;
}
