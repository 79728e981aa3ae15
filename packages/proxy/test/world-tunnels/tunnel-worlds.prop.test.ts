/**
 * Tunnels through the proxy, WebSocket and CONNECT, between clients and origins of either version of HTTP (RFC 6455, RFC 8441, RFC 9110 §9.3.6), on a
 * network that cuts, merges, delays, stalls, half-closes and resets.
 *
 * | invariant | what it says                                                                                        |
 * |-----------|-----------------------------------------------------------------------------------------------------|
 * | I1        | what comes out of a tunnel is a beginning of what went in, both ways                                |
 * | I9        | a tunnel is granted by the origin and nobody else, and has its connection of HTTP/1 for itself      |
 * | I12, I13  | one end and one line in the log for each, and nothing is left                                       |
 * | I17       | windows and streams                                                                                 |
 * | I19       | where everybody keeps to the rules all bytes arrive, and both ends                                  |
 * | I23       | the same plan gives the same events                                                                 |
 */
import { describe, test } from 'node:test';
import type fc from 'fast-check';
import type { LedgerRecord } from '../world/ledger.ts';
import { LyingStream } from '../world/planted.ts';
import { bookFaults, type PlantedFaults, testFaults } from '../world/planted-faults.ts';
import { assertRepeats, assertUnbroken, holds, Tally } from '../world/replay.ts';
import { kindTunnelWorlds, rudeTunnelWorlds, type TunnelWorldPlan } from './tunnel-plan.ts';
import { kindTunnelBreachesOf, runTunnelWorld, tunnelBreachesOf } from './tunnel-world.ts';

const FILE = 'packages/proxy/test/world-tunnels/tunnel-worlds.prop.test.ts';

describe('tunnels through the proxy', () => {
  test('keep their invariants whatever clients, origins and the network do (I1, I9, I12, I13, I17)', async () => {
    const tally = new Tally();
    await holds('keep their invariants', rudeTunnelWorlds, 400, FILE, async (plan) => {
      const report = await runTunnelWorld(plan);
      assertUnbroken(report, tunnelBreachesOf(report));
      for (const [i, { client }] of report.tunnels.entries())
        tally.count(`${plan.tunnels[i]?.wish} ${plan.client} to ${plan.origin} ${client === null ? 'refused' : 'made'}`);
    });
    const ways = ['http1 to http1', 'http1 to http2', 'http2 to http1', 'http2 to http2'];
    tally.assertSeenAll(ways.flatMap((way) => [`websocket ${way} made`, `connect ${way} made`, `websocket ${way} refused`]));
  });

  test('bring everything where everybody keeps to the rules (I1, I19)', async () => {
    await holds('bring everything', kindTunnelWorlds, 150, FILE, async (plan) => {
      const report = await runTunnelWorld(plan);
      assertUnbroken(report, kindTunnelBreachesOf(report));
    });
  });

  test('do the same again for the same plan (I23)', async () => {
    await assertRepeats(rudeTunnelWorlds, 30, FILE, runTunnelWorld);
  });
});

const flipped = (chunk: Uint8Array): Uint8Array =>
  chunk.length < 40 ? chunk : chunk.map((byte, i) => (i === chunk.length - 1 ? byte ^ 1 : byte));

const { 'leaks a deadline': leak, 'logs twice': logsTwice } = bookFaults<LedgerRecord>();

const FAULTS: PlantedFaults<'kind' | 'rude', LedgerRecord> = {
  ...(leak === undefined ? {} : { 'leaks a deadline': leak }),
  ...(logsTwice === undefined ? {} : { 'logs twice': logsTwice }),
  'changes a byte on its way down': {
    invariants: ['I1'],
    worlds: 'kind',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { incoming: flipped }) }),
  },
  'changes a byte on its way up': {
    invariants: ['I1'],
    worlds: 'kind',
    plant: () => ({ clientSide: (stream) => new LyingStream(stream, { incoming: flipped }) }),
  },
  'does not tell of an end': {
    invariants: ['I13', 'I19'],
    worlds: 'kind',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { hidesEnd: true }) }),
  },
  'forgets that a stream has room again': {
    invariants: ['I19'],
    worlds: 'kind',
    plant: () => ({ clientSide: (stream) => new LyingStream(stream, { hidesDrain: true }) }),
  },
};

const WORLDS: Readonly<Record<'kind' | 'rude', fc.Arbitrary<TunnelWorldPlan>>> = { kind: kindTunnelWorlds, rude: rudeTunnelWorlds };

describe('tunnels through a proxy that', () => {
  testFaults(FAULTS, {
    worlds: WORLDS,
    mostWorlds: 100,
    breachesOf: async (plan, planted, worlds) => {
      const report = await runTunnelWorld(plan, planted);
      return worlds === 'kind' ? kindTunnelBreachesOf(report) : tunnelBreachesOf(report);
    },
  });
});
