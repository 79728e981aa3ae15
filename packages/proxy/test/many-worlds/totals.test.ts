/** What the suite of many worlds makes of its batches: that it says what was not tried, and that what has come to pass is counted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PLAIN_ANSWER, PLAIN_CLIENT, PLAIN_REQUEST } from '../world/plan.ts';
import { Tally } from '../world/replay.ts';
import type { Received } from '../world-http2/records.ts';
import { comingsOf, countAnswers, countClients, countNetwork } from './happenings.ts';
import { type BatchReport, Totals } from './totals.ts';

const FAMILIES = [
  { name: 'one', expected: ['whole', 'origin reset'], rare: ['comet'] },
  { name: 'other', expected: [], rare: [] },
];

function batch(changes: Partial<BatchReport> = {}): BatchReport {
  const worlds = changes.worlds ?? 1_000;
  return {
    family: 'one',
    seed: 1,
    worlds,
    requests: worlds,
    histories: worlds,
    seen: [
      ['whole', 5],
      ['origin reset', 1],
    ],
    failure: null,
    ...changes,
  };
}

function totalsOf(...batches: readonly BatchReport[]): Totals {
  const totals = new Totals(FAMILIES);
  for (const one of batches) totals.add(one);
  return totals;
}

const wanted = (family: string): number => (family === 'one' ? 1_000 : 0);

describe('totals', () => {
  test('of a run in which all has come to pass have no problem, and tell of it', () => {
    const totals = totalsOf(batch({ worlds: 600 }), batch({ worlds: 400, seed: 2, seen: [['retries', 7]] }));
    assert.deepEqual(totals.problems(wanted), []);
    assert.deepEqual(totals.lines(), [
      '1000 of one, 1000 different ones, 1000 requests: 5 × whole, 1 × origin reset, 0 × comet, 7 × retries',
      '0 of other, 0 different ones, 0 requests: ',
    ]);
    assert.equal(totals.passed, 1_000);
  });

  test('name what has never come to pass, if there were worlds enough', () => {
    const seen = [['whole', 5]] as const;
    assert.deepEqual(totalsOf(batch({ seen })).problems(wanted), ['one: "origin reset" has never come to pass']);
    assert.deepEqual(totalsOf(batch({ seen, worlds: 999 })).problems(null), []);
    assert.deepEqual(totalsOf(batch({ worlds: 20_000 })).problems(null), ['one: "comet" has never come to pass']);
  });

  test('name worlds that were not run, that were run twice, that are the same, and that have no request', () => {
    assert.deepEqual(totalsOf(batch({ worlds: 999 })).problems(wanted), ['one: 999 worlds were run, and not 1000']);
    assert.deepEqual(totalsOf(batch({ worlds: 999 })).problems(null), []);
    assert.deepEqual(totalsOf(batch({ worlds: 500 }), batch({ worlds: 500 })).problems(wanted), [
      'one: the worlds of seed 1 were run twice',
    ]);
    assert.deepEqual(totalsOf(batch({ histories: 600 })).problems(wanted), ['one: only 600 of 1000 worlds are different']);
    assert.deepEqual(totalsOf(batch({ requests: 0 })).problems(wanted), ['one: no request was accepted']);
  });

  test('count a failure once, and do not ask for the worlds behind it', () => {
    const totals = totalsOf(batch({ worlds: 10, failure: { path: '9', why: 'I1', plan: '{}' } }));
    assert.deepEqual(totals.problems(wanted), []);
    assert.equal(totals.passed, 9);
  });
});

describe('what has come to pass', () => {
  const answered = { ...PLAIN_REQUEST, answers: [{ ...PLAIN_ANSWER, fault: { kind: 'stall', at: 3 } as const }, PLAIN_ANSWER] };
  const plans = new Map([[1, answered]]);

  test('is what each answer was, as often as it was asked for', () => {
    const tally = new Tally();
    countAnswers(
      tally,
      plans,
      new Map([
        [1, 3],
        [2, 1],
      ]),
    );
    countClients(tally, [{ ...PLAIN_CLIENT, ending: 'vanish' }]);
    assert.deepEqual(Object.fromEntries(tally.seen), { 'origin stall': 1, 'origin keep': 2, 'client vanish': 1 });
  });

  test('is no answer to a request that came in part, where that waits for all of it', () => {
    const served = (isWhole: boolean): Received => ({ token: 1, isWhole }) as Received;
    assert.deepEqual([...comingsOf(plans, [served(false), served(true)])], [[1, 1]]);
    const early = new Map([[1, { ...answered, answers: [{ ...PLAIN_ANSWER, begins: 'early' as const }] }]]);
    assert.deepEqual([...comingsOf(early, [served(false)])], [[1, 1]]);
  });

  test('is a fault of the network once as many bytes have gone its way, at either end', () => {
    const trace = [
      '0.100 client of #0: incoming@10 reset, outgoing@5 stall',
      '0.100 server of #0: incoming@6 end, outgoing@10 delay 50',
      '1.000 #0> 5 0a0b0c0d',
      '2.000 #0< 9 0a0b0c0d',
      '2.500 #1< 9 0a0b0c0d',
      '3.000 #0< end',
    ];
    const seenBy = (lines: readonly string[]): Readonly<Record<string, number>> => {
      const tally = new Tally();
      countNetwork(tally, lines);
      return Object.fromEntries(tally.seen);
    };
    assert.deepEqual(seenBy(trace), { 'network stall': 1 });
    assert.deepEqual(seenBy([...trace, '4.000 #0< 1 0a0b0c0d', '5.000 #0> 1 0a0b0c0d']), {
      'network reset': 1,
      'network stall': 1,
      'network end': 1,
      'network delay': 1,
    });
  });
});
