/**
 * Exchanges of an HTTP/2 connection whose clients do not take what was sent, and that have bounds of their own for that (`ExchangeSettings`). All others are looked after by
 * the machine (`stallTimeoutMs`) and by the carrier.
 *
 * An exchange is here from the `false` of its `sendData`, or from its end if much is queued then, until its queue has room or it is over. The client takes something if the queue of its
 * stream gets shorter; or if what the connection holds does, as the stream's turn comes behind that.
 */
import { allowedMs, hasRate, isSameBounds, type WaitingBytes, type WriteBounds, WriteProgress } from './write-progress.ts';

/** An exchange, as far as this must know it. */
export interface SlowExchange {
  readonly stream: { readonly queuedBytes: number };
}

/** One exchange that waits. */
class SlowReader {
  readonly #queue: WaitingBytes;
  readonly #connection: WaitingBytes;
  readonly bounds: WriteBounds;
  readonly #queueProgress = new WriteProgress();
  readonly #connectionProgress = new WriteProgress();
  /** When all that waited must be taken, where a rate holds. */
  readonly #takenBy: number;

  constructor({ stream }: SlowExchange, connection: WaitingBytes, bounds: WriteBounds, now: number) {
    this.#queue = {
      get bufferedBytes(): number {
        return stream.queuedBytes;
      },
    };
    this.#connection = connection;
    this.bounds = bounds;
    this.#begin(now);
    this.#takenBy = now + allowedMs(stream.queuedBytes + connection.bufferedBytes, bounds);
  }

  get dueAt(): number {
    return hasRate(this.bounds) ? this.#takenBy : this.#queueProgress.dueAt(this.bounds);
  }

  isStalled(now: number): boolean {
    if (now < this.dueAt) return false;
    if (hasRate(this.bounds)) return true;
    const hasMoved = this.#queueProgress.hasMoved(this.#queue, now) || this.#connectionProgress.hasMoved(this.#connection, now);
    if (hasMoved) this.#begin(now);
    return !hasMoved;
  }

  #begin(now: number): void {
    this.#queueProgress.begin(this.#queue, now);
    this.#connectionProgress.begin(this.#connection, now);
  }
}

/** The exchanges with bounds of their own that wait for their client. */
export class SlowReaders<Exchange extends SlowExchange> {
  readonly #connection: WaitingBytes;
  readonly #waiting = new Map<Exchange, SlowReader>();
  /** When to call `takeStalled`; never later than the first that is due. */
  dueAt = Number.POSITIVE_INFINITY;

  /** @param connection what waits below, if it must wait there */
  constructor(connection: WaitingBytes) {
    this.#connection = connection;
  }

  /** An exchange begins to wait, or may have other bounds: its time begins, and not again by the same. */
  begin(exchange: Exchange, bounds: WriteBounds, now: number): void {
    const before = this.#waiting.get(exchange);
    if (before !== undefined && isSameBounds(before.bounds, bounds)) return;
    const reader = new SlowReader(exchange, this.#connection, bounds, now);
    this.#waiting.set(exchange, reader);
    this.dueAt = Math.min(this.dueAt, reader.dueAt);
  }

  /** An exchange waits no more. */
  end(exchange: Exchange): void {
    this.#waiting.delete(exchange);
  }

  /** @returns those that have waited for too long; each is gone from here */
  takeStalled(now: number): Exchange[] {
    const stalled: Exchange[] = [];
    this.dueAt = Number.POSITIVE_INFINITY;
    for (const [exchange, reader] of this.#waiting) {
      if (reader.isStalled(now)) {
        this.#waiting.delete(exchange);
        stalled.push(exchange);
      } else {
        this.dueAt = Math.min(this.dueAt, reader.dueAt);
      }
    }
    return stalled;
  }
}
