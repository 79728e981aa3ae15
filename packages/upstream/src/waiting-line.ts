/**
 * Those who wait for a place on a shared connection, or for a connection of their own, in the order of asking. Each leaves once: with a session, with an error, because it gave up,
 * because its time is over, or because it has to go elsewhere.
 */
import type { WireError } from '@ferrata/error';
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import { givenUp } from './open-stream.ts';

/** Who waits for a place. */
export interface Waiter<Session> {
  /** A session that it takes only if no other can be had. */
  readonly except: Session | null;
  readonly resolve: (session: Session | null) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly handleAbort: () => void;
  readonly deadline: Deadline;
}

/** How to wait. */
interface WaitOptions<Session> {
  readonly except: Session | null;
  /** Gives up waiting. */
  readonly signal: AbortSignal | undefined;
  /** How long. */
  readonly delayMs: number;
  /** Why it was in vain. */
  readonly lateError: () => WireError;
}

/** A line of those who wait. */
export class WaitingLine<Session> implements Iterable<Waiter<Session>> {
  readonly #waiters = new Set<Waiter<Session>>();
  readonly #deadlines: DeadlineQueue;
  readonly #onGone: () => void;

  /** @param onGone called when somebody has left without having been served */
  constructor(deadlines: DeadlineQueue, onGone: () => void) {
    this.#deadlines = deadlines;
    this.#onGone = onGone;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Who came before all the others. */
  get first(): Waiter<Session> | undefined {
    return this.#waiters.values().next().value;
  }

  [Symbol.iterator](): Iterator<Waiter<Session>> {
    return this.#waiters.values();
  }

  /** @returns null: there is nothing to wait for here, go elsewhere */
  wait({ except, signal, delayMs, lateError }: WaitOptions<Session>): Promise<Session | null> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter<Session> = {
        except,
        resolve,
        reject,
        signal,
        handleAbort: () => this.#giveUp(waiter, givenUp()),
        deadline: this.#deadlines.after(Math.min(delayMs, this.#deadlines.maxDelayMs), () => this.#giveUp(waiter, lateError())),
      };
      signal?.addEventListener('abort', waiter.handleAbort);
      this.#waiters.add(waiter);
    });
  }

  /** @param session null: there is nothing to wait for any more, as in `wait` */
  serve(waiter: Waiter<Session>, session: Session | null): void {
    this.#remove(waiter);
    waiter.resolve(session);
  }

  /** Sends everybody elsewhere. */
  redirect(): void {
    for (const waiter of this.#waiters) {
      this.#remove(waiter);
      waiter.resolve(null);
    }
  }

  fail(waiter: Waiter<Session>, reason: unknown): void {
    this.#remove(waiter);
    waiter.reject(reason);
  }

  #giveUp(waiter: Waiter<Session>, error: WireError): void {
    if (!this.#waiters.has(waiter)) return;
    this.fail(waiter, error);
    this.#onGone();
  }

  #remove(waiter: Waiter<Session>): void {
    this.#waiters.delete(waiter);
    waiter.deadline.cancel();
    waiter.signal?.removeEventListener('abort', waiter.handleAbort);
  }
}
