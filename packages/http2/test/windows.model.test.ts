/** The two ends of a window, with frames on their way between them: whatever happens when, they agree and nothing is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_WINDOW_BYTES, ReceiveWindow } from '../src/flow-window.ts';
import { WindowGrowth } from '../src/window-growth.ts';

/** What a sender believes it may send. */
interface Sender {
  available: number;
}

interface Model {
  sent: number;
  received: number;
  released: number;
  credited: number;
}

interface Real {
  readonly sender: Sender;
  readonly receiver: ReceiveWindow;
  readonly growth: WindowGrowth;
  readonly data: number[];
  readonly credit: number[];
  now: number;
}

type Command = fc.Command<Model, Real>;

function check(model: Model, real: Real): void {
  const inData = real.data.reduce((sum, length) => sum + length, 0);
  const inCredit = real.credit.reduce((sum, length) => sum + length, 0);
  // What the sender believes and what is on its way make up what the receiver has allowed.
  assert.equal(real.sender.available + inData + inCredit, real.receiver.available);
  assert.equal(real.receiver.heldBytes, model.received - model.released);
  assert.ok(real.receiver.available + real.receiver.heldBytes <= real.receiver.size);
  assert.ok(real.growth.grantedBytes <= 300_000);
  assert.equal(real.growth.grantedBytes, real.receiver.size);
}

class Send implements Command {
  readonly #want: number;
  constructor(want: number) {
    this.#want = want;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const length = Math.max(0, Math.min(this.#want, real.sender.available));
    real.sender.available -= length;
    real.data.push(length);
    model.sent += length;
    check(model, real);
  }
  toString(): string {
    return `send ${this.#want}`;
  }
}

class Arrive implements Command {
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    real.now += 7;
    const length = real.data.shift();
    if (length !== undefined) {
      assert.equal(real.receiver.receive(length), true);
      if (!real.growth.receive(real.receiver, length, real.now) && real.now % 3 === 0) real.growth.sampleEnd(real.now);
      model.received += length;
    }
    const increment = real.credit.shift();
    real.sender.available += increment ?? 0;
    check(model, real);
  }
  toString(): string {
    return 'arrive';
  }
}

class Take implements Command {
  readonly #share: number;
  constructor(share: number) {
    this.#share = share;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const length = Math.ceil(real.receiver.heldBytes * this.#share);
    real.receiver.release(length);
    model.released += length;
    const increment = this.#share > 0.9 ? real.receiver.takeAllCredit() : real.receiver.takeCredit();
    if (increment > 0) real.credit.push(increment);
    model.credited += increment;
    check(model, real);
  }
  toString(): string {
    return `take ${this.#share}`;
  }
}

test('both ends of a window agree whatever is on its way, and everything sent can be received (RFC 9113 §5.2.1)', () => {
  fc.assert(
    fc.property(
      fc.commands(
        [
          fc.integer({ min: 0, max: 40_000 }).map((want) => new Send(want)),
          fc.constant(new Arrive()),
          fc.double({ min: 0, max: 1, noNaN: true }).map((share) => new Take(share)),
        ],
        { maxCommands: 200 },
      ),
      (commands) => {
        fc.modelRun(() => {
          const growth = new WindowGrowth({
            initialStreamWindowBytes: DEFAULT_WINDOW_BYTES,
            maxStreamWindowBytes: 0x10_0000,
            maxReceiveBufferBytes: 300_000,
            isWindowGrowthEnabled: true,
          });
          const receiver = new ReceiveWindow();
          growth.open(receiver);
          const real: Real = { sender: { available: DEFAULT_WINDOW_BYTES }, receiver, growth, data: [], credit: [], now: 0 };
          return { model: { sent: 0, received: 0, released: 0, credited: 0 }, real };
        }, commands);
      },
    ),
    { numRuns: 200, seed: 69 },
  );
});
