/** Sockets that were open before the keeper began, over upgrades that want them no more, and want them again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, gone, ProgramRun, until } from './program-run.ts';

const skip = spawnSync('systemd-socket-activate', ['--version']).status === 0 ? false : 'needs systemd-socket-activate';

test('a socket that systemd has passed can be given up and taken back: who connects meanwhile waits', { skip }, async () => {
  const other = { address: '127.0.0.1:0' };
  await using run = ProgramRun.start((directory) => ({ listen: [{ address: `unix:${join(directory, 'a.sock')}` }, other] }), {
    wrapper: (directory) => ['systemd-socket-activate', '-l', join(directory, 'a.sock')],
  });
  const path = join(run.directory, 'a.sock');
  await until('the socket of systemd', () => existsSync(path));
  const { ino } = statSync(path);
  assert.equal(await ask(path), '1');
  run.write({ listen: [other] });
  run.signal('SIGQUIT');
  await run.notice(/^generation 2 .*serves/);
  await gone(run.all('generation')[0]?.['pid'] as number);
  const waiting = ask(path);
  run.write({ listen: [{ address: `unix:${path}` }, other] });
  run.signal('SIGQUIT');
  // The third one says what it needs, and the fourth one has it.
  await run.notice(/^generation 4 .*serves/);
  assert.equal(await waiting, '4');
  assert.equal(await ask(path), '4');
  assert.equal(statSync(path).ino, ino);
  run.signal('SIGTERM');
  assert.equal(await run.exit(), 0);
});
