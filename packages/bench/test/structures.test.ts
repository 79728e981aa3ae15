import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bytesOf, compareTimes, keepsBar, type StructureRow } from '../structures/structure-bench.ts';

const program = fileURLToPath(new URL('../structures/run.ts', import.meta.url));

function bench(...args: readonly string[]): { readonly code: number | null; readonly output: string; readonly errors: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  return { code: status, output: stdout, errors: stderr };
}

test('a quick run measures every structure and prints one table: ours, theirs, ratio', () => {
  const { code, output, errors } = bench('--quick');
  assert.equal(code, 0, errors);
  const [headings = '', , ...lines] = (output.split('\n\n')[0] ?? '').split('\n');
  assert.match(headings, /^structure, operation +unit +ours +theirs +ratio +peer +bar$/);
  for (const name of ['hash', 'timeout', 'ketama', 'lru', 'tinyufo', 'memory-cache', 'limits', 'pool', 'metrics']) {
    assert.ok(
      lines.some((line) => line.startsWith(`${name}: `)),
      `${name} is missing in:\n${output}`,
    );
  }
  assert.doesNotMatch(output, /NaN|n\/a|Infinity/);
});

test('one structure can be measured alone, and an unknown one is refused with the names there are', () => {
  const { code, output } = bench('hash', '--quick');
  assert.equal(code, 0);
  assert.match(output, /hash: /);
  assert.doesNotMatch(output, /lru: /);
  const unknown = bench('hash', 'heap');
  assert.equal(unknown.code, 2);
  assert.match(unknown.errors, /is called heap; there are: hash, timeout, ketama/);
});

test('a bar is kept by a ratio, by our own figure, or by a difference', () => {
  const row: StructureRow = { operation: 'o', unit: 'ns', ours: 10, peer: 'p', theirs: 20, ratio: 0.5 };
  assert.equal(keepsBar(row), null);
  assert.equal(keepsBar({ ...row, bar: { maxRatio: 0.5 } }), true);
  assert.equal(keepsBar({ ...row, bar: { maxRatio: 0.4 } }), false);
  assert.equal(keepsBar({ ...row, bar: { maxOurs: 10 } }), true);
  assert.equal(keepsBar({ ...row, bar: { maxOurs: 9 } }), false);
  assert.equal(keepsBar({ ...row, bar: { minDifference: -10 } }), true);
  assert.equal(keepsBar({ ...row, bar: { minDifference: -9 } }), false);
});

test('a comparison has a line for each peer, with its own bar', () => {
  const rows = compareTimes(
    { operation: 'adding', ours: () => 1 + 1, peers: { a: () => 2 + 2, b: () => 3 + 3 }, bars: { b: { maxRatio: 1000 } } },
    { isQuick: true, note: () => {} },
  );
  assert.deepEqual(
    rows.map(({ peer, operation, unit }) => [peer, operation, unit]),
    [
      ['a', 'adding', 'ns'],
      ['b', 'adding', 'ns'],
    ],
  );
  assert.equal(rows[0]?.bar, undefined);
  assert.deepEqual(rows[1]?.bar, { maxRatio: 1000 });
});

test('bytes are counted of the heap and of array buffers, shared ones too', () => {
  const near = (bytes: number, expected: number): void => assert.ok(Math.abs(bytes / expected - 1) < 0.1, `${bytes}, not ${expected}`);
  near(
    bytesOf(() => new SharedArrayBuffer(4_000_000)),
    4_000_000,
  );
  near(
    bytesOf(() => Array.from({ length: 500_000 }, (_, i) => i)),
    4_000_000,
  );
});
