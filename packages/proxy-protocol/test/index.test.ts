import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMe } from '@ferrata/proxy-protocol';

test('the package describes itself', () => {
  assert.notEqual(describeMe(), 'TO DESCRIBE');
});
