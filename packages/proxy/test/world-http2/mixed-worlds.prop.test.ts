/**
 * The invariants of the proxy where both versions of HTTP meet: real server, proxy and connector between generated clients and origins of either
 * version, on a network that cuts, merges, delays, stalls, half-closes and resets.
 *
 * | invariant | what it says                                                                                                           |
 * |-----------|------------------------------------------------------------------------------------------------------------------------|
 * | I1        | bytes delivered are bytes produced, or the message is visibly cut; so are trailers                                     |
 * | I5, I22   | what goes upstream is what was asked; fields for everybody cross, those of a connection do not                         |
 * | I7        | an answer belongs to its request, in its head and in all of its body, whatever other streams carry                     |
 * | I8, I9    | a pooled connection of HTTP/1 is clean, and one that was upgraded is not pooled                                        |
 * | I12       | one end and one line in the log for each accepted request, one end for each stream of a client; at every step what was |
 * |           | accepted is open or closed                                                                                             |
 * | I13       | every deadline, session, stream and pooled connection is given back; every connection ends by itself                   |
 * | I14       | no more tries than allowed; what may not be done twice comes to its origin once                                        |
 * | I16       | what is held for a stream that nobody reads stays bounded, and so do deadlines                                         |
 * | I17       | no more bytes and streams than were granted, frame by frame; no frame behind the end of its stream                     |
 * | I18       | who has asked for nothing is not sent much                                                                             |
 * | I19       | who keeps to the rules gets everything; a stream that nobody reads does not stop its neighbours                        |
 * | I23       | the same plan gives the same events                                                                                    |
 *
 * `../world/replay.ts` says how to run more of them, and how to run one again. That each can fail is proved in `mixed-planted.test.ts`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertRepeats, assertUnbroken, holds, Tally } from '../world/replay.ts';
import { Http2ClientActor } from './http2-client-actor.ts';
import { kindMixedBreachesOf, mixedBreachesOf } from './mixed-invariants.ts';
import { kindMixedWorlds, rudeMixedWorlds, stalledMixedWorlds } from './mixed-plan.ts';
import { MAX_HELD_BYTES, runMixedWorld } from './mixed-world.ts';

const FILE = 'packages/proxy/test/world-http2/mixed-worlds.prop.test.ts';

describe('the proxy between both versions of HTTP', () => {
  test('keeps its invariants whatever clients, origins and the network do (I1, I5, I7–I9, I12–I14, I16–I18, I22)', async () => {
    const tally = new Tally();
    await holds('keeps its invariants', rudeMixedWorlds, 500, FILE, async (plan) => {
      const report = await runMixedWorld(plan);
      assertUnbroken(report, mixedBreachesOf(report));
      for (const record of report.records) {
        tally.countEnd(record);
        if (record.error !== null) tally.count(record.error.reason);
      }
      for (const client of report.clients)
        if (client instanceof Http2ClientActor) for (const { outcome } of client.requests) tally.count(outcome);
    });
    tally.assertSeen('reset', 'lost', 'cancelled', 'H2_STREAM_RESET', 'H2_CLOSED_EARLY');
  });

  test('answers everything whole where everybody keeps to the rules (I1, I19)', async () => {
    await holds('answers everything whole', kindMixedWorlds, 250, FILE, async (plan) => {
      const report = await runMixedWorld(plan);
      assertUnbroken(report, kindMixedBreachesOf(report));
    });
  });

  test('a stream that nobody reads holds a bounded number of bytes, and stops no other (I16, I19)', async () => {
    await holds('a stream that nobody reads', stalledMixedWorlds, 40, FILE, async (plan) => {
      const report = await runMixedWorld(plan);
      assertUnbroken(report, mixedBreachesOf(report));
      assert.ok(report.heldBytes <= MAX_HELD_BYTES, `held ${report.heldBytes} bytes`);
      assert.ok(report.heldBytes >= 30_000, `held ${report.heldBytes} bytes: nobody waited`);
      const [first, ...others] = (report.clients[0] as Http2ClientActor).requests;
      // An error page may be whole.
      assert.ok(first?.outcome !== 'whole' || first.response?.token === 0);
      assert.deepEqual(
        others.map(({ outcome }) => outcome),
        ['whole', 'whole', 'whole'],
      );
    });
  });

  test('does the same again for the same plan (I23)', async () => {
    await assertRepeats(rudeMixedWorlds, 40, FILE, runMixedWorld);
  });
});
