import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Comparison, compare, jsonFileOf, measure } from '../src/harness.ts';

const QUICK = { rounds: 5, roundMs: 2, warmUpMs: 2 };

/** Work that cannot be optimised away and that grows with its argument. */
function spin(turns: number): number {
  let value = 1;
  for (let turn = 0; turn < turns; turn++) value = (Math.imul(value, 1_664_525) + 1_013_904_223) | 0;
  return value;
}

test('a measurement has one sample a round and their median', () => {
  const measurement = measure('spin', () => spin(1000), QUICK);
  assert.equal(measurement.samples.length, 5);
  assert.ok(measurement.nsPerOperation > 0);
  assert.ok(measurement.samples.includes(measurement.nsPerOperation));
});

test('operations done in one call share its time', () => {
  const one = measure('one', () => spin(20_000), QUICK);
  const batch = measure('batch', () => spin(20_000), { ...QUICK, operationsPerCall: 1000 });
  assert.ok(batch.nsPerOperation < one.nsPerOperation / 100);
});

test('ratios refer to the baseline, which is 1, and tell much work from little', () => {
  const lines: string[] = [];
  const comparison = compare(
    'spin',
    [
      { name: 'hundredfold', run: () => spin(100_000) },
      { name: 'single', run: () => spin(1000), isBaseline: true, options: { bytesPerOperation: 1024 } },
    ],
    { ...QUICK, print: (line) => lines.push(line), jsonFile: null },
  );
  assert.equal(comparison.baseline, 'single');
  assert.deepEqual(
    comparison.measurements.map((one) => one.name),
    ['hundredfold', 'single'],
  );
  assert.equal(comparison.measurements[1]?.ratio, 1);
  assert.ok((comparison.measurements[0]?.ratio ?? 0) > 5);
  assert.match(lines.join('\n'), /^spin\ncase +ns\/op +op\/s +MiB\/s +x single/);
});

test('the first case is the baseline when none is marked', () => {
  const comparison = compare('spin', [{ name: 'a', run: () => spin(10) }], { ...QUICK, print: () => {}, jsonFile: null });
  assert.equal(comparison.baseline, 'a');
});

test('the comparison goes to a file as JSON when one is named', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-harness-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const jsonFile = join(folder, 'figures.json');
  const comparison = compare('spin', [{ name: 'a', run: () => spin(10) }], { ...QUICK, print: () => {}, jsonFile });
  assert.deepEqual(JSON.parse(readFileSync(jsonFile, 'utf8')) as Comparison, comparison);
});

test('--json FILE on a command line names the file', () => {
  assert.equal(jsonFileOf(['node', 'x.bench.ts', '--json', 'out.json']), 'out.json');
  assert.equal(jsonFileOf(['node', 'x.bench.ts', '--json']), null);
  assert.equal(jsonFileOf(['node', 'x.bench.ts']), null);
});

test('nonsense in options and cases is refused at once', () => {
  const run = (): number => 1;
  assert.throws(() => measure('x', run, { rounds: 4 }), /rounds/);
  assert.throws(() => measure('x', run, { roundMs: 0 }), /roundMs/);
  assert.throws(() => measure('x', run, { warmUpMs: -1 }), /warmUpMs/);
  assert.throws(() => measure('x', run, { operationsPerCall: 0.5 }), /operationsPerCall/);
  assert.throws(() => measure('x', run, { bytesPerOperation: -1 }), /bytesPerOperation/);
  assert.throws(() => compare('x', []), RangeError);
  assert.throws(
    () =>
      compare('x', [
        { name: 'a', run },
        { name: 'a', run },
      ]),
    /same name/,
  );
  assert.throws(
    () =>
      compare('x', [
        { name: 'a', run, isBaseline: true },
        { name: 'b', run, isBaseline: true },
      ]),
    /baseline/,
  );
});
