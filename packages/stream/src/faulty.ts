/**
 * A stream that fails as planned: at a byte offset of either direction it is reset, stalls, ends, loses, delays or changes bytes.
 *
 * A plan is plain data, so it can be drawn from a seed, printed, shrunk and played again. Offsets count the bytes of one direction from 0, as
 * they would have flowed without faults; a fault beyond the last byte never happens. `reset` and `end` happen as soon as that many bytes have
 * passed (at 0: soon after the first `attach`), the others when the byte at the offset comes.
 *
 * | fault     | from its offset on                                                                    |
 * |-----------|---------------------------------------------------------------------------------------|
 * | `reset`   | the stream fails for both sides: `io CONNECTION_RESET`                                |
 * | `stall`   | nothing moves any more in this direction, the end neither; the writer feels it        |
 * | `end`     | the direction ends; later bytes are lost without a word                               |
 * | `truncate`| `bytes` bytes are lost (default: all the rest), the end still comes                   |
 * | `delay`   | all that follows waits `ms`                                                           |
 * | `corrupt` | `bytes` bytes (default 1) are changed by exclusive or with `mask` (default 0xff)      |
 */
import { ByteQueue } from '@ferrata/bytes';
import type { Clock, Wakeup } from '@ferrata/clock';
import { ioError, unreachable } from '@ferrata/error';
import type { Defer } from './defer.ts';
import type { L4Stream } from './l4-stream.ts';
import { type FilterOutlet, filtered, type StreamFilter } from './stream-filter.ts';

/** One fault in one direction. `incoming`: towards the sink; `outgoing`: what is written. */
export type Fault = FaultPlace & FaultEffect;

/** Where a fault happens. */
export interface FaultPlace {
  readonly direction: 'incoming' | 'outgoing';
  /** Byte offset in that direction; a whole number ≥ 0. */
  readonly at: number;
}

/** What a fault does. */
export type FaultEffect =
  | { readonly kind: 'reset' }
  | { readonly kind: 'stall' }
  | { readonly kind: 'end' }
  | { readonly kind: 'truncate'; readonly bytes?: number }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'corrupt'; readonly bytes?: number; readonly mask?: number };

/** Faults in any order; those of equal place happen in the order given. */
export type FaultPlan = readonly Fault[];

/** What `faulty` needs besides the plan. */
export interface FaultyOptions {
  /** Needed if the plan has a `delay`. */
  readonly clock?: Clock;
  /** Default: microtasks. */
  readonly defer?: Defer;
}

/**
 * `stream` with the faults of `plan`.
 *
 * @throws {RangeError} if an offset or a length of the plan is out of range
 * @throws {TypeError} if the plan has a delay and no clock was given
 */
export function faulty(stream: L4Stream, plan: FaultPlan, options: FaultyOptions = {}): L4Stream {
  for (const fault of plan) checkFault(fault, options.clock);
  const make = (direction: Fault['direction']) => {
    const faults = plan.filter((fault) => fault.direction === direction).toSorted((x, y) => x.at - y.at);
    return (outlet: FilterOutlet) => new FaultFilter(outlet, faults, options.clock ?? null);
  };
  return filtered(stream, { incoming: make('incoming'), outgoing: make('outgoing'), defer: options.defer });
}

/** A plan as one line of text, such as `incoming@120 reset, outgoing@0 delay 50`. */
export function formatFaultPlan(plan: FaultPlan): string {
  return plan.length === 0 ? 'no faults' : plan.map(formatFault).join(', ');
}

function formatFault(fault: Fault): string {
  const place = `${fault.direction}@${fault.at} ${fault.kind}`;
  switch (fault.kind) {
    case 'reset':
    case 'stall':
    case 'end':
      return place;
    case 'truncate':
      return fault.bytes === undefined ? place : `${place} ${fault.bytes}`;
    case 'delay':
      return `${place} ${fault.ms}`;
    case 'corrupt':
      return `${place} ${fault.bytes ?? 1} 0x${(fault.mask ?? 0xff).toString(16)}`;
    default:
      return unreachable(fault);
  }
}

function checkFault(fault: Fault, clock: Clock | undefined): void {
  const lengths = [fault.at, fault.kind === 'truncate' || fault.kind === 'corrupt' ? (fault.bytes ?? 0) : 0];
  if (lengths.some((length) => !(Number.isInteger(length) && length >= 0))) {
    throw new RangeError(`offsets and lengths of a fault must be whole numbers from 0: ${formatFault(fault)}`);
  }
  if (fault.kind === 'delay' && clock === undefined) throw new TypeError('a plan with a delay needs a clock');
}

/**
 * The faults of one direction.
 *
 * ```text
 *   flowing ──delay──► waiting ──clock──► flowing
 *      │ └────stall──────────────────────► stalled
 *      └──end, reset─────────────────────► over
 * ```
 */
class FaultFilter implements StreamFilter {
  readonly #outlet: FilterOutlet;
  readonly #faults: Fault[];
  readonly #clock: Clock | null;
  readonly #held = new ByteQueue();
  #mode: 'flowing' | 'waiting' | 'stalled' | 'over' = 'flowing';
  #offset = 0;
  #hasEnd = false;
  #loseUntil = 0;
  #changeUntil = 0;
  #mask = 0;
  #wakeup: Wakeup | null = null;

  constructor(outlet: FilterOutlet, faults: Fault[], clock: Clock | null) {
    this.#outlet = outlet;
    this.#faults = faults;
    this.#clock = clock;
  }

  get heldBytes(): number {
    return this.#held.byteLength;
  }

  get isBlocked(): boolean {
    return this.#mode === 'waiting' || this.#mode === 'stalled';
  }

  start(): void {
    this.#applyPassedFaults();
  }

  data(chunk: Uint8Array): void {
    if (this.#mode === 'over') return;
    this.#held.push(chunk);
    this.#flow();
  }

  end(): void {
    this.#hasEnd = true;
    this.#flow();
  }

  close(): void {
    this.#mode = 'over';
    this.#held.clear();
    this.#wakeup?.cancel();
    this.#wakeup = null;
  }

  /** Moves held bytes on, up to each fault in turn. */
  #flow(): void {
    while (this.#mode === 'flowing' && this.#held.byteLength > 0) {
      const next = this.#faults[0];
      if (next !== undefined && next.at <= this.#offset) {
        this.#faults.shift();
        this.#apply(next);
        continue;
      }
      this.#pass(this.#held.takeUpTo(Math.min(next === undefined ? Infinity : next.at - this.#offset, this.#bytesToNextChange())));
      this.#applyPassedFaults();
    }
    if (this.#mode === 'flowing' && this.#hasEnd) {
      this.#mode = 'over';
      this.#outlet.end();
    }
  }

  #bytesToNextChange(): number {
    if (this.#offset < this.#loseUntil) return this.#loseUntil - this.#offset;
    return this.#offset < this.#changeUntil ? this.#changeUntil - this.#offset : Infinity;
  }

  #pass(chunk: Uint8Array): void {
    const from = this.#offset;
    this.#offset += chunk.byteLength;
    if (from < this.#loseUntil) return;
    // A copy: the chunk may be a view of bytes that somebody else still has.
    const mask = this.#mask;
    this.#outlet.data(from < this.#changeUntil ? chunk.map((byte) => byte ^ mask) : chunk);
  }

  /** `reset` and `end` need no further byte: they happen once those before their offset have passed. */
  #applyPassedFaults(): void {
    while (this.#mode === 'flowing') {
      const next = this.#faults[0];
      if (next === undefined || next.at > this.#offset || (next.kind !== 'reset' && next.kind !== 'end')) return;
      this.#faults.shift();
      this.#apply(next);
    }
  }

  #apply(fault: Fault): void {
    switch (fault.kind) {
      case 'reset':
        this.#mode = 'over';
        this.#held.clear();
        this.#outlet.fail(ioError('CONNECTION_RESET', 'a planned fault', { retry: 'ifReused', context: formatFault(fault) }));
        break;
      case 'stall':
        this.#mode = 'stalled';
        break;
      case 'end':
        this.#mode = 'over';
        this.#held.clear();
        this.#outlet.end();
        break;
      case 'truncate':
        this.#loseUntil = Math.max(this.#loseUntil, this.#offset + (fault.bytes ?? Infinity));
        break;
      case 'delay':
        this.#wait(fault.ms);
        break;
      case 'corrupt':
        this.#changeUntil = this.#offset + (fault.bytes ?? 1);
        this.#mask = fault.mask ?? 0xff;
        break;
    }
  }

  #wait(ms: number): void {
    this.#mode = 'waiting';
    this.#wakeup =
      this.#clock?.schedule(ms, () => {
        this.#wakeup = null;
        this.#mode = 'flowing';
        this.#flow();
        if (!this.isBlocked) this.#outlet.released();
      }) ?? null;
  }
}
