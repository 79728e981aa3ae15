/**
 * The keys of session tickets (RFC 5077, RFC 8446 §4.6.1), shared by all threads that serve the same clients.
 *
 * ```
 *   SharedArrayBuffer: one Int32 pair, one Float64, three slots
 *   0 generation   4 lock: 0, or since when   8 time of the last rotation   16 slot 0   64 slot 1   112 slot 2
 *   a slot, as Node wants it (`ticketKeys`): 16 bytes name | 16 HMAC | 16 AES
 * ```
 * Rules: generation g lies in slot g mod 3, and the one before it is still taken. A rotation writes the third slot, which nobody reads, and then counts the
 * generation up: a thread reads whole keys without waiting. Any thread may rotate, the first that finds it due does; who holds an old key can read
 * what it protects, so they are forgotten after two rotations.
 */
import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '@ferrata/clock';
import { checkNumber } from '@ferrata/error';

const generationAt = 0;
const lockAt = 1;
/** In Float64s. */
const rotatedAt = 1;
const slotsAt = 16;
const keyBytes = 48;
const nameBytes = 16;
const slotCount = 3;
/** A rotation takes microseconds. */
const staleLockMs = 10_000;
const totalBytes = slotsAt + slotCount * keyBytes;

/** Options of `TicketKeys`. */
export interface TicketKeysOptions {
  /**
   * How long a key makes tickets, from 1 000 on; it is taken for as long again. Default 43 200 000 (12 hours); `Infinity`: until `rotate` is called. Longer: clients resume
   * after longer absences, and a key that leaks opens more of the recorded traffic.
   */
  readonly rotationMs?: number;
  /** The `buffer` of other keys: of another thread. Default: new keys. */
  readonly buffer?: SharedArrayBuffer;
  /** Its time must be that of all threads, as that of `systemClock` is. Default `systemClock`. */
  readonly clock?: Clock;
}

/** Keys of one generation and the one before it. */
export interface TicketKeyPair {
  readonly generation: number;
  /** 48 bytes. */
  readonly current: Uint8Array;
  /** Null in the first generation. */
  readonly previous: Uint8Array | null;
}

/** Session ticket keys that rotate. Post `buffer` to other threads, and make their `TicketKeys` of it. */
export class TicketKeys {
  /** What the threads share. Keep it as secret as a private key. */
  readonly buffer: SharedArrayBuffer;
  readonly rotationMs: number;
  readonly #clock: Clock;
  readonly #ints: Int32Array;
  readonly #times: Float64Array;
  readonly #bytes: Uint8Array;

  /** @throws {RangeError} if an option is out of range @throws {TypeError} if `buffer` is not that of other keys */
  constructor(options: TicketKeysOptions = {}) {
    this.rotationMs = checkNumber('rotationMs', options.rotationMs ?? 43_200_000, { min: 1000 });
    this.#clock = options.clock ?? systemClock;
    const { buffer } = options;
    if (buffer !== undefined && !(buffer instanceof SharedArrayBuffer && buffer.byteLength === totalBytes)) {
      throw new TypeError('buffer must be that of other TicketKeys');
    }
    this.buffer = buffer ?? new SharedArrayBuffer(totalBytes);
    this.#ints = new Int32Array(this.buffer, 0, 2);
    this.#times = new Float64Array(this.buffer, 0, 2);
    this.#bytes = new Uint8Array(this.buffer);
    if (buffer === undefined) this.#write(1);
    // A blank one has keys that everybody knows.
    else if (this.generation < 1) throw new TypeError('buffer must be that of other TicketKeys: this one has no keys');
  }

  /** How often the keys were made anew, counted from 1. */
  get generation(): number {
    return Atomics.load(this.#ints, generationAt);
  }

  /** Makes a new key. Tickets under the one of before are still taken, until the next rotation. Done by another thread at this moment, it isn't done twice. */
  rotate(): void {
    this.#rotateFrom(this.generation);
  }

  /** Rotates if it is due. @returns the generation; costs a look at the clock */
  refresh(): number {
    const generation = this.generation;
    if (this.rotationMs === Infinity) return generation;
    const age = this.#clock.now() - (this.#times[rotatedAt] as number);
    // Nobody may have looked for long: a key that should have been forgotten is not to be the previous one now.
    if (age >= this.rotationMs) this.#rotateFrom(generation, age >= 2 * this.rotationMs ? 2 : 1);
    return this.generation;
  }

  /** A copy of the keys. */
  read(): TicketKeyPair {
    // A slot that is read is written again only two rotations later: a second look is all it takes.
    for (;;) {
      const generation = this.generation;
      const current = this.#slot(generation).slice();
      const previous = generation === 1 ? null : this.#slot(generation - 1).slice();
      if (generation === this.generation) return { generation, current, previous };
    }
  }

  #rotateFrom(generation: number, times = 1): void {
    const mark = this.#lock();
    if (mark === 0) return;
    if (this.generation === generation) for (let i = 1; i <= times; i++) this.#write(generation + i);
    Atomics.compareExchange(this.#ints, lockAt, mark, 0);
  }

  /** The lock is the time at which it was taken, so that one of a thread that was terminated under it can be told. @returns 0 if another thread has it */
  #lock(): number {
    const mark = Math.floor(this.#clock.now()) | 0 || 1;
    const found = Atomics.compareExchange(this.#ints, lockAt, 0, mark);
    if (found === 0) return mark;
    const isStale = Math.abs((mark - found) | 0) > staleLockMs;
    return isStale && Atomics.compareExchange(this.#ints, lockAt, found, mark) === found ? mark : 0;
  }

  #write(generation: number): void {
    this.#slot(generation).set(randomBytes(keyBytes));
    this.#times[rotatedAt] = this.#clock.now();
    Atomics.store(this.#ints, generationAt, generation);
  }

  #slot(generation: number): Uint8Array {
    const at = slotsAt + (generation % slotCount) * keyBytes;
    return this.#bytes.subarray(at, at + keyBytes);
  }
}

/** Whether a ticket was made with a key: both begin with the key's name (RFC 5077 §4). @param ticketName the ticket's first 16 bytes */
export function isNamed(key: Uint8Array, ticketName: Uint8Array): boolean {
  if (ticketName.length !== nameBytes) return false;
  for (let i = 0; i < nameBytes; i++) if (ticketName[i] !== key[i]) return false;
  return true;
}
