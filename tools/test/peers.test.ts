import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCommand, installCommand, providePrograms, versionOf } from '../peers.ts';

const node = { command: 'node', debianPackage: 'nodejs', purpose: 'this' };

test('what is on PATH is there, and asks for no installation', () => {
  assert.ok(hasCommand('node'));
  assert.ok(!hasCommand('no-such-program-of-ours'));
  const said: string[] = [];
  assert.deepEqual(
    providePrograms([node], (line) => said.push(line)),
    [],
  );
  assert.deepEqual(said, []);
});

test('a version is found in what the program says', () => {
  assert.match(versionOf('node', '--version'), /^\d+\.\d+\.\d+/);
  assert.equal(versionOf('no-such-program-of-ours', '-v'), 'not installed');
});

test('the command for a user names each package once', () => {
  assert.equal(installCommand([node, { ...node, command: 'npm' }]), 'sudo apt-get install --no-install-recommends nodejs');
});
