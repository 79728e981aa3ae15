/** Minimal cases of what the worlds with hooks have found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLAIN_ANSWER, PLAIN_CLIENT, PLAIN_REQUEST, PLAIN_WORLD } from '../world/plan.ts';
import type { TunnelPlan } from '../world-tunnels/tunnel-plan.ts';
import { kindTunnelBreachesOf, runTunnelWorld } from '../world-tunnels/tunnel-world.ts';
import { type PhasePlan, PLAIN_BEHAVIOUR } from './behaviour-plan.ts';
import { kindPhaseBreachesOf, phaseBreachesOf } from './phase-invariants.ts';
import { runPhaseWorld } from './phase-world.ts';

const PLAIN_TUNNEL: TunnelPlan = {
  wish: 'websocket',
  answer: 'grant',
  delayMs: 0,
  upBytes: 0,
  downBytes: 0,
  pieceBytes: 0,
  pauseMs: 0,
  ending: 'client',
};

/** One client of HTTP/1, and an origin of HTTP/1. */
const PLAIN_PHASES: PhasePlan = {
  ...PLAIN_WORLD,
  clientProtocols: ['http1'],
  originProtocols: ['http1', 'http1'],
  maxStreams: 100,
  maxConnections: 4,
  drainAtMs: -1,
  stalls: 'none',
  behaviour: PLAIN_BEHAVIOUR,
};

for (const protocol of ['http1', 'http2'] as const) {
  test(`a module that throws at the answer to a failure leaves no request without its end, to an origin of ${protocol} (I12, I13)`, async () => {
    // A module throws at the first request, and at the answer to the second, which its origin loses or refuses each time.
    const lost = { ...PLAIN_REQUEST, answers: [{ ...PLAIN_ANSWER, fault: { kind: 'reset' as const, at: 0 } }] };
    const report = await runPhaseWorld({
      ...PLAIN_PHASES,
      seed: 0,
      clientProtocols: ['http2'],
      originProtocols: [protocol, protocol],
      maxStreams: 1,
      maxConnections: 1,
      clients: [{ ...PLAIN_CLIENT, pieceBytes: 0, isPipelining: true, requests: [PLAIN_REQUEST, lost] }],
      behaviour: { ...PLAIN_BEHAVIOUR, modules: 'throws' },
    });
    assert.deepEqual(phaseBreachesOf(report), []);
    assert.deepEqual(
      report.records.map(({ token, logged }) => [token, logged]),
      [
        [1, 1],
        [2, 1],
      ],
    );
  });
}

test('a tunnel whose client has gone is counted until its other side has ended (I12)', async () => {
  const report = await runTunnelWorld({
    seed: 0,
    faultProbability: 0,
    highWaterBytes: 1_024,
    client: 'http1',
    origin: 'http2',
    tunnels: [
      { ...PLAIN_TUNNEL, upBytes: 2_523, pieceBytes: 97, pauseMs: 1, ending: 'client' },
      { ...PLAIN_TUNNEL, downBytes: 300, ending: 'origin' },
      { ...PLAIN_TUNNEL, upBytes: 113, downBytes: 98, delayMs: 20, pieceBytes: 97, pauseMs: 9, ending: 'client' },
    ],
  });
  assert.deepEqual(kindTunnelBreachesOf(report), []);
});

test('an upstream module hears nothing of a response whose request has timed out while `adjustUpstreamModules` was waited for (I15)', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const report = await runPhaseWorld({
      ...PLAIN_PHASES,
      seed,
      clients: [{ ...PLAIN_CLIENT, requests: [PLAIN_REQUEST, PLAIN_REQUEST, PLAIN_REQUEST] }],
      behaviour: {
        ...PLAIN_BEHAVIOUR,
        manners: { ...PLAIN_BEHAVIOUR.manners, adjustUpstreamModules: 'async' },
        upstreamModules: 'edits',
        requestTimeoutMs: 70,
      },
    });
    assert.deepEqual(phaseBreachesOf(report), []);
  }
});

test('a hook that waits for a subrequest in line says how long, or its own time-out fails the request (I19)', async () => {
  // The second client comes while the only stream to the origin is taken, and stays so for longer than a hook may be waited for.
  const long = { ...PLAIN_REQUEST, answers: [{ ...PLAIN_ANSWER, delayMs: 4_000 }] };
  const ends = async (subrequestTimeoutMs: number): Promise<unknown> => {
    const report = await runPhaseWorld({
      ...PLAIN_PHASES,
      seed: 0,
      clientProtocols: ['http1', 'http1'],
      originProtocols: ['http2', 'http2'],
      maxStreams: 1,
      maxConnections: 1,
      clients: [
        { ...PLAIN_CLIENT, requests: [long] },
        { ...PLAIN_CLIENT, startMs: 1_000, requests: [PLAIN_REQUEST] },
      ],
      behaviour: {
        ...PLAIN_BEHAVIOUR,
        manners: { ...PLAIN_BEHAVIOUR.manners, requestFilter: 'sync' },
        subrequests: 'collect',
        subrequestTimeoutMs,
      },
    });
    const reasons = report.records.filter(({ error }) => error !== null).map(({ token, error }) => [token, error?.reason]);
    return { reasons, breaches: kindPhaseBreachesOf(report) };
  };
  assert.deepEqual(await ends(2_000), { reasons: [[1_009, 'SUBREQUEST_TIMEOUT']], breaches: [] });
  assert.deepEqual(await ends(-1), {
    reasons: [
      [9, 'HOOK_TIMEOUT'],
      [1_009, 'SUBREQUEST_PARENT_ENDED'],
    ],
    breaches: [{ invariant: 'I19', what: "nobody's answer: 500" }],
  });
});
