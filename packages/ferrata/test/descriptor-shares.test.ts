/** That handshakes, connections and what is kept back fit into the descriptors together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionShare, handshakeShares } from '../src/descriptor-shares.ts';

test('handshakes that wait, those that have a place, and connections, two descriptors each, leave 256 of the open files', () => {
  for (const limit of [512, 1000, 1024, 4096, 20_000, 65_536, 1_048_576]) {
    const shares = handshakeShares(limit);
    const connections = connectionShare(limit, shares);
    assert.ok(shares.maxHandshakes + shares.maxPending <= limit / 4, `${limit}: at most a quarter for handshakes`);
    assert.ok(shares.maxHandshakes + shares.maxPending + 2 * connections <= limit - 256, String(limit));
    assert.ok(connections >= 16);
  }
});

test('with few there are 128 places, 128 that wait and 256 connections, with plenty 1 024 and 8 192', () => {
  assert.deepEqual(handshakeShares(1024), { maxHandshakes: 128, maxPending: 128 });
  assert.equal(connectionShare(1024, handshakeShares(1024)), 256);
  assert.equal(connectionShare(1024, null), 384);
  assert.deepEqual(handshakeShares(20_000), { maxHandshakes: 1024, maxPending: 3976 });
  assert.deepEqual(handshakeShares(1_048_576), { maxHandshakes: 1024, maxPending: 8192 });
  assert.deepEqual(handshakeShares(64), { maxHandshakes: 16, maxPending: 16 });
  assert.equal(connectionShare(64, handshakeShares(64)), 16);
});

test('the shares of several threads fit together, with eight descriptors more for each of them; none is left without', () => {
  for (const limit of [4096, 20_000, 65_536, 1_048_576]) {
    for (const threads of [2, 3, 16]) {
      const shares = handshakeShares(limit, threads);
      const connections = connectionShare(limit, shares, threads);
      const used = (shares.maxHandshakes + shares.maxPending + 2 * connections) * threads;
      assert.ok(used <= limit - 256 - 8 * (threads - 1), `${threads} threads, ${limit}`);
      assert.ok(used >= (limit - 256 - 8 * (threads - 1)) * 0.98, `${threads} threads, ${limit}: next to nothing is left over`);
    }
  }
  assert.equal(connectionShare(1_024, null, 4), 93);
  assert.equal(connectionShare(1_024, handshakeShares(1_024, 256), 256), 16);
});
