/** What a look before a start says of whom the command is to become. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runFerrata } from './support/command.ts';

test('--test finds out that there is no such user', async () => {
  const { code, stderr } = await runFerrata(
    'reverse',
    '--listen',
    'http://127.0.0.1:0',
    '--to',
    'http://127.0.0.1:1',
    '--user',
    'no-such-user-here',
    '--test',
  );
  assert.deepEqual(
    { code, stderr },
    { code: 2, stderr: 'ferrata: io PRIVILEGES_NOT_DROPPED: cannot become user no-such-user-here: there is no user no-such-user-here\n' },
  );
});
