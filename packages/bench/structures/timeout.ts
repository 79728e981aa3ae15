/**
 * What a deadline costs that never fires, beside the platform's timers and undici's fast ones.
 *
 * Each operation is done by all in the way their authors mean it. Other deadlines are live meanwhile, all of them 30 s away, so nothing
 * ever fires. The event loop does not turn within a round. What that hides on our side is the stamping wake-up, which comes at most once
 * a millisecond; the queue reads the clock and files deadlines here too, whenever its intake is full. What it would hide on undici's side,
 * the tick that drops cancelled timers from its list, is done by hand, twice in 500 000 operations (undici: every half second).
 *
 * `setTimeout` is measured twice: as it is, with another timer keeping the program alive (without one it costs three times as much),
 * and with `unref()`, as a program writes it that must end by itself. Ours never keeps a program alive.
 *
 * A bar above 1 stands where the peer costs less: it keeps the loss in bounds, and a note under the table says why it is there.
 */
import { createRequire } from 'node:module';
import { systemClock } from '@ferrata/clock';
import { type Deadline, DeadlineQueue } from '@ferrata/timeout';
import { median } from '../src/index.ts';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';

const delayMs = 30_000;
/** Operations in one call, so that the call itself does not count. */
const batch = 1000;

/** undici does not export its timers; these are what its client uses for header, body and connect time-outs. */
interface FastTimer {
  refresh(): void;
  clear(): void;
}
interface UndiciTimers {
  setFastTimeout(callback: () => void, delayMs: number): FastTimer;
  clearFastTimeout(timer: FastTimer): void;
  tick(): void;
}
const undici = createRequire(import.meta.url)('undici/lib/util/timers.js') as UndiciTimers;

export const timeout: RowBench = {
  name: 'timeout',
  async run(options) {
    const liveCounts = options.isQuick ? [100] : [10_000, 300_000];
    options.note(
      'timeout: arming one of undici’s timers again is a store or two, and costs less than ours. It is paid for elsewhere: every half second ' +
        'all live timers are looked at; they come up to a second late and in no certain order; no clock can be given to them for tests; and ' +
        'one whose callback throws stops the rest of the round.',
    );
    return [
      ...liveCounts.flatMap((live) => timesAmong(live, options)),
      ...(await promisesWithin(options)),
      ...bytesEach(options.isQuick ? 1000 : 100_000),
    ];
  },
};

function ignore(): void {}

function timesAmong(live: number, options: RunOptions): readonly BenchRow[] {
  const deadlines = new DeadlineQueue({ clock: systemClock });
  const ours = Array.from({ length: live }, () => deadlines.after(delayMs, ignore));
  const timers = Array.from({ length: live }, () => setTimeout(ignore, delayMs).unref());
  const fast = Array.from({ length: live }, () => undici.setFastTimeout(ignore, delayMs));
  const keepsAlive = setTimeout(ignore, delayMs);
  const among = `among ${live.toLocaleString('en').replace(',', ' ')} live`;
  const undiciTick = every(500, () => undici.tick());
  try {
    return [
      ...compareTimes(
        {
          operation: `a new deadline, cancelled, ${among}`,
          operationsPerCall: batch,
          ours: () => {
            for (let i = 0; i < batch; i++) deadlines.after(delayMs, ignore).cancel();
          },
          peers: {
            'setTimeout + clearTimeout': () => {
              for (let i = 0; i < batch; i++) clearTimeout(setTimeout(ignore, delayMs));
            },
            'setTimeout + unref + clearTimeout': () => {
              for (let i = 0; i < batch; i++) clearTimeout(setTimeout(ignore, delayMs).unref());
            },
            'undici setFastTimeout + clearFastTimeout': () => {
              for (let i = 0; i < batch; i++) undici.clearFastTimeout(undici.setFastTimeout(ignore, delayMs));
              undiciTick();
            },
          },
          // Most of ours is the object and the garbage collector's note of it. Undici's object is about as dear: nearly even.
          bars: {
            'setTimeout + clearTimeout': { maxRatio: 0.5 },
            'setTimeout + unref + clearTimeout': { maxRatio: 0.5 },
            'undici setFastTimeout + clearFastTimeout': { maxRatio: 1 },
          },
        },
        options,
      ),
      ...armedAndCancelled(among, deadlines, options),
      ...armedAgain({ among, ours, timers, fast }, options),
    ];
  } finally {
    deadlines.close();
    clearTimeout(keepsAlive);
    for (const timer of timers) clearTimeout(timer);
    for (const timer of fast) undici.clearFastTimeout(timer);
    undici.tick();
  }
}

/** One object for each connection, armed and cancelled for each message. The platform's timers cannot be armed after they were cleared. */
function armedAndCancelled(among: string, deadlines: DeadlineQueue, options: RunOptions): readonly BenchRow[] {
  const deadline = deadlines.deadline(ignore);
  const fastTimer = undici.setFastTimeout(ignore, delayMs);
  return compareTimes(
    {
      operation: `armed and cancelled, ${among}`,
      operationsPerCall: batch,
      ours: () => {
        for (let i = 0; i < batch; i++) {
          deadline.arm(delayMs);
          deadline.cancel();
        }
      },
      peers: {
        'setTimeout + clearTimeout': () => {
          for (let i = 0; i < batch; i++) clearTimeout(setTimeout(ignore, delayMs));
        },
        'setTimeout + unref + clearTimeout': () => {
          for (let i = 0; i < batch; i++) clearTimeout(setTimeout(ignore, delayMs).unref());
        },
        'undici refresh + clear': () => {
          for (let i = 0; i < batch; i++) {
            fastTimer.refresh();
            fastTimer.clear();
          }
        },
      },
      bars: {
        'setTimeout + clearTimeout': { maxRatio: 0.1 },
        'setTimeout + unref + clearTimeout': { maxRatio: 0.1 },
        'undici refresh + clear': { maxRatio: 5 },
      },
    },
    options,
  );
}

interface Live {
  readonly among: string;
  readonly ours: readonly Deadline[];
  readonly timers: readonly NodeJS.Timeout[];
  readonly fast: readonly FastTimer[];
}

/** Messages on all connections in turns, each of which puts off the idle time-out of its connection. */
function armedAgain({ among, ours, timers, fast }: Live, options: RunOptions): readonly BenchRow[] {
  return compareTimes(
    {
      operation: `put off, each of them in turn, ${among}`,
      operationsPerCall: batch,
      ours: inTurns(ours, (deadline) => deadline.arm(delayMs)),
      peers: {
        'timer.refresh()': inTurns(timers, (timer) => timer.refresh()),
        'undici timer.refresh()': inTurns(fast, (timer) => timer.refresh()),
      },
      bars: { 'timer.refresh()': { maxRatio: 1 }, 'undici timer.refresh()': { maxRatio: 8 } },
    },
    options,
  );
}

/** A call that does one batch, going on where the last one stopped. */
function inTurns<T>(items: readonly T[], run: (item: T) => void): () => void {
  let next = 0;
  return () => {
    for (let i = 0; i < batch; i++) {
      run(items[next] as T);
      next = next + 1 < items.length ? next + 1 : 0;
    }
  };
}

function every(calls: number, run: () => void): () => void {
  let count = 0;
  return () => {
    count += 1;
    if (count % calls === 0) run();
  };
}

/** Work as a promise that settles in the next turn of the microtasks, with a time limit that is never reached. 100 at a time. */
async function promisesWithin(options: RunOptions): Promise<readonly BenchRow[]> {
  const deadlines = new DeadlineQueue({ clock: systemClock });
  const keepsAlive = setTimeout(ignore, delayMs);
  const tooSlow = (): Error => new Error('too slow');
  const ours = (): Promise<unknown> => deadlines.withTimeout(Promise.resolve(1), delayMs, tooSlow);
  const peers = {
    'Promise.race with setTimeout': () => {
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(tooSlow()), delayMs);
      });
      return Promise.race([Promise.resolve(1), limit]).finally(() => clearTimeout(timer));
    },
    // Nothing can be cleared here: each signal lives on until its time.
    'Promise.race with AbortSignal.timeout': () => {
      const signal = AbortSignal.timeout(delayMs);
      const limit = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
      return Promise.race([Promise.resolve(1), limit]);
    },
  };
  const rows: BenchRow[] = [];
  for (const [peer, run] of Object.entries(peers)) {
    const rounds: { readonly own: number; readonly other: number }[] = [];
    for (let round = options.isQuick ? 0 : -2; round < (options.isQuick ? 1 : 7); round++) {
      const count = options.isQuick ? 100 : 10_000;
      const times = { own: await timeEach(count, ours), other: await timeEach(count, run) };
      // The first rounds warm up.
      if (round >= 0) rounds.push(times);
    }
    rows.push({
      operation: 'a promise with a time limit',
      unit: 'ns',
      ours: median(rounds.map(({ own }) => own)),
      peer,
      theirs: median(rounds.map(({ other }) => other)),
      ratio: median(rounds.map(({ own, other }) => own / other)),
      bar: { maxRatio: 0.5 },
    });
  }
  deadlines.close();
  clearTimeout(keepsAlive);
  return rows;
}

/** @returns CPU time in ns */
async function timeEach(count: number, run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let from = 0; from < count; from += 100) await Promise.all(Array.from({ length: 100 }, run));
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / count;
}

/** A live one with all that it needs, the callback shared. */
function bytesEach(live: number): readonly BenchRow[] {
  const perLive = (make: () => object): number => bytesOf(() => Array.from({ length: live }, make)) / live;
  const deadlines = new DeadlineQueue({ clock: systemClock });
  const ours = perLive(() => deadlines.after(delayMs, ignore));
  deadlines.close();
  const timers: NodeJS.Timeout[] = [];
  const platform = perLive(() => {
    const timer = setTimeout(ignore, delayMs).unref();
    timers.push(timer);
    return timer;
  });
  for (const timer of timers) clearTimeout(timer);
  const row = { operation: 'a live deadline', unit: 'bytes', ours } as const;
  return [{ ...row, peer: 'setTimeout', theirs: platform, ratio: ours / platform, bar: { maxRatio: 0.75 } }];
}
