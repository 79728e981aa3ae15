/** A peer that changes its mind with each handshake, or fails it, and whoever asks, gives up, finishes and loses: nobody is forgotten, and nothing is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientSession } from '@ferrata/http';
import { peer } from '@ferrata/upstream';
import fc from 'fast-check';
import { type Choice, FakeTls } from './fake-tls.ts';
import { assertNothingLeft, originRig, send, settle } from './rig.ts';

const choices: readonly Choice[] = ['h2', 'http/1.1', null, { does: 'fail' }];

const step = fc.record({
  act: fc.constantFrom('ask', 'ask', 'ask', 'give up', 'answer', 'release', 'lose', 'prefer', 'wait'),
  which: fc.nat(20),
  choice: fc.constantFrom(...choices),
});

test('auto: whatever the peer chooses, everybody is served or told, and nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.record({ maxConnections: fc.integer({ min: 1, max: 3 }), maxStreamsPerConnection: fc.integer({ min: 1, max: 3 }) }),
      async (steps, bounds) => {
        const { connector, clock, environment, ends, answer, server } = originRig();
        let choice: Choice = 'h2';
        const tls = new FakeTls(() => choice);
        const origin = peer('origin.test:443', { tls, protocol: 'auto', ...bounds, maxPending: 4, pendingTimeoutMs: 3_000 });
        const asked: { readonly abort: AbortController; isOver: boolean }[] = [];
        const held: ClientSession[] = [];
        for (const { act, which, choice: next } of steps) {
          choice = next;
          if (act === 'ask') {
            const one = { abort: new AbortController(), isOver: false };
            asked.push(one);
            const idle = connector.take(origin);
            (idle === null ? connector.connect(origin, one.abort.signal) : Promise.resolve(idle)).then(
              (session) => {
                one.isOver = true;
                if (which % 2 === 0 && session.isReusable) send(session);
                else held.push(session);
              },
              () => (one.isOver = true),
            );
          } else if (act === 'give up') asked[which % Math.max(1, asked.length)]?.abort.abort();
          else if (act === 'answer') await answer(which);
          else if (act === 'lose') ends[which % Math.max(1, ends.length)]?.abort();
          else if (act === 'prefer') connector.preferHttp1(origin);
          else if (act === 'wait') clock.advance(which * 100);
          else for (const session of held.splice(which % Math.max(1, held.length), 1)) connector.release(session);
          await settle();
        }
        for (let round = 0; round < 40 && asked.some(({ isOver }) => !isOver); round++) {
          for (const session of held.splice(0)) connector.release(session);
          await answer();
          clock.advance(500);
          await settle();
        }
        assert.ok(
          asked.every(({ isOver }) => isOver),
          'nobody is forgotten',
        );
        for (const session of held.splice(0)) connector.release(session);
        await answer();
        assert.equal(connector.pendingCount, 0);
        await assertNothingLeft({ connector, server, clock, ends, environment });
      },
    ),
    { numRuns: 150 },
  );
});
