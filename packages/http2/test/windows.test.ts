/** Flow-control windows and their growth (RFC 9113 §5.2, §6.9). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES, ReceiveWindow } from '../src/flow-window.ts';
import { WindowGrowth, type WindowGrowthOptions } from '../src/window-growth.ts';

describe('receive windows', () => {
  test('credit comes when half is owed, and never for what is held (RFC 9113 §6.9)', () => {
    const window = new ReceiveWindow(100);
    assert.equal(window.receive(60), true);
    assert.equal(window.takeCredit(), 0);
    window.release(49);
    assert.equal(window.takeCredit(), 0);
    window.release(1);
    assert.equal(window.takeCredit(), 50);
    assert.deepEqual([window.available, window.heldBytes, window.takeCredit()], [90, 10, 0]);
    window.release(10);
    assert.equal(window.takeAllCredit(), 10);
    assert.equal(window.takeAllCredit(), 0);
    assert.equal(window.available, 100);
  });

  test('a peer that sends more than it may is noticed at the byte (RFC 9113 §6.9.1)', () => {
    const window = new ReceiveWindow(100);
    assert.equal(window.receive(100), true);
    assert.equal(window.receive(1), false);
    assert.equal(window.receive(0), true);
    assert.throws(() => window.release(101), RangeError);
  });

  test('growing is credit, shrinking may make the window negative (RFC 9113 §6.9.2)', () => {
    const window = new ReceiveWindow();
    window.grow(0x10_0000);
    assert.equal(window.takeCredit(), 0x10_0000 - DEFAULT_WINDOW_BYTES);
    window.grow(10);
    assert.equal(window.size, 0x10_0000);
    window.grow(MAX_WINDOW_BYTES + 5);
    assert.equal(window.size, MAX_WINDOW_BYTES);
    const small = new ReceiveWindow();
    small.receive(60_000);
    small.shrink(10_000);
    small.shrink(20_000);
    assert.deepEqual([small.size, small.available], [10_000, 10_000 - 60_000]);
    small.release(60_000);
    assert.equal(small.takeCredit(), 60_000);
    assert.equal(small.available, 10_000);
  });
});

describe('growth', () => {
  const RTT_MS = 50;
  const DEFAULTS = {
    initialStreamWindowBytes: DEFAULT_WINDOW_BYTES,
    maxStreamWindowBytes: 0x10_0000,
    maxReceiveBufferBytes: 0x80_0000,
    isWindowGrowthEnabled: true,
  };

  /** A stream over a link of so many bytes a round trip, read at once. @returns window sizes by round trip, and PINGs sent */
  function transfer(growth: WindowGrowth, window: ReceiveWindow, linkBytes: number, rounds: number, from = 0) {
    let pings = 0;
    const sizes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const now = from + round * RTT_MS;
      growth.sampleEnd(now);
      let budget = Math.min(linkBytes, window.available);
      while (budget > 0) {
        const length = Math.min(16_384, budget);
        assert.equal(window.receive(length), true);
        if (growth.receive(window, length, now)) pings++;
        window.release(length);
        budget -= length;
      }
      window.takeCredit();
      sizes.push(window.size);
    }
    return { pings, sizes };
  }

  function makeGrowth(options: Partial<WindowGrowthOptions> = {}) {
    const growth = new WindowGrowth({ ...DEFAULTS, ...options });
    const window = new ReceiveWindow();
    growth.open(window);
    return { growth, window };
  }

  test('a stream that fills its window each round trip gets one of 1 MiB within a dozen of them', () => {
    const { growth, window } = makeGrowth();
    const { sizes } = transfer(growth, window, 4_000_000, 12);
    assert.equal(sizes.at(-1), 0x10_0000);
    assert.equal(growth.grantedBytes, 0x10_0000);
    growth.close(window);
    assert.equal(growth.grantedBytes, 0);
  });

  test('a stream on a slow link keeps its window, and is measured ever more rarely', () => {
    const { growth, window } = makeGrowth();
    const { sizes, pings } = transfer(growth, window, 30_000, 1_200);
    assert.equal(sizes.at(-1), DEFAULT_WINDOW_BYTES);
    assert.ok(pings > 3 && pings < 16, `${pings} PINGs in a minute`);
  });

  test('a window stops to grow at its cap, at the cap of all windows, and is measured no longer', () => {
    const own = makeGrowth({ maxStreamWindowBytes: 200_000 });
    assert.equal(transfer(own.growth, own.window, 4_000_000, 20).sizes.at(-1), 200_000);
    assert.equal(transfer(own.growth, own.window, 4_000_000, 20, 60_000).pings, 0);
    const shared = makeGrowth({ maxReceiveBufferBytes: 250_000 });
    const other = new ReceiveWindow(100_000);
    shared.growth.open(other);
    assert.equal(transfer(shared.growth, shared.window, 4_000_000, 20).sizes.at(-1), 150_000);
    assert.equal(shared.growth.grantedBytes, 250_000);
    shared.growth.close(other);
    assert.ok((transfer(shared.growth, shared.window, 4_000_000, 20, 60_000).sizes.at(-1) as number) > 150_000);
  });

  test('small messages never cause a PING', () => {
    const { growth } = makeGrowth();
    for (let i = 0; i < 10_000; i++) {
      const window = new ReceiveWindow();
      growth.open(window);
      window.receive(1_000);
      assert.equal(growth.receive(window, 1_000, i), false);
      growth.close(window);
    }
    assert.equal(growth.grantedBytes, DEFAULT_WINDOW_BYTES);
  });

  test('switched off, nothing grows and nothing is measured', () => {
    const { growth, window } = makeGrowth({ isWindowGrowthEnabled: false });
    const { sizes, pings } = transfer(growth, window, 4_000_000, 20);
    assert.deepEqual([sizes.at(-1), pings], [DEFAULT_WINDOW_BYTES, 0]);
  });

  test('one measurement at a time, whose end may come twice; a stream that took no part does not grow by it', () => {
    const { growth, window } = makeGrowth();
    const other = new ReceiveWindow();
    growth.open(other);
    window.receive(30_000);
    assert.equal(growth.receive(window, 30_000, 0), true);
    other.receive(50_000);
    assert.equal(growth.receive(other, 50_000, 1), false);
    growth.sampleEnd(10);
    growth.sampleEnd(11);
    window.receive(10);
    other.receive(10);
    growth.receive(window, 10, 12);
    growth.receive(other, 10, 12);
    assert.deepEqual([window.size, other.size], [DEFAULT_WINDOW_BYTES, 2 * DEFAULT_WINDOW_BYTES]);
  });

  test('a window that the peer has made smaller counts as less', () => {
    const { growth, window } = makeGrowth();
    growth.shrink(window, 1_000);
    assert.equal(growth.grantedBytes, 1_000);
    growth.close(window);
    assert.equal(growth.grantedBytes, 0);
  });
});
