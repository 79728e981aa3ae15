import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PointTable } from '../src/internal/point-table.ts';
import { makePoints, type Points, splitAddress } from '../src/internal/points.ts';
import { buildTable } from '../src/internal/table-build.ts';

/** Takes all steps at once. */
function resultOf<Result>(steps: Generator<void, Result, void>): Result {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

const tableOf = (points: Points): PointTable => resultOf(buildTable(points, null));

test('an address is divided into host and port as nginx does it', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['10.0.0.1:80', '10.0.0.1', '80'],
    ['10.0.0.1', '10.0.0.1', ''],
    ['origin.example:8080', 'origin.example', '8080'],
    ['origin.example:', 'origin.example', ''],
    ['origin.example:http', 'origin.example:http', ''],
    ['[2001:db8::1]:443', '[2001:db8::1]', '443'],
    ['[2001:db8::1]', '[2001:db8::1]', ''],
    ['2001:db8::1', '2001:db8:', '1'],
    ['80', '80', ''],
    [':80', '', '80'],
    ['a:1٢', 'a:1٢', ''],
    ['a:1\n', 'a:1\n', ''],
    ['unix:/run/a.sock', '/run/a.sock', ''],
    ['UNIX:/run/a:80', '/run/a:80', ''],
    ['unix', 'unix', ''],
  ];
  for (const [address, host, port] of cases) assert.deepEqual(splitAddress(address), { host, port }, address);
});

test('a further stretch of a node goes on where the earlier one ended', () => {
  const nodes = [{ address: 'a:1' }, { address: 'b:1' }];
  const whole = resultOf(makePoints(nodes, [{ nodeIndex: 0, weight: 3 }], 5));
  const { hashes, owners } = resultOf(
    makePoints(
      nodes,
      [
        { nodeIndex: 0, weight: 1 },
        { nodeIndex: 1, weight: 1 },
        { nodeIndex: 0, weight: 2 },
      ],
      5,
    ),
  );
  assert.deepEqual([...hashes.subarray(0, 5), ...hashes.subarray(10)], [...whole.hashes]);
  assert.deepEqual([...owners], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test('points that all lie in one bucket are found in halves', () => {
  const hashes = Uint32Array.from({ length: 1000 }, (_, index) => 0x8000_0000 + index * 2);
  const table = tableOf({ hashes, owners: Uint16Array.from(hashes.keys()) });
  for (let place = 0; place < 1000; place++) {
    assert.equal(table.find(0x8000_0000 + place * 2), place);
    assert.equal(table.find(0x8000_0000 + place * 2 - 1), place);
  }
  assert.deepEqual([table.find(0), table.find(0x8000_0000 + 1999), table.find(0xffff_ffff)], [0, 0, 0]);
});

test('of points with one hash the first made stays', () => {
  const table = tableOf({ hashes: Uint32Array.of(7, 3, 7, 3, 7), owners: Uint16Array.of(4, 3, 2, 1, 0) });
  assert.equal(table.count, 2);
  assert.deepEqual([...table.owners], [3, 4]);
});
