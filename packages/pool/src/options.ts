/** Options of an `IdlePool`, and their check. */
import type { DeadlineQueue } from '@ferrata/timeout';

/** Why an item left the pool without being taken or removed. */
export type EvictReason = 'idle' | 'keyLimit' | 'totalLimit' | 'drain';

/** Options of an `IdlePool`. */
export interface IdlePoolOptions<T> {
  /** Where time and the deadlines of idle items come from. */
  readonly deadlines: DeadlineQueue;
  /** Most idle items of one key; default 128. 0 keeps none. Each one kept costs what the item holds, often a socket at both ends. */
  readonly maxIdlePerKey?: number;
  /** Most idle items in all; default 1024. 0 keeps none. Stay below the process's limit of file descriptors. */
  readonly maxIdle?: number;
  /**
   * Longest time that an item stays, in milliseconds; default 50 000, `Infinity` for no limit, 0 keeps none. Choose less than the peer
   * waits before it closes an idle connection (nginx and Node 65 and 5 s), or items die in the pool.
   */
  readonly idleTimeoutMs?: number;
  /**
   * Which item of a key is taken first; default `lifo`: the one put last, the least likely to be stale, while those not needed grow
   * old and leave. `fifo` spreads the use over all.
   */
  readonly order?: 'lifo' | 'fifo';
  /** Called for each item that the pool evicts, after it has left the pool: close it here. May call the pool. */
  readonly onEvict?: (item: T, reason: EvictReason) => void;
}

/** The options with their defaults filled in. */
export type IdlePoolConfig<T> = Readonly<Required<IdlePoolOptions<T>>>;

/** Fills in the defaults. @throws {RangeError} when a value is out of its range */
export function resolveIdlePoolOptions<T>(options: IdlePoolOptions<T>): IdlePoolConfig<T> {
  const config: IdlePoolConfig<T> = {
    deadlines: options.deadlines,
    maxIdlePerKey: options.maxIdlePerKey ?? 128,
    maxIdle: options.maxIdle ?? 1024,
    idleTimeoutMs: options.idleTimeoutMs ?? 50_000,
    order: options.order ?? 'lifo',
    onEvict: options.onEvict ?? ((): void => {}),
  };
  checkCount('maxIdlePerKey', config.maxIdlePerKey);
  checkCount('maxIdle', config.maxIdle);
  checkIdleTimeout(config.idleTimeoutMs, config.deadlines);
  if (config.order !== 'lifo' && config.order !== 'fifo') throw new RangeError(`order must be 'lifo' or 'fifo': ${String(config.order)}`);
  return Object.freeze(config);
}

/** @throws {RangeError} when no deadline can be armed for that time */
export function checkIdleTimeout(idleTimeoutMs: number, deadlines: DeadlineQueue): void {
  const isArmable = idleTimeoutMs >= 0 && idleTimeoutMs <= deadlines.maxDelayMs;
  if (isArmable || idleTimeoutMs === Infinity) return;
  throw new RangeError(`idleTimeoutMs must be 0 to ${deadlines.maxDelayMs}, or Infinity: ${String(idleTimeoutMs)}`);
}

function checkCount(name: string, count: number): void {
  if (count === Infinity || (Number.isSafeInteger(count) && count >= 0)) return;
  throw new RangeError(`${name} must be a whole number, 0 or more: ${String(count)}`);
}
