import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry, writePrometheusText } from '@ferrata/metrics';
import { parseStrictly } from './fixtures/strict-parser.ts';

test('the text has metrics by name and series by label values, with help and type above', () => {
  const registry = new MetricRegistry();
  const requests = registry.counter('http_requests_total', { help: 'Requests answered.', labels: ['method', 'status'] });
  requests.with({ method: 'POST', status: 200 }).inc(2);
  requests.with({ method: 'GET', status: 500 }).inc();
  requests.with({ method: 'GET', status: 200 }).inc(3);
  registry.gauge('connections', { help: 'Open now.' }).set(-1.5);
  const text = writePrometheusText(registry.snapshot());
  assert.equal(
    text,
    `# HELP connections Open now.
# TYPE connections gauge
connections -1.5
# HELP http_requests_total Requests answered.
# TYPE http_requests_total counter
http_requests_total{method="GET",status="200"} 3
http_requests_total{method="GET",status="500"} 1
http_requests_total{method="POST",status="200"} 2
`,
  );
  parseStrictly(text);
});

test('a histogram has cumulative buckets up to +Inf, then its sum and count', () => {
  const registry = new MetricRegistry();
  const seconds = registry.histogram('wait_seconds', { help: 'Waited.', unit: 'seconds', buckets: [0.1, 1], labels: ['queue'] });
  for (const value of [0.05, 0.1, 0.5, 3]) seconds.with({ queue: 'a' }).observe(value);
  registry.histogram('size', { help: 'Of one.', buckets: [10] }).observe(11);
  const text = writePrometheusText(registry.snapshot());
  assert.equal(
    text,
    `# HELP size Of one.
# TYPE size histogram
size_bucket{le="10"} 0
size_bucket{le="+Inf"} 1
size_sum 11
size_count 1
# HELP wait_seconds Waited.
# TYPE wait_seconds histogram
wait_seconds_bucket{queue="a",le="0.1"} 2
wait_seconds_bucket{queue="a",le="1"} 3
wait_seconds_bucket{queue="a",le="+Inf"} 4
wait_seconds_sum{queue="a"} 3.65
wait_seconds_count{queue="a"} 4
`,
  );
  parseStrictly(text);
});

test('a backslash, a quotation mark and a line feed are escaped in label values, and no quotation mark in help', () => {
  const registry = new MetricRegistry();
  const family = registry.gauge('odd', { help: 'a\\b "c"\nd', labels: ['value'] });
  family.with({ value: 'a\\b "c"\nd' }).set(1);
  assert.equal(
    writePrometheusText(registry.snapshot()),
    '# HELP odd a\\\\b "c"\\nd\n# TYPE odd gauge\nodd{value="a\\\\b \\"c\\"\\nd"} 1\n',
  );
});

test('numbers that are not finite, very large or very small are written as Go reads them', () => {
  const registry = new MetricRegistry();
  const family = registry.gauge('number', { help: '', labels: ['name'] });
  const numbers = { a: Number.NaN, b: Infinity, c: -Infinity, d: 1e21, e: 5e-324, f: -0, g: Number.MAX_SAFE_INTEGER };
  for (const [name, value] of Object.entries(numbers)) family.with({ name }).set(value);
  const [metric] = parseStrictly(writePrometheusText(registry.snapshot()));
  assert.deepEqual(
    metric?.samples.map(({ value }) => value),
    [Number.NaN, Infinity, -Infinity, 1e21, 5e-324, 0, Number.MAX_SAFE_INTEGER],
  );
});

test('a registry without metrics is an empty text', () => {
  assert.equal(writePrometheusText(new MetricRegistry().snapshot()), '');
});

test('the strict parser refuses what promtool would', () => {
  const head = '# HELP a_total x\n# TYPE a_total counter\n';
  const histogram = '# HELP h x\n# TYPE h histogram\n';
  const wrong = [
    'a_total 1\n',
    '# TYPE a_total counter\na_total 1\n',
    '# HELP a x\n# TYPE a counter\na 1\n',
    '# HELP a_total x\n# TYPE a_total gauge\na_total 1\n',
    `${head}a_total 1`,
    `${head}a_total -1\n`,
    `${head}a_total 1\na_total 1\n`,
    `${head}b_total 1\n`,
    `${head}a_total{b="c",b="d"} 1\n`,
    `${head}a_total{b="\\t"} 1\n`,
    `${head}a_total{b="c} 1\n`,
    `${head}a_total infinity\n`,
    `${head}${head}`,
    `${histogram}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`,
    `${histogram}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
    `${histogram}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
    `${histogram}h_bucket{le="+Inf"} 2\nh_sum 1\nh_count 1\n`,
    `${histogram}h_bucket{le="+Inf"} 1\nh_sum 1\n`,
  ];
  for (const text of wrong) assert.throws(() => parseStrictly(text), assert.AssertionError, text);
});
