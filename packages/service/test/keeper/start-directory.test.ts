/** The directory that the server was started in, when it cannot be entered any more. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, ProgramRun } from './program-run.ts';

const isRoot = process.getuid?.() === 0;

/** Root may enter everything, and so becomes another user, who has to be able to read the sources. */
function cannotRun(): string | false {
  if (process.platform === 'win32') return 'needs permissions of directories';
  if (!isRoot) return false;
  const { status } = spawnSync(process.execPath, [
    '-e',
    `process.setuid('nobody'); require('fs').readFileSync(${JSON.stringify(import.meta.filename)})`,
  ]);
  return status === 0 ? false : 'needs a user `nobody` who may read these files';
}

test('a server that was started in a directory that is closed to its user serves, and is upgraded', { skip: cannotRun() }, async () => {
  await using run = await ProgramRun.ready(
    (directory) => {
      chmodSync(directory, 0o755);
      return { listen: [{ address: '127.0.0.1:0' }], ...(isRoot ? { options: { user: 'nobody' } } : null) };
    },
    { wrapper: (directory) => ['sh', '-c', 'mkdir -m 700 "$0" && cd "$0" && exec "$@"', join(directory, 'home')] },
  );
  chmodSync(join(run.directory, 'home'), 0);
  run.signal('SIGQUIT');
  await run.notice(/^generation 2 .*serves/);
  assert.equal(await ask(run.port), '2');
  chmodSync(join(run.directory, 'home'), 0o700);
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
});
