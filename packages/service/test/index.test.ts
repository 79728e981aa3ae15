import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from '@ferrata/service';

test('the package exports what a program needs to build a server', () => {
  assert.equal(typeof Server, 'function');
});
