/**
 * What it costs to leave a connection in the pool and to take it again, beside what programs write by hand.
 *
 * No package on npm is a pool of idle things alone: `generic-pool` and `tarn` open, count and queue, with a promise for each use; Node's
 * `Agent` and undici's `Pool` keep their idle sockets inside. What they all do inside is one of these, each on a map of arrays:
 *
 * - a timer each: armed when a connection becomes idle, cleared when it is used (`clearTimeout`);
 * - refreshed timers: one timer a connection for its whole life, put off by each use (`timer.refresh()`);
 * - swept: the time of its put beside each connection, and now and then a look at all of them.
 *
 * None of the three bounds the number of connections, notices one that is put twice, or looks at the time when it hands one out: what ours does
 * beyond theirs is in its figures. The clock is read twice in a pair of put and take, and that is half of what ours costs;
 * `recentNow`, where it is given, is what a server has at hand: the time at which this turn of the event loop began.
 *
 * A bar above 1 stands where the peer costs less, or about as much: it keeps the loss in bounds, and a note under the table says why it is
 * there.
 */
import { systemClock } from '@ferrata/clock';
import { IdlePool, type IdlePoolOptions, type PutOptions } from '@ferrata/pool';
import { DeadlineQueue } from '@ferrata/timeout';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions, type TimeComparison } from '../src/rows.ts';

const idleTimeoutMs = 50_000;
/** Pairs in one call, so that the call itself does not count. */
const batch = 1000;

interface Connection {
  timer: NodeJS.Timeout | null;
  idleSince: number;
  onClose: (() => void) | null;
}

/** What is measured: one connection is taken from a key and put back. */
type Use = (key: string) => void;

export const pool: RowBench = {
  name: 'pool',
  run(options) {
    const deadlines = new DeadlineQueue({ clock: systemClock });
    options.note(
      'pool: refreshed timers and swept arrays cost less than ours, as they do less. They know no bound, hand out what is put twice or has ' +
        'been idle too long but not swept yet, and a sweep looks at all. Of two readings of the clock in a pair, swept arrays do one, ' +
        'refreshed timers none; with the time at hand the difference is the bookkeeping alone. In order, ours and `shift()` cost about the ' +
        'same with 50 at each place.',
    );
    try {
      return [
        ...usedAmongOthers(deadlines, options),
        ...theOnlyOne(deadlines, options),
        ...inTurn(deadlines, options),
        ...watched(deadlines, options),
        ...closedWhileIdle(deadlines, options),
        ...bytesEach(deadlines, options.isQuick ? 1000 : 20_000),
      ];
    } finally {
      deadlines.close();
    }
  },
};

/** Among others that are idle: with all three ways by hand, and what the options change. */
function usedAmongOthers(deadlines: DeadlineQueue, options: RunOptions): readonly BenchRow[] {
  const hand = { keys: names(100), perKey: 5 };
  const stop = new AbortController();
  const timed = { 'a timer each': inTurns(hand.keys, timedArrays(hand, stop.signal)) };
  const refreshed = { 'refreshed timers': inTurns(hand.keys, refreshedArrays(hand, stop.signal)) };
  const recentNow = systemClock.now();
  const among = 'take + put, 5 idle at each of 100 places';
  const cases: readonly (Case & Pick<TimeComparison, 'peers' | 'bars'>)[] = [
    {
      operation: among,
      shape: hand,
      peers: { ...timed, ...refreshed, swept: inTurns(hand.keys, sweptArrays(hand)) },
      bars: { 'a timer each': { maxRatio: 1 }, 'refreshed timers': { maxRatio: 2 }, swept: { maxRatio: 2.5 } },
    },
    {
      operation: `${among}, time at hand`,
      shape: hand,
      poolOptions: { recentNow: () => recentNow },
      peers: { ...timed, swept: inTurns(hand.keys, sweptArrays(hand, { now: () => recentNow })) },
      bars: { 'a timer each': { maxRatio: 0.75 }, swept: { maxRatio: 2.5 } },
    },
    {
      operation: `${among}, an idle time of its own`,
      shape: hand,
      putOptions: { idleTimeoutMs: 5000 },
      peers: timed,
      bars: { 'a timer each': { maxRatio: 1.5 } },
    },
  ];
  const rows = cases.flatMap((one) => compareTimes({ ...one, operationsPerCall: batch, ours: takeAndPut(deadlines, one) }, options));
  stop.abort();
  return rows;
}

/** The usual thing at low load: each place has one connection, so its list runs empty at every use. */
function theOnlyOne(deadlines: DeadlineQueue, options: RunOptions): readonly BenchRow[] {
  return [1, options.isQuick ? 10 : 1000].flatMap((count) => {
    const shape = { keys: names(count), perKey: 1 };
    const stop = new AbortController();
    const operation = `take + put, the only one at ${count === 1 ? 'one place' : `each of ${count} places`}`;
    const rows = compareTimes(
      {
        operation,
        operationsPerCall: batch,
        ours: takeAndPut(deadlines, { operation, shape }),
        peers: { 'a timer each': inTurns(shape.keys, timedArrays(shape, stop.signal)), swept: inTurns(shape.keys, sweptArrays(shape)) },
        bars: { 'a timer each': { maxRatio: 1.5 }, swept: { maxRatio: 3 } },
      },
      options,
    );
    stop.abort();
    return rows;
  });
}

/** FIFO and the hot queue, beside `shift()` on arrays that are swept. */
function inTurn(deadlines: DeadlineQueue, options: RunOptions): readonly BenchRow[] {
  const shape: Shape = { keys: names(10), perKey: 50 };
  const peers = { 'shift(), swept': inTurns(shape.keys, sweptArrays(shape, { next: (list) => list.shift() })) };
  const cases: readonly Case[] = [
    { operation: 'take + put, fifo', shape, poolOptions: { order: 'fifo' } },
    { operation: 'take + put, hot queue of 16', shape, poolOptions: { order: 'fifo', hotCount: 16 } },
  ];
  return cases.flatMap((one) =>
    compareTimes(
      {
        operation: one.operation,
        operationsPerCall: batch,
        ours: takeAndPut(deadlines, one),
        peers,
        bars: { 'shift(), swept': { maxRatio: 1.75 } },
      },
      options,
    ),
  );
}

/** The pool subscribes to closing and asks for usability; by hand the same, on arrays with a timer each. */
function watched(deadlines: DeadlineQueue, options: RunOptions): readonly BenchRow[] {
  const shape: Shape = { keys: names(100), perKey: 5 };
  const stop = new AbortController();
  const unwatch = (connection: Connection): void => void (connection.onClose = null);
  const poolOptions: Partial<IdlePoolOptions<Connection>> = {
    isUsable: ({ onClose }) => onClose === null,
    watch(connection, entry) {
      connection.onClose = (): void => entry.leave('closed');
      return unwatch;
    },
  };
  const timed = timedArrays(shape, stop.signal, (connection, list) => {
    connection.onClose = (): void => void list.splice(list.indexOf(connection), 1);
  });
  const operation = 'take + put, watched and asked';
  const rows = compareTimes(
    {
      operation,
      operationsPerCall: batch,
      ours: takeAndPut(deadlines, { operation, shape, poolOptions }),
      peers: { 'a timer each': inTurns(shape.keys, timed) },
      bars: { 'a timer each': { maxRatio: 1.5 } },
    },
    options,
  );
  stop.abort();
  return rows;
}

/** The one in the middle of 100 closes while it is idle, and comes back as another of the same kind. */
function closedWhileIdle(deadlines: DeadlineQueue, options: RunOptions): readonly BenchRow[] {
  const shape: Shape = { keys: names(1), perKey: 100 };
  const [key = ''] = shape.keys;
  const filled = filledPool(deadlines, shape, { order: 'fifo' });
  const idle: Connection[] = [];
  for (let connection = filled.take(key); connection !== undefined; connection = filled.take(key)) idle.push(connection);
  for (const connection of idle) filled.put(key, connection);
  const list = idle.slice();
  for (const connection of list) connection.timer = setTimeout(ignore, idleTimeoutMs).unref();
  let next = 0;
  const middle = (): Connection => idle[(next = (next + 37) % idle.length)] as Connection;
  const rows = compareTimes(
    {
      operation: 'one of 100 leaves by itself, and is put again',
      operationsPerCall: batch,
      ours: () => {
        for (let i = 0; i < batch; i++) {
          const connection = middle();
          filled.entryOf(connection)?.leave('closed');
          filled.put(key, connection);
        }
      },
      peers: {
        'indexOf + splice, a timer each': () => {
          for (let i = 0; i < batch; i++) {
            const connection = middle();
            list.splice(list.indexOf(connection), 1);
            if (connection.timer !== null) clearTimeout(connection.timer);
            connection.timer = setTimeout(ignore, idleTimeoutMs).unref();
            list.push(connection);
          }
        },
      },
      bars: { 'indexOf + splice, a timer each': { maxRatio: 0.75 } },
    },
    options,
  );
  filled.drain();
  for (const { timer } of list) if (timer !== null) clearTimeout(timer);
  return rows;
}

/** What an idle connection costs beside itself, five at each place. */
function bytesEach(deadlines: DeadlineQueue, count: number): readonly BenchRow[] {
  const keys = names(count / 5);
  const connections = Array.from({ length: count }, newConnection);
  const keyOf = (index: number): string => keys[index % keys.length] ?? '';
  const ours = bytesOf(() => {
    const filled = new IdlePool<Connection>({ deadlines, maxIdle: Infinity, idleTimeoutMs });
    for (const [i, connection] of connections.entries()) filled.put(keyOf(i), connection);
    return filled;
  });
  const theirs = bytesOf(() => {
    const lists = new Map<string, Connection[]>();
    for (const [i, connection] of connections.entries()) {
      connection.timer = setTimeout(ignore, idleTimeoutMs).unref();
      append(lists, keyOf(i), connection);
    }
    return lists;
  });
  for (const { timer } of connections) if (timer !== null) clearTimeout(timer);
  const row = { operation: 'an idle item, 5 at each place', unit: 'bytes', peer: 'a timer each' } as const;
  return [{ ...row, ours: ours / count, theirs: theirs / count, ratio: ours / theirs, bar: { maxRatio: 1.25 } }];
}

interface Shape {
  readonly keys: readonly string[];
  readonly perKey: number;
}

interface Case {
  readonly operation: string;
  readonly shape: Shape;
  readonly poolOptions?: Partial<IdlePoolOptions<Connection>>;
  readonly putOptions?: PutOptions;
}

function takeAndPut(deadlines: DeadlineQueue, { shape, poolOptions = {}, putOptions }: Case): () => void {
  const filled = filledPool(deadlines, shape, poolOptions);
  return inTurns(shape.keys, (key) => {
    const connection = filled.take(key);
    if (connection !== undefined) filled.put(key, connection, putOptions);
  });
}

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `10.0.${i >> 8}.${i & 0xff}:8080`);
}

function newConnection(): Connection {
  return { timer: null, idleSince: 0, onClose: null };
}

function filledPool(
  deadlines: DeadlineQueue,
  { keys, perKey }: Shape,
  options: Partial<IdlePoolOptions<Connection>>,
): IdlePool<Connection> {
  const filled = new IdlePool<Connection>({ deadlines, maxIdle: Infinity, idleTimeoutMs, ...options });
  for (const key of keys) for (let i = 0; i < perKey; i++) filled.put(key, newConnection());
  return filled;
}

function timedArrays({ keys, perKey }: Shape, stop: AbortSignal, watch?: (connection: Connection, list: Connection[]) => void): Use {
  const lists = new Map<string, Connection[]>();
  const put = (key: string, connection: Connection): void => {
    const list = append(lists, key, connection);
    connection.timer = setTimeout(ignore, idleTimeoutMs).unref();
    watch?.(connection, list);
  };
  for (const key of keys) for (let i = 0; i < perKey; i++) put(key, newConnection());
  stop.addEventListener('abort', () => clearAll(lists));
  return (key) => {
    const connection = lists.get(key)?.pop();
    if (connection === undefined) return;
    if (connection.timer !== null) clearTimeout(connection.timer);
    connection.onClose = null;
    put(key, connection);
  };
}

function refreshedArrays({ keys, perKey }: Shape, stop: AbortSignal): Use {
  const lists = new Map<string, Connection[]>();
  const put = (key: string, connection: Connection): void => {
    append(lists, key, connection);
    connection.timer?.refresh();
  };
  for (const key of keys) {
    for (let i = 0; i < perKey; i++) put(key, { ...newConnection(), timer: setTimeout(ignore, idleTimeoutMs).unref() });
  }
  stop.addEventListener('abort', () => clearAll(lists));
  return (key) => {
    const connection = lists.get(key)?.pop();
    if (connection !== undefined) put(key, connection);
  };
}

interface Sweeping {
  readonly now?: () => number;
  readonly next?: (list: Connection[]) => Connection | undefined;
}

function sweptArrays({ keys, perKey }: Shape, { now = () => performance.now(), next = (list) => list.pop() }: Sweeping = {}): Use {
  const lists = new Map<string, Connection[]>();
  const put = (key: string, connection: Connection): void => {
    append(lists, key, connection);
    connection.idleSince = now();
  };
  for (const key of keys) for (let i = 0; i < perKey; i++) put(key, newConnection());
  return (key) => {
    const list = lists.get(key);
    const connection = list === undefined ? undefined : next(list);
    if (connection !== undefined) put(key, connection);
  };
}

function append(lists: Map<string, Connection[]>, key: string, connection: Connection): Connection[] {
  let list = lists.get(key);
  if (list === undefined) lists.set(key, (list = []));
  list.push(connection);
  return list;
}

function clearAll(lists: ReadonlyMap<string, readonly Connection[]>): void {
  for (const list of lists.values()) for (const { timer } of list) if (timer !== null) clearTimeout(timer);
}

/** A call that does one batch, going on where the last one stopped. */
function inTurns(keys: readonly string[], use: Use): () => void {
  let next = 0;
  return () => {
    for (let i = 0; i < batch; i++) {
      use(keys[next] as string);
      next = next + 1 < keys.length ? next + 1 : 0;
    }
  };
}

function ignore(): void {}
