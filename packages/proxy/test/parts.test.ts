/** The parts that need no connection. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applicationError, internalError, ioError, limitError, protocolError, timeoutError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import { HttpProxy, type HttpProxyOptions, maySendAgain, outcomeOf, RetryBudget } from '@ferrata/proxy';
import fc from 'fast-check';
import { ReplayBuffer } from '../src/replay-buffer.ts';
import { origin } from './rig.ts';

test('outcomeOf: one word for each error', () => {
  assert.equal(outcomeOf(null), 'completed');
  assert.equal(outcomeOf(ioError('X', '', { source: 'downstream' })), 'client_abort');
  assert.equal(outcomeOf(limitError('X', '', { source: 'downstream' })), 'rejected');
  for (const reason of ['H1_TRUNCATED_BODY', 'H1_TRUNCATED_HEAD']) {
    assert.equal(outcomeOf(protocolError(reason, '', { source: 'downstream' })), 'client_abort');
    assert.equal(outcomeOf(protocolError(reason, '', { source: 'upstream' })), 'upstream_error');
  }
  assert.equal(outcomeOf(protocolError('X', '', { source: 'upstream' })), 'upstream_error');
  assert.equal(outcomeOf(timeoutError('X', '', { source: 'upstream' })), 'timeout');
  assert.equal(outcomeOf(applicationError('X')), 'failed');
  assert.equal(outcomeOf(internalError('SERVER_CLOSED', '', { source: 'downstream' })), 'failed');
  assert.equal(outcomeOf(ioError('X')), 'failed');
});

test('maySendAgain: always, or a lost connection and an idempotent method (RFC 9110 §9.2.2)', () => {
  for (const method of ['GET', 'POST', 'PUT', 'x']) {
    assert.equal(maySendAgain(ioError('X', '', { retry: 'always' }), method), true);
    assert.equal(maySendAgain(ioError('X', '', { retry: 'never' }), method), false);
    assert.equal(maySendAgain(ioError('X', '', { retry: 'ifReused' }), method), ['GET', 'PUT'].includes(method));
  }
});

describe('RetryBudget', () => {
  test('never grants more than its share, and the least', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('begin', 'end', 'retry'), { maxLength: 200 }),
        fc.noBias(fc.nat(1_000)).map((thousandths) => thousandths / 1_000),
        (steps, share) => {
          const budget = new RetryBudget(share, 3);
          const running: boolean[] = [];
          for (const step of steps) {
            if (step === 'begin') {
              budget.begin();
              running.push(false);
            } else if (step === 'end' && running.length > 0) {
              budget.end(running.pop() as boolean);
            } else if (step === 'retry') {
              const at = running.indexOf(false);
              if (at < 0) continue;
              const before = budget.retryingCount;
              const isGranted = budget.tryRetry();
              assert.equal(isGranted, before < Math.max(3, budget.activeCount * share));
              running[at] = isGranted;
            }
            assert.equal(budget.activeCount, running.length);
            assert.equal(budget.retryingCount, running.filter(Boolean).length);
          }
        },
      ),
    );
  });
});

describe('ReplayBuffer', () => {
  test('keeps all bytes in order up to its limit, in few pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 300 }), fc.nat(3_000), (pieces, maxBytes) => {
        const buffer = new ReplayBuffer(maxBytes);
        const all: number[] = [];
        for (const piece of pieces) {
          const isKept = buffer.add(piece);
          assert.equal(isKept, all.length + piece.length <= maxBytes);
          if (!isKept) break;
          all.push(...piece);
          assert.ok(buffer.pieces.length <= 64);
        }
        assert.deepEqual(
          buffer.pieces.flatMap((piece) => [...piece]),
          all,
        );
      }),
    );
  });
});

test('options that make no sense are RangeErrors', () => {
  const environment = new HttpEnvironment();
  const hooks = { newContext: () => null, upstreamPeer: () => origin };
  for (const options of [
    { maxRetries: -1 },
    { maxReplayBytes: Number.NaN },
    { retryShare: 2 },
    { hookTimeoutMs: 0 },
    { tunnelIdleTimeoutMs: 0 },
    { upstream: { maxIdle: -1 } },
  ] satisfies Omit<HttpProxyOptions, 'environment'>[]) {
    assert.throws(() => new HttpProxy(hooks, { ...options, environment }), RangeError, JSON.stringify(options));
  }
});
