import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMe } from '@ferrata/websocket';

test('the package describes itself', () => {
  assert.notEqual(describeMe(), 'TO DESCRIBE');
});
