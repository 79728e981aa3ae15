/** Whatever name servers say, and when: one question at a time, nothing forgotten that was good, and no timer left behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import fc from 'fast-check';
import { type DnsRecord, DnsResolver } from '../src/index.ts';

const CODES = ['ENOTFOUND', 'ENODATA', 'ESERVFAIL', 'ETIMEOUT', 'ECONNREFUSED'] as const;
const MAX_STALE_MS = 100_000;

interface Question {
  readonly key: string;
  readonly family: 4 | 6;
  readonly askedAt: number;
  readonly resolve: (records: readonly DnsRecord[]) => void;
  readonly reject: (error: Error) => void;
}

async function settle(): Promise<void> {
  for (let round = 0; round < 2; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

const step = fc.oneof(
  fc.record({ act: fc.constant('ask' as const), name: fc.constantFrom('a.test', 'b.test', 'c.test') }),
  fc.record({
    act: fc.constant('find' as const),
    which: fc.nat(9),
    count: fc.integer({ min: 0, max: 5 }),
    ttl: fc.constantFrom(0, 1, 30, 1e9),
  }),
  fc.record({ act: fc.constant('fail' as const), which: fc.nat(9), code: fc.constantFrom(...CODES) }),
  fc.record({ act: fc.constant('wait' as const), ms: fc.constantFrom(1, 49, 500, 2_500, 5_000, 40_000) }),
);

test('DnsResolver: any order of questions, answers, failures and silence (RFC 8305 §3, RFC 8767)', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, MAX_STALE_MS), async (steps, maxStaleMs) => {
      const clock = new ManualClock();
      const open: Question[] = [];
      const ask = (key: string, family: 4 | 6): Promise<readonly DnsRecord[]> => {
        const { promise, resolve, reject } = Promise.withResolvers<readonly DnsRecord[]>();
        open.push({ key, family, askedAt: clock.now(), resolve, reject });
        return promise;
      };
      const resolver = new DnsResolver({
        queries: { resolve4: (name) => ask(name, 4), resolve6: (name) => ask(name, 6) },
        systemLookup: () => Promise.reject(new Error('nothing there')),
        maxStaleMs,
        maxNames: 2,
        maxAddresses: 3,
        clock,
        random: seededRandom(5),
      });
      const running = (): readonly string[] =>
        open.filter(({ askedAt }) => clock.now() - askedAt < 2_500).map(({ key, family }) => `${family} ${key}`);
      let pending = 0;
      for (const it of steps) {
        if (it.act === 'ask') {
          pending++;
          const before = open.length;
          const silent = running().length;
          resolver.resolve(it.name).then(
            ({ addresses, staleMs, error }) => {
              pending--;
              assert.ok(addresses.length > 0 && addresses.length <= 3);
              assert.equal(new Set(addresses.map(({ address }) => address)).size, addresses.length);
              assert.ok(staleMs < Math.max(maxStaleMs, 1));
              assert.ok(error === null || isWireError(error));
            },
            (thrown: unknown) => {
              pending--;
              assert.ok(isWireError(thrown) && (thrown.status === 502 || thrown.status === 503), String(thrown));
            },
          );
          // A question is two, A and AAAA, but for the one that is on its way; and for a name that is remembered there is none while another runs.
          assert.ok([0, 2, silent > 0 ? 1 : 0].includes(open.length - before));
        } else if (it.act === 'wait') clock.advance(it.ms);
        else {
          const question = open.splice(it.which % Math.max(1, open.length), 1)[0];
          if (question === undefined) continue;
          if (it.act === 'fail') question.reject(Object.assign(new Error('failed'), { code: it.code }));
          else {
            const prefix = question.family === 4 ? '192.0.2.' : '2001:db8::';
            question.resolve(Array.from({ length: it.count }, (_, index) => ({ address: prefix + (index + 1), ttl: it.ttl })));
          }
        }
        await settle();
        assert.ok(resolver.size <= 2);
        assert.equal(new Set(running()).size, running().length, 'one question at a time');
      }
      // Silence answers everybody in time.
      for (let round = 0; round < 3; round++) {
        clock.advance(2_500);
        await settle();
      }
      assert.equal(pending, 0);
      assert.equal(clock.pendingCount, 0);
    }),
    { numRuns: 150 },
  );
});
