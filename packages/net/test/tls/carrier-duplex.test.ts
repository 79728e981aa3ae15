/** The duplex below TLS: how long it waits for the peer's end, and what it takes meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { CarrierDuplex } from '../../src/tls/carrier-duplex.ts';

/** One that was destroyed in order, as a TLS socket does when `close_notify` went both ways, while the peer below has not ended. */
async function lingering() {
  const { a, b } = memoryPair();
  const clock = new ManualClock();
  const peer = new RecordingSink();
  b.attach(peer);
  const duplex = new CarrierDuplex(a, undefined, clock);
  duplex.end();
  await once(duplex, 'finish');
  duplex.destroy();
  await once(duplex, 'close');
  await peer.untilEnd();
  return { a, b, clock, peer };
}

test("a peer's end is waited for, and closes in order", async () => {
  const { a, b, clock, peer } = await lingering();
  clock.advance(4_999);
  assert.equal(a.state, 'ended');
  b.end();
  await peer.untilClose();
  assert.equal(peer.closeError, null);
  assert.equal(a.state, 'closed');
  assert.equal(clock.pendingCount, 0);
});

test('a peer that never ends is not waited for longer than 5 s', async () => {
  const { a, clock, peer } = await lingering();
  clock.advance(5_000);
  assert.equal(a.state, 'closed');
  await peer.untilClose();
  assert.equal(peer.closeError?.reason, 'CONNECTION_RESET');
});

test('a peer that goes on sending is cut at its first byte', async () => {
  const { b, peer } = await lingering();
  b.write(Uint8Array.of(1));
  await peer.untilClose();
  assert.equal(peer.closeError?.reason, 'CONNECTION_RESET');
});

test('what is destroyed before its end was sent is aborted, and its write in flight is answered with an error', async () => {
  const { a, b } = memoryPair({ highWaterBytes: 10 });
  const duplex = new CarrierDuplex(a, undefined);
  const written = new Promise<Error | null | undefined>((resolve) => duplex.write(new Uint8Array(20), resolve));
  await new Promise<void>((resolve) => setImmediate(resolve));
  duplex.destroy();
  assert.ok((await written) instanceof Error);
  const peer = new RecordingSink();
  b.attach(peer);
  await peer.untilClose();
  assert.equal(peer.closeError?.reason, 'CONNECTION_RESET');
});
