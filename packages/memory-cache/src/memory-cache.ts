/**
 * A cache in memory whose entries have a time to live, on TinyUFO, which decides what stays when there is no room for all.
 *
 * Rules:
 * - An entry is fresh until its time to live is over, and not a moment longer: at that very time it has expired.
 * - An expired entry stays where it is, so that it can still be read as stale, until it is put anew, deleted, evicted or purged. `size`
 *   and `weight` count it, and reading it counts as a use: what is asked for is the key, and whoever asked will soon put it anew.
 * - Keys are kept whole and compared: two keys never share a value, whatever their hashes are.
 * - Should the clock go back, entries live longer by as much; nothing else happens.
 *
 * Source of the behaviour: Pingora's `pingora-memory-cache` (what differs is in the README).
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { TinyUfo, type TinyUfoOptions } from '@ferrata/tinyufo';

/** Options of a `MemoryCache`: those of the `TinyUfo` that holds the entries, and what gives them weights and times. */
export interface MemoryCacheOptions<K extends string | number, V> extends TinyUfoOptions<K> {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Weighs an entry when it is put: a whole number from 1 to 65 535, of whatever unit `maxWeight` has. Default: each weighs 1. */
  readonly weigh?: (value: V, key: K) => number;
  /** Time to live of entries put without one, in milliseconds; default `Infinity`: they don't expire. 0: they aren't stored. */
  readonly defaultTtlMs?: number;
}

/**
 * What a cache knows of a key: `hit` is a fresh value; `stale` one that expired `staleMs` ago, no longer than was allowed; `expired` one
 * that is too old to be handed out; `miss` nothing.
 */
export type CacheRead<V> =
  | { readonly status: 'hit'; readonly value: V; readonly staleMs: 0 }
  | { readonly status: 'stale'; readonly value: V; readonly staleMs: number }
  | { readonly status: 'miss' | 'expired'; readonly value: undefined; readonly staleMs: 0 };

/** What `MemoryCache.getMany` found. */
export interface ManyHits<K, V> {
  readonly hits: Map<K, V>;
  /** The keys without a fresh value, each once, in the order of asking. */
  readonly misses: readonly K[];
}

/** One for each state, frozen: reading what isn't there allocates nothing. */
const miss = /* @__PURE__ */ Object.freeze({ status: 'miss', value: undefined, staleMs: 0 } as const);
const expired = /* @__PURE__ */ Object.freeze({ status: 'expired', value: undefined, staleMs: 0 } as const);

/** A value and when it expires. A class, so that all entries have one shape. */
class Entry<V> {
  readonly value: V;
  readonly expiresAt: number;

  constructor(value: V, expiresAt: number) {
    this.value = value;
    this.expiresAt = expiresAt;
  }
}

/** A weighted cache with times to live. */
export class MemoryCache<K extends string | number, V> {
  readonly #clock: Clock;
  readonly #weigh: ((value: V, key: K) => number) | undefined;
  readonly #defaultTtlMs: number;
  readonly #entries: TinyUfo<K, Entry<V>>;
  /** Where purging has come to. */
  #purgePlace = 0;

  /** @throws {RangeError} when an option is out of its range */
  constructor(options: MemoryCacheOptions<K, V>) {
    const { clock, weigh, defaultTtlMs = Infinity } = options;
    this.#clock = clock;
    this.#weigh = weigh;
    this.#defaultTtlMs = checkNumber('defaultTtlMs', defaultTtlMs, { min: 0 });
    this.#entries = new TinyUfo(options);
  }

  /** Entries, expired ones too. */
  get size(): number {
    return this.#entries.size;
  }

  /** The sum of the weights of all entries, expired ones too. */
  get weight(): number {
    return this.#entries.weight;
  }

  get maxWeight(): number {
    return this.#entries.maxWeight;
  }

  /**
   * Reads the fresh value of a key. Allocates nothing, and asks for the time only if the entry can expire.
   *
   * @param now the clock's time, for a caller that has just read it: reading the clock costs as much as finding the entry
   * @returns `undefined` if there is none; where values may be `undefined`, `read` tells the difference
   */
  get(key: K, now?: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { expiresAt } = entry;
    return expiresAt === Infinity || expiresAt > (now ?? this.#clock.now()) ? entry.value : undefined;
  }

  /** Reads a value that is fresh, or expired at most `maxStaleMs` ago. @returns `undefined` if there is none */
  getStale(key: K, maxStaleMs: number): V | undefined {
    return this.read(key, maxStaleMs).value;
  }

  /**
   * Reads what is known of a key.
   *
   * @param maxStaleMs how long ago the value may have expired; default 0: only fresh values are handed out
   * @throws {RangeError} when `maxStaleMs` is negative or NaN
   */
  read(key: K, maxStaleMs = 0): CacheRead<V> {
    // The type too: a text would compare like a number here, and be joined to one elsewhere.
    if (!(typeof maxStaleMs === 'number' && maxStaleMs >= 0)) checkNumber('maxStaleMs', maxStaleMs, { min: 0 });
    const entry = this.#entries.get(key);
    if (entry === undefined) return miss;
    const { value, expiresAt } = entry;
    // The clock is only read for entries that can expire.
    const staleMs = expiresAt === Infinity ? -Infinity : this.#clock.now() - expiresAt;
    if (staleMs < 0) return { status: 'hit', value, staleMs: 0 };
    return isAllowed(staleMs, maxStaleMs) ? { status: 'stale', value, staleMs } : expired;
  }

  /** Reads the fresh values of many keys, all at the same time of the clock. */
  getMany(keys: Iterable<K>): ManyHits<K, V> {
    const now = this.#clock.now();
    const hits = new Map<K, V>();
    const misses = new Set<K>();
    for (const key of keys) {
      if (hits.has(key) || misses.has(key)) continue;
      const entry = this.#entries.get(key);
      if (entry !== undefined && entry.expiresAt > now) hits.set(key, entry.value);
      else misses.add(key);
    }
    return { hits, misses: [...misses] };
  }

  /** True if there is a fresh value. Doesn't count as a use. */
  has(key: K): boolean {
    const entry = this.#entries.peek(key);
    return entry !== undefined && (entry.expiresAt === Infinity || entry.expiresAt > this.#clock.now());
  }

  /**
   * Stores a value, in place of an older one. If others have to make room for a new key, and the one that would go is asked for more often,
   * then the newcomer isn't stored.
   *
   * @param ttlMs how long it is fresh; `Infinity`: for ever. 0 stores nothing and takes away the older value, which would contradict it.
   *   Default: `defaultTtlMs`.
   * @returns true if it is stored
   * @throws {RangeError} when `ttlMs` is negative or NaN, or the weight out of its range
   */
  put(key: K, value: V, ttlMs?: number): boolean {
    const entry = this.#makeEntry(key, value, ttlMs);
    if (entry === null) return false;
    return isStored(entry, this.#entries.put(key, entry, this.#weightOf(key, value)));
  }

  /** Stores a value whatever it displaces, as `put` does otherwise. For values that somebody waits for. @returns true if it is stored */
  forcePut(key: K, value: V, ttlMs?: number): boolean {
    const entry = this.#makeEntry(key, value, ttlMs);
    if (entry === null) return false;
    return isStored(entry, this.#entries.forcePut(key, entry, this.#weightOf(key, value)));
  }

  /** Takes an entry out. @returns true if there was one, fresh or not */
  delete(key: K): boolean {
    return this.#entries.remove(key) !== undefined;
  }

  /**
   * Takes out entries that `read(key, maxStaleMs)` wouldn't hand out. A cache works without it: what has expired and isn't asked for is soon
   * evicted. Call it now and then to have the memory back sooner.
   *
   * @param maxVisits most places to look at, those without an entry too; the next call goes on where this one stops, so that a large cache
   *   is purged in small steps, each of which takes no longer than so many visits
   * @returns how many it has taken out
   * @throws {RangeError} when `maxVisits` is not a whole number or `Infinity`, or `maxStaleMs` negative or NaN
   */
  purgeExpired(maxVisits: number, maxStaleMs = 0): number {
    checkWholeNumber('maxVisits', maxVisits, { max: Infinity });
    checkNumber('maxStaleMs', maxStaleMs, { min: 0 });
    const now = this.#clock.now();
    let purgedCount = 0;
    const visit = (key: K, { expiresAt }: Entry<V>): void => {
      const staleMs = now - expiresAt;
      if (staleMs < 0 || isAllowed(staleMs, maxStaleMs)) return;
      this.#entries.remove(key);
      purgedCount++;
    };
    const from = this.#purgePlace;
    const reached = this.#entries.visit(from, maxVisits, visit);
    const left = maxVisits - (reached - from);
    // Once round at most.
    this.#purgePlace = left > 0 ? this.#entries.visit(0, Math.min(left, from), visit) : reached;
    return purgedCount;
  }

  /** Takes all entries out. */
  clear(): void {
    this.#entries.clear();
  }

  #makeEntry(key: K, value: V, ttlMs: number = this.#defaultTtlMs): Entry<V> | null {
    if (ttlMs === Infinity) return new Entry(value, Infinity);
    if (!(typeof ttlMs === 'number' && ttlMs >= 0)) checkNumber('ttlMs', ttlMs, { min: 0 });
    if (ttlMs > 0) return new Entry(value, this.#clock.now() + ttlMs);
    this.#entries.remove(key);
    return null;
  }

  #weightOf(key: K, value: V): number {
    return this.#weigh === undefined ? 1 : this.#weigh(value, key);
  }
}

/** At the very end of its life a value is stale by nothing, and still expired where nothing stale is wanted. */
function isAllowed(staleMs: number, maxStaleMs: number): boolean {
  return maxStaleMs > 0 && staleMs <= maxStaleMs;
}

/** A newcomer that was refused is among the evicted. */
function isStored<V>(entry: Entry<V>, evicted: readonly { readonly value: Entry<V> }[]): boolean {
  for (const one of evicted) if (one.value === entry) return false;
  return true;
}
