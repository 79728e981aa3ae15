/** What useful traffic earns: each row of the table in `docs/decisions/http2-flood-budgets.md`, to the event. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FrameType } from '@ferrata/http2-framing';
import { FloodGuard, type FloodReason } from '../src/flood-guard.ts';
import { Bucket, type FloodGuardOptions, resolveFloodGuardOptions } from '../src/flood-guard-options.ts';

/** A guard whose buckets hold 1 000 of everything and get nothing by time. */
function makeGuard(isServer: boolean): FloodGuard {
  const budgets = Object.fromEntries(Object.keys(Bucket).map((name) => [name, { burst: 1_000, perSecond: 0 }]));
  const options: FloodGuardOptions = {
    ...budgets,
    // Whatever else an event costs is not what is looked at.
    ...(isServer ? { prematureResetMinStreams: Number.POSITIVE_INFINITY } : {}),
    maxNewStreamsFactor: 1_000_000,
    maxConsecutiveEmptyFrames: Number.POSITIVE_INFINITY,
  };
  return new FloodGuard(resolveFloodGuardOptions(options), { isServer, maxConcurrentStreams: 100 }, 0);
}

const BURST = 1_000;

interface Row {
  readonly spend: (guard: FloodGuard) => FloodReason | null;
  /** What one `spend` takes out. */
  readonly price?: number;
  readonly by: Readonly<Record<string, readonly [event: (guard: FloodGuard) => unknown, amount: number]>>;
  /** How many bursts can be earned. */
  readonly bursts?: number;
  readonly isServer?: boolean;
}

const opened = (amount: number) => [(guard: FloodGuard) => guard.onStreamOpened(), amount] as const;
const complete = (amount: number) => [(guard: FloodGuard) => guard.onStreamComplete(), amount] as const;
const sent = (bytes: number, amount: number) => [(guard: FloodGuard) => guard.onDataSent(bytes, false), amount] as const;
const received = (bytes: number, amount: number) => [(guard: FloodGuard) => guard.onData(bytes, 0, false), amount] as const;

const ROWS: Readonly<Record<string, Row>> = {
  resets: {
    spend: (guard) => guard.onPeerReset(true),
    by: { 'a stream that ends well': complete(0.25) },
  },
  pings: {
    spend: (guard) => guard.onFrame(FrameType.ping, 0, 8),
    by: { 'DATA received': received(100, 1), 'DATA sent': sent(100, 1), 'an ended stream': complete(1) },
  },
  priorities: { spend: (guard) => guard.onFrame(FrameType.priority, 0, 5), by: { 'a new stream': opened(2) } },
  windowUpdates: {
    spend: (guard) => guard.onWindowUpdate(100_000),
    by: { 'a DATA frame sent': sent(512, 3), 'its KiB': sent(8_192, 18), 'a new stream': opened(2) },
    bursts: 32,
  },
  tinyWindows: {
    // Nothing else comes out of it: a WINDOW_UPDATE would take from two buckets.
    spend: (guard) => guard.onDataSent(1, true),
    by: { 'a DATA frame that no tiny window cut': sent(100, 2), 'a new stream': opened(1) },
    bursts: 16,
  },
  overheadBytes: {
    spend: (guard) => guard.onFrame(FrameType.rstStream, 0, 4),
    price: 64,
    by: { 'content received, but for its frame': received(64 + 640, 640), 'content sent, and its acknowledgements': sent(512, 512 + 192) },
  },
  unknownFrames: { spend: (guard) => guard.onFrame(0xfa, 0, 0), by: { 'a new stream': opened(2) } },
  controlBytes: { spend: (guard) => guard.onFrame(FrameType.settings, 0, 8), price: 8, by: { 'a new stream': opened(128) } },
  tableEvictions: { spend: (guard) => guard.onTableChange(0, 1), by: { 'a new stream': opened(32) } },
  interimResponses: { spend: (guard) => guard.onInterim(), by: { 'a new stream': opened(4) }, isServer: false },
  glitches: { spend: (guard) => guard.onGlitch(), by: { 'an ended stream': complete(1) } },
};

/** What is left in the bucket, in events: spends it all. */
function drain(guard: FloodGuard, { spend }: Row): number {
  for (let passed = 0; passed < 100_000; passed++) if (spend(guard) !== null) return passed;
  throw new Error('it never ends');
}

describe('what is earned', () => {
  for (const [name, row] of Object.entries(ROWS)) {
    const price = row.price ?? 1;
    const events = Math.floor(BURST / price);
    for (const [what, [earn, amount]] of Object.entries(row.by)) {
      test(`${name}: ${amount} by ${what}`, () => {
        const guard = makeGuard(row.isServer ?? true);
        for (let at = 0; at < events; at++) assert.equal(row.spend(guard), null);
        // Often enough that it is a whole number of events.
        const times = price > 1 ? price : 1 / Math.min(1, amount);
        for (let at = 0; at < times; at++) earn(guard);
        const left = BURST - events * price;
        assert.equal(drain(guard, row), Math.min(Math.floor((left + times * amount) / price), events * (row.bursts ?? 1)));
      });
    }
    test(`${name}: never more than ${row.bursts ?? 1} bursts`, () => {
      const guard = makeGuard(row.isServer ?? true);
      for (const [earn] of Object.values(row.by)) for (let at = 0; at < 100_000; at++) earn(guard);
      assert.equal(drain(guard, row), Math.floor((BURST * (row.bursts ?? 1)) / price));
    });
  }

  test('tiny DATA: 1 for each 64 bytes of content, of whatever size', () => {
    const guard = makeGuard(true);
    const tiny = (): FloodReason | null => guard.onData(4, 0, true) ?? guard.onData(1, 0, false);
    // 5 bytes a turn earn 5/64 and cost 1; the overhead is paid by content of 1 000 bytes, which earns nothing above the burst at first.
    guard.onData(10_000, 0, false);
    let passed = 0;
    for (; passed < 10_000 && tiny() === null; passed++) guard.onDataSent(1_000, false);
    assert.equal(guard.reason, 'H2_FLOOD_TINY_DATA');
    assert.ok(Math.abs(passed - BURST / (1 - 5 / 64)) < 2, `${passed}`);
  });

  test('nothing by what a tiny window squeezed out of us', () => {
    const guard = makeGuard(true);
    for (let at = 0; at < BURST; at++) assert.equal(guard.onFrame(FrameType.ping, 0, 8), null);
    for (let at = 0; at < 100; at++) guard.onDataSent(255, true);
    assert.equal(guard.onFrame(FrameType.ping, 0, 8), 'H2_FLOOD_PING');
  });
});
