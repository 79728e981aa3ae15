/**
 * Backends that exist only in a simulated world: each is a queue of bounded length before a few servers, and behaves as its script says.
 *
 * ```text
 *   try ──► refuses? fails? ──► a server is free? ──► served for an exponential time ──► answered
 *                                     │ no                                                │
 *                                     └──► waits, if there is room ◄── next ──────────────┘
 * ```
 * A model knows neither balancer nor clock: it is told the time, and says what is to happen when, by putting events on the agenda of its world.
 */
import type { Random } from '@ferrata/clock';

/** How a backend is at a time. */
export interface Behaviour {
  /** Whoever connects is refused. What was there when it began is reset. */
  readonly refuses: boolean;
  /** Every request is answered at once, with an error. */
  readonly fails: boolean;
  /** How many times longer than usual serving takes. */
  readonly slowness: number;
}

/** All is well. */
export const WELL: Behaviour = { refuses: false, fails: false, slowness: 1 };

/** What a backend can do. */
export interface BackendSize {
  /** Requests that it serves at once. */
  readonly servers: number;
  /** How long serving one takes on average, ms. */
  readonly meanMs: number;
  /** Requests that may wait; those beyond are answered with an error. */
  readonly maxWaiting: number;
}

/** How a try ended. */
export type TryEnd = 'answered' | 'refused' | 'reset' | 'failed' | 'full' | 'timedOut';

/** A try of a request at a backend. */
export interface SimulatedTry {
  /** Its backend, by place in the list. */
  readonly place: number;
  state: 'on its way' | 'waiting' | 'served' | 'over';
}

/** Something that happens to a try at a time. */
export interface TryEvent<Try extends SimulatedTry> {
  readonly at: number;
  readonly order: number;
  readonly subject: Try;
  readonly end: TryEnd;
}

/** What is to happen, in the order of time; of equal times what was put in first. */
export class Agenda<Try extends SimulatedTry> {
  readonly #heap: TryEvent<Try>[] = [];
  #order = 0;

  get nextAt(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  put(at: number, subject: Try, end: TryEnd): void {
    const event: TryEvent<Try> = { at, order: this.#order++, subject, end };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const above = (index - 1) >>> 1;
      const other = heap[above] as TryEvent<Try>;
      if (!isBefore(event, other)) break;
      heap[index] = other;
      index = above;
    }
    heap[index] = event;
  }

  take(): TryEvent<Try> | null {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (last === first) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as TryEvent<Try>, heap[below] as TryEvent<Try>)) below++;
      const other = heap[below] as TryEvent<Try>;
      if (!isBefore(other, last)) break;
      heap[index] = other;
      index = below;
    }
    heap[index] = last;
    return first;
  }
}

/** What it takes until a refusal, or an error that is answered at once, is heard of, ms. */
const QUICK_MS = 0.5;

/** One backend. */
export class SimulatedBackend<Try extends SimulatedTry> {
  readonly size: BackendSize;
  readonly #agenda: Agenda<Try>;
  readonly #random: Random;
  #behaviour = WELL;
  #waiting: Try[] = [];
  /** Where the queue begins: what is before has been served. */
  #head = 0;
  /** Of those in the queue, how many have given up. */
  #gone = 0;
  readonly #served = new Set<Try>();

  constructor(size: BackendSize, agenda: Agenda<Try>, random: Random) {
    this.size = size;
    this.#agenda = agenda;
    this.#random = random;
  }

  get behaviour(): Behaviour {
    return this.#behaviour;
  }

  /** It is otherwise from now on. */
  behave(behaviour: Behaviour, now: number): void {
    this.#behaviour = behaviour;
    if (!behaviour.refuses) return;
    // The process has gone, and all it had with it.
    const lost = [...this.#served, ...this.#waiting.slice(this.#head)];
    this.#served.clear();
    this.#waiting = [];
    this.#head = 0;
    this.#gone = 0;
    for (const one of lost) {
      if (one.state === 'over') continue;
      one.state = 'on its way';
      this.#agenda.put(now + QUICK_MS, one, 'reset');
    }
  }

  /** A try has come. */
  receive(one: Try, now: number): void {
    const { refuses, fails } = this.#behaviour;
    if (refuses) this.#agenda.put(now + QUICK_MS, one, 'refused');
    else if (fails) this.#agenda.put(now + QUICK_MS, one, 'failed');
    else if (this.#served.size < this.size.servers) this.#serve(one, now);
    else if (this.#waiting.length - this.#head - this.#gone >= this.size.maxWaiting) this.#agenda.put(now + QUICK_MS, one, 'full');
    else {
      one.state = 'waiting';
      this.#waiting.push(one);
    }
  }

  /** What was served has come to its end; the next one is. @returns false: it was lost meanwhile */
  finish(one: Try, now: number): boolean {
    if (!this.#served.delete(one)) return false;
    while (this.#head < this.#waiting.length) {
      const next = this.#waiting[this.#head++] as Try;
      if (next.state === 'over') {
        this.#gone--;
        continue;
      }
      this.#serve(next, now);
      break;
    }
    if (this.#head > 1_024) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return true;
  }

  /** Whoever asked does not wait any longer: what waits is not served, what is being served is served to its end. */
  giveUp(one: Try): void {
    if (one.state === 'waiting') this.#gone++;
    one.state = 'over';
  }

  #serve(one: Try, now: number): void {
    one.state = 'served';
    this.#served.add(one);
    const serviceMs = -Math.log(1 - this.#random.next()) * this.size.meanMs * this.#behaviour.slowness;
    this.#agenda.put(now + serviceMs, one, 'answered');
  }
}

function isBefore(a: { readonly at: number; readonly order: number }, b: { readonly at: number; readonly order: number }): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
