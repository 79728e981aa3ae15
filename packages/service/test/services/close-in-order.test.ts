import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { type L4Sink, type L4Stream, memoryPair } from '@ferrata/stream';
import { closeInOrder } from '../../src/services/close-in-order.ts';

/** The far end of a stream that is closed in order with 20 bytes still to be sent. */
class Peer implements L4Sink {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly stream: L4Stream;
  receivedBytes = 0;
  hasEnded = false;
  isClosed = false;

  constructor() {
    // Each byte arrives by itself, so that the peer can read one at a time.
    const { a, b } = memoryPair({ clock: this.clock });
    this.stream = a;
    a.attach(this);
    a.pause();
    for (let sent = 0; sent < 20; sent++) b.write(Uint8Array.of(sent));
    closeInOrder(b, this.environment);
  }

  onData(chunk: Uint8Array): void {
    this.receivedBytes += chunk.length;
  }
  onDrain(): void {}
  onEnd(): void {
    this.hasEnded = true;
  }
  onClose(): void {
    this.isClosed = true;
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.clock.advance(100);
      await settle();
    }
  }

  /** Reads one chunk. */
  async readOne(): Promise<void> {
    const before = this.receivedBytes;
    this.stream.attach({
      onData: (chunk) => {
        this.onData(chunk);
        this.stream.pause();
      },
      onDrain() {},
      onEnd: () => this.onEnd(),
      onClose: () => this.onClose(),
    });
    await settle();
    assert.equal(this.receivedBytes, before + 1);
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

test('what was written goes out, and the stream closes as soon as the peer has ended, too', async () => {
  const peer = new Peer();
  peer.stream.resume();
  await settle();
  assert.deepEqual([peer.receivedBytes, peer.hasEnded, peer.isClosed], [20, true, false]);
  peer.stream.write(Uint8Array.of(1));
  peer.stream.end();
  await settle();
  assert.equal(peer.isClosed, true);
  assert.equal(peer.environment.deadlines.size, 0);
});

test('a peer that does not end is dropped 2 s after our bytes are out', async () => {
  const peer = new Peer();
  peer.stream.resume();
  await peer.pass(3_900);
  assert.deepEqual([peer.receivedBytes, peer.isClosed], [20, false]);
  await peer.pass(300);
  assert.equal(peer.isClosed, true);
  assert.equal(peer.environment.deadlines.size, 0);
});

test('a peer that reads slowly is not cut short, and one that reads nothing is dropped after 30 s', async () => {
  const peer = new Peer();
  for (let read = 0; read < 10; read++) {
    await peer.readOne();
    await peer.pass(10_000);
  }
  assert.deepEqual([peer.receivedBytes, peer.isClosed], [10, false]);
  await peer.pass(32_000);
  assert.equal(peer.isClosed, true);
  assert.equal(peer.environment.deadlines.size, 0);
});

test('one that has closed already is left alone', async () => {
  const environment = new HttpEnvironment({ clock: new ManualClock() });
  const { b } = memoryPair();
  b.abort();
  closeInOrder(b, environment);
  await settle();
  assert.equal(environment.deadlines.size, 0);
});
