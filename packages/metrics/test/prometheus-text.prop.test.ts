import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry, writePrometheusText } from '@ferrata/metrics';
import fc from 'fast-check';
import { parseStrictly } from './fixtures/strict-parser.ts';

/** Any text, lone surrogates and control characters too, and often what has to be escaped. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
  fc.string({ unit: fc.constantFrom('\\', '"', '\n', '{', '}', ',', '=', ' ', '#', 'n', '\r', '\0'), maxLength: 8 }),
  fc.constantFrom('__proto__', 'constructor', '', 'other'),
);

test('whatever labels and help are, the text is valid and a parser reads back every series with its value', () => {
  const pair = fc.record({ one: text, other: text, amount: fc.integer({ min: 0, max: 1000 }) });
  fc.assert(
    fc.property(text, fc.array(pair, { maxLength: 12 }), (help, pairs) => {
      const registry = new MetricRegistry({ maxCells: 64, maxTextBytes: 16_384, maxWriters: 1 });
      const family = registry.counter('seen_total', { help, labels: ['one', 'other'] });
      const expected = new Map<string, number>();
      for (const { one, other, amount } of pairs) {
        family.with({ one, other }).inc(amount);
        const key = JSON.stringify([one.toWellFormed(), other.toWellFormed()]);
        expected.set(key, (expected.get(key) ?? 0) + amount);
      }
      const metrics = parseStrictly(writePrometheusText(registry.snapshot()));
      assert.equal(metrics[0]?.help, help.toWellFormed());
      const read = metrics[0]?.samples.map(({ labels, value }): [string, number] => [JSON.stringify([...labels.values()]), value]);
      assert.deepEqual(new Map(read), expected);
    }),
  );
});

test('a histogram counts each value in the first bucket that is not below it, and the text says so', () => {
  const bounds = fc
    .uniqueArray(
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }).map((bound) => bound + 0),
      { minLength: 1, maxLength: 40, size: 'max' },
    )
    .map((all) => all.toSorted((one, other) => one - other));
  const run = bounds.chain((all) =>
    fc.record({
      buckets: fc.constant(all),
      // Bounds themselves are the values that matter.
      values: fc.array(fc.oneof(fc.constantFrom(...all), fc.double({ noNaN: true, min: -2e6, max: 2e6 })), { maxLength: 30 }),
    }),
  );
  fc.assert(
    fc.property(run, ({ buckets, values }) => {
      const registry = new MetricRegistry({ maxCells: 64, maxTextBytes: 16_384, maxWriters: 1 });
      const histogram = registry.histogram('size', { help: 'x', buckets });
      for (const value of values) histogram.observe(value);
      const [metric] = parseStrictly(writePrometheusText(registry.snapshot()));
      for (const { name, labels, value } of metric?.samples ?? []) {
        if (name !== 'size_bucket') continue;
        const bound = labels.get('le') === '+Inf' ? Infinity : Number(labels.get('le'));
        assert.equal(value, values.filter((each) => each <= bound).length);
      }
      assert.equal(metric?.samples.at(-1)?.value, values.length);
    }),
  );
});
