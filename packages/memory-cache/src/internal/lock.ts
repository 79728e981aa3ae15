/**
 * What is going on about one key: its look-ups, and who waits for them.
 *
 * ```
 *              begin                    end                            (the last one: the lock is dropped)
 *   free ───────────────▶ led ─────────────────────▶ free ──▶ …
 *                          │  ▲ begin                  │ some wait: one of them begins
 *            lockAgeMs over│  │                        └──────────────────▶ led
 *                          ▼  │
 *                       led by one who is late: its look-up goes on, another may begin
 * ```
 * Look-ups are numbered in the order in which they began (`ticket`). What one finds counts only if none that began later has been
 * counted, so that a late answer never replaces a newer one.
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
  waitingSince = 0;
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

const nobody = 0;

export class Lock<K, V, E> {
  readonly key: K;
  /** For the first of those who wait; made when somebody waits. */
  deadline: Deadline | null = null;
  readonly #lockAgeMs: number;
  #lastTicket = nobody;
  /** Whose look-up the others wait for. */
  #leader = nobody;
  #ledSince = 0;
  /** The newest look-up that has found something. */
  #counted = nobody;
  #pendingCount = 0;
  #firstWaiter: Caller<K, V, E> | null = null;
  #lastWaiter: Caller<K, V, E> | null = null;
  #waiterCount = 0;

  constructor(key: K, lockAgeMs: number) {
    this.key = key;
    this.#lockAgeMs = lockAgeMs;
  }

  /** True if nothing is going on any more. */
  get isIdle(): boolean {
    return this.#pendingCount === 0 && this.#waiterCount === 0;
  }

  get isLed(): boolean {
    return this.#leader !== nobody;
  }

  get waiterCount(): number {
    return this.#waiterCount;
  }

  /** When the leader's look-up is no longer to be waited for alone. */
  get lateAt(): number {
    return this.#ledSince + this.#lockAgeMs;
  }

  /** Since when the first of the waiters has been waiting; `Infinity` if there is none. */
  get waitingSince(): number {
    return this.#firstWaiter?.waitingSince ?? Infinity;
  }

  /** True while a look-up is going on that others should wait for. With a clock that goes back: longer by as much. */
  isLedAt(now: number): boolean {
    return this.#leader !== nobody && now < this.lateAt;
  }

  /** Notes that a look-up begins, which is the one to wait for if there is none. @returns its ticket, for `count` and `end` */
  begin(now: number): number {
    this.#pendingCount++;
    this.#lastTicket++;
    if (!this.isLedAt(now)) {
      this.#leader = this.#lastTicket;
      this.#ledSince = now;
    }
    return this.#lastTicket;
  }

  /** True if no look-up that began later than this one has been counted. */
  isNews(ticket: number): boolean {
    return ticket > this.#counted;
  }

  /** Notes that a look-up has found something. */
  count(ticket: number): void {
    this.#counted = ticket;
  }

  /** Notes that a look-up is over, whether it found something or not. */
  end(ticket: number): void {
    this.#pendingCount--;
    if (this.#leader === ticket) this.#leader = nobody;
  }

  addWaiter(caller: Caller<K, V, E>, now: number): void {
    caller.waitingSince = now;
    if (this.#lastWaiter === null) this.#firstWaiter = caller;
    else this.#lastWaiter.next = caller;
    this.#lastWaiter = caller;
    this.#waiterCount++;
  }

  /** Takes the one out who has been waiting longest. */
  takeWaiter(): Caller<K, V, E> | undefined {
    const caller = this.#firstWaiter;
    if (caller === null) return undefined;
    this.#firstWaiter = caller.next;
    if (caller.next === null) this.#lastWaiter = null;
    // It may wait again, at another place.
    caller.next = null;
    this.#waiterCount--;
    return caller;
  }
}
