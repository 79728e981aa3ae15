import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BenchRow, bytesOf, compareTimes, keepsBar } from '../src/rows.ts';
import { structureNames } from '../structures/names.ts';

const folder = new URL('../structures/', import.meta.url);

interface Ran {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

function run(program: URL, args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(program), ...args], { encoding: 'utf8' });
  return { code: status, output: stdout, errors: stderr };
}

function bench(...args: readonly string[]): Ran {
  return run(new URL('run.ts', folder), args);
}

/** The command behind `pnpm bench`. */
function pnpmBench(...args: readonly string[]): Ran {
  return run(new URL('../../../tools/bench.ts', import.meta.url), args);
}

test('the list of names is that of the files that hold a bench, so none is missing where the list is used', () => {
  const files = readdirSync(folder).filter((file) => readFileSync(new URL(file, folder), 'utf8').includes(': RowBench = '));
  assert.deepEqual(files.toSorted(), structureNames.map((name) => `${name}.ts`).toSorted());
  for (const name of structureNames)
    assert.match(readFileSync(new URL(`${name}.ts`, folder), 'utf8'), new RegExp(`^  name: '${name}',$`, 'm'));
});

test('every structure is a name that `pnpm bench` knows, and hands to the run with its arguments', () => {
  for (const [code, { output, errors, ...ran }] of [
    [2, pnpmBench()],
    [2, pnpmBench('no-such-structure')],
    [0, pnpmBench('--help')],
  ] as const) {
    assert.equal(ran.code, code);
    const [, list = ''] = /^NAME is one of: (.*)$/m.exec(code === 0 ? output : errors) ?? [];
    const known = list.split(', ');
    assert.deepEqual(
      structureNames.filter((name) => !known.includes(name)),
      [],
    );
  }
  const { code, errors } = pnpmBench('memory-cache', 'no-such-structure');
  assert.equal(code, 2);
  assert.match(errors, /^no bench of a structure is called no-such-structure; there are: hash,/);
});

test('a wrong command line is answered in one sentence and with 2, --help with the usage and 0', () => {
  for (const args of [['--json', 'x'], ['--quick=yes'], ['hash', '--seconds', '2']]) {
    const { code, output, errors } = bench(...args);
    assert.deepEqual([code, output], [2, ''], args.join(' '));
    assert.match(errors, /^[^\n]*option[^\n]*; --help lists the options\n$/i);
  }
  const { code, output, errors } = bench('hash', '--help');
  assert.deepEqual([code, errors], [0, '']);
  assert.match(output, /^usage: pnpm bench structures \[NAME…\]/);
  for (const name of structureNames) assert.match(output, new RegExp(`\\b${name}\\b`));
});

test('a quick run measures every structure and prints one table: ours, theirs, ratio', () => {
  const { code, output, errors } = bench('--quick');
  assert.equal(code, 0, errors);
  const [headings = '', , ...lines] = (output.split('\n\n')[0] ?? '').split('\n');
  assert.match(headings, /^structure, operation +unit +ours +theirs +ratio +peer +bar$/);
  for (const name of structureNames) {
    assert.ok(
      lines.some((line) => line.startsWith(`${name}: `)),
      `${name} is missing in:\n${output}`,
    );
  }
  assert.doesNotMatch(output, /NaN|n\/a|Infinity/);
  assert.match(output, /ratio ≤ 1 \(not judged\)/);
  assert.doesNotMatch(output, / met$| MISSED|bars missed/m);
  // No row needs --expose-gc, and no peer is left out in silence.
  assert.match(output, /^ketama: a ring of 10 nodes +bytes /m);
  assert.match(output, /^ketama: largest share, 10 nodes of 1600 points +% /m);
  assert.match(output, /^ketama: consistent-hashing is left out beyond 10 nodes/m);
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
  const row: BenchRow = { operation: 'o', unit: 'ns', ours: 10, peer: 'p', theirs: 20, ratio: 0.5 };
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
