/** What connecting may take where nobody says, and where a connection may come from: the same for everybody who connects. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { type ConnectOptions, checkLocalAddress, identityOf, TlsClient, usualTotalTimeoutMs } from '@ferrata/net';
import { DeadlineQueue } from '@ferrata/timeout';
import { resolveConnectOptions } from '../src/connect/connect-options.ts';

const most = 2_147_483_647;

test('connecting and the handshake have 5 s together while each has its default, else the sum of the two', () => {
  for (const [connectTimeoutMs, handshakeTimeoutMs, total] of [
    [3_000, 5_000, 5_000],
    [10_000, 5_000, 15_000],
    [3_000, 1_000, 4_000],
    [most, 5_000, most],
  ] as const) {
    assert.equal(usualTotalTimeoutMs(connectTimeoutMs, handshakeTimeoutMs), total);
    for (const tls of [{ handshakeTimeoutMs }, new TlsClient({ handshakeTimeoutMs })])
      assert.equal(resolveConnectOptions({ connectTimeoutMs, tls }).totalTimeoutMs, total);
  }
  assert.equal(resolveConnectOptions({ tls: {} }).totalTimeoutMs, 5_000);
  assert.equal(resolveConnectOptions({ connectTimeoutMs: 700 }).totalTimeoutMs, Number.POSITIVE_INFINITY);
});

test('the sum of two times that a queue can keep is no longer than it can keep', () => {
  const deadlines = new DeadlineQueue({ clock: new ManualClock(), tickMs: 1 });
  const connectTimeoutMs = Math.floor(deadlines.maxDelayMs);
  const options: ConnectOptions = { connectTimeoutMs, tls: {}, deadlines };
  assert.equal(resolveConnectOptions(options).totalTimeoutMs, connectTimeoutMs);
});

test('a local address is an IP address, or none', () => {
  for (const address of ['127.0.0.2', '::1', undefined]) assert.equal(checkLocalAddress(address), address);
  for (const address of ['localhost', '', '127.0.0.1:80', '10.0.0.0/8', 5 as never, null as never, ['::1'] as never])
    assert.throws(() => checkLocalAddress(address), /TypeError: localAddress must be an IP address/);
});

test('an object has one number for as long as it lives, and no other has it', () => {
  const objects = [{}, {}, () => null, () => null];
  const numbers = objects.map(identityOf);
  assert.equal(new Set(numbers).size, objects.length);
  assert.deepEqual(objects.map(identityOf), numbers);
});
