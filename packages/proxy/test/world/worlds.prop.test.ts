/**
 * The invariants of the proxy over thousands of short worlds: real server, proxy and connector between generated clients and origins, on a
 * network that cuts, merges, delays, stalls, half-closes and resets.
 *
 * | invariant | what it says                                                                                                       |
 * |-----------|--------------------------------------------------------------------------------------------------------------------|
 * | I1        | bytes delivered are bytes produced, or the message is visibly cut                                                  |
 * | I4        | request k + 1 begins after request k was read whole and answered whole                                             |
 * | I5        | what goes upstream reads as exactly one, equal request, to llhttp and to a naive reader                            |
 * | I7        | an answer belongs to its request, in its head and in all of its body                                               |
 * | I8, I9    | a pooled connection is clean; one that was upgraded or has failed is not pooled                                    |
 * | I12       | one end and one line in the log for each accepted request                                                          |
 * | I13       | every deadline, session, stream and pooled connection is given back; every connection ends by itself               |
 * | I14       | one retry at most, but for places on connections that were gone before anything was sent                           |
 * | I16       | what is held stays bounded, however slow a peer is                                                                 |
 * | I22       | no control character and no hop-by-hop field crosses                                                               |
 * | I23       | the same plan gives the same events                                                                                |
 *
 * `replay.ts` says how to run more of them, and how to run one again. That each of them can fail is proved in `planted-faults.test.ts`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { breachesOf, kindBreachesOf } from './invariants.ts';
import { kindWorlds, rudeWorlds, slowWorlds } from './plan.ts';
import { runWorld } from './proxy-world.ts';
import { assertRepeats, assertUnbroken, holds, Tally } from './replay.ts';

const FILE = 'packages/proxy/test/world/worlds.prop.test.ts';

/** One chunk from a link, what a session reads ahead, and what it gathers before it writes. */
const MAX_HELD_BYTES = 65_536 + 16_384 + 16_384;

describe('the proxy in a world', () => {
  test('keeps its invariants whatever clients, origins and the network do (I1, I4, I5, I7, I8, I9, I12, I13, I14, I16, I22)', async () => {
    const tally = new Tally();
    await holds('keeps its invariants', rudeWorlds, 2_300, FILE, async (plan) => {
      const report = await runWorld(plan);
      assertUnbroken(report, breachesOf(report));
      tally.count('reused connections', report.reused);
      tally.count('dirty connections', report.dirty);
      tally.count('refused requests', report.refused);
      for (const exchange of report.exchanges) tally.countEnd(exchange);
    });
    tally.assertSeen('reused connections', 'dirty connections', 'refused requests');
  });

  test('answers everything whole where everybody keeps to the rules (I1)', async () => {
    await holds('answers everything whole', kindWorlds, 500, FILE, async (plan) => {
      const report = await runWorld(plan);
      assertUnbroken(report, kindBreachesOf(report));
    });
  });

  test('holds a bounded number of bytes under slow and stalled readers, on both sides (I16)', async () => {
    await holds('bounded number of bytes', slowWorlds, 40, FILE, async (plan) => {
      const report = await runWorld(plan);
      assertUnbroken(report, breachesOf(report));
      const { download, upload } = report.held;
      assert.ok(download <= MAX_HELD_BYTES && upload <= MAX_HELD_BYTES, `held ${download} bytes downwards, ${upload} upwards`);
      for (const edge of report.edges) {
        assert.ok(
          edge.maxBufferedBytes <= plan.highWaterBytes + MAX_HELD_BYTES,
          `${edge.name} had ${edge.maxBufferedBytes} bytes to write`,
        );
      }
    });
  });

  test('does the same again for the same plan (I23)', async () => {
    await assertRepeats(rudeWorlds, 150, FILE, runWorld);
  });
});
