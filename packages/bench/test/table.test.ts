import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { formatFigure, formatTable } from '../src/table.ts';

test('the first column stands to the left, the others to the right', () => {
  const table = formatTable(
    ['name', 'us'],
    [
      ['a', '1.5'],
      ['longer', '123.4'],
    ],
  );
  assert.equal(table, ['name       us', '------  -----', 'a         1.5', 'longer  123.4'].join('\n'));
});

test('a coloured cell is as wide as its text', () => {
  const table = formatTable(['name', 'errors'], [['a', { text: '12', style: 'red' }]]);
  assert.equal(stripVTControlCharacters(table).split('\n')[2], 'a         12');
});

test('a row with too few cells is a mistake of the programmer', () => {
  assert.throws(() => formatTable(['a', 'b'], [['x']]), RangeError);
});

test('figures have the digits that their size deserves', () => {
  assert.deepEqual([0.1234, 1.234, 12.34, 123.4, 12_345.6, 1_234_567, 0, Number.NaN].map(formatFigure), [
    '0.123',
    '1.23',
    '12.3',
    '123',
    '12 346',
    '1 234 567',
    '0.00',
    'n/a',
  ]);
});
