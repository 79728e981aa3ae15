/**
 * What has been told lately, known to all threads of a process: what happens in each of them is told by one.
 *
 * ```
 *   SharedArrayBuffer: 1 024 slots, each found by the hash of what was told
 *   Int32 tags (the hash; 0: free) | Int32 counts (untold since) | BigInt64 times (when it may be told again, in ms)
 * ```
 * Where many things are told, one may take the slot of another, which is then told once more than it had to be: never less. (Two with the same hash of 32 bits are one.)
 */

const SLOTS = 1_024;
/** Slots looked at for one hash. */
const MAX_LOOKS = 8;
const COUNTS_AT = SLOTS * 4;
const TIMES_AT = SLOTS * 8;
const TOTAL_BYTES = SLOTS * 16;

/** Remembers what was told. */
export class ToldMemory {
  /** For other threads. */
  readonly buffer: SharedArrayBuffer;
  readonly #tags: Int32Array;
  readonly #counts: Int32Array;
  readonly #againAt: BigInt64Array;

  /** @param buffer that of another thread. Default: nothing was told yet */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(TOTAL_BYTES)) {
    this.buffer = buffer;
    this.#tags = new Int32Array(buffer, 0, SLOTS);
    this.#counts = new Int32Array(buffer, COUNTS_AT, SLOTS);
    this.#againAt = new BigInt64Array(buffer, TIMES_AT, SLOTS);
  }

  /**
   * Asks whether something is to be told now; whoever is told so tells it.
   *
   * @param now milliseconds, the same in all threads
   * @param quietMs how long it is not told again after this time
   * @returns how often it was not told since the last time; null: it was told less than `quietMs` ago
   */
  claim(what: string, now: number, quietMs: number): number | null {
    const slot = this.#slotOf(hashOf(what));
    const againAt = Atomics.load(this.#againAt, slot);
    const isDue = BigInt(Math.floor(now)) >= againAt;
    if (isDue && Atomics.compareExchange(this.#againAt, slot, againAt, BigInt(Math.floor(now + quietMs))) === againAt)
      return Atomics.exchange(this.#counts, slot, 0);
    Atomics.add(this.#counts, slot, 1);
    return null;
  }

  #slotOf(tag: number): number {
    const first = (tag >>> 0) % SLOTS;
    for (let look = 0; look < MAX_LOOKS; look++) {
      const slot = (first + look) % SLOTS;
      const found = Atomics.compareExchange(this.#tags, slot, 0, tag);
      if (found === 0 || found === tag) return slot;
    }
    Atomics.store(this.#tags, first, tag);
    Atomics.store(this.#againAt, first, 0n);
    Atomics.store(this.#counts, first, 0);
    return first;
  }
}

/** FNV-1a over the UTF-16 units; never 0. */
function hashOf(text: string): number {
  let hash = 0x81_1c_9d_c5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01_00_01_93);
  return hash | 0 || 1;
}
