/**
 * A stream with limits: so many bytes in all, so many bytes a second, each way.
 *
 * A total that is exceeded ends the stream with a `limit` error, after the bytes up to the limit have passed. A rate never fails anything: bytes
 * wait, and the source feels it as back-pressure. The rate is a token bucket: `burstBytes` may pass at once after a rest.
 */
import { ByteQueue } from '@ferrata/bytes';
import { checkNumber, limitError } from '@ferrata/error';
import type { Deadline, DeadlineQueue } from '@ferrata/timeout';
import type { Defer } from './defer.ts';
import type { L4Stream } from './l4-stream.ts';
import { type FilterOutlet, filtered, type StreamFilter } from './stream-filter.ts';

/** The limits of one direction. */
export interface FlowLimits {
  /** Bytes in all; ≥ 0, default unlimited. */
  readonly maxBytes?: number;
  /** Bytes a second in the long run; ≥ 1, default unlimited. */
  readonly bytesPerSecond?: number;
  /** Bytes that may pass at once after a rest; ≥ 1, default: those of a tenth of a second. Higher: fewer wake-ups, rougher flow. */
  readonly burstBytes?: number;
}

/** What `limited` limits. */
export interface LimitedOptions {
  readonly incoming?: FlowLimits;
  readonly outgoing?: FlowLimits;
  /** Needed for rates. */
  readonly deadlines?: DeadlineQueue;
  /** Default: microtasks. */
  readonly defer?: Defer;
}

/**
 * `stream` with limits. Too many bytes in all: `limit STREAM_TOO_MANY_BYTES_IN` or `…_OUT`.
 *
 * @throws {RangeError} if a limit is out of range
 * @throws {TypeError} if there is a rate and no deadline queue
 */
export function limited(stream: L4Stream, options: LimitedOptions): L4Stream {
  const { incoming, outgoing, deadlines, defer } = options;
  return filtered(stream, {
    incoming: incoming && makeFilter(incoming, 'STREAM_TOO_MANY_BYTES_IN', deadlines),
    outgoing: outgoing && makeFilter(outgoing, 'STREAM_TOO_MANY_BYTES_OUT', deadlines),
    defer,
  });
}

function makeFilter(limits: FlowLimits, reason: string, deadlines: DeadlineQueue | undefined): (outlet: FilterOutlet) => StreamFilter {
  const maxBytes = limits.maxBytes ?? Infinity;
  checkNumber('maxBytes', maxBytes, { min: 0 });
  const bucket = makeBucket(limits, deadlines);
  return (outlet) => new LimitFilter(outlet, maxBytes, reason, bucket);
}

function makeBucket({ bytesPerSecond, burstBytes }: FlowLimits, deadlines: DeadlineQueue | undefined): Bucket | null {
  if (bytesPerSecond === undefined) return null;
  if (deadlines === undefined) throw new TypeError('a rate needs a deadline queue');
  checkNumber('bytesPerSecond', bytesPerSecond, { min: 1 });
  const burst = burstBytes ?? Math.max(1, Math.ceil(bytesPerSecond / 10));
  checkNumber('burstBytes', burst, { min: 1 });
  return new Bucket(deadlines, bytesPerSecond / 1_000, burst);
}

/** Tokens, one a byte, that come with time and pile up to `burst`. */
class Bucket {
  readonly deadlines: DeadlineQueue;
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: number;

  constructor(deadlines: DeadlineQueue, perMs: number, burst: number) {
    this.deadlines = deadlines;
    this.#perMs = perMs;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = deadlines.now();
  }

  /** Takes up to `wanted` whole tokens. @returns how many */
  take(wanted: number): number {
    const now = this.deadlines.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    const taken = Math.min(wanted, Math.floor(this.#tokens));
    this.#tokens -= taken;
    return taken;
  }

  /** Milliseconds until `wanted` tokens, or as many as the bucket holds, will be there. */
  msUntil(wanted: number): number {
    return Math.max(0, Math.min(wanted, Math.max(1, Math.floor(this.#burst))) - this.#tokens) / this.#perMs;
  }
}

class LimitFilter implements StreamFilter {
  readonly #outlet: FilterOutlet;
  readonly #reason: string;
  readonly #maxBytes: number;
  readonly #bucket: Bucket | null;
  readonly #deadline: Deadline | null;
  readonly #held = new ByteQueue();
  #bytesLeft: number;
  #hasEnd = false;
  #isOver = false;

  constructor(outlet: FilterOutlet, maxBytes: number, reason: string, bucket: Bucket | null) {
    this.#outlet = outlet;
    this.#reason = reason;
    this.#maxBytes = maxBytes;
    this.#bytesLeft = maxBytes;
    this.#bucket = bucket;
    this.#deadline = bucket?.deadlines.deadline(() => this.#wake()) ?? null;
  }

  get heldBytes(): number {
    return this.#held.byteLength;
  }

  get isBlocked(): boolean {
    return this.#held.byteLength > 0;
  }

  data(chunk: Uint8Array): void {
    if (this.#isOver) return;
    this.#held.push(chunk);
    // While the deadline is armed the bucket is empty, and a new chunk waits behind those already held.
    if (this.#deadline?.isArmed !== true) this.#flow();
  }

  end(): void {
    this.#hasEnd = true;
    this.#endIfDone();
  }

  close(): void {
    this.#isOver = true;
    this.#held.clear();
    this.#deadline?.cancel();
  }

  #wake(): void {
    this.#flow();
    if (!this.isBlocked) this.#outlet.released();
  }

  #flow(): void {
    while (!this.#isOver && this.#held.byteLength > 0) {
      if (this.#bytesLeft === 0) {
        this.#isOver = true;
        this.#held.clear();
        this.#outlet.fail(limitError(this.#reason, `more than ${this.#maxBytes} bytes`));
        return;
      }
      const wanted = Math.min(this.#held.byteLength, this.#bytesLeft);
      const allowed = this.#bucket === null ? wanted : this.#bucket.take(wanted);
      if (allowed === 0) {
        this.#waitFor(wanted);
        return;
      }
      this.#pass(allowed);
    }
    this.#endIfDone();
  }

  #pass(count: number): void {
    for (let left = count; left > 0 && !this.#isOver; ) {
      const chunk = this.#held.takeUpTo(left);
      left -= chunk.byteLength;
      this.#bytesLeft -= chunk.byteLength;
      this.#outlet.data(chunk);
    }
  }

  #waitFor(wanted: number): void {
    if (this.#bucket !== null) this.#deadline?.arm(this.#bucket.msUntil(wanted));
  }

  #endIfDone(): void {
    if (!this.#hasEnd || this.#isOver || this.#held.byteLength > 0) return;
    this.#isOver = true;
    this.#outlet.end();
  }
}
