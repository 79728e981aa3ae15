import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseReport } from '../h2spec/junit.ts';
import { outcomesOf, TEST_COUNT } from '../h2spec/outcomes.ts';

/** Cut from a real report. */
const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="5.1. Stream States" package="http2/5.1" id="5.1" tests="2" skipped="0" failures="0" errors="1">
    <testcase package="http2/5.1" classname="idle: Sends a DATA frame" time="0.0006"></testcase>
    <testcase package="http2/5.1" classname="half closed (remote): Sends a DATA frame" time="2.0010">
      <error>GOAWAY Frame (Error Code: STREAM_CLOSED)
Connection closed
DATA Frame (length:49, opaque_data:h2\u0001spec &lt;&#39;&gt;)</error>
    </testcase>
  </testsuite>
  <testsuite name="5.1.2. Stream Concurrency" package="http2/5.1.2" id="5.1.2" tests="1" skipped="1" failures="0" errors="0">
    <testcase package="http2/5.1.2" classname="Sends HEADERS frames that cause &#34;too many&#34;" time="0.0006">
      <skipped></skipped>
    </testcase>
  </testsuite>
</testsuites>`;

describe('the report of h2spec', () => {
  test('gives each test its section and its number within it', () => {
    assert.deepEqual(
      parseReport(REPORT).map(({ id, result }) => `${id} ${result}`),
      ['http2/5.1/1 passed', 'http2/5.1/2 failed', 'http2/5.1.2/1 skipped'],
    );
  });

  test('tells what was expected and what came, whatever bytes it repeats', () => {
    const [, failed, skipped] = parseReport(REPORT);
    assert.deepEqual(failed?.detail, [
      'GOAWAY Frame (Error Code: STREAM_CLOSED)',
      'Connection closed',
      "DATA Frame (length:49, opaque_data:h2\u0001spec <'>)",
    ]);
    assert.equal(skipped?.title, 'Sends HEADERS frames that cause "too many"');
  });

  test('is refused when it breaks off, lacks a test, or says of one what is not known', () => {
    assert.throws(() => parseReport(REPORT.slice(0, -5)), /has no end/);
    assert.throws(() => parseReport(''), /has no end/);
    assert.throws(() => parseReport(REPORT.replace('tests="2"', 'tests="3"')), /http2\/5\.1 has 2 tests, 3 announced/);
    assert.throws(() => parseReport(REPORT.replace('tests="1"', 'tests="2"')), /http2\/5\.1\.2 has 1 tests, 2 announced/);
    assert.throws(() => parseReport(REPORT.replace('<skipped></skipped>', '<odd/>')), /<odd\/>/);
  });

  test('becomes an outcome a test, and only what passed has passed', () => {
    assert.deepEqual(outcomesOf('server', parseReport(REPORT), false), [
      { id: 'server/http2/5.1/1', problem: null },
      {
        id: 'server/http2/5.1/2',
        problem:
          'half closed (remote): Sends a DATA frame: expected GOAWAY Frame (Error Code: STREAM_CLOSED) or Connection closed; ' +
          "came DATA Frame (length:49, opaque_data:h2\u0001spec <'>)",
      },
      { id: 'server/http2/5.1.2/1', problem: 'Sends HEADERS frames that cause "too many": skipped' },
    ]);
  });

  test('must have all tests when all were asked for', () => {
    const [one] = parseReport(REPORT);
    assert.ok(one !== undefined);
    const all = Array.from({ length: TEST_COUNT }, () => one);
    assert.deepEqual(outcomesOf('server', all, true).at(-1), { id: 'server/count', problem: null });
    assert.match(outcomesOf('server', all.slice(1), true).at(-1)?.problem ?? '', /^145 tests were run, there are 146$/);
  });
});
