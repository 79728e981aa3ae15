import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStreamLoadReport } from '../http2/h2load.ts';
import { bodyOf } from '../http2/programs/bodies.ts';
import { SCENARIOS } from '../http2/scenarios.ts';

const REPORT = `finished in 3.00s, 66848.33 req/s, 9.65MB/s
requests: 200553 total, 200809 started, 200553 done, 200540 succeeded, 13 failed, 4 errored, 2 timeout
status codes: 200540 2xx, 1 3xx, 2 4xx, 6 5xx
traffic: 28.95MB (30357896) total, 1.15MB (1203318) headers (space savings 95.24%), 19.13MB (20055300) data
`;

test("h2load's report is read", () => {
  assert.deepEqual(parseStreamLoadReport(REPORT), { succeeded: 200_540, failed: 15, otherStatuses: 9, durationMs: 3_000 });
});

test('what is no report is none', () => {
  assert.equal(parseStreamLoadReport(''), null);
  assert.equal(parseStreamLoadReport(REPORT.replace('succeeded', 'lost')), null);
  assert.equal(parseStreamLoadReport(REPORT.replace('3.00s', '812.50ms'))?.durationMs, 812.5);
});

test('a target names the size of its body; the one that waits has none', () => {
  assert.equal(bodyOf('/100')?.length, 100);
  assert.equal(bodyOf('/16k')?.length, 16_384);
  assert.equal(bodyOf('/wait'), null);
  assert.throws(() => bodyOf('/nonsense'), RangeError);
});

test('every bar of a scenario compares its subject with a contender of its own table', () => {
  for (const { name, subject, bars, contenders } of SCENARIOS) {
    const names = new Set(contenders.map((one) => one.name));
    assert.equal(names.size, contenders.length, name);
    assert.ok(names.has(subject), name);
    for (const { than } of bars) assert.ok(names.has(than) && than !== subject, `${name}: ${than}`);
  }
});
